package sim

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/node"
	"dkv/node/layout"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// Each source brings about what it is named after, in runs without any other fault.
func TestWhatBeginsAgainIsMet(t *testing.T) {
	for source, counters := range map[string][]string{
		"stall and crash": {"crash-in-stall", "crash-in-stall-since-its-start"},
		"move again":      {"move-begun-again"},
		"away over moves": {"away-over-moves", "former-data-met"},
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			left := slices.Clone(counters)
			for seed := uint64(1); seed <= 24 && len(left) > 0; seed++ {
				s := onlyPattern(t, source, seed)
				s.Setup.Phases = schedule.Phases{Faults: 24 * time.Second}
				s.Setup.Workload.Operations = 100
				left = slices.DeleteFunc(left, func(name string) bool { return count(t, s, name) > 0 })
			}
			if len(left) > 0 {
				t.Errorf("%v are 0 in 24 runs", left)
			}
		})
	}
}

// A replica promises while its disk is stalled, and crashes before the stall ends. Without
// the stall its promise is synced by then.
func TestCrashBeforeThePromiseIsSynced(t *testing.T) {
	const text = "seed 1\nnodes 3\npartitions 1\nworkload operations=0\nphases faults=14s core=0s converge=0s\n" +
		"at 4s isolate primary:0 for 3s\nat 4s crash other:0 once started:0 after 20ms for 500ms\n"
	for _, c := range []struct {
		stall string
		want  uint64
	}{{"at 4s disk-stall second:0 for 3s\n", 1}, {"", 0}} {
		s, err := schedule.Parse(text + c.stall)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"crash-before-promise-synced", "crash-in-stall"} {
			if got := count(t, s, name); got != c.want {
				t.Errorf("%s is %d with %q, want %d", name, got, c.stall, c.want)
			}
		}
	}
}

// A move counts as begun again if the same one was cancelled before and no other move
// came in between; data counts as met if it was not forgotten; an absence counts if two
// moves ended in it.
func TestRepeatsCountsOnlyWhatItSays(t *testing.T) {
	const begin, cancel, finish = layout.BeginMove, layout.CancelMove, layout.FinishMove
	logged, forgotten := node.Event{Kind: node.EventLogged}, node.Event{Kind: node.EventForgotten}
	for _, c := range []struct {
		name  string
		steps []any // a move's steps with N, an event at host 3 (member 4), or "adopt"
		want  string
	}{
		{"the same move", []any{begin, 456, cancel, 0, begin, 465}, "move-begun-again"},
		{"another move", []any{begin, 456, cancel, 0, begin, 345}, ""},
		{"another in between", []any{begin, 456, cancel, 0, begin, 345, cancel, 0, begin, 456}, ""},
		{"after the end of the move", []any{begin, 456, finish, 0, begin, 123}, ""},
		{"data that stayed", []any{logged, begin, 456}, "former-data-met"},
		{"data that was forgotten", []any{logged, forgotten, begin, 456}, ""},
		{"away over two moves", []any{begin, 234, finish, 0, "adopt", begin, 123, finish, 0, begin, 235, finish, 0, "adopt"}, "away-over-moves"},
		{"away over one", []any{begin, 234, finish, 0, "adopt", begin, 123, finish, 0, begin, 235, "adopt"}, ""},
		{"awake over two", []any{begin, 234, finish, 0, "adopt", begin, 123, finish, 0, "adopt", begin, 235, finish, 0, "adopt"}, ""},
		{"never a replica", []any{"adopt", begin, 125, finish, 0, begin, 126, finish, 0, "adopt"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := countRepeats(t, c.steps); got != c.want {
				t.Errorf("counted %q, want %q", got, c.want)
			}
		})
	}
}

// countRepeats takes the steps of one partition that is at members 1, 2 and 3, and
// returns the names of what was counted.
func countRepeats(t *testing.T, steps []any) string {
	t.Helper()
	var members []layout.Member
	for i := range 6 {
		name := schedule.HostName(i)
		members = append(members, layout.Member{
			Node: node.NodeID(name), Store: node.StoreID(name), Peer: name + ":1", HTTP: name + ":2", Weight: 1,
		})
	}
	l, err := layout.Form("uuid", 3, members, []layout.Placement{{Primary: 1, Replicas: []node.MemberNumber{1, 2, 3}}})
	if err != nil {
		t.Fatal(err)
	}
	names := map[world.Fault]string{world.FaultMoveAgain: "move-begun-again", world.FaultFormerData: "former-data-met", world.FaultAwayOverMoves: "away-over-moves"}
	var counted []string
	a := newRepeats(6, 1, func(f world.Fault) { counted = append(counted, names[f]) }, func(m node.MemberNumber) int { return int(m) - 1 })
	a.onLayout(l)
	for i, step := range steps {
		switch step := step.(type) {
		case node.Event:
			a.onEvent(3, &step)
		case string:
			a.onEvent(3, &node.Event{Kind: node.EventLayout, Index: node.Index(l.Version())})
		case layout.StepKind:
			p, _ := l.Partition(0)
			if step == layout.FinishMove {
				p.Replicas = p.Next
			}
			s := layout.Step{Kind: step, Epoch: p.Epoch, Primary: p.Replicas[0]}
			for n := steps[i+1].(int); n > 0; n /= 10 {
				s.Next = append(s.Next, node.MemberNumber(n%10))
			}
			applied := l.Apply([]layout.Step{s})
			if len(applied.Rejected) > 0 {
				t.Fatal(applied.Rejected)
			}
			l = applied.Layout
			a.onLayout(l)
		}
	}
	return strings.Join(counted, " ")
}
