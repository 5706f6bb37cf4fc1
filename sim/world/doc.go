// Package world simulates the machines on which a cluster runs: hosts with
// clocks that drift and disks that lose what was not synced, the network between
// them, a ZooKeeper, and the clients' way to a node. All of it happens on one
// goroutine, in virtual time.
//
// Everything that happens is an entry in one heap, ordered by time and then by
// sequence number, and every random draw is keyed by the seed and by its purpose.
// So the same seed gives the same run to the last step, and the trace hash shows
// it. The package never starts a goroutine, takes a lock or asks for the time of
// day. It carries out faults and counts those that took effect; it neither decides
// which come nor judges what came of them: that is package sim.
//
// From the ground up:
//
//   - scheduler.go, order.go, steer.go, random.go, trace.go: time, the order of
//     what is due at one time, chance, and the running hash.
//   - tree.go, disk.go, medium.go, rot.go, pebble.go, pebbleraw.go: a disk of
//     which a prefix is durable, what a crash leaves of the rest, and damage.
//   - clock.go, host.go, turntrap.go: a machine and the one process on it: its
//     turns, its pauses, its end, after which nothing of it runs.
//   - netdoor.go, zkdoor.go, zkscripts.go: the node's doors to netsim and zksim,
//     and sessions that use ZooKeeper beside the nodes.
//   - client.go, operator.go: a client's path to a node, which may break; an
//     administrator who changes the layout.
//   - program.go: a process that is not a DKV node.
//   - world.go: all of it together.
package world
