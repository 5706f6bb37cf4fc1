package node

import (
	"reflect"
	"testing"
	"time"

	"dkv/node/door"
)

// What package door promises to clients: the fields of a Response, that a request ends
// once, and how long it may take.

// TestResponses makes one call after the other on one key, and wants each field of the
// answers.
func TestResponses(t *testing.T) {
	s := leader(t, Config{}, nil)
	get, put, remove := door.RequestGet, door.RequestPut, door.RequestDelete
	for _, c := range []struct {
		name   string
		kind   door.RequestKind
		value  string
		when   door.Condition
		answer door.Response
	}{
		{"a get of what is absent", get, "", door.Condition{}, door.Response{Index: 4}},
		{"a put", put, "a", door.Condition{}, door.Response{Found: true, Version: 5, Index: 5}},
		{"a get", get, "", door.Condition{}, door.Response{Found: true, Version: 5, Value: []byte("a"), Index: 5}},
		{"a put of nothing", put, "", door.Condition{}, door.Response{Found: true, Version: 6, Index: 6}},
		{"a get of an empty value", get, "", door.Condition{}, door.Response{Found: true, Version: 6, Value: []byte{}, Index: 6}},
		{"a put where something is", put, "b", door.Condition{Absent: true}, door.Response{Found: true, Failed: true, Version: 6, Value: []byte{}, Index: 7}},
		{"a put on the right version", put, "b", door.Condition{Match: 6}, door.Response{Found: true, Version: 8, Index: 8}},
		{"a put on an old version", put, "c", door.Condition{Match: 6}, door.Response{Found: true, Failed: true, Version: 8, Value: []byte("b"), Index: 9}},
		{"a get after one that failed", get, "", door.Condition{}, door.Response{Found: true, Version: 8, Value: []byte("b"), Index: 9}},
		{"a delete on an old version", remove, "", door.Condition{Match: 6}, door.Response{Found: true, Failed: true, Version: 8, Value: []byte("b"), Index: 10}},
		{"a delete", remove, "", door.Condition{Present: true}, door.Response{Found: true, Version: 8, Value: []byte("b"), Index: 11}},
		{"a delete of what is absent", remove, "", door.Condition{}, door.Response{Index: 12}},
		{"a put on what is absent", put, "d", door.Condition{Present: true}, door.Response{Failed: true, Index: 13}},
		{"a get at the end", get, "", door.Condition{}, door.Response{Index: 13}},
	} {
		client := s.ask(door.Request{Kind: c.kind, Key: []byte("key"), Value: []byte(c.value), If: c.when})
		if c.kind.Writes() {
			s.ack(2)
		} else {
			s.beatReply(2, BeatReplyItem{Epoch: 5, Promised: 5, Match: s.replica().log.lastIndex()})
		}
		client.want(t, door.Done)
		want, got := c.answer, client.answers[0]
		want.Outcome = door.Done
		if len(want.Value) == 0 && len(got.Value) == 0 {
			want.Value, got.Value = nil, nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s was answered %+v, want %+v", c.name, got, want)
		}
	}
}

// TestARequestEndsOnceAndInTime asks a primary whose followers are silent, and lets them
// answer when it is too late.
func TestARequestEndsOnceAndInTime(t *testing.T) {
	const silence = 2 * MaxRequestTimeout // so long is a primary patient with its followers
	for name, c := range map[string]struct{ asked, bound time.Duration }{
		"a bound of its own":  {2 * time.Second, 2 * time.Second},
		"the node's default":  {0, 7 * time.Second},
		"no bound that holds": {time.Hour, MaxRequestTimeout},
	} {
		for _, kind := range []door.RequestKind{door.RequestGet, door.RequestPut} {
			s := leader(t, Config{RequestTimeout: 7 * time.Second, SuspectAfter: silence}, nil)
			client := s.ask(door.Request{Kind: kind, Key: []byte("key"), Timeout: c.asked})
			s.pass(c.bound - time.Millisecond)
			if len(client.answers) > 0 {
				t.Errorf("%s: answered %+v before %v", name, client.answers[0], c.bound)
				continue
			}
			s.pass(silence / 4)     // the node's next tick
			outcome := door.Refused // a get changes nothing
			if kind.Writes() {
				outcome = door.Unknown // it stands in the log
			}
			client.want(t, outcome)
			if client.answers[0].Reason == "" || client.answers[0].Busy {
				t.Errorf("%s: answered %+v, want a reason", name, client.answers[0])
			}
			s.ack(2)
			s.beatReply(2, BeatReplyItem{Epoch: 5, Promised: 5, Match: s.replica().log.lastIndex()})
			client.want(t, outcome)
		}
	}
}

// TestAForwardMayTakeWhatIsLeft: the whole call is bounded, so a forward that waited here
// has less time there.
func TestAForwardMayTakeWhatIsLeft(t *testing.T) {
	s := newSetup(t, disk{asg: led(2, 5), promised: 5})
	s.ask(door.Request{Kind: door.RequestPut, Key: []byte("key"), Timeout: 4 * time.Second})
	if f := one[*Forward](s, 2); f.Timeout != 4*time.Second {
		t.Errorf("forwarded with %v, want 4s", f.Timeout)
	}
	s.forget()
	s.pass(suspect)
	copies := sent[*Forward](s)
	if len(copies) == 0 {
		t.Fatal("the forward was not repeated")
	}
	for _, f := range copies {
		if f.body.Timeout > 4*time.Second-suspect/2 {
			t.Errorf("repeated after %v with %v", suspect/2, f.body.Timeout)
		}
	}
}

// TestABusyPrimaryIsNotAskedAgain: a refusal that says busy reaches the client, which may
// ask elsewhere; other refusals may pass, and the node waits.
func TestABusyPrimaryIsNotAskedAgain(t *testing.T) {
	for busyReply, answers := range map[bool]int{true: 1, false: 0} {
		s := newSetup(t, disk{asg: led(2, 5), promised: 5})
		client := s.put("key", "x")
		reply := door.Response{Outcome: door.Refused, Reason: "why", Busy: busyReply}
		f := one[*Forward](s, 2)
		s.from(2, &ForwardReply{Partition: 0, ID: f.ID, Origin: 1, Response: reply, Known: led(2, 5)})
		if len(client.answers) != answers {
			t.Errorf("busy %v: answered %+v, want %d answers", busyReply, client.answers, answers)
		}
		if busyReply && len(client.answers) == 1 && !reflect.DeepEqual(client.answers[0], reply) {
			t.Errorf("answered %+v, want %+v", client.answers[0], reply)
		}
	}
}

// TestWhatIsOutOfBoundsIsRefused: what the node never takes, it refuses for good.
func TestWhatIsOutOfBoundsIsRefused(t *testing.T) {
	s := leader(t, Config{}, nil)
	for name, r := range map[string]door.Request{
		"no key":         {Kind: door.RequestPut},
		"a large key":    {Kind: door.RequestPut, Key: make([]byte, MaxKeyBytes+1)},
		"a large value":  {Kind: door.RequestPut, Key: []byte("key"), Value: make([]byte, MaxValueBytes+1)},
		"a get of none":  {Kind: door.RequestGet},
		"a large delete": {Kind: door.RequestDelete, Key: make([]byte, MaxKeyBytes+1)},
	} {
		last := s.replica().log.lastIndex()
		client := s.ask(r)
		client.want(t, door.Refused)
		if s.replica().log.lastIndex() != last || client.answers[0].Reason == "" {
			t.Errorf("%s: answered %+v", name, client.answers[0])
		}
	}
}
