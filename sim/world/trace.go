package world

import (
	"dkv/sim/schedule"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/cespare/xxhash/v2"
)

// NoHost stands in for a host where an event belongs to none.
const NoHost = -1

// Kind says what kind of thing a step of a run is.
type Kind uint8

const (
	// Dispatches to a node, one inside a turn each.

	KindStart     Kind = iota + 1 // Start of a node
	KindMessage                   // a peer's frame
	KindPeerLost                  // a hint that a peer is gone
	KindTimer                     // a timer of the node's clock
	KindDurable                   // the done of a Commit
	KindAnswer                    // ZooKeeper's answer
	KindSession                   // a session event or a watch
	KindRequest                   // a client's request
	KindStop                      // a graceful end was asked for
	KindNodeEvent                 // no dispatch: the node told its Observer something

	// The world around the nodes.

	KindTurn      // a host's process begins a turn
	KindClock     // an alarm of a host's clock goes off
	KindNetwork   // the network moves
	KindZooKeeper // a ZooKeeper server or client moves
	KindDisk      // a sync ends
	KindClient    // a client gets its answer
	KindWorld     // the schedule, the workload, a boot

	// What came of it, told with words.

	KindOutcome // what the client got
	KindLife    // a process starts, ends, pauses or resumes

	kinds
)

var kindNames = [kinds]string{
	KindStart: "start", KindMessage: "message", KindPeerLost: "peer-lost", KindTimer: "timer",
	KindDurable: "durable", KindAnswer: "answer", KindSession: "session", KindRequest: "request",
	KindStop: "stop", KindNodeEvent: "event", KindTurn: "turn", KindClock: "clock",
	KindNetwork:   "network",
	KindZooKeeper: "zookeeper", KindDisk: "disk", KindClient: "client", KindOutcome: "outcome", KindLife: "life", KindWorld: "world",
}

func (k Kind) String() string {
	if k < kinds && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// counts says whether steps of the kind are events in the sense of a run's
// length: dispatches to a node, a ZooKeeper server, a disk or a client.
func (k Kind) counts() bool {
	return k < KindNodeEvent || k == KindZooKeeper || k == KindDisk || k == KindClient
}

// Trace is the running hash over every step of a run, and their count. Runs
// with equal hashes took the same steps.
type Trace struct {
	steps  uint64
	events uint64
	digest *xxhash.Digest
	buffer []byte // records not yet in the digest
	out    io.Writer
	sink   stepSink // out, if it wants more than lines
}

const (
	recordBytes = 32
	bufferBytes = 128 * recordBytes
)

// NewTrace makes the trace of a run. If out is not nil each step is printed to
// it as a line: step, virtual time, host, kind, and what there is to say.
func NewTrace(out io.Writer) *Trace {
	t := &Trace{digest: xxhash.New(), buffer: make([]byte, 0, bufferBytes), out: out}
	t.sink, _ = out.(stepSink)
	return t
}

// Steps is how many steps there were.
func (t *Trace) Steps() uint64 { return t.steps }

// Events is how many of them were dispatches to a node, a ZooKeeper server, a
// disk or a client.
func (t *Trace) Events() uint64 { return t.events }

// Hash is the hash of all steps so far.
func (t *Trace) Hash() uint64 {
	t.flush()
	return t.digest.Sum64()
}

func (t *Trace) flush() {
	t.digest.Write(t.buffer)
	t.buffer = t.buffer[:0]
}

// step takes a step into the hash. Steps that say more than that they happened
// print themselves by say; for the others step prints the line.
func (t *Trace) step(at time.Duration, sequence uint64, host int, kind Kind, payload uint64) {
	t.steps++
	if kind.counts() {
		t.events++
	}
	b := t.buffer
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	b = binary.LittleEndian.AppendUint64(b, sequence)
	b = binary.LittleEndian.AppendUint64(b, uint64(uint32(host))|uint64(kind)<<32)
	b = binary.LittleEndian.AppendUint64(b, payload)
	t.buffer = b
	if len(b) == bufferBytes {
		t.flush()
	}
	if t.sink != nil {
		t.sink.onStep(t.steps, stepFacts{at, sequence, payload, host, kind})
	}
	if t.out != nil && kind >= KindTurn && kind < KindOutcome {
		t.print(at, host, kind, "")
	}
}

// printing says whether lines are wanted, so that nobody makes texts in vain.
func (t *Trace) printing() bool { return t.out != nil }

// print writes one line of the current step. A writer that fails ends the
// printing: the run is not the poorer for it.
func (t *Trace) print(at time.Duration, host int, kind Kind, text string) {
	who := "-"
	if host != NoHost {
		who = schedule.HostName(host)
	}
	if _, err := fmt.Fprintf(t.out, "%8d %14v %-4s %-10v %s\n", t.steps, at, who, kind, text); err != nil {
		t.out = nil
	}
}

// A stepSink gets steps as they go into the hash, beside their lines.
type stepSink interface {
	io.Writer
	onStep(step uint64, s stepFacts)
}

// stepFacts is all of a step that goes into the hash.
type stepFacts struct {
	at                time.Duration
	sequence, payload uint64
	host              int
	kind              Kind
}

func (f stepFacts) String() string {
	who := "-"
	if f.host != NoHost {
		who = schedule.HostName(f.host)
	}
	return fmt.Sprintf("%v %s %v sequence=%d content=%016x", f.at, who, f.kind, f.sequence, f.payload)
}
