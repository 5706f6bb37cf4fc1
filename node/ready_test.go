package node

import (
	"strings"
	"testing"
	"time"
)

// wantReady wants the node to be ready, or to say why not.
func (s *setup) wantReady(t *testing.T, why string) {
	t.Helper()
	ok, got := s.node.Ready()
	if ok != (why == "") || !strings.Contains(got, why) {
		t.Fatalf("at %v: ready %v (%s), want %q", s.now, ok, got, why)
	}
}

// TestAReplicaIsReadyWhenItHasCaughtUp: after a start, and once only.
func TestAReplicaIsReadyWhenItHasCaughtUp(t *testing.T) {
	s := followerOf2(t, 1, 1, 4)
	s.wantReady(t, "catching up")
	show := func(prev Index, prevEpoch Epoch, commit Index, e ...Entry) {
		s.from(2, &Append{Assignment: led(2, 5), PrevIndex: prev, PrevEpoch: prevEpoch, Commit: commit, Entries: e})
	}
	show(3, 4, 200, entry(4, 5))
	s.pass(suspect / 2)
	s.wantReady(t, "catching up") // 196 entries are missing
	var rest []Entry
	for i := range Index(190) {
		rest = append(rest, entry(5+i, 5))
	}
	show(4, 5, 200, rest...)
	s.pass(suspect / 2)
	s.wantReady(t, "")
	show(194, 5, 900)
	s.pass(suspect / 2)
	s.wantReady(t, "") // it has fallen behind since, and serves by forwarding
}

// TestANodeWithoutAMajorityAnywhereIsNotReady: two of three nodes are gone. A take-over
// takes less long than that.
func TestANodeWithoutAMajorityAnywhereIsNotReady(t *testing.T) {
	t.Run("as a replica", func(t *testing.T) {
		s := followerOf2(t, 1, 1)
		s.from(2, &Append{Assignment: led(2, 5), PrevIndex: 2, PrevEpoch: 1, Commit: 2})
		s.pass(suspect / 2)
		s.wantReady(t, "")
		s.pass(3 * time.Second)
		s.wantReady(t, "")
		s.pass(2 * time.Second)
		s.wantReady(t, "no partition that this node keeps")
		s.heart(BeatHeart, 5)
		s.pass(suspect / 2)
		s.wantReady(t, "")
	})
	t.Run("as the primary", func(t *testing.T) {
		s := leader(t, Config{}, nil)
		s.pass(suspect / 2)
		s.wantReady(t, "")
		s.pass(5 * time.Second)
		s.wantReady(t, "no partition that this node keeps")
	})
}
