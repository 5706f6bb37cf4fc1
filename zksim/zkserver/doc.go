// Package zkserver is a single ZooKeeper server: the tree of package zktree
// behind the real wire protocol, so that unchanged clients such as
// go-zookeeper work with it. It is meant for local clusters and for tests.
//
// Tree, sessions and watches belong to whoever has the turn, a lock. The reader
// of a connection takes it for the requests that have come, answers them, and
// sends the answers itself, so that a request wakes nobody but its client; a
// writer beside it empties a bounded queue when the client is slow. Given a
// directory, each transaction (the making and ending of sessions too) is synced
// to a log before anybody hears of its effect, many to a sync; the log is
// replaced by a snapshot when it has grown. A process killed at any instant
// loses nothing that was acknowledged, and finds its sessions alive again with
// their full timeouts.
//
// It serves what a single ZooKeeper 3.8 does: every operation of its clients,
// access lists, containers and TTL nodes (which Apache's server has to be told
// to allow), all kinds of watches, four-letter words. Where Apache's differs,
// this server is wrong. Not served, and answered as Apache's does without them:
// reconfiguration (disabled), SASL (no mechanism), and anything that needs a
// quorum. Quotas can be written and read like any node, but nobody counts what
// they limit. There is one process and one disk. Of four-letter words those
// that tell of Java, change anything or list every watch are left out.
//
// server.go is turns, sessions' ends and the server's own, process.go what is
// done with each request, reads.go with those that change nothing, conn.go the
// two ends of a connection, record.go requests and answers in bytes, wal.go the
// log, lag.go a server that tells everything late.
package zkserver
