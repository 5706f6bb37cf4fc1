// Package netsim simulates a network with latency, cuts, resets and other faults.
// It carries bytes between hosts in virtual time, on one goroutine, and delivers
// the same frames at the same times for the same seed.
//
// It has neither a clock nor a random source of its own: the caller passes in a
// [Scheduler] and a [Random]. Every draw is keyed by its purpose, the names of the
// two hosts and a sequence number, so that removing one fault does not change the
// draws of the others.
//
// There are two kinds of network, chosen by [Config.Mode]:
//
//   - [Stream]: each ordered pair of hosts has a connection, as with TCP. Frames keep
//     their order, and a late frame holds up those behind it. A connection that breaks
//     delivers an unknown prefix of what was in flight; then its ends are told, unless
//     that hint is lost.
//   - [Datagram]: each frame may be lost, duplicated or overtaken on its own, and the
//     hosts are told nothing.
//
// Lasting faults are started by methods such as [Network.CutOneWay], which return a
// [Fault] to heal. They may overlap, and healing one leaves the others in force.
// Faults of single frames are [Rates]. [Network.Counters] says how often each kind of
// fault took effect: a cut that stopped no frame counts nothing.
//
// The package never starts a goroutine, reads a clock or ranges over a map. It never
// calls a handler from inside a call by the user: every delivery is an event of the
// scheduler. A [Network] is not safe for concurrent use. Misuse, such as an unknown
// host or a second handler for a host, panics.
//
// network.go has the interface; stream.go and datagram.go have the two kinds of
// network, link.go what they share; fault.go starts and heals faults.
package netsim
