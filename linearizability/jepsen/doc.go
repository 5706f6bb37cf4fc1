// Package jepsen reads the histories of Jepsen tests: [Log] is the log that a test
// prints, [Text] its history.txt, [EDN] the history that it stores, and [JSON] the
// same maps as JSON. Pass them to [linearizability.ReadRecording].
//
// operations.go says what Jepsen's invocations and completions mean as
// operations; log.go, ednhistory.go and json.go find them in a text; maps.go reads
// the maps that EDN and JSON share; element.go reads the elements of EDN, of which
// log lines are made too.
package jepsen
