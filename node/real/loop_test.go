package real

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/node"
)

// runLoop starts a loop and stops it with the test.
func runLoop(t *testing.T, l *loop) {
	t.Helper()
	if l.endTurn == nil {
		l.endTurn = func() {}
	}
	ended := make(chan struct{})
	go func() { l.run(); close(ended) }()
	t.Cleanup(func() {
		l.stop()
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			t.Error("the loop does not end")
		}
	})
}

func TestLoopEndsTurns(t *testing.T) {
	l := newLoop()
	var sizes []int
	inTurn := 0
	l.endTurn = func() { sizes = append(sizes, inTurn); inTurn = 0 }
	const events = 2*turnEvents + 10
	for range events {
		l.post(func() { inTurn++ })
	}
	runLoop(t, l)
	var got []int
	total := 0
	eventually(t, "the last turn ends", func() bool { // each call may become part of it
		time.Sleep(time.Millisecond)
		l.call(func() { got = append([]int(nil), sizes...) })
		total = 0
		for _, size := range got {
			total += size
		}
		return total >= events
	})
	for _, size := range got {
		if size > turnEvents {
			t.Errorf("a turn of %d events", size)
		}
	}
	if total != events || got[0] != turnEvents || got[1] != turnEvents {
		t.Errorf("turns of %v events, %d in all, want %d", got, total, events)
	}
}

func TestLoopRunsInOrderOfEachCaller(t *testing.T) {
	l := newLoop()
	const callers, each = 8, 500
	var ran [callers][]int
	runLoop(t, l)
	var posted sync.WaitGroup
	for c := range callers {
		posted.Go(func() {
			for i := range each {
				l.post(func() { ran[c] = append(ran[c], i) })
			}
		})
	}
	posted.Wait()
	l.call(func() {
		for c := range ran {
			if len(ran[c]) != each {
				t.Errorf("caller %d: %d events ran", c, len(ran[c]))
			}
			for i, got := range ran[c] {
				if got != i {
					t.Errorf("caller %d: event %d ran as number %d", c, got, i)
					break
				}
			}
		}
	})
}

func TestLoopPostsFromItself(t *testing.T) {
	l := newLoop()
	runLoop(t, l)
	done := make(chan struct{})
	var next func(left int)
	next = func(left int) {
		if left == 0 {
			close(done)
			return
		}
		l.post(func() { next(left - 1) })
	}
	l.post(func() { next(1000) })
	within(t, done, "events posted by events do not run")
}

func within(t *testing.T, done <-chan struct{}, otherwise string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal(otherwise)
	}
}

func TestLoopStops(t *testing.T) {
	l := newLoop()
	l.endTurn = func() { t.Error("a turn ended after stop") }
	var after atomic.Bool
	l.post(func() { l.stop() })
	l.post(func() { after.Store(true) })
	l.run()
	l.stop() // again
	if after.Load() {
		t.Error("an event ran after stop")
	}
	if l.post(func() {}) || l.call(func() {}) || l.postFrames([]event{{}}) {
		t.Error("a stopped loop takes events")
	}
}

// Peers wait when the loop is behind; nobody else does.
func TestLoopHoldsPeersBack(t *testing.T) {
	l := newLoop()
	var frames atomic.Int64
	l.onFrame = func(*node.Envelope) { frames.Add(1) }
	batch := make([]event, 64)
	for i := range batch {
		batch[i] = event{frame: &node.Envelope{}, bytes: 100}
	}
	var posted atomic.Int64
	const total = 3 * maxQueuedFrames
	var peer sync.WaitGroup
	peer.Go(func() {
		for posted.Load() < total {
			l.postFrames(batch)
			posted.Add(int64(len(batch)))
		}
	})
	deadline := time.Now().Add(5 * time.Second)
	for posted.Load() < maxQueuedFrames && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond)
	if held := posted.Load(); held != maxQueuedFrames {
		t.Errorf("%d frames were admitted by a loop that does not run, want %d", held, maxQueuedFrames)
	}
	if !l.post(func() {}) {
		t.Error("an event that is no frame was refused")
	}
	runLoop(t, l)
	peer.Wait()
	l.call(func() {})
	if frames.Load() != total {
		t.Errorf("%d frames arrived, want %d", frames.Load(), total)
	}
}

func TestLoopBoundsFramesByBytes(t *testing.T) {
	l := newLoop()
	var posted atomic.Int64
	go func() {
		for range 4 {
			l.postFrames([]event{{frame: &node.Envelope{}, bytes: maxQueuedFrameBytes / 2}})
			posted.Add(1)
		}
	}()
	deadline := time.Now().Add(5 * time.Second)
	for posted.Load() < 2 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond)
	if posted.Load() != 2 {
		t.Errorf("%d large frames were admitted, want 2", posted.Load())
	}
	l.stop()
}

func TestClock(t *testing.T) {
	l := newLoop()
	c := clock{l}
	runLoop(t, l)
	const wait = 20 * time.Millisecond
	rang := make(chan struct{})
	var early atomic.Bool
	l.call(func() {
		began := c.Now()
		c.After(wait, func() {
			early.Store(c.Now()-began < wait)
			close(rang)
		})
	})
	within(t, rang, "the timer did not ring")
	if early.Load() {
		t.Error("the timer rang early")
	}
}

// As in the simulator, time passes between events and not within one.
func TestClockStandsStillWithinAnEvent(t *testing.T) {
	l := newLoop()
	c := clock{l}
	runLoop(t, l)
	var first, second, last time.Duration
	l.call(func() {
		first = c.Now()
		time.Sleep(2 * time.Millisecond)
		second = c.Now()
	})
	asked := sinceBoot()
	l.call(func() { last = c.Now() })
	if second != first || first == 0 {
		t.Errorf("%v and %v in one event", first, second)
	}
	if last < asked {
		t.Errorf("the next event was told %v, before it began", asked-last)
	}
	turn := make(chan time.Duration, 16)
	l = newLoop()
	c = clock{l}
	l.endTurn = func() { turn <- c.Now() }
	runLoop(t, l)
	l.call(func() {
		first = c.Now()
		time.Sleep(2 * time.Millisecond)
	})
	if end := <-turn; end < first+2*time.Millisecond {
		t.Errorf("the turn's end was told %v after its event's begin", end-first)
	}
}

// A timer that is stopped after its event was queued must not run.
func TestStoppedTimerIsSilent(t *testing.T) {
	l := newLoop()
	c := clock{l}
	runLoop(t, l)
	var rang bool
	l.call(func() {
		stop := c.After(0, func() { rang = true })
		deadline := time.Now().Add(5 * time.Second)
		for l.empty() && time.Now().Before(deadline) { // until its event is queued
			time.Sleep(time.Millisecond)
		}
		if l.empty() {
			t.Error("the timer did not queue its event")
		}
		stop()
		stop()
	})
	time.Sleep(10 * time.Millisecond)
	l.call(func() {
		if rang {
			t.Error("a stopped timer rang")
		}
	})
}

func TestClockNeverGoesBack(t *testing.T) {
	last := sinceBoot()
	for range 10_000 {
		now := sinceBoot()
		if now < last {
			t.Fatalf("%v after %v", now, last)
		}
		last = now
	}
}
