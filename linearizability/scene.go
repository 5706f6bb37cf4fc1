package linearizability

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// A Scene is what else happened while a history was made: what the nodes were
// doing, and what was done to them. It is for reports alone; no verdict depends
// on it.
//
// Its moments are on the axis of the operations' times. In a history whose
// operations have none they are stamps.
type Scene struct {
	Spans []Span
	Bands []Band
	// Places tells of which partition a key is, so that a report can show who
	// was its primary. Keys that are not in it belong to none that is known.
	Places map[string]string
}

func (s *Scene) empty() bool { return len(s.Spans) == 0 && len(s.Bands) == 0 && len(s.Places) == 0 }

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

// track is the part of a scene on which one open span gives way to the next.
type track struct{ name, partition string }

// closedSpans returns the spans by their beginnings, each with its end.
func (s *Scene) closedSpans(end time.Duration) []Span {
	spans := slices.Clone(s.Spans)
	slices.SortStableFunc(spans, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	next := make(map[track]time.Duration) // the beginning of the one after
	down := make(map[string]time.Duration)
	for i, span := range slices.Backward(spans) {
		at := track{span.Lane, ""}
		if span.State == Primary {
			at.partition = "p" + span.Partition
		}
		if span.To == 0 {
			to := end
			if t, ok := next[at]; ok {
				to = min(to, t)
			}
			if t, ok := down[span.Lane]; ok && span.State == Primary {
				to = min(to, t)
			}
			spans[i].To = max(span.From, to)
		}
		next[at] = span.From
		if span.State == Down {
			down[span.Lane] = span.From
		}
	}
	return spans
}

// closedBands returns the bands by their beginnings, each with its end.
func (s *Scene) closedBands(end time.Duration) []Band {
	bands := slices.Clone(s.Bands)
	slices.SortStableFunc(bands, func(a, b Band) int { return cmp.Compare(a.From, b.From) })
	for i := range bands {
		if bands[i].To == 0 {
			bands[i].To = max(bands[i].From, end)
		}
	}
	return bands
}

// last is the latest moment that the scene names.
func (s *Scene) last() (last time.Duration) {
	for i := range s.Spans {
		last = max(last, s.Spans[i].From, s.Spans[i].To)
	}
	for i := range s.Bands {
		last = max(last, s.Bands[i].From, s.Bands[i].To)
	}
	return last
}

// first is the earliest moment that the scene names, or the given one.
func (s *Scene) first(first time.Duration) time.Duration {
	for i := range s.Spans {
		first = min(first, s.Spans[i].From)
	}
	for i := range s.Bands {
		first = min(first, s.Bands[i].From)
	}
	return first
}
