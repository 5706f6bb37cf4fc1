// Package zkserver is a single ZooKeeper server: the tree of package zktree
// behind the real wire protocol, so that unchanged clients such as
// go-zookeeper work with it. It is meant for local clusters and for tests.
//
// One lock, the turn, guards the tree, the sessions and the watches. The reader
// of a connection takes it for all the requests that have arrived, answers them,
// and sends the answers itself, so that a request wakes no goroutine of the
// server. A writer beside it sends a bounded queue when the client is slow.
//
// Given a directory, the server syncs each transaction to a log before any client
// learns of its effect; transactions that wait for the same sync share it. The
// beginning and the end of a session are transactions too. A snapshot replaces
// the log when it has grown. A process killed at any instant loses nothing that it
// acknowledged, and after a restart its sessions are live, with full timeouts.
//
// It serves what a single ZooKeeper 3.8 serves: every operation of its clients,
// access lists, containers and TTL nodes (which Apache's server allows only when
// configured so), all kinds of watches, four-letter words. A difference from
// Apache's server is a bug here. Some things are not served, and are answered as
// Apache's server answers where they are off: reconfiguration (disabled), SASL
// (no mechanism), and what needs a quorum. Quotas can be stored, but are not
// enforced. Four-letter words that describe Java, change anything or list every
// watch are missing. There is one process and one disk.
//
// Read server.go for the turn and the end of sessions, process.go for what is
// done with each request and reads.go for those that change nothing, conn.go for
// connections, record.go for requests and answers as bytes, wal.go and recover.go
// for the log, lag.go for a server that shows everything late, and testserver.go
// for what tests can do to a server.
package zkserver
