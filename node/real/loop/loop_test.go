package loop

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/node"
	"dkv/node/real/realtest"
)

func TestLoopEndsTurns(t *testing.T) {
	l := New()
	var sizes []int
	inTurn := 0
	l.EndTurn = func() { sizes = append(sizes, inTurn); inTurn = 0 }
	const events = 2*turnEvents + 10
	for range events {
		l.Post(func() { inTurn++ })
	}
	realtest.Start(t, l)
	var got []int
	total := 0
	realtest.Eventually(t, "the last turn ends", func() bool { // each call may become part of that turn
		time.Sleep(time.Millisecond)
		l.Call(func() { got = append([]int(nil), sizes...) })
		total = 0
		for _, size := range got {
			total += size
		}
		return total >= events
	})
	for _, size := range got {
		if size > turnEvents {
			t.Errorf("a turn of %d events, want at most %d", size, turnEvents)
		}
	}
	if total != events || got[0] != turnEvents || got[1] != turnEvents {
		t.Errorf("turns of %v events, %d in all, want %d", got, total, events)
	}
}

func TestLoopRunsInOrderOfEachCaller(t *testing.T) {
	l := New()
	const callers, each = 8, 500
	var ran [callers][]int
	realtest.Start(t, l)
	var posted sync.WaitGroup
	for c := range callers {
		posted.Go(func() {
			for i := range each {
				l.Post(func() { ran[c] = append(ran[c], i) })
			}
		})
	}
	posted.Wait()
	l.Call(func() {
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
	l := New()
	realtest.Start(t, l)
	done := make(chan struct{})
	var next func(left int)
	next = func(left int) {
		if left == 0 {
			close(done)
			return
		}
		l.Post(func() { next(left - 1) })
	}
	l.Post(func() { next(1000) })
	realtest.Within(t, done, "events posted by events do not run")
}

func TestLoopStops(t *testing.T) {
	l := New()
	l.EndTurn = func() { t.Error("a turn ended after stop") }
	var after atomic.Bool
	l.Post(func() { l.Stop() })
	l.Post(func() { after.Store(true) })
	l.Run()
	l.Stop() // again
	if after.Load() {
		t.Error("an event ran after stop")
	}
	if l.Post(func() {}) || l.Call(func() {}) || l.PostFrames([]Frame{{}}) {
		t.Error("a stopped loop accepted an event")
	}
}

// Only peers wait when the loop falls behind.
// TestStopInTheLastEventEndsNoTurn: what a turn would send and commit is dropped when
// the loop stops, although no event is left to run.
func TestStopInTheLastEventEndsNoTurn(t *testing.T) {
	l := New()
	l.EndTurn = func() { t.Error("a turn ended after stop") }
	l.Post(l.Stop)
	l.Run()
}

func TestLoopHoldsPeersBack(t *testing.T) {
	l := New()
	var frames atomic.Int64
	l.OnFrame = func(*node.Envelope) { frames.Add(1) }
	batch := make([]Frame, 64)
	for i := range batch {
		batch[i] = Frame{Envelope: &node.Envelope{}, Bytes: 100}
	}
	var posted atomic.Int64
	const total = 3 * maxQueuedFrames
	var peer sync.WaitGroup
	peer.Go(func() {
		for posted.Load() < total {
			l.PostFrames(batch)
			posted.Add(int64(len(batch)))
		}
	})
	realtest.Eventually(t, "the queue is full", func() bool { return posted.Load() >= maxQueuedFrames })
	time.Sleep(20 * time.Millisecond)
	if held := posted.Load(); held != maxQueuedFrames {
		t.Errorf("a loop that is not running accepted %d frames, want %d", held, maxQueuedFrames)
	}
	if !l.Post(func() {}) {
		t.Error("an event that is not a frame was refused")
	}
	realtest.Start(t, l)
	peer.Wait()
	l.Call(func() {})
	if frames.Load() != total {
		t.Errorf("%d frames arrived, want %d", frames.Load(), total)
	}
}

func TestLoopBoundsFramesByBytes(t *testing.T) {
	l := New()
	var posted atomic.Int64
	go func() {
		for range 4 {
			l.PostFrames([]Frame{{Envelope: &node.Envelope{}, Bytes: maxQueuedFrameBytes / 2}})
			posted.Add(1)
		}
	}()
	realtest.Eventually(t, "two large frames are accepted", func() bool { return posted.Load() >= 2 })
	time.Sleep(20 * time.Millisecond)
	if posted.Load() != 2 {
		t.Errorf("%d large frames were accepted, want 2", posted.Load())
	}
	l.Stop()
}

func TestClock(t *testing.T) {
	l := New()
	c := l.Clock()
	realtest.Start(t, l)
	const wait = 20 * time.Millisecond
	rang := make(chan struct{})
	var early atomic.Bool
	l.Call(func() {
		began := c.Now()
		c.After(wait, func() {
			early.Store(c.Now()-began < wait)
			close(rang)
		})
	})
	realtest.Within(t, rang, "the timer did not ring")
	if early.Load() {
		t.Error("the timer rang early")
	}
}

// As in the simulator, time passes between events and not within an event.
func TestClockStandsStillWithinAnEvent(t *testing.T) {
	l := New()
	c := l.Clock()
	realtest.Start(t, l)
	var first, second, last time.Duration
	l.Call(func() {
		first = c.Now()
		time.Sleep(2 * time.Millisecond)
		second = c.Now()
	})
	asked := sinceBoot()
	l.Call(func() { last = c.Now() })
	if second != first || first == 0 {
		t.Errorf("two different times in one event: %v and %v", first, second)
	}
	if last < asked {
		t.Errorf("the time in the next event is %v before it began", asked-last)
	}
	turn := make(chan time.Duration, 16)
	l = New()
	c = l.Clock()
	l.EndTurn = func() { turn <- c.Now() }
	realtest.Start(t, l)
	l.Call(func() {
		first = c.Now()
		time.Sleep(2 * time.Millisecond)
	})
	if end := <-turn; end < first+2*time.Millisecond {
		t.Errorf("the time at the end of the turn is only %v after the event's", end-first)
	}
}

// A timer that is stopped after its event was queued must not run.
func TestStoppedTimerIsSilent(t *testing.T) {
	l := New()
	c := l.Clock()
	realtest.Start(t, l)
	var rang bool
	l.Call(func() {
		stop := c.After(0, func() { rang = true })
		deadline := time.Now().Add(30 * time.Second)
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
	l.Call(func() {
		if rang {
			t.Error("a stopped timer rang")
		}
	})
}

// TestTimerThatFiresEarlyWaits: Go's timers follow another clock than Now, and After
// promises never to be early by Now.
func TestTimerThatFiresEarlyWaits(t *testing.T) {
	l := New()
	rang := make(chan time.Duration, 1)
	timer := &timer{loop: l, due: sinceBoot() + 30*time.Millisecond}
	timer.fn = func() { rang <- sinceBoot() }
	timer.ring()
	if len(rang) > 0 {
		t.Fatal("the timer ran before it was due")
	}
	realtest.Start(t, l)
	select {
	case at := <-rang:
		if at < timer.due {
			t.Errorf("the timer ran %v early", timer.due-at)
		}
	case <-time.After(30 * time.Second):
		t.Error("a timer that fired early never ran")
	}
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
