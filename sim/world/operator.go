package world

import (
	"time"

	"dkv/node"
	"dkv/node/layout"
	"dkv/zksim"
	"dkv/zksim/zktree"
)

// operator is the administrator who begins and cancels moves, and edits layouts. It has a
// ZooKeeper client of its own and changes the layout by compare-and-set, one request at a
// time.
//
//   - requests[0] is under way while busy is set; the others wait.
//   - took is set once ZooKeeper has committed the step of requests[0], whether or not
//     the client got the answer. A step is never tried again after that.
type operator struct {
	world  *World
	path   string // of the layout's znode
	client *zksim.Client
	dead   bool // the session is over, so the next try needs a new one

	requests  []layoutRequest
	busy      bool
	tries     int
	until     time.Duration // deadline of requests[0]
	took      bool
	edit      Edit // the last one that was tried
	noEdits   bool
	repairing bool // RepairLayout is at work

	copy        *layout.Layout // what peek decoded last
	copyVersion int32
	copyCzxid   int64
}

// layoutRequest asks for one change of the layout: a step, or the edit that makes a member
// the primary of the epoch that there is.
type layoutRequest struct {
	kind      layout.StepKind // BeginMove, CancelMove or ChangePrimary; edited: no step
	partition node.PartitionID
	next      []node.MemberNumber
	primary   node.MemberNumber // of the edit
	epoch     node.Epoch        // that ChangePrimary ends; other steps end the one that there is
	done      func(taken bool)
}

const (
	operatorName = "operator"
	maxRequests  = 64
	edited       = layout.StepKind(0)
	maxTries     = 10
	patience     = 10 * time.Second
	pauseOnError = 100 * time.Millisecond
)

func newOperator(w *World) *operator {
	cluster := w.cfg.Node.Cluster
	if cluster == "" {
		cluster = "default"
	}
	return &operator{world: w, path: "/dkv/" + cluster + "/layout"}
}

// ask queues a request. It refuses the request if too many wait.
func (o *operator) ask(w layoutRequest) {
	if w.done == nil {
		w.done = func(bool) {}
	}
	if len(o.requests) >= maxRequests {
		o.world.After(0, func() { w.done(false) })
		return
	}
	o.requests = append(o.requests, w)
	if !o.busy {
		o.busy = true
		o.world.After(0, o.begin)
	}
}

func (o *operator) begin() {
	o.tries, o.took = 0, false
	o.until = o.world.Now() + patience
	o.try()
}

// try reads the layout, makes the change, and sets it.
func (o *operator) try() {
	o.tries++
	if o.tries > maxTries || o.world.Now() >= o.until {
		o.end()
		return
	}
	if o.client == nil || o.dead {
		o.dead = false
		o.client = o.world.zookeeper.Connect(operatorName, o.world.cfg.SessionTimeout, o)
	}
	o.client.Get(o.path, false, o.onRead)
}

func (o *operator) onRead(data []byte, stat zktree.Stat, err error) {
	if o.took { // by the previous try, whose answer was lost
		o.end()
		return
	}
	if err != nil {
		o.again()
		return
	}
	l, err := layout.Decode(data)
	if err != nil {
		o.end()
		return
	}
	request := &o.requests[0]
	encoded := request.judge(l)
	if encoded == nil {
		o.end()
		return
	}
	if request.kind == edited {
		if e := &o.edit; o.noEdits || o.world.editStands() && (e.Partition != request.partition || e.Primary != request.primary) {
			o.end() // one was asked for before this one, and stands or may yet
			return
		}
		was, _ := l.Partition(request.partition)
		o.edit = Edit{request.partition, was.Epoch, request.primary, encoded}
	}
	o.client.Set(o.path, encoded, stat.Version, o.onSet)
}

// judge returns the encoded layout after the requested change, or nil if the layout does
// not allow it.
func (w *layoutRequest) judge(l *layout.Layout) []byte {
	p, ok := l.Partition(w.partition)
	if !ok {
		return nil
	}
	if w.kind == edited {
		return editPrimary(l, w.partition, w.primary)
	}
	step := layout.Step{Kind: w.kind, Partition: w.partition, Epoch: p.Epoch, Primary: p.Primary, Next: w.next}
	if w.kind == layout.ChangePrimary {
		step.Epoch = w.epoch
	}
	if w.kind == layout.CancelMove && !layout.Contains(p.Replicas, p.Primary) {
		step.Primary = p.Replicas[0]
	}
	applied := l.Apply([]layout.Step{step})
	if len(applied.Steps) != 1 {
		return nil
	}
	encoded, _ := applied.Layout.Encode() // nil if it has become too large
	return encoded
}

func (o *operator) onSet(_ zktree.Stat, err error) {
	if err == nil {
		o.end()
		return
	}
	o.again()
}

// again schedules another try.
func (o *operator) again() { o.world.After(pauseOnError, o.try) }

func (o *operator) end() {
	w := o.requests[0]
	o.requests = o.requests[1:]
	w.done(o.took)
	if len(o.requests) == 0 {
		o.busy = false
		return
	}
	o.world.After(0, o.begin)
}

// onCommit observes ZooKeeper's commits, so that the operator knows whether a set took
// effect even if the answer is lost.
func (o *operator) onCommit(txn *zktree.Txn, r *zktree.Result) {
	if o.client == nil || txn.Session != o.client.Session() || txn.Code != zktree.OpSetData || r.Err != zktree.OK {
		return
	}
	o.took = true
	if len(o.requests) == 0 {
		return // it was given up, and takes effect late
	}
	switch o.requests[0].kind {
	case layout.BeginMove:
		o.world.Count(faultMove)
	case layout.CancelMove:
		o.world.Count(faultCancel)
	}
}

// SessionEvent notes the end of the session.
func (o *operator) SessionEvent(state zksim.SessionState) {
	if state == zksim.Expired {
		o.dead = true
	}
}

// WatchEvent is never called, because the operator watches nothing.
func (o *operator) WatchEvent(zktree.Event) {}
