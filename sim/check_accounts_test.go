package sim

import (
	"slices"
	"strings"
	"testing"

	"dkv/node"
	"dkv/sim/schedule"
)

// Each account that does not add up is a violation of class B, and so is each log or
// table beyond its bound; accounts that add up are none.
func TestAccountsThatDoNotAddUp(t *testing.T) {
	for _, c := range []struct {
		name  string
		leak  func(a *node.Accounts)
		views int
		says  string
	}{
		{"sound", func(*node.Accounts) {}, 1, ""},
		{"bytes", func(a *node.Accounts) { a.Uncommitted += 65 }, 1, "counts 75 bytes as uncommitted, but the writes that wait there have 10"},
		{"forwards", func(a *node.Accounts) { a.ToPeers++ }, 1, "has 2 forwards under way, but counts 3"},
		{"views", func(*node.Accounts) {}, 2, "sends 1 snapshots, but holds 2 Views open"},
		{"expired", func(a *node.Accounts) { a.Expired = 1 }, 1, "keeps 1 tables of forwards whose time is over"},
		{"tables", func(a *node.Accounts) { a.Tables = 8 }, 1, "keeps 8 tables of forwards for one reign, though only 7 processes"},
		{"entries", func(a *node.Accounts) { a.Logs = []node.LogAccount{{Partition: 2, Applied: 16*64 + 257}} }, 1, "keeps 1281 applied entries"},
		{"bytes of a log", func(a *node.Accounts) { a.Logs = []node.LogAccount{{Partition: 2, Bytes: 23 << 20, Counted: 23 << 20}} }, 1, "of partition 2, bounds are"},
		{"bytes of a log of small entries", func(a *node.Accounts) { a.Logs = []node.LogAccount{{Bytes: 17 << 20, Counted: 17 << 20}} }, 1, "bounds are 1280 and 16819200"},
		{"a log's own count", func(a *node.Accounts) { a.Logs = []node.LogAccount{{Partition: 2, Bytes: 9, Counted: 8}} }, 1, "counts 8 bytes of applied entries of partition 2, but has 9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			setup := schedule.DefaultSetup()
			r := newRun(&schedule.Schedule{Setup: setup}, RunOptions{})
			r.snapshots = &snapshots{largest: 100}
			a := node.Accounts{Uncommitted: 10, Waiting: 10, Forwards: 2, ToPeers: 2, Transfers: 1, Tables: 7}
			c.leak(&a)
			r.judgeAccounts(0, a, c.views, 7)
			found := r.verdict.violations
			if c.says == "" {
				if len(found) > 0 {
					t.Fatalf("sound accounts are judged as %v", found)
				}
				return
			}
			if len(found) != 1 || !strings.Contains(found[0].What, c.says) || !slices.Equal(r.verdict.classes(), []Class{Bounds}) {
				t.Fatalf("found %v, want one of class B that says %q", found, c.says)
			}
		})
	}
}

// What a turn applies is compacted at its end, however many entries its Appends held; what
// was applied at another time counts.
func TestEntriesOfATurnAreNotKeptYet(t *testing.T) {
	s := &snapshots{}
	for i := range 300 {
		if n := s.burst(1, 2, 5); n != i+1 {
			t.Fatalf("entry %d of a turn is counted as %d", i+1, n)
		}
	}
	if other, later := s.burst(0, 2, 5), s.burst(1, 2, 6); other != 1 || later != 1 {
		t.Errorf("counted %d on another host and %d later, want 1 and 1", other, later)
	}
	for _, c := range []struct{ kept, inTurn, violations int }{
		{16*64 + 300, 300, 0}, {16*64 + 301, 300, 1}, {16*64 + 257, 1, 1},
	} {
		r := newRun(&schedule.Schedule{Setup: schedule.DefaultSetup()}, RunOptions{})
		r.snapshots = &snapshots{largest: 100}
		r.judgeLog("n1", node.LogAccount{Applied: c.kept}, c.inTurn)
		if n := len(r.verdict.violations); n != c.violations {
			t.Errorf("%d entries, %d of this turn: %d violations, want %d", c.kept, c.inTurn, n, c.violations)
		}
	}
}
