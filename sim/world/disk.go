package world

import (
	"dkv/node/door"
	"dkv/sim/schedule"
	"errors"
	"slices"
	"time"
)

// DiskProfile shapes the disks. A field's zero value selects its default.
type DiskProfile struct {
	// Sync is how long a sync takes. One is under way at a time. It covers what
	// was committed before it began. Default 100 µs to 2 ms.
	Sync Range
	// Store selects what holds the contents. Default ModelStore.
	Store schedule.Store
}

func (p DiskProfile) withDefaults() DiskProfile {
	setRange(&p.Sync, 100*time.Microsecond, 2*time.Millisecond)
	if p.Store == "" {
		p.Store = schedule.ModelStore
	}
	return p
}

// maxOpenViews bounds the Views of one process. It is above the core's own bound, so
// only a leak can reach it.
const maxOpenViews = 64

var (
	errViews = errors.New("world: too many open views: some are never closed")
	errIO    = errors.New("input/output error")
	errFull  = errors.New("no space left on device")
)

// disk is a host's disk: the simulated door.Store. It decides what becomes durable
// and when, and which operations fail. Its medium holds the contents.
//
//   - What was committed is a sequence of batches. A prefix of it is durable; suffix
//     is the rest, in order. A crash keeps the durable part and a prefix of suffix,
//     so no batch survives without all batches before it.
//   - At most one sync is under way. It covers suffix[:syncing], and syncing is 0
//     when there is no sync. suffix only grows at its end meanwhile.
//   - Every done runs at most once, in the order of the commits, and with a nil error
//     only if its batch is durable.
//   - Once failed is set, nothing more becomes durable until the process has ended:
//     all later commits are dead, and each done gets the error.
//   - views is the number of Views that the process has not closed.
type disk struct {
	scheduler *scheduler
	profile   DiskProfile
	host      int
	// post runs a done as an event of the process. count counts a fault that took
	// effect.
	post  func(fn func())
	count func(Fault)

	medium medium
	suffix []pending
	used   bool // something was committed, by any process

	syncing  int
	timer    timer  // ends the sync
	synced   func() // onSynced, so that a sync allocates no closure
	views    int
	scratch  []byte // of a scan, to be used again
	failed   error  // the first error
	hasFault bool   // a fault took effect since the process started

	// Faults.
	slow       Range
	stallUntil time.Duration
	stallBegan bool // the process started during the stall
	failNext   bool
	broken     bool // every operation fails
	full       bool // every write fails
	rot        *rot
	flipped    Fault // faultFlipTable or faultFlipLog if a bit is flipped below the store
	ruined     bool  // the store has found that bit

	latency, slowness, survives, rots draws
}

// pending is a commit that is not durable.
type pending struct {
	batch *door.Batch
	done  func(error) // nil if the process does not wait for the sync
	dead  bool        // the commit came after an error, so it never survives a crash
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

// Scan calls fn for the keys in [from, to). It overwrites the slices when fn
// returns, so that a process that keeps one, against the promise of Store, soon
// fails.
func (d *disk) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	if err := d.usable(); err != nil {
		return err
	}
	return d.scan(d.medium.scan, from, to, fn)
}

// View returns a picture of the store as it is now.
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

// Views returns how many Views are open.
func (d *disk) Views() int { return d.views }

// usable returns an error if the disk is broken.
func (d *disk) usable() error {
	if d.broken {
		return d.strike(faultIO, errIO)
	}
	return nil
}

// strike makes a fault take effect: nothing more becomes durable until the process
// has ended.
func (d *disk) strike(f Fault, err error) error {
	d.hasFault = true
	d.count(f)
	return d.fail(err)
}

// fail records err if it is the first error, and returns it.
func (d *disk) fail(err error) error {
	if d.failed == nil {
		d.failed = err
		d.ruin()
	}
	return err
}

// Commit applies the batch; done runs when the batch is durable. After an error the
// process can still read what it commits, as from a page cache. But no done reports
// success any more, and a crash loses all of it.
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

// onSynced ends a sync. Either what it covered is durable now, or the disk has
// failed.
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

// crash loses what the disk has not synced, except for a drawn prefix: often all of
// it, often nothing. It drops all dones and Views.
func (d *disk) crash() {
	kept := d.surviving(len(d.suffix))
	written := d.written()
	if d.syncing > 0 && d.stallUntil > d.scheduler.Now() {
		d.count(faultCrashInStall)
		if d.stallBegan {
			d.count(faultCrashInStallOfStart)
		}
	}
	if d.medium.crash(d.suffix[:min(kept, written)], d.suffix[min(kept, written):written]) {
		d.count(faultLostSuffix)
	}
	d.restart()
}

// written returns how many batches of the suffix were committed before an error.
func (d *disk) written() int {
	n := len(d.suffix)
	for n > 0 && d.suffix[n-1].dead {
		n--
	}
	return n
}

// surviving draws how many of n batches survive a crash.
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

// shutDown ends a process that has closed its store: all that it committed survives,
// unless the disk has failed.
func (d *disk) shutDown() {
	if d.failed != nil {
		d.crash()
		return
	}
	d.medium.shutDown(d.suffix)
	d.restart()
}

// restart forgets the state of the process that has ended.
func (d *disk) restart() {
	d.timer.Stop()
	d.suffix, d.syncing, d.views, d.failed = nil, 0, 0, nil
}

// open prepares the disk for a new process.
func (d *disk) open() error {
	d.hasFault = false
	d.stallBegan = d.stallUntil > d.scheduler.Now()
	err := d.medium.open()
	if err != nil {
		d.ruin()
	}
	return err
}

// heal ends the faults that last. It does not repair a flipped bit.
func (d *disk) heal() {
	d.slow, d.stallUntil, d.failNext = Range{}, 0, false
	d.broken, d.full, d.rot = false, false, nil
}

// mayFail reports whether a process that uses the disk may get an error.
func (d *disk) mayFail() bool {
	return d.failNext || d.broken || d.full || d.rot != nil || d.flipped != 0
}

// faulted reports whether a fault of the disk explains the failure of its process.
func (d *disk) faulted() bool { return d.hasFault || d.ruined }

// view is a View of a disk: a picture of the medium, read through the faults of the
// disk as it is now.
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
		panic("world: a View was used after its Close")
	}
	return v.below
}

// Close releases the view. It panics if it is called twice.
func (v *view) Close() {
	v.open().Close()
	v.below = nil
	v.disk.views--
}

// FirstCrashLosesAll reports whether, under a seed, the first crash of a host loses
// everything that its disk has not synced.
func FirstCrashLosesAll(seed uint64, host int) bool {
	return newDisk(nil, NewRandom(seed), DiskProfile{}, host).surviving(1000) == 0
}
