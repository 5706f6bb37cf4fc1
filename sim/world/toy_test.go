package world

import (
	"encoding/binary"
	"testing"
	"time"

	"dkv/node"
	"dkv/node/door"
	"dkv/sim/schedule"
	"dkv/zksim"
)

// toy is a process that uses every door: it counts its boots on disk, holds a znode,
// sends messages to its peers, and answers a put once it is durable.
type toy struct {
	t      testing.TB
	w      *World
	host   int
	cfg    node.Config
	env    node.Env
	number uint64
	boots  uint64

	session  door.Session
	batch    door.Batch
	waiting  []func()
	out      []func()
	inTurn   int   // events since the last EndTurn
	turns    []int // sizes of turns
	messages int
	heard    [16]int // messages, by the sender's host
	lost     []node.MemberNumber
	session0 []door.SessionEventKind
	timers   []time.Duration // reading of its clock at each tick
	stopping bool
}

const toyTick = 10 * time.Millisecond

// toyWorld makes a world of toys. The slice holds the last toy of each host.
func toyWorld(t testing.TB, cfg Config) (*World, []*toy) {
	if cfg.Hosts == 0 {
		cfg.Hosts = 3
	}
	toys := make([]*toy, cfg.Hosts)
	var w *World
	cfg.NewProcess = func(host int, c node.Config, env node.Env) (Process, error) {
		toys[host] = &toy{t: t, w: w, host: host, cfg: c, env: env, number: w.ProcessNumber(host)}
		return toys[host], nil
	}
	w, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w, toys
}

// step checks that the process is alive, and counts the turn's events.
func (p *toy) step() {
	p.inTurn++
	if state := p.w.State(p.host); p.w.ProcessNumber(p.host) != p.number || state == Down || state == Paused {
		p.t.Errorf("process %d of %s was called; the host is at process %d, %v", p.number, schedule.HostName(p.host), p.w.ProcessNumber(p.host), state)
	}
}

func (p *toy) Start() {
	p.step()
	value, _, err := p.env.Store.Get([]byte("boots"))
	if err != nil {
		p.t.Error(err)
	}
	if len(value) == 8 {
		p.boots = binary.BigEndian.Uint64(value)
	}
	p.boots++
	p.batch.Put([]byte("boots"), binary.BigEndian.AppendUint64(nil, p.boots))
	p.session = p.env.Coordinator.Open(p.onSession)
	p.tick()
}

func (p *toy) tick() {
	p.timers = append(p.timers, p.env.Clock.Now())
	if p.stopping {
		return
	}
	for i := range p.w.Hosts() {
		if i == p.host {
			continue
		}
		to := door.Peer{Number: node.MemberNumber(i + 1), Store: "s", Address: PeerAddress(i)}
		m := &node.Envelope{
			From: node.MemberNumber(p.host + 1), FromStore: "s", ToStore: "s",
			Body: &node.Beat{Kind: node.BeatHeart, Counter: node.Counter{Boot: p.boots, Sent: uint64(len(p.timers))}},
		}
		p.out = append(p.out, func() { p.env.Network.Send(to, m) })
	}
	p.env.Observer.Observe(node.Event{Kind: node.EventNotice, Index: door.Index(p.env.Random.Uint64())})
	p.env.Clock.After(toyTick, func() { p.step(); p.tick() })
	stop := p.env.Clock.After(toyTick, func() { p.t.Error("a stopped alarm rang") })
	stop()
}

func (p *toy) onSession(ev door.SessionEvent) {
	p.step()
	p.session0 = append(p.session0, ev.Kind)
	switch ev.Kind {
	case door.EventConnected:
		op := door.Op{Kind: door.OpCreateEphemeral, Path: "/" + schedule.HostName(p.host)}
		p.session.Multi([]door.Op{op}, func(error) { p.step() })
	case door.EventExpired:
		p.session = p.env.Coordinator.Open(p.onSession)
	}
}

func (p *toy) OnMessage(m *node.Envelope) {
	p.step()
	p.messages++
	p.heard[m.From-1]++
}

func (p *toy) OnPeerLost(peer node.MemberNumber) { p.step(); p.lost = append(p.lost, peer) }

func (p *toy) OnRequest(r door.Request, done func(door.Response)) {
	p.step()
	if r.Kind == door.RequestGet {
		value, found, _ := p.env.Store.Get(r.Key)
		done(door.Response{Outcome: door.Done, Found: found, Value: value})
		return
	}
	p.batch.Put(r.Key, r.Value)
	p.waiting = append(p.waiting, func() { done(door.Response{Outcome: door.Done}) })
}

func (p *toy) EndTurn() {
	if p.inTurn > 0 {
		p.turns = append(p.turns, p.inTurn)
	}
	p.inTurn = 0
	waiting, batch := p.waiting, p.batch
	p.waiting, p.batch = nil, door.Batch{}
	if !batch.Empty() {
		p.env.Store.Commit(&batch, func(err error) {
			p.step()
			if err != nil {
				p.env.Fail(err)
				return
			}
			for _, done := range waiting {
				done()
			}
		})
	}
	for _, send := range p.out {
		send()
	}
	p.out = nil
}

func (p *toy) Stop(done func()) {
	p.step()
	p.stopping = true
	p.session.Close(done)
}

func startAll(w *World) {
	for i := range w.Hosts() {
		w.Start(i)
	}
}

// counters returns the counters by name.
func counters(w *World) map[string]uint64 {
	list := make(map[string]uint64)
	for _, c := range w.Counters() {
		list[c.Name] = c.Count
	}
	return list
}

// quickZK configures a service whose sessions end soon.
func quickZK() zksim.Config { return zksim.Config{Tick: 200 * time.Millisecond} }
