//go:build !linux

package peer

import (
	"net"
	"time"
)

// giveUpAfter does nothing: outside Linux there is no portable way to limit how
// long sent data may remain unacknowledged.
func giveUpAfter(net.Conn, time.Duration) error { return nil }
