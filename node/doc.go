// Package node is the core of DKV: everything that can be wrong, and nothing
// that can block.
//
// A Node is a deterministic state machine. It owns one member of the cluster:
// its replicas of the partitions, the conversations with its peers, its
// session with ZooKeeper and the requests of its clients. It reaches the
// world only through doors (Clock, Network, Store, Coordinator and Random of
// package node/door, and its Observer) and hears of it only through its On… methods and the
// callbacks it gave to the doors. The same code runs on TCP, Pebble and
// ZooKeeper (package node/real) and in the simulator (package sim).
//
// One goroutine owns a Node. No method blocks, no door calls back before the
// call that started it has returned, and every event runs to completion.
// After the events of a turn the owner calls EndTurn, which makes the turn's
// one Commit and hands over the turn's messages.
//
// The package never starts a goroutine, never asks for the wall clock, never
// draws from a global random source and never logs: it observes.
//
// The rules that it obeys have names, which the comments cite; docs/protocol.md says of
// each why it is needed and what breaks without it. What holds between the fields of its
// state stands beside them, and the simulator checks it after every turn (invariants.go).
//
// Read on in the order in which things happen: request.go (how a client's request comes
// in), write.go and read.go (the two conversations), reign.go and epoch.go (what a primary
// is, and how it starts), takeover.go (how one is replaced), snapshot.go (how a laggard
// catches up), learner.go and kept.go (how a member gets the data before the layout names it),
// membership.go and barrier.go (how a node enters a cluster), stamps.go and records.go (how
// its disk proves that it was not rolled back), planner.go, move.go and rebalance.go (how
// the layout changes), roster.go, missing.go and members.go (how members come and go),
// settings.go (what all nodes share), drain.go and stop.go (how a primary ends its own
// reign, and how a node leaves).
package node
