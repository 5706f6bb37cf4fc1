package sim

// Budget says how much of the cluster a schedule's steps may take away at once.
type Budget string

const (
	// NoBudget lets every step strike.
	NoBudget Budget = "none"
	// KeepMajority lets a step strike only if then there still is a node that
	// can lead: one that runs and reaches, both ways, so many others that run
	// that they are a majority with it. A partition, which has fewer replicas
	// than there are nodes, may lose its own majority all the same. Not judged
	// are steps that strike no certain node, as a power loss; those that take
	// nobody away, as slow disks and ZooKeeper's faults; and a crash for less than a
	// quarter of suspect-after, which is a restart: the node is as good as back.
	// Nor is it foreseen whom a disk's fault stops after it is over.
	KeepMajority Budget = "majority"
)

// ledger counts what the steps in force keep from one another.
type ledger struct {
	nodes int
	// blocked counts the steps that stop frames from the first host to the second.
	blocked [maxNodes][maxNodes]int
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
	l.blocked = [maxNodes][maxNodes]int{}
	l.heals++
}

// afford enters a step into the ledger, unless the budget forbids it. What it
// returns takes the entry back.
func (f *faultPlayer) afford(s *Step, hosts []int) (release func(), ok bool) {
	if f.schedule.Setup.Budget != KeepMajority {
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
	for i, h := range f.world.hosts {
		if h.away() {
			set |= 1 << i
		}
	}
	return set
}

// away says whether a host's process does not run, or is about to end. One that
// boots is as good as back.
func (h *host) away() bool {
	if h.state == Down || h.state == Paused || h.state == Stopping {
		return true
	}
	return h.life != nil && h.life.trap == armed || h.disk.ails()
}

// takenBy are the hosts, as bits, that a step stops or is bound to stop.
func (f *faultPlayer) takenBy(s *Step, hosts []int) uint {
	if s.Do == Crash && s.For > 0 && s.For < f.schedule.Setup.SuspectAfter/4 {
		return 0
	}
	switch s.Do {
	case Crash, CrashInTurn, Stop, Pause, Suspend,
		DiskFailSync, DiskIO, DiskFull, DiskRot, DiskFlipEntry, DiskFlipTable, DiskFlipLog:
		return 1 << hosts[0]
	}
	return 0
}

// cutsOf lists from whom to whom a step stops frames.
func (f *faultPlayer) cutsOf(s *Step, hosts []int) [][2]int {
	switch s.Do {
	case CutOneWay:
		if len(hosts) > 1 {
			return [][2]int{{hosts[0], hosts[1]}}
		}
	case CutTwoWay:
		return bothWays(hosts[:1], hosts[1:])
	case Isolate, Clog:
		return bothWays(hosts[:1], f.others(hosts))
	case Split:
		return bothWays(hosts, f.others(hosts))
	case Cordon:
		return bothWays(hosts[:1], f.others(hosts))
	case Bridge:
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
