package peer

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// giveUpAfter makes the kernel close the connection when sent data remains
// unacknowledged for d. By default TCP retries for a quarter of an hour, at ever
// longer intervals: after an outage of a minute, a peer might not hear from this
// node for another minute.
func giveUpAfter(conn net.Conn, d time.Duration) error {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return failed
}
