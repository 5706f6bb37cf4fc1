package sim

import (
	"testing"
	"time"

	"dkv/sim/schedule"
)

// A member may be given up only if what the others had heard of it before they answered the
// roll call was too long ago to be told.
func TestAMemberThatWasHeardIsNotGivenUp(t *testing.T) {
	const roll = time.Second
	for _, c := range []struct {
		name  string
		ago   []time.Duration // when another member got its frames
		named bool            // the operator asked for it
		fires bool
	}{
		{"silent", nil, false, false},
		{"heard in time", []time.Duration{3500 * time.Millisecond, 2500 * time.Millisecond}, false, true},
		{"heard long ago", []time.Duration{9 * time.Second, 5 * time.Second}, false, false},
		{"heard since the last answer", []time.Duration{1500 * time.Millisecond, time.Millisecond}, false, false},
		{"the operator's wish", []time.Duration{3500 * time.Millisecond, 2500 * time.Millisecond}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := watched(t)
			r.setup.Nodes, r.setup.SuspectAfter, r.setup.ReplaceAfter = 4, roll, 8*roll
			r.hearing = newHearing(r.setup)
			r.desk = newDesk(r.world, r.setup, roll, func(int) bool { return false })
			now := r.world.Now()
			if c.named {
				r.desk.named[3] = max(now, 1)
			}
			for _, ago := range c.ago {
				r.hearing.frames[3*4+1] = append(r.hearing.frames[3*4+1], heardFrame{now - ago, r.world.ProcessNumber(1)})
			}
			r.judgeReplaced(0, 4)
			if fired := len(r.verdict.violations) > 0; fired != c.fires {
				t.Errorf("fires %v, want %v: %v", fired, c.fires, r.verdict.violations)
			}
		})
	}
}

// Frames count as the network delivers them, a few for each call of the roll.
func TestFramesOfMembersAreNoted(t *testing.T) {
	s, err := schedule.Parse("nodes 3\npartitions 1\nreplace-after 8s\nworkload operations=0\nphases faults=7s core=0s converge=0s\n")
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(s, RunOptions{})
	if _, err := r.execute(); err != nil {
		t.Fatal(err)
	}
	pairs := 0 // of the primary and its followers; two followers have little to say
	for at, frames := range r.hearing.frames {
		if len(frames) > 20 || at%4 == 0 && len(frames) > 0 {
			t.Errorf("%d frames noted from host %d at host %d", len(frames), at/3, at%3)
		}
		if len(frames) > 8 {
			pairs++
		}
	}
	if pairs != 4 {
		t.Errorf("frames of %d pairs noted, want 4", pairs)
	}
}
