package sim

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"dkv/node"
)

// DiskProfile shapes the disks. The zero value of a field means its default.
type DiskProfile struct {
	// Sync is how long a sync takes. One is under way at a time; it covers what
	// was committed before it began. Default 100 µs to 2 ms.
	Sync Range
}

func (p DiskProfile) withDefaults() DiskProfile {
	setRange(&p.Sync, 100*time.Microsecond, 2*time.Millisecond)
	return p
}

// maxOpenViews bounds the Views of one process. It is above the core's own
// bound, so that a leak shows here.
const maxOpenViews = 64

var (
	errViews = errors.New("sim: too many open views: one is not closed")
	errSync  = errors.New("input/output error")
)

// disk is a machine's disk: the model of node.Store. Of what was committed a
// prefix is durable; the rest is a suffix of batches, of which a crash keeps a
// part. Sizes have no bound but the machine's.
type disk struct {
	scheduler *Scheduler
	profile   DiskProfile
	host      int
	// post delivers a done as an event of the process, and count a fault that
	// took effect.
	post  func(fn func())
	count func(fault)

	now     tree // what Get, Scan and View see
	durable tree // what every crash leaves
	suffix  []pending
	used    bool // something was committed once

	syncing  int // batches of the suffix that the sync under way covers; 0: none
	timer    Timer
	synced   func() // onSynced
	views    int
	failed   error // of a sync; nothing later is durable
	hasFault bool  // a sync failed in this process's life, or was told to

	// Faults.
	slow       Range
	stallUntil time.Duration
	failNext   bool

	latency, slowness, survives draws
}

// pending is one commit that is not durable.
type pending struct {
	batch *node.Batch
	done  func(error) // nil: no sync was asked for
}

func newDisk(s *Scheduler, r Random, profile DiskProfile, host int) *disk {
	entity := uint64(host)
	d := &disk{
		scheduler: s, profile: profile.withDefaults(), host: host, now: newTree(),
		post: func(fn func()) { fn() }, count: func(fault) {},
		latency:  draws{random: r, purpose: "disk.sync", entity: entity},
		slowness: draws{random: r, purpose: "disk.slow", entity: entity},
		survives: draws{random: r, purpose: "disk.survives", entity: entity},
	}
	d.synced = d.onSynced
	d.durable = d.now.fork()
	return d
}

// Get returns a copy of the value.
func (d *disk) Get(key []byte) ([]byte, bool, error) { return get(d.now.root, key) }

// Scan calls fn for the keys in [from, to). The slices it gets are overwritten
// when it returns, so that nobody who keeps one stays unnoticed.
func (d *disk) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	scan(d.now.picture(), from, to, fn)
	return nil
}

// View is a picture of the store as it is now.
func (d *disk) View() (node.View, error) {
	if d.views >= maxOpenViews {
		return nil, errViews
	}
	d.views++
	return &view{disk: d, root: d.now.picture()}, nil
}

// Views is how many are open.
func (d *disk) Views() int { return d.views }

// Commit applies the batch; done runs when it is durable.
func (d *disk) Commit(b *node.Batch, done func(error)) {
	d.now.apply(b)
	d.used = d.used || !b.Empty()
	d.suffix = append(d.suffix, pending{b, done})
	if done != nil {
		d.sync()
	}
}

// apply makes the changes of a batch.
func (t *tree) apply(b *node.Batch) {
	for i := range b.Ops {
		switch op := &b.Ops[i]; op.Kind {
		case node.BatchPut:
			t.put(op.Key, op.Value)
		case node.BatchDelete:
			t.delete(op.Key)
		case node.BatchDeleteRange:
			t.deleteRange(op.Key, op.To)
		default:
			panic(fmt.Sprintf("sim: a batch with an operation of kind %d", op.Kind))
		}
	}
}

// sync begins a sync of the whole suffix, unless one is under way.
func (d *disk) sync() {
	if d.syncing > 0 {
		return
	}
	d.syncing = len(d.suffix)
	takes := d.latency.within(d.profile.Sync)
	if extra := d.slowness.within(d.slow); extra > 0 {
		takes += extra
		d.count(faultSlowDisk)
	}
	d.timer = d.scheduler.Schedule(takes, d.host, KindDisk, d.synced)
}

// onSynced ends a sync: what it covered is durable, or nothing later ever is.
func (d *disk) onSynced() {
	if stall := d.stallUntil - d.scheduler.Now(); stall > 0 {
		d.count(faultStallDisk)
		d.timer = d.scheduler.Schedule(stall, d.host, KindDisk, d.synced)
		return
	}
	if d.failNext && d.failed == nil {
		d.failed, d.hasFault, d.failNext = errSync, true, false
		d.count(faultFailSync)
	}
	covered := d.suffix[:d.syncing]
	dones := make([]func(error), 0, len(covered))
	for i := range covered {
		if covered[i].done != nil {
			dones = append(dones, covered[i].done)
			covered[i].done = nil
		}
	}
	if d.failed == nil {
		d.harden(d.syncing)
	}
	d.syncing = 0
	if slices.ContainsFunc(d.suffix, func(p pending) bool { return p.done != nil }) {
		d.sync()
	}
	for _, done := range dones {
		err := d.failed
		d.post(func() { done(err) })
	}
}

// harden makes the first n batches of the suffix durable.
func (d *disk) harden(n int) {
	for i := range d.suffix[:n] {
		d.durable.apply(d.suffix[i].batch)
	}
	d.suffix = slices.Delete(d.suffix, 0, n)
}

// crash is the end of the machine's power, or of the process: of the suffix a
// seeded prefix survives, all of it and nothing being likely. No done runs any
// more, all Views are gone.
func (d *disk) crash() {
	d.harden(d.surviving(len(d.suffix)))
	if slices.ContainsFunc(d.suffix, func(p pending) bool { return !p.batch.Empty() }) {
		d.count(faultLostSuffix)
	}
	d.restart()
}

func (d *disk) surviving(n int) int {
	if n == 0 {
		return 0
	}
	switch word := d.survives.word(); word % 4 {
	case 0:
		return 0
	case 1:
		return n
	default:
		return int((word >> 2) % uint64(n+1))
	}
}

// shutDown is the end of a process that closed its store: all it committed is
// there, unless a sync failed.
func (d *disk) shutDown() {
	if d.failed != nil {
		d.crash()
		return
	}
	d.harden(len(d.suffix))
	d.restart()
}

// restart forgets all that is not durable.
func (d *disk) restart() {
	d.timer.Stop()
	d.now = d.durable.fork()
	d.suffix, d.syncing, d.views, d.failed = nil, 0, 0, nil
}

// heal ends the faults that last.
func (d *disk) heal() {
	d.slow, d.stallUntil, d.failNext = Range{}, 0, false
}

// faulted says whether a fault of the disk explains that its process failed.
func (d *disk) faulted() bool { return d.hasFault }

// view is a picture of a disk.
type view struct {
	disk *disk
	root *page
}

func (v *view) Get(key []byte) ([]byte, bool, error) {
	return get(v.picture(), key)
}

func (v *view) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	scan(v.picture(), from, to, fn)
	return nil
}

func (v *view) picture() *page {
	if v.root == nil {
		panic("sim: a view was used after its Close")
	}
	return v.root
}

// Close ends the view. It panics if it is called twice.
func (v *view) Close() {
	v.picture()
	v.root = nil
	v.disk.views--
}

func get(root *page, key []byte) ([]byte, bool, error) {
	value, ok := root.get(key)
	if !ok {
		return nil, false, nil
	}
	return append(make([]byte, 0, len(value)), value...), true, nil
}

// scan hands out copies that do not last.
func scan(root *page, from, to []byte, fn func(key, value []byte) bool) {
	var scratch []byte
	root.scan(from, to, func(key, value []byte) bool {
		scratch = append(append(scratch[:0], key...), value...)
		more := fn(scratch[:len(key):len(key)], scratch[len(key):len(scratch):len(scratch)])
		for i := range scratch {
			scratch[i] = 0xdb
		}
		return more
	})
}
