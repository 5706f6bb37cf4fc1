package sim

import "dkv/sim/schedule"

// ledger counts the links that the steps in force block. A step enters its cuts
// when it begins and takes the same cuts back when it ends, so overlapping cuts of
// one link are counted, not overwritten.
type ledger struct {
	nodes int
	// blocked counts the steps that stop frames from the first host to the second.
	blocked [schedule.MaxNodes][schedule.MaxNodes]int
	// heals counts how often all cuts were taken back at once. A step that began
	// before the last heal has nothing left to take back.
	heals int
}

// leads reports whether some host could lead if the hosts in away (a bit set)
// were down: it must run and reach, in both directions, enough running hosts for
// a majority.
func (l *ledger) leads(away uint) bool {
	for h := range l.nodes {
		reached := 0
		for o := range l.nodes {
			if away>>o&1 == 0 && l.blocked[h][o] == 0 && l.blocked[o][h] == 0 {
				reached++ // h itself is never blocked
			}
		}
		if away>>h&1 == 0 && reached > l.nodes/2 {
			return true
		}
	}
	return false
}

func (l *ledger) add(cuts [][2]int, by int) {
	for _, c := range cuts {
		l.blocked[c[0]][c[1]] += by
	}
}

func (l *ledger) heal() {
	l.blocked = [schedule.MaxNodes][schedule.MaxNodes]int{}
	l.heals++
}

// afford enters a step into the ledger, unless the budget forbids the step. The
// caller calls release when the step ends.
func (f *injector) afford(s *schedule.Step, hosts []int) (release func(), ok bool) {
	if f.schedule.Setup.Budget != schedule.KeepMajority {
		return func() {}, true
	}
	l := &f.ledger
	cuts, takes := s.Cuts(hosts, f.world.Hosts()), uint(0)
	if host, ok := s.Stops(hosts, &f.schedule.Setup); ok {
		takes = 1 << host
	}
	l.add(cuts, 1)
	if (len(cuts) > 0 || takes != 0) && !l.leads(takes|f.away()) {
		l.add(cuts, -1)
		return nil, false
	}
	heals := l.heals
	return func() {
		if l.heals == heals {
			l.add(cuts, -1)
		}
	}, true
}

// away returns the set of hosts, as bits, that do not run, are bound to stop, or have a disk
// that is not a member's.
func (f *injector) away() uint {
	set := uint(0)
	for i := range f.world.Hosts() {
		if f.world.Away(i) || f.desk.outside(i) {
			set |= 1 << i
		}
	}
	return set
}
