package httpapi

import (
	"net"

	"golang.org/x/sys/unix"
)

// deafen makes the kernel ignore what arrives at the listener, so that no handshake ends
// between the last Accept and Close. A client that connects now tries again a second
// later, and finds the port closed, or the next process. Connections that were accepted,
// or wait to be, are not affected. Where the kernel does not allow it, such a client is
// reset.
func deafen(l net.Listener) {
	none := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	control(l, func(fd int) {
		_ = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &none[0]})
	})
}

// pending reports whether connections wait to be accepted.
func pending(l net.Listener) (waiting bool) {
	control(l, func(fd int) {
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(polled, 0)
		waiting = err == nil && n > 0
	})
	return waiting
}

func control(l net.Listener, fn func(fd int)) {
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { fn(int(fd)) })
	}
}
