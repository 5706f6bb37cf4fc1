// Package zktree is the state of ZooKeeper as a pure state machine: a Tree of
// nodes and sessions, to which transactions are applied in the order of their
// zxids, and the Watches of one server, which turn the changes that a
// transaction made into events. Access lists know the schemes world, auth,
// digest and ip.
//
// Everything is a function of what was applied before: trees that applied the
// same transactions are equal, whichever server, simulated or real, holds them.
// So the time and the identities of a transaction's sender come with it, and
// the package never asks for the time, draws a random number, starts a
// goroutine or takes a lock. It imports nothing but the standard library and
// knows nothing of networks, connections or ensembles.
//
// Package zksim builds a simulated ensemble on it, package zkserver a real
// server.
//
// The judge of what an operation does is Apache ZooKeeper 3.8: which check
// comes first, which code is answered, which fields of a stat change.
// tree.go applies transactions, create.go and container.go hold the kinds of
// nodes, multi.go takes operations back, acl.go decides who may do what,
// watches.go who hears of it, and image.go writes a whole tree down.
package zktree
