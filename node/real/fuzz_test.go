package real

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"testing"
	"time"
	"unicode/utf8"

	"dkv/node"
)

// What /put accepts is what any JSON reader reads, and it is kept as it was
// sent.
func FuzzDecodePut(f *testing.F) {
	for _, seed := range []string{
		`{"key":"a","value":"b"}`, `{"key":"a","value":""}`, `{"value":"\ud83d\ude00\\ud800","key":"\u00e9"}`,
		`{"key":"a","value":"\ud83d"}`, `{"key":"a","value":"\ud83d\\de00"}`, `{"key":"a","value":"b","key":"c"}`,
		`{"key":"a","value":null}`, `{"key":"a","value":"b"}x`, `[]`, `{"key":"a","value":"b","x":{"key":1}}`, "\"\xff\"", `\`, `\u`, `\\\ud8`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		key, value, err := decodePut(body)
		if err != nil {
			return
		}
		if !utf8.ValidString(key) || !utf8.ValidString(value) {
			t.Fatalf("%q: key %q, value %q", body, key, value)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatalf("%q was accepted: %v", body, err)
		}
		for name, got := range map[string]string{"key": key, "value": value} {
			var want string
			if err := json.Unmarshal(fields[name], &want); err != nil || want != got {
				t.Errorf("%q: %s %q, want %q, %v", body, name, got, want, err)
			}
			// A replacement character comes from the sender or not at all.
			sent := bytes.Count(body, []byte("\ufffd")) + bytes.Count(bytes.ToLower(body), []byte(`\ufffd`))
			if read := bytes.Count([]byte(got), []byte("\ufffd")); read > sent {
				t.Errorf("%q: %s %q has %d replacement characters, %d were sent", body, name, got, read, sent)
			}
		}
	})
}

func FuzzReadFrame(f *testing.F) {
	f.Add(node.AppendFrame(nil, &node.Envelope{Body: &node.PreVote{Round: 7}}))
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{0, 0x40, 0, 0, 1, 2, 3})
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := bufio.NewReader(bytes.NewReader(stream))
		for range 100 {
			body, err := readFrame(r, node.MaxFrameBytes)
			if cap(body) > 2*len(stream)+trustedBytes {
				t.Fatalf("%d bytes of memory for a stream of %d", cap(body), len(stream))
			}
			if err != nil {
				return
			}
			_, _ = node.DecodeFrame(body)
		}
	})
}

// Whatever a ZooKeeper server sends, the guard passes whole frames or ends the
// connection.
func FuzzGuard(f *testing.F) {
	f.Add(connectReply(time.Second, 7))
	f.Add(append(connectReply(time.Second, 7), frame(make([]byte, zkMinReply)...)...))
	f.Add(append(connectReply(time.Second, 7), frame(bytes.Repeat([]byte{0xff}, 40)...)...))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, stream []byte) {
		g := newGuard(time.Second, quiet(), func(string, string, time.Duration) (net.Conn, error) {
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
			if length < zkMinReply || length > len(rest)-4 {
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
