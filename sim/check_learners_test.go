package sim

import (
	"fmt"
	"strings"
	"testing"

	"dkv/node"
	"dkv/node/layout"
	"dkv/node/ring"
	"dkv/sim/schedule"
)

// Partitions that an administrator has moved elsewhere get back to where the ring means
// them to be, while clients are at work and after. Nodes that would not begin a move for an
// hour are found out, and nodes that are told to begin none are excused.
func TestPartitionsHaveToGetWhereTheRingMeansThem(t *testing.T) {
	for _, c := range []struct {
		header string
		found  bool
	}{
		{"moves rate=1000000\nsettle-time 1s", false},
		{"moves rate=1000000\nsettle-time 1h", true},
		{"settle-time 1h", false},
	} {
		for seed := 1; seed <= 4; seed++ { // with load and without
			s, err := schedule.Parse(fmt.Sprintf("seed %d\nnodes 6\npartitions 2\nworkload operations=40\n%s\nphases faults=12s core=0s\nat 3s move 0 n1 n2 n3\nat 3s move 1 n4 n5 n6\n", seed, c.header))
			if err != nil {
				t.Fatal(err)
			}
			r, err := Run(s, RunOptions{})
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, v := range r.Violations {
				found = found || v.Class == Progress && strings.Contains(v.What, "the ring means it for")
			}
			if found != c.found || !c.found && len(r.Violations) > 0 {
				t.Errorf("%q, seed %d: %v, want that it is found: %v", c.header, seed, r.Violations, c.found)
			}
		}
	}
}

// watched returns a run in which member 1 leads partition 0 of members 1, 2 and 3, knows the
// newest layout and has applied 100 entries. Member 4 is the learner.
func watched(t *testing.T) *run {
	t.Helper()
	r := judged(t)
	r.invariants = newChecker(t)
	r.invariants.rule = ring.Latest
	r.repeats = newRepeats(4, 1, r.world.Count, r.invariants.layouts.host)
	r.handBacks, r.learners = newHandBacks(4, 1), newLearnerFacts(4, 1)
	r.setup.MoveRate = 1
	for h := range r.repeats.version {
		r.repeats.version[h] = node.Index(r.invariants.layouts.latest.Version())
	}
	r.invariants.hosts[0].partitions[0].applied = 100
	r.onMoves(0)
	return r
}

// A primary may ask for the joint state if the learner has nearly all that is committed, by
// the learner's own log.
func TestALearnerThatLacksTooMuchIsFound(t *testing.T) {
	caughtUp := node.Event{Kind: node.EventLearnerCaughtUp, Epoch: 1, Peer: 4, Index: 40}
	for _, c := range []struct {
		name   string
		events []node.Event
		fires  bool
	}{
		{"nothing", nil, true},
		{"nearly all", []node.Event{{Kind: node.EventSnapshotInstalled, Index: 20}, {Kind: node.EventLogged, Index: 40}}, false},
		{"a snapshot", []node.Event{{Kind: node.EventSnapshotInstalled, Index: 90}}, false},
		{"too little", []node.Event{{Kind: node.EventLogged, Index: 35}}, true},
		{"less than the primary believes", []node.Event{{Kind: node.EventLogged, Index: 39}}, true},
		{"cut", []node.Event{{Kind: node.EventLogged, Index: 99}, {Kind: node.EventCut, Index: 30}}, true},
		{"deleted", []node.Event{{Kind: node.EventLogged, Index: 99}, {Kind: node.EventForgotten}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := watched(t)
			r.setup.MoveRate = 0 // or the deletion is judged as well
			for i := range c.events {
				r.onLearnerEvent(3, &c.events[i])
			}
			r.onLearnerEvent(0, &caughtUp)
			if fired := len(r.verdict.violations) == 1 && strings.Contains(r.verdict.violations[0].What, "whose log ends at"); fired != c.fires || !c.fires && len(r.verdict.violations) > 0 {
				t.Errorf("fires %v, want %v: %v", fired, c.fires, r.verdict.violations)
			}
		})
	}
}

// A node begins a move only after it said that the learner has caught up, in the epoch that
// the move ends. An administrator may begin one at any time.
func TestAMoveWithoutAWordOfItsLearnersIsFound(t *testing.T) {
	for _, c := range []struct {
		name    string
		epoch   node.Epoch // of the word; 0: none
		session int64
		fires   bool
	}{
		{"a word", 1, 0, false},
		{"none", 0, 0, true},
		{"one of another epoch", 7, 0, true},
		{"an administrator", 0, 99, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := watched(t)
			r.onLearnerEvent(3, &node.Event{Kind: node.EventLogged, Index: 100})
			if c.epoch != 0 {
				r.onLearnerEvent(0, &node.Event{Kind: node.EventLearnerCaughtUp, Epoch: c.epoch, Peer: 4, Index: 100})
			}
			r.invariants.step(t, layout.BeginMove, 1, 2, 3, 4)
			r.onMoves(c.session)
			if fired := len(r.verdict.violations) == 1; fired != c.fires {
				t.Errorf("fires %v, want %v: %v", fired, c.fires, r.verdict.violations)
			}
		})
	}
}

// A member that the ring means a partition for does not delete it, if it knows the layout by
// which the ring does.
func TestADeletedLearnerIsFound(t *testing.T) {
	forgotten := &node.Event{Kind: node.EventForgotten, Epoch: 2}
	for _, c := range []struct {
		name  string
		act   func(r *run, meant, other int)
		fires bool
	}{
		{"meant", func(r *run, meant, _ int) { r.onLearnerEvent(meant, forgotten) }, true},
		{"not meant", func(r *run, _, other int) { r.onLearnerEvent(other, forgotten) }, false},
		{"by a layout that it does not know", func(r *run, meant, _ int) {
			r.repeats.version[meant]--
			r.onLearnerEvent(meant, forgotten)
		}, false},
		{"no moves", func(r *run, meant, _ int) {
			r.setup.MoveRate = 0
			r.onLearnerEvent(meant, forgotten)
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := watched(t)
			if err := r.handBacks.prefer(r.invariants.layouts.latest, r.invariants.rule); err != nil {
				t.Fatal(err)
			}
			meant, other := 0, 0
			for h := range 4 {
				if layout.Contains(r.handBacks.owners[0], node.MemberNumber(h+1)) {
					meant = h
				} else {
					other = h
				}
			}
			c.act(r, meant, other)
			if fired := len(r.verdict.violations) == 1; fired != c.fires {
				t.Errorf("fires %v, want %v: %v", fired, c.fires, r.verdict.violations)
			}
		})
	}
}
