package sim

import (
	"time"

	"dkv/node"
	"dkv/node/layout"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// hearing records which hosts have lately got frames of which, as the network saw it, so
// that rule "replace the silent" can be judged: what a member heard it tells those that call
// the roll, and a member that was heard is not given up.
type hearing struct {
	hosts  int
	roll   time.Duration  // how often the roll is called; 0: members are not given up
	frames [][]heardFrame // by from*hosts+to; the oldest first
	// A process takes no frames of others before it may greet them: while it asks
	// ZooKeeper about its stamp, for twice suspect-after at most.
	deaf      time.Duration
	receivers []receiver // by host
}

// receiver is a process, and when its first frame came.
type receiver struct {
	process uint64
	since   time.Duration
}

type heardFrame struct {
	at      time.Duration
	process uint64 // of the receiver
}

func newHearing(s *schedule.Setup) *hearing {
	h := &hearing{
		hosts: s.Hosts(), frames: make([][]heardFrame, s.Hosts()*s.Hosts()),
		deaf: 3 * s.SuspectAfter, receivers: make([]receiver, s.Hosts()),
	}
	if s.ReplaceAfter > 0 && s.Uneven == "" { // clocks of other speeds call it at other times
		h.roll = max(s.SuspectAfter, min(s.ReplaceAfter/8, 10*time.Second))
	}
	return h
}

// onReceive notes a frame, four an interval of the roll at most.
func (r *run) onReceive(from, to int) {
	h := r.hearing
	if h.roll == 0 || from >= h.hosts || to >= h.hosts {
		return
	}
	now, process := r.world.Now(), r.world.ProcessNumber(to)
	at := &h.receivers[to]
	if at.process != process {
		*at = receiver{process, now}
	}
	if now-at.since < h.deaf {
		return
	}
	list := &h.frames[from*h.hosts+to]
	if n := len(*list); n > 0 && now-(*list)[n-1].at < h.roll/4 {
		return
	}
	if len(*list) == 32 {
		copy(*list, (*list)[1:])
		*list = (*list)[:31]
	}
	*list = append(*list, heardFrame{now, process})
}

// judgeReplaced judges that a node gave a member up by itself. Every other member has
// answered within twice the roll's interval, a sixteenth of it more for its way; what it had
// heard in the time before, up to twice the interval, was in that answer. Only those that
// formed the cluster are judged by: a member on a new disk drops frames that were sent to
// the old one, and a frame or two before a connection stands.
func (r *run) judgeReplaced(by int, m node.MemberNumber) {
	h, now, l := r.hearing, r.world.Now(), r.invariants.layouts.latest
	host := r.invariants.layouts.host(m)
	if h.roll == 0 || l == nil || host == world.NoHost || r.world.Excused(host) || !r.desk.has(host, m) || now-r.desk.named[host] < 30*time.Second && r.desk.named[host] > 0 {
		return
	}
	for _, other := range l.Members() {
		at := r.invariants.layouts.host(other.Number)
		if other.State == layout.Gone || other.State == layout.Replaced || at == world.NoHost || at == host || int(other.Number) > r.setup.Nodes {
			continue
		}
		got := 0
		for _, frame := range h.frames[host*h.hosts+at] {
			ago := now - frame.at
			if ago > 9*h.roll/4 && ago < 15*h.roll/4 && frame.process == r.world.ProcessNumber(at) {
				got++
			}
			if got == 2 {
				r.verdict.broken(Invariant, "%s gave up %s, of which %s had got frames up to %v before",
					schedule.HostName(by), schedule.HostName(host), schedule.HostName(at), ago)
				return
			}
		}
	}
}
