package loop

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"dkv/node"
)

const (
	// turnEvents is the number of events after which a turn ends even if more are
	// waiting.
	turnEvents = 256
	// maxQueuedFrames and maxQueuedFrameBytes limit the frames of peers that wait
	// for the loop. Above the limits the goroutines that read them wait, and TCP
	// slows the senders down.
	maxQueuedFrames     = 8192
	maxQueuedFrameBytes = 64 << 20
)

// A Frame is a message that a peer sent.
type Frame struct {
	Envelope *node.Envelope
	Bytes    int // its size on the wire
}

// event is one step of the node: fn, or a frame of a peer.
type event struct {
	fn    func()
	frame *node.Envelope
}

// A Loop is the goroutine that owns a node, with its queue of events.
//
// Post never waits, so that no adapter can deadlock with the loop. Its callers
// keep the queue bounded: timers and completions by the work that the core has
// started, requests by the limit of the HTTP API, frames by PostFrames.
type Loop struct {
	// OnFrame handles a frame of a peer; EndTurn ends a turn. They are set before
	// Run, and Run alone calls them.
	OnFrame func(*node.Envelope)
	EndTurn func()

	mu          sync.Mutex
	wake        sync.Cond // the queue is not empty, or the loop has stopped
	space       sync.Cond // fewer frames are waiting, or the loop has stopped
	queue       []event
	frames      int
	frameBytes  int
	stopped     bool
	done        chan struct{} // closed when stopped
	turns, runs atomic.Uint64
	depth       atomic.Int64

	// now is the time that the running event first asked for; 0 if it has not
	// asked. Only the loop's goroutine uses it.
	now time.Duration
}

// New returns a loop that does nothing with frames and at the end of a turn.
func New() *Loop {
	l := &Loop{OnFrame: func(*node.Envelope) {}, EndTurn: func() {}, done: make(chan struct{})}
	l.wake.L = &l.mu
	l.space.L = &l.mu
	return l
}

// Post queues fn. Once the loop has stopped, it drops fn and returns false.
func (l *Loop) Post(fn func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false
	}
	l.push(event{fn: fn})
	return true
}

// PostFrames queues the frames of one peer in order. It waits while too many are
// queued already, and returns false once the loop has stopped.
func (l *Loop) PostFrames(frames []Frame) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.stopped && l.frames > 0 && (l.frames >= maxQueuedFrames || l.frameBytes >= maxQueuedFrameBytes) {
		l.space.Wait()
	}
	if l.stopped {
		return false
	}
	for _, f := range frames {
		l.frames++
		l.frameBytes += f.Bytes
		l.push(event{frame: f.Envelope})
	}
	return true
}

// Call runs fn on the loop and returns when fn has returned. It returns false if
// the loop stops first; fn may then have run or not.
func (l *Loop) Call(fn func()) bool {
	ran := make(chan struct{})
	if !l.Post(func() { fn(); close(ran) }) {
		return false
	}
	select {
	case <-ran:
		return true
	case <-l.done:
		return false
	}
}

func (l *Loop) push(e event) {
	l.queue = append(l.queue, e)
	if len(l.queue) == 1 {
		l.wake.Signal()
	}
}

// Stopped returns a channel that is closed when the loop has stopped.
func (l *Loop) Stopped() <-chan struct{} { return l.done }

// Stop ends Run after the running event and drops the queue. It may be called from
// any goroutine, including the loop's own, and more than once.
func (l *Loop) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return
	}
	l.stopped = true
	l.queue = nil
	close(l.done)
	l.wake.Broadcast()
	l.space.Broadcast()
}

// Run executes events until Stop. Its goroutine owns the node.
func (l *Loop) Run() {
	var batch []event
	inTurn := 0
	for {
		batch = l.take(batch)
		if batch == nil {
			return
		}
		for i := range batch {
			if l.isStopped() {
				return
			}
			l.dispatch(&batch[i])
			if inTurn++; inTurn == turnEvents {
				l.finishTurn(inTurn)
				inTurn = 0
			}
		}
		if inTurn > 0 && l.settled() {
			l.finishTurn(inTurn)
			inTurn = 0
		}
	}
}

func (l *Loop) dispatch(e *event) {
	l.now = 0
	if e.frame != nil {
		l.OnFrame(e.frame)
	} else {
		e.fn()
	}
	*e = event{} // the batch is reused: do not keep the event alive
}

func (l *Loop) finishTurn(events int) {
	if l.isStopped() {
		return
	}
	l.now = 0
	l.EndTurn()
	l.turns.Add(1)
	l.runs.Add(uint64(events))
}

// take waits for events and returns them, leaving the empty spare batch as the
// queue. It returns nil when the loop has stopped.
func (l *Loop) take(spare []event) []event {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.stopped {
		l.depth.Store(0)
		l.wake.Wait()
	}
	if l.stopped {
		return nil
	}
	batch := l.queue
	if cap(spare) > 16*turnEvents { // release the memory of a burst
		spare = nil
	}
	l.queue = spare[:0]
	l.depth.Store(int64(len(batch)))
	if l.frames > 0 {
		l.frames, l.frameBytes = 0, 0
		l.space.Broadcast()
	}
	return batch
}

// settled reports whether the queue is empty. Before answering it lets other
// goroutines post: events that share a turn share its commit, its sync and its
// frames.
func (l *Loop) settled() bool {
	if !l.empty() {
		return false
	}
	runtime.Gosched()
	return l.empty()
}

func (l *Loop) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) == 0
}

func (l *Loop) isStopped() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}
