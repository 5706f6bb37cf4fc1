package world

import (
	"fmt"
	"io"
	"time"

	"dkv/netsim"
	"dkv/node"
	"dkv/node/door"
	"dkv/sim/schedule"
	"dkv/zksim"
	"dkv/zksim/zktree"
)

// Config describes a world. A field's zero value selects its default.
type Config struct {
	// Seed determines every random draw.
	Seed uint64
	// Hosts is the number of machines, including those that join later.
	// Default 3, at most MaxHosts. No host runs a process before Start.
	Hosts int

	// Node is the configuration of every node, except for its ID and
	// addresses, which the world sets from the host's name.
	Node node.Config
	// Configure, if not nil, adjusts the configuration of one host. The world
	// calls it whenever a process starts, after setting all other fields.
	Configure func(host int, cfg *node.Config)
	// NewProcess makes the process of a host. Default NewNode.
	NewProcess func(host int, cfg node.Config, env node.Env) (Process, error)

	Net netsim.Config
	// ZooKeeper configures the service. The world sets its OnCommit; use
	// OnZKCommit instead.
	ZooKeeper zksim.Config
	// SessionTimeout is what nodes request of ZooKeeper. Default 10 s.
	SessionTimeout time.Duration
	// Door selects which habits of the production ZooKeeper adapter the
	// nodes' sessions imitate.
	Door schedule.DoorView

	Disk  DiskProfile
	Turns TurnProfile
	// Order decides between steps that are due at about the same time.
	Order schedule.Order

	// DriftPPM bounds the drift of a host's clock, in parts per million either
	// way. Each host draws its rate within the bound. Default 0.
	DriftPPM int
	// ClockPPM, if not nil, returns how much faster a host's clock runs besides, in
	// parts per million.
	ClockPPM func(host int) int64
	// Recovery is the time from Restart to the start of the process. Default
	// 50 ms to 2 s.
	Recovery Range
	// ClientLatency is the one-way delay between a client and its host.
	// Default 50 to 500 µs.
	ClientLatency Range

	// The world calls the hooks inside the step that they report. A hook may
	// read anything of the world but must not change it: a change would depend
	// on whether the hook is set, and so would the run. Interrupt is allowed.

	// OnEvent receives what nodes report to their Observers.
	OnEvent func(host int, ev node.Event)
	// OnSend is told of every frame that a process hands to the network, with its size
	// in bytes; of none that it keeps because no connection stands.
	OnSend func(from, to int, m *node.Envelope, size int)
	// OnReceive is told of every frame of a node that reaches a process.
	OnReceive func(from, to int)
	// OnBroken is told when a process finds, after a turn, that its state breaks
	// one of its own invariants.
	OnBroken func(host int, err error)
	// OnDisk, if not nil, is called when a host gets another disk, or another state of
	// its own: what the host was seen to make durable need not be on it.
	OnDisk func(host int)
	// OnHost is told when a process starts, ends, pauses or resumes.
	OnHost func(host int, change HostChange)
	// OnZKCommit receives every transaction that ZooKeeper's leader commits.
	OnZKCommit func(txn *zktree.Txn, r *zktree.Result)

	// Steps, if not nil, receives one line for each step.
	Steps io.Writer
}

// TurnProfile shapes the turns of processes: how many events a turn handles,
// and for how long events gather before it.
type TurnProfile struct {
	// Most bounds the events of a turn. Each turn draws its own bound from 1 to
	// Most, on a log scale. Default 1, at most 256.
	Most int
	// Delay is the time from the first waiting event to the turn. Default 0.
	Delay Range
}

// Process runs on a host. It is a *node.Node, a Program wrapped by Programs,
// or a test's own type.
type Process interface {
	Start()
	OnMessage(m *node.Envelope)
	OnPeerLost(peer node.MemberNumber)
	OnRequest(r door.Request, done func(door.Response))
	EndTurn()
	Stop(done func())
}

// MaxHosts bounds Config.Hosts.
const MaxHosts = 64

func (c Config) withDefaults() Config {
	if c.Hosts == 0 {
		c.Hosts = 3
	}
	if c.NewProcess == nil {
		c.NewProcess = NewNode
	}
	if c.SessionTimeout == 0 {
		c.SessionTimeout = 10 * time.Second
	}
	if c.Turns.Most == 0 {
		c.Turns.Most = 1
	}
	setRange(&c.Recovery, 50*time.Millisecond, 2*time.Second)
	setRange(&c.ClientLatency, 50*time.Microsecond, 500*time.Microsecond)
	c.Disk = c.Disk.withDefaults()
	return c
}

func setRange(r *Range, low, high time.Duration) {
	if *r == (Range{}) {
		*r = Range{low, high}
	}
}

// NewNode makes a *node.Node. It is the default of Config.NewProcess.
func NewNode(_ int, cfg node.Config, env node.Env) (Process, error) {
	n, err := node.New(cfg, env)
	if err != nil {
		return nil, err
	}
	return n, nil
}

// Validate returns an error that names the first invalid field.
func (c Config) Validate() error {
	c = c.withDefaults()
	if _, err := schedule.ParseStore(string(c.Disk.Store)); err != nil {
		return fmt.Errorf("world: Disk.Store: %w", err)
	}
	switch {
	case c.Hosts < 1 || c.Hosts > MaxHosts:
		return fmt.Errorf("world: Hosts is %d; want 1 to %d", c.Hosts, MaxHosts)
	case c.Turns.Most < 1 || c.Turns.Most > schedule.MostTurn:
		return fmt.Errorf("world: Turns.Most is %d; want 1 to %d", c.Turns.Most, schedule.MostTurn)
	case c.DriftPPM < 0 || c.DriftPPM > schedule.MaxDriftPPM:
		return fmt.Errorf("world: DriftPPM is %d; want 0 to %d", c.DriftPPM, schedule.MaxDriftPPM)
	case c.SessionTimeout < 0:
		return fmt.Errorf("world: SessionTimeout is %v; want above 0", c.SessionTimeout)
	case c.Order.Crash.Step > 0 && c.Order.Crash.Host >= c.Hosts:
		return fmt.Errorf("world: Order.Crash.Host is %d; want 0 to %d", c.Order.Crash.Host, c.Hosts-1)
	}
	for _, f := range []struct {
		name string
		span Range
	}{
		{"Turns.Delay", c.Turns.Delay}, {"Recovery", c.Recovery}, {"ClientLatency", c.ClientLatency},
		{"Disk.Sync", c.Disk.Sync},
	} {
		if f.span.Min < 0 || f.span.Max < f.span.Min {
			return fmt.Errorf("world: %s: want 0 <= Min <= Max, have %v and %v", f.name, f.span.Min, f.span.Max)
		}
	}
	return c.Order.Validate()
}
