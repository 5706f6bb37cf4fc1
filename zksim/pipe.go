package zksim

import "time"

// conn is one TCP connection between a client and a server. Each end can be
// gone without the other knowing.
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
	queue   []*request // taken, in order, not yet answered
	synced  bool       // a sync was answered here

	// The writes sent, and those that the leader did: the number of the last.
	sentWrites, written int64
	// What a Checker knows of the watches: the zxid as of which each was armed,
	// and the last that an event told of.
	armed    map[armedWatch]int64
	toldZxid int64
}

func (c *conn) cut() bool { return c.host.cut&(1<<c.server.id) != 0 }

// pipe is one direction of a connection: messages arrive in order, each after
// its delay and not before the one sent earlier; while the path is cut they wait, as TCP would have it.
type pipe struct {
	c         *conn
	queue     []message
	scheduled bool
	dropped   bool
	held      bool   // in its host's list, to be started at a heal
	onDue     func() // pump, one closure a pipe
}

type message struct {
	due     time.Duration
	deliver func()
	tell    func(cl *Client) // instead: something for the client, if it is still there
}

// dropFirst takes the first element off a queue. An empty queue keeps its room,
// so that one that is mostly empty does not make it anew each time.
func dropFirst[T any](queue []T) []T {
	var none T
	queue[0] = none
	if len(queue) == 1 {
		return queue[:0]
	}
	return queue[1:]
}

// maxPipe bounds the messages one direction holds; beyond it the connection
// breaks, as a full socket whose peer never reads would in the end.
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

// drop forgets what has not arrived and takes nothing more.
func (p *pipe) drop() {
	p.queue, p.dropped = nil, true
}

// keep forgets all but the first n messages under way.
func (p *pipe) keep(n int) {
	if n < len(p.queue) {
		clear(p.queue[n:])
		p.queue = p.queue[:n]
	}
}

// host is a named place where clients run.
type host struct {
	name       string
	draws      *draws
	cut        uint8 // a bit a server
	loseBefore int   // writes to lose, asked for by the schedule
	loseAfter  int
	applyLate  int
	held       []*pipe // stopped by a cut
	saw        int64   // the greatest zxid that an answer to a client here has shown
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
