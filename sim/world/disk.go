package world

import (
	"dkv/node/door"
	"dkv/sim/schedule"
	"errors"
	"slices"
	"time"
)

// DiskProfile shapes the disks. The zero value of a field means its default.
type DiskProfile struct {
	// Sync is how long a sync takes. One is under way at a time; it covers what
	// was committed before it began. Default 100 µs to 2 ms.
	Sync Range
	// Store holds the contents. Default ModelStore.
	Store schedule.Store
}

func (p DiskProfile) withDefaults() DiskProfile {
	setRange(&p.Sync, 100*time.Microsecond, 2*time.Millisecond)
	if p.Store == "" {
		p.Store = schedule.ModelStore
	}
	return p
}

// maxOpenViews bounds the Views of one process. It is above the core's own
// bound, so that a leak shows here.
const maxOpenViews = 64

var (
	errViews = errors.New("sim: too many open views: one is not closed")
	errIO    = errors.New("input/output error")
	errFull  = errors.New("no space left on device")
)

// disk is a machine's disk: the model of node.Store. Of what was committed a
// prefix is durable; the rest is a suffix of batches, of which a crash keeps a
// part. Sizes have no bound but the machine's.
type disk struct {
	scheduler *scheduler
	profile   DiskProfile
	host      int
	// post delivers a done as an event of the process, and count a fault that
	// took effect.
	post  func(fn func())
	count func(Fault)

	medium medium
	suffix []pending
	used   bool // something was committed once

	syncing  int // batches of the suffix that the sync under way covers; 0: none
	timer    timer
	synced   func() // onSynced
	views    int
	failed   error // nothing later is durable
	hasFault bool  // a fault took effect in this process's life

	// Faults.
	slow       Range
	stallUntil time.Duration
	failNext   bool
	broken     bool // every operation fails
	full       bool // every write fails
	rot        *rot
	flipped    Fault // faultFlipTable or faultFlipLog: a bit is flipped below the store
	ruined     bool  // and the store has met it

	latency, slowness, survives, rots draws
}

// pending is one commit that is not durable.
type pending struct {
	batch *door.Batch
	done  func(error) // nil: no sync was asked for
	dead  bool        // it came after an error: no crash leaves it
}

func newDisk(s *scheduler, r Random, profile DiskProfile, host int) *disk {
	entity := uint64(host)
	d := &disk{
		scheduler: s, profile: profile.withDefaults(), host: host,
		post: func(fn func()) { fn() }, count: func(Fault) {},
		latency:  draws{random: r, purpose: "disk.sync", entity: entity},
		slowness: draws{random: r, purpose: "disk.slow", entity: entity},
		survives: draws{random: r, purpose: "disk.survives", entity: entity},
		rots:     draws{random: r, purpose: "disk.rots", entity: entity},
	}
	d.synced = d.onSynced
	d.medium = newMedium(d.profile.Store, d)
	return d
}

// Get returns a copy of the value.
func (d *disk) Get(key []byte) (value []byte, ok bool, err error) {
	if err := d.usable(); err != nil {
		return nil, false, err
	}
	return d.get(d.medium.get, key)
}

// Scan calls fn for the keys in [from, to). The slices it gets are overwritten
// when it returns, so that nobody who keeps one stays unnoticed.
func (d *disk) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	if err := d.usable(); err != nil {
		return err
	}
	return d.scan(d.medium.scan, from, to, fn)
}

// View is a picture of the store as it is now.
func (d *disk) View() (door.View, error) {
	if err := d.usable(); err != nil {
		return nil, err
	}
	if d.views >= maxOpenViews {
		return nil, errViews
	}
	below, err := d.medium.view()
	if err != nil {
		return nil, d.fail(err)
	}
	d.views++
	return &view{disk: d, below: below}, nil
}

// Views is how many are open.
func (d *disk) Views() int { return d.views }

// usable says why the disk can't be used now, if it can't.
func (d *disk) usable() error {
	if d.broken {
		return d.strike(faultIO, errIO)
	}
	return nil
}

// strike is a fault that takes effect: nothing later is durable until the
// process is gone.
func (d *disk) strike(f Fault, err error) error {
	d.hasFault = true
	d.count(f)
	return d.fail(err)
}

// fail notes the first error and returns this one.
func (d *disk) fail(err error) error {
	if d.failed == nil {
		d.failed = err
		d.ruin()
	}
	return err
}

// Commit applies the batch; done runs when it is durable. After an error
// everything goes on as before, so that a process that does not listen finds
// out late; but no done tells of success, and no crash leaves anything of it.
func (d *disk) Commit(b *door.Batch, done func(error)) {
	if d.failed == nil && d.usable() == nil && d.full && !b.Empty() {
		_ = d.strike(faultFull, errFull)
	}
	d.used = d.used || !b.Empty()
	if err := d.medium.apply(b, done != nil); err != nil {
		_ = d.fail(err)
	}
	if d.rot != nil && d.rot.isWritten(b) {
		d.rot = nil
	}
	d.suffix = append(d.suffix, pending{batch: b, done: done, dead: d.failed != nil})
	if done != nil {
		d.sync()
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
	d.timer = d.scheduler.Schedule(takes, d.host, kindDisk, d.synced)
}

// onSynced ends a sync: what it covered is durable, or nothing later ever is.
func (d *disk) onSynced() {
	if stall := d.stallUntil - d.scheduler.Now(); stall > 0 {
		d.count(faultStallDisk)
		d.timer = d.scheduler.Schedule(stall, d.host, kindDisk, d.synced)
		return
	}
	if d.failNext && d.failed == nil {
		d.failNext = false
		_ = d.strike(faultFailSync, errIO)
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
	if err := d.medium.harden(d.suffix[:n], d.suffix[n:]); err != nil {
		_ = d.fail(err)
		return
	}
	d.suffix = slices.Delete(d.suffix, 0, n)
}

// crash is the end of the machine's power, or of the process: of the suffix a
// seeded prefix survives, all of it and nothing being likely. No done runs any
// more, all Views are gone.
func (d *disk) crash() {
	kept := d.surviving(len(d.suffix))
	written := d.written()
	if d.medium.crash(d.suffix[:min(kept, written)], d.suffix[min(kept, written):written]) {
		d.count(faultLostSuffix)
	}
	d.restart()
}

// written is how many batches of the suffix came before an error.
func (d *disk) written() int {
	n := len(d.suffix)
	for n > 0 && d.suffix[n-1].dead {
		n--
	}
	return n
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
// there, unless something failed.
func (d *disk) shutDown() {
	if d.failed != nil {
		d.crash()
		return
	}
	d.medium.shutDown(d.suffix)
	d.restart()
}

// restart forgets all that is not durable.
func (d *disk) restart() {
	d.timer.Stop()
	d.suffix, d.syncing, d.views, d.failed = nil, 0, 0, nil
}

// open is the beginning of a process.
func (d *disk) open() error {
	d.hasFault = false
	err := d.medium.open()
	if err != nil {
		d.ruin()
	}
	return err
}

// heal ends the faults that last. A flipped bit stays.
func (d *disk) heal() {
	d.slow, d.stallUntil, d.failNext = Range{}, 0, false
	d.broken, d.full, d.rot = false, false, nil
}

// ails says whether a process that uses the disk may meet an error.
func (d *disk) mayFail() bool {
	return d.failNext || d.broken || d.full || d.rot != nil || d.flipped != 0
}

// faulted says whether a fault of the disk explains that its process failed.
func (d *disk) faulted() bool { return d.hasFault || d.ruined }

// view is a picture of a disk.
type view struct {
	disk  *disk
	below door.View // nil once closed
}

func (v *view) Get(key []byte) ([]byte, bool, error) {
	below := v.open()
	if err := v.disk.usable(); err != nil {
		return nil, false, err
	}
	return v.disk.get(below.Get, key)
}

func (v *view) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	below := v.open()
	if err := v.disk.usable(); err != nil {
		return err
	}
	return v.disk.scan(below.Scan, from, to, fn)
}

func (v *view) open() door.View {
	if v.below == nil {
		panic("sim: a view was used after its Close")
	}
	return v.below
}

// Close ends the view. It panics if it is called twice.
func (v *view) Close() {
	v.open().Close()
	v.below = nil
	v.disk.views--
}

// FirstCrashLosesAll reports whether the first crash of a host's disk, under a
// seed, loses everything that the disk has not synced.
func FirstCrashLosesAll(seed uint64, host int) bool {
	return newDisk(nil, NewRandom(seed), DiskProfile{}, host).surviving(1000) == 0
}
