package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"dkv/linearizability"
	"dkv/node/door"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// broadcaster sends the number of its host to all hosts and records what it receives.
type broadcaster struct {
	world.Doors
	heard  *[]string
	leads  int
	answer func(p *broadcaster, done func(door.Response))
}

func (p *broadcaster) Start() {
	for host := range p.Hosts {
		p.Network.Send(host, fmt.Appendf(nil, "I am %d", p.Host))
	}
}

func (p *broadcaster) OnFrame(from int, frame []byte) {
	*p.heard = append(*p.heard, fmt.Sprintf("%d from %d: %s", p.Host, from, frame))
}

func (p *broadcaster) OnRequest(_ door.Request, done func(door.Response)) { p.answer(p, done) }
func (p *broadcaster) EndTurn()                                           {}
func (p *broadcaster) Leads() bool                                        { return p.Host == p.leads }

// answerAtOnce answers every request at once.
func answerAtOnce(_ *broadcaster, done func(door.Response)) {
	done(door.Response{Outcome: door.Done, Found: true, Version: 1})
}

// broadcast runs a schedule with three broadcasters, of which n2 leads.
func broadcast(t *testing.T, steps string, with func(*System), answer func(*broadcaster, func(door.Response))) (*Result, []string) {
	t.Helper()
	var heard []string
	system := &System{Boot: func(d world.Doors) world.Program {
		return &broadcaster{Doors: d, heard: &heard, leads: 1, answer: answer}
	}}
	if with != nil {
		with(system)
	}
	s, err := schedule.Parse("nodes 3\npartitions 1\nworkload clients=2 keys=2 operations=20\nphases faults=3s core=4s converge=4s\noutside as-they-are\n" + steps)
	if err != nil {
		t.Fatal(err)
	}
	r, err := system.Run(s, RunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r, heard
}

// A frame from a host to itself arrives even if the network loses everything. In a
// healthy network, the frames of the host that starts last reach all others.
func TestSystemHearsWhatIsSent(t *testing.T) {
	own := []string{"0 from 0: I am 0", "1 from 1: I am 1", "2 from 2: I am 2"}
	r, heard := broadcast(t, "network mode=datagram\nrates loss=1\n", nil, answerAtOnce)
	if slices.Sort(heard); len(r.Classes) > 0 || !slices.Equal(heard, own) {
		t.Errorf("%v; heard %q over a network that loses everything", r.Violations, heard)
	}
	r, heard = broadcast(t, "", nil, answerAtOnce)
	heard = slices.DeleteFunc(heard, func(line string) bool { return slices.Contains(own, line) })
	if len(r.Classes) > 0 || len(heard) < 3 {
		t.Errorf("%v; heard %q of others", r.Violations, heard)
	}
}

func TestSystemsLeaderIsThePrimary(t *testing.T) {
	w, err := world.New(world.Config{Hosts: 3, NewProcess: world.Programs(func(d world.Doors) world.Program {
		return &broadcaster{Doors: d, heard: new([]string), leads: 1, answer: answerAtOnce}
	})})
	if err != nil {
		t.Fatal(err)
	}
	if host := w.ProgramIn(schedule.Primary); host != world.NoHost {
		t.Errorf("host %d leads before any process runs", host)
	}
	for host := range w.Hosts() {
		w.Start(host)
	}
	f := &injector{world: w}
	for role, want := range map[schedule.Role]int{schedule.Primary: 1, schedule.Backup: 0, schedule.Second: 2} {
		if got := f.hostOf(schedule.Target{Role: role}); got != want {
			t.Errorf("role %d is host %d, want %d", role, got, want)
		}
	}
}

func TestHarnessSeesWhatASystemBreaks(t *testing.T) {
	op := &linearizability.Operation{Key: "k0"}
	said := Violation{Class: RefusedSeen, What: "it is so", Operations: []*linearizability.Operation{op}}
	for _, c := range []struct {
		want   Class
		with   func(*System)
		answer func(*broadcaster, func(door.Response))
	}{
		{"", nil, answerAtOnce},
		{RefusedSeen, func(s *System) { s.Check = func([]linearizability.Operation) []Violation { return []Violation{said} } }, answerAtOnce},
		{Assertion, nil, func(*broadcaster, func(door.Response)) { panic("a bug") }},
		{Assertion, nil, func(p *broadcaster, _ func(door.Response)) { p.Fail(errors.New("a bug")) }},
		{Progress, nil, func(*broadcaster, func(door.Response)) {}},
	} {
		r, _ := broadcast(t, "at 1s crash n1 for 1s", c.with, c.answer)
		if c.want == "" && len(r.Classes) > 0 || c.want != "" && !slices.Contains(r.Classes, c.want) {
			t.Errorf("classes %v fired, want %q: %v", r.Classes, c.want, r.Violations)
		}
		if c.want == RefusedSeen && !slices.Equal(namedBy(r, RefusedSeen).keys, []string{"k0"}) {
			t.Errorf("the evidence is %+v", namedBy(r, RefusedSeen))
		}
	}
}

func TestAdaptMayNotTakeAwayWhatStepsName(t *testing.T) {
	s := &System{Adapt: func(s *schedule.Setup) { s.Partitions = 1 }}
	for seed := range uint64(20) {
		if drawn, err := Draw(seed, "default"); err == nil && drawn.Setup.Partitions > 4 {
			if _, err := s.Draw(seed, "default"); err == nil || !strings.Contains(err.Error(), "partition") {
				t.Fatalf("seed %d: %v", seed, err)
			}
			return
		}
	}
	t.Fatal("no seed has partitions to take away")
}
