package zkserver

import (
	"sync"
	"time"
)

// requests describes requests that were answered together.
type requests struct {
	count int
	taken time.Time // when the oldest was read
}

func (r *requests) add(taken time.Time) {
	if r.count == 0 || taken.Before(r.taken) {
		r.taken = taken
	}
	r.count++
}

// opFailed is shown for any write that failed.
const opFailed = -1

// lastRequest is what the word cons shows about a connection.
type lastRequest struct {
	began   time.Time // of the connection
	op, xid int32
	zxid    int64
}

// latency measures how long requests took, from reading to answering them.
type latency struct {
	count            int64
	total            time.Duration
	least, most, new time.Duration
	at               time.Time // of the newest
}

func (l *latency) add(took time.Duration, count int) {
	if l.count == 0 || took < l.least {
		l.least = took
	}
	l.most = max(l.most, took)
	l.count += int64(count)
	l.total += took * time.Duration(count)
	l.new = took
	l.at = time.Now()
}

// average returns the average in milliseconds.
func (l *latency) average() float64 {
	if l.count == 0 {
		return 0
	}
	return float64(l.total) / float64(l.count) / float64(time.Millisecond)
}

// sharedLatency is a latency to which connections add concurrently.
type sharedLatency struct {
	mu sync.Mutex
	latency
}

func (l *sharedLatency) add(took time.Duration, count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latency.add(took, count)
}

func (l *sharedLatency) get() latency {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.latency
}
