// Package layout is the cluster's assignment as one value: its members, and which
// of them hold which partition in which epoch. It lives in one
// znode, which is changed only by compare-and-set.
//
// A Layout is immutable. It is made by Form (a new cluster), by Decode (read
// from the znode or from a store's copy) or by Apply (the next version), and
// each of the three hands out only values that pass the same validation.
//
// The package is pure: it knows the legal steps of an assignment (L1 to L4) and
// judges them, but does not know when a step is wise. It never asks whether a
// member is alive, never chooses owners (see package ring) and never does I/O.
//
// Read on in layout.go (the value), steps.go (the four steps), members.go
// (joining and leaving), legal.go (may this value follow that one?) and
// codec.go (the znode's bytes).
package layout
