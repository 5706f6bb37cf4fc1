package linearizability

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// RecorderConfig configures a Recorder.
type RecorderConfig struct {
	// To receives each event as a line of the file format, in stamp order, buffered
	// until Flush. nil: nothing is written.
	To io.Writer
	// Forget drops each operation from memory when it returns, so that the recorder
	// needs memory only for open operations. History is then empty. It needs To.
	Forget bool
	// Now returns the time since any fixed time, for reports only. nil: the monotonic
	// time since the recorder was created.
	Now func() time.Duration
}

// A Recorder stamps the calls and returns of a concurrent program. Its methods may be
// called from any number of goroutines.
//
// For the verdict to mean anything, Call must return before the request is sent, and
// Return must be called after the answer has arrived.
type Recorder struct {
	mu     sync.Mutex
	config RecorderConfig
	out    *bufio.Writer // nil: nothing is written
	line   []byte
	err    error // of the first failed write
	stamp  Stamp
	ops    history
	open   map[Stamp]*Operation // by call stamp
}

// history holds operations by call, in blocks: growing moves nothing, so that pointers
// to operations stay valid.
type history [][]Operation

const historyBlock = 64

// add appends an operation and returns a pointer to it.
func (h *history) add(op *Operation) *Operation {
	last := len(*h) - 1
	if last < 0 || len((*h)[last]) == historyBlock {
		*h = append(*h, make([]Operation, 0, historyBlock))
		last++
	}
	block := append((*h)[last], *op)
	(*h)[last] = block
	return &block[len(block)-1]
}

// NewRecorder returns a recorder with an empty history.
func NewRecorder(c RecorderConfig) *Recorder {
	if c.Forget && c.To == nil {
		panic("linearizability: a recorder with Forget needs To")
	}
	if c.Now == nil {
		start := time.Now()
		c.Now = func() time.Duration { return time.Since(start) }
	}
	r := &Recorder{config: c, open: make(map[Stamp]*Operation)}
	if c.To != nil {
		r.out = bufio.NewWriterSize(c.To, 64<<10)
	}
	return r
}

// Call records that an operation is about to be sent. It returns the stamp of the call,
// which identifies the operation in Return. Of op it uses Client, Key, Kind, Value,
// IfMatch, IfAbsent, IfValue, HasIfValue and Node. It panics if op is invalid, such as a
// get with a condition.
func (r *Recorder) Call(op Operation) Stamp {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stamp++
	op.Call, op.CallTime = r.stamp, r.config.Now()
	op.Return, op.ReturnTime, op.Outcome, op.Answer = 0, 0, Unknown, Answer{}
	if err := op.validateCall(); err != nil {
		panic(fmt.Sprintf("linearizability: recording a call: %v", err))
	}
	kept := &op
	if !r.config.Forget {
		kept = r.ops.add(&op)
	}
	r.open[op.Call] = kept
	if r.out != nil {
		r.line = appendCall(r.line[:0], kept)
		r.write()
	}
	return op.Call
}

// Return records how the operation with this call stamp ended. The answer matters only
// with outcome OK. Return panics if there is no such open operation, or if the answer is
// invalid for it. An operation that never returns needs no Return: its outcome is
// unknown.
func (r *Recorder) Return(call Stamp, outcome Outcome, answer Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	op, ok := r.open[call]
	if !ok {
		panic(fmt.Sprintf("linearizability: recording a return: no operation called at stamp %d is open", call))
	}
	if outcome != OK {
		answer = Answer{}
	}
	r.stamp++
	op.Return, op.ReturnTime, op.Outcome, op.Answer = r.stamp, r.config.Now(), outcome, answer
	if err := op.validateReturn(); err != nil {
		panic(fmt.Sprintf("linearizability: recording the return of the %s called at stamp %d: %v", op.Kind, call, err))
	}
	delete(r.open, call)
	if r.out != nil {
		r.line = appendReturn(r.line[:0], op)
		r.write()
	}
}

// History returns a copy of the operations so far, sorted by call. The open ones have
// outcome Unknown.
func (r *Recorder) History() []Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Concat(r.ops...)
}

// Flush writes everything recorded so far to To. It returns the error of the first write
// that failed; nothing is written after that.
func (r *Recorder) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.out != nil && r.err == nil {
		r.err = r.out.Flush()
	}
	if r.err != nil {
		return fmt.Errorf("writing the history: %w", r.err)
	}
	return nil
}

func (r *Recorder) write() {
	if r.err == nil {
		_, r.err = r.out.Write(r.line)
	}
}
