// Package netsim is a network made of delays, cuts and resets. It carries
// bytes between hosts in virtual time, inside one goroutine, and gives the same
// deliveries for the same seed.
//
// It brings neither a clock nor a random source: a [Scheduler] and a [Random]
// are passed in. Every draw is keyed by what it is for, by the two hosts' names
// and by a sequence number, so that taking one fault away does not reshuffle
// the others.
//
// There are two kinds of network, chosen once by [Config.Mode]:
//
//   - [Stream]: each ordered pair of hosts has a connection of its own, as TCP
//     gives it. Frames keep their order; a late one holds up those behind it; a
//     connection that breaks delivers an unknown prefix of what was in flight
//     and then tells its ends, or does not.
//   - [Datagram]: frames are lost, doubled and overtaken, each on its own, and
//     nobody is told anything.
//
// Faults that last are started by methods such as [Network.CutOneWay], which
// return a [Fault] to be healed; they may overlap, and healing one leaves the
// others alone. Faults that strike single frames are [Rates].
// [Network.Counters] tells how often each kind of fault took effect: a cut that
// stopped no frame counts nothing.
//
// The package never starts a goroutine, never asks for the time of day, never
// ranges over a map, and never calls a handler from inside a call of yours:
// everything is delivered as an event of the scheduler. A [Network] is not safe
// for concurrent use. Misuse by the caller (a host that was never named, two
// handlers for one host) panics.
//
// Where to read on: network.go is the way in, stream.go and datagram.go are the
// two kinds of network, link.go is what they share, fault.go starts and heals
// faults.
package netsim
