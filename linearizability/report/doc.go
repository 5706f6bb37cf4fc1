// Package report writes the result of a linearizability check as one HTML page
// that needs no network: the verdict, the operations that contradict each other,
// and the history around them.
//
// page.go decides what the page says; columns.go encodes the operations and
// annotations compactly; annotations.go gives open spans and bands an end;
// porcupine.go adds Porcupine's own drawing; page/ holds the page's markup, style
// and script. The script reads exactly what page.go and columns.go write, so the
// two change together.
package report
