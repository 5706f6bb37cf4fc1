package sim

import "dkv/sim/schedule"

// ledger counts what the steps in force keep from one another.
type ledger struct {
	nodes int
	// blocked counts the steps that stop frames from the first host to the second.
	blocked [schedule.MaxNodes][schedule.MaxNodes]int
	heals   int // how often all of them were taken back at once
}

// leads says whether some host can lead, if those in away do not run.
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

// afford enters a step into the ledger, unless the budget forbids it. What it
// returns takes the entry back.
func (f *faultPlayer) afford(s *schedule.Step, hosts []int) (release func(), ok bool) {
	if f.schedule.Setup.Budget != schedule.KeepMajority {
		return func() {}, true
	}
	l := &f.ledger
	cuts, takes := f.cutsOf(s, hosts), f.takenBy(s, hosts)
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

// away are the hosts that are not to be counted on, as bits.
func (f *faultPlayer) away() uint {
	set := uint(0)
	for i := range f.world.Hosts() {
		if f.world.Away(i) {
			set |= 1 << i
		}
	}
	return set
}

// takenBy are the hosts, as bits, that a step stops or is bound to stop.
func (f *faultPlayer) takenBy(s *schedule.Step, hosts []int) uint {
	if s.Do == schedule.Crash && s.For > 0 && s.For < f.schedule.Setup.SuspectAfter/4 {
		return 0
	}
	switch s.Do {
	case schedule.Crash, schedule.CrashInTurn, schedule.Stop, schedule.Pause, schedule.Suspend,
		schedule.DiskFailSync, schedule.DiskIO, schedule.DiskFull, schedule.DiskRot, schedule.DiskFlipEntry, schedule.DiskFlipTable, schedule.DiskFlipLog:
		return 1 << hosts[0]
	}
	return 0
}

// cutsOf lists from whom to whom a step stops frames.
func (f *faultPlayer) cutsOf(s *schedule.Step, hosts []int) [][2]int {
	switch s.Do {
	case schedule.CutOneWay:
		if len(hosts) > 1 {
			return [][2]int{{hosts[0], hosts[1]}}
		}
	case schedule.CutTwoWay:
		return bothWays(hosts[:1], hosts[1:])
	case schedule.Isolate, schedule.Clog:
		return bothWays(hosts[:1], f.others(hosts))
	case schedule.Split:
		return bothWays(hosts, f.others(hosts))
	case schedule.Cordon:
		return bothWays(hosts[:1], f.others(hosts))
	case schedule.Bridge:
		return bothWays(f.halves(hosts[0]))
	}
	return nil
}

func bothWays(some, others []int) [][2]int {
	var cuts [][2]int
	for _, a := range some {
		for _, b := range others {
			cuts = append(cuts, [2]int{a, b}, [2]int{b, a})
		}
	}
	return cuts
}

// halves are the hosts but one, in the order that follows it, as two halves.
func (f *faultPlayer) halves(middle int) (one, other []int) {
	n := f.world.Hosts()
	all := make([]int, 0, n)
	for i := 1; i < n; i++ {
		all = append(all, (middle+i)%n)
	}
	return all[:len(all)/2], all[len(all)/2:]
}
