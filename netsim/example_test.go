package netsim_test

import (
	"fmt"
	"time"

	"dkv/netsim"
)

// stopwatch is a minimal Scheduler: it finds the next event by looking at all of
// them.
type stopwatch struct {
	now    time.Duration
	events []*timer
}

type timer struct {
	at time.Duration
	fn func()
}

func (s *stopwatch) Now() time.Duration { return s.now }

func (s *stopwatch) After(d time.Duration, fn func()) (stop func()) {
	t := &timer{s.now + d, fn}
	s.events = append(s.events, t)
	return func() { t.fn = func() {} }
}

func (s *stopwatch) run(until time.Duration) {
	for {
		next := -1
		for i, t := range s.events {
			if t.at <= until && (next < 0 || t.at < s.events[next].at) {
				next = i
			}
		}
		if next < 0 {
			s.now = until
			return
		}
		t := s.events[next]
		s.events = append(s.events[:next], s.events[next+1:]...)
		s.now = t.at
		t.fn()
	}
}

// seed is a minimal Random: a hash of its arguments.
type seed uint64

func (s seed) Draw(purpose string, entity, sequence uint64) uint64 {
	h := uint64(s)
	for _, c := range []byte(purpose) {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	for _, v := range []uint64{entity, sequence} {
		h = (h ^ v) * 0x9e3779b97f4a7c15
		h ^= h >> 32
	}
	return h
}

// printer is a Handler that prints what it receives.
type printer struct {
	net  *netsim.Network
	name string
}

func (p printer) OnFrame(from netsim.HostID, frame []byte) {
	fmt.Printf("%s hears from %s: %s\n", p.name, p.net.Name(from), frame)
}

func (p printer) OnPeerLost(peer netsim.HostID) {
	fmt.Printf("%s lost %s\n", p.name, p.net.Name(peer))
}

// Two hosts exchange frames before, during and after a cut.
func Example() {
	clock := &stopwatch{}
	net, err := netsim.New(clock, seed(42), netsim.Config{})
	if err != nil {
		panic(err)
	}
	alice, bob := net.Host("alice"), net.Host("bob")
	net.Attach(alice, printer{net, "alice"})
	net.Attach(bob, printer{net, "bob"})

	net.Send(alice, bob, []byte("can you hear me?"))
	clock.run(1 * time.Second)

	cut := net.CutOneWay(alice, bob)
	net.Send(alice, bob, []byte("and now?"))
	clock.run(10 * time.Second)
	fmt.Printf("the cut stopped %d frame\n", cut.Effects())

	cut.Heal()
	net.Send(alice, bob, []byte("there you are"))
	clock.run(11 * time.Second)

	for _, c := range net.Counters() {
		if c.Count > 0 {
			fmt.Println(c.Name, c.Count)
		}
	}
	// Output:
	// bob hears from alice: can you hear me?
	// alice lost bob
	// the cut stopped 1 frame
	// bob hears from alice: there you are
	// cut-one-way 1
}
