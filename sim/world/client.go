package world

import (
	"dkv/node/door"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"
)

// Submit sends a client's request to the process on a host. done runs once, as a step
// of its own: with the answer of the process; or with broken set if the process ended
// before the answer arrived, so that the outcome is unknown. A host whose process is
// absent or stopping refuses the connection, and done gets a response with outcome
// Refused. A paused process answers when it runs again. The connection neither loses
// nor duplicates anything; a client's timeout is up to the caller.
func (w *World) Submit(host int, r door.Request, done func(resp door.Response, broken bool)) {
	w.requests++
	c := &call{world: w, host: w.hosts[host], number: w.requests, request: r, done: done}
	h := c.host
	if h.current == nil || h.state == Stopping {
		c.finish(door.Response{Outcome: door.Refused, Reason: "connection refused"}, false)
		return
	}
	c.process = h.current
	h.current.calls.add(c)
	w.scheduler.Schedule(c.latency("client.there"), h.index, kindClock, c.arrive)
}

// call is a client's request on its connection to a process, until the client has an
// outcome.
type call struct {
	world   *World
	host    *host
	process *hostProcess // at the other end; nil once the connection is over
	number  uint64
	request door.Request
	done    func(door.Response, bool)

	answered       bool
	previous, next *call // in the process's list
}

func (c *call) latency(purpose string) time.Duration {
	return c.world.random.Between(c.world.cfg.ClientLatency, purpose, uint64(c.host.index), c.number)
}

func (c *call) arrive() {
	if c.process == nil {
		return
	}
	process := c.host.process
	c.process.post(dispatch{
		kind: kindRequest, payload: requestHash(&c.request),
		fn: func() { process.OnRequest(c.request, c.answer) },
	})
}

// answer takes the answer of the process. It panics if the process answers twice or
// with an invalid outcome. An answer after the end of the process is dropped.
func (c *call) answer(resp door.Response) {
	if c.answered {
		panic(fmt.Sprintf("world: request %d at %s was answered twice", c.number, c.host.name))
	}
	c.answered = true
	if resp.Outcome < door.Done || resp.Outcome > door.Unknown {
		panic(fmt.Sprintf("world: request %d at %s was answered with invalid outcome %d", c.number, c.host.name, resp.Outcome))
	}
	if c.process == nil {
		return
	}
	c.world.scheduler.Schedule(c.latency("client.back"), c.host.index, kindClient, func() {
		if c.process != nil {
			c.process.calls.remove(c)
			c.deliver(resp, false)
		}
	})
}

// breakConnection ends the connection. The client learns of it a little later, and an answer
// on its way is lost.
func (c *call) breakConnection() {
	c.process = nil
	c.finish(door.Response{}, true)
}

func (c *call) finish(resp door.Response, broken bool) {
	c.world.scheduler.Schedule(c.latency("client.break"), c.host.index, kindClient, func() { c.deliver(resp, broken) })
}

func (c *call) deliver(resp door.Response, broken bool) {
	c.process = nil
	w := c.world
	w.trace.step(w.Now(), c.number, c.host.index, kindOutcome, responseHash(&resp, broken))
	if w.trace.printing() {
		w.trace.print(w.Now(), c.host.index, kindOutcome, responseWords(c, &resp, broken))
	}
	c.done(resp, broken)
}

// callList is the list of calls that are connected to one process, oldest first.
type callList struct{ first, last *call }

func (l *callList) add(c *call) {
	c.previous = l.last
	if l.last == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
}

func (l *callList) remove(c *call) {
	if c.previous == nil {
		l.first = c.next
	} else {
		c.previous.next = c.next
	}
	if c.next == nil {
		l.last = c.previous
	} else {
		c.next.previous = c.previous
	}
	c.previous, c.next = nil, nil
}

func (l *callList) breakAll() {
	for c := l.first; c != nil; {
		next := c.next
		c.previous, c.next = nil, nil
		c.breakConnection()
		c = next
	}
	l.first, l.last = nil, nil
}

func requestHash(r *door.Request) uint64 {
	h := mix(uint64(r.Kind)<<2 | flag(r.If.Absent)<<1 | flag(r.If.Present))
	h = mix(h ^ uint64(r.If.Match))
	h = mix(h ^ uint64(r.Timeout))
	h = mix(h ^ xxhash.Sum64(r.Key))
	return mix(h ^ xxhash.Sum64(r.Value))
}

func responseHash(r *door.Response, broken bool) uint64 {
	h := mix(uint64(r.Outcome)<<4 | flag(r.Busy)<<3 | flag(r.Found)<<2 | flag(r.Failed)<<1 | flag(broken))
	h = mix(h ^ uint64(r.Version))
	h = mix(h ^ uint64(r.Index))
	h = mix(h ^ xxhash.Sum64String(r.Reason))
	return mix(h ^ xxhash.Sum64(r.Value))
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func responseWords(c *call, r *door.Response, broken bool) string {
	if broken {
		return fmt.Sprintf("request %d: the connection broke", c.number)
	}
	return fmt.Sprintf("request %d: %v %s found=%t failed=%t version=%d index=%d",
		c.number, r.Outcome, r.Reason, r.Found, r.Failed, r.Version, r.Index)
}
