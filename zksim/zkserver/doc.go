// Package zkserver is a single ZooKeeper server: the tree of package zksim
// behind the real wire protocol, so that unchanged clients such as
// go-zookeeper work with it. It is meant for local clusters and for tests.
//
// One goroutine owns the tree, the sessions and the watches. Every connection
// has a reader that feeds it and a writer that empties a bounded queue. Given
// a directory, each transaction (the making and ending of sessions too) is
// synced to a log before anybody hears of its effect, many to a sync; the log
// is replaced by a snapshot when it has grown. A process killed at any instant
// loses nothing that was acknowledged, and finds its sessions alive again with
// their full timeouts.
//
// Not served (answered as unimplemented): access lists other than
// world:anyone:all, containers, TTL nodes, multiRead, persistent watches,
// reconfiguration. There is no quorum: it is one process and one disk.
//
// server.go is the owner's loop, process.go what it does with each request,
// conn.go the two ends of a connection, wal.go the log.
package zkserver
