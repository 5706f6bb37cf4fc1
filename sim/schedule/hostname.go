package schedule

import (
	"strconv"
)

// HostName returns the name of a host. It is also the node ID of the host's process
// and the host's name in the network and in ZooKeeper.
func HostName(host int) string { return "n" + strconv.Itoa(host+1) }
