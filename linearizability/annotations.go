package linearizability

import (
	"strconv"
	"time"
)

// Annotations say what else happened while a history was recorded: what the nodes were
// doing and what was done to them. They are for reports only; no verdict depends on them.
//
// Their times are on the same axis as those of the operations. If the operations have no
// times, they are stamps.
type Annotations struct {
	Spans []Span
	Bands []Band
	// Partitions maps keys to their partitions, so that a report can show the primaries of
	// a key.
	Partitions map[string]string
}

func (s *Annotations) empty() bool {
	return len(s.Spans) == 0 && len(s.Bands) == 0 && len(s.Partitions) == 0
}

// A SpanState is the state of a node during a span.
type SpanState uint8

// The states of a span. The zero SpanState is invalid.
const (
	Up SpanState = iota + 1
	Down
	Paused
	Primary // of Partition in Epoch; a node can be the primary of many partitions at once
)

var stateNames = [...]string{Up: "up", Down: "down", Paused: "paused", Primary: "primary"}

func (s SpanState) String() string {
	if s >= Up && s <= Primary {
		return stateNames[s]
	}
	return "SpanState(" + strconv.Itoa(int(s)) + ")"
}

// A Span is a period during which a node was in one state.
type Span struct {
	Lane  string // the node, named as in Operation.Node, or any other name
	State SpanState
	// Partition and Epoch belong to a Primary. Epoch 0 means no epoch.
	Partition string
	Epoch     uint64
	From      time.Duration
	// To is the end of the span. 0: it ends where the next span of its lane begins
	// (for a Primary, the next one of its lane and partition, or the next Down of its
	// lane), or with the history.
	To    time.Duration
	Label string // a note for the reader
}

// A Band is a period during which something was wrong, or, with To equal to From, an event
// that affected the whole system.
type Band struct {
	Kind  string // BandFault, BandZooKeeper or any other word
	Label string
	From  time.Duration
	To    time.Duration // 0: the end of the history
}

// The kinds of band that have a colour of their own in a report.
const (
	BandFault     = "fault"
	BandZooKeeper = "zookeeper"
)
