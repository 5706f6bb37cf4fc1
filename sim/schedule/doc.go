// Package schedule is the language that describes a simulated run: a header for
// the cluster, the clients and their environment (Setup), timed lines for faults
// and other actions (Step), and, if the clients' operations are listed, one line
// for each (Call). A Schedule is data. Its text can be read, edited, kept and run
// again; Parse and Schedule.String are inverses of each other.
//
// The package knows neither the simulated world that carries out the steps
// (package sim/world) nor the search that draws them (package sim). It never
// runs anything.
//
// Start reading at schedule.go, then setup.go (the header), action.go and
// fault_*.go (the actions), trigger.go and order.go (when a step happens), call.go
// (the clients' operations), and reference.go, which prints the whole language.
package schedule
