package node

import (
	"errors"
	"strings"
	"testing"
	"time"

	"dkv/node/door"
)

// strangerLayout lists members 2 and 3 only.
func strangerLayout(t *testing.T, version int32) []byte {
	return encoded(t, layoutOf(t, version, Assignment{Epoch: 5, Primary: 2, Replicas: []MemberNumber{2, 3}}, 2, 3))
}

// wantTurnedAway wants a client to have been refused in the words of Ready, and no forward
// to have been sent.
func (s *setup) wantTurnedAway(c *client) {
	s.t.Helper()
	c.want(s.t, door.Refused)
	mustContain(s.t, errors.New(c.answers[0].Reason), notMember)
	if ok, why := s.node.Ready(); ok || why != notMember {
		s.t.Errorf("ready is %v: %q", ok, why)
	}
	none[*Forward](s)
}

// TestAStrangerRefusesItsClientsAtOnce checks one side of rule "no answer to strangers".
func TestAStrangerRefusesItsClientsAtOnce(t *testing.T) {
	t.Run("with a layout", func(t *testing.T) {
		rows := disk{asg: led(2, 5)}.rows(t)
		rows[string(keyLayout)] = strangerLayout(t, 0)
		s := &setup{doors: &doors{rows: rows}, t: t}
		s.start()
		s.wantTurnedAway(s.put("k", "v"))
		s.wantTurnedAway(s.get("k"))
	})
	t.Run("when the layout comes", func(t *testing.T) {
		s := fresh(t, newZookeeper())
		put := s.put("k", "v")
		if len(put.answers) > 0 {
			t.Fatalf("answered %+v before there was a layout", put.answers)
		}
		s.from(2, &LayoutCopy{strangerLayout(t, 0)})
		s.pass(s.node.interval())
		s.wantTurnedAway(put)
	})
	t.Run("when it was removed", func(t *testing.T) {
		s := newSetup(t, disk{asg: led(2, 5), promised: 5, epochs: []Epoch{1, 1}, applied: 2})
		gone := strings.Replace(string(encoded(t, layoutOf(t, 1, Assignment{Epoch: 6, Primary: 2, Replicas: []MemberNumber{2, 3}}))),
			`"weight":1,"state":"active"`, `"weight":1,"state":"gone"`, 1)
		s.from(2, &LayoutCopy{[]byte(gone)})
		s.wantTurnedAway(s.put("k", "v"))
	})
}

// TestAForwardOfAStrangerIsDropped checks the other side of rule "no answer to strangers":
// nothing is proposed, and the primary asks for a newer layout, but once an interval.
func TestAForwardOfAStrangerIsDropped(t *testing.T) {
	for name, from := range map[string]MemberNumber{"to the primary": 9, "without a number": 0, "through a replica": 2} {
		t.Run(name, func(t *testing.T) {
			zk := newZookeeper()
			s := leader(t, Config{}, zk)
			f := &Forward{Epoch: 5, To: 1, Origin: 9, ID: ForwardID{"disk-9", 1, 1}}
			f.Request = door.Request{Kind: door.RequestPut, Key: []byte("k"), Value: []byte("v")}
			if from == 0 {
				f.Origin = 0
			}
			reads := func() int { return zk.count("get /dkv/default/layout") }
			s.pass(time.Millisecond)
			before := reads()
			for range 3 {
				s.from(from, f)
				s.ack(2)
			}
			s.wantLog(1, 1, 4, 5)
			none[*ForwardReply](s)
			if n := s.saw(EventForwardDropped); n != 3 {
				t.Errorf("%d forwards were counted as dropped, want 3", n)
			}
			if n := reads() - before; n != 1 {
				t.Errorf("the layout was read %d times, want once", n)
			}
			s.pass(s.node.interval() + time.Millisecond)
			before = reads()
			s.from(from, f)
			if n := reads() - before; n != 1 {
				t.Errorf("an interval later the layout was read %d times, want once", n)
			}
		})
	}
}

// TestAForwardIsTakenOnceItsOriginIsKnown: the origin repeats it, under the same number.
func TestAForwardIsTakenOnceItsOriginIsKnown(t *testing.T) {
	k := disk{asg: led(1, 5), promised: 4, epochs: []Epoch{1, 1, 4}, applied: 2}
	rows := k.rows(t)
	rows[string(keyLayout)] = encoded(t, layoutOf(t, 0, led(1, 5), 1, 2, 3))
	s := &setup{doors: &doors{rows: rows}, t: t}
	s.start()
	s.promise(2, 4, 3)
	s.ack(2)
	f := &Forward{Epoch: 5, To: 1, Origin: 6, ID: ForwardID{"disk-6", 1, 1}, Timeout: time.Second}
	f.Request = door.Request{Kind: door.RequestPut, Key: []byte("k"), Value: []byte("v")}
	s.from(6, f)
	s.wantLog(1, 1, 4, 5)
	s.from(2, &LayoutCopy{encoded(t, layoutOf(t, 1, led(1, 5)))})
	s.forget()
	s.from(6, f)
	s.wantLog(1, 1, 4, 5, 5)
	s.ack(2)
	if reply := one[*ForwardReply](s, 6); reply.Response.Outcome != door.Done {
		t.Errorf("answered %+v", reply.Response)
	}
}
