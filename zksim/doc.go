// Package zksim is a simulated ZooKeeper ensemble: several servers that lag
// behind one another, driven by a scheduler and a source of randomness that the
// caller provides. The same calls at the same times with the same draws give
// the same run.
//
// It has two layers over the tree of package zktree, which holds the state and
// decides what each operation does:
//
//   - Service is the ensemble: one log, servers with applied prefixes, a
//     leader that commits and expires sessions, and the faults.
//   - Client is what an application sees through a client library such as
//     go-zookeeper: asynchronous calls, session events, watch events, and
//     connections that break with outcomes unknown.
//
// A Checker holds a Service to everything that ZooKeeper promises, in every
// run, and Counters tell how often each thing that it does not promise took
// place.
//
// The package never starts a goroutine, takes a lock, or asks for the time,
// and imports nothing but zktree and the standard library. Package zkserver puts
// the same tree behind the real wire protocol.
//
// Access lists know the schemes world, auth, digest and ip. Extended types are
// always on, so that TTL nodes can be had.
//
// Not covered: observers, local sessions, reconfiguration, read-only mode,
// SASL and X.509, quotas.
package zksim
