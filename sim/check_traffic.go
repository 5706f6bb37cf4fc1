package sim

import (
	"math"
	"time"

	"dkv/node"
	"dkv/sim/schedule"
)

// traffic counts what nodes send one another, as it is handed to the network, and what it
// was sent for. Resends that beget resends, and copies of requests without end, do no harm
// in a run of seconds; they bring down a cluster that is short of what they use. So each
// has a bound in class B:
//
//   - how often a primary begins to send again what a follower was sent, or offers a snapshot;
//   - how many copies of one forward its origin sends;
//   - how many forwards, frames, bytes, and bytes of resends all nodes send in a run.
//
// docs/known-limits.md says how near the store comes to them.
type traffic struct {
	hosts, partitions int
	members           int             // to which a forward is sent at once, at most
	interval          []time.Duration // by host: suspect-after/4

	frames, size int
	resent       int // bytes of Appends
	forwards     int // by their numbers
	streams      [][]stream
	forwarders   []forwarder
	asked        asked
}

// asked is what clients asked for.
type asked struct {
	count, size int     // size: bytes of keys and values
	waited      float64 // intervals from call to return, summed up
}

// stream is what one reign has sent to one follower.
type stream struct {
	process uint64
	epoch   node.Epoch
	last    node.Index    // up to which the last Append went
	most    node.Index    // up to which any went
	hints   int           // that the follower has sent since the last resend
	due     time.Duration // when all resends so far would have been due, at one an interval
	offers  time.Duration // the same of offers of snapshots
	asked   int           // for its log by the other side, and not answered by an offer
}

// forwarder is what one process has forwarded, by number: they are given without gaps.
type forwarder struct {
	process uint64
	copies  []copies
}

type copies struct {
	first time.Duration
	count int
}

func newTraffic(s *schedule.Setup) *traffic {
	t := &traffic{
		hosts: s.Hosts(), partitions: s.Partitions, members: min(2*s.Replication, s.Nodes),
		streams: make([][]stream, s.Hosts()*s.Hosts()), forwarders: make([]forwarder, s.Hosts()),
	}
	for _, after := range s.SuspectAfters() {
		t.interval = append(t.interval, after/4)
	}
	return t
}

// onSend counts a frame.
func (r *run) onSend(from, to int, m *node.Envelope, size int) {
	t := r.traffic
	t.frames++
	t.size += size
	switch body := m.Body.(type) {
	case *node.Append:
		r.onAppendSent(from, to, body, size)
	case *node.Appended:
		if s := t.stream(to, from, body.Partition); !body.OK && s.epoch == body.Epoch {
			s.hints++
		}
	case *node.CopyRequest:
		s := t.stream(to, from, body.Partition)
		s.begin(r.world.ProcessNumber(to), body.Assignment.Epoch, 0)
		s.asked++
	case *node.SnapshotOffer:
		r.onOfferSent(from, to, body)
	case *node.SnapshotPull:
		r.onPull(from, body.Partition)
	case *node.Forward:
		if body.Hops == 0 {
			r.onForwardSent(from, body.ID.Number)
		}
	}
}

func (t *traffic) stream(from, to int, p node.PartitionID) *stream {
	all := &t.streams[from*t.hosts+to]
	if *all == nil {
		*all = make([]stream, t.partitions)
	}
	return &(*all)[p]
}

// resendsAtOnce bounds the resends that a primary begins beyond one an interval and one a
// hint, and offersAtOnce the offers of a snapshot beyond one an interval and one for each
// question of a primary that copies a log: see docs/known-limits.md.
const (
	resendsAtOnce = 4
	offersAtOnce  = 8
)

// onAppendSent judges an Append that tells its follower nothing new: one that begins before
// the end of what was sent, or is empty. Several that continue one another are one resend.
//
// A primary may begin a resend once an interval, and once for each hint, whose follower
// knows that it lacks something. The hints of all Appends that were in flight are one.
func (r *run) onAppendSent(from, to int, a *node.Append, size int) {
	t := r.traffic
	s := t.stream(from, to, a.Partition)
	s.begin(r.world.ProcessNumber(from), a.Assignment.Epoch, a.PrevIndex)
	again := a.PrevIndex < s.most || len(a.Entries) == 0
	begins := a.PrevIndex != s.last || len(a.Entries) == 0
	s.last = a.PrevIndex + node.Index(len(a.Entries))
	s.most = max(s.most, s.last)
	if !again {
		return
	}
	t.resent += size
	if begins && !r.resends(from, s) {
		r.verdict.broken(Bounds, "%s has begun to send partition %d to %s again %d times more than once each %v and once a hint",
			schedule.HostName(from), a.Partition, schedule.HostName(to), resendsAtOnce+1, t.interval[from])
	}
}

// resends notes the beginning of a resend and reports whether it was due.
func (r *run) resends(from int, s *stream) bool {
	if s.hints > 0 {
		s.hints = 0
		return true
	}
	return r.uses.within(boundResends, r.ahead(from, &s.due), resendsAtOnce)
}

// ahead counts something that is due once an interval, and returns by how many the sender is
// ahead: 1 if it was due. due is when all so far would have been.
func (r *run) ahead(from int, due *time.Duration) int {
	interval, now := r.traffic.interval[from], r.world.Now()
	*due = max(*due, now) + interval
	return int(math.Ceil(float64(*due-now)/float64(interval) - 0.2)) // clocks drift
}

// onOfferSent judges an offer of a snapshot that was not asked for.
func (r *run) onOfferSent(from, to int, o *node.SnapshotOffer) {
	s := r.traffic.stream(from, to, o.Partition)
	s.begin(r.world.ProcessNumber(from), o.Assignment.Epoch, 0)
	if s.asked > 0 {
		s.asked--
		return
	}
	if !r.uses.within(boundOffers, r.ahead(from, &s.offers), offersAtOnce) {
		r.verdict.broken(Bounds, "%s has offered %s a snapshot of partition %d %d times more than once each %v and once a question",
			schedule.HostName(from), schedule.HostName(to), o.Partition, offersAtOnce+1, r.traffic.interval[from])
	}
}

// begin begins to count anew if the reign is another one, whose Appends follow prev.
func (s *stream) begin(process uint64, epoch node.Epoch, prev node.Index) {
	if s.process != process || s.epoch != epoch {
		*s = stream{process: process, epoch: epoch, last: prev, most: prev}
	}
}

// onForwardSent counts a copy of a forward. Its origin sends copies to all members of R and
// N and to the primary, two intervals after the first one, and then after twice as long each
// time, up to 16 intervals; and to the former primary when it learns of a newer epoch, and
// when that primary is about to leave.
func (r *run) onForwardSent(from int, number uint64) {
	t := r.traffic
	f := &t.forwarders[from]
	if process := r.world.ProcessNumber(from); f.process != process {
		*f = forwarder{process: process, copies: f.copies[:0]}
	}
	now := r.world.Now()
	for uint64(len(f.copies)) < number {
		f.copies = append(f.copies, copies{first: now})
		t.forwards++
	}
	c := &f.copies[number-1]
	c.count++
	since := int((now - c.first) / t.interval[from])
	most := t.members * (2 + min(since/2, 4+since/16))
	if !r.uses.within(boundCopies, c.count, most) {
		r.verdict.broken(Bounds, "%s has sent %d copies of its forward %d within %v, the bound is %d",
			schedule.HostName(from), c.count, number, now-c.first, most)
	}
}

// onAsked counts an operation that ended, and was sent to a host.
func (t *traffic) onAsked(host, size int, took time.Duration) {
	t.asked.count++
	t.asked.size += size
	t.asked.waited += float64(took) / float64(t.interval[host])
}

// The bounds of a run are a factor times what it had to do. The factors are at least 1.5 times
// those of the worst of 8,000 seeds of all profiles: see docs/known-limits.md.
const (
	forwardsFactor    = 2
	framesFactor      = 6
	bytesFactor       = 3
	resendBytesFactor = 2.5
)

// checkTraffic judges what was sent over the whole run by what there was to do:
// operations, intervals for which they waited, intervals in which each node tells each
// other one that it lives, and replicas, which start epochs.
func (r *run) checkTraffic() {
	if r.system != nil || r.aborted {
		return
	}
	t, s, asked := r.traffic, r.setup, r.traffic.asked
	intervals := 0.0 // of all nodes
	for _, interval := range t.interval {
		intervals += float64(r.world.Now()) / float64(interval)
	}
	copies, replicas := float64(s.Replication), float64(s.Partitions*s.Replication)
	frames := copies*(float64(asked.count)+asked.waited) + float64(s.Nodes-1)*intervals + 4*replicas
	values := copies * float64(asked.size)
	beats := replicas * intervals / float64(s.Nodes)
	for _, c := range []struct {
		bound      bound
		sent       int
		factor, of float64
	}{
		{boundForwards, t.forwards, forwardsFactor, float64(asked.count) + asked.waited},
		{boundFrames, t.frames, framesFactor, frames},
		{boundBytes, t.size, bytesFactor, 200*frames + 64*beats + 16*values},
		{boundResendBytes, t.resent, resendBytesFactor, 200*frames + values},
	} {
		if most := 1 + int(c.factor*c.of); !r.uses.within(c.bound, c.sent, most) {
			r.verdict.broken(Bounds, "nodes sent %d %s for %d operations with %d bytes that waited for %.0f intervals, the bound is %d",
				c.sent, boundNames[c.bound], asked.count, asked.size, asked.waited, most)
		}
	}
}
