// Package campaign runs many seeds of the simulator and judges them together. It is
// the one engine behind dkvsim run and go test ./sim: both define its flags, fill
// in Options and call Run.
//
// Seeds run in parallel on the cores of the machine, each in a simulated world of
// its own. A campaign ends with its seeds, its budget, a deadline, a signal, or at
// an awaited failure; with a state file it resumes later. It prints a line for each
// run, the tables of all, and a report of the first few failures, and writes a
// Document as JSON. Merge does the same for the documents of several shards.
//
// What runs add up to, and when coverage is too low, is decided by sim.Campaign,
// which this package alone uses.
package campaign
