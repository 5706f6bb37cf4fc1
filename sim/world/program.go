package world

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"dkv/netsim"
	"dkv/node"
	"dkv/node/door"
	"dkv/sim/schedule"
)

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

// Programs makes Config.NewProcess of what starts a Program.
func Programs(boot func(Doors) Program) func(int, node.Config, node.Env) (Process, error) {
	return func(host int, _ node.Config, env node.Env) (Process, error) {
		p := env.Network.(netDoor).process
		return &programProcess{boot(Doors{
			Host: host, Hosts: p.world().Hosts(),
			Clock: env.Clock, Network: frameDoor{p}, Store: env.Store, Coordinator: env.Coordinator, Random: env.Random,
			Note: func(words string) { env.Observer.Observe(node.Event{Kind: node.EventNotice, Text: words}) },
			Fail: env.Fail,
		})}, nil
	}
}

// guest is a Program as a host runs it. Its messages are frames.
type programProcess struct{ Program }

func (*programProcess) OnMessage(*node.Envelope) {}

func (*programProcess) OnPeerLost(node.MemberNumber) {}

func (*programProcess) Stop(done func()) { done() }

// frameDoor is the network as a guest sends into it. The checksum that DKV's
// own frames have in them is put behind the others here.
type frameDoor struct{ process *hostProcess }

const sumBytes = 8

func (d frameDoor) Send(to int, frame []byte) {
	p := d.process
	if p.ended || p.trapped() {
		return
	}
	if to == p.host.index {
		p.onFrame(to, frame, xxhash.Sum64(frame))
		return
	}
	w := p.world()
	w.network.Send(p.host.netID, w.hosts[to].netID, binary.BigEndian.AppendUint64(slices.Clone(frame), xxhash.Sum64(frame)))
}

// frameHandler is a guest's end of the network.
type frameHandler struct{ process *hostProcess }

func (h frameHandler) OnFrame(from netsim.HostID, frame []byte) {
	n := len(frame) - sumBytes
	switch {
	case h.process.ended:
	case n < 0 || binary.BigEndian.Uint64(frame[n:]) != xxhash.Sum64(frame[:n]):
		h.process.dropConnection(from)
	default:
		h.process.onFrame(int(from), frame[:n], frameHash(frame))
	}
}

func (frameHandler) OnPeerLost(netsim.HostID) {}

func (p *hostProcess) onFrame(from int, frame []byte, sum uint64) {
	program := p.host.process.(*programProcess)
	p.post(dispatch{kind: kindMessage, payload: sum, fn: func() { program.OnFrame(from, frame) }})
}

// handlerFor is the end of the network that fits a process.
func (p *hostProcess) handlerFor(process Process) netsim.Handler {
	if _, ok := process.(*programProcess); ok {
		return frameHandler{p}
	}
	return netHandler{p}
}

// ProgramIn returns the host whose Program has a role, where there is no layout:
// the one that leads, or one of the first two that do not; NoHost if none has it.
func (w *World) ProgramIn(role schedule.Role) int {
	rank := 0
	for host, h := range w.hosts {
		g, ok := h.process.(*programProcess)
		switch {
		case !ok:
		case g.Leads() && role == schedule.Primary:
			return host
		case !g.Leads():
			if rank++; rank == 1 && role == schedule.Backup || rank == 2 && role == schedule.Second {
				return host
			}
		}
	}
	return NoHost
}

// AllRun returns an error that names the first host whose process does not run,
// ruined disks aside.
func (w *World) AllRun() error {
	for host, h := range w.hosts {
		if h.state != Up && !h.disk.ruined {
			return fmt.Errorf("%s is %v", schedule.HostName(host), h.state)
		}
	}
	return nil
}
