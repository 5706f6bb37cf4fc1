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

// crier cries its host's number to everybody, and writes down what it hears.
type crier struct {
	world.Doors
	heard  *[]string
	leads  int
	answer func(p *crier, done func(door.Response))
}

func (p *crier) Start() {
	for host := range p.Hosts {
		p.Network.Send(host, fmt.Appendf(nil, "%d cries", p.Host))
	}
}

func (p *crier) OnFrame(from int, frame []byte) {
	*p.heard = append(*p.heard, fmt.Sprintf("%d from %d: %s", p.Host, from, frame))
}

func (p *crier) OnRequest(_ door.Request, done func(door.Response)) { p.answer(p, done) }
func (p *crier) EndTurn()                                           {}
func (p *crier) Leads() bool                                        { return p.Host == p.leads }

// yes answers at once.
func yes(_ *crier, done func(door.Response)) {
	done(door.Response{Outcome: door.Done, Found: true, Version: 1})
}

// cry runs a schedule over three criers of whom n2 leads.
func cry(t *testing.T, steps string, with func(*System), answer func(*crier, func(door.Response))) (*Result, []string) {
	t.Helper()
	var heard []string
	system := &System{Boot: func(d world.Doors) world.Program { return &crier{Doors: d, heard: &heard, leads: 1, answer: answer} }}
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

// What hosts send themselves arrives even where the network loses everything;
// whoever starts last is heard by all where it does not.
func TestSystemHearsWhatIsSent(t *testing.T) {
	own := []string{"0 from 0: 0 cries", "1 from 1: 1 cries", "2 from 2: 2 cries"}
	r, heard := cry(t, "network mode=datagram\nrates loss=1\n", nil, yes)
	if slices.Sort(heard); len(r.Classes) > 0 || !slices.Equal(heard, own) {
		t.Errorf("%v; heard %q over a network that loses everything", r.Violations, heard)
	}
	r, heard = cry(t, "", nil, yes)
	heard = slices.DeleteFunc(heard, func(line string) bool { return slices.Contains(own, line) })
	if len(r.Classes) > 0 || len(heard) < 3 {
		t.Errorf("%v; heard %q of others", r.Violations, heard)
	}
}

func TestSystemsLeaderIsThePrimary(t *testing.T) {
	w, err := world.New(world.Config{Hosts: 3, NewProcess: world.Programs(func(d world.Doors) world.Program {
		return &crier{Doors: d, heard: new([]string), leads: 1, answer: yes}
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
		answer func(*crier, func(door.Response))
	}{
		{"", nil, yes},
		{RefusedSeen, func(s *System) { s.Check = func([]linearizability.Operation) []Violation { return []Violation{said} } }, yes},
		{Assertion, nil, func(*crier, func(door.Response)) { panic("a bug") }},
		{Assertion, nil, func(p *crier, _ func(door.Response)) { p.Fail(errors.New("a bug")) }},
		{Progress, nil, func(*crier, func(door.Response)) {}},
	} {
		r, _ := cry(t, "at 1s crash n1 for 1s", c.with, c.answer)
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
