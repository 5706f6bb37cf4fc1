package zksim

import (
	"slices"
	"strings"
)

// Count says how often a fault took effect.
type Count struct {
	Name  string
	Count uint64
}

type effect int

const (
	sessionExpired effect = iota
	hostCut
	serviceDown
	leaderChanged
	followerLagged
	staleRead
	replyLostBefore
	replyLostAfter
	appliedLate
	watchLate
	watchLost
	readBeforeEvent
	deposedRead
	isolatedRead
	writeBlocked
	sessionMoved
	aheadRefused
	handshakeStalled
	oversized
	foreignEphemeral
	effects
)

var effectNames = [effects]string{
	sessionExpired:   "session-expired",          // a live session ended by the leader
	hostCut:          "host-cut",                 // a message or an attempt to connect was stopped
	serviceDown:      "service-down",             // a client was thrown out or turned away
	leaderChanged:    "leader-changed",           // a new leader took over
	followerLagged:   "follower-lag",             // an entry was applied 100 ms or more after its commit
	staleRead:        "stale-read",               // a read was answered otherwise than the leader would have
	replyLostBefore:  "reply-lost-before-effect", // a connection broke, the write was never done
	replyLostAfter:   "reply-lost-after-effect",  // a connection broke, the write had been done
	appliedLate:      "applied-late",             // a write was done after its client was told "unknown"
	watchLate:        "watch-late",               // a watch fired 100 ms or more after the commit
	watchLost:        "watch-lost",               // a watch was forgotten at a reconnect
	readBeforeEvent:  "read-before-event",        // requests went out before watches were restored
	deposedRead:      "deposed-sync-read",        // a deposed leader answered sync and then a stale read
	isolatedRead:     "isolated-server-read",     // a server cut from the leader answered
	writeBlocked:     "write-blocked",            // a write waited at a server cut from the leader
	sessionMoved:     "session-moved",            // a write over a superseded connection was refused
	aheadRefused:     "zxid-ahead-refused",       // a server turned away a client that had seen more
	handshakeStalled: "handshake-stalled",        // a connection was taken and not answered
	oversized:        "oversized-request",        // a request above MaxRequest broke its connection
	foreignEphemeral: "foreign-ephemeral",        // a session deleted or set another's ephemeral
}

func (s *Service) count(e effect) { s.counts[e]++ }

// Counters are how often each fault took effect, sorted by name, zeros
// included.
func (s *Service) Counters() []Count {
	list := make([]Count, 0, effects)
	for e, name := range effectNames {
		list = append(list, Count{name, s.counts[e]})
	}
	slices.SortFunc(list, func(a, b Count) int { return strings.Compare(a.Name, b.Name) })
	return list
}
