// Package jepsen reads the histories of Jepsen tests, in either of their two
// formats: [Log] is the log that a test prints, [EDN] the history that it stores.
// Pass them to [linearizability.ReadRecording].
//
// operations.go says what Jepsen's invocations and completions mean as
// operations; log.go and ednhistory.go find them in a text; element.go reads the
// elements of EDN, of which both formats are made.
package jepsen
