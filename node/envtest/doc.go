// Package envtest states the promises of node's doors once, as conformance
// bodies: TestClock, TestNetwork, TestStore and TestCoordinator. Every
// implementation of a door passes the same body, so that what the simulator
// shows of the core holds for the real world.
//
// A body starts no goroutine. It acts on a door only in events of a Loop that
// the implementation's test provides, virtual or real, and checks that no door
// calls back inside another event.
//
// The package imports node and the standard library, and is imported by tests
// alone. The promises stand in package node/door.
package envtest
