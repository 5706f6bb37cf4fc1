package netsim

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A step is one action on a network of a few hosts. The properties are tested with
// scripts of steps.
type step struct {
	action   string
	from, to HostID
	count    int
	wait     time.Duration
}

var (
	trafficActions = []string{"send", "send", "send", "wait"}
	faultActions   = []string{
		"cut", "isolate", "ring", "bridge", "clog", "slow", "delay", "late", "reset", "half-open",
		"heal", "heal", "heal-pair", "heal-among", "detach", "vanish", "attach", "attach", "rates", "link-rates",
	}
)

func drawScript(t *rapid.T, hosts int) []step {
	actions := append(slices.Clone(trafficActions), faultActions...)
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		action := rapid.SampledFrom(actions).Draw(t, "action")
		from := rapid.IntRange(0, hosts-1).Draw(t, "from")
		to := (from + rapid.IntRange(1, hosts-1).Draw(t, "to")) % hosts
		return step{
			action: action, from: HostID(from), to: HostID(to),
			count: rapid.IntRange(1, 8).Draw(t, "count"),
			wait:  time.Duration(rapid.IntRange(0, 400).Draw(t, "wait")) * time.Millisecond,
		}
	}), 1, 60).Draw(t, "script")
}

// A sentFrame holds what a test needs to judge the delivery of a frame.
type sentFrame struct {
	from, to    HostID
	connection  uint64 // the number of the connection that carried it
	incarnation int    // of the receiver at the time of sending
}

// A scriptRunner runs scripts and records what was sent and delivered.
type scriptRunner struct {
	*testNetwork
	rates        Rates // of the rates action
	faults       []*Fault
	frames       []sentFrame   // by frame number, from 1
	delivered    map[int][]int // by frame number: the incarnations of the receiver that got it
	order        []int
	incarnations []int // by host: how often it has ended
}

func newScriptRunner(t failer, seed uint64, cfg Config, hosts int) *scriptRunner {
	w, recorders := newTestNetwork(t, seed, cfg, hosts)
	s := &scriptRunner{testNetwork: w, frames: make([]sentFrame, 1), delivered: map[int][]int{}, incarnations: make([]int, hosts)}
	for _, r := range recorders {
		s.listen(r)
	}
	return s
}

func (s *scriptRunner) listen(r *recorder) {
	r.onFrame = func(_ HostID, frame []byte) {
		n := frameNumber(s.t, string(frame))
		s.delivered[n] = append(s.delivered[n], s.incarnations[r.id])
		s.order = append(s.order, n)
	}
}

func (s *scriptRunner) post(from, to HostID) {
	s.send(from, to, 1)
	l := s.net.link(from, to)
	s.frames = append(s.frames, sentFrame{from, to, l.dials, s.incarnations[to]})
}

func (s *scriptRunner) run(script []step) {
	for _, step := range script {
		s.take(step)
		s.wantConserved()
	}
}

func (s *scriptRunner) take(p step) {
	n := s.net
	switch p.action {
	case "send":
		for range p.count {
			s.post(p.from, p.to)
			s.clock.run(p.wait / 400) // up to a millisecond
		}
	case "wait":
		s.clock.run(p.wait * time.Duration(p.count))
	case "reset":
		n.Reset(p.from, p.to)
	case "half-open":
		n.HalfOpen(p.from, p.to)
	case "heal":
		if len(s.faults) > 0 {
			s.faults[p.count%len(s.faults)].Heal()
		}
	case "heal-pair":
		n.Heal(p.from, p.to)
	case "heal-among":
		n.HealAmong(p.from, p.to)
	case "detach", "vanish":
		s.kill(p)
	case "attach":
		if !n.Attached(p.from) {
			s.listen(s.attach(p.from))
		}
	case "rates":
		n.SetRates(s.rates)
	case "link-rates":
		n.SetLinkRates(p.from, p.to, s.rates)
	default:
		s.faults = append(s.faults, s.startFault(p))
	}
}

func (s *scriptRunner) kill(p step) {
	if s.net.Attached(p.from) {
		s.incarnations[p.from]++
	}
	if p.action == "detach" {
		s.net.Detach(p.from)
	} else {
		s.net.Vanish(p.from)
	}
}

func (s *scriptRunner) startFault(p step) *Fault {
	n := s.net
	switch p.action {
	case "cut":
		return n.CutOneWay(p.from, p.to)
	case "isolate":
		return n.Isolate(p.from)
	case "ring":
		return n.MajoritiesRing(0, 1, 2)
	case "bridge":
		return n.Bridge(p.from, 0, 1, 2)
	case "clog":
		return n.Clog(p.from, p.to)
	case "slow":
		return n.Slow(p.from, p.to, int64(p.count))
	case "delay":
		return n.Delay(p.from, p.to, p.wait+1)
	case "late":
		return n.Late(p.to, p.wait+1)
	}
	s.t.Fatalf("no such action: %q", p.action)
	return nil
}

// settle heals everything, attaches every host and lets everything arrive.
func (s *scriptRunner) settle() {
	s.net.HealAll()
	for id := range s.net.hosts {
		if !s.net.Attached(HostID(id)) {
			s.listen(s.attach(HostID(id)))
		}
	}
	s.clock.run(time.Hour)
	if got := s.net.Stats().InFlight; got != 0 {
		s.t.Fatalf("%d frames are still in flight an hour after the heal", got)
	}
	s.wantConserved()
}

var hardRates = Rates{
	Loss: 0.1, Duplicate: 0.2, Reorder: 0.2, Delay: 0.1, Corrupt: 0, Reset: 0.05, HalfOpen: 0.03, HintLoss: 0.3,
}

// Whatever happens, a stream never reorders or duplicates frames, delivers a prefix of
// what each connection was given, and never delivers a frame to a later incarnation of
// its receiver.
func TestStreamProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScriptRunner(t, rapid.Uint64().Draw(t, "seed"), Config{}, 3)
		s.rates = hardRates
		s.run(drawScript(t, 3))
		s.settle()

		newest := map[[2]HostID]int{}
		for _, frame := range s.order {
			p := s.frames[frame]
			pair := [2]HostID{p.from, p.to}
			if frame <= newest[pair] {
				t.Fatalf("f%d was delivered after f%d", frame, newest[pair])
			}
			newest[pair] = frame
		}
		type connection struct {
			from, to HostID
			number   uint64
		}
		ended := map[connection]int{}
		for frame, p := range s.frames[1:] {
			frame++
			c := connection{p.from, p.to, p.connection}
			incarnations := s.delivered[frame]
			if len(incarnations) == 0 {
				ended[c] = frame
			} else if ended[c] != 0 {
				t.Fatalf("f%d of a connection was delivered, although f%d before it was not", frame, ended[c])
			} else if s.frames[frame].incarnation != incarnations[0] {
				t.Fatalf("f%d, sent to incarnation %d of its receiver, reached incarnation %d", frame, p.incarnation, incarnations[0])
			}
		}
	})
}

// Without rates and faults every datagram arrives once and in order.
func TestDatagramWithoutFaultsDeliversAllOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScriptRunner(t, rapid.Uint64().Draw(t, "seed"), Config{Mode: Datagram}, 3)
		script := drawScript(t, 3)
		script = slices.DeleteFunc(script, func(p step) bool { return slices.Contains(faultActions, p.action) })
		s.run(script)
		s.clock.run(time.Minute)
		s.wantCounts(nil)
		newest := map[[2]HostID]int{}
		for frame, p := range s.frames[1:] {
			if len(s.delivered[frame+1]) != 1 {
				t.Fatalf("f%d was delivered %d times", frame+1, len(s.delivered[frame+1]))
			}
			newest[[2]HostID{p.from, p.to}] = 0
		}
		for _, frame := range s.order {
			pair := [2]HostID{s.frames[frame].from, s.frames[frame].to}
			if frame < newest[pair] {
				t.Fatalf("f%d arrived after f%d", frame, newest[pair])
			}
			newest[pair] = frame
		}
	})
}

// Whatever happens, no datagram arrives more than twice, and the counters and totals
// agree with what was received.
func TestDatagramProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newScriptRunner(t, rapid.Uint64().Draw(t, "seed"), Config{Mode: Datagram}, 3)
		s.rates = hardRates
		s.run(drawScript(t, 3))
		s.settle()
		second := uint64(0)
		for frame, incarnations := range s.delivered {
			if len(incarnations) > 2 {
				t.Fatalf("f%d arrived %d times", frame, len(incarnations))
			}
			second += uint64(len(incarnations) - 1)
		}
		if got := s.net.Count(CauseDuplicate); got != second {
			t.Fatalf("%d second copies counted, %d arrived", got, second)
		}
		if got := s.net.Stats().Delivered; got != uint64(len(s.order)) {
			t.Fatalf("%d deliveries counted, %d made", got, len(s.order))
		}
	})
}

// After HealAll everything that is sent arrives once.
func TestHealAllHeals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom([]Mode{Stream, Datagram}).Draw(t, "mode")
		s := newScriptRunner(t, rapid.Uint64().Draw(t, "seed"), Config{Mode: mode}, 3)
		s.rates = hardRates
		s.run(drawScript(t, 3))
		for id := range s.net.hosts {
			if !s.net.Attached(HostID(id)) {
				s.listen(s.attach(HostID(id)))
			}
		}
		s.net.HealAll()
		before := s.net.Counters()
		first := len(s.frames)
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			for from := range HostID(3) {
				s.post(from, (from+1)%3)
				s.post(from, (from+2)%3)
			}
			s.clock.run(time.Duration(rapid.IntRange(0, 300).Draw(t, "pause")) * time.Millisecond)
		}
		s.clock.run(time.Minute)
		for frame := first; frame < len(s.frames); frame++ {
			if len(s.delivered[frame]) != 1 {
				t.Fatalf("f%d, sent after the heal, arrived %d times", frame, len(s.delivered[frame]))
			}
		}
		for i, c := range s.net.Counters() {
			// Frames that were affected before the heal are counted when they arrive.
			late := c.Name == "delay" || c.Name == "late" || c.Name == "slow" || c.Name == "loss" || c.Name == "reorder" || c.Name == "duplicate"
			if c != before[i] && !late {
				t.Fatalf("%s went from %d to %d after the heal", c.Name, before[i].Count, c.Count)
			}
		}
	})
}

// The same seed and script give the same deliveries at the same times.
func TestDeterminism(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom([]Mode{Stream, Datagram}).Draw(t, "mode")
		seed := rapid.Uint64().Draw(t, "seed")
		script := drawScript(t, 3)
		run := func() ([]string, []Count, Stats) {
			s := newScriptRunner(t, seed, Config{Mode: mode}, 3)
			s.rates = hardRates
			s.run(script)
			s.settle()
			return s.log, s.net.Counters(), s.net.Stats()
		}
		log1, counters1, stats1 := run()
		log2, counters2, stats2 := run()
		if !slices.Equal(log1, log2) || !slices.Equal(counters1, counters2) || !reflect.DeepEqual(stats1, stats2) {
			t.Fatalf("two runs of one seed differ:\n%v\n%v", log1, log2)
		}
	})
}

// Neither the order in which hosts are created nor a fault elsewhere changes what happens
// on a link.
func TestAFaultElsewhereChangesNothing(t *testing.T) {
	for _, mode := range []Mode{Stream, Datagram} {
		run := func(seed uint64, strangers int, cut bool) []string {
			w := &testNetwork{t: t, clock: &clock{}}
			w.net, _ = New(w.clock, keyed(seed), Config{Mode: mode, Rates: hardRates})
			for i := range strangers {
				w.attach(w.net.Host(fmt.Sprintf("stranger%d", i)))
			}
			a := w.attach(w.net.Host("a"))
			b := w.attach(w.net.Host("b"))
			c := w.attach(w.net.Host("c"))
			if cut {
				w.net.CutTwoWay(b.id, c.id)
			}
			for range 200 {
				w.send(a.id, b.id, 1)
				w.net.Send(b.id, c.id, []byte("f0"))
				w.clock.run(time.Millisecond)
			}
			w.clock.run(time.Minute)
			return b.received
		}
		want := run(5, 0, false)
		if got := run(5, 3, true); !slices.Equal(got, want) {
			t.Errorf("%v: with other hosts and a cut elsewhere b received\n%v\nwithout\n%v", mode, got, want)
		}
		if slices.Equal(run(6, 0, false), want) {
			t.Errorf("%v: two seeds give the same deliveries", mode)
		}
	}
}
