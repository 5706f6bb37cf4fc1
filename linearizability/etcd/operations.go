package etcd

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"dkv/linearizability"
)

// Operations is the operations.json of etcd's robustness tests (tests/robustness in
// etcd's repository): a JSON object for each request, with the times of its call and
// of its return. Pass it to [linearizability.ReadRecording].
//
// A key is a register whose versions are etcd's revisions. A transaction becomes an
// operation on each of its keys, with its condition if it has a single condition and
// a single operation on the same key. Reads of a range of keys or of a past revision,
// and keys that were ever attached to a lease, are left out. So a history that is
// not linearizable here is wrong for etcd, too, but not the other way round. The
// warnings of the recording count what was left out.
var Operations = linearizability.Format{
	Name:      "etcd-operations",
	About:     `operations.json of etcd's robustness tests: {"ClientId": 3, "Input": …}`,
	Recognize: recognize,
	Read:      read,
}

func recognize(head []byte) bool {
	text := bytes.TrimLeft(head, " \t\r\n")
	first, _, _ := bytes.Cut(text, []byte("\n"))
	return len(text) > 0 && text[0] == '{' && bytes.Contains(first, []byte(`"Input"`))
}

// A line is one request with its response.
type line struct {
	ClientID *int `json:"ClientId"`
	Input    *struct {
		Type  string
		Range *struct {
			keyRange
			Revision int64
		}
		Txn *struct {
			Conditions                               []condition
			OperationsOnSuccess, OperationsOnFailure []operation
		}
	}
	Output *struct {
		Txn *struct {
			Failure bool
			Results []result
		}
		Range              *result
		ClientError, Error string
		Persisted          bool
		Revision           int64
	}
	Call, Return *int64
}

type keyRange struct{ Start, End string }

type condition struct {
	Key                               string
	ExpectedRevision, ExpectedVersion int64
}

type operation struct {
	Type  string
	Range keyRange
	Put   struct {
		Key     string
		Value   value
		LeaseID int64
	}
	Delete struct{ Key string }
}

type result struct {
	KVs []struct {
		Key         string
		Value       value
		ModRevision int64
	}
	Deleted int64
}

// A value is a text, or the hash of a long one.
type value struct {
	Value string
	Hash  uint64
}

func (v value) text() string {
	if v.Hash != 0 {
		return "#" + strconv.FormatUint(v.Hash, 16)
	}
	return v.Value
}

// A reader collects operations. Their times take the place of stamps until all are
// known.
type reader struct {
	in     *linearizability.Source
	ops    []linearizability.Operation
	leased map[string]bool
	ranges int // reads that were left out
	base   int64
}

func read(in *linearizability.Source) (*linearizability.Recording, error) {
	r := &reader{in: in, leased: make(map[string]bool)}
	if err := in.EachLine(r.line); err != nil {
		return nil, err
	}
	recording := &linearizability.Recording{}
	if r.ranges > 0 {
		recording.Warnings = append(recording.Warnings, fmt.Sprintf("%d reads of several keys or of a past revision were left out", r.ranges))
	}
	if len(r.leased) > 0 {
		all := len(r.ops)
		r.ops = slices.DeleteFunc(r.ops, func(op linearizability.Operation) bool { return r.leased[op.Key] })
		recording.Warnings = append(recording.Warnings, fmt.Sprintf("%d operations on %d keys that were attached to a lease were left out", all-len(r.ops), len(r.leased)))
	}
	recording.Operations = stamped(r.ops)
	return recording, nil
}

func (r *reader) line(number int, text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	var l line
	err := json.Unmarshal(text, &l)
	if err == nil {
		err = r.request(&l)
	}
	if err != nil {
		return &linearizability.FormatError{Line: number, Err: err}
	}
	return nil
}

// request adds the operations of one line.
func (r *reader) request(l *line) error {
	switch {
	case l.ClientID == nil || l.Input == nil || l.Output == nil || l.Call == nil || l.Return == nil:
		return fmt.Errorf("an object needs ClientId, Input, Call, Output and Return")
	case *l.ClientID < 0:
		return fmt.Errorf("the ClientId %d is negative", *l.ClientID)
	case *l.Return < *l.Call:
		return fmt.Errorf("the Return %d is before the Call %d", *l.Return, *l.Call)
	case l.Output.Revision < 0:
		return fmt.Errorf("revision %d is negative", l.Output.Revision)
	}
	in, out := l.Input, l.Output
	switch {
	case in.Type == "range" && in.Range != nil:
		if in.Range.End != "" || in.Range.Revision != 0 {
			r.ranges++
			return nil
		}
		if r.answered(l) && out.Range == nil {
			return fmt.Errorf("a range was answered without Range")
		}
		return r.add(l, linearizability.Operation{Kind: linearizability.Get, Key: in.Range.Start}, out.Range)
	case in.Type == "txn" && in.Txn != nil:
		if r.answered(l) && out.Txn == nil {
			return fmt.Errorf("a txn was answered without Txn")
		}
		return r.transaction(l)
	case slices.Contains([]string{"leaseGrant", "leaseRevoke", "defragment", "compact"}, in.Type):
		return nil
	}
	return fmt.Errorf("unknown request of type %s (want range, txn, leaseGrant, leaseRevoke, defragment or compact, with its field)", linearizability.Quote(in.Type))
}

// answered reports whether the client observed what the request did.
func (r *reader) answered(l *line) bool {
	return l.Output.Error == "" && l.Output.ClientError == "" && !l.Output.Persisted
}

// transaction adds the operations of a txn.
func (r *reader) transaction(l *line) error {
	txn, out := l.Input.Txn, l.Output.Txn
	for _, op := range slices.Concat(txn.OperationsOnSuccess, txn.OperationsOnFailure) {
		if op.Type == "put-operation" && op.Put.LeaseID != 0 {
			r.leased[op.Put.Key] = true
		}
	}
	if op, ok := conditional(l); ok {
		return r.conditional(l, op)
	}
	branches := [][]operation{txn.OperationsOnSuccess, txn.OperationsOnFailure} // without an answer, either may have run
	if r.answered(l) {
		if branches = branches[:1]; out.Failure {
			branches[0] = txn.OperationsOnFailure
		}
		if len(out.Results) != len(branches[0]) {
			return fmt.Errorf("a txn of %d operations has %d results", len(branches[0]), len(out.Results))
		}
	}
	for _, branch := range branches {
		for i, op := range branch {
			if op.Type == "range-operation" && (op.Range.End != "" || writesKey(branch, op.Range.Start)) {
				r.ranges++
				continue
			}
			o, err := converted(&op)
			if err != nil {
				return err
			}
			var answer *result
			if r.answered(l) {
				answer = &out.Results[i]
			}
			if err := r.add(l, o, answer); err != nil {
				return err
			}
		}
	}
	return nil
}

// writesKey reports whether an operation of a txn writes the key.
func writesKey(branch []operation, key string) bool {
	return slices.ContainsFunc(branch, func(op operation) bool {
		return op.Type == "put-operation" && op.Put.Key == key || op.Type == "delete-operation" && op.Delete.Key == key
	})
}

func converted(op *operation) (linearizability.Operation, error) {
	switch op.Type {
	case "range-operation":
		return linearizability.Operation{Kind: linearizability.Get, Key: op.Range.Start}, nil
	case "put-operation":
		return linearizability.Operation{Kind: linearizability.Put, Key: op.Put.Key, Value: op.Put.Value.text()}, nil
	case "delete-operation":
		return linearizability.Operation{Kind: linearizability.Delete, Key: op.Delete.Key}, nil
	}
	return linearizability.Operation{}, fmt.Errorf("unknown operation of type %s (want range-operation, put-operation or delete-operation)", linearizability.Quote(op.Type))
}

// conditional returns the operation of a txn that writes one key if that key has a
// certain revision, and otherwise at most reads it.
func conditional(l *line) (op linearizability.Operation, ok bool) {
	txn := l.Input.Txn
	if len(txn.Conditions) != 1 || len(txn.OperationsOnSuccess) != 1 || len(txn.OperationsOnFailure) > 1 {
		return op, false
	}
	c := &txn.Conditions[0]
	op, err := converted(&txn.OperationsOnSuccess[0])
	if err != nil || op.Kind == linearizability.Get || op.Key != c.Key || c.ExpectedVersion != 0 || c.ExpectedRevision < 0 {
		return op, false
	}
	for _, other := range txn.OperationsOnFailure {
		if other.Type != "range-operation" || other.Range.Start != c.Key || other.Range.End != "" {
			return op, false
		}
	}
	if op.IfMatch = linearizability.Version(c.ExpectedRevision); op.IfMatch == 0 {
		op.IfAbsent = true
	}
	return op, true
}

// conditional adds the operation of a conditional txn.
func (r *reader) conditional(l *line, op linearizability.Operation) error {
	out := l.Output.Txn
	if !r.answered(l) || !out.Failure {
		var answer *result
		if r.answered(l) {
			if len(out.Results) != 1 {
				return fmt.Errorf("a txn of 1 operation has %d results", len(out.Results))
			}
			answer = &out.Results[0]
		}
		return r.add(l, op, answer)
	}
	a := linearizability.Answer{ConditionFailed: true, Unreported: true}
	if len(l.Input.Txn.OperationsOnFailure) == 1 {
		if len(out.Results) != 1 {
			return fmt.Errorf("a txn of 1 operation has %d results", len(out.Results))
		}
		found, err := out.Results[0].found(op.Key)
		if err != nil {
			return err
		}
		a = found
		a.ConditionFailed = true
	}
	r.put(l, op, linearizability.OK, a)
	return nil
}

// found returns the answer of a read.
func (r *result) found(key string) (linearizability.Answer, error) {
	switch {
	case len(r.KVs) == 0:
		return linearizability.Answer{}, nil
	case len(r.KVs) > 1 || r.KVs[0].Key != key:
		return linearizability.Answer{}, fmt.Errorf("a read of %s was answered with another key, or with several", linearizability.Quote(key))
	case r.KVs[0].ModRevision < 0:
		return linearizability.Answer{}, fmt.Errorf("revision %d is negative", r.KVs[0].ModRevision)
	}
	kv := &r.KVs[0]
	return linearizability.Answer{Found: true, HasValue: true, Value: kv.Value.text(), Version: linearizability.Version(kv.ModRevision)}, nil
}

// add adds an operation whose condition, if it has one, held. answer is nil if the
// client observed none.
func (r *reader) add(l *line, op linearizability.Operation, answer *result) (err error) {
	switch {
	case l.Output.ClientError != "":
		r.put(l, op, linearizability.Refused, linearizability.Answer{})
		return nil
	case answer == nil || !r.answered(l):
		r.put(l, op, linearizability.Unknown, linearizability.Answer{})
		return nil
	}
	var a linearizability.Answer
	switch op.Kind {
	case linearizability.Get:
		a, err = answer.found(op.Key)
	case linearizability.Put:
		a.Version = linearizability.Version(l.Output.Revision)
	default:
		a.Found = answer.Deleted > 0
	}
	r.put(l, op, linearizability.OK, a)
	return err
}

// put appends the operation.
func (r *reader) put(l *line, op linearizability.Operation, outcome linearizability.Outcome, a linearizability.Answer) {
	op.Client, op.Outcome, op.Answer = *l.ClientID, outcome, a
	if len(r.ops) == 0 {
		r.base = *l.Call
	}
	op.Key = r.in.Name([]byte(op.Key))
	op.CallTime, op.ReturnTime = time.Duration(*l.Call-r.base), time.Duration(*l.Return-r.base)
	r.ops = append(r.in.Grow(r.ops), op)
}

// stamped gives the operations stamps in the order of their times, and sorts them by
// call. Of equal times calls come first: then the operations are concurrent, and
// nothing is claimed that the times do not show.
func stamped(ops []linearizability.Operation) []linearizability.Operation {
	type event struct {
		at  time.Duration
		ret bool
		op  int
	}
	events := make([]event, 0, 2*len(ops))
	for i := range ops {
		events = append(events, event{ops[i].CallTime, false, i}, event{ops[i].ReturnTime, true, i})
	}
	slices.SortStableFunc(events, func(a, b event) int {
		if a.at != b.at || a.ret == b.ret {
			return cmp.Compare(a.at, b.at)
		}
		if a.ret {
			return 1
		}
		return -1
	})
	least := time.Duration(0)
	if len(events) > 0 {
		least = events[0].at
	}
	for i, e := range events {
		op := &ops[e.op]
		switch stamp := linearizability.Stamp(i + 1); {
		case !e.ret:
			op.Call = stamp
		case op.Outcome != linearizability.Unknown:
			op.Return = stamp
		}
	}
	slices.SortFunc(ops, func(a, b linearizability.Operation) int { return cmp.Compare(a.Call, b.Call) })
	for i := range ops {
		op := &ops[i]
		op.CallTime -= least
		if op.ReturnTime -= least; op.Return == 0 {
			op.ReturnTime = 0
		}
	}
	return ops
}
