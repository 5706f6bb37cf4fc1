// Package docs checks the documents: every command in a code block of README.md,
// CONTRIBUTING.md and the files in docs and deploy is run by the test of this
// package, or says why not; links lead somewhere; and make targets exist.
//
// The words after the three backticks of a block say what it is:
//
//	text, go, json, …          not commands
//	sh run                     commands; each must succeed
//	console run                commands after "$ ", each with what it prints
//	console run cluster        the same, with a cluster at ports 8000 to 8040
//	sh not run: REASON         commands that the test does not run
//
// A block without such words fails the test. Commands run in a copy of the source
// tree, one block after the other, README.md first. Times, hashes, process ids
// and the like may differ from what a document shows.
//
//	go test ./internal/docs -update
//
// writes what the commands print now into the documents.
package docs
