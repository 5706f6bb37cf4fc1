package sim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"dkv/linearizability"
	"dkv/node/door"
)

// Call is one operation that a schedule lets a client ask, at its time. Its
// line reads
//
//	at 3.2s client 2 put k1 if-absent at n3
//
// What a put writes is the run's to choose, so that each value names its write.
type Call struct {
	At     time.Duration
	Client int
	Kind   linearizability.Kind
	Key    string
	// IfAbsent makes a put conditional on there being nothing, IfMatch a put or
	// a delete on the version that the client last met; one that met none asks
	// without a condition. Not both.
	IfAbsent, IfMatch bool
	Host              int // that is asked, from 0
}

// Source says where the operations of a run's clients come from.
type Source string

// The sources of a workload.
const (
	Drawn  Source = "drawn"  // from the seed, by the figures of the header
	Listed Source = "listed" // the schedule's calls, and none besides
)

const (
	maxCalls    = 20_000 // of a schedule
	maxCallKey  = 128    // bytes
	callWord    = "client"
	wordAbsent  = "if-absent"
	wordMatch   = "if-match"
	wordCallsAt = "at"
)

// String is the call's line.
func (c *Call) String() string {
	words := []string{"at", c.At.String(), callWord, strconv.Itoa(c.Client), c.Kind.String(), c.Key}
	if c.IfAbsent {
		words = append(words, wordAbsent)
	}
	if c.IfMatch {
		words = append(words, wordMatch)
	}
	return strings.Join(append(words, wordCallsAt, HostName(c.Host)), " ")
}

// parseCall reads a call's line after its "at".
func parseCall(words []string, setup *Setup) (Call, error) {
	var c Call
	if len(words) < 7 || words[len(words)-2] != wordCallsAt {
		return c, errors.New("a call is: at TIME client N get|put|delete KEY [if-absent|if-match] at nN")
	}
	err := errors.Join(
		(&durationValue{&c.At, 0}).Set(words[0]),
		(&intValue{&c.Client, 0, probeClient - 1}).Set(words[2]))
	if err != nil {
		return c, err
	}
	kinds := []linearizability.Kind{linearizability.Get, linearizability.Put, linearizability.Delete}
	i := slices.IndexFunc(kinds, func(k linearizability.Kind) bool { return k.String() == words[3] })
	if i < 0 {
		return c, fmt.Errorf("%q is none of get, put, delete", words[3])
	}
	c.Kind, c.Key = kinds[i], words[4]
	if len(c.Key) > maxCallKey {
		return c, fmt.Errorf("a key of %d bytes, %d are the most", len(c.Key), maxCallKey)
	}
	if err := c.parseCondition(words[5 : len(words)-2]); err != nil {
		return c, err
	}
	target, err := parseTarget(words[len(words)-1], setup)
	if err == nil && target.Role != ByNumber {
		err = fmt.Errorf("%v: a client asks a certain node", target)
	}
	c.Host = target.Node - 1
	return c, err
}

func (c *Call) parseCondition(words []string) error {
	switch {
	case len(words) == 0:
	case len(words) == 1 && words[0] == wordAbsent && c.Kind == linearizability.Put:
		c.IfAbsent = true
	case len(words) == 1 && words[0] == wordMatch && c.Kind != linearizability.Get:
		c.IfMatch = true
	default:
		return fmt.Errorf("%v takes no condition %q", c.Kind, strings.Join(words, " "))
	}
	return nil
}

// callKeys are the keys that calls name, each once, sorted.
func callKeys(calls []Call) []string {
	keys := make([]string, len(calls))
	for i := range calls {
		keys[i] = calls[i].Key
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// list turns to the schedule's calls instead of drawing operations.
func (l *workload) list(calls []Call) {
	l.keys = callKeys(calls)
	clients := 0
	for i := range calls {
		clients = max(clients, calls[i].Client+1)
	}
	l.clients = nil
	for i := range clients {
		l.clients = append(l.clients, &client{work: l, id: i, versions: make([]door.Version, len(l.keys))})
	}
	for i := range calls {
		call := &calls[i]
		l.world.After(call.At, func() {
			if !l.stopped {
				l.clients[call.Client].call(call)
			}
		})
	}
}

// call asks what the schedule says.
func (c *client) call(call *Call) {
	op := linearizability.Operation{Client: c.id, Key: call.Key, Kind: call.Kind}
	r := door.Request{Key: []byte(call.Key), Timeout: c.work.setup.Workload.Timeout}
	switch call.Kind {
	case linearizability.Put:
		r.Kind = door.RequestPut
		op.Value = c.work.value(c.id)
		r.Value = []byte(op.Value)
	case linearizability.Delete:
		r.Kind = door.RequestDelete
	default:
		r.Kind = door.RequestGet
	}
	k, _ := slices.BinarySearch(c.work.keys, call.Key)
	if call.IfAbsent {
		op.IfAbsent, r.If.Absent = true, true
	}
	if version := c.versions[k]; call.IfMatch && version != 0 {
		op.IfMatch, r.If.Match = linearizability.Version(version), version
	}
	c.work.submit(call.Host, op, r, func(resp door.Response, outcome linearizability.Outcome) {
		if outcome == linearizability.OK && resp.Version != 0 {
			c.versions[k] = resp.Version
		}
	})
}

// Freeze is the schedule of a run with what its clients asked written down as
// calls, so that operations can be taken away one by one: the same faults meet
// the same operations at the same times. Nor is a budget left to be kept: the
// steps that it forbade are not there. What the harness itself asked, in the
// later phases, is not among them.
func Freeze(r *Result) *Schedule {
	s := &Schedule{Setup: r.Schedule.Setup, Steps: slices.Clone(r.Schedule.Steps)}
	s.spare(r.Spared)
	if s.Setup.Workload.Source == Listed {
		s.Calls = slices.Clone(r.Schedule.Calls)
		return s
	}
	w, calm := &s.Setup.Workload, defaultSetup().Workload
	w.Source = Listed
	w.Shape, w.Clients, w.Keys, w.Operations = calm.Shape, calm.Clients, calm.Keys, calm.Operations
	w.Get, w.Put, w.Delete, w.Conditional = calm.Get, calm.Put, calm.Delete, calm.Conditional
	for i := range r.History {
		op := &r.History[i]
		host := hostNumber(op.Node)
		if op.Client >= probeClient || host == NoHost || len(s.Calls) == maxCalls {
			continue
		}
		s.Calls = append(s.Calls, Call{
			At: op.CallTime, Client: op.Client, Kind: op.Kind, Key: op.Key,
			IfAbsent: op.IfAbsent, IfMatch: op.IfMatch != 0, Host: host,
		})
	}
	slices.SortStableFunc(s.Calls, byCallTime)
	return s
}

// spare drops the steps that the budget forbade, at these places. No other one
// needs it then.
func (s *Schedule) spare(places []int) {
	at := 0
	s.Steps = slices.DeleteFunc(s.Steps, func(Step) bool {
		at++
		return slices.Contains(places, at-1)
	})
	s.Setup.Budget = NoBudget
}

func byCallTime(a, b Call) int { return cmp.Compare(a.At, b.At) }

// hostNumber is the host of a name such as n3; NoHost if it is none.
func hostNumber(name string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(name, "n"))
	if err != nil || n < 1 || n > MaxHosts {
		return NoHost
	}
	return n - 1
}
