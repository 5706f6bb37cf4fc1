package peer

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// Detecting a silent peer is the kernel's job. This test checks that the kernel was
// asked to.
func TestConnectionsGiveUpOnSilentPeers(t *testing.T) {
	a, b := newStation(t, 1), newStation(t, 2)
	l := newLink(a.Network, b.peer)
	conn, err := l.connect(b.peer)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		ms, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		if want := int(unacknowledged.Milliseconds()); err != nil || ms != want {
			t.Errorf("user timeout %d ms, %v, want %d", ms, err, want)
		}
	}); err != nil {
		t.Fatal(err)
	}
}
