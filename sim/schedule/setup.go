package schedule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dkv/netsim"
	"dkv/zksim"
)

// Setup describes a run apart from its timed steps. The header of a schedule's
// text holds it, with one line per group of fields.
type Setup struct {
	Seed uint64 // decides everything that the schedule leaves open

	Nodes int // 1 to MaxNodes, named n1, n2, …; all of them form the cluster
	// Strangers is the number of further hosts, numbered after the nodes. Each starts
	// once the cluster has formed, and no layout lists it before an operator lets it
	// join (step join). Nodes and Strangers together are at most MaxNodes.
	Strangers   int
	Partitions  int // Q
	Replication int
	Ring        int     // version of the ring's rule by which the cluster is formed
	Zones       PerHost // zones of the nodes
	Weights     PerHost // weights of the nodes

	SuspectAfter time.Duration // the nodes' settings, as in node.Config
	// Uneven lists nodes whose clocks run faster or slower than the others', by how long
	// suspect-after lasts there.
	Uneven         Uneven
	RequestTimeout time.Duration
	MoveTimeout    time.Duration
	SettleTime     time.Duration
	ReplaceAfter   time.Duration // 0: never
	RetainEntries  int
	RetainBytes    int
	ChunkBytes     int
	ViewTime       time.Duration
	// MoveRate bounds what a node copies to learners, in bytes a second; 0: the nodes
	// begin no moves, only the administrator does. CopyLogBytes bounds the log that a
	// node keeps for copies.
	MoveRate     int
	CopyLogBytes int
	// UncommittedBytes bounds the uncommitted entries of a partition. The bound of a
	// node is four times as much.
	UncommittedBytes int

	Network     netsim.Mode
	LatencyMin  time.Duration // of a frame
	LatencyMean time.Duration
	QueueFrames int          // in flight from one node to another; more are dropped
	Rates       netsim.Rates // until a step changes them, and again after it

	Recovery time.Duration // a process takes at most this time to start, and at least LeastRecovery
	Sync     Disk
	Store    Store // of the disks' contents

	ZKServers      int
	SessionTimeout time.Duration
	ZKRates        zksim.Rates
	// ZKPause is the probability, for each lost connection to ZooKeeper, that the
	// client library pauses for a second before it tries another server.
	ZKPause float64
	// ZKScripts is the number of additional sessions that use ZooKeeper in ways in
	// which nodes do not.
	ZKScripts int
	Door      DoorView

	Drift int // greatest drift of a node's clock in either direction, in millionths

	Turn int // greatest number of events in a turn of a node; the number is drawn
	// TurnMin and TurnMax bound the time for which events gather before a turn.
	TurnMin, TurnMax time.Duration

	Order Order

	Workload Workload
	Phases   Phases
	Budget   Budget // of the steps
	// Outside is the state of the nodes outside the viable core while the core must
	// make progress.
	Outside Outside
	Steady  Steady
}

// Hosts returns the number of hosts, of nodes and of strangers.
func (s *Setup) Hosts() int { return s.Nodes + s.Strangers }

// Steady describes the stretch of the core phase in which the faults stand still, after
// the core has answered. No partition may change its primary again and again in it, and
// a move made in it must finish.
type Steady struct {
	Time  time.Duration // for which epochs are watched, once all has settled; 0: there is no such stretch
	Spare int           // hosts in the core beyond a smallest majority
	Cuts  int           // links between hosts of the core to cut, at most; each partition keeps a replica that reaches a majority
	Moves int           // moves that an administrator begins
}

// Disk is the range of the time that a simulated disk takes to sync.
type Disk struct {
	Min, Max time.Duration
}

// Workload describes the clients and their operations.
type Workload struct {
	Source     Source
	Shape      Shape
	Clients    int // each sends one request at a time
	Keys       int
	Cold       int  // additional keys, each written once or twice in the fault phase
	Operations int  // approximate number in the fault phase; it determines the think time
	Bursts     bool // all clients begin to send at once now and then
	Timeout    time.Duration
	// Patience is the timeout of every fourth client (3, 7, 11, …) instead of
	// Timeout; 0: they have none of their own.
	Patience   time.Duration
	ValueBytes int // minimum; a value also identifies its writer
	// Large is how many of a thousand puts have a value of a drawn length between
	// ValueBytes and the store's limit.
	Large int

	// The percentage of operations of each kind.
	Get, Put, Delete, Conditional int
}

// Phases are the lengths of the parts of a run, in virtual time.
type Phases struct {
	Faults time.Duration
	// Core bounds the time that the healed core may take to answer all requests. 0
	// leaves this phase out.
	Core time.Duration
	// Converge bounds the time until the replicas of the healed cluster are
	// identical. 0 leaves out this phase and the final reads.
	Converge time.Duration
}

// Shape is the way in which clients choose keys.
type Shape string

// The shapes of a workload.
const (
	Uniform  Shape = "uniform"
	Hot      Shape = "hot"      // half of all operations on one key
	Boundary Shape = "boundary" // keys whose hashes lie next to the partitions' ends
)

// Outside is the state of the nodes that are not in the core.
type Outside string

// The states of nodes outside the core.
const (
	OutsideAsTheyAre Outside = "as-they-are"
	OutsideDown      Outside = "down"     // crashed
	OutsideIsolated  Outside = "isolated" // cut off from every node, not from ZooKeeper
	OutsideDeaf      Outside = "deaf"     // the core receives their frames, but they receive none from it
	OutsideMute      Outside = "mute"     // they receive the core's frames, but it receives none of theirs
	OutsideLate      Outside = "late"     // what is sent to them takes ever longer
	OutsideMixed     Outside = "mixed"    // one of these is drawn for each node
)

// DefaultSetup returns the setup of an empty header.
func DefaultSetup() Setup {
	return Setup{
		Nodes: 5, Partitions: 4, Replication: 3, Ring: 2,
		SuspectAfter: 500 * time.Millisecond, RequestTimeout: 3 * time.Second,
		MoveTimeout: 4 * time.Second, SettleTime: 2 * time.Second,
		RetainEntries: 64, RetainBytes: 1 << 20, ChunkBytes: 4 << 10, ViewTime: 10 * time.Second,
		CopyLogBytes:     1 << 20,
		UncommittedBytes: 4 << 20,
		Network:          netsim.Stream, LatencyMin: 200 * time.Microsecond, LatencyMean: time.Millisecond, QueueFrames: 4096,
		Recovery:  2 * time.Second,
		Sync:      Disk{Min: 200 * time.Microsecond, Max: 5 * time.Millisecond},
		Store:     ModelStore,
		Drift:     200,
		ZKServers: 3, SessionTimeout: 4 * time.Second, ZKPause: EvenPause,
		Turn: 16, TurnMax: 200 * time.Microsecond, Order: Order{Mode: FIFO, Depth: 3, Span: 1000},
		Workload: Workload{
			Source: Drawn, Shape: Uniform, Clients: 6, Keys: 6, Operations: 400, Timeout: 2 * time.Second, ValueBytes: 8,
			Get: 40, Put: 40, Delete: 10, Conditional: 10,
		},
		Phases:  Phases{Faults: 30 * time.Second, Core: 20 * time.Second, Converge: 20 * time.Second},
		Budget:  NoBudget,
		Outside: OutsideMixed,
	}
}

// LeastRecovery is the least time that a process takes to start.
const LeastRecovery = 50 * time.Millisecond

// EvenPause is the default of ZKPause.
const EvenPause = 0.5

// A Field is one value of the header: a word of the line called Line, after
// "Key=" if the line has several.
type Field struct {
	Line, Key string
	of        func(*Setup) textValue
}

// Fields lists the header's values in the order in which they are printed.
func Fields() []Field { return header }

// Unusual reports whether the value differs from its default.
func (f Field) Unusual(s *Setup) bool {
	calm := DefaultSetup()
	return f.of(s).String() != f.of(&calm).String()
}

// Reset sets the value to its default.
func (f Field) Reset(s *Setup) {
	calm := DefaultSetup()
	_ = f.of(s).Set(f.of(&calm).String()) // every field accepts its own default
}

// textValue is a value with a text of one word.
type textValue interface {
	String() string
	Set(word string) error
}

// header lists the fields in the order in which they are printed.
var header = []Field{
	{"seed", "", func(s *Setup) textValue { return (*uintValue)(&s.Seed) }},
	{"nodes", "", func(s *Setup) textValue { return &intValue{&s.Nodes, 1, MaxNodes} }},
	{"partitions", "", func(s *Setup) textValue { return &intValue{&s.Partitions, 1, MaxPartitions} }},
	{"replication", "", func(s *Setup) textValue { return &intValue{&s.Replication, 1, 7} }},
	{"strangers", "", func(s *Setup) textValue { return &intValue{&s.Strangers, 0, MaxStrangers} }},
	{"ring", "", func(s *Setup) textValue { return &intValue{&s.Ring, 1, 2} }},
	{"zones", "", func(s *Setup) textValue { return &perHostValue{&s.Zones, "abcdefg-"} }},
	{"weights", "", func(s *Setup) textValue { return &perHostValue{&s.Weights, "123456789"} }},
	{"suspect-after", "", func(s *Setup) textValue { return &durationValue{&s.SuspectAfter, time.Millisecond} }},
	{"suspect-after-of", "", func(s *Setup) textValue { return (*unevenValue)(&s.Uneven) }},
	{"request-timeout", "", func(s *Setup) textValue { return &durationValue{&s.RequestTimeout, time.Millisecond} }},
	{"move-timeout", "", func(s *Setup) textValue { return &durationValue{&s.MoveTimeout, time.Millisecond} }},
	{"settle-time", "", func(s *Setup) textValue { return &durationValue{&s.SettleTime, time.Millisecond} }},
	{"replace-after", "", func(s *Setup) textValue { return &durationValue{&s.ReplaceAfter, 0} }},
	{"retain", "entries", func(s *Setup) textValue { return &intValue{&s.RetainEntries, 1, 1 << 20} }},
	{"retain", "bytes", func(s *Setup) textValue { return &intValue{&s.RetainBytes, 1, 1 << 30} }},
	{"snapshot", "chunk", func(s *Setup) textValue { return &intValue{&s.ChunkBytes, 1, 2 << 20} }},
	{"snapshot", "view", func(s *Setup) textValue { return &durationValue{&s.ViewTime, time.Millisecond} }},
	{"moves", "rate", func(s *Setup) textValue { return &intValue{&s.MoveRate, 0, 1 << 30} }},
	{"moves", "log", func(s *Setup) textValue { return &intValue{&s.CopyLogBytes, 1, 1 << 30} }},
	{"uncommitted", "", func(s *Setup) textValue { return &intValue{&s.UncommittedBytes, 1, 1 << 30} }},
	{"network", "mode", func(s *Setup) textValue { return (*modeValue)(&s.Network) }},
	{"network", "min", func(s *Setup) textValue { return &durationValue{&s.LatencyMin, 0} }},
	{"network", "mean", func(s *Setup) textValue { return &durationValue{&s.LatencyMean, 1} }},
	{"network", "queue", func(s *Setup) textValue { return &intValue{&s.QueueFrames, 1, 1 << 20} }},
	{"rates", "loss", func(s *Setup) textValue { return (*rateValue)(&s.Rates.Loss) }},
	{"rates", "dup", func(s *Setup) textValue { return (*rateValue)(&s.Rates.Duplicate) }},
	{"rates", "reorder", func(s *Setup) textValue { return (*rateValue)(&s.Rates.Reorder) }},
	{"rates", "delay", func(s *Setup) textValue { return (*rateValue)(&s.Rates.Delay) }},
	{"rates", "corrupt", func(s *Setup) textValue { return (*rateValue)(&s.Rates.Corrupt) }},
	{"rates", "reset", func(s *Setup) textValue { return (*rateValue)(&s.Rates.Reset) }},
	{"rates", "half-open", func(s *Setup) textValue { return (*rateValue)(&s.Rates.HalfOpen) }},
	{"rates", "hint-loss", func(s *Setup) textValue { return (*rateValue)(&s.Rates.HintLoss) }},
	{"recovery", "", func(s *Setup) textValue { return &durationValue{&s.Recovery, LeastRecovery} }},
	{"sync", "min", func(s *Setup) textValue { return &durationValue{&s.Sync.Min, 0} }},
	{"sync", "max", func(s *Setup) textValue { return &durationValue{&s.Sync.Max, 0} }},
	{"store", "", func(s *Setup) textValue { return &wordValue{(*string)(&s.Store), StoreNames()} }},
	{"zk", "servers", func(s *Setup) textValue { return &intValue{&s.ZKServers, 1, 5} }},
	{"zk", "session", func(s *Setup) textValue { return &durationValue{&s.SessionTimeout, 100 * time.Millisecond} }},
	{"zk-rates", "lose-before", func(s *Setup) textValue { return (*rateValue)(&s.ZKRates.LoseBefore) }},
	{"zk-rates", "lose-after", func(s *Setup) textValue { return (*rateValue)(&s.ZKRates.LoseAfter) }},
	{"zk-rates", "apply-late", func(s *Setup) textValue { return (*rateValue)(&s.ZKRates.ApplyLate) }},
	{"zk-rates", "lose-watch", func(s *Setup) textValue { return (*rateValue)(&s.ZKRates.LoseWatch) }},
	{"zk-rates", "read-first", func(s *Setup) textValue { return (*rateValue)(&s.ZKRates.ReadFirst) }},
	{"zk-rates", "stall", func(s *Setup) textValue { return (*rateValue)(&s.ZKRates.Stall) }},
	{"zk-rates", "late-zxid", func(s *Setup) textValue { return (*rateValue)(&s.ZKRates.LateZxid) }},
	{"zk-pause", "", func(s *Setup) textValue { return (*rateValue)(&s.ZKPause) }},
	{"zk-scripts", "", func(s *Setup) textValue { return &intValue{&s.ZKScripts, 0, MaxZKScripts} }},
	{"zk-door", "one-at-a-time", func(s *Setup) textValue { return (*switchValue)(&s.Door.OneAtATime) }},
	{"zk-door", "deadlines", func(s *Setup) textValue { return (*switchValue)(&s.Door.Deadlines) }},
	{"zk-door", "coalesce", func(s *Setup) textValue { return (*switchValue)(&s.Door.Coalesce) }},
	{"zk-door", "watchdog", func(s *Setup) textValue { return (*switchValue)(&s.Door.Watchdog) }},
	{"zk-door", "rewatch", func(s *Setup) textValue { return (*rateValue)(&s.Door.Rewatch) }},
	{"clock-drift", "", func(s *Setup) textValue { return &intValue{&s.Drift, 0, MaxDriftPPM} }},
	{"turn", "", func(s *Setup) textValue { return &intValue{&s.Turn, 1, MostTurn} }},
	{"turn-delay", "min", func(s *Setup) textValue { return &durationValue{&s.TurnMin, 0} }},
	{"turn-delay", "max", func(s *Setup) textValue { return &durationValue{&s.TurnMax, 0} }},
	{"order", "mode", func(s *Setup) textValue {
		return &wordValue{(*string)(&s.Order.Mode), []string{string(FIFO), string(PCT), string(Steered)}}
	}},
	{"order", "depth", func(s *Setup) textValue { return &intValue{&s.Order.Depth, 1, 100} }},
	{"order", "span", func(s *Setup) textValue { return &intValue{&s.Order.Span, 1, 1_000_000} }},
	{"order", "window", func(s *Setup) textValue { return &durationValue{&s.Order.Window, 0} }},
	{"order", "from", func(s *Setup) textValue { return &durationValue{&s.Order.From, 0} }},
	{"order", "picks", func(s *Setup) textValue { return (*picksValue)(&s.Order.Picks) }},
	{"order", "crash", func(s *Setup) textValue { return (*crashValue)(&s.Order.Crash) }},
	{"workload", "calls", func(s *Setup) textValue {
		return &wordValue{(*string)(&s.Workload.Source), []string{string(Drawn), string(Listed)}}
	}},
	{"workload", "shape", func(s *Setup) textValue {
		return &wordValue{(*string)(&s.Workload.Shape), []string{string(Uniform), string(Hot), string(Boundary)}}
	}},
	{"workload", "clients", func(s *Setup) textValue { return &intValue{&s.Workload.Clients, 1, 64} }},
	{"workload", "keys", func(s *Setup) textValue { return &intValue{&s.Workload.Keys, 1, 256} }},
	{"workload", "cold", func(s *Setup) textValue { return &intValue{&s.Workload.Cold, 0, 1024} }},
	{"workload", "operations", func(s *Setup) textValue { return &intValue{&s.Workload.Operations, 0, 100_000} }},
	{"workload", "bursts", func(s *Setup) textValue { return (*switchValue)(&s.Workload.Bursts) }},
	{"workload", "timeout", func(s *Setup) textValue { return &durationValue{&s.Workload.Timeout, time.Millisecond} }},
	{"workload", "patience", func(s *Setup) textValue { return &durationValue{&s.Workload.Patience, 0} }},
	{"workload", "value", func(s *Setup) textValue { return &intValue{&s.Workload.ValueBytes, 0, 1 << 16} }},
	{"workload", "large", func(s *Setup) textValue { return &intValue{&s.Workload.Large, 0, 1000} }},
	{"mix", "get", func(s *Setup) textValue { return &intValue{&s.Workload.Get, 0, 100} }},
	{"mix", "put", func(s *Setup) textValue { return &intValue{&s.Workload.Put, 0, 100} }},
	{"mix", "delete", func(s *Setup) textValue { return &intValue{&s.Workload.Delete, 0, 100} }},
	{"mix", "conditional", func(s *Setup) textValue { return &intValue{&s.Workload.Conditional, 0, 100} }},
	{"phases", "faults", func(s *Setup) textValue { return &durationValue{&s.Phases.Faults, 0} }},
	{"phases", "core", func(s *Setup) textValue { return &durationValue{&s.Phases.Core, 0} }},
	{"phases", "converge", func(s *Setup) textValue { return &durationValue{&s.Phases.Converge, 0} }},
	{"budget", "", func(s *Setup) textValue {
		return &wordValue{(*string)(&s.Budget), []string{string(NoBudget), string(KeepMajority)}}
	}},
	{"outside", "", func(s *Setup) textValue {
		return &wordValue{(*string)(&s.Outside), []string{
			string(OutsideAsTheyAre), string(OutsideDown), string(OutsideIsolated), string(OutsideDeaf), string(OutsideMute), string(OutsideLate), string(OutsideMixed)}}
	}},
	{"steady", "time", func(s *Setup) textValue { return &durationValue{&s.Steady.Time, 0} }},
	{"steady", "spare", func(s *Setup) textValue { return &intValue{&s.Steady.Spare, 0, MaxNodes} }},
	{"steady", "cuts", func(s *Setup) textValue { return &intValue{&s.Steady.Cuts, 0, MaxNodes * MaxNodes} }},
	{"steady", "moves", func(s *Setup) textValue { return &intValue{&s.Steady.Moves, 0, 16} }},
}

// maxSuspectAfter is the most that a node takes.
const maxSuspectAfter = 10 * time.Minute

// validate returns an error for the first problem that a single field does not show.
func (s *Setup) validate() error {
	w := &s.Workload
	switch {
	case s.Hosts() > MaxNodes:
		return fmt.Errorf("nodes and strangers are %d hosts, want at most %d", s.Hosts(), MaxNodes)
	case s.Replication > s.Nodes:
		return fmt.Errorf("replication %d needs at least as many nodes, not %d", s.Replication, s.Nodes)
	case s.SuspectAfter > maxSuspectAfter:
		return fmt.Errorf("suspect-after is %v, want at most %v", s.SuspectAfter, maxSuspectAfter)
	case s.ReplaceAfter != 0 && s.ReplaceAfter < min(4*slices.Max(s.SuspectAfters()), maxDuration):
		return fmt.Errorf("replace-after=%v is below four times suspect-after", s.ReplaceAfter)
	case s.LatencyMean < s.LatencyMin:
		return fmt.Errorf("network mean=%v is below min=%v", s.LatencyMean, s.LatencyMin)
	case s.TurnMax < s.TurnMin:
		return fmt.Errorf("turn-delay max=%v is below min=%v", s.TurnMax, s.TurnMin)
	case s.Sync.Max < s.Sync.Min:
		return fmt.Errorf("sync max=%v is below min=%v", s.Sync.Max, s.Sync.Min)
	case w.Get+w.Put+w.Delete+w.Conditional != 100:
		return fmt.Errorf("the percentages of mix add up to %d, want 100", w.Get+w.Put+w.Delete+w.Conditional)
	}
	if err := s.validateUneven(); err != nil {
		return err
	}
	if c := s.Order.Crash; c.Step > 0 && c.Host >= s.Nodes {
		return fmt.Errorf("order crash=%v names a node beyond n%d", c, s.Nodes)
	}
	return s.Order.Validate()
}

type uintValue uint64

func (v *uintValue) String() string { return strconv.FormatUint(uint64(*v), 10) }
func (v *uintValue) Set(word string) error {
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		return fmt.Errorf("invalid number %q", word)
	}
	*v = uintValue(n)
	return nil
}

type intValue struct {
	v        *int
	min, max int
}

func (v *intValue) String() string { return strconv.Itoa(*v.v) }
func (v *intValue) Set(word string) error {
	n, err := strconv.Atoi(word)
	if err != nil || n < v.min || n > v.max {
		return fmt.Errorf("invalid number %q (want %d to %d)", word, v.min, v.max)
	}
	*v.v = n
	return nil
}

// maxDuration bounds every duration of a schedule.
const maxDuration = 24 * time.Hour

type durationValue struct {
	v   *time.Duration
	min time.Duration
}

func (v *durationValue) String() string { return v.v.String() }
func (v *durationValue) Set(word string) error {
	d, err := time.ParseDuration(word)
	if err != nil || d < v.min || d > maxDuration {
		return fmt.Errorf("invalid duration %q (want %v to %v, for example 250ms)", word, v.min, maxDuration)
	}
	*v.v = d
	return nil
}

type rateValue float64

func (v *rateValue) String() string { return strconv.FormatFloat(float64(*v), 'g', -1, 64) }
func (v *rateValue) Set(word string) error {
	f, err := strconv.ParseFloat(word, 64)
	if err != nil || !(f >= 0 && f <= 1) {
		return fmt.Errorf("invalid probability %q (want 0 to 1)", word)
	}
	*v = rateValue(f)
	return nil
}

type switchValue bool

func (v *switchValue) String() string {
	if *v {
		return "on"
	}
	return "off"
}

func (v *switchValue) Set(word string) error {
	if word != "on" && word != "off" {
		return fmt.Errorf("invalid switch %q (want on or off)", word)
	}
	*v = word == "on"
	return nil
}

type modeValue netsim.Mode

func (v *modeValue) String() string { return netsim.Mode(*v).String() }
func (v *modeValue) Set(word string) error {
	for _, m := range []netsim.Mode{netsim.Stream, netsim.Datagram} {
		if word == m.String() {
			*v = modeValue(m)
			return nil
		}
	}
	return fmt.Errorf("unknown network mode %q (want stream or datagram)", word)
}

type wordValue struct {
	v     *string
	words []string
}

func (v *wordValue) String() string { return *v.v }
func (v *wordValue) Set(word string) error {
	for _, w := range v.words {
		if w == word {
			*v.v = w
			return nil
		}
	}
	return fmt.Errorf("unknown word %q (want one of %s)", word, strings.Join(v.words, ", "))
}
