package sim

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"dkv/node"
	"dkv/node/layout"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// A steady stretch ends the core phase in some runs: no fault begins or ends in it,
// though some last. It sees every change of the layout, and judges three promises.
//
//   - A primary that reaches a majority of its replicas keeps its partition, unless it
//     hands it over. One exception is tolerated. Two replicas that depose each other for
//     ever serve now and then, so no client tells.
//   - A node that had to take a partition back from the member to which it handed it waits
//     for settle-time before it tries again, and then twice as long each time.
//   - A move ends; if the primary can finish it in time, it is finished.
type steady struct {
	core    *core
	judging bool           // the time to settle is over
	layout  *layout.Layout // the last one seen
	parts   []steadyPartition
	moves   []*steadyMove
}

// steadyPartition is what happened to one partition since the stretch began.
type steadyPartition struct {
	changes []change
	torn    int // changes that took the partition from a primary for no reason
}

// change is a new epoch of a partition.
type change struct {
	at       time.Duration
	epoch    node.Epoch
	kind     changeKind
	from, to int // the primaries' hosts
}

type changeKind uint8

const (
	tookOver changeKind = iota
	bumped
	handedOver
	moveBegun
	moveFinished
	moveCancelled
)

func (c change) String() string {
	what := [...]string{"%[2]s took it over from %[1]s", "%[2]s began anew", "%[1]s handed it to %[2]s",
		"a move began under %[2]s", "a move ended under %[2]s", "a move was cancelled, under %[2]s"}[c.kind]
	return fmt.Sprintf(what, schedule.HostName(c.from), schedule.HostName(c.to)) + fmt.Sprintf(" (epoch %d, at %v)", c.epoch, c.at)
}

// steadyMove is a move that the administrator makes in the stretch.
type steadyMove struct {
	partition node.PartitionID
	next      []node.MemberNumber
	over      bool
	stands    bool // the layout has it
	begun     time.Duration
	finishes  bool // the primary can finish it before it is cancelled
}

// mostTorn is how often a primary may lose a partition for no reason in one stretch.
const mostTorn = 1

func (r *run) steadyPhase() {
	l := r.world.Layout()
	if r.core == nil || l == nil || r.system != nil || r.anyJoined() {
		return // hosts that joined are neither in the core nor among those outside of it
	}
	w := &steady{core: r.core, layout: r.invariants.layouts.latest, parts: make([]steadyPartition, l.Q())}
	r.steady = w
	r.until(r.world.Now()+4*r.slowest(), nil)
	r.note("the faults stand still")
	r.options.timeline.event(r.world.Now(), bandPhase, "the faults stand still")
	w.judging = true
	span := r.setup.Steady.Time
	for k := range r.setup.Steady.Moves {
		at := r.world.Random().Between(between(0, span/2), "run steady move at", uint64(k), 0)
		r.world.After(at, func() { r.moveSteadily(uint64(k)) })
	}
	end := r.world.Now() + span
	r.until(end, nil)
	bound := 2*r.longest(r.setup.MoveTimeout) + 8*r.slowest() + r.patience()
	if !r.until(end+bound, w.movesOver) && !r.aborted {
		for _, m := range w.moves {
			if !m.over {
				r.verdict.broken(Progress, "the move of partition %d to %v has not ended %v after it began, while faults stand still",
					m.partition, m.next, r.world.Now()-m.begun)
			}
		}
	}
	r.steady = nil
	r.countSteady(w)
}

// countSteady counts what was tested: partitions that were watched to the end, and
// links inside the core whose cuts stopped a frame.
func (r *run) countSteady(w *steady) {
	for _, part := range w.layout.Partitions() {
		if r.serves(w.core, part) {
			r.world.Count(world.SteadyPartition)
		}
	}
	for _, cut := range w.core.cuts {
		if cut.Effects() > 0 {
			r.world.Count(world.SteadyCut)
		}
	}
}

func (w *steady) movesOver() bool {
	return !slices.ContainsFunc(w.moves, func(m *steadyMove) bool { return !m.over })
}

// moveSteadily has the administrator begin a move of a drawn partition to drawn nodes,
// of which the core must be able to serve it.
func (r *run) moveSteadily(k uint64) {
	w, l := r.steady, r.world.Layout()
	if w == nil || l == nil {
		return
	}
	random := r.world.Random()
	for try := range uint64(16) {
		p := node.PartitionID(random.Below(l.Q(), "run steady move partition", k, try))
		part, _ := l.Partition(p)
		if part.Moving() || !r.serves(w.core, part) || slices.ContainsFunc(w.moves, func(m *steadyMove) bool { return m.partition == p && !m.over }) {
			continue
		}
		var next, left []node.MemberNumber
		for _, m := range l.Members() {
			left = append(left, m.Number)
		}
		for i := range part.Replicas {
			j := random.Below(len(left), "run steady move node", k, try*schedule.MaxNodes+uint64(i))
			next, left = append(next, left[j]), slices.Delete(left, j, j+1)
		}
		if sameMembers(next, part.Replicas) || !r.servable(w.core, part.Replicas, next) || !r.servable(w.core, next, nil) {
			continue
		}
		m := &steadyMove{partition: p, next: next}
		w.moves = append(w.moves, m)
		r.world.Move(p, next, func(taken bool) { m.over = m.over || !taken && !m.stands })
		return
	}
}

// onSteadyLayout judges a new layout, made by a session.
func (r *run) onSteadyLayout(session int64) {
	w, next := r.steady, r.invariants.layouts.latest
	if next == w.layout || len(next.Partitions()) != len(w.parts) {
		return
	}
	by := world.NoHost
	for h := range r.setup.Nodes {
		if r.world.SessionID(h) == session {
			by = h
		}
	}
	before := w.layout.Partitions()
	w.layout = next
	for p, now := range next.Partitions() {
		if was := before[p]; now.Epoch != was.Epoch {
			r.onSteadyEpoch(node.PartitionID(p), was, now, by)
		}
	}
}

func (r *run) onSteadyEpoch(p node.PartitionID, was, now layout.Partition, by int) {
	part := &r.steady.parts[p]
	c := change{at: r.world.Now(), epoch: now.Epoch, from: r.invariants.layouts.host(was.Primary), to: r.invariants.layouts.host(now.Primary)}
	switch {
	case !was.Moving() && now.Moving():
		c.kind = moveBegun
	case was.Moving() && !now.Moving() && sameMembers(was.Next, now.Replicas):
		c.kind = moveFinished
	case was.Moving() && !now.Moving():
		c.kind = moveCancelled
	case c.from == c.to:
		c.kind = bumped
	case by == c.from:
		c.kind = handedOver
	}
	part.changes = append(part.changes, c)
	r.onSteadyMove(p, &c, now)
	if !r.steady.judging || !r.serves(r.steady.core, was) {
		return
	}
	switch c.kind {
	case tookOver, bumped:
		r.judgeTorn(p, part, was)
	case handedOver:
		r.judgeHandOver(p, part)
	}
}

// able reports whether a host of the core reaches the majorities that it needs as the
// primary of an assignment.
func (r *run) able(host int, a layout.Partition) bool {
	set := r.steady.core.set
	return host != world.NoHost && set>>host&1 != 0 && r.reaches(host, set, a.Replicas) && (!a.Moving() || r.reaches(host, set, a.Next))
}

// judgeTorn judges the last change, which took a partition from a primary. It had a
// reason if that primary does not reach its majorities, and was given the partition by
// another one, by a move, or before the stretch: a taker always reaches them.
func (r *run) judgeTorn(p node.PartitionID, part *steadyPartition, was layout.Partition) {
	last := part.changes[len(part.changes)-1]
	taker := len(part.changes) > 1 && part.changes[len(part.changes)-2].kind <= bumped
	if !taker && !r.able(last.from, was) {
		return
	}
	part.torn++
	if part.torn != mostTorn+1 { // the later ones are more of the same
		return
	}
	words := make([]string, len(part.changes))
	for i, c := range part.changes {
		words[i] = c.String()
	}
	r.verdict.broken(Progress, "partition %d was taken from its primary %d times while faults stand still, though the primary reached a majority of its replicas: %s",
		p, part.torn, strings.Join(words[max(0, len(words)-6):], ", "))
}

// judgeHandOver judges the last change, a hand-over, if the same node had to take the
// partition back from the same member before (rule "hand over to the fit").
func (r *run) judgeHandOver(p node.PartitionID, part *steadyPartition) {
	last := part.changes[len(part.changes)-1]
	taken, at := 0, time.Duration(0)
	for _, c := range part.changes {
		if c.kind == tookOver && c.from == last.to && c.to == last.from {
			taken, at = taken+1, c.at
		}
	}
	if taken == 0 {
		return
	}
	wait := r.setup.Lasts(last.from, min(r.setup.SettleTime<<min(taken-1, 16), 5*time.Minute))
	drift := wait * time.Duration(r.setup.Drift) / 1_000_000
	if waited := last.at - at; waited < wait-2*drift {
		r.verdict.broken(Progress, "%s handed partition %d to %s again %v after it had to take it back, while faults stand still; after %d such take-overs it should wait for %v",
			schedule.HostName(last.from), p, schedule.HostName(last.to), waited, taken, wait)
	}
}

// onSteadyMove follows the administrator's moves.
func (r *run) onSteadyMove(p node.PartitionID, c *change, now layout.Partition) {
	for _, m := range r.steady.moves {
		switch {
		case m.partition != p || m.over:
		case c.kind == moveBegun && sameMembers(m.next, now.Next):
			m.stands, m.begun = true, c.at
			m.finishes = r.able(c.to, now) && r.shortest(r.setup.MoveTimeout) >= 4*(r.copyTime(p, c.to)+r.slowest()/2)
		case c.kind == moveFinished && m.stands:
			m.over = true
			r.world.Count(world.SteadyMove)
		case c.kind == moveCancelled && m.stands:
			m.over = true
			if m.finishes {
				r.verdict.broken(Progress, "the move of partition %d to %v was cancelled after %v and not finished, while faults stand still and its primary reached majorities of its replicas and of the next ones",
					p, m.next, c.at-m.begun)
			}
		}
	}
}

// copyTime estimates how long a host takes to send a partition to another one: a chunk
// needs a round trip, two turns and a sync.
func (r *run) copyTime(p node.PartitionID, host int) time.Duration {
	bytes := 0
	from := append(binary.BigEndian.AppendUint32([]byte("p/"), uint32(p)), "/gen/"...)
	to := append(slices.Clone(from[:len(from)-1]), '0')
	r.world.Store(host).Scan(from, to, func(key, value []byte) bool {
		bytes += len(key) + len(value)
		return true
	})
	s := r.setup
	chunks := time.Duration(1 + bytes/s.ChunkBytes)
	return chunks * (2*s.LatencyMean + 2*s.TurnMax + s.Sync.Max)
}
