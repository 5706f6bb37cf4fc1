// Package door declares the interfaces between a deterministic program and the
// world: Clock, Network, Store, Coordinator and Random, and the requests that
// clients send in. A door is all that such a program may know of its
// surroundings.
//
// One rule holds for every door: a call returns at once, and what comes of it is
// told later, through a callback or a method of the program, as an event of its
// own. No door ever calls back into the program from within a call, so every
// event runs to completion. Reading a Store is the one exception: it may take
// the time that a disk takes.
//
// Each interface states its promises beside its methods; package node/envtest
// tests them. Two sets of implementations stand behind the doors: node/real puts
// TCP, Pebble, ZooKeeper and the machine's clock there, package sim simulated
// ones. The core (package node) and every program that runs on package sim are
// written against this package.
//
// It holds no implementation and imports only the nouns of node/layout.
package door
