// Command mutants checks the checks: it plants each bug of sim/mutants in the
// program and runs campaigns until one of the oracles that the bug names fires,
// and breaks the harness as each text of sim/mutants/harness says, to see the
// test that it names fail. make mutants runs it.
//
// It reads what dkvsim and the tests write as JSON: the documents of dkvsim run
// --json and dkvsim shrink --json, and the events of go tool test2json.
package main
