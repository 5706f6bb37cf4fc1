package world

import (
	"fmt"
	"io"
	"strings"
	"time"

	"dkv/node"
	"dkv/node/door"
	"dkv/node/layout"
)

// Dump describes the current state of the world, for a person to read: the layout,
// ZooKeeper, the network, and each host with its process, its disk and its partitions.
// It has no effect on the run. Its error is that of the writer.
func (w *World) Dump(out io.Writer) error {
	d := &dumper{world: w, layout: w.Layout()}
	d.line("== step %d at %v", w.Steps(), w.Now())
	d.layoutLines()
	d.zookeeper()
	d.network()
	for _, h := range w.hosts {
		d.host(h)
	}
	_, err := io.WriteString(out, d.text.String())
	return err
}

// dumper is the state of one Dump.
type dumper struct {
	world  *World
	layout *layout.Layout
	own    time.Duration // the time on the clock of the host that it describes
	text   strings.Builder
}

func (d *dumper) line(format string, args ...any) {
	fmt.Fprintf(&d.text, format, args...)
	d.text.WriteByte('\n')
}

// member returns the name of a member's node, or its number if the layout does not have
// it.
func (d *dumper) member(m node.MemberNumber) string {
	if d.layout != nil {
		if known, ok := d.layout.Member(m); ok {
			return string(known.Node)
		}
	}
	return fmt.Sprintf("member %d", m)
}

func (d *dumper) members(list []node.MemberNumber) string {
	words := make([]string, len(list))
	for i, m := range list {
		words[i] = d.member(m)
	}
	return strings.Join(words, " ")
}

func (d *dumper) layoutLines() {
	if d.layout == nil {
		d.line("layout: not formed, or not readable")
		return
	}
	d.line("layout version %d", d.layout.Version())
	for p, part := range d.layout.Partitions() {
		moving := ""
		if part.Moving() {
			moving = ", moving to " + d.members(part.Next)
		}
		d.line("  p%d epoch %d: primary %s of %s%s", p, part.Epoch, d.member(part.Primary), d.members(part.Replicas), moving)
	}
}

func (d *dumper) zookeeper() {
	zk := d.world.zookeeper.Inspect()
	d.line("zookeeper %s, leader server %d, zxid %x", zk.Phase, zk.Leader, zk.Zxid)
	for i, s := range zk.Servers {
		d.line("  server %d: zxid %x, %d behind, %d connections%s", i, s.Zxid, s.Behind, s.Connections,
			marks([]mark{{!s.Up, "down"}, {s.CutOff, "cut off"}, {s.Wiped, "wiped"}}))
	}
	for _, s := range zk.Sessions {
		at := "at no server"
		if s.Server >= 0 {
			at = fmt.Sprintf("at server %d", s.Server)
		}
		d.line("  session %x of %s: timeout %v, expires in %v, %s; owns %s",
			s.ID, s.Host, s.Timeout, s.Heard+s.Timeout-d.world.Now(), at, orNothing(strings.Join(s.Ephemerals, " ")))
	}
}

type mark struct {
	on   bool
	word string
}

// marks returns the words whose mark is on, each after a comma.
func marks(list []mark) string {
	text := ""
	for _, m := range list {
		if m.on {
			text += ", " + m.word
		}
	}
	return text
}

func orNothing(text string) string {
	if text == "" {
		return "nothing"
	}
	return text
}

func (d *dumper) network() {
	d.line("network: %d frames in flight", d.world.network.Stats().InFlight)
	for _, l := range d.world.network.Links() {
		faults := ""
		for _, f := range l.Faults {
			faults += ", " + f.String()
		}
		if l.Held > 0 {
			faults += fmt.Sprintf(", %d held", l.Held)
		}
		d.line("  %s>%s: %d frames, %d bytes%s", l.From, l.To, l.Frames, l.Bytes, faults)
	}
}

func (d *dumper) host(h *host) {
	d.own = h.clock.read(d.world.Now())
	d.line("%s %v, process %d%s", h.name, h.state, h.processNumber,
		marks([]mark{{h.cutFromZK, "cut from zookeeper"}, {h.slow != (Range{}), "slow"}}))
	d.disk(h.disk)
	if h.current == nil {
		if h.failure != nil {
			d.line("  failed: %v", h.failure)
		}
		return
	}
	if queue := h.current.queue[h.current.head:]; len(queue) > 0 {
		words := make([]string, len(queue))
		for i := range queue {
			words[i] = queue[i].kind.String()
		}
		d.line("  queue: %s", strings.Join(words, " "))
	}
	if n := d.world.Node(h.index); n != nil {
		d.node(n.Inspect())
	}
}

func (d *dumper) disk(k *disk) {
	stalled := k.stallUntil > d.world.Now()
	if len(k.suffix) > 0 || k.views > 0 || stalled || k.failed != nil {
		d.line("  disk: %d commits not durable, %d of them in the sync under way, %d views%s", len(k.suffix), k.syncing, k.views,
			marks([]mark{{stalled, fmt.Sprintf("stalled until %v", k.stallUntil)}, {k.failed != nil, "failed"}}))
		return
	}
	d.line("  disk: everything is durable")
}

func (d *dumper) node(n *node.Inspection) {
	s := n.Status
	ready := "ready"
	if !s.Ready {
		ready = "not ready: " + s.Why
	}
	version := "none"
	if s.Layout != nil {
		version = fmt.Sprint(s.Layout.Version())
	}
	d.line("  member %d, boot %d, %s, session %s, layout %s%s", s.Member, s.Boot, ready, s.Session, version,
		marks([]mark{{n.Dead, "dead"}, {n.Stopping, "stopping"}}))
	d.line("  commits %d, known durable %d, %d callbacks waiting for the disk, %d messages to send, %d bytes uncommitted, %d snapshots being sent",
		n.Committed, n.Durable, n.Waiting, n.Outgoing, s.Uncommitted, s.Transfers)
	for _, r := range n.Requests {
		to := ""
		if r.To != 0 && r.State == "forwarded" {
			to = " to " + d.member(r.To)
		}
		d.line("  request %s %s of p%d: %s%s, %v left %s", requestWord(r.Kind), r.Key, r.Partition, r.State, to, r.Deadline-d.own, r.Why)
	}
	known := 0
	for _, p := range s.Partitions {
		if !p.Here {
			continue
		}
		d.partition(&p, &n.Partitions[known])
		known++
	}
}

func requestWord(k door.RequestKind) string {
	switch k {
	case door.RequestGet:
		return "get"
	case door.RequestPut:
		return "put"
	case door.RequestDelete:
		return "delete"
	}
	return fmt.Sprintf("kind %d", k)
}

func (d *dumper) partition(s *node.PartitionStatus, p *node.PartitionInspection) {
	d.line("  p%d %s: knows epoch %d of %s, promised %d; log %d to %d (last epoch %d), commit %d, applied %d%s",
		s.ID, s.Role, s.Assignment.Epoch, d.member(s.Assignment.Primary), s.Promised, s.First, s.Last, s.LastEpoch, s.Commit, s.Applied,
		marks([]mark{{p.Installing, "loading a snapshot"}, {p.Votes > 0, fmt.Sprintf("%d consents to a take-over", p.Votes)}}))
	if s.Role == "replica" {
		d.line("     heard the primary of epoch %d %s, acknowledged %d in epoch %d", p.HeardEpoch, d.ago(p.HeardAt), p.AckMatch, p.AckEpoch)
	}
	if len(p.Tail) > 0 {
		words := make([]string, len(p.Tail))
		for i := range p.Tail {
			words[i] = entryWords(&p.Tail[i])
		}
		d.line("     log ends: %s", strings.Join(words, ", "))
	}
	if p.Reign != nil {
		d.reign(p.Reign)
	}
}

func entryWords(e *node.Entry) string {
	what := "no-op"
	switch e.Kind {
	case node.EntryPut:
		what = "put " + string(e.Key)
	case node.EntryDelete:
		what = "delete " + string(e.Key)
	}
	return fmt.Sprintf("%d.%d %s", e.Epoch, e.Index, what)
}

func (d *dumper) reign(g *node.ReignInspection) {
	d.line("     reign of epoch %d, %s%s: promised by %s; no-op %d, own log durable to %d",
		g.Epoch, g.Phase, marks([]mark{{g.Active, "active"}, {g.Quiet, "quiet"}, {g.Closing, "closing"}}),
		orNothing(d.members(g.Promises)), g.Noop, g.SelfMatch)
	if len(g.Writes)+g.Reads+g.Queued > 0 {
		d.line("     in flight: writes %v, %d reads, %d queued", g.Writes, g.Reads, g.Queued)
	}
	for _, f := range g.Followers {
		d.line("     follower %s: match %d, next %d, %d appends in flight, answered %s",
			d.member(f.Member), f.Match, f.Next, f.InFlight, d.ago(f.AnsweredAt))
	}
}

// ago describes how long ago the host's clock showed a time, where 0 means never.
func (d *dumper) ago(at time.Duration) string {
	if at == 0 {
		return "never"
	}
	return (d.own - at).String() + " ago"
}
