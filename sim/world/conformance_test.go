package world

import (
	"fmt"
	"testing"
	"time"

	"dkv/node"
	"dkv/node/door"
	"dkv/node/envtest"
	"dkv/sim/schedule"
	"dkv/zksim"
	"dkv/zksim/zktree"
)

// puppet is a process that does only what the test makes it do.
type puppet struct {
	env     node.Env
	receive func(*node.Envelope)
}

func (p *puppet) Start() {}
func (p *puppet) OnMessage(m *node.Envelope) {
	if p.receive != nil {
		p.receive(m)
	}
}
func (p *puppet) OnPeerLost(node.MemberNumber) {}
func (p *puppet) OnRequest(_ door.Request, f func(_ door.Response)) {
	f(door.Response{Outcome: door.Refused})
}
func (p *puppet) EndTurn()         {}
func (p *puppet) Stop(done func()) { done() }

// puppetWorld is a world of puppets, in which the conformance bodies of envtest run.
type puppetWorld struct {
	t       *testing.T
	world   *World
	puppets []*puppet
}

func newPuppetWorld(t *testing.T, cfg Config) *puppetWorld {
	h := &puppetWorld{t: t}
	cfg.Hosts = envtest.NetworkNodes
	h.puppets = make([]*puppet, cfg.Hosts)
	cfg.NewProcess = func(host int, _ node.Config, env node.Env) (Process, error) {
		h.puppets[host] = &puppet{env: env}
		return h.puppets[host], nil
	}
	var err error
	if h.world, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.world.Close)
	return h
}

// Do runs fn as an event of some running host, since all hosts share one loop.
func (h *puppetWorld) Do(fn func()) {
	for _, host := range h.world.hosts {
		if host.current == nil {
			continue
		}
		ran := false
		host.current.post(dispatch{kind: kindTimer, fn: func() { fn(); ran = true }})
		for !ran && h.world.Step() {
		}
		return
	}
	h.t.Fatal("no host runs")
}

func (h *puppetWorld) RunUntil(cond func() bool) bool {
	for end := h.world.Now() + 30*time.Second; h.world.Now() < end; {
		if cond() {
			return true
		}
		if at, ok := h.world.scheduler.next(); !ok || at > end {
			break
		}
		h.world.Step()
	}
	return cond()
}

func (h *puppetWorld) Settle() { h.world.RunUntil(h.world.Now() + 50*time.Millisecond) }

func (h *puppetWorld) start(n int) *puppet {
	if !h.world.Start(n) {
		h.t.Fatalf("%s can't start", schedule.HostName(n))
	}
	return h.puppets[n]
}

// The world with one clock.
type clockWorld struct{ *puppetWorld }

func (h clockWorld) Clock() door.Clock { return h.puppets[0].env.Clock }

// The world with one disk.
type diskWorld struct{ *puppetWorld }

func (h diskWorld) Open() door.Store { return h.start(0).env.Store }
func (h diskWorld) Crash()           { h.world.Crash(0) }
func (h diskWorld) FailSyncs()       { h.world.FailSync(0) }

// The world with a network.
type netWorld struct{ *puppetWorld }

func (h netWorld) Peer(n int) door.Peer {
	return door.Peer{
		Number: node.MemberNumber(n + 1), Store: node.StoreID(fmt.Sprint("disk-", n)), Address: PeerAddress(n),
	}
}

func (h netWorld) Start(n int, receive func(*node.Envelope)) door.Network[*node.Envelope] {
	p := h.start(n)
	p.receive = receive
	return p.env.Network
}

func (h netWorld) Stop(n int) { h.world.Crash(n) }

// The world with ZooKeeper.
type zkWorld struct{ *puppetWorld }

func (h zkWorld) Coordinator(n int) door.Coordinator {
	if h.world.State(n) == Down {
		h.start(n)
	}
	return h.puppets[n].env.Coordinator
}

func (h zkWorld) Root() string {
	for n := range 2 {
		h.Coordinator(n)
	}
	const root = "/conformance"
	ended := false
	client := h.world.ZooKeeper().Connect("setup", 10*time.Second, silent{})
	client.Create(root, nil, 0, func(_ zksim.CreateResult, err error) {
		if err != nil {
			h.t.Fatal(err)
		}
		client.Close(func() { ended = true })
	})
	if !h.RunUntil(func() bool { return ended }) {
		h.t.Fatal("ZooKeeper does not answer")
	}
	return root
}

func (h zkWorld) Expire(s door.Session) {
	if !h.world.ZooKeeper().ExpireSession(s.ID()) {
		h.t.Fatalf("session %d can't be ended", s.ID())
	}
}

func (h zkWorld) Cut(n int)  { h.world.CutZooKeeper(n) }
func (h zkWorld) Heal(n int) { h.world.HealZooKeeper(n) }

// silent is a zksim.Handler that ignores everything.
type silent struct{}

func (silent) SessionEvent(zksim.SessionState) {}
func (silent) WatchEvent(zktree.Event)         {}

// conformanceConfigs differ in everything that a door must hide.
func conformanceConfigs() map[string]Config {
	return map[string]Config{
		"ordinary": {Seed: 1},
		"turns": {
			Seed: 2, DriftPPM: 50_000,
			Turns: TurnProfile{Most: 64, Delay: Range{0, time.Millisecond}},
			Disk:  DiskProfile{Sync: Range{0, 0}},
		},
		"adapter":   {Seed: 4, Door: schedule.DoorView{OneAtATime: true, Deadlines: true, Coalesce: true, Watchdog: true, Rewatch: 0.5}},
		"slow disk": {Seed: 3, DriftPPM: 100, Disk: DiskProfile{Sync: Range{time.Millisecond, 50 * time.Millisecond}}},
	}
}

// TestStoresConform runs the conformance body of the store over Pebble too.
func TestStoresConform(t *testing.T) {
	for _, store := range schedule.Stores()[1:] {
		for name, cfg := range conformanceConfigs() {
			t.Run(string(store)+" "+name, func(t *testing.T) {
				t.Parallel()
				cfg.Disk.Store = store
				envtest.TestStore(t, func(t *testing.T) envtest.StoreHarness { return diskWorld{newPuppetWorld(t, cfg)} })
			})
		}
	}
}

func TestDoorsConform(t *testing.T) {
	for name, cfg := range conformanceConfigs() {
		t.Run(name, func(t *testing.T) {
			t.Run("clock", func(t *testing.T) {
				envtest.TestClock(t, func(t *testing.T) envtest.ClockHarness {
					h := newPuppetWorld(t, cfg)
					h.start(0)
					return clockWorld{h}
				})
			})
			t.Run("store", func(t *testing.T) {
				envtest.TestStore(t, func(t *testing.T) envtest.StoreHarness { return diskWorld{newPuppetWorld(t, cfg)} })
			})
			t.Run("network", func(t *testing.T) {
				envtest.TestNetwork(t, func(t *testing.T) envtest.NetworkHarness { return netWorld{newPuppetWorld(t, cfg)} })
			})
			t.Run("coordinator", func(t *testing.T) {
				envtest.TestCoordinator(t, func(t *testing.T) envtest.CoordinatorHarness { return zkWorld{newPuppetWorld(t, cfg)} })
			})
		})
	}
}
