package node

import (
	"strings"
	"testing"
	"time"
)

// TestEachInvariantCanBreak corrupts one group of fields at a time, and wants the
// check of its type to say so.
func TestEachInvariantCanBreak(t *testing.T) {
	f2 := func(s *setup) *follower { return s.replica().reign.follower(2) }
	for _, c := range []struct {
		of      string
		name    string
		corrupt func(s *setup)
		says    string
	}{
		{"log", "a gap", func(s *setup) { s.replica().log.baseIndex, s.replica().log.baseEpoch = 1, 1 }, "entries 1 to 4 in a log of 4 after 1"},
		{"log", "an epoch that falls", func(s *setup) { s.replica().log.entries[0].Epoch = 9 }, "epochs 9 to 5"},
		{"log", "a base without an epoch", func(s *setup) { s.replica().log.baseEpoch = 1 }, "begins after 0 of epoch 1"},

		{"replica", "applied behind commit", func(s *setup) { s.replica().applied = 3 }, "applied 3, commit 4"},
		{"replica", "commit beyond the log", func(s *setup) { s.replica().applied, s.replica().commit = 5, 5 }, "commit 5 in a log from 0 to 4"},
		{"replica", "another entry applied", func(s *setup) { s.replica().appliedEpoch = 4 }, "applied up to epoch 4"},
		{"replica", "applied bytes of nothing", func(s *setup) { s.replica().appliedBytes = 0 }, "0 bytes are applied"},
		{"replica", "a promise below the log", func(s *setup) { s.replica().promised = 4 }, "promised 4, log 5"},
		{"replica", "a state that is not stored", func(s *setup) { s.replica().stored.appliedIndex = 3 }, "stored {"},
		{"replica", "an epoch that is not known", func(s *setup) { s.replica().followed = 6 }, "follows epoch 6, knows 5"},
		{"replica", "an acknowledgement beyond the log", func(s *setup) { s.replica().ackEpoch, s.replica().ackMatch = 5, 9 }, "acknowledged 9 in epoch 5"},
		{"replica", "an ended reign of now", func(s *setup) { s.replica().ended = []endedReign{{epoch: 6}} }, "epoch 6 ended under promise 5"},
		{"replica", "votes that were never asked for", func(s *setup) { s.replica().taker.votes = make([]vote, 1) }, "1 votes without having asked"},
		{"replica", "a snapshot under an old promise", func(s *setup) { s.replica().install = &install{epoch: 4, partial: partial{generation: 1}} }, "a snapshot of epoch 4"},

		{"reign", "another promise", func(s *setup) { s.replica().reign.epoch = 4 }, "reign of epoch 4 under promise 5"},
		{"reign", "closing without a reason", func(s *setup) { s.replica().reign.closing = true }, "closing is true in epoch 5 while epoch 5 is known"},
		{"reign", "leading before the own promise", func(s *setup) { s.replica().reign.selfKept = false }, "before the own promise is durable"},
		{"reign", "copying while leading", func(s *setup) { s.replica().reign.copying = &copying{} }, "copying true"},
		{"reign", "a queue while leading", func(s *setup) { s.replica().reign.queue = []*work{{}} }, "1 requests queued"},
		{"reign", "reads while quiet", func(s *setup) { s.replica().reign.quiet, s.replica().reign.reads = true, make([]pendingRead, 1) }, "1 reads wait"},
		{"reign", "reads out of order", func(s *setup) { s.replica().reign.reads = []pendingRead{{after: 2}, {after: 1}} }, "reads after transmissions 2 to 1"},
		{"reign", "bytes of no queue", func(s *setup) { s.replica().reign.queueBytes = 1 }, "an empty queue of 1 bytes"},
		{"reign", "a no-op of another epoch", func(s *setup) {
			s.replica().reign.noop, f2(s).start, s.replica().reign.follower(3).start = 3, 3, 3
		}, "no-op 3 is of epoch 4"},
		{"reign", "counted before it was sent", func(s *setup) { s.replica().reign.selfMatch = 5 }, "own match 5, sent 4"},
		{"reign", "committed and not active", func(s *setup) { s.replica().reign.active = false }, "active is false with no-op 4 and commit 4"},
		{"reign", "committed by a minority", func(s *setup) { f2(s).match = 3 }, "commit 4, but quorums have the log up to 3"},
		{"reign", "active before it leads", func(s *setup) {
			s.replica().reign.phase = preparing
			for _, f := range s.replica().reign.followers {
				*f = follower{member: f.member, inR: f.inR}
			}
		}, "phase 0 with no-op 4"},
		{"reign", "a write that was applied", func(s *setup) { s.replica().reign.writes = []pendingWrite{{index: 4}} }, "a write at 4 waits after 4"},
		{"reign", "bytes of no write", func(s *setup) { s.replica().reign.size = 7 }, "writes of 0 bytes are counted as 7"},
		{"reign", "a follower missing", func(s *setup) { s.replica().reign.followers = s.replica().reign.followers[:1] }, "member 3 of"},

		{"follower", "nothing to send next", func(s *setup) { f2(s).next = 4 }, "member 2: match 4, next 4"},
		{"follower", "next beyond the log", func(s *setup) { f2(s).next = 6 }, "next 6, the log ends at 4"},
		{"follower", "no start", func(s *setup) { f2(s).start = 0 }, "start 0, the no-op is at 4"},
		{"follower", "too much in flight", func(s *setup) { f2(s).inflight = maxInflight + 1 }, "65 Appends in flight"},
		{"follower", "a confirmation of nothing", func(s *setup) { f2(s).confirmed = s.node.sent + 1 }, "member 2 confirmed transmission"},
		{"follower", "in another set", func(s *setup) { f2(s).inR = false }, "member 2 of"},

		{"fates", "a record out of order", func(s *setup) {
			findFates(&s.replica().reign.fates, ForwardID{Store: "a"}).records[1] = &fate{}
		}, "0 fates in order, 1 recorded"},

		{"requests", "counted wrong", func(s *setup) { s.node.requests.live = 1 }, "1 requests are live of 0"},
		{"membership", "up without a session", func(s *setup) { s.node.member.session, s.node.member.up = nil, true }, "without a session"},
		{"membership", "registered before it looked", func(s *setup) { s.node.member.standing = true }, "registered in a cluster"},
		{"membership", "a cluster without a name", func(s *setup) { s.node.member.checked = true }, "has no UUID"},

		{"turn", "a message that was not sent", func(s *setup) { s.node.send(2, &LayoutRequest{}) }, "left by the turn: 0 writes, 1 messages"},
		{"turn", "durable before it was made", func(s *setup) { s.node.turn.durable = 99 }, "commit 99 of"},
		{"turn", "a waiter for what is durable", func(s *setup) {
			s.node.turn.waiting, s.node.turn.covered = []waiter{{commit: 1}}, 1
		}, "waiters wait for commits 1 to 1"},

		{"node", "less than nothing uncommitted", func(s *setup) { s.node.uncommitted = -1 }, "-1 bytes uncommitted"},
	} {
		t.Run(c.of+"/"+c.name, func(t *testing.T) {
			s := leader(t, Config{}, nil)
			s.node.held(0) // as every event does that may change the replica
			c.corrupt(s)
			mustContain(t, s.node.CheckInvariants(), "broken invariant", c.says)
		})
	}
}

// TestATickChecksWhatAddsUp: sums over all requests and all reigns are compared
// where a tick has looked at all of them anyway.
func TestATickChecksWhatAddsUp(t *testing.T) {
	forwarding := func(t *testing.T) *setup {
		s := newSetup(t, disk{asg: led(2, 5), promised: 5})
		s.put("k", "x")
		if len(s.node.requests.forwarded) != 1 {
			t.Fatal("the request is not forwarded")
		}
		return s
	}
	for _, c := range []struct {
		name    string
		corrupt func(s *setup)
		says    string
	}{
		{"a local request that is not at work", func(s *setup) { s.node.requests.all[0].state = local }, "a request in state local is local: false"},
		{"a forward that is not listed", func(s *setup) {
			s.node.requests.forwarded = map[uint64]*operation{9: s.node.requests.all[0]}
		}, "forward 1 of 1 is listed: false"},
		{"a forward to no member", func(s *setup) { s.node.requests.toPeer[2] = 0 }, "one of 0 to member 2"},
		{"an ended request that counts", func(s *setup) {
			s.node.requests.all[0].state = ended
			s.node.requests.forwarded = nil
		}, "0 live requests are counted as 1"},
		{"bytes of no reign", func(s *setup) { s.node.uncommitted = 5 }, "reigns have 0 bytes uncommitted, the node counts 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := forwarding(t)
			c.corrupt(s)
			s.node.scratch.ticked = true
			mustContain(t, s.node.CheckInvariants(), "broken invariant", c.says)
		})
	}
}

// TestChecksFollowWhatIsTouched: a replica is checked after an event that may have
// changed it, and after every tick; a dead node's state says nothing.
func TestChecksFollowWhatIsTouched(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.replica().promised = 4
	if err := s.node.CheckInvariants(); err != nil {
		t.Fatalf("checked though nothing touched it: %v", err)
	}
	s.node.scratch.ticked = true
	if err := s.node.CheckInvariants(); err == nil || !strings.Contains(err.Error(), "partition 0: ") {
		t.Errorf("after a tick: %v, want what is broken of partition 0", err)
	}
	s.node.dead = true
	s.node.scratch.ticked = true
	if err := s.node.CheckInvariants(); err != nil {
		t.Errorf("a dead node was checked: %v", err)
	}
}

// TestChecksAllocateNothing: the simulator calls them after every turn.
func TestChecksAllocateNothing(t *testing.T) {
	s := leader(t, Config{}, nil)
	s.put("k", "x")
	s.now += time.Second
	if allocs := testing.AllocsPerRun(100, func() {
		s.node.scratch.ticked = true
		s.node.held(0)
		if err := s.node.CheckInvariants(); err != nil {
			t.Fatal(err)
		}
	}); allocs != 0 {
		t.Errorf("%v allocations a check, want none", allocs)
	}
}
