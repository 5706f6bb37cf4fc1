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

// callKeys returns the distinct keys of the calls, sorted.
func callKeys(calls []schedule.Call) []string {
	keys := make([]string, len(calls))
	for i := range calls {
		keys[i] = calls[i].Key
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// list replaces the drawn operations by the schedule's calls.
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
			if !l.stopped && !l.closed {
				l.clients[call.Client].call(call)
			}
		})
	}
}

// call sends the operation that the schedule lists.
func (c *client) call(call *schedule.Call) {
	op := linearizability.Operation{Client: c.id, Key: call.Key, Kind: call.Kind}
	r := door.Request{Key: []byte(call.Key), Timeout: c.timeout()}
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

// Freeze returns the schedule of a run with its drawn operations listed as calls,
// so that Shrink can remove them one by one while the same faults meet the
// remaining operations at the same times. It also drops the budget together with
// the steps that the budget forbade: otherwise removing one step would let
// another, forbidden until then, take effect. The harness's own requests of the
// later phases are not listed.
func Freeze(r *Result) *schedule.Schedule {
	s := &schedule.Schedule{Setup: r.Schedule.Setup, Steps: slices.Clone(r.Schedule.Steps)}
	s.Spare(r.Spared)
	if s.Setup.Workload.Source == schedule.Listed {
		s.Calls = slices.Clone(r.Schedule.Calls)
		return s
	}
	w, calm := &s.Setup.Workload, schedule.DefaultSetup().Workload
	w.Source = schedule.Listed
	w.Shape, w.Clients, w.Keys, w.Cold, w.Operations, w.Bursts = calm.Shape, calm.Clients, calm.Keys, calm.Cold, calm.Operations, calm.Bursts
	w.Get, w.Put, w.Delete, w.Conditional = calm.Get, calm.Put, calm.Delete, calm.Conditional
	for i := range r.History {
		op := &r.History[i]
		host := hostNumber(op.Node)
		if op.Client >= checkClient || host == world.NoHost || len(s.Calls) == schedule.MaxCalls {
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

// hostNumber returns the host with a name such as n3, or NoHost.
func hostNumber(name string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(name, "n"))
	if err != nil || n < 1 || n > world.MaxHosts {
		return world.NoHost
	}
	return n - 1
}
