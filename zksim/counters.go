package zksim

import (
	"slices"
	"strings"
)

// A Count says how often a fault took effect.
type Count struct {
	Name  string
	Count uint64
}

type effect int

const (
	// Of servers and the network.
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

	// Of sessions.
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

	// Of writes.
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

	// Of watches.
	watchLate
	leaderFirst
	followerFirst
	existsLost
	recreateTold
	readBehindEvent

	// Of client libraries.
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
	serviceDown:      "service-down",          // a client was disconnected or refused
	leaderChanged:    "leader-changed",        // a new leader took over in a new epoch
	quorumLost:       "quorum-lost",           // the quorum was lost while clients were connected
	expiryPutOff:     "expiry-put-off",        // a session due to expire got its full timeout again from a new leader
	followerLagged:   "follower-lag",          // an entry was applied 100 ms or more after its commit
	staleRead:        "stale-read",            // a read was answered with another state than the leader's
	isolatedRead:     "isolated-server-read",  // a server cut off from the leader answered a read
	isolatedPing:     "isolated-server-ping",  // a server cut off from the leader answered a heartbeat
	writeBlocked:     "write-blocked",         // a write waited because its server lags or is cut off
	syncBlocked:      "sync-blocked",          // a sync waited for the same reason
	sessionBlocked:   "session-blocked",       // a handshake waited for the same reason
	deposedRead:      "deposed-read",          // a deposed leader answered a stale read
	deposedSyncRead:  "deposed-sync-read",     // a deposed leader answered sync and then a stale read
	deposedWrite:     "deposed-write-blocked", // a write waited at a deposed leader
	aheadRefused:     "zxid-ahead-refused",    // a server refused a client that had seen a later state
	wipedRefused:     "wiped-server-refused",  // a server that had lost its disk did
	rolledBack:       "rolled-back",           // the whole service lost its state
	handshakeStalled: "handshake-stalled",     // a connection was accepted and not answered

	sessionExpired:      "session-expired",             // the leader ended a live session
	expiryStretched:     "expiry-stretched",            // it ended later because its last heartbeat came through a follower
	expiredConnected:    "expired-while-connected",     // its client believed that it was connected
	expiredDisconnected: "expired-long-disconnected",   // its client had been disconnected for a second or more
	expiryLearned:       "expiry-learned-at-reconnect", // a client learned of it from a server at a reconnect
	pingAfterExpiry:     "ping-after-expiry",           // a server answered the heartbeat of a session that had ended
	sessionMoved:        "session-moved",               // a write over a superseded connection was refused
	supersededRead:      "superseded-connection-read",  // a read over a superseded connection was answered
	supersededPing:      "superseded-connection-ping",  // a heartbeat over a superseded connection was answered
	newSessionBehind:    "new-session-behind",          // a session read an older state than an earlier one of its host had
	staleEphemeral:      "stale-ephemeral-met",         // a session met an ephemeral of an earlier session of its host
	foreignEphemeral:    "foreign-ephemeral",           // a session deleted or set another's ephemeral
	replyLostBefore:     "reply-lost-before-effect",    // a connection broke, and the write was never done
	replyLostAfter:      "reply-lost-after-effect",     // a connection broke after the write had been done or refused
	lostCreate:          "reply-lost-of-create",        // the same, of a create that was done
	lostSequence:        "reply-lost-of-sequence",      // the same, of a sequential create that was done
	lostSet:             "reply-lost-of-set",           // the same, of a set that was done
	lostDelete:          "reply-lost-of-delete",        // the same, of a delete that was done
	lostMulti:           "reply-lost-of-multi",         // the same, of a multi that was done
	appliedLate:         "applied-late",                // a write was done after its client had been told that the outcome is unknown
	sequenceDuplicate:   "sequence-duplicated",         // a session created a second node after the reply for the first was lost
	sequenceGap:         "sequence-gap",                // a sequential create got a number that was not the next
	sequenceStuck:       "sequence-stuck",              // a sequential create was refused because the counter is at its maximum
	multiFailed:         "multi-failed",                // a multi failed because of one of its operations
	failedWrite:         "zxid-spent-on-failure",       // a write that failed took a zxid
	versionReset:        "version-reset",               // a node that had been changed was deleted and created again
	oversized:           "oversized-request",           // a request longer than MaxRequest broke its connection
	unordered:           "children-unordered",          // children came in an order other than that of their names
	nodeSwept:           "node-swept",                  // the leader removed a container or TTL node
	watchLate:           "watch-late",                  // a watch fired 100 ms or more after the commit
	leaderFirst:         "learned-at-leader-first",     // of two clients, the one at the leader learned of a change first
	followerFirst:       "learned-at-follower-first",   // the one at a follower did
	existsLost:          "exists-create-delete-lost",   // a node was created and deleted while its watcher was disconnected
	recreateTold:        "recreate-told-as-change",     // a node was deleted and created again, and reported as changed
	readBehindEvent:     "read-behind-event",           // a read showed a state older than an earlier event
	reconnectPause:      "reconnect-pause",             // a client paused before it tried again
	unguardedStall:      "unguarded-handshake-stalled", // a client waited 6⅔ session timeouts for a handshake
	requestCrossed:      "request-crossed-sessions",    // a request was sent in a later session than it was made in
	watchLost:           "watch-lost",                  // a watch was not restored at a reconnect
	catchUpLost:         "catch-up-lost",               // a watch was restored as if nothing had changed in between
	readBeforeEvent:     "read-before-event",           // requests were sent before watches were restored
}

func (s *Service) count(e effect) { s.counts[e]++ }

// Counters returns how often each fault took effect, sorted by name, including
// those that never did.
func (s *Service) Counters() []Count {
	list := make([]Count, 0, effects)
	for e, name := range effectNames {
		list = append(list, Count{name, s.counts[e]})
	}
	slices.SortFunc(list, func(a, b Count) int { return strings.Compare(a.Name, b.Name) })
	return list
}
