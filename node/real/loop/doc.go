// Package loop runs a node: one goroutine takes events from a queue and is the
// only one that touches the node.
//
// Any goroutine may Post an event; Post never waits, so an adapter cannot
// deadlock with the loop. After a batch of events the loop ends the turn, and
// the node commits and sends what the whole turn produced. The Clock belongs
// here too, because its time stands still while an event runs.
//
// Start with loop.go; clock.go is the Clock door.
package loop
