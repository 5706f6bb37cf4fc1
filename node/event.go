package node

// Event is something that happened inside a node, told to its Observer. Which
// fields mean something depends on the kind.
type Event struct {
	Kind      EventKind
	Partition PartitionID
	Epoch     Epoch
	Index     Index
	Peer      MemberNumber
	// Hash identifies the entry of EventLogged and EventApplied: equal hashes,
	// equal entries.
	Hash uint64
	// Text says in words what an operator should read; "" for the others.
	Text string
}

// EventKind says what an Event tells.
type EventKind uint8

const (
	// Facts, for the step-wise checks. They are told in the event in which they come
	// true here, before any message speaks of them, so that an observer of all nodes
	// sees causes before effects.

	EventBooted       EventKind = iota + 1 // store recovered; Index: boot counter; Text: store id
	EventPromised                          // Epoch promised (in memory; durable before it is told)
	EventPromiseKept                       // Epoch promised is durable
	EventLogged                            // entry Index of Epoch with Hash stands in the log
	EventCut                               // log cut to Index (probe: suffix cut)
	EventApplied                           // entry Index of Epoch with Hash applied
	EventReignStarted                      // acts as primary of Epoch from now on; its own promise is durable
	EventReignActive                       // own no-op committed at Index
	EventReignEnded                        // Text says why
	EventQuiet                             // unanswered: check-quorum
	EventResumed                           // answered again
	EventLayout                            // Index: version adopted
	EventMember                            // Peer: own number, first learned

	// Probes: branches that a campaign must reach. Each is a place where the protocol
	// does something that a quiet run never needs; one that is never reached is tested
	// by nothing.

	EventLogCopied         // the log of Epoch was completed from Peer
	EventSnapshotSent      // whole snapshot at Index sent to Peer
	EventSnapshotInstalled // state replaced by one at Index
	EventSnapshotSkipped   // offered snapshot not needed: the log reaches it
	EventJointActive       // no-op committed by R and N
	EventMoveFinished      // L3 made
	EventMoveCancelled     // L4 made
	EventBump              // L1 from oneself to oneself after a restart or a dead end
	EventTakeOver          // L1 to oneself from another
	EventHandOver          // L1 to the preferred primary
	EventReadRefused       // an answer with a higher promise met waiting reads
	EventAnswerTooOld      // Peer answered what was sent before a waiting read arrived
	EventPreVoteRefused    // Peer did not consent
	EventLayoutConflict    // compare-and-set met a newer version
	EventLayoutUnknown     // compare-and-set without an answer
	EventAppliedUnanswered // what got no answer turned out to be done
	EventRegistered        // live/<id> stands; Index: incarnation
	EventStaleReplaced     // over one's own ephemeral of a former session
	EventSessionExpired    //
	EventFormed            // this node created the layout
	EventLateSync          // a durable callback outlived its epoch
	EventDuplicateForward  // a copy of a forward was dropped or answered again
	EventRelayed           // a forward went through a replica
	EventCompacted         // log cut at the front up to Index
	EventForgotten         // data of a partition deleted, tombstone kept
	EventFrameRefused      // wrong store id, or a process whose hello was not accepted here
	EventLayoutCopied      // a newer layout came from Peer
	EventAppendRejected    // Append with a gap or another past
	EventPromiseRejected   // Prepare for an epoch that is over
	EventUncommittedBound  // refused: too much uncommitted
	EventJoined            // this node's compare-and-set made Peer a member
	EventReplaced          // this node's compare-and-set gave Peer up, by itself or for an operator
	EventReturned          // Peer, which had been replaced, is a member again
	EventRemoved           // Peer is gone, or was forgotten
	EventMissingHeard      // Peer has no registration, but another member heard it
	EventMoveBegun         // L2 made, after the learners had caught up
	EventRuleChanged       // the record names another version of the ring's rule; Index: it
	EventNameTaken         // the node id is that of a member with another store
	EventClaimRefused      // a frame of Peer contradicts what this node promised, committed or sent; Text: the claim
	EventForwardDropped    // Peer, which sent a forward, could not be answered
	EventTurnedAway        // a client was refused, because this node is not a member
	EventCopyBegun         // the ring's target lacks members: they become learners
	EventCopyContinued     // learner Peer already has the log up to Index, or loads a snapshot, from an earlier copy
	EventLearnerCaughtUp   // Peer has the log up to Index: this node asks for L2
	EventCopyCancelled     // given up for a while; Text says why
	EventCopyLogBound      // the log that copies need went beyond its bound
	EventCopyPaced         // a copy waited for --move-rate
	EventSnapshotContinued // a transfer that was interrupted continues where it stopped
	EventCopySent          // Index: bytes of keys, values and versions sent to learner Peer, by snapshot or log
	EventLearnerKept       // a copy that the ring means for this node outlived settle-time
	EventStampRefused      // the hello of Peer's store contradicts what it told here before
	EventStampAccused      // Peer says so of this store
	EventStampFinal        // ZooKeeper's record says so of this store
	EventHeldAtStop        // a write waits for the heir of a node that stops
	EventHeldForStep       // a write waits for a planned step of the layout
	EventDrained           // what was proposed before a planned step is committed
	EventHandedOverAtStop  // L1 to Peer, because this node stops
	EventGivenAtStop       // a peer handed partitions over while this node stops; Index leads now
	EventHeirAway          // no step was made, since Peer, which would lead, is not registered
	EventRecordRaised      // a peer's stamp was written into ZooKeeper's record; Text: its store

	// Words for the operator. Their text says what is wrong and what to do about it.

	EventNotice // Text: what happened
	EventAlarm  // Text: what is wrong and what to do
	EventFailed // Text: why the node stops

	eventKinds
)

// EventKinds is how many kinds there are, for tables indexed by kind.
const EventKinds = int(eventKinds)

var eventNames = [EventKinds]string{
	EventBooted: "booted", EventPromised: "promised", EventPromiseKept: "promise-kept",
	EventLogged: "logged", EventCut: "suffix-cut", EventApplied: "applied",
	EventReignStarted: "reign-started", EventReignActive: "reign-active", EventReignEnded: "reign-ended",
	EventQuiet: "quiet", EventResumed: "resumed", EventLayout: "layout", EventMember: "member",
	EventLogCopied: "log-copied", EventSnapshotSent: "snapshot-sent",
	EventSnapshotInstalled: "snapshot-installed", EventSnapshotSkipped: "snapshot-skipped",
	EventJointActive: "joint-no-op-committed", EventMoveFinished: "move-finished",
	EventMoveCancelled: "move-cancelled", EventBump: "bump", EventTakeOver: "take-over",
	EventHandOver: "hand-over", EventReadRefused: "read-confirmation-refused",
	EventAnswerTooOld: "answer-too-old", EventPreVoteRefused: "pre-vote-refused", EventLayoutConflict: "layout-conflict",
	EventLayoutUnknown: "layout-unknown", EventAppliedUnanswered: "reply-lost-but-applied",
	EventRegistered: "registered", EventStaleReplaced: "registered-over-stale-ephemeral",
	EventSessionExpired: "session-expired", EventFormed: "formed", EventLateSync: "late-sync-dropped",
	EventDuplicateForward: "duplicate-forward-dropped", EventRelayed: "forward-relayed",
	EventCompacted: "log-compacted", EventForgotten: "replica-forgotten",
	EventFrameRefused: "frame-refused", EventLayoutCopied: "layout-copied-from-peer",
	EventAppendRejected: "append-rejected", EventPromiseRejected: "prepare-rejected",
	EventUncommittedBound: "uncommitted-bound", EventClaimRefused: "claim-refused",
	EventForwardDropped: "forward-dropped", EventJoined: "member-joined", EventReplaced: "member-replaced",
	EventReturned: "member-returned", EventRemoved: "member-removed", EventMissingHeard: "missing-member-heard",
	EventMoveBegun: "move-begun", EventNameTaken: "node-id-taken",
	EventTurnedAway: "client-turned-away",
	EventCopyBegun:  "copy-begun", EventCopyContinued: "copy-continued", EventLearnerCaughtUp: "learner-caught-up",
	EventCopyCancelled: "copy-cancelled",
	EventCopyLogBound:  "copy-log-bound", EventCopyPaced: "copy-paced", EventCopySent: "copy-sent",
	EventSnapshotContinued: "snapshot-continued", EventLearnerKept: "learner-kept",
	EventStampRefused: "roll-back-refused", EventStampAccused: "roll-back-accused",
	EventStampFinal: "roll-back-final", EventRecordRaised: "stamp-record-raised",
	EventHeldAtStop: "held-at-stop", EventHandedOverAtStop: "handed-over-at-stop",
	EventGivenAtStop: "given-at-stop", EventHeirAway: "heir-away",
	EventHeldForStep: "held-for-a-step", EventDrained: "drained-before-a-step",
	EventRuleChanged: "ring-rule-changed",
	EventNotice:      "notice", EventAlarm: "alarm", EventFailed: "failed",
}

func (k EventKind) String() string {
	if int(k) < EventKinds && eventNames[k] != "" {
		return eventNames[k]
	}
	return "invalid"
}
