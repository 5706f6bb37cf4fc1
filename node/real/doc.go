// Package real is the only door between a node and the world: it gives the
// core of package node a clock, TCP, a disk, ZooKeeper and HTTP.
//
// One goroutine owns the Node (loop.go). Everything else here blocks, waits
// and starts goroutines so that the loop never has to: adapters hand their
// events to the loop's queue, and the loop hands its sends to their queues.
// Every queue has a bound, and no adapter decides anything: what could be
// wrong stands in package node, where the simulator reaches it.
//
// Read on in the order of a request: server.go builds the house, http.go and
// kv.go take a client's call in, loop.go runs it, tcp.go, link.go and
// inbound.go talk with the peers, zookeeper.go and its guard (guard.go) with
// ZooKeeper. clock.go is the clock, observe.go turns what the core observes
// into log lines and metrics.
package real
