package node

import "time"

// transmission counts one frame that an answer will echo. The counter orders what this
// process sent without any clock: an answer to something sent after a read arrived is
// an answer given after it arrived (rule "confirm after arrival").
func (n *Node) transmission() Counter {
	n.sent++
	return Counter{n.boot, n.sent}
}

// mark is how many transmissions there had been at the end of a turn. A handful of them
// tells, for any counter, whether it was sent before a given time.
type mark struct {
	at   time.Duration
	sent uint64
}

// answersCount is how old a question may be, in suspect-afters, whose answer shows
// that a follower is there. One would do if turns took no time; with two, a turn that
// takes as long as suspect-after does not make the primary quiet.
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

// isLate reports whether what an answer echoes was sent so long ago that the answer
// says nothing of now: rule "late answers do not count". An overloaded node that falls
// behind its input queue keeps reading old answers. It must not take itself for a
// primary that is followed, and keep sending the heartbeats that hold its reign, while
// its clients wait in vain.
func (n *Node) isLate(c Counter) bool {
	now := n.now()
	for _, m := range n.marks {
		if now-m.at >= answersCount*n.cfg.SuspectAfter && c.Sent <= m.sent {
			return true
		}
	}
	return c.Boot != n.boot
}
