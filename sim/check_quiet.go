package sim

import (
	"fmt"
	"slices"
	"time"

	"dkv/node"
	"dkv/sim/schedule"
)

// quietPhase waits until all requests have ended, everywhere, and checks that the nodes then
// count none. At any other time a request that never ends looks like one under way, and
// the sum of all counts hides that one of them was given back in the place of another.
//
// In some runs, and in all whose nodes do little in that time, the phase also outlasts the
// records of ended reigns; the accounts after it tell whether they are gone.
func (r *run) quietPhase() {
	unhealed := func(c Class) bool { return c == Convergence || c == Progress }
	if r.system != nil || slices.ContainsFunc(r.verdict.classes(), unhealed) {
		return // what cannot end says nothing new
	}
	begun, least := r.world.Now(), time.Duration(0)
	if calm := r.longest(node.FatesKept) + 2*r.slowest(); calm < 16*r.slowest() || r.world.Random().Below(10, "run quiet", 0, 0) == 0 {
		least = calm
	}
	most := r.longest(node.MaxRequestTimeout) + 2*r.slowest()
	why, ended := "", begun
	r.until(begun+max(most, least), func() bool {
		if why = r.unquiet(); why != "" {
			ended = r.world.Now()
		}
		return why == "" && r.world.Now()-begun >= least
	})
	r.uses.within(boundQuiet, milliseconds(ended-begun), milliseconds(most))
	if why != "" && !r.aborted {
		r.verdict.broken(Bounds, "%v after the last request was sent, %s", r.world.Now()-begun, why)
	}
}

func milliseconds(d time.Duration) int { return int(d / time.Millisecond) }

// unquiet says what the first node that is not quiet counts as under way, or "".
func (r *run) unquiet() string {
	for h := range r.setup.Hosts() {
		if n := r.soundNode(h); n != nil {
			if why := underWay(n.Accounts()); why != "" {
				return schedule.HostName(h) + " " + why
			}
		}
	}
	return ""
}

// soundNode returns the node that runs on a host and did not fail; nil if no such node runs there.
func (r *run) soundNode(h int) *node.Node {
	if n := r.world.Node(h); n != nil && r.world.Running(h) && r.world.Failure(h) == nil {
		return n
	}
	return nil
}

// underWay says what a node's accounts count as under way, or "".
func underWay(a node.Accounts) string {
	switch {
	case a.Requests > 0:
		return fmt.Sprintf("counts %d requests that have not ended", a.Requests)
	case a.Forwards > 0:
		return fmt.Sprintf("counts %d forwards under way", a.Forwards)
	case a.Counted > 0:
		return fmt.Sprintf("counts forwards to %d members, though it has no forward", a.Counted)
	case a.Uncommitted > 0:
		return fmt.Sprintf("counts %d bytes as uncommitted", a.Uncommitted)
	}
	return ""
}
