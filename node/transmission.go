package node

import "time"

// transmission counts one frame that an answer will echo (rule 9.1).
func (n *Node) transmission() Counter {
	n.sent++
	return Counter{n.boot, n.sent}
}

// mark is how many transmissions there had been at the end of a turn.
type mark struct {
	at   time.Duration
	sent uint64
}

// answersCount is how old a question may be, in suspect-afters, whose answer
// shows that a follower is there.
const answersCount = 2

// mark notes how far the turn has come, twice an interval at most, and forgets
// all but one of the marks from before answers count.
func (n *Node) mark() {
	now, old := n.now(), 0
	if last := len(n.marks) - 1; last >= 0 && now-n.marks[last].at < n.interval()/2 {
		return
	}
	for old+1 < len(n.marks) && now-n.marks[old+1].at >= answersCount*n.cfg.SuspectAfter {
		old++
	}
	n.marks = append(n.marks[:copy(n.marks, n.marks[old:])], mark{now, n.sent})
}

// isLate says whether what an answer echoes was sent so long ago that the answer
// says nothing of now. A node that is slower than what it is told comes in reads
// old answers for ever: it must not take itself for a primary that is followed,
// and go on with the heartbeats that keep it one, while nobody is served.
func (n *Node) isLate(c Counter) bool {
	now := n.now()
	for _, m := range n.marks {
		if now-m.at >= answersCount*n.cfg.SuspectAfter && c.Sent <= m.sent {
			return true
		}
	}
	return c.Boot != n.boot
}
