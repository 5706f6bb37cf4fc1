package sim

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"dkv/linearizability"
	"dkv/node"
	"dkv/node/door"
	"dkv/node/ring"
	"dkv/sim/schedule"
	"dkv/sim/world"

	"github.com/cespare/xxhash/v2"
)

// workload is the set of clients. Each client sends one request, waits for the
// answer or gives up, thinks for a while, and sends the next. The recorder keeps
// every operation.
type workload struct {
	world    *world.World
	setup    *schedule.Setup
	recorder *linearizability.Recorder
	keys     []string
	cold     coldKeys
	clients  []*client
	// hosts are those to which clients send requests; nil: any host.
	hosts   []int
	stopped bool
	closed  bool   // for good: only the final reads are left
	asks    int    // requests of the schedule's steps, so far
	calls   uint64 // operations of all clients, so far; also numbers the values
	// ended is called at the end of every operation.
	ended func(op linearizability.Operation, outcome linearizability.Outcome)
	// answered is called when a host answers, also if the client has given up.
	answered func(host int, request *door.Request, resp *door.Response)
}

// client is one process of the workload.
type client struct {
	work  *workload
	id    int
	host  int
	draws uint64
	// versions are those that this client last saw, by key; its conditions name
	// them.
	versions []door.Version
}

// clientPatience is the time that a client waits beyond the timeout that it sent
// to the node.
const clientPatience = 200 * time.Millisecond

func newWorkload(w *world.World, setup *schedule.Setup) *workload {
	l := &workload{world: w, setup: setup}
	l.recorder = linearizability.NewRecorder(linearizability.RecorderConfig{Now: w.Now})
	l.ended = func(linearizability.Operation, linearizability.Outcome) {}
	l.answered = func(int, *door.Request, *door.Response) {}
	l.keys = chooseKeys(&setup.Workload, setup.Partitions)
	l.cold = newColdKeys(&setup.Workload)
	for i := range setup.Workload.Clients {
		c := &client{work: l, id: i, versions: make([]door.Version, len(l.keys))}
		c.host = c.below(setup.Nodes, "home")
		l.clients = append(l.clients, c)
	}
	return l
}

// start starts the clients, each after a think time of its own.
func (l *workload) start() {
	if l.setup.Workload.Operations == 0 {
		return // only the schedule's steps send requests
	}
	for _, c := range l.clients {
		l.world.After(c.think(), c.ask)
	}
}

// chooseKeys returns the workload's keys. For the boundary shape it tries many
// names and takes those whose hashes lie closest to a partition's ends.
func chooseKeys(w *schedule.Workload, partitions int) []string {
	keys := make([]string, w.Keys)
	for i := range keys {
		keys[i] = "k" + strconv.Itoa(i)
	}
	if w.Shape != schedule.Boundary {
		return keys
	}
	const tries = 2000
	for i := range keys {
		point := ring.Point(i/2%partitions, partitions)
		name := []byte("b" + strconv.Itoa(i) + "-")
		stem, distance := len(name), uint64(math.MaxUint64)
		for t := range tries {
			name = strconv.AppendInt(name[:stem], int64(t), 10)
			d := xxhash.Sum64(name) - point
			if i%2 == 1 {
				d = -d // before the point rather than after it
			}
			if d < distance {
				distance, keys[i] = d, string(name)
			}
		}
	}
	return keys
}

// keyIn returns the key that stands for a partition; newKeyIn returns another key
// in the partition for each number.
func keyIn(p node.PartitionID, partitions int) string { return findKey("p", p, partitions) }

func newKeyIn(p node.PartitionID, partitions, number int) string {
	return findKey("s"+strconv.Itoa(number)+"-", p, partitions)
}

// longKeyIn returns a key of the greatest length in the partition.
func longKeyIn(p node.PartitionID, partitions int) string {
	const suffix = 8 // bytes reserved for the numbers that findKey appends
	prefix := "l" + strings.Repeat("k", node.MaxKeyBytes-suffix-1)
	key := findKey(prefix, p, partitions)
	return key + strings.Repeat("0", node.MaxKeyBytes-len(key))
}

func findKey(prefix string, p node.PartitionID, partitions int) string {
	name := append([]byte(prefix), strconv.Itoa(int(p))...)
	name = append(name, '-')
	stem := len(name)
	for t := int64(0); ; t++ {
		name = strconv.AppendInt(name[:stem], t, 10)
		if ring.PartitionOf(name, partitions) == int(p) {
			return string(name)
		}
	}
}

func (c *client) below(n int, purpose string) int {
	c.draws++
	return c.work.world.Random().Below(n, "client "+purpose, uint64(c.id), c.draws)
}

// think draws the time between two operations: exponential, and much shorter in
// one spell out of four, so that load alternates between crowds and calm. With bursts
// a crowd lasts a quarter of a second, and all clients come to its beginning.
func (c *client) think() time.Duration {
	w := &c.work.setup.Workload
	mean := 1.75 * float64(c.work.setup.Phases.Faults) * float64(w.Clients) / float64(max(1, w.Operations))
	now, spell := c.work.world.Now(), c.work.spell()
	begun := now.Truncate(spell)
	switch {
	case !c.work.crowded(begun):
	case !w.Bursts:
		mean /= 7
	case now < begun+time.Second/4:
		mean /= 100
	}
	c.draws++
	u := c.work.world.Random().Float("client think", uint64(c.id), c.draws)
	drawn := time.Duration(-math.Log(1-u) * mean)
	if next := begun + spell; w.Bursts && now+drawn > next && c.work.crowded(next) {
		return next - now
	}
	return drawn
}

// spell is how long load stays as it is: a second, or more in a long run.
func (l *workload) spell() time.Duration { return max(time.Second, l.setup.Phases.Faults/36) }

// crowded reports whether clients are in a hurry in the spell that begins then.
func (l *workload) crowded(begun time.Duration) bool {
	return l.world.Random().Below(4, "client crowd", 0, uint64(begun/l.spell())) == 0
}

// ask sends the client's next operation.
func (c *client) ask() {
	if c.work.stopped || c.work.closed {
		return
	}
	if c.askCold() {
		return
	}
	k := c.drawKey()
	op, r := c.drawOperation(k)
	c.chooseHost()
	c.work.submit(c.orStranger(c.host), op, r, func(resp door.Response, outcome linearizability.Outcome) {
		c.onEnd(k, resp, outcome)
	})
}

func (c *client) drawKey() int {
	n := len(c.work.keys)
	if c.work.setup.Workload.Shape == schedule.Hot && c.below(2, "hot") == 0 {
		return 0
	}
	return c.below(n, "key")
}

// chooseHost mostly stays with a node, as a client with a connection does, and
// sometimes changes it.
func (c *client) chooseHost() {
	hosts := c.work.hosts
	if hosts == nil {
		if c.below(10, "leave") == 0 {
			c.host = c.below(c.work.setup.Nodes, "host")
		}
		return
	}
	for _, h := range hosts {
		if h == c.host && c.below(10, "leave") != 0 {
			return
		}
	}
	c.host = hosts[c.below(len(hosts), "host")]
}

func (c *client) drawOperation(k int) (linearizability.Operation, door.Request) {
	w := &c.work.setup.Workload
	op := linearizability.Operation{Client: c.id, Key: c.work.keys[k]}
	r := door.Request{Key: []byte(op.Key), Timeout: c.timeout()}
	conditional := false
	switch n := c.below(100, "kind"); {
	case n < w.Get:
		op.Kind, r.Kind = linearizability.Get, door.RequestGet
	case n < w.Get+w.Put:
		op.Kind, r.Kind = linearizability.Put, door.RequestPut
	case n < w.Get+w.Put+w.Delete:
		op.Kind, r.Kind = linearizability.Delete, door.RequestDelete
	default:
		conditional = true
		op.Kind, r.Kind = linearizability.Put, door.RequestPut
		if c.below(4, "conditional delete") == 0 {
			op.Kind, r.Kind = linearizability.Delete, door.RequestDelete
		}
	}
	if op.Kind == linearizability.Put {
		op.Value = c.work.value(c.id)
		r.Value = []byte(op.Value)
	}
	if conditional {
		c.drawCondition(k, &op, &r)
	}
	return op, r
}

// timeout returns the time that the client gives a node: some clients are patient.
func (c *client) timeout() time.Duration {
	w := &c.work.setup.Workload
	if w.Patience > 0 && c.id%4 == 3 {
		return w.Patience
	}
	return w.Timeout
}

// drawCondition makes the operation conditional on the version last seen, or on
// absence.
func (c *client) drawCondition(k int, op *linearizability.Operation, r *door.Request) {
	version := c.versions[k]
	if version == 0 || op.Kind == linearizability.Put && c.below(3, "if absent") == 0 {
		if op.Kind == linearizability.Put {
			op.IfAbsent, r.If.Absent = true, true
		}
		return
	}
	op.IfMatch, r.If.Match = linearizability.Version(version), version
}

// value returns a value that no other put writes.
func (l *workload) value(client int) string {
	w := &l.setup.Workload
	v, length := fmt.Sprintf("c%d-%d", client, l.calls), w.ValueBytes
	if w.Large > 0 && l.world.Random().Below(1000, "value large", uint64(client), l.calls) < w.Large {
		length = int(l.world.Random().LogScale(float64(max(1, length)), node.MaxValueBytes+1, "value length", uint64(client), l.calls))
	}
	if pad := length - len(v); pad > 0 {
		v += strings.Repeat(".", pad)
	}
	return v
}

// onEnd remembers the version and schedules the next operation.
func (c *client) onEnd(k int, resp door.Response, outcome linearizability.Outcome) {
	if outcome == linearizability.OK && resp.Version != 0 {
		c.versions[k] = resp.Version
	}
	c.rest(outcome)
}

// rest schedules the next operation. After a failure a client changes its node half of
// the time.
func (c *client) rest(outcome linearizability.Outcome) {
	if outcome != linearizability.OK && c.work.hosts == nil && c.below(2, "flee") == 0 {
		c.host = c.below(c.work.setup.Nodes, "host")
	}
	c.work.world.After(c.think(), c.ask)
}

// submit records one operation and sends it to a host. It calls done once: with the
// answer, or when the client gives up.
func (l *workload) submit(host int, op linearizability.Operation, r door.Request,
	done func(resp door.Response, outcome linearizability.Outcome)) {
	l.calls++
	op.Node = schedule.HostName(host)
	stamp := l.recorder.Call(op)
	op.CallTime = l.world.Now()
	over := false
	end := func(resp door.Response, outcome linearizability.Outcome) {
		if over {
			return
		}
		over = true
		l.recorder.Return(stamp, outcome, answerOf(op.Kind, resp, outcome))
		l.ended(op, outcome)
		done(resp, outcome)
	}
	giveUp := l.world.After(r.Timeout+clientPatience, func() { end(door.Response{}, linearizability.Unknown) })
	l.world.Submit(host, r, func(resp door.Response, broken bool) {
		giveUp()
		if !broken {
			l.answered(host, &r, &resp)
		}
		end(resp, outcomeOf(resp, broken))
	})
}

func outcomeOf(resp door.Response, broken bool) linearizability.Outcome {
	switch {
	case broken:
		return linearizability.Unknown
	case resp.Outcome == door.Done:
		return linearizability.OK
	case resp.Outcome == door.Refused:
		return linearizability.Refused
	}
	return linearizability.Unknown
}

// answerOf converts a response to the answer that the history records.
func answerOf(kind linearizability.Kind, resp door.Response, outcome linearizability.Outcome) linearizability.Answer {
	if outcome != linearizability.OK {
		return linearizability.Answer{}
	}
	a := linearizability.Answer{
		ConditionFailed: resp.Failed,
		Version:         linearizability.Version(resp.Version),
		Index:           linearizability.Index(resp.Index),
	}
	if kind == linearizability.Put && !resp.Failed {
		return a
	}
	a.Found = resp.Found
	if resp.Found {
		a.HasValue, a.Value = true, string(resp.Value)
	}
	return a
}
