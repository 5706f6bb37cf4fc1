package node

import (
	"testing"
	"time"

	"dkv/node/door"
)

func TestAlarmsAreNotRepeatedAtOnce(t *testing.T) {
	s := followerOf2(t, 1, 1)
	for range 5 {
		s.from(2, &LayoutCopy{[]byte("not a layout")})
	}
	s.from(3, &LayoutCopy{[]byte("not a layout")})
	if s.saw(EventAlarm) != 2 {
		t.Fatalf("%d alarms, want one of each member", s.saw(EventAlarm))
	}
	s.now += 29 * time.Second
	s.from(2, &LayoutCopy{[]byte("not a layout")})
	if s.saw(EventAlarm) != 2 {
		t.Error("an alarm is repeated within 30 s")
	}
	s.now += 2 * time.Second
	s.from(2, &LayoutCopy{[]byte("not a layout")})
	if s.saw(EventAlarm) != 3 {
		t.Error("an alarm is not repeated after 30 s")
	}
}

// TestStopEndsWhatIsUnderWay checks that Stop ends within a bound, though a write never
// commits.
func TestStopEndsWhatIsUnderWay(t *testing.T) {
	s := leader(t, Config{RetainEntries: 4}, newZookeeper())
	s.passWith2(2 * suspect)
	for range 20 {
		s.put("k", "x")
		s.ack(2)
	}
	s.from(3, &Appended{Epoch: 5, Counter: Counter{s.node.boot, s.node.sent}})
	put := s.put("k", "never committed")
	if s.views != 1 {
		t.Fatalf("%d Views are open, want the one of member 3", s.views)
	}
	stopped := 0
	s.node.Stop(func() { stopped++ })
	s.settle()
	put.want(t)
	for range 80 { // 10 s: StopTime
		s.beatReply(2, BeatReplyItem{Epoch: 5, Promised: 5, Match: 4})
		s.pass(suspect / 4)
	}
	put.want(t, door.Unknown)
	s.put("k", "late").want(t, door.Refused)
	if stopped != 1 || s.views != 0 || !s.zk.session.closed {
		t.Errorf("done ran %d times, %d Views open, session closed %v", stopped, s.views, s.zk.session.closed)
	}
	s.forget()
	s.prepare(led(2, 9))
	s.pass(time.Minute)
	if len(s.doors.sent) > s.looked || stopped != 1 {
		t.Error("a stopped node still acts")
	}
}
