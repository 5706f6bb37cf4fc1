// Package peer carries frames between nodes over TCP: it implements the Network
// door of package node.
//
// Each ordered pair of nodes has one connection, which the sender opens. Both
// sides introduce themselves before the first frame; the node decides whether to
// accept a peer. The network may lose frames, because the protocol repeats what
// matters: a queue that is full drops, a connection that is silent is broken and
// dialed again. No method that the loop calls ever waits.
//
// Start with network.go; link.go is the sending side, inbound.go the receiving
// side.
package peer
