// Package sim is the stage on which a whole cluster runs inside one goroutine,
// in virtual time, under faults that a seed decides, and is checked.
//
// It never starts a goroutine, takes a lock, or asks for the time of day. All
// that happens is an entry in one heap, ordered by (time, sequence), and every
// draw is keyed by the seed and by what it is for; so the same seed gives the
// same run to the last step, and the trace hash shows it.
//
// The world, from the ground up:
//
//   - scheduler.go, random.go, trace.go: time, chance, and the running hash.
//   - tree.go, disk.go: a disk of which a prefix is durable, and what a crash
//     leaves of the rest.
//   - clock.go, host.go: a machine with a clock that drifts, and the one process
//     on it: its turns, its pauses, its end, after which nothing of it runs.
//   - netdoor.go, zkdoor.go: the node's doors to netsim and zksim.
//   - client.go: a client's path to a node, which may break.
//   - operator.go: an outside hand on the layout.
//   - world.go: all of it together, and the hands of a schedule.
//
// What happens on the stage is the rest of the package: schedule.go and swarm.go
// say what befalls the world, workload.go what clients do, invariants.go what
// must hold at each step, campaign.go runs seeds. system.go puts another program
// than DKV on it; package sim/examples/counter is one.
package sim
