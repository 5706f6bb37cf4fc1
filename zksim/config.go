package zksim

import (
	"fmt"
	"time"

	"dkv/zksim/zktree"
)

// A Scheduler is virtual time. After runs fn once, d from now, in an event of its
// own: never within the call, not even for d = 0. Events due at the same time run
// in the order of the calls. stop prevents the event; it may be called any number
// of times, also after the event ran.
type Scheduler interface {
	Now() time.Duration
	After(d time.Duration, fn func()) (stop func())
}

// A Poster is a Scheduler that can save the cost of a stop. If the Scheduler is
// one, the service calls Post instead of After for events that it never stops,
// which are nearly all.
type Poster interface {
	Scheduler
	Post(d time.Duration, fn func())
}

// Random is keyed randomness: equal arguments give equal results, different ones
// independent results, uniform over all 64 bits.
type Random interface {
	Draw(purpose string, entity, sequence uint64) uint64
}

// A Range is an inclusive range of durations to draw from.
type Range struct {
	Min, Max time.Duration
}

// Config configures a service. The zero value of each field means its default.
type Config struct {
	Servers int           // 1 to 5; default 3
	Tick    time.Duration // default 2 s; sessions expire at multiples of it

	MinSessionTimeout time.Duration // default 2 ticks; lower timeouts are raised to it
	MaxSessionTimeout time.Duration // default 20 ticks; higher timeouts are lowered to it

	// SyncLimit is how long a server that is cut off from the leader still answers
	// its clients. Default 5 ticks.
	SyncLimit time.Duration

	Latency  Range // client to server, one way; default 200 µs to 1 ms
	Forward  Range // server to leader, until committed; default 500 µs to 3 ms
	Lag      Range // from commit until a follower has applied it; default 200 µs to 8 ms
	Election Range // without a leader; default 400 ms to 3 s

	// Sweep is how often the leader looks for containers and TTL nodes to remove.
	// Default 60 s.
	Sweep time.Duration

	// Reconnect is a client's pause once it has tried every server. Default
	// 900 ms to 1.3 s.
	Reconnect Range
	// PauseRate is the probability, for each lost connection, that the client
	// pauses before it tries another server. Default 0.5; below 0 means never.
	PauseRate float64
	// DialTimeout ends an attempt to connect to a server that the client is cut off
	// from. Default 1 s.
	DialTimeout time.Duration
	// HandshakeTimeout ends an attempt at a server that accepted the connection but
	// does not answer. Default a quarter of the session timeout. Unguarded clients
	// wait longer.
	HandshakeTimeout time.Duration

	// Rates are the probabilities of faults that occur at random. Default 0.
	Rates Rates

	// StartTime is the wall clock at virtual time 0, in milliseconds since the Unix
	// epoch. ctime and mtime count from it.
	StartTime int64

	// OnCommit, if set, is called for every transaction that the leader commits,
	// including failed ones, in zxid order. It must not call into the service.
	OnCommit func(txn *zktree.Txn, r *zktree.Result)

	// Checker, if set, checks the service against ZooKeeper's promises. It costs a
	// few percent of the speed.
	Checker *Checker
}

// Rates are probabilities, from 0 to 1, each for one kind of occasion.
type Rates struct {
	LoseBefore float64 // per write: the connection breaks before the server gets it
	LoseAfter  float64 // per write: the connection breaks instead of the reply
	ApplyLate  float64 // per write: the connection breaks, and the write reaches the leader later
	LoseWatch  float64 // per watch and reconnect: the client library forgets to restore it
	// LateZxid is per reconnect: the client library restores its watches as of a
	// zxid later than what it has seen, so that changes in between are not reported.
	LateZxid float64
	// ReadFirst is per reconnect: requests that waited are sent before the watches
	// are restored, so that a change is read before its event arrives.
	ReadFirst float64
	// Stall is per attempt to connect: the server accepts the connection but does
	// not answer.
	Stall float64
}

func (c Config) withDefaults() Config {
	setInt(&c.Servers, 3)
	setDuration(&c.Tick, 2*time.Second)
	setDuration(&c.MinSessionTimeout, 2*c.Tick)
	setDuration(&c.MaxSessionTimeout, 20*c.Tick)
	setDuration(&c.SyncLimit, 5*c.Tick)
	setDuration(&c.DialTimeout, time.Second)
	setDuration(&c.Sweep, time.Minute)
	setRange(&c.Latency, 200*time.Microsecond, time.Millisecond)
	setRange(&c.Forward, 500*time.Microsecond, 3*time.Millisecond)
	setRange(&c.Lag, 200*time.Microsecond, 8*time.Millisecond)
	setRange(&c.Election, 400*time.Millisecond, 3*time.Second)
	setRange(&c.Reconnect, 900*time.Millisecond, 1300*time.Millisecond)
	return c
}

func setInt(v *int, def int) {
	if *v == 0 {
		*v = def
	}
}

func setDuration(v *time.Duration, def time.Duration) {
	if *v == 0 {
		*v = def
	}
}

func setRange(v *Range, low, high time.Duration) {
	if *v == (Range{}) {
		*v = Range{low, high}
	}
}

// validate returns an error that names the first invalid field.
func (c *Config) validate() error {
	if c.Servers < 1 || c.Servers > maxServers {
		return fmt.Errorf("zksim: invalid Config: Servers is %d, must be 1 to %d", c.Servers, maxServers)
	}
	if c.Tick < 0 || c.MinSessionTimeout > c.MaxSessionTimeout {
		return fmt.Errorf("zksim: invalid Config: Tick is %v, MinSessionTimeout %v, MaxSessionTimeout %v: Tick must be positive and the minimum at most the maximum",
			c.Tick, c.MinSessionTimeout, c.MaxSessionTimeout)
	}
	ranges := []struct {
		name string
		r    Range
	}{{"Latency", c.Latency}, {"Forward", c.Forward}, {"Lag", c.Lag}, {"Election", c.Election}, {"Reconnect", c.Reconnect}}
	for _, x := range ranges {
		if x.r.Min < 0 || x.r.Min > x.r.Max {
			return fmt.Errorf("zksim: invalid Config: %s is %v to %v, must be ascending and not negative", x.name, x.r.Min, x.r.Max)
		}
	}
	if c.Sweep < 0 {
		return fmt.Errorf("zksim: invalid Config: Sweep is %v, must be positive", c.Sweep)
	}
	if !(c.PauseRate <= 1) {
		return fmt.Errorf("zksim: invalid Config: PauseRate is %v, must be at most 1", c.PauseRate)
	}
	r := c.Rates
	for _, p := range []float64{r.LoseBefore, r.LoseAfter, r.ApplyLate, r.LoseWatch, r.LateZxid, r.ReadFirst, r.Stall} {
		if !(p >= 0 && p <= 1) {
			return fmt.Errorf("zksim: invalid Config: one of Rates is %v, must be 0 to 1", p)
		}
	}
	return nil
}

// draws is the randomness of one entity. It has a sequence of its own for each
// purpose, so that a draw of one entity does not shift those of another.
type draws struct {
	rand   Random
	entity uint64
	next   map[string]*uint64
}

func newDraws(r Random, entity uint64) *draws {
	return &draws{rand: r, entity: entity, next: make(map[string]*uint64)}
}

func (d *draws) word(purpose string) uint64 {
	next := d.next[purpose]
	if next == nil {
		next = new(uint64)
		d.next[purpose] = next
	}
	n := *next
	*next++
	return d.rand.Draw(purpose, d.entity, n)
}

func (d *draws) below(purpose string, n int) int {
	return int(d.word(purpose) % uint64(n))
}

func (d *draws) within(purpose string, r Range) time.Duration {
	return pick(d.word(purpose), r)
}

func pick(word uint64, r Range) time.Duration {
	return r.Min + time.Duration(word%uint64(r.Max-r.Min+1))
}

func (d *draws) happens(purpose string, rate float64) bool {
	return rate > 0 && float64(d.word(purpose)>>11)/(1<<53) < rate
}

// nameHash turns a host's name into an entity number, with FNV-1a.
func nameHash(name string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(name); i++ {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return h
}
