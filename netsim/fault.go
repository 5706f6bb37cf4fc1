package netsim

import (
	"fmt"
	"slices"
	"time"
)

// A Fault lasts from the call that returned it until it is healed, by its own Heal or by a
// heal of the network that covers it. Faults may overlap, and each ends on its own.
type Fault struct {
	net   *Network
	cause Cause
	links []*link
	host  *host // the fault also affects links of this host that are created later; may be nil

	bytesPerSecond int64         // of a slow link
	extra          time.Duration // of a delayed link; of a late one, the most
	began          time.Duration // of a late link: when the delay began to grow

	effects uint64
}

// Cause returns the kind of the fault.
func (f *Fault) Cause() Cause { return f.cause }

// Effects returns how many frames this fault has affected.
func (f *Fault) Effects() uint64 { return f.effects }

// Heal ends the fault. It does nothing if the fault has ended.
func (f *Fault) Heal() {
	if f.host != nil {
		f.host.isolations = without(f.host.isolations, f)
	}
	for _, l := range f.links {
		l.removeFault(f)
	}
	f.links = nil
}

func (f *Fault) tookEffect() {
	f.effects++
	f.net.counts[f.cause]++
}

func (f *Fault) isCut() bool {
	switch f.cause {
	case CauseBridge, CauseCutOneWay, CauseCutTwoWay, CauseIsolate, CauseRing:
		return true
	}
	return false
}

func (f *Fault) transmission(size int) time.Duration {
	if int64(size) > f.bytesPerSecond*int64(longestBacklog/time.Second) {
		return longestBacklog
	}
	return time.Duration(int64(size) * int64(time.Second) / f.bytesPerSecond)
}

// CutOneWay stops all frames from one host to another. In stream mode frames are held, as
// by retransmission; after Config.GiveUp the connection breaks and loses them, and no
// connection opens before the heal. The connection in the other direction is not
// affected, as with a firewall in front of a port. A datagram is lost.
func (n *Network) CutOneWay(from, to HostID) *Fault {
	return n.start(&Fault{cause: CauseCutOneWay}, n.link(from, to))
}

// CutTwoWay is CutOneWay in both directions.
func (n *Network) CutTwoWay(a, b HostID) *Fault {
	return n.start(&Fault{cause: CauseCutTwoWay}, n.link(a, b), n.link(b, a))
}

// Split cuts each host of a from each host of b, in both directions.
func (n *Network) Split(a, b []HostID) *Fault {
	return n.start(&Fault{cause: CauseCutTwoWay}, n.between(a, b)...)
}

// Isolate cuts a host from all others, in both directions, including hosts that are created
// later.
func (n *Network) Isolate(id HostID) *Fault {
	h := n.hosts[id]
	f := &Fault{cause: CauseIsolate, host: h}
	h.isolations = append(h.isolations, f)
	var links []*link
	for _, peer := range n.hosts {
		if peer == h {
			continue
		}
		for _, l := range [2]*link{peer.linkTo(id), h.linkTo(peer.id)} {
			if l != nil { // otherwise newLink adds the isolation
				links = append(links, l)
			}
		}
	}
	return n.start(f, links...)
}

// Bridge splits the other hosts into two halves, in the given order, which reach each other
// only through the host in the middle.
func (n *Network) Bridge(middle HostID, others ...HostID) *Fault {
	others = slices.DeleteFunc(slices.Clone(others), func(id HostID) bool { return id == middle })
	half := len(others) / 2
	return n.start(&Fault{cause: CauseBridge}, n.between(others[:half], others[half:])...)
}

// MajoritiesRing lets each host hear a majority of the hosts, itself included, but no two
// hosts the same majority: host i hears the ⌊n/2⌋+1 hosts around it in a ring of the
// given order, as in Jepsen. Where a majority is an even number of hosts
// (n = 3, 6, 7, …) the cuts are one-way. Fewer than three hosts are not cut.
func (n *Network) MajoritiesRing(hosts ...HostID) *Fault {
	count := len(hosts)
	majority := count/2 + 1
	var links []*link
	for i, to := range hosts {
		first := i - majority/2 + count
		for k := majority; k < count; k++ { // the hosts outside the majority
			links = append(links, n.link(hosts[(first+k)%count], to))
		}
	}
	return n.start(&Fault{cause: CauseRing}, links...)
}

// Clog holds all frames from one host to another until it is healed, and delivers them then.
// What exceeds the limits of the queue is dropped.
func (n *Network) Clog(from, to HostID) *Fault {
	return n.start(&Fault{cause: CauseClog}, n.link(from, to))
}

// Slow limits the rate of frames from one host to another, which must be positive. A
// datagram that would wait for more than 10 s is dropped. Of several slow faults on a
// link the slowest is in force. When the last one ends, the waiting frames of a stream
// arrive at once.
func (n *Network) Slow(from, to HostID, bytesPerSecond int64) *Fault {
	if bytesPerSecond <= 0 {
		panic(fmt.Sprintf("netsim: invalid rate of Slow: %d bytes per second (want more than 0)", bytesPerSecond))
	}
	bytesPerSecond = min(bytesPerSecond, 1<<40) // nothing is slow beyond a byte per nanosecond
	return n.start(&Fault{cause: CauseSlow, bytesPerSecond: bytesPerSecond}, n.link(from, to))
}

// Delay adds a positive duration to the latency from one host to another. Of several such
// faults on a link the longest is in force. When the last one ends, the waiting frames of
// a stream arrive at once; datagrams in flight arrive late, and may be overtaken.
func (n *Network) Delay(from, to HostID, extra time.Duration) *Fault {
	if extra <= 0 {
		panic(fmt.Sprintf("netsim: invalid Delay %v (want more than 0)", extra))
	}
	return n.start(&Fault{cause: CauseDelay, extra: extra}, n.link(from, to))
}

// Late delays all frames to a host by a time that grows: a frame that is sent x after the
// fault began takes x longer, but never more than the positive duration most. Unlike with
// Delay, frames keep arriving meanwhile, at half of the rate at which they are sent, so the
// host hears its peers all the time, and ever older news from them. Of several such faults the
// one with the greatest most is in force, and on a link that is also delayed the longer
// delay. When the fault ends, the waiting frames of a
// stream arrive at once.
func (n *Network) Late(to HostID, most time.Duration) *Fault {
	if most <= 0 {
		panic(fmt.Sprintf("netsim: invalid Late %v (want more than 0)", most))
	}
	f := &Fault{cause: CauseLate, extra: most, began: n.scheduler.Now()}
	var links []*link
	for _, peer := range n.hosts {
		if peer.id != to {
			links = append(links, n.link(peer.id, to))
		}
	}
	return n.start(f, links...)
}

// grown returns the delay of a frame that is sent on a late link at a time.
func (f *Fault) grown(at time.Duration) time.Duration { return min(max(0, at-f.began), f.extra) }

// Reset breaks the connection from one host to another: an unknown prefix of what is in
// flight arrives, what is sent until the sender learns of it is lost, and each end is
// told, unless Rates.HintLoss prevents that. It reports whether there was an open
// connection; in datagram mode there never is.
func (n *Network) Reset(from, to HostID) bool {
	l := n.link(from, to)
	if l.state != open {
		return false
	}
	l.reset()
	return true
}

// HalfOpen makes the receiver lose its end of the connection from one host to another, like
// a firewall that forgets a connection: an unknown prefix of what is in flight arrives,
// neither end is told, and all that is sent is lost until Config.GiveUp after the next
// frame of the sender. It reports whether there was an open connection; in datagram mode
// there never is.
func (n *Network) HalfOpen(from, to HostID) bool {
	l := n.link(from, to)
	if l.state != open {
		return false
	}
	l.halfOpen()
	return true
}

// Heal ends all faults between two hosts, in both directions: faults, rates of the links'
// own, and half-open connections. The rates of the network stay in force.
func (n *Network) Heal(a, b HostID) {
	for _, l := range [2]*link{n.link(a, b), n.link(b, a)} {
		l.heal()
		l.rates = &n.rates
	}
}

// HealAmong ends all faults of the links among some hosts and sets the rates of these links
// to zero, so that they work whatever the faults in the rest of the network.
func (n *Network) HealAmong(hosts ...HostID) {
	for _, from := range hosts {
		for _, to := range hosts {
			if from == to {
				continue
			}
			l := n.link(from, to)
			l.heal()
			l.setRates(Rates{})
		}
	}
}

// HealAll ends all faults, removes the rates of the links' own, sets the rates of the
// network to zero and ends half-open connections. What is sent from now on arrives, if
// its receiver is attached and the limits of the queue permit.
func (n *Network) HealAll() {
	n.rates = chances{none: true}
	for _, h := range n.hosts {
		h.isolations = nil
		for _, l := range h.out {
			if l != nil {
				l.heal()
				l.rates = &n.rates
			}
		}
	}
}

func (n *Network) start(f *Fault, links ...*link) *Fault {
	f.net = n
	for _, l := range links {
		l.addFault(f)
	}
	return f
}

func (n *Network) between(a, b []HostID) []*link {
	links := make([]*link, 0, 2*len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			links = append(links, n.link(x, y), n.link(y, x))
		}
	}
	return links
}

func (l *link) addFault(f *Fault) {
	f.links = append(f.links, l)
	l.setFaults(append(l.faults, f))
}

func (l *link) removeFault(f *Fault) {
	l.setFaults(without(l.faults, f))
}

// heal ends all faults of the link, and a half-open connection.
func (l *link) heal() {
	l.setFaults(nil)
	l.learnNow()
}

// setFaults determines which faults are in force, and acts on changes.
func (l *link) setFaults(faults []*Fault) {
	cut, clog, slow, delay, late := l.cut, l.clog, l.slow, l.delay, l.late
	l.faults = faults
	l.cut, l.clog, l.slow, l.delay, l.late = nil, nil, nil, nil, nil
	for _, f := range faults {
		l.enforce(f)
	}
	streaming := l.net.cfg.Mode == Stream
	if slow != nil && l.slow == nil || delay != nil && l.delay == nil || late != nil && l.late == nil {
		l.expedite()
	}
	if streaming && cut == nil && l.cut != nil {
		l.onCut()
	}
	if streaming && clog == nil && l.clog != nil {
		l.disarm()
	}
	if streaming && cut != nil && l.cut == nil {
		l.onCutHealed(cut)
	}
	if clog != nil && l.clog == nil {
		if streaming {
			l.resume(clog, 0)
		} else {
			l.onUnclogged(clog)
		}
	}
}

func (l *link) enforce(f *Fault) {
	switch {
	case f.isCut():
		if l.cut == nil {
			l.cut = f
		}
	case f.cause == CauseClog:
		if l.clog == nil {
			l.clog = f
		}
	case f.cause == CauseSlow:
		if l.slow == nil || f.bytesPerSecond < l.slow.bytesPerSecond {
			l.slow = f
		}
	case f.cause == CauseDelay:
		if l.delay == nil || f.extra > l.delay.extra {
			l.delay = f
		}
	case f.cause == CauseLate:
		if l.late == nil || f.extra > l.late.extra {
			l.late = f
		}
	}
}

// without returns the faults except f, in a new slice.
func without(faults []*Fault, f *Fault) []*Fault {
	return slices.DeleteFunc(slices.Clone(faults), func(g *Fault) bool { return g == f })
}
