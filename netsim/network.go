package netsim

import (
	"fmt"
	"time"
)

// A Scheduler provides virtual time. The network relies on this:
//
//   - After returns before fn runs, even for d = 0; fn runs once, d from now, on the
//     caller's goroutine, unless stop was called before;
//   - calls due at one time run in the order in which they were requested;
//   - stop is never nil, and does nothing once fn has run.
type Scheduler interface {
	Now() time.Duration
	After(d time.Duration, fn func()) (stop func())
}

// A LinkScheduler is a Scheduler that is told on which link each event happens, so that it
// can reorder events of different links. If the Scheduler implements it, the network
// calls AfterOn instead of After. Calls for one link that are due at one time, or were
// postponed, must run in the order of their times, then in the order in which they were
// requested; calls for different links need not.
type LinkScheduler interface {
	Scheduler
	// AfterOn returns a ticket with which Stop keeps fn from running. Stop does nothing
	// once fn has run.
	AfterOn(from, to HostID, d time.Duration, fn func()) (ticket uint64)
	Stop(ticket uint64)
	// PostOn is AfterOn for calls that are never stopped.
	PostOn(from, to HostID, d time.Duration, fn func())
}

// A Random is a keyed random source: equal arguments give equal results, and the results
// of different arguments are independent and uniform over 64 bits. The purposes of the
// network all begin with "netsim."; entity identifies an ordered pair of host names.
type Random interface {
	Draw(purpose string, entity, sequence uint64) uint64
}

// A KeyedRandom is a Random that draws in two steps, so that the common part of many draws
// is computed once: Draw(purpose, entity, sequence) equals
// DrawOf(Key(purpose, entity), sequence).
type KeyedRandom interface {
	Random
	Key(purpose string, entity uint64) uint64
	DrawOf(key, sequence uint64) uint64
}

// A HostID is the number of a host in one Network, counted from 0 in order of creation.
type HostID int

// A Handler is the host's end of the network. Its methods run as events of the scheduler,
// never inside a call of the Network, and may call the Network.
type Handler interface {
	// OnFrame receives a frame. It may keep the frame, but must not write to it.
	OnFrame(from HostID, frame []byte)
	// OnPeerLost reports that a connection to or from peer broke. It is only a hint: the
	// peer may be alive, or may be gone without a hint. It is never called in datagram
	// mode.
	OnPeerLost(peer HostID)
}

// A Network carries frames between hosts.
type Network struct {
	scheduler Scheduler
	byLink    LinkScheduler // the same, or nil if it is not a LinkScheduler
	random    Random
	byKey     KeyedRandom // the same, or nil if it is not a KeyedRandom
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
	incarnation uint64  // counts how often the host has ended
	isolations  []*Fault
	out         []*link // by destination; nil until used
}

// New returns a network without hosts. It returns an error if the configuration is
// invalid.
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

// Host returns the number of the host with this name, and creates the host if it does not
// exist. Draws are keyed by names, so the order of creation does not affect them. Host
// panics beyond Config.MaxHosts.
func (n *Network) Host(name string) HostID {
	if id, ok := n.ids[name]; ok {
		return id
	}
	if len(n.hosts) >= n.cfg.MaxHosts {
		panic(fmt.Sprintf("netsim: creating host %q exceeds Config.MaxHosts, %d", name, n.cfg.MaxHosts))
	}
	id := HostID(len(n.hosts))
	n.hosts = append(n.hosts, &host{id: id, name: name})
	n.ids[name] = id
	return id
}

// Name returns the name of a host.
func (n *Network) Name(id HostID) string { return n.hosts[id].name }

// Attach attaches the host: from now on handler receives its frames. In stream mode no
// frame sent before the host was last detached reaches it; a datagram may. Attach panics
// if the host is attached.
func (n *Network) Attach(id HostID, handler Handler) {
	h := n.hosts[id]
	if handler == nil {
		panic(fmt.Sprintf("netsim: attaching host %q without a handler", h.name))
	}
	if h.handler != nil {
		panic(fmt.Sprintf("netsim: attaching host %q, which is already attached", h.name))
	}
	h.handler = handler
	for _, peer := range n.hosts {
		if l := peer.linkTo(id); l != nil {
			l.onPeerUp()
		}
	}
}

// Attached reports whether the host is attached.
func (n *Network) Attached(id HostID) bool { return n.hosts[id].handler != nil }

// Detach ends the host as the death of a process does: its handler is not called again,
// and frames in flight to it are lost. In stream mode its connections break: an unknown
// prefix of what it sent still arrives, and its peers are told soon, each by a hint that
// may be lost. Detach does nothing if the host is not attached.
func (n *Network) Detach(id HostID) { n.end(id, false) }

// Vanish ends the host as the loss of its machine does: it is like Detach, but the peers
// are not told. A peer that sends to the host finds out after Config.GiveUp, or from the
// host once it is attached again.
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

// Send sends a frame. It takes ownership of the frame without copying it: the frame must
// not be written to any more, but may be sent to many hosts. Frames from a host that is
// not attached are lost. The sender does not learn whether a frame arrives.
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

// SetRates replaces the rates of all links that have no rates of their own. It returns an
// error, and changes nothing, if a rate is not a probability.
func (n *Network) SetRates(r Rates) error {
	if err := r.Validate(); err != nil {
		return err
	}
	n.rates = newChances(r)
	return nil
}

// SetLinkRates gives the link from one host to another its own rates, which hold until
// ClearLinkRates or a heal. It returns an error, and changes nothing, if a rate is not a
// probability.
func (n *Network) SetLinkRates(from, to HostID, r Rates) error {
	if err := r.Validate(); err != nil {
		return err
	}
	n.link(from, to).setRates(r)
	return nil
}

// ClearLinkRates undoes SetLinkRates.
func (n *Network) ClearLinkRates(from, to HostID) {
	n.link(from, to).rates = &n.rates
}

// lose accounts for a lost frame, which must not be in flight.
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

// An alarm is a call that after has scheduled. The zero value is not set.
type alarm struct {
	set    bool
	ticket uint64 // of a LinkScheduler
	stop   func() // of others
}

// after runs fn, d from now, as an event of the link.
func (l *link) after(d time.Duration, fn func()) alarm {
	if n := l.net; n.byLink != nil {
		return alarm{set: true, ticket: n.byLink.AfterOn(l.from.id, l.to.id, d, fn)}
	}
	return alarm{set: true, stop: l.net.scheduler.After(d, fn)}
}

// stop cancels an alarm that is set.
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

// post is after for calls that are never stopped.
func (l *link) post(d time.Duration, fn func()) {
	if n := l.net; n.byLink != nil {
		n.byLink.PostOn(l.from.id, l.to.id, d, fn)
		return
	}
	l.net.scheduler.After(d, fn)
}

// link returns the link between two hosts, and creates it on first use.
func (n *Network) link(from, to HostID) *link {
	if l := n.hosts[from].linkTo(to); l != nil {
		return l
	}
	return n.newLink(n.hosts[from], n.hosts[to])
}
