package netsim

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A step is one act upon a world of a few hosts; a script of steps is what the
// properties are tried on.
type step struct {
	act      string
	from, to HostID
	count    int
	wait     time.Duration
}

var (
	trafficActs = []string{"send", "send", "send", "wait"}
	faultActs   = []string{
		"cut", "isolate", "ring", "bridge", "clog", "slow", "delay", "reset", "half-open",
		"heal", "heal", "heal-pair", "heal-among", "detach", "vanish", "attach", "attach", "rates", "link-rates",
	}
)

func drawScript(t *rapid.T, hosts int) []step {
	acts := append(slices.Clone(trafficActs), faultActs...)
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		act := rapid.SampledFrom(acts).Draw(t, "act")
		from := rapid.IntRange(0, hosts-1).Draw(t, "from")
		to := (from + rapid.IntRange(1, hosts-1).Draw(t, "to")) % hosts
		return step{
			act: act, from: HostID(from), to: HostID(to),
			count: rapid.IntRange(1, 8).Draw(t, "count"),
			wait:  time.Duration(rapid.IntRange(0, 400).Draw(t, "wait")) * time.Millisecond,
		}
	}), 1, 60).Draw(t, "script")
}

// A parcel is a frame with what a test must know to judge its delivery.
type parcel struct {
	from, to   HostID
	connection uint64 // the sender's count of dials, after the frame was given to one
	life       int    // of the receiver at the time of sending
}

// stage runs scripts and keeps the books.
type stage struct {
	*world
	rates     Rates // of the rates act
	faults    []*Fault
	parcels   []parcel      // by number of the frame, from 1
	delivered map[int][]int // by number of the frame: receiver's lives
	order     []int
	lives     []int // by host: how many of its lives have ended
}

func newStage(t failer, seed uint64, cfg Config, hosts int) *stage {
	w, recorders := newWorld(t, seed, cfg, hosts)
	s := &stage{world: w, parcels: make([]parcel, 1), delivered: map[int][]int{}, lives: make([]int, hosts)}
	for _, r := range recorders {
		s.listen(r)
	}
	return s
}

func (s *stage) listen(r *recorder) {
	r.onFrame = func(_ HostID, frame []byte) {
		n := frameNumber(s.t, string(frame))
		s.delivered[n] = append(s.delivered[n], s.lives[r.id])
		s.order = append(s.order, n)
	}
}

func (s *stage) post(from, to HostID) {
	s.send(from, to, 1)
	l := s.net.link(from, to)
	s.parcels = append(s.parcels, parcel{from, to, l.dials, s.lives[to]})
}

func (s *stage) run(script []step) {
	for _, step := range script {
		s.take(step)
		s.wantConserved()
	}
}

func (s *stage) take(p step) {
	n := s.net
	switch p.act {
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

func (s *stage) kill(p step) {
	if s.net.Attached(p.from) {
		s.lives[p.from]++
	}
	if p.act == "detach" {
		s.net.Detach(p.from)
	} else {
		s.net.Vanish(p.from)
	}
}

func (s *stage) startFault(p step) *Fault {
	n := s.net
	switch p.act {
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
	}
	s.t.Fatalf("no such act: %q", p.act)
	return nil
}

// settle heals all, brings every host up and lets everything arrive.
func (s *stage) settle() {
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

// Whatever happens: a stream never reorders or doubles, delivers a prefix of
// what each connection was given, and never brings a frame to a later life of
// its receiver.
func TestStreamProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStage(t, rapid.Uint64().Draw(t, "seed"), Config{}, 3)
		s.rates = hardRates
		s.run(drawScript(t, 3))
		s.settle()

		newest := map[[2]HostID]int{}
		for _, frame := range s.order {
			p := s.parcels[frame]
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
		for frame, p := range s.parcels[1:] {
			frame++
			c := connection{p.from, p.to, p.connection}
			lives := s.delivered[frame]
			if len(lives) == 0 {
				ended[c] = frame
			} else if ended[c] != 0 {
				t.Fatalf("f%d of a connection was delivered, f%d before it was not", frame, ended[c])
			} else if s.parcels[frame].life != lives[0] {
				t.Fatalf("f%d, sent to life %d of its receiver, reached life %d", frame, p.life, lives[0])
			}
		}
	})
}

// Without rates and faults every datagram comes once, and in order.
func TestDatagramWithoutFaultsDeliversAllOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStage(t, rapid.Uint64().Draw(t, "seed"), Config{Mode: Datagram}, 3)
		script := drawScript(t, 3)
		script = slices.DeleteFunc(script, func(p step) bool { return slices.Contains(faultActs, p.act) })
		s.run(script)
		s.clock.run(time.Minute)
		s.wantCounts(nil)
		newest := map[[2]HostID]int{}
		for frame, p := range s.parcels[1:] {
			if len(s.delivered[frame+1]) != 1 {
				t.Fatalf("f%d was delivered %d times", frame+1, len(s.delivered[frame+1]))
			}
			newest[[2]HostID{p.from, p.to}] = 0
		}
		for _, frame := range s.order {
			pair := [2]HostID{s.parcels[frame].from, s.parcels[frame].to}
			if frame < newest[pair] {
				t.Fatalf("f%d came after f%d", frame, newest[pair])
			}
			newest[pair] = frame
		}
	})
}

// Whatever happens to datagrams: none comes more than twice, and the counters
// of duplicates and of the totals agree with what was received.
func TestDatagramProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStage(t, rapid.Uint64().Draw(t, "seed"), Config{Mode: Datagram}, 3)
		s.rates = hardRates
		s.run(drawScript(t, 3))
		s.settle()
		second := uint64(0)
		for frame, lives := range s.delivered {
			if len(lives) > 2 {
				t.Fatalf("f%d came %d times", frame, len(lives))
			}
			second += uint64(len(lives) - 1)
		}
		if got := s.net.Count(CauseDuplicate); got != second {
			t.Fatalf("%d second copies counted, %d came", got, second)
		}
		if got := s.net.Stats().Delivered; got != uint64(len(s.order)) {
			t.Fatalf("%d deliveries counted, %d made", got, len(s.order))
		}
	})
}

// After HealAll everything that is sent arrives, once.
func TestHealAllHeals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom([]Mode{Stream, Datagram}).Draw(t, "mode")
		s := newStage(t, rapid.Uint64().Draw(t, "seed"), Config{Mode: mode}, 3)
		s.rates = hardRates
		s.run(drawScript(t, 3))
		for id := range s.net.hosts {
			if !s.net.Attached(HostID(id)) {
				s.listen(s.attach(HostID(id)))
			}
		}
		s.net.HealAll()
		before := s.net.Counters()
		first := len(s.parcels)
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			for from := range HostID(3) {
				s.post(from, (from+1)%3)
				s.post(from, (from+2)%3)
			}
			s.clock.run(time.Duration(rapid.IntRange(0, 300).Draw(t, "pause")) * time.Millisecond)
		}
		s.clock.run(time.Minute)
		for frame := first; frame < len(s.parcels); frame++ {
			if len(s.delivered[frame]) != 1 {
				t.Fatalf("f%d, sent after the heal, came %d times", frame, len(s.delivered[frame]))
			}
		}
		for i, c := range s.net.Counters() {
			// Frames struck before the heal are counted as they arrive.
			late := c.Name == "delay" || c.Name == "slow" || c.Name == "loss" || c.Name == "reorder" || c.Name == "duplicate"
			if c != before[i] && !late {
				t.Fatalf("%s went from %d to %d after the heal", c.Name, before[i].Count, c.Count)
			}
		}
	})
}

// The same seed and script give the same deliveries at the same times, and
// neither the order in which hosts were named nor a fault elsewhere changes
// what happens on a link.
func TestDeterminism(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mode := rapid.SampledFrom([]Mode{Stream, Datagram}).Draw(t, "mode")
		seed := rapid.Uint64().Draw(t, "seed")
		script := drawScript(t, 3)
		play := func() ([]string, []Count, Stats) {
			s := newStage(t, seed, Config{Mode: mode}, 3)
			s.rates = hardRates
			s.run(script)
			s.settle()
			return s.log, s.net.Counters(), s.net.Stats()
		}
		log1, counters1, stats1 := play()
		log2, counters2, stats2 := play()
		if !slices.Equal(log1, log2) || !slices.Equal(counters1, counters2) || !reflect.DeepEqual(stats1, stats2) {
			t.Fatalf("two runs of one seed differ:\n%v\n%v", log1, log2)
		}
	})
}

func TestAFaultElsewhereChangesNothing(t *testing.T) {
	for _, mode := range []Mode{Stream, Datagram} {
		play := func(seed uint64, strangers int, cut bool) []string {
			w := &world{t: t, clock: &clock{}}
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
		want := play(5, 0, false)
		if got := play(5, 3, true); !slices.Equal(got, want) {
			t.Errorf("%v: with strangers and a cut elsewhere b received\n%v\nwithout\n%v", mode, got, want)
		}
		if slices.Equal(play(6, 0, false), want) {
			t.Errorf("%v: two seeds deliver alike", mode)
		}
	}
}
