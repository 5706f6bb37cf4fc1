// Package real runs a node in the real world: it gives the core of package node
// a clock, TCP, a disk, ZooKeeper and HTTP, and starts and stops them together.
//
// One goroutine, the loop, owns the Node. Everything else here may block, wait
// and start goroutines so that the loop never has to: adapters post their events
// to the loop's queue, and the loop hands what it sends to the adapters' queues.
// Every queue is bounded, and no adapter decides anything: what could be wrong
// belongs in package node, where the simulator can test it.
//
// server.go opens and stops a node. Follow a request from there:
//
//	httpapi    accepts it from a client
//	loop       runs it on the goroutine that owns the node
//	peer       carries frames between nodes over TCP
//	zookeeper  implements the Coordinator door with Apache ZooKeeper
//
// observe.go turns what the core observes into log lines and metrics.
package real
