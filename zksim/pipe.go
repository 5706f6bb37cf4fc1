package zksim

import "time"

// conn is one TCP connection between a client and a server. One end can be gone
// without the other knowing.
type conn struct {
	id     int64
	svc    *Service
	host   *host
	server *server
	client *Client // nil once the client's end is gone
	closed bool    // the server's end is gone

	up, down pipe // to the server, to the client

	// The server's end.
	session int64      // 0 until the handshake is answered
	queue   []*request // received and not yet answered, in order
	synced  bool       // a sync was answered here

	// For the Checker: the number of the last write sent, and of the last one that
	// the leader did.
	sentWrites, written int64
	// For the Checker: the zxid as of which each watch was set, and the zxid of the
	// change that the last event reported.
	armed    map[armedWatch]int64
	toldZxid int64
}

func (c *conn) cut() bool { return c.host.cut&(1<<c.server.id) != 0 }

// pipe is one direction of a connection. Messages arrive in the order sent, each
// after its delay. While the path is cut they wait, as in TCP.
type pipe struct {
	c         *conn
	queue     []message
	scheduled bool
	dropped   bool
	held      bool   // in its host's list of pipes to start when the host is healed
	onDue     func() // pump as a value, made once for each pipe
}

type message struct {
	due     time.Duration
	deliver func()
	tell    func(cl *Client) // instead of deliver: called if the client is still there
}

// dropFirst removes the first element of a queue. An emptied queue keeps its memory,
// so that one that is mostly empty does not allocate each time.
func dropFirst[T any](queue []T) []T {
	var none T
	queue[0] = none
	if len(queue) == 1 {
		return queue[:0]
	}
	return queue[1:]
}

// maxPipe bounds the messages that one direction holds. Beyond it the connection
// breaks, as a full socket eventually does if its peer never reads.
const maxPipe = 65536

func (p *pipe) send(delay time.Duration, deliver func()) {
	p.put(message{due: p.c.svc.sched.Now() + delay, deliver: deliver})
}

func (p *pipe) put(m message) {
	if p.dropped {
		return
	}
	if len(p.queue) >= maxPipe {
		p.drop()
		return
	}
	p.queue = append(p.queue, m)
	p.start()
}

func (p *pipe) start() {
	if p.scheduled || len(p.queue) == 0 {
		return
	}
	if p.c.cut() {
		p.hold()
		return
	}
	p.scheduled = true
	if p.onDue == nil {
		p.onDue = p.pump
	}
	p.c.svc.post(max(0, p.queue[0].due-p.c.svc.sched.Now()), p.onDue)
}

func (p *pipe) pump() {
	p.scheduled = false
	if len(p.queue) == 0 {
		return
	}
	if p.c.cut() {
		p.hold()
		return
	}
	m := p.queue[0]
	p.queue = dropFirst(p.queue)
	if m.tell == nil {
		m.deliver()
	} else if p.c.client != nil {
		m.tell(p.c.client)
	}
	p.start()
}

func (p *pipe) hold() {
	p.c.svc.count(hostCut)
	if !p.held {
		p.held = true
		p.c.host.held = append(p.c.host.held, p)
	}
}

// drop discards what has not arrived, and everything sent later.
func (p *pipe) drop() {
	p.queue, p.dropped = nil, true
}

// keep discards all but the first n messages under way.
func (p *pipe) keep(n int) {
	if n < len(p.queue) {
		clear(p.queue[n:])
		p.queue = p.queue[:n]
	}
}

// host is a machine on which clients run.
type host struct {
	name       string
	draws      *draws
	cut        uint8 // a bit for each server
	loseBefore int   // how many of the next writes to lose; likewise below
	loseAfter  int
	applyLate  int
	held       []*pipe // waiting for the end of a cut
	saw        int64   // the greatest zxid that an answer to one of its clients carried
	sawIn      int64   // the session of that client
}

func (s *Service) host(name string) *host {
	h := s.hosts[name]
	if h == nil {
		h = &host{name: name, draws: newDraws(s.rand, nameHash(name))}
		s.hosts[name] = h
	}
	return h
}
