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
	// What servers and the ways between them do.
	hostCut effect = iota
	serviceDown
	leaderChanged
	quorumLost
	expiryPutOff
	followerLagged
	staleRead
	isolatedRead
	isolatedPing
	writeBlocked
	syncBlocked
	sessionBlocked
	deposedRead
	deposedSyncRead
	deposedWrite
	aheadRefused
	wipedRefused
	rolledBack
	handshakeStalled

	// What becomes of sessions.
	sessionExpired
	expiryStretched
	expiredConnected
	expiredDisconnected
	expiryLearned
	pingAfterExpiry
	sessionMoved
	supersededRead
	supersededPing
	newSessionBehind
	staleEphemeral
	foreignEphemeral

	// What becomes of writes.
	replyLostBefore
	replyLostAfter
	lostCreate
	lostSequence
	lostSet
	lostDelete
	lostMulti
	appliedLate
	sequenceDuplicate
	sequenceGap
	sequenceStuck
	multiFailed
	failedWrite
	versionReset
	oversized
	unordered
	nodeSwept

	// What becomes of watches.
	watchLate
	leaderFirst
	followerFirst
	existsLost
	recreateTold
	readBehindEvent

	// What client libraries do.
	reconnectPause
	unguardedStall
	requestCrossed
	watchLost
	catchUpLost
	readBeforeEvent

	effects
)

var effectNames = [effects]string{
	hostCut:          "host-cut",              // a message or an attempt to connect was stopped
	serviceDown:      "service-down",          // a client was thrown out or turned away
	leaderChanged:    "leader-changed",        // a new leader took over, with an epoch of its own
	quorumLost:       "quorum-lost",           // there was none, and all who were connected no longer were
	expiryPutOff:     "expiry-put-off",        // a session that was due got its full timeout again
	followerLagged:   "follower-lag",          // an entry was applied 100 ms or more after its commit
	staleRead:        "stale-read",            // a read was answered otherwise than the leader would have
	isolatedRead:     "isolated-server-read",  // a server cut from the leader answered
	isolatedPing:     "isolated-server-ping",  // a server cut from the leader answered a heartbeat
	writeBlocked:     "write-blocked",         // a write waited for a server that lags or is cut off
	syncBlocked:      "sync-blocked",          // so did a sync
	sessionBlocked:   "session-blocked",       // so did a handshake
	deposedRead:      "deposed-read",          // a deposed leader answered a stale read
	deposedSyncRead:  "deposed-sync-read",     // a deposed leader answered sync and then a stale read
	deposedWrite:     "deposed-write-blocked", // a write waited at a deposed leader
	aheadRefused:     "zxid-ahead-refused",    // a server turned away a client that had seen more
	wipedRefused:     "wiped-server-refused",  // so did one that had lost its disk
	rolledBack:       "rolled-back",           // the whole service lost all that it knew
	handshakeStalled: "handshake-stalled",     // a connection was taken and not answered

	sessionExpired:      "session-expired",             // a live session ended by the leader
	expiryStretched:     "expiry-stretched",            // it ended later for its last sign of life came through a follower
	expiredConnected:    "expired-while-connected",     // its client took itself for connected
	expiredDisconnected: "expired-long-disconnected",   // its client had been told so a second or more before
	expiryLearned:       "expiry-learned-at-reconnect", // a client heard of it, from a server it came to
	pingAfterExpiry:     "ping-after-expiry",           // a server answered the heartbeat of a session that was over
	sessionMoved:        "session-moved",               // a write over a superseded connection was refused
	supersededRead:      "superseded-connection-read",  // a read over one was answered
	supersededPing:      "superseded-connection-ping",  // a heartbeat over one was answered
	newSessionBehind:    "new-session-behind",          // a session read a state older than another one of its host had
	staleEphemeral:      "stale-ephemeral-met",         // a session met an ephemeral of an earlier one of its host
	foreignEphemeral:    "foreign-ephemeral",           // a session deleted or set another's ephemeral
	replyLostBefore:     "reply-lost-before-effect",    // a connection broke, the write was never done
	replyLostAfter:      "reply-lost-after-effect",     // a connection broke, the write had been done or refused
	lostCreate:          "reply-lost-of-create",        // the last, of a create that was done
	lostSequence:        "reply-lost-of-sequence",      // of a sequential create that was done
	lostSet:             "reply-lost-of-set",           // of a set that was done
	lostDelete:          "reply-lost-of-delete",        // of a delete that was done
	lostMulti:           "reply-lost-of-multi",         // of a multi that was done
	appliedLate:         "applied-late",                // a write was done after its client was told "unknown"
	sequenceDuplicate:   "sequence-duplicated",         // a session made a second node after the reply of the first was lost
	sequenceGap:         "sequence-gap",                // a sequential create got a number that was not the next
	sequenceStuck:       "sequence-stuck",              // one was refused since the counter is at its greatest value
	multiFailed:         "multi-failed",                // a multi was refused for one of its operations
	failedWrite:         "zxid-spent-on-failure",       // a write that was refused took a zxid
	versionReset:        "version-reset",               // a node with versions behind it was made anew
	oversized:           "oversized-request",           // a request above MaxRequest broke its connection
	unordered:           "children-unordered",          // children came in another order than that of their names
	nodeSwept:           "node-swept",                  // a container or TTL node went by itself
	watchLate:           "watch-late",                  // a watch fired 100 ms or more after the commit
	leaderFirst:         "learned-at-leader-first",     // of two clients the leader's learned of a change first
	followerFirst:       "learned-at-follower-first",   // the follower's did
	existsLost:          "exists-create-delete-lost",   // a node came and went while its watcher was away
	recreateTold:        "recreate-told-as-change",     // a node was deleted and made anew, and told as changed
	readBehindEvent:     "read-behind-event",           // a read showed a state older than an event told before
	reconnectPause:      "reconnect-pause",             // a client paused before it tried again
	unguardedStall:      "unguarded-handshake-stalled", // a client waited 6⅔ session timeouts for a handshake
	requestCrossed:      "request-crossed-sessions",    // a request went out in a later session than it was made in
	watchLost:           "watch-lost",                  // a watch was forgotten at a reconnect
	catchUpLost:         "catch-up-lost",               // a watch was set again as if nothing had changed since
	readBeforeEvent:     "read-before-event",           // requests went out before watches were restored
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
