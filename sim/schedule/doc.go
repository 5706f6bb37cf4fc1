// Package schedule is the language in which a simulated run is written down: a
// header that says what the run is made of (Setup), timed lines that say what is
// done to it (Step), and, if the clients' operations are listed, their calls
// (Call). A Schedule is data. Its text can be read, edited, kept and replayed;
// Parse and Schedule.String are inverses of each other.
//
// The package knows neither the simulated world that carries out the steps
// (package sim/world) nor the search that draws them (package sim). It never
// runs anything.
//
// Start reading at schedule.go, then setup.go (the header), order.go and
// moment.go (when a step happens), call.go (what clients ask), and reference.go,
// which prints the whole language.
package schedule
