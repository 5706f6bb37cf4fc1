package real

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"dkv/node"
)

const (
	// maxLogged bounds the lines that wait for stderr.
	maxLogged = 1024
	// summaryTime is over how much of it events are added up for a line: the
	// loss of one node is a take-over of a hundred partitions.
	summaryTime = time.Second
)

// summaries are the events of which an operator reads how many partitions they
// befell.
var summaries = []struct {
	kind  node.EventKind
	level slog.Level
	text  string
}{
	{node.EventTakeOver, slog.LevelInfo, "took partitions over"},
	{node.EventBump, slog.LevelInfo, "began new epochs of partitions led before"},
	{node.EventHandOver, slog.LevelInfo, "handed partitions over to their preferred primaries"},
	{node.EventQuiet, slog.LevelWarn, "lost the quorum of partitions: their requests are refused"},
	{node.EventResumed, slog.LevelInfo, "has the quorum of partitions again"},
	{node.EventMoveFinished, slog.LevelInfo, "finished moves of partitions"},
	{node.EventMoveCancelled, slog.LevelWarn, "cancelled moves of partitions"},
	{node.EventSnapshotInstalled, slog.LevelInfo, "caught up with partitions by snapshots"},
}

// observer is node.Observer: counts by kind, and lines for the operator. Lines
// are written by a goroutine of their own, for a full pipe must not stop the
// loop; lines above the bound are dropped and counted.
type observer struct {
	log     *slog.Logger
	counts  [node.EventKinds]atomic.Uint64
	dropped atomic.Uint64
	lines   chan line
	quit    chan struct{} // closed by close
	flushed chan struct{} // closed when all lines are written
}

type line struct {
	level slog.Level
	event node.Event
}

func newObserver(log *slog.Logger) *observer {
	o := &observer{log: log, lines: make(chan line, maxLogged), quit: make(chan struct{}), flushed: make(chan struct{})}
	go o.write()
	return o
}

func (o *observer) Observe(e node.Event) {
	if int(e.Kind) < len(o.counts) {
		o.counts[e.Kind].Add(1)
	}
	level, logged := levelOf(e.Kind)
	if !logged || !o.log.Enabled(context.Background(), level) {
		return
	}
	select {
	case o.lines <- line{level, e}:
	default:
		o.dropped.Add(1)
	}
}

// levelOf says which events make a line.
func levelOf(k node.EventKind) (level slog.Level, logged bool) {
	switch k {
	case node.EventFailed:
		return slog.LevelError, true
	case node.EventAlarm:
		return slog.LevelWarn, true
	case node.EventNotice, node.EventRegistered, node.EventFormed, node.EventMember:
		return slog.LevelInfo, true
	case node.EventLogged, node.EventApplied, node.EventPromised, node.EventPromiseKept,
		node.EventDuplicateForward, node.EventRelayed, node.EventAppendRejected, node.EventCompacted:
		return 0, false
	}
	return slog.LevelDebug, true
}

func (o *observer) write() {
	defer close(o.flushed)
	ticks := time.NewTicker(summaryTime)
	defer ticks.Stop()
	told := make([]uint64, len(summaries))
	for open := true; open; {
		select {
		case l := <-o.lines:
			o.emit(l)
		case <-ticks.C:
			o.summarize(told)
		case <-o.quit:
			open = false
		}
	}
	for {
		select {
		case l := <-o.lines:
			o.emit(l)
		default:
			o.summarize(told)
			return
		}
	}
}

// summarize writes a line for each kind of event that happened since it was
// told.
func (o *observer) summarize(told []uint64) {
	for i, s := range summaries {
		count := o.counts[s.kind].Load()
		if n := count - told[i]; n > 0 {
			o.log.Log(context.Background(), s.level, s.text, "partitions", n)
		}
		told[i] = count
	}
}

func (o *observer) emit(l line) {
	o.log.LogAttrs(context.Background(), l.level, messageOf(l.event), attrsOf(l.event)...)
}

func messageOf(e node.Event) string {
	switch e.Kind {
	case node.EventNotice, node.EventAlarm, node.EventFailed:
		return e.Text
	}
	return e.Kind.String()
}

func attrsOf(e node.Event) []slog.Attr {
	var attrs []slog.Attr
	if e.Epoch != 0 {
		attrs = append(attrs, slog.Uint64("partition", uint64(e.Partition)), slog.Uint64("epoch", uint64(e.Epoch)))
	}
	if e.Index != 0 {
		attrs = append(attrs, slog.Uint64("index", uint64(e.Index)))
	}
	if e.Peer != 0 {
		attrs = append(attrs, slog.Uint64("member", uint64(e.Peer)))
	}
	if e.Text != "" && e.Text != messageOf(e) {
		attrs = append(attrs, slog.String("text", e.Text))
	}
	return attrs
}

// close writes what waits, for a bounded time. Later lines are lost.
func (o *observer) close() {
	close(o.quit)
	select {
	case <-o.flushed:
	case <-time.After(time.Second):
	}
}
