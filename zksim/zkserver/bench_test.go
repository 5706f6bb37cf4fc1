package zkserver

import (
	"os"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// The benchmarks compare this server in memory with a real one that does not
// sync: one go-zookeeper client, one call at a time. BENCH_REAL_ZK names the
// address of the real one; without it only this server is measured.

func benchmarkTargets(b *testing.B, run func(b *testing.B, c *zk.Conn)) {
	for _, x := range []struct{ name, addr string }{
		{"zkserver", NewTestWith(b, Options{Tick: time.Second}).Address()},
		{"durable", NewTestWith(b, Options{Tick: time.Second, Dir: b.TempDir()}).Address()},
		{"real", os.Getenv("BENCH_REAL_ZK")},
	} {
		if x.addr == "" {
			continue
		}
		b.Run(x.name, func(b *testing.B) {
			c, _, err := zk.Connect([]string{x.addr}, 10*time.Second, zk.WithLogger(silent{}))
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Create("/bench", []byte("x"), 0, zk.WorldACL(zk.PermAll)); err != nil && err != zk.ErrNodeExists {
				b.Fatal(err)
			}
			run(b, c)
		})
	}
}

func BenchmarkSet(b *testing.B) {
	data := make([]byte, 100)
	benchmarkTargets(b, func(b *testing.B, c *zk.Conn) {
		for b.Loop() {
			if _, err := c.Set("/bench", data, -1); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkGet(b *testing.B) {
	benchmarkTargets(b, func(b *testing.B, c *zk.Conn) {
		for b.Loop() {
			if _, _, err := c.Get("/bench"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
