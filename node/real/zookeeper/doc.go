// Package zookeeper implements the Coordinator door with Apache ZooKeeper.
//
// The client library, go-zookeeper, reports less than the door promises: it
// carries requests over from an expired session, waits without a limit, and
// hides when it sets its watches again. So each session here has a connection
// object of its own, performs its calls one at a time, and speaks to ZooKeeper
// through a guard that checks every frame.
//
// Start with coordinator.go. session.go performs the calls of one session in
// order, calls.go makes each of them, events.go receives what ZooKeeper reports,
// and guard.go checks what passes between the library and the server.
package zookeeper
