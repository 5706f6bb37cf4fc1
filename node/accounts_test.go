package node

import "testing"

// TestATableExpiresWithTheTick checks that a table of a reign that has ended counts as
// expired only once a tick should have discarded it: those of a slow node come late.
func TestATableExpiresWithTheTick(t *testing.T) {
	s := followerOf2(t, 1, 1, 4)
	s.pass(suspect)
	last := s.node.ticked
	if last == 0 {
		t.Fatal("no tick came")
	}
	for _, late := range []bool{true, false} {
		r := s.replica()
		r.ended = []endedReign{{epoch: 3, until: last}}
		if !late {
			r.ended[0].until++
		}
		if a := s.node.Accounts(); (a.Expired == 1) != late {
			t.Errorf("a table until %v counts as expired %d times after the tick at %v", r.ended[0].until, a.Expired, last)
		}
	}
	s.replica().ended = nil
}
