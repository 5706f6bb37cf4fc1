// Package linearizability records what the clients of a key-value store asked and
// were answered, and decides whether the history is linearizable: whether one
// register per key, on which each operation takes effect at one instant between
// its call and its return, explains every answer. Users may bring a Porcupine model
// of their own.
//
// Where to read:
//
//	history.go           what an operation is, and which operations are valid
//	recorder.go          stamps operations while a program runs
//	recording.go         reads a history in any of the given formats
//	format.go            what a format is, and the source that its reader reads
//	jsonlines.go         the package's own format: two lines for each operation,
//	jsonevent.go         and the parser of one line
//	model.go             the store as a sequential machine, in one function
//	check.go             Check: one key at a time, the cheapest proof first
//	indexorder.go        verifies the order of log indices: a proof in O(n log n)
//	facts.go             which write each answer refers to; obvious contradictions
//	prune.go             drops unknown writes that cannot change the verdict
//	budget.go            limits a search, in steps and in bytes
//	decompress.go        unpacks compressed histories
//	search.go            searches for an order within a step budget
//	ambiguous.go         pruning where values do not identify their writes,
//	generalsearch.go     and a search that assumes nothing about values
//	eventlist.go         the operations that a search has not placed yet
//	porcupine.go         the second opinion: Porcupine with the same model
//	porcupinedrawing.go  Porcupine's own drawing of a key
//	modelcheck.go        CheckModel: the general search with the user's model
//	contradiction.go     reduces an illegal key to a few operations
//	sentence.go          states the contradiction in one sentence
//	violation.go         refused values that were seen, acknowledged writes that were lost
//	report.go            the verdict and a timeline as text
//	annotations.go       what else happened, for reports: node states, faults, events
//	annotationlines.go   annotations as lines of the file format
//
// Packages jepsen and etcd read the histories of Jepsen and of etcd's robustness
// tests, and package report writes a result as an HTML page.
//
// A verdict is a function of the history and the budgets of a search alone: it depends
// neither on a clock nor on the number of cores. A history that cannot be decided
// within the budget is Undecided, which every caller must treat as a failure.
//
// The package knows nothing about the store and imports nothing of this module, so
// that any Go program can use it, and any other program through files. README.md
// documents the file format field by field.
package linearizability
