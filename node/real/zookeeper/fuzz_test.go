package zookeeper

import (
	"bytes"
	"log/slog"
	"net"
	"testing"
	"time"
)

// Whatever a ZooKeeper server sends, the guard passes on whole frames or closes the
// connection.
func FuzzGuard(f *testing.F) {
	f.Add(connectReply(time.Second, 7))
	f.Add(append(connectReply(time.Second, 7), frame(make([]byte, minReply)...)...))
	f.Add(append(connectReply(time.Second, 7), frame(bytes.Repeat([]byte{0xff}, 40)...)...))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, stream []byte) {
		g := newGuard(time.Second, slog.New(slog.DiscardHandler), func(string, string, time.Duration) (net.Conn, error) {
			return &streamConn{Reader: bytes.NewReader(stream)}, nil
		}, func() {})
		conn, err := g.dial("tcp", "server:2181", time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var passed []byte
		buf := make([]byte, 7)
		for {
			n, err := conn.Read(buf)
			passed = append(passed, buf[:n]...)
			if err != nil {
				break
			}
		}
		if !bytes.HasPrefix(stream, passed) {
			t.Fatalf("passed %x of %x", passed, stream)
		}
		for rest := passed; len(rest) > 0; {
			length := int(uint32(rest[0])<<24 | uint32(rest[1])<<16 | uint32(rest[2])<<8 | uint32(rest[3]))
			if length < minReply || length > len(rest)-4 {
				t.Fatalf("passed a frame of %d bytes: %x", length, passed)
			}
			rest = rest[4+length:]
		}
	})
}

// streamConn is a connection that only reads.
type streamConn struct {
	net.Conn
	*bytes.Reader
}

func (c *streamConn) Read(p []byte) (int, error) { return c.Reader.Read(p) }
func (c *streamConn) Close() error               { return nil }
