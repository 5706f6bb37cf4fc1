// Package pebblestore is door.Store on Pebble: one instance a node, one
// write-ahead log, group commit.
//
// A commit is applied on the caller's goroutine, the node's loop, which reads
// what it wrote at once. It is durable when Pebble has synced its log, which
// one goroutine waits for, in the order of the commits, and then hands each
// done to the owner's Post, to be run as an event of the loop. Commits made
// while a sync is under way share the next one.
//
// The first error is the last word, be it of a sync, a full disk or rot: from
// then on everything is answered with it, the files stay as they are (disk.go),
// and a new process is the recovery (failure.go).
//
// The package decides nothing else; the promises are those of node.Store.
package pebblestore
