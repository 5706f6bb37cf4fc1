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
type stepKind uint8

const (
	// Dispatches to a node, one inside a turn each.

	kindStart     stepKind = iota + 1 // Start of a node
	kindMessage                       // a peer's frame
	kindPeerLost                      // a hint that a peer is gone
	kindTimer                         // a timer of the node's clock
	kindDurable                       // the done of a Commit
	kindAnswer                        // ZooKeeper's answer
	kindSession                       // a session event or a watch
	kindRequest                       // a client's request
	kindStop                          // a graceful end was asked for
	kindNodeEvent                     // no dispatch: the node told its Observer something

	// The world around the nodes.

	kindTurn      // a host's process begins a turn
	kindClock     // an alarm of a host's clock goes off
	kindNetwork   // the network moves
	kindZooKeeper // a ZooKeeper server or client moves
	kindDisk      // a sync ends
	kindClient    // a client gets its answer
	kindWorld     // the schedule, the workload, a boot

	// What came of it, told with words.

	kindOutcome // what the client got
	kindProcess // a process starts, ends, pauses or resumes

	kinds
)

var kindNames = [kinds]string{
	kindStart: "start", kindMessage: "message", kindPeerLost: "peer-lost", kindTimer: "timer",
	kindDurable: "durable", kindAnswer: "answer", kindSession: "session", kindRequest: "request",
	kindStop: "stop", kindNodeEvent: "event", kindTurn: "turn", kindClock: "clock",
	kindNetwork:   "network",
	kindZooKeeper: "zookeeper", kindDisk: "disk", kindClient: "client", kindOutcome: "outcome", kindProcess: "life", kindWorld: "world",
}

func (k stepKind) String() string {
	if k < kinds && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// counts says whether steps of the kind are events in the sense of a run's
// length: dispatches to a node, a ZooKeeper server, a disk or a client.
func (k stepKind) counts() bool {
	return k < kindNodeEvent || k == kindZooKeeper || k == kindDisk || k == kindClient
}

// Trace is the running hash over every step of a run, and their count. Runs
// with equal hashes took the same steps.
type trace struct {
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
func newTrace(out io.Writer) *trace {
	t := &trace{digest: xxhash.New(), buffer: make([]byte, 0, bufferBytes), out: out}
	t.sink, _ = out.(stepSink)
	return t
}

// Steps is how many steps there were.
func (t *trace) Steps() uint64 { return t.steps }

// Events is how many of them were dispatches to a node, a ZooKeeper server, a
// disk or a client.
func (t *trace) Events() uint64 { return t.events }

// Hash is the hash of all steps so far.
func (t *trace) Hash() uint64 {
	t.flush()
	return t.digest.Sum64()
}

func (t *trace) flush() {
	t.digest.Write(t.buffer)
	t.buffer = t.buffer[:0]
}

// step takes a step into the hash. Steps that say more than that they happened
// print themselves by say; for the others step prints the line.
func (t *trace) step(at time.Duration, sequence uint64, host int, kind stepKind, payload uint64) {
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
	if t.out != nil && kind >= kindTurn && kind < kindOutcome {
		t.print(at, host, kind, "")
	}
}

// printing says whether lines are wanted, so that nobody makes texts in vain.
func (t *trace) printing() bool { return t.out != nil }

// print writes one line of the current step. A writer that fails ends the
// printing: the run is not the poorer for it.
func (t *trace) print(at time.Duration, host int, kind stepKind, text string) {
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
	kind              stepKind
}

func (f stepFacts) String() string {
	who := "-"
	if f.host != NoHost {
		who = schedule.HostName(f.host)
	}
	return fmt.Sprintf("%v %s %v sequence=%d content=%016x", f.at, who, f.kind, f.sequence, f.payload)
}
