package sim

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"

	"dkv/linearizability"
	"dkv/netsim"
	"dkv/node"
	"dkv/node/door"

	"github.com/cespare/xxhash/v2"
)

// A System is a program other than DKV on the same stage: the same hosts, disks,
// clocks, network and ZooKeeper, the same schedules of faults, the same clients,
// and the same traces, so that a seed is a run here too, and a failing run can be
// made small. Package sim/examples/counter is one.
type System struct {
	// Boot makes what runs on a host, each time a process starts there. What one
	// process leaves to the next stands in its store.
	Boot func(Doors) Program
	// Check judges what the clients asked and were told: every violation has its
	// class, its sentence, and the operations that show it. The harness itself
	// sees panics (A), calls of Fail that no disk explains (A), and clients
	// whom nobody answers (V).
	Check func(history []linearizability.Operation) []Violation
	// Adapt, if not nil, changes what a seed draws to what the system is made for.
	Adapt func(*Setup)
	// Command is the go test command that takes -schedule=FILE.
	Command string
}

// Doors are all that a Program touches. They belong to one process, and keep the
// promises that package node asks of its own.
type Doors struct {
	Host, Hosts int // its number, from 0, and how many there are
	Clock       door.Clock
	Network     Frames
	Store       door.Store
	Coordinator door.Coordinator
	Random      door.Random
	// Note makes words part of the trace, for whoever reads it.
	Note func(words string)
	// Fail ends the process, as a panic does. A new one starts soon after.
	Fail func(error)
}

// Frames is a network that carries bytes. It may lose, delay, double and
// reorder them; what arrives is as it was sent. What a process sends itself
// always arrives.
type Frames interface {
	// Send hands a frame over to the network; nobody may write to it any more.
	Send(host int, frame []byte)
}

// Program is a process of a System. Its methods are events: each runs to its end
// before the next, and waits for nothing.
type Program interface {
	Start()
	OnFrame(from int, frame []byte)
	// OnRequest is a client's. Its end is told once, or never: then the client
	// loses patience. What kinds and keys mean is the system's to say; of an
	// answer the history keeps Found, Version, Value and Index.
	OnRequest(r door.Request, done func(door.Response))
	// EndTurn comes after the events that were handled together: one Commit may
	// serve all of them.
	EndTurn()
	// Leads says whether the process takes itself for the one that matters:
	// what a schedule calls primary, where backup and second do not lead.
	Leads() bool
}

// Run is as the function of this name, without what it asks of DKV alone. The
// phases are those of every run: faults; a majority of the hosts has to answer,
// each a put and a get a partition, while the rest stays broken; all healed,
// every host runs and every key can be read. A system that does not promise one
// of them leaves it out by the setup.
func (s *System) Run(schedule *Schedule, o RunOptions) (*Result, error) {
	r := newRun(schedule, o)
	r.system, r.newProcess = s, s.boot
	return r.play()
}

// Draw is as the function of this name. A schedule of which no text can be made
// and read again, since Adapt took away what its steps name, is an error.
func (s *System) Draw(seed uint64, profile string) (*Schedule, error) {
	schedule, err := Draw(seed, profile)
	if err != nil || s.Adapt == nil {
		return schedule, err
	}
	s.Adapt(&schedule.Setup)
	return ParseSchedule(schedule.String())
}

// Search runs seeds, each twice, until one fails, and returns that or, if none
// does, the last.
func (s *System) Search(seeds Seeds, profile string) (r *Result, err error) {
	for seed := seeds.From; seed <= seeds.To && (r == nil || len(r.Classes) == 0); seed++ {
		schedule, err := s.Draw(seed, profile)
		if err != nil {
			return nil, err
		}
		if r, err = s.RunTwice(schedule); err != nil {
			return r, fmt.Errorf("seed %d: %w", seed, err)
		}
	}
	return r, nil
}

// RunTwice is as the function of this name.
func (s *System) RunTwice(schedule *Schedule) (*Result, error) { return runTwice(schedule, s.Run) }

// RunFile runs the schedule in a file, twice.
func (s *System) RunFile(path string) (*Result, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading a schedule: %w", err)
	}
	schedule, err := ParseSchedule(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s.RunTwice(schedule)
}

// Shrink is as the function of this name.
func (s *System) Shrink(failed *Result, o ShrinkOptions) *Result {
	if o.RunAll == nil {
		o.RunAll = func(all []*Schedule) []*Result { return runInTurn(all, s.Run) }
	}
	return Shrink(failed, o)
}

// Report writes the files of a failed run below dir, and returns what the run
// has to say for itself.
func (s *System) Report(dir string, r *Result) (string, error) {
	rep, err := writeReport(dir, r, s.Run)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	writeFailure(&b, r, "")
	fmt.Fprintf(&b, "  the run's files: %s\n", rep.Dir)
	fmt.Fprintf(&b, "  the run again:   %s -schedule=%s\n", s.Command, rep.Schedule)
	return b.String(), nil
}

func (s *System) boot(host int, _ node.Config, env node.Env) (Process, error) {
	l := env.Network.(netDoor).life
	return &guest{s.Boot(Doors{
		Host: host, Hosts: l.world().Hosts(),
		Clock: env.Clock, Network: frameDoor{l}, Store: env.Store, Coordinator: env.Coordinator, Random: env.Random,
		Note: func(words string) { env.Observer.Observe(node.Event{Kind: node.EventNotice, Text: words}) },
		Fail: env.Fail,
	})}, nil
}

// guest is a Program as a host runs it. Its messages are frames.
type guest struct{ Program }

func (*guest) OnMessage(*node.Envelope)     {}
func (*guest) OnPeerLost(node.MemberNumber) {}
func (*guest) Stop(done func())             { done() }

// frameDoor is the network as a guest sends into it. The checksum that DKV's
// own frames have in them is put behind the others here.
type frameDoor struct{ life *life }

const sumBytes = 8

func (d frameDoor) Send(to int, frame []byte) {
	l := d.life
	if l.ended || l.trapped() {
		return
	}
	if to == l.host.index {
		l.onFrame(to, frame, xxhash.Sum64(frame))
		return
	}
	w := l.world()
	w.network.Send(l.host.netID, w.hosts[to].netID, binary.BigEndian.AppendUint64(slices.Clone(frame), xxhash.Sum64(frame)))
}

// frameHandler is a guest's end of the network.
type frameHandler struct{ life *life }

func (h frameHandler) OnFrame(from netsim.HostID, frame []byte) {
	n := len(frame) - sumBytes
	switch {
	case h.life.ended:
	case n < 0 || binary.BigEndian.Uint64(frame[n:]) != xxhash.Sum64(frame[:n]):
		h.life.dropConnection(from)
	default:
		h.life.onFrame(int(from), frame[:n], frameHash(frame))
	}
}

func (frameHandler) OnPeerLost(netsim.HostID) {}

func (l *life) onFrame(from int, frame []byte, sum uint64) {
	program := l.host.process.(*guest)
	l.post(dispatch{kind: KindMessage, payload: sum, fn: func() { program.OnFrame(from, frame) }})
}

// handlerFor is the end of the network that fits a process.
func (l *life) handlerFor(p Process) netsim.Handler {
	if _, ok := p.(*guest); ok {
		return frameHandler{l}
	}
	return netHandler{l}
}

// judge lets the system judge a history.
func (s *System) judge(v *verdict, history []linearizability.Operation) {
	if s.Check == nil {
		return
	}
	for _, found := range s.Check(history) {
		v.add(found)
	}
}

// guestOf finds who has a role where there is no layout: who leads, and the
// first two who do not.
func (w *World) guestOf(role Role) int {
	rank := 0
	for host, h := range w.hosts {
		g, ok := h.process.(*guest)
		switch {
		case !ok:
		case g.Leads() && role == Primary:
			return host
		case !g.Leads():
			if rank++; rank == 1 && role == Backup || rank == 2 && role == Second {
				return host
			}
		}
	}
	return NoHost
}

// notRunning says which host does not run.
func (w *World) notRunning() error {
	for host, h := range w.hosts {
		if h.state != Up && !h.disk.ruined {
			return fmt.Errorf("%s is %v", HostName(host), h.state)
		}
	}
	return nil
}
