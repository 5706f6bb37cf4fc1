package netsim

import "fmt"

// A Cause says why a frame was lost, late, duplicated or corrupted. All causes but
// CauseDown are faults and have a counter.
type Cause uint8

const (
	CauseBridge    Cause = iota // cut off by Network.Bridge
	CauseClog                   // held by Network.Clog
	CauseCorrupt                // delivered with a flipped bit
	CauseCutOneWay              // stopped by Network.CutOneWay
	CauseCutTwoWay              // stopped by Network.CutTwoWay or Network.Split
	CauseDelay                  // late because of Rates.Delay or Network.Delay
	CauseDuplicate              // a second copy was delivered
	CauseHalfOpen               // sent into a half-open connection and lost
	CauseHintLoss               // an end of a broken connection was not told
	CauseIsolate                // stopped by Network.Isolate
	CauseLate                   // late because of Network.Late
	CauseLoss                   // a lost datagram; in a stream, a wait for its retransmission
	CauseQueueFull              // dropped by a full queue
	CauseReorder                // a datagram was overtaken by a later one of the same link
	CauseReset                  // a connection was reset
	CauseRing                   // cut off by Network.MajoritiesRing
	CauseSlow                   // late because of Network.Slow

	numFaults = iota

	// CauseDown: one of the two hosts was not attached, or ended while the frame was in
	// flight. This is not a fault of the network and is not counted.
	CauseDown Cause = numFaults
)

var causeNames = [...]string{
	"bridge", "clog", "corrupt", "cut-one-way", "cut-two-way", "delay", "duplicate", "half-open", "hint-loss",
	"isolate", "late", "loss", "queue-full", "reorder", "reset", "ring", "slow", "down",
}

// String returns the name that Counters uses for the cause.
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return fmt.Sprintf("Cause(%d)", uint8(c))
}

// A Count says how often one kind of fault took effect.
type Count struct {
	Name  string
	Count uint64
}

// Counters lists every kind of fault, sorted by name, with the number of times that it
// took effect since the network was created.
//
// Cuts (bridge, cut-one-way, cut-two-way, isolate, ring) count the frames that they lost
// or held beyond their due time; of overlapping cuts the oldest counts the frame. A
// half-open connection counts the frames lost in it, reset the connections broken, and
// hint-loss the ends not told. The other faults count frames: clog, delay, late, slow and
// the loss of a stream count frames that arrived later than without the fault, reorder those
// overtaken, and duplicate the second copies delivered.
func (n *Network) Counters() []Count {
	all := make([]Count, numFaults)
	for c := range all {
		all[c] = Count{Name: causeNames[c], Count: n.counts[c]}
	}
	return all
}

// Count returns how often faults of one kind took effect.
func (n *Network) Count(c Cause) uint64 {
	if c >= numFaults {
		return 0
	}
	return n.counts[c]
}

// Stats are totals of the traffic since the network was created. At any time
// Sent + Duplicated = Delivered + Lost + InFlight.
type Stats struct {
	Sent        uint64 // calls of Send
	Duplicated  uint64 // second copies made
	Delivered   uint64 // calls of OnFrame
	Bytes       uint64 // in the frames delivered
	Lost        uint64 // for any cause
	InFlight    uint64 // currently in flight, including held frames
	Connections uint64 // opened, in stream mode
}

// Stats returns the totals of the traffic.
func (n *Network) Stats() Stats { return n.stats }
