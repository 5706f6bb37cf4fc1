package sim

import (
	"slices"
	"strconv"
	"strings"

	"dkv/linearizability"
	"dkv/node/door"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// callKeys are the keys that calls name, each once, sorted.
func callKeys(calls []schedule.Call) []string {
	keys := make([]string, len(calls))
	for i := range calls {
		keys[i] = calls[i].Key
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// list turns to the schedule's calls instead of drawing operations.
func (l *workload) list(calls []schedule.Call) {
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
func (c *client) call(call *schedule.Call) {
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
func Freeze(r *Result) *schedule.Schedule {
	s := &schedule.Schedule{Setup: r.Schedule.Setup, Steps: slices.Clone(r.Schedule.Steps)}
	s.Spare(r.Spared)
	if s.Setup.Workload.Source == schedule.Listed {
		s.Calls = slices.Clone(r.Schedule.Calls)
		return s
	}
	w, calm := &s.Setup.Workload, schedule.DefaultSetup().Workload
	w.Source = schedule.Listed
	w.Shape, w.Clients, w.Keys, w.Operations = calm.Shape, calm.Clients, calm.Keys, calm.Operations
	w.Get, w.Put, w.Delete, w.Conditional = calm.Get, calm.Put, calm.Delete, calm.Conditional
	for i := range r.History {
		op := &r.History[i]
		host := hostNumber(op.Node)
		if op.Client >= probeClient || host == world.NoHost || len(s.Calls) == schedule.MaxCalls {
			continue
		}
		s.Calls = append(s.Calls, schedule.Call{
			At: op.CallTime, Client: op.Client, Kind: op.Kind, Key: op.Key,
			IfAbsent: op.IfAbsent, IfMatch: op.IfMatch != 0, Host: host,
		})
	}
	slices.SortStableFunc(s.Calls, schedule.ByCallTime)
	return s
}

// hostNumber is the host of a name such as n3; NoHost if it is none.
func hostNumber(name string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(name, "n"))
	if err != nil || n < 1 || n > world.MaxHosts {
		return world.NoHost
	}
	return n - 1
}
