package counter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"dkv/linearizability"
	"dkv/node/door"
	"dkv/sim"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// Flaw is a bug to plant, for the harness to find; "" plants no bug.
type Flaw string

const (
	Unfenced Flaw = "unfenced" // hosts accept frames with older tokens
	Unsynced Flaw = "unsynced" // hosts answer before their disks have synced

	pace = 100 * time.Millisecond // interval of retries
	most = 1000                   // requests that may wait for the next round
)

// System returns the counter with a flaw, ready to run in package sim.
func System(flaw Flaw) *sim.System {
	return &sim.System{
		Boot:  func(d world.Doors) world.Program { return &replica{Doors: d, flaw: flaw} },
		Check: check,
		Adapt: func(s *schedule.Setup) {
			s.Workload.Get, s.Workload.Put, s.Workload.Delete, s.Workload.Conditional = 0, 100, 0, 0
			s.Phases.Core = 0 // the leader may be outside the core, and some of the core may not reach it
		},
		Command: "go test ./sim/examples/counter -v -run=Schedule -flaw=" + string(flaw),
	}
}

const (
	ask      = iota + 1 // origin to all: request ID needs a number
	told                // leader to origin: the number for ID is State.Number
	prepare             // leader to all: promise Token and send your state
	promise             // host to leader: State is mine, and I reject tokens older than Token
	accept              // leader to all: State.Number is the last number of this round
	accepted            // host to leader: State.Number is on my disk
)

type frame struct {
	Kind      uint8
	Token, ID uint64
	State     state
}

// state is stored on a host's disk: Number was accepted under Token.
type state struct{ Promised, Token, Number uint64 }

type replica struct {
	world.Doors
	flaw    Flaw
	state   state
	durable []func() // called once the state is durable
	session door.Session
	asked   map[uint64]func(door.Response) // requests of this host by ID; never iterated

	// The state of the leader, which holds the lock.
	token  uint64         // 0: not the leader
	ready  bool           // a majority has promised
	best   state          // the newest promised state, then the accepted one
	voters uint64         // hosts that have answered, as bits
	queue  []func(uint64) // answer the requests that wait for the next round
	round  []func(uint64) // answer the requests of this round
}

func (r *replica) Leads() bool { return r.token != 0 }

func (r *replica) Start() {
	value, found, err := r.Store.Get([]byte("state"))
	if found && err == nil {
		_, err = binary.Decode(value, binary.BigEndian, &r.state)
	}
	if err != nil {
		r.Fail(err)
		return
	}
	r.asked, r.session = map[uint64]func(door.Response){}, r.Coordinator.Open(r.onSession)
	r.tick()
}

// tick repeats the messages that have not been answered.
func (r *replica) tick() {
	if r.token != 0 && !r.ready {
		r.all(frame{Kind: prepare, Token: r.token})
	} else if len(r.round) > 0 {
		r.all(frame{Kind: accept, Token: r.token, State: r.best})
	}
	r.Clock.After(pace, r.tick)
}

func (r *replica) onSession(ev door.SessionEvent) {
	if ev.Kind == door.EventExpired {
		r.token, r.ready, r.queue, r.round = 0, false, nil, nil
		r.session = r.Coordinator.Open(r.onSession)
	}
	r.look(r.session)
}

// look reads the lock, and takes it if it is free.
func (r *replica) look(s door.Session) {
	s.Get("/lock", true, func(_ []byte, stat door.Stat, err error) {
		switch {
		case s != r.session:
		case err == nil && stat.EphemeralOwner == s.ID() && r.token == 0:
			r.token, r.best, r.voters = uint64(stat.Czxid), state{}, 0
			r.Note(fmt.Sprintf("leads with token %d", r.token))
			r.all(frame{Kind: prepare, Token: r.token})
		case err != nil:
			if errors.Is(err, door.ErrNoNode) {
				s.Multi([]door.Op{{Kind: door.OpCreateEphemeral, Path: "/lock"}}, func(error) {})
			}
			r.Clock.After(pace, func() { r.look(s) })
		}
	})
}

func (r *replica) OnRequest(q door.Request, done func(door.Response)) {
	id := r.Random.Uint64()
	r.asked[id] = done
	r.Clock.After(q.Timeout, func() { delete(r.asked, id) })
	r.all(frame{Kind: ask, ID: id})
}

func (r *replica) OnFrame(from int, bytes []byte) {
	var f frame
	_, _ = binary.Decode(bytes, binary.BigEndian, &f) // frames arrive unchanged or not at all
	current := f.Token >= r.state.Promised || r.flaw == Unfenced
	switch {
	case f.Kind == ask && r.token != 0 && len(r.queue) < most:
		r.queue = append(r.queue, func(n uint64) { r.send(from, frame{Kind: told, ID: f.ID, State: state{Number: n}}) })
		r.begin()
	case f.Kind == told:
		if done := r.asked[f.ID]; done != nil {
			delete(r.asked, f.ID)
			done(door.Response{Outcome: door.Done, Found: true, Version: door.Version(f.State.Number)})
		}
	case f.Kind == prepare && current:
		r.state.Promised = f.Token
		r.reply(from, promise, f.Token)
	case f.Kind == promise && f.Token == r.token && !r.ready:
		if s := f.State; s.Token > r.best.Token || s.Token == r.best.Token && s.Number > r.best.Number {
			r.best = s
		}
		r.ready = r.majority(from)
		r.begin()
	case f.Kind == accept && current && (f.Token != r.state.Token || f.State.Number >= r.state.Number):
		r.state = state{f.Token, f.Token, f.State.Number}
		r.reply(from, accepted, f.Token)
	case f.Kind == accepted && f.Token == r.token && f.State.Number == r.best.Number && len(r.round) > 0 && r.majority(from):
		r.finish()
	}
}

// begin assigns numbers to all waiting requests, unless a round is in progress.
func (r *replica) begin() {
	if r.ready && len(r.round) == 0 && len(r.queue) > 0 {
		r.round, r.queue, r.voters = r.queue, nil, 0
		r.best.Number += uint64(len(r.round))
		r.all(frame{Kind: accept, Token: r.token, State: r.best})
	}
}

// finish sends the numbers of the round, now that a majority has stored the last.
func (r *replica) finish() {
	first := r.best.Number - uint64(len(r.round)) + 1
	for i, tell := range r.round {
		tell(first + uint64(i))
	}
	r.round = nil
	r.begin()
}

// majority counts a voter once and reports whether the voters are a majority.
func (r *replica) majority(voter int) bool {
	r.voters |= 1 << voter
	return bits.OnesCount64(r.voters) > r.Hosts/2
}

// reply sends the present state to a host once that state is durable.
func (r *replica) reply(to int, kind uint8, token uint64) {
	f := frame{Kind: kind, Token: token, State: r.state}
	r.durable = append(r.durable, func() { r.send(to, f) })
}

// EndTurn commits the changes of the turn once for all replies.
func (r *replica) EndTurn() {
	if len(r.durable) == 0 {
		return
	}
	b, durable := door.Batch{}, r.durable
	r.durable = nil
	bytes, _ := binary.Append(nil, binary.BigEndian, r.state)
	b.Put([]byte("state"), bytes)
	done := func(err error) {
		if err != nil {
			r.Fail(err)
			return
		}
		for _, say := range durable {
			say()
		}
	}
	if r.flaw == Unsynced {
		done(nil)
		done = nil
	}
	r.Store.Commit(&b, done)
}

func (r *replica) send(to int, f frame) {
	bytes, _ := binary.Append(nil, binary.BigEndian, f) // cannot fail: every field has a fixed size
	r.Network.Send(to, bytes)
}

func (r *replica) all(f frame) {
	for host := range r.Hosts {
		r.send(host, f)
	}
}

// check returns a violation if a number was given twice, or was lower than one
// that was answered before its request began.
func check(history []linearizability.Operation) (found []sim.Violation) {
	for i := range history {
		for j := range history {
			a, b := &history[i], &history[j]
			m, n := a.Answer.Version, b.Answer.Version
			if n > 0 && (m == n && i < j || m > n && a.Return < b.Call) { // 0: no answer
				what := fmt.Sprintf("client %d got number %d at %v, but client %d got number %d for its request of %v",
					a.Client, m, a.ReturnTime, b.Client, n, b.CallTime)
				found = append(found, sim.Violation{Class: sim.Linearizability, What: what, Operations: []*linearizability.Operation{a, b}})
			}
		}
	}
	return found
}
