package zkserver_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"dkv/zksim/zkserver"
)

// A server in memory, without package testing.
func ExampleServer_Serve() {
	s, err := zkserver.Open(zkserver.Options{Tick: 100 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- s.Serve(l) }()

	c, _, err := zk.Connect([]string{l.Addr().String()}, time.Second, zk.WithLogInfo(false))
	if err != nil {
		fmt.Println(err)
		return
	}
	path, err := c.Create("/hello", []byte("world"), 0, zk.WorldACL(zk.PermAll))
	fmt.Println(path, err)
	c.Close()
	fmt.Println(s.Close(), <-ended)
	// Output:
	// /hello <nil>
	// <nil> zkserver: server closed
}

// A server for one test, with faults.
func ExampleNewTest() {
	_ = func(t *testing.T) {
		s := zkserver.NewTest(t)
		c, _, err := zk.Connect([]string{s.Address()}, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s.DropNextWrite(true) // the write is done, but its reply is lost
		_, err = c.Create("/x", nil, 0, zk.WorldACL(zk.PermAll))
		t.Log("outcome unknown:", err)
		s.ExpireSession(c.SessionID())
	}
}
