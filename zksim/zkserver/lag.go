package zkserver

import (
	"time"

	"dkv/zksim/zktree"
)

// A server that lags behaves like a follower far behind its leader: it commits writes
// and sessions at once, and shows them to its clients a while later. It shows a
// second tree, to which the same transactions are applied when they are due. Reads
// and watches use that tree only. An answer waits until that tree includes what the
// answer says, and the answers after it on its connection wait with it.

// lag holds the transactions that a lagging server has yet to show.
type lag struct {
	by    time.Duration
	queue []lagged // ascending by zxid and due
}

type lagged struct {
	txn zktree.Txn
	due time.Time
}

// held is an answer that waits until the shown tree has reached a zxid.
type held struct {
	zxid int64
	run  func()
}

// setLag makes the server show everything later by the given time. 0 ends the lag:
// everything is shown at once.
func (s *Server) setLag(by time.Duration) {
	switch {
	case by > 0 && s.lag == nil:
		shown, err := zktree.Import(s.tree.Export())
		if err != nil {
			panic("zkserver: copying the tree: " + err.Error())
		}
		s.shown, s.lag = shown, &lag{by: by}
	case by > 0:
		s.lag.by = by
	case s.lag != nil:
		s.show(len(s.lag.queue))
		s.shown, s.lag = s.tree, nil
	}
}

func (s *Server) showLater(txn *zktree.Txn) {
	due := time.Now().Add(s.lag.by)
	if n := len(s.lag.queue); n > 0 && s.lag.queue[n-1].due.After(due) {
		due = s.lag.queue[n-1].due // a shorter lag must not change the order
	}
	s.lag.queue = append(s.lag.queue, lagged{*txn, due})
	time.AfterFunc(time.Until(due), func() { s.call(s.showDue) })
}

func (s *Server) showDue() {
	if s.lag == nil {
		return // the lag has ended
	}
	n, now := 0, time.Now()
	for n < len(s.lag.queue) && !s.lag.queue[n].due.After(now) {
		n++
	}
	s.show(n)
}

// show applies the first n waiting transactions to the shown tree. After each it
// sends what waited for it: its events first, then answers.
func (s *Server) show(n int) {
	for i := range n {
		r := s.shown.Apply(&s.lag.queue[i].txn)
		s.watches.Fire(r.Changes, s.tell)
		for _, c := range s.byID {
			s.releaseHeld(c)
		}
	}
	s.lag.queue = s.lag.queue[n:]
}

func (s *Server) releaseHeld(c *conn) {
	for len(c.held) > 0 && c.held[0].zxid <= s.shown.Zxid() {
		h := c.held[0]
		c.held = c.held[1:]
		h.run()
	}
	c.setFull(len(c.held) >= maxHeld)
}

// after runs fn once the shown tree has reached zxid and c has every earlier answer:
// at once, unless the server lags.
func (s *Server) after(c *conn, zxid int64, fn func()) {
	if len(c.held) == 0 && zxid <= s.shown.Zxid() {
		fn()
		return
	}
	c.held = append(c.held, held{zxid, fn})
	if len(c.held) >= maxHeld {
		c.setFull(true)
	}
}
