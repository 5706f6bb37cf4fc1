package linearizability

import (
	"strconv"
	"time"
)

// A Scene is what else happened while a history was made: what the nodes were
// doing, and what was done to them. It is for reports alone; no verdict depends
// on it.
//
// Its moments are on the axis of the operations' times. In a history whose
// operations have none they are stamps.
type Annotations struct {
	Spans []Span
	Bands []Band
	// Places tells of which partition a key is, so that a report can show who
	// was its primary. Keys that are not in it belong to none that is known.
	Partitions map[string]string
}

func (s *Annotations) empty() bool {
	return len(s.Spans) == 0 && len(s.Bands) == 0 && len(s.Partitions) == 0
}

// A SpanState is what a node was during a span.
type SpanState uint8

// The states of a span. The zero SpanState is none of them.
const (
	Up SpanState = iota + 1
	Down
	Paused
	Primary // of Partition in Epoch; a node can be that of many at once
)

var stateNames = [...]string{Up: "up", Down: "down", Paused: "paused", Primary: "primary"}

func (s SpanState) String() string {
	if s >= Up && s <= Primary {
		return stateNames[s]
	}
	return "SpanState(" + strconv.Itoa(int(s)) + ")"
}

// A Span is a time during which a node was something.
type Span struct {
	Lane  string // whose: the name that operations have in Node, or any other
	State SpanState
	// Partition and Epoch are those of a Primary. 0 is no epoch.
	Partition string
	Epoch     uint64
	From      time.Duration
	// To is its end. 0: it lasts until the next span of its lane begins (of a
	// Primary: the next of its lane and partition, or until its lane is Down),
	// else to the end of the history.
	To    time.Duration
	Label string // anything else worth saying
}

// A Band is a time during which something was wrong, or, with To equal to From,
// a moment at which something happened to the whole.
type Band struct {
	Kind  string // BandFault, BandZooKeeper, or any other word
	Label string
	From  time.Duration
	To    time.Duration // 0: to the end of the history
}

// The kinds of band that a report knows by colour.
const (
	BandFault     = "fault"
	BandZooKeeper = "zookeeper"
)
