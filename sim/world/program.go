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

// Doors are a Program's interfaces to the world. They belong to one process and keep
// the promises that package door states.
type Doors struct {
	Host, Hosts int // the number of its host, from 0, and of all hosts
	Clock       door.Clock
	Network     Frames
	Store       door.Store
	Coordinator door.Coordinator
	Random      door.Random
	// Note adds words to the trace.
	Note func(words string)
	// Fail ends the process, as a panic would. A new process starts soon after.
	Fail func(error)
}

// Frames is a network that carries byte strings. It may lose, delay, duplicate and
// reorder them, but never changes one. What a process sends to itself always arrives.
type Frames interface {
	// Send sends a frame. The caller must not write to the frame afterwards.
	Send(host int, frame []byte)
}

// Program is a process of a System. Its methods handle events: each returns before the
// next is called, and none waits.
type Program interface {
	Start()
	OnFrame(from int, frame []byte)
	// OnRequest handles a client's request. It calls done once, at any time, or
	// never: then the client times out. The system defines what kinds and keys
	// mean. Of the answer, the history keeps Found, Version, Value and Index.
	OnRequest(r door.Request, done func(door.Response))
	// EndTurn is called after a group of events, so that one Commit can serve all of
	// them.
	EndTurn()
	// Leads reports whether the process considers itself the leader. A schedule calls
	// it the primary; backup and second are the first two that do not lead.
	Leads() bool
}

// Programs returns a Config.NewProcess that boots Programs.
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

// programProcess is the Process of a Program. Its messages are frames.
type programProcess struct{ Program }

func (*programProcess) OnMessage(*node.Envelope) {}

func (*programProcess) OnPeerLost(node.MemberNumber) {}

func (*programProcess) Stop(done func()) { done() }

// frameDoor is a Program's Frames. It appends a checksum to each frame, as a node's
// frames have one of their own: the network damages frames, and Frames promises that
// none arrives damaged.
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

// frameHandler receives a Program's frames from the network.
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

// handlerFor returns the network handler for a process.
func (p *hostProcess) handlerFor(process Process) netsim.Handler {
	if _, ok := process.(*programProcess); ok {
		return frameHandler{p}
	}
	return netHandler{p}
}

// ProgramIn returns the host whose Program has a role in a system without a layout: the
// primary is the first that leads, backup and second are the first two that do not. It
// returns NoHost if there is no such Program.
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

// AllRun returns an error that names the first host whose process does not run. It
// ignores hosts with a ruined disk.
func (w *World) AllRun() error {
	for host, h := range w.hosts {
		if h.state != Up && !h.disk.ruined {
			return fmt.Errorf("%s is %v", schedule.HostName(host), h.state)
		}
	}
	return nil
}
