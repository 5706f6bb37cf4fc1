package zkserver

import (
	"time"

	"dkv/zksim/zktree"
)

// A server that lags is a follower far behind: it takes writes and sessions, as
// a leader does, and shows them to its clients a while later. What it shows is
// a second tree, to which the same transactions are applied once they are due.
// Reads and watches know that tree only, and an answer waits until the tree
// holds what it tells of; those behind it on its connection wait with it.

// lag is what a lagging server has not shown yet.
type lag struct {
	by    time.Duration
	queue []lagged // ascending by zxid and due
}

type lagged struct {
	txn zktree.Txn
	due time.Time
}

// held is an answer that waits for the shown tree to reach a zxid.
type held struct {
	zxid int64
	run  func()
}

// setLag makes the server show everything by later than it happens; 0 ends it,
// and everything is shown at once.
func (s *Server) setLag(by time.Duration) {
	switch {
	case by > 0 && s.lag == nil:
		shown, err := zktree.Import(s.tree.Export())
		if err != nil {
			panic(err) // a tree's own image
		}
		s.seen, s.lag = shown, &lag{by: by}
	case by > 0:
		s.lag.by = by
	case s.lag != nil:
		s.show(len(s.lag.queue))
		s.seen, s.lag = s.tree, nil
	}
}

func (s *Server) showLater(txn *zktree.Txn) {
	due := time.Now().Add(s.lag.by)
	if n := len(s.lag.queue); n > 0 && s.lag.queue[n-1].due.After(due) {
		due = s.lag.queue[n-1].due // the order stays when the lag shrinks
	}
	s.lag.queue = append(s.lag.queue, lagged{*txn, due})
	time.AfterFunc(time.Until(due), func() { s.call(s.showDue) })
}

func (s *Server) showDue() {
	if s.lag == nil {
		return // it ended meanwhile
	}
	n, now := 0, time.Now()
	for n < len(s.lag.queue) && !s.lag.queue[n].due.After(now) {
		n++
	}
	s.show(n)
}

// show applies the first n of what waits to the shown tree, and lets go after
// each what waited for it: its events first, then answers.
func (s *Server) show(n int) {
	for i := range n {
		r := s.seen.Apply(&s.lag.queue[i].txn)
		s.watches.Fire(r.Changes, s.tell)
		for _, c := range s.byID {
			s.letGo(c)
		}
	}
	s.lag.queue = s.lag.queue[n:]
}

func (s *Server) letGo(c *conn) {
	for len(c.held) > 0 && c.held[0].zxid <= s.seen.Zxid() {
		h := c.held[0]
		c.held = c.held[1:]
		h.run()
	}
	c.setFull(len(c.held) >= maxHeld)
}

// after runs fn once clients are shown zxid and c has been given every answer
// before: at once, unless the server lags.
func (s *Server) after(c *conn, zxid int64, fn func()) {
	if len(c.held) == 0 && zxid <= s.seen.Zxid() {
		fn()
		return
	}
	c.held = append(c.held, held{zxid, fn})
	if len(c.held) >= maxHeld {
		c.setFull(true)
	}
}
