package report

import (
	"cmp"
	"dkv/linearizability"
	"slices"
	"time"
)

// A track is the sequence of spans in which an open span ends where the next one
// begins: those of a lane, or those of one partition's primaries in a lane.
type track struct{ name, partition string }

// closedSpans returns the spans sorted by their beginnings, with their ends filled
// in. A later span ends an open one of its track, and a Down span ends all open
// Primary spans of its lane.
func closedSpans(s *linearizability.Annotations, end time.Duration) []linearizability.Span {
	spans := slices.Clone(s.Spans)
	slices.SortStableFunc(spans, func(a, b linearizability.Span) int { return cmp.Compare(a.From, b.From) })
	next := make(map[track]time.Duration) // where the next span of the track begins
	down := make(map[string]time.Duration)
	for i, span := range slices.Backward(spans) {
		at := track{span.Lane, ""}
		if span.State == linearizability.Primary {
			at.partition = "p" + span.Partition
		}
		if span.To == 0 {
			to := end
			if t, ok := next[at]; ok {
				to = min(to, t)
			}
			if t, ok := down[span.Lane]; ok && span.State == linearizability.Primary {
				to = min(to, t)
			}
			spans[i].To = max(span.From, to)
		}
		next[at] = span.From
		if span.State == linearizability.Down {
			down[span.Lane] = span.From
		}
	}
	return spans
}

// closedBands returns the bands sorted by their beginnings, with their ends filled
// in.
func closedBands(s *linearizability.Annotations, end time.Duration) []linearizability.Band {
	bands := slices.Clone(s.Bands)
	slices.SortStableFunc(bands, func(a, b linearizability.Band) int { return cmp.Compare(a.From, b.From) })
	for i := range bands {
		if bands[i].To == 0 {
			bands[i].To = max(bands[i].From, end)
		}
	}
	return bands
}

// lastMoment returns the latest time in the annotations.
func lastMoment(s *linearizability.Annotations) (last time.Duration) {
	for i := range s.Spans {
		last = max(last, s.Spans[i].From, s.Spans[i].To)
	}
	for i := range s.Bands {
		last = max(last, s.Bands[i].From, s.Bands[i].To)
	}
	return last
}

// firstMoment returns the earliest time in the annotations, or the given one if
// that is earlier.
func firstMoment(s *linearizability.Annotations, first time.Duration) time.Duration {
	for i := range s.Spans {
		first = min(first, s.Spans[i].From)
	}
	for i := range s.Bands {
		first = min(first, s.Bands[i].From)
	}
	return first
}
