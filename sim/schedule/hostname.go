package schedule

import (
	"strconv"
)

// HostName is the name of a host: the node id of its process, the name of its
// end of the network, and of its place before ZooKeeper.
func HostName(host int) string { return "n" + strconv.Itoa(host+1) }
