// Package sim runs whole clusters of real nodes on one goroutine, in virtual
// time, under faults that a seed decides, and checks every run.
//
// A run is a schedule (package sim/schedule) carried out in a simulated world
// (package sim/world). Equal schedules give equal runs on the same build, to the
// last step. This package never starts a goroutine, takes a lock or asks for the
// time of day.
//
// Start reading at run.go, which takes a schedule through its phases to a verdict.
// Then:
//
//   - swarm.go and patterns.go draw a schedule from a seed.
//   - faults.go, moments.go and budget.go carry out its steps; workload.go, ask.go
//     and calls.go are its clients.
//   - check_*.go are the checks: what must hold at every step, in the viable core,
//     after everything has healed, and of the layouts; verdict.go collects what
//     they find. What clients were told is judged by package linearizability.
//   - report.go, timeline.go and regression.go write what a person needs to
//     understand a failure; shrink.go and shrinksetup.go make its schedule small.
//   - campaign.go and tally.go add up many runs; enumerate.go runs every execution
//     of a tiny cluster within bounds; repeat.go compares two runs of a schedule.
//   - system.go does all this to a program that is not DKV. Package
//     sim/examples/counter is one.
package sim
