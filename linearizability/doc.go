// Package linearizability records what the clients of a key-value store asked
// and were answered, and decides whether one register per key, taking effect
// at one instant inside each operation, explains all of it. Users may bring a
// Porcupine model of their own.
//
// The road through the package:
//
//	history.go           what an operation is, and which ones are well formed
//	recorder.go          stamps operations while a program runs
//	recording.go         reads a history in any of the given formats
//	format.go            what a format is, and what its reader reads from
//	jsonlines.go         the package's own format: two lines an operation
//	model.go             the store as a sequential machine, in one function
//	check.go             Check: one key at a time, the cheapest proof first
//	indexorder.go        an order by log index, verified: a proof in O(n log n)
//	facts.go             which write each answer names; contradictions in plain sight
//	prune.go             drops the unknown writes that cannot matter
//	search.go            decides the rest within a budget of steps
//	ambiguous.go         the same where values do not name their writes,
//	generalsearch.go     and a search that supposes nothing of them
//	porcupine.go         the second opinion: Porcupine over the same model
//	porcupinedrawing.go  Porcupine's own picture of a key
//	modelcheck.go        CheckModel: that search over a model of the user's own
//	contradiction.go     the smallest sub-history that is still illegal
//	sentence.go          the contradiction in one sentence
//	violation.go         refused values that were seen, acknowledged writes that were lost
//	report.go            verdicts and a timeline as text
//	annotations.go       what else happened, for reports: nodes, faults, events
//	annotationlines.go   the same as lines of the file format
//
// Package jepsen reads Jepsen's histories, and package report writes a result as
// an HTML page.
//
// Every verdict is a function of the history and the budget alone: no clock
// takes part in it, and it does not depend on the number of cores. A history
// that cannot be decided within the budget is Undecided, which every caller has
// to treat as a failure.
//
// The package knows nothing of how the store works and imports nothing of this
// module, so that any Go program, and any program at all through files, can use
// it. README.md documents the file format field by field.
package linearizability
