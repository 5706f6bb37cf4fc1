package loop

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"dkv/node"
)

const (
	// turnEvents is how many events may pass before the turn ends although
	// more are waiting.
	turnEvents = 256
	// maxQueuedFrames and maxQueuedFrameBytes bound the peers' frames that
	// wait for the loop; their readers wait beyond it, and TCP with them.
	maxQueuedFrames     = 8192
	maxQueuedFrameBytes = 64 << 20
)

// Frame is a frame that a peer sent.
type Frame struct {
	Envelope *node.Envelope
	Bytes    int // as it was read
}

// event is one thing for the node to do: run fn, or take a frame of a peer.
type event struct {
	fn    func()
	frame *node.Envelope
}

// loop is the one goroutine that owns a Node, with its queue.
//
// post never waits, so that no adapter can deadlock with the loop. What it
// admits is bounded by its callers: timers and completions by what the core
// has under way, requests by the HTTP door's admission, frames by postFrames.
type Loop struct {
	// onFrame and endTurn are set before run.
	OnFrame func(*node.Envelope)
	EndTurn func()

	mu          sync.Mutex
	wake        sync.Cond // the queue isn't empty, or stopped
	room        sync.Cond // fewer frames wait, or stopped
	queue       []event
	frames      int
	frameBytes  int
	stopped     bool
	done        chan struct{} // closed when stopped
	turns, runs atomic.Uint64
	depth       atomic.Int64

	// now is when the event that runs first asked for the time; 0: it has not.
	// It is the loop's goroutine's own.
	now time.Duration
}

func New() *Loop {
	l := &Loop{OnFrame: func(*node.Envelope) {}, EndTurn: func() {}, done: make(chan struct{})}
	l.wake.L = &l.mu
	l.room.L = &l.mu
	return l
}

// post queues fn. It says false, and drops fn, once the loop has stopped.
func (l *Loop) Post(fn func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false
	}
	l.push(event{fn: fn})
	return true
}

// postFrames queues the frames of one peer in order, and waits while too many
// wait already. It says false once the loop has stopped.
func (l *Loop) PostFrames(frames []Frame) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.stopped && l.frames > 0 && (l.frames >= maxQueuedFrames || l.frameBytes >= maxQueuedFrameBytes) {
		l.room.Wait()
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

// call runs fn on the loop and returns when it has run. It says false if the
// loop stopped first; fn may then run or not.
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

// stopped is closed when the loop has stopped.
func (l *Loop) Stopped() <-chan struct{} { return l.done }

// stop ends run after the event that runs now. What is queued is dropped. It
// may be called from any goroutine, the loop's own included, and repeatedly.
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
	l.room.Broadcast()
}

// run executes events until stop. It is the owner of the node.
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
	*e = event{} // the batch's memory lives on
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

// take waits for events and swaps the queue for the empty batch; nil says that
// the loop has stopped.
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
	if cap(spare) > 16*turnEvents { // a burst's memory is not kept
		spare = nil
	}
	l.queue = spare[:0]
	l.depth.Store(int64(len(batch)))
	if l.frames > 0 {
		l.frames, l.frameBytes = 0, 0
		l.room.Broadcast()
	}
	return batch
}

// settled says that nothing waits. Those who are about to post may do so first,
// for what shares a turn shares its commit, its sync and its frames.
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
