package netsim

import "fmt"

// Cause is why a frame was lost, late, doubled or damaged. All but CauseDown
// are faults and have a counter.
type Cause uint8

const (
	CauseBridge    Cause = iota // cut off by Network.Bridge
	CauseClog                   // held by Network.Clog
	CauseCorrupt                // delivered with a flipped bit
	CauseCutOneWay              // stopped by Network.CutOneWay
	CauseCutTwoWay              // stopped by Network.CutTwoWay or Network.Split
	CauseDelay                  // later than ordinary: Rates.Delay or Network.Delay
	CauseDuplicate              // a second copy was delivered
	CauseHalfOpen               // sent into a half-open connection and lost
	CauseHintLoss               // an end of a broken connection was not told
	CauseIsolate                // stopped by Network.Isolate
	CauseLoss                   // a lost datagram; in a stream, a wait for its retransmission
	CauseQueueFull              // dropped by a full queue
	CauseReorder                // a datagram was overtaken by a later one of its pair
	CauseReset                  // a connection was reset
	CauseRing                   // cut off by Network.MajoritiesRing
	CauseSlow                   // later than ordinary because of Network.Slow

	numFaults = iota

	// CauseDown: one of the two hosts was not attached, or went down with the
	// frame in flight. This is no fault of the network and is not counted.
	CauseDown Cause = numFaults
)

var causeNames = [...]string{
	"bridge", "clog", "corrupt", "cut-one-way", "cut-two-way", "delay", "duplicate", "half-open", "hint-loss",
	"isolate", "loss", "queue-full", "reorder", "reset", "ring", "slow", "down",
}

// String returns the name under which Counters lists the cause.
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return fmt.Sprintf("Cause(%d)", uint8(c))
}

// Count says how often one kind of fault took effect.
type Count struct {
	Name  string
	Count uint64
}

// Counters lists every kind of fault, sorted by name, with how often it took
// effect since the network was made.
//
// Cuts (bridge, cut-one-way, cut-two-way, isolate, ring) count the frames they
// lost or held beyond the time they were due; where cuts overlap, the oldest
// gets the frame. A half-open connection counts the frames lost in it, a reset
// the connections broken, hint-loss the ends not told. The others count frames:
// clog, delay, slow and a stream's loss those that came later than they would
// have, reorder those overtaken, duplicate second copies delivered.
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

// Stats are totals of the traffic since the network was made. At any time
// Sent + Duplicated = Delivered + Lost + InFlight.
type Stats struct {
	Sent        uint64 // calls of Send
	Duplicated  uint64 // second copies made
	Delivered   uint64 // calls of OnFrame
	Bytes       uint64 // in the frames delivered
	Lost        uint64 // for whatever cause
	InFlight    uint64 // on their way now, those that are held included
	Connections uint64 // opened, in stream mode
}

// Stats returns the totals of the traffic.
func (n *Network) Stats() Stats { return n.stats }
