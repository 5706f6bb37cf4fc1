// Package pebblestore implements door.Store with Pebble: one instance per node, with
// one write-ahead log and group commit.
//
// Commit applies a batch on the caller's goroutine, which is the node's loop, so the
// loop can read its own writes at once. The batch is durable when Pebble has synced
// its log. One goroutine waits for that, in the order of the commits, and passes each
// done to Post, which runs it as an event of the loop. Commits made during a sync
// share the next one.
//
// The first error is final, whether it comes from a sync, a full disk or a corrupted
// file: from then on every call returns it and the files no longer change. Only a
// new process can recover, because after a failed sync it is unknown which of the
// unsynced pages are on disk, and a second sync could succeed without them.
//
// The package decides nothing else; door.Store states the promises. Start with
// store.go; commit.go writes and syncs, read.go reads, failure.go collects the
// errors, and disk.go freezes the files.
package pebblestore
