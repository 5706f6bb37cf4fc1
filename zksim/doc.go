// Package zksim is a simulated ZooKeeper ensemble: several servers that lag
// behind one another, driven by a scheduler and a source of randomness that the
// caller provides. The same calls at the same times with the same draws give
// the same run.
//
// It has two layers over the tree of package zktree, which holds the state and
// decides what each operation does:
//
//   - Service is the ensemble: one log, servers that have each applied a prefix
//     of it, a leader that commits and expires sessions, and the faults.
//   - Client is what an application sees through a client library such as
//     go-zookeeper: asynchronous calls, session events, watch events, and
//     connections that break with the outcome unknown.
//
// A Checker checks a Service against everything that ZooKeeper promises.
// Counters say how often each thing happened that it does not promise to
// prevent.
//
// The package never starts a goroutine, takes a lock or asks for the time, and it
// imports nothing but zktree and the standard library. Package zkserver puts the
// same tree behind the real wire protocol.
//
// Not simulated: observers, local sessions, reconfiguration, read-only mode,
// SASL and X.509, quotas, and identities of clients.
//
// Read service.go for the log and its commits, server.go for what one server does
// with a request, lease.go for sessions, client.go and reconnect.go for the client
// library, faults.go and disaster.go for what can go wrong, checker.go for the
// promises.
package zksim
