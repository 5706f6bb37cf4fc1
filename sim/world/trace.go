package world

import (
	"dkv/sim/schedule"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/cespare/xxhash/v2"
)

// NoHost stands for the host of an event that belongs to no host.
const NoHost = -1

// stepKind is the kind of a step. The values are part of the trace hash.
type stepKind uint8

const (
	// Dispatches to a process, each inside a turn.

	kindStart     stepKind = iota + 1 // Start of a process
	kindMessage                       // a peer's frame
	kindPeerLost                      // a hint that a peer is gone
	kindTimer                         // a timer of the process's clock
	kindDurable                       // the done of a Commit
	kindAnswer                        // ZooKeeper's answer
	kindSession                       // a session event or a watch
	kindRequest                       // a client's request
	kindStop                          // a graceful end was asked for
	kindNodeEvent                     // no dispatch: the process reported something to its Observer

	// Entries of the scheduler.

	kindTurn      // a host's process begins a turn
	kindClock     // an alarm of a host's clock goes off
	kindNetwork   // the network moves
	kindZooKeeper // a ZooKeeper server or client moves
	kindDisk      // a sync ends
	kindClient    // a client gets its answer
	kindWorld     // the schedule, the workload, a boot

	// Results.

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

// counts reports whether steps of the kind are events, which measure the length of
// a run: dispatches to a node, a ZooKeeper server, a disk or a client.
func (k stepKind) counts() bool {
	return k < kindNodeEvent || k == kindZooKeeper || k == kindDisk || k == kindClient
}

// trace hashes and counts the steps of a run. Runs with equal hashes took the same
// steps.
type trace struct {
	steps  uint64
	events uint64
	digest *xxhash.Digest
	buffer []byte    // records that are not in the digest yet
	out    io.Writer // nil if no lines are wanted
	sink   stepSink  // out, if it wants more than lines
}

const (
	recordBytes = 32
	bufferBytes = 128 * recordBytes
)

// newTrace makes the trace of a run. If out is not nil, the trace writes a line for
// each step to it: number, virtual time, host, kind and details.
func newTrace(out io.Writer) *trace {
	t := &trace{digest: xxhash.New(), buffer: make([]byte, 0, bufferBytes), out: out}
	t.sink, _ = out.(stepSink)
	return t
}

// Steps returns the number of steps.
func (t *trace) Steps() uint64 { return t.steps }

// Events returns how many of the steps were dispatches to a node, a ZooKeeper
// server, a disk or a client.
func (t *trace) Events() uint64 { return t.events }

// Hash returns the hash of all steps so far.
func (t *trace) Hash() uint64 {
	t.flush()
	return t.digest.Sum64()
}

func (t *trace) flush() {
	t.digest.Write(t.buffer)
	t.buffer = t.buffer[:0]
}

// step adds a step to the hash. It prints the lines of steps without details; the
// callers print those of the others, which call print themselves.
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

// printing reports whether lines are wanted, so that no caller formats in vain.
func (t *trace) printing() bool { return t.out != nil }

// print writes the line of the current step. If the writer fails, the trace prints
// no more lines, and the run continues.
func (t *trace) print(at time.Duration, host int, kind stepKind, text string) {
	who := "-"
	if host != NoHost {
		who = schedule.HostName(host)
	}
	if _, err := fmt.Fprintf(t.out, "%8d %14v %-4s %-10v %s\n", t.steps, at, who, kind, text); err != nil {
		t.out = nil
	}
}

// stepSink is a writer that also receives the hashed content of each step.
type stepSink interface {
	io.Writer
	onStep(step uint64, s stepFacts)
}

// stepFacts is everything of a step that goes into the hash.
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
