// Package sim runs whole clusters of real nodes on one goroutine, in virtual
// time, under faults that a seed decides, and checks every run.
//
// A run is a schedule (package sim/schedule) carried out in a simulated world
// (package sim/world). Equal schedules give equal runs on the same build, to the
// last step. This package never starts a goroutine, takes a lock or asks for the
// time of day.
//
// Start reading at run.go, which takes a schedule through its phases, and
// result.go, which judges the history.
// Then:
//
//   - swarm.go draws a cluster and its clients from a seed; swarm_faults.go,
//     patterns.go and forming.go draw the faults.
//   - faults.go, triggers.go, budget.go and fault_*.go carry out the steps;
//     workload.go, ask.go and calls.go are the clients.
//   - check_*.go are the checks: what must hold at every step (check_invariants.go,
//     check_layout.go, check_registration.go), in the viable core, after all faults
//     are healed, and at the end; verdict.go collects what they find. Package
//     linearizability judges the answers that clients got.
//   - report.go, timeline.go and regression.go write the files that explain a
//     failure; shrink.go and shrinksetup.go make its schedule small.
//   - campaign.go and tally.go add up many runs; enumerate.go runs every execution
//     of a tiny cluster within bounds; repeat.go compares two runs of a schedule.
//   - system.go does all this to a program that is not DKV. Package
//     sim/examples/counter is one.
package sim
