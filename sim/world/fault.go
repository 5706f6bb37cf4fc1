package world

import (
	"slices"
	"strings"
)

// Counter tells how often one kind of fault took effect.
type Counter struct {
	Name  string
	Count uint64
}

// Fault is a kind of fault that the world counts. It counts a fault when the
// fault takes effect, not when it begins: one that ends before anything met it
// has tested nothing.
type Fault uint8

const (
	faultCrash Fault = iota
	faultLostSuffix
	faultRestart
	faultPause
	faultSuspend
	faultPowerLoss
	faultStop
	faultWipe
	faultSlowHost
	faultSlowDisk
	faultStallDisk
	faultFailSync
	faultIO
	faultFull
	faultRot
	faultFlipEntry
	faultRollBack
	faultCopy
	faultTorn
	faultFlipTable
	faultFlipLog
	faultMove
	faultCancel
	FaultRingSet
	faultCutZooKeeper
	faultDoorQueued
	faultDoorUnsent
	faultDoorLate
	faultDoorCoalesced
	faultDoorWatchdog
	faultDoorHeld
	faultOrder
	faultCrashInTurn
	FaultStaleAnswer
	FaultTrigger
	FaultSpared
	faultCrashInStall
	faultCrashInStallOfStart
	FaultCrashBeforePromise
	FaultMoveAgain
	FaultAwayOverMoves
	FaultFormerData
	FaultEpochTwice
	FaultEditRefused
	FaultCopyPassedOn
	FaultCopySenderRestarted
	FaultSnapshotAfterRestart
	SteadyCut
	SteadyMove
	SteadyPartition
	StrangerRefused
	FaultJoin
	FaultDrain
	FaultDrained
	FaultLeave

	faults
)

var faultNames = [faults]string{
	faultCrash:      "crash",             // a process died
	faultLostSuffix: "crash-lost-suffix", // a crash lost batches that were not durable
	faultRestart:    "restart",           // a process started on a disk used before
	faultPause:      "pause",             // an event came late because its process was paused
	faultSuspend:    "suspend",           // a machine stood still while an alarm of its process went off
	faultPowerLoss:  "power-loss",        // two or more processes died at one instant
	faultStop:       "stop",              // a process ended gracefully
	faultWipe:       "wipe-disk",         // a disk that had been used was replaced
	faultSlowHost:   "slow-host",         // a turn came late because its host was slow
	faultSlowDisk:   "disk-slow",         // a sync came late because its disk was slow
	faultStallDisk:  "disk-stall",        // a sync came late because its disk had stalled
	faultFailSync:   "disk-fail-sync",    // a sync failed
	faultIO:         "disk-eio",          // a read or a write failed
	faultFull:       "disk-full",         // a write found no space
	faultRot:        "disk-rot",          // a key could not be read
	faultFlipEntry:  "disk-flip-entry",   // a log entry was read with a flipped bit
	faultRollBack:   "disk-roll-back",    // a process started on an earlier state of its disk
	faultCopy:       "disk-copy",         // a process started on a copy of another host's disk
	faultTorn:       "disk-torn",         // a crash kept some blocks of what Pebble had not synced
	faultFlipTable:  "disk-flip-table",   // Pebble found a flipped bit in a table
	faultFlipLog:    "disk-flip-wal",     // Pebble found a flipped bit in its log
	faultMove:       "move",              // the administrator began a move
	faultCancel:     "cancel",            // the administrator cancelled a move
	FaultRingSet:    "ring-set",          // the cluster's record got another version of the ring's rule

	faultCutZooKeeper: "cut-zookeeper", // a session lost its connection because of CutZooKeeper

	faultDoorQueued:    "door-call-queued",     // a call waited for the answer to the call before it
	faultDoorUnsent:    "door-call-unsent",     // a call ended unknown because there was no connection
	faultDoorLate:      "door-call-late",       // a call ended unknown because its answer took too long
	faultDoorCoalesced: "door-event-coalesced", // a change was not reported because one of the same path was on its way
	faultDoorWatchdog:  "door-watchdog",        // the adapter gave up a session that ZooKeeper had not ended
	faultDoorHeld:      "door-call-held",       // a call waited until the watches were set again

	faultOrder:       "order-overtaken", // a step ran before one that was due earlier
	faultCrashInTurn: "crash-in-turn",   // a process died between a turn's commit and its last message
	FaultStaleAnswer: "stale-answer",    // an answer from before a read met it at a deposed primary that is not quiet
	FaultTrigger:     "step-at-moment",  // a schedule step came at its trigger
	FaultSpared:      "step-spared",     // a schedule step was left out because it would have left no majority

	SteadyCut:       "core-link-cut",          // a link inside the core stopped frames while all faults stood still
	SteadyMove:      "core-move-finished",     // a move that was made meanwhile finished
	SteadyPartition: "core-partition-watched", // the epochs of a partition of the core were watched meanwhile

	StrangerRefused: "stranger-asked", // a host that no layout lists refused a write when all was healed
	FaultJoin:       "join",           // a host that no layout had listed became a member
	FaultDrain:      "drain",          // a member began to leave
	FaultDrained:    "drained",        // a member that was leaving held nothing any more
	FaultLeave:      "leave",          // a member that held nothing was removed

	faultCrashInStall:        "crash-in-stall",                 // a process died while a stall held up its disk's sync
	faultCrashInStallOfStart: "crash-in-stall-since-its-start", // and it had started during that stall
	FaultCrashBeforePromise:  "crash-before-promise-synced",    // a process died between a promise and its sync
	FaultMoveAgain:           "move-begun-again",               // a move that was cancelled began a second time
	FaultAwayOverMoves:       "away-over-moves",                // a replica missed two finished moves of its partition, and came back
	FaultEpochTwice:          "epoch-given-twice",              // a second member started an epoch that an edited layout gave it
	FaultEditRefused:         "edited-layout-refused",          // a node refused an edited layout, and told the operator
	FaultFormerData:          "former-data-met",                // a move named a node that still had data of a former membership

	FaultCopyPassedOn:         "copy-passed-on",          // a primary continued a copy that another one had begun
	FaultCopySenderRestarted:  "copy-sender-restarted",   // a primary continued a copy that an earlier process of it had begun
	FaultSnapshotAfterRestart: "snapshot-over-a-restart", // a snapshot continued in another process of its receiver
}

// Counters returns how often each kind of fault took effect, including zeros,
// sorted by name. The network's counters begin with "net-", ZooKeeper's with
// "zk-".
func (w *World) Counters() []Counter {
	var all []Counter
	for f, name := range faultNames {
		all = append(all, Counter{name, w.counts[f]})
	}
	for _, c := range w.network.Counters() {
		all = append(all, Counter{"net-" + c.Name, c.Count})
	}
	for _, c := range w.zookeeper.Counters() {
		all = append(all, Counter{"zk-" + c.Name, c.Count})
	}
	slices.SortFunc(all, func(a, b Counter) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Count records that a fault took effect.
func (w *World) Count(f Fault) { w.counts[f]++ }
