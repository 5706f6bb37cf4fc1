package real

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"dkv/node"
)

const (
	// maxLogged limits the lines that are waiting to be written.
	maxLogged = 1024
	// summaryTime is the period over which events are counted for one line: the
	// loss of one node causes a hundred take-overs.
	summaryTime = time.Second
)

// summaries are the events that are logged as a count of partitions.
var summaries = []struct {
	kind  node.EventKind
	level slog.Level
	text  string
}{
	{node.EventTakeOver, slog.LevelInfo, "took over partitions"},
	{node.EventBump, slog.LevelInfo, "began new epochs as primary of partitions"},
	{node.EventHandOver, slog.LevelInfo, "handed partitions over to their preferred primaries"},
	{node.EventQuiet, slog.LevelWarn, "lost the quorum of partitions; refusing their requests"},
	{node.EventResumed, slog.LevelInfo, "regained the quorum of partitions"},
	{node.EventMoveFinished, slog.LevelInfo, "finished moving partitions"},
	{node.EventMoveCancelled, slog.LevelWarn, "cancelled moving partitions"},
	{node.EventSnapshotInstalled, slog.LevelInfo, "caught up on partitions by snapshot"},
}

// observer implements node.Observer: it counts events by kind and logs some. A
// goroutine of its own writes the lines, because a full pipe must not stop the
// loop. Lines above the limit are dropped and counted.
type observer struct {
	log     *slog.Logger
	counts  [node.EventKinds]atomic.Uint64
	copied  atomic.Uint64 // bytes sent to learners
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

// Observe counts an event, and queues a line if the event is logged.
func (o *observer) Observe(e node.Event) {
	if int(e.Kind) < len(o.counts) {
		o.counts[e.Kind].Add(1)
	}
	if e.Kind == node.EventCopySent {
		o.copied.Add(uint64(e.Index))
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

// levelOf returns the level at which a kind of event is logged, if it is.
func levelOf(k node.EventKind) (level slog.Level, logged bool) {
	switch k {
	case node.EventFailed:
		return slog.LevelError, true
	case node.EventAlarm:
		return slog.LevelWarn, true
	case node.EventNotice, node.EventRegistered, node.EventFormed, node.EventMember:
		return slog.LevelInfo, true
	case node.EventLogged, node.EventApplied, node.EventPromised, node.EventPromiseKept,
		node.EventDuplicateForward, node.EventRelayed, node.EventAppendRejected, node.EventCompacted, node.EventCopySent:
		return 0, false
	}
	return slog.LevelDebug, true
}

func (o *observer) write() {
	defer close(o.flushed)
	ticks := time.NewTicker(summaryTime)
	defer ticks.Stop()
	logged := make([]uint64, len(summaries))
	for open := true; open; {
		select {
		case l := <-o.lines:
			o.emit(l)
		case <-ticks.C:
			o.summarize(logged)
		case <-o.quit:
			open = false
		}
	}
	for {
		select {
		case l := <-o.lines:
			o.emit(l)
		default:
			o.summarize(logged)
			return
		}
	}
}

// summarize logs one line for each kind of event that has happened since the
// previous call, whose counts are in logged.
func (o *observer) summarize(logged []uint64) {
	for i, s := range summaries {
		count := o.counts[s.kind].Load()
		if n := count - logged[i]; n > 0 {
			o.log.Log(context.Background(), s.level, s.text, "partitions", n)
		}
		logged[i] = count
	}
}

func (o *observer) emit(l line) {
	o.log.LogAttrs(context.Background(), l.level, messageOf(l.event), attrsOf(l.event)...)
}

// messageOf returns the message of a line. Events that are only logged for
// debugging keep the names that they have in the metrics.
func messageOf(e node.Event) string {
	switch e.Kind {
	case node.EventNotice, node.EventAlarm, node.EventFailed:
		return e.Text
	case node.EventRegistered:
		return "registered in ZooKeeper"
	case node.EventFormed:
		return "formed the cluster"
	case node.EventMember:
		return "this node is a member of the cluster"
	}
	return e.Kind.String()
}

// indexName returns what the Index of an event is.
func indexName(k node.EventKind) string {
	switch k {
	case node.EventRegistered:
		return "incarnation"
	case node.EventFormed:
		return "nodes"
	}
	return "index"
}

func attrsOf(e node.Event) []slog.Attr {
	var attrs []slog.Attr
	if e.Epoch != 0 {
		attrs = append(attrs, slog.Uint64("partition", uint64(e.Partition)), slog.Uint64("epoch", uint64(e.Epoch)))
	}
	if e.Index != 0 {
		attrs = append(attrs, slog.Uint64(indexName(e.Kind), uint64(e.Index)))
	}
	if e.Peer != 0 {
		attrs = append(attrs, slog.Uint64("member", uint64(e.Peer)))
	}
	if e.Text != "" && e.Text != messageOf(e) {
		attrs = append(attrs, slog.String("text", e.Text))
	}
	return attrs
}

// close writes the lines that are waiting, for a limited time. Later lines are lost.
func (o *observer) close() {
	close(o.quit)
	select {
	case <-o.flushed:
	case <-time.After(time.Second):
	}
}
