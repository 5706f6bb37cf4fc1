package netsim

import (
	"fmt"
	"time"
)

// Scheduler is virtual time. The network needs of it:
//
//   - After returns before fn runs, also for d = 0; fn runs once, d from now,
//     on the caller's goroutine, unless stop was called before;
//   - calls due at one time run in the order in which they were asked for;
//   - stop is never nil, and does nothing once fn has run.
type Scheduler interface {
	Now() time.Duration
	After(d time.Duration, fn func()) (stop func())
}

// A LinkScheduler is a Scheduler that wants to know on which link something is
// to happen, so that it can let what happens on different ones change places.
// If the Scheduler is one, AfterOn is called instead of After. Calls for one
// link that are due at one time, or were put off, have to run in the order of
// their times and then in that in which they were asked for; those of different
// links need not.
type LinkScheduler interface {
	Scheduler
	// AfterOn's ticket names the call for Stop, which keeps fn from running and
	// does nothing once it has run.
	AfterOn(from, to HostID, d time.Duration, fn func()) (ticket uint64)
	Stop(ticket uint64)
	// PostOn is AfterOn for what nobody will stop.
	PostOn(from, to HostID, d time.Duration, fn func())
}

// Random is a keyed random source: equal arguments give an equal result, and
// results of different arguments are independent and uniform over 64 bits. The
// network's purposes all begin with "netsim."; entity stands for an ordered
// pair of host names.
type Random interface {
	Draw(purpose string, entity, sequence uint64) uint64
}

// A KeyedRandom is a Random in two steps, so that what many draws have in common
// is reckoned once: Draw(purpose, entity, sequence) is
// DrawOf(Key(purpose, entity), sequence).
type KeyedRandom interface {
	Random
	Key(purpose string, entity uint64) uint64
	DrawOf(key, sequence uint64) uint64
}

// HostID is a host's number in one Network, counted from 0 in the order in
// which hosts were named.
type HostID int

// Handler is a host's end of the network. Both methods run as events of the
// scheduler, never inside a call of the Network, and may call the Network.
type Handler interface {
	// OnFrame receives a frame. It may keep it, and must not write to it.
	OnFrame(from HostID, frame []byte)
	// OnPeerLost says that a connection to or from peer broke. It is a hint:
	// the peer may be well, and may be gone without it. It never comes in
	// datagram mode.
	OnPeerLost(peer HostID)
}

// Network carries frames between hosts.
type Network struct {
	scheduler Scheduler
	byLink    LinkScheduler // the same, or nil if it does not care for links
	random    Random
	byKey     KeyedRandom // the same, or nil if it has no keys
	cfg       Config
	rates     chances

	hosts []*host
	ids   map[string]HostID // looked up only, never ranged over

	idle   *datagram // free list
	counts [numFaults]uint64
	stats  Stats
}

type host struct {
	id          HostID
	name        string
	handler     Handler // nil while not attached
	incarnation uint64  // grows with each end of a life
	isolations  []*Fault
	out         []*link // by destination; nil until used
}

// New makes a network without hosts. It fails if the configuration makes no
// sense.
func New(s Scheduler, r Random, cfg Config) (*Network, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	byLink, _ := s.(LinkScheduler)
	byKey, _ := r.(KeyedRandom)
	return &Network{
		scheduler: s,
		byLink:    byLink,
		random:    r,
		byKey:     byKey,
		cfg:       cfg.withDefaults(),
		rates:     newChances(cfg.Rates),
		ids:       make(map[string]HostID),
	}, nil
}

// Host returns the number of the host of this name, a new one if the name is
// new. Draws are keyed by names, so that the order of naming does not matter to
// them. It panics beyond Config.MaxHosts.
func (n *Network) Host(name string) HostID {
	if id, ok := n.ids[name]; ok {
		return id
	}
	if len(n.hosts) >= n.cfg.MaxHosts {
		panic(fmt.Sprintf("netsim: host %q is one more than Config.MaxHosts = %d", name, n.cfg.MaxHosts))
	}
	id := HostID(len(n.hosts))
	n.hosts = append(n.hosts, &host{id: id, name: name})
	n.ids[name] = id
	return id
}

// Name returns the name under which a host was made.
func (n *Network) Name(id HostID) string { return n.hosts[id].name }

// Attach begins a life of the host: from now on frames reach handler. In stream
// mode no frame sent before the end of an earlier life reaches this one; a
// datagram may. It panics if the host is attached.
func (n *Network) Attach(id HostID, handler Handler) {
	h := n.hosts[id]
	if handler == nil {
		panic(fmt.Sprintf("netsim: Attach of host %q without a handler", h.name))
	}
	if h.handler != nil {
		panic(fmt.Sprintf("netsim: Attach of host %q, which is attached", h.name))
	}
	h.handler = handler
	for _, peer := range n.hosts {
		if l := peer.linkTo(id); l != nil {
			l.onPeerUp()
		}
	}
}

// Attached reports whether the host is alive.
func (n *Network) Attached(id HostID) bool { return n.hosts[id].handler != nil }

// Detach ends the host's life as the death of a process does: its handler is
// not called again, frames in flight to it are lost, and in stream mode its
// connections break: an unknown prefix of what it sent still arrives, and its
// peers are told soon, each by a hint that may be absent. It does nothing if the
// host is not attached.
func (n *Network) Detach(id HostID) { n.end(id, false) }

// Vanish ends the host's life as the loss of its machine does: like Detach, but
// nobody is told. A peer that sends to it finds out after Config.GiveUp, or
// from the host's next life.
func (n *Network) Vanish(id HostID) { n.end(id, true) }

func (n *Network) end(id HostID, silent bool) {
	h := n.hosts[id]
	if h.handler == nil {
		return
	}
	h.handler = nil
	h.incarnation++
	if n.cfg.Mode == Datagram {
		return // each datagram finds out as it arrives
	}
	for _, peer := range n.hosts {
		if l := peer.linkTo(id); l != nil {
			l.onReceiverDown(silent)
		}
		if l := h.linkTo(peer.id); l != nil {
			l.onSenderDown(silent)
		}
	}
}

// Send sends a frame. It takes the frame over without copying: nobody may write
// to it any more, but one frame may be sent to many hosts. Frames from a host
// that is not attached go nowhere. Nobody is told whether it arrives.
func (n *Network) Send(from, to HostID, frame []byte) {
	l := n.link(from, to)
	l.sent++
	n.stats.Sent++
	switch {
	case l.from.handler == nil:
		n.lose(l, frame, CauseDown)
	case n.cfg.Mode == Datagram:
		l.sendDatagram(frame)
	default:
		l.sendStream(frame)
	}
}

// SetRates replaces, from now on, the rates of all links that have none of
// their own. It fails, changing nothing, if one is no
// probability.
func (n *Network) SetRates(r Rates) error {
	if err := r.Validate(); err != nil {
		return err
	}
	n.rates = newChances(r)
	return nil
}

// SetLinkRates gives the link from one host to another rates of its own,
// instead of the network's, until ClearLinkRates or a heal. It fails, changing
// nothing, if one is no probability.
func (n *Network) SetLinkRates(from, to HostID, r Rates) error {
	if err := r.Validate(); err != nil {
		return err
	}
	n.link(from, to).setRates(r)
	return nil
}

// ClearLinkRates takes SetLinkRates back.
func (n *Network) ClearLinkRates(from, to HostID) {
	n.link(from, to).rates = &n.rates
}

// lose accounts for a frame that is not, or no longer, in flight.
func (n *Network) lose(l *link, frame []byte, cause Cause) {
	n.stats.Lost++
	if n.cfg.Dropped != nil {
		n.cfg.Dropped(l.from.id, l.to.id, frame, cause)
	}
}

func (h *host) linkTo(id HostID) *link {
	if int(id) < len(h.out) {
		return h.out[id]
	}
	return nil
}

// alarm is one call of after. The zero value is none.
type alarm struct {
	set    bool
	ticket uint64 // of a LinkScheduler
	stop   func() // of others
}

// after runs fn, d from now, as something that happens on the link.
func (l *link) after(d time.Duration, fn func()) alarm {
	if n := l.net; n.byLink != nil {
		return alarm{set: true, ticket: n.byLink.AfterOn(l.from.id, l.to.id, d, fn)}
	}
	return alarm{set: true, stop: l.net.scheduler.After(d, fn)}
}

// stop ends what an alarm waits for, if it waits.
func (l *link) stop(a *alarm) {
	switch {
	case !a.set:
	case a.stop != nil:
		a.stop()
	default:
		l.net.byLink.Stop(a.ticket)
	}
	*a = alarm{}
}

// post is after for what nobody will stop.
func (l *link) post(d time.Duration, fn func()) {
	if n := l.net; n.byLink != nil {
		n.byLink.PostOn(l.from.id, l.to.id, d, fn)
		return
	}
	l.net.scheduler.After(d, fn)
}

// link returns the link between two hosts, made on first use.
func (n *Network) link(from, to HostID) *link {
	if l := n.hosts[from].linkTo(to); l != nil {
		return l
	}
	return n.newLink(n.hosts[from], n.hosts[to])
}
