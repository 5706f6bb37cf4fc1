package world

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"dkv/netsim"
	"dkv/node"
	"dkv/node/door"
	"dkv/sim/schedule"
)

const peerPort = ":8002"

// PeerAddress returns the address on which a host's node talks to other nodes.
func PeerAddress(host int) string { return schedule.HostName(host) + peerPort }
func httpAddress(host int) string { return schedule.HostName(host) + ":8000" }

// hostAt returns the host with a peer address, or NoHost.
func (w *World) hostAt(address string) int {
	if host, ok := w.addresses[address]; ok {
		return host
	}
	return NoHost
}

// greeter is a process that begins connections with a Hello, as *node.Node does.
type greeter interface {
	Hello(to node.StoreID) (h node.Hello, ok bool)
	OnHello(h node.Hello) error
	Refuse(h node.Hello, why error) node.HelloRefusal
	OnRefused(by node.MemberNumber, r node.HelloRefusal)
}

// contact is the state of a process's connections with one other host.
type contact struct {
	member node.MemberNumber // last seen there, or 0

	// The connection to it.
	greeted time.Duration     // time of this side's last Hello
	open    bool              // a Hello was sent, and the connection has not broken since
	store   node.StoreID      // to which the Hello was addressed
	to      node.MemberNumber // to which the last message was addressed

	// The connection from it.
	welcome bool          // its Hello was accepted; otherwise its messages are dropped
	refused bool          // its Hello was refused, which it was told
	line    node.LineID   // of that Hello
	told    time.Duration // when it was last told that it has to introduce itself
}

// greetAgain is the time after which a connection gets a new Hello. Datagrams need it,
// because the refusal of the last Hello may have been lost; streams do not.
const greetAgain = 2 * time.Second

// reconnect is the wait between a refusal and the next Hello.
const reconnect = 200 * time.Millisecond

// netDoor is a process's door.Network. Every message passes through the codec, so that
// a run also tests that.
type netDoor struct{ process *hostProcess }

func (n netDoor) Send(to door.Peer, m *node.Envelope) {
	p := n.process
	if p.ended {
		return
	}
	w := p.world()
	host := w.hostAt(to.Address)
	if host == NoHost || p.trapped() {
		return
	}
	c := &p.contacts[host]
	c.member, c.to = to.Number, to.Number
	if !p.greet(host, c, to.Store) {
		return
	}
	frame := p.host.encode(m)
	w.network.Send(p.host.netID, w.hosts[host].netID, frame)
	if w.cfg.OnSend != nil {
		w.cfg.OnSend(p.host.index, host, m, len(frame))
	}
}

// encode makes a frame. It cuts frames off a large block, so that few of them cost an
// allocation. A frame that does not fit into the rest of the block has an array of its
// own.
func (h *host) encode(m *node.Envelope) []byte {
	const block, least = 16 << 10, 1 << 10
	if cap(h.block)-len(h.block) < least {
		h.block = make([]byte, 0, block)
	}
	rest := h.block[len(h.block):]
	frame := node.AppendFrame(rest, m)
	if len(frame) <= cap(rest) {
		h.block = h.block[:len(h.block)+len(frame)]
	}
	return frame[:len(frame):len(frame)]
}

// greet sends a Hello where the production transport would open a connection. It
// returns false if there is no connection: the process has no Hello to send yet, or
// waits to reconnect.
func (p *hostProcess) greet(host int, c *contact, store node.StoreID) bool {
	g, ok := p.host.process.(greeter)
	if !ok {
		return true
	}
	w := p.world()
	if c.open && c.store == store && w.Now()-c.greeted < greetAgain {
		return true
	}
	if !c.open && c.greeted > 0 && w.Now()-c.greeted < reconnect {
		return false
	}
	hello, ok := g.Hello(store)
	if !ok {
		return false
	}
	hello.MinVersion, hello.MaxVersion = node.ProtocolVersion, node.ProtocolVersion
	hello.To = store
	c.open, c.store, c.greeted = true, store, w.Now()
	w.network.Send(p.host.netID, w.hosts[host].netID, node.AppendHello(nil, hello))
	return true
}

// netHandler receives a process's frames from the network.
type netHandler struct{ process *hostProcess }

// handshake is a bit in the kinds of Hellos and refusals that no message's kind has.
const handshake = 0x80

func (n netHandler) OnFrame(from netsim.HostID, frame []byte) {
	p := n.process
	sender := int(from)
	body, ok := unframe(frame)
	switch {
	case p.ended:
	case !ok:
		p.dropConnection(from)
	case body[0]&handshake != 0:
		p.onHandshake(sender, body)
	default:
		p.onMessage(from, body)
	}
}

func (p *hostProcess) onMessage(from netsim.HostID, body []byte) {
	m, err := p.host.decoder.Decode(body)
	if err != nil {
		p.dropConnection(from)
		return
	}
	if m.From != 0 {
		p.contacts[from].member = m.From
	}
	if w := p.world(); w.cfg.OnReceive != nil {
		w.cfg.OnReceive(int(from), p.host.index)
	}
	p.post(dispatch{kind: kindMessage, payload: frameHash(body), message: m, sender: int(from)})
}

// dropConnection resets a connection on which a damaged frame has arrived.
func (p *hostProcess) dropConnection(from netsim.HostID) {
	p.world().network.Reset(from, p.host.netID)
}

func (p *hostProcess) onHandshake(sender int, body []byte) {
	hello, err := node.DecodeHello(body)
	g, ok := p.host.process.(greeter)
	if !ok {
		return
	}
	var refusal node.HelloRefusal
	switch {
	case errors.As(err, &refusal) && refusal.Reason == introduceYourself:
		p.contacts[sender].greeted -= greetAgain
		return
	case errors.As(err, &refusal):
		p.contacts[sender].open = false
		member := p.contacts[sender].to
		p.post(dispatch{kind: kindMessage, payload: frameHash(body), fn: func() { g.OnRefused(member, refusal) }})
		return
	case err != nil: // damaged
		p.contacts[sender].open = false
		return
	}
	p.post(dispatch{kind: kindMessage, payload: frameHash(body), fn: func() { p.judge(g, sender, hello) }})
}

func (p *hostProcess) judge(g greeter, sender int, hello node.Hello) {
	c := &p.contacts[sender]
	err := g.OnHello(hello)
	c.welcome, c.refused, c.line = err == nil, err != nil, hello.Lineage.Running()
	if err == nil {
		if hello.Member != 0 {
			c.member = hello.Member
		}
		return
	}
	w := p.world()
	w.network.Send(p.host.netID, w.hosts[sender].netID, node.AppendRefusal(nil, g.Refuse(hello, err)))
}

// introduceYourself is the reason of a refusal that answers messages without a Hello,
// where the production transport would reset the connection.
const introduceYourself = "introduce yourself first"

// welcomes reports whether the process takes a message: the Hello of its sender's process
// was accepted. If not, the sender is told, so that it sends its Hello again: the Hello
// may have been lost, or met a process that has ended since.
func (p *hostProcess) welcomes(d *dispatch) bool {
	const again = 20 * time.Millisecond
	if _, ok := p.host.process.(greeter); !ok {
		return true
	}
	c, w := &p.contacts[d.sender], p.world()
	if c.welcome && c.line == d.message.Stamp.Line {
		return true
	}
	if !c.refused && (c.told == 0 || w.Now()-c.told >= again) {
		c.told = w.Now()
		w.network.Send(p.host.netID, w.hosts[d.sender].netID, node.AppendRefusal(nil, node.HelloRefusal{Reason: introduceYourself}))
	}
	return c.welcome
}

// OnPeerLost passes the hint to the process, if a member was seen at the peer.
func (n netHandler) OnPeerLost(peer netsim.HostID) {
	c := &n.process.contacts[peer]
	c.open = false
	if c.member == 0 {
		return
	}
	p, member := n.process, c.member
	p.post(dispatch{kind: kindPeerLost, payload: uint64(member), fn: func() { p.host.process.OnPeerLost(member) }})
}

// unframe checks and removes a frame's length.
func unframe(frame []byte) (body []byte, ok bool) {
	const lengthBytes = 4
	if len(frame) <= lengthBytes || binary.BigEndian.Uint32(frame) != uint32(len(frame)-lengthBytes) {
		return nil, false
	}
	return frame[lengthBytes:], true
}

// frameHash returns the hash at the end of a frame, which covers the rest.
func frameHash(body []byte) uint64 {
	if len(body) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(body[len(body)-8:])
}

func messageWords(m *node.Envelope) string {
	return fmt.Sprintf("from %d: %+v", m.From, m.Body)
}
