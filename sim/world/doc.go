// Package world simulates everything that a cluster runs on: hosts with clocks that
// drift and disks that lose what was not synced, the network between them, ZooKeeper,
// and the connections of clients. It runs on one goroutine, in virtual time.
//
// Everything that happens is an entry of one heap, ordered by time and then by sequence
// number, and every random draw is keyed by the seed and a purpose. So a run is
// determined by its configuration and by the calls that are made, to the last step, and
// its trace hash shows that. The package never starts a goroutine, takes a lock or
// reads the time of day. It carries out faults and counts those that took effect.
// Package sim decides which faults there are, and checks what came of them.
//
// Where to read:
//
//   - world.go, config.go: the world as a whole, its time, and its configuration.
//   - fault.go, fault_process.go, fault_disk.go, fault_zookeeper.go, heal.go: the
//     faults of hosts, disks and ZooKeeper, their counters, and their end. The faults
//     of the network are those of package netsim, under World.Network.
//   - scheduler.go, order.go, steer.go, random.go: virtual time, the order of steps
//     that are due at about the same time, and keyed draws.
//   - trace.go, steprecord.go, observe.go, dump.go: the hash of a run, the comparison
//     of two runs, and descriptions for people.
//   - host.go, hosts.go, process.go, turntrap.go, clock.go: a machine and its process,
//     which handles events in turns, may pause, and runs no more once it has ended.
//   - disk.go, rot.go, medium.go, tree.go, pebble.go, pebbleraw.go: a disk of which a
//     prefix is durable, its faults, and what holds its contents.
//   - netdoor.go, zkdoor.go: a process's doors to netsim and zksim.
//   - client.go, operator.go, layout.go, zkscripts.go: clients, the administrator who
//     moves partitions, and sessions that use ZooKeeper beside the nodes.
//   - program.go: processes that are not DKV nodes.
package world
