package crashdisk

import (
	"dkv/node/door"
	"dkv/node/pebblestore"
	"encoding/binary"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// CrashDisk is a disk in memory with one store on it. Its power can be cut between any
// two calls, and then a bit of its files can be flipped. The store is the production
// one; only the file system below Pebble differs.
//
// One goroutine calls its methods, and waits in them for Pebble's goroutines. So their
// results do not depend on how fast those are. There is one exception: how much of what
// was committed without a sync is in the files when the power is lost.
//
//   - files is nil until the first use. store, posted, syncs and logs belong to the open
//     store; between uses of a store, store is nil and the valve is open.
//   - If holds is set, no sync of the log ends while the valve is closed, and held and
//     waits stay within their bounds, so that Pebble never waits for such a sync on the
//     goroutine that would have to open the valve.
type CrashDisk struct {
	holds bool
	files *vfs.MemFS
	store *pebblestore.Store // nil if no store is open

	posted *mailbox
	syncs  *valve
	logs   *logExtents
	held   int // bytes committed since the store began its log
	waits  int // syncs requested of Pebble since the valve was last open

	// flippable is how many bytes there are at the beginning of each log, after the
	// last loss of power, in which Pebble can tell damage from a torn end.
	flippable map[string]int64
}

const (
	crashDir           = "data"
	crashCacheBytes    = 1 << 20
	crashMemTableBytes = 256 << 10
	// maxHeldBytes and maxHeldSyncs bound what is committed while the valve is
	// closed. With about twice as many bytes, or 4,000 syncs, Pebble would wait for a
	// sync on the goroutine that has to open the valve.
	maxHeldBytes = 96 << 10
	maxHeldSyncs = 1000
	// opBytes is more than Pebble adds to an operation in memory.
	opBytes = 160
	// logBlockBytes is the size of the blocks of Pebble's log. Pebble decides from the
	// blocks after an unreadable one whether the log is damaged or torn.
	logBlockBytes = 32 << 10
)

// blank is the disk of a store that was formatted and closed. Copying it is cheaper than
// formatting every disk.
var blank = sync.OnceValues(func() (*vfs.MemFS, error) {
	files := vfs.NewCrashableMem()
	store, err := pebblestore.Open(pebblestore.Options{Dir: crashDir, FS: files, Post: func(fn func()) { fn() }})
	if err != nil {
		return nil, err
	}
	return files, store.Close()
})

// NewCrashDisk makes an empty disk. If it holds syncs, almost no sync of the log ends
// outside of Sync, so that a loss of power always has something to lose. Commit lets one
// end now and then, because Pebble needs it.
func NewCrashDisk(holdsSyncs bool) *CrashDisk { return &CrashDisk{holds: holdsSyncs} }

// Store returns the open store, or opens it. Use Commit of the disk, not that of the
// store.
func (d *CrashDisk) Store() (*pebblestore.Store, error) {
	if d.store != nil {
		return d.store, nil
	}
	if d.files == nil {
		files, err := blank()
		if err != nil {
			return nil, err
		}
		d.files = files.CrashClone(vfs.CrashCloneCfg{})
	}
	posted, syncs, logs := newMailbox(), newValve(), newLogExtents()
	store, err := pebblestore.Open(pebblestore.Options{
		Dir: crashDir, Post: posted.post, Failed: func(error) { syncs.abandon() },
		FS:         heldFS{FS: d.files, syncs: syncs, logs: logs},
		CacheBytes: crashCacheBytes, MemTableBytes: crashMemTableBytes,
	})
	if err != nil {
		return nil, err
	}
	if d.holds {
		syncs.set(false)
	}
	d.store, d.posted, d.syncs, d.logs, d.held, d.waits = store, posted, syncs, logs, 0, 0
	d.flippable = nil
	return store, nil
}

// Commit applies a batch to the store, with or without a sync of the log. Only Sync
// makes it durable for certain.
func (d *CrashDisk) Commit(b *door.Batch, synced bool) error {
	store, err := d.Store()
	if err != nil {
		return err
	}
	if d.waits == maxHeldSyncs {
		if err := d.Sync(); err != nil {
			return err
		}
	}
	size := 0
	for i := range b.Ops {
		op := &b.Ops[i]
		size += len(op.Key) + len(op.Value) + len(op.To) + opBytes
	}
	var done func(error)
	if synced {
		done = func(error) {} // Sync reports an error as well
	}
	d.held += size
	if !d.holds || d.held <= maxHeldBytes {
		before := store.Counters().Synced
		store.Commit(b, done)
		if store.Counters().Synced > before { // else everything was durable, and no sync is under way
			d.waits++
		}
		return store.Err()
	}
	d.syncs.set(true)
	store.Commit(b, done)
	err = store.Rotate() // which syncs the previous log
	d.syncs.set(false)
	d.held, d.waits = 0, 0
	return err
}

// Sync waits until everything that was committed is durable, or returns the error with
// which the store has failed.
func (d *CrashDisk) Sync() error {
	store, err := d.Store()
	if err != nil {
		return err
	}
	d.syncs.set(true)
	ended := false
	store.Commit(new(door.Batch), func(e error) { ended, err = true, e })
	d.posted.run(func() bool { return ended })
	if d.holds {
		d.syncs.set(false)
	}
	d.waits = 0
	return err
}

// PowerLoss ends the open store and loses what was not synced: each block of it survives
// with a chance of percent, 0 to 100. What was synced survives. PowerLoss reports whether
// the log had anything that was not synced.
func (d *CrashDisk) PowerLoss(percent int, seed uint64) (unsynced bool) {
	if d.store == nil {
		return false
	}
	if d.holds && d.waits > 0 {
		d.syncs.await() // by then the log has something that is not synced
	}
	left := d.files.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(seed, 1)),
	})
	unsynced, d.flippable = d.logs.measure()
	_ = d.Close() // this writes to files that are not used any more
	d.files = left
	return unsynced
}

// Close closes the store gracefully. Everything that was committed survives.
func (d *CrashDisk) Close() error {
	if d.store == nil {
		return nil
	}
	store := d.store
	d.store = nil
	d.syncs.set(true)
	return store.Close()
}

// Damage selects the files in which Flip flips a bit.
type Damage uint8

const (
	// DamagedTable is a bit of any table, even of one that is no longer in use.
	DamagedTable Damage = iota + 1
	// DamagedLog is a bit of the newest log, whose contents are in no table yet. Flip
	// takes one where Pebble can tell damage from a torn end, because a later block of
	// the log says that it was synced. It avoids the one bit of a chunk's header that
	// would make the chunk the end of a log.
	DamagedLog
)

// Flip flips one bit of the files, drawn with the seed, after a PowerLoss and while no
// store is open. It returns false if there is no bit to flip.
func (d *CrashDisk) Flip(what Damage, seed uint64) bool {
	if d.store != nil || d.files == nil {
		return false
	}
	names, err := d.files.List(crashDir)
	if err != nil {
		return false
	}
	newest := ""
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			newest = max(newest, name)
		}
	}
	random := rand.New(rand.NewPCG(seed, 2))
	for _, at := range random.Perm(len(names)) {
		name := names[at]
		path := d.files.PathJoin(crashDir, name)
		bytes, err := d.files.UnsafeGetFileDataBuffer(path)
		if err != nil {
			continue
		}
		end := int64(0)
		switch {
		case what == DamagedLog && name == newest:
			end = d.flippable[name]
		case what == DamagedTable && strings.HasSuffix(name, ".sst"):
			end = int64(len(bytes))
		}
		if end == 0 || end > int64(len(bytes)) {
			continue
		}
		offset, bit := random.Int64N(end), random.IntN(8)
		if what == DamagedLog && looksLikeTheEnd(bytes[offset:], bit, name) {
			bit++
		}
		bytes[offset] ^= 1 << bit
		return d.keep(path)
	}
	return false
}

// looksLikeTheEnd reports whether a chunk of a log would name the next log instead of its
// own if this bit of its first byte were flipped. Pebble takes that for the mark at the
// end of a log and reads no further, without looking at the checksum
// (record.Reader.nextChunk, version 2.1.7).
func looksLikeTheEnd(from []byte, bit int, name string) bool {
	number, err := strconv.ParseUint(strings.TrimSuffix(name, ".log"), 10, 64)
	return err == nil && bit == 0 && number%2 == 0 && len(from) >= 4 && binary.LittleEndian.Uint32(from) == uint32(number)
}

// keep syncs a file, so that a change of its bytes survives the next loss of power.
func (d *CrashDisk) keep(path string) bool {
	file, err := d.files.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	return file.Sync() == nil
}

// mailbox queues the functions that a store posts from any goroutine, until the disk's
// goroutine runs them.
type mailbox struct {
	mu    sync.Mutex
	some  sync.Cond
	queue []func()
}

func newMailbox() *mailbox {
	m := new(mailbox)
	m.some.L = &m.mu
	return m
}

func (m *mailbox) post(fn func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue = append(m.queue, fn)
	m.some.Signal()
}

// run runs what was posted and waits for more, until ended returns true.
func (m *mailbox) run(ended func() bool) {
	for !ended() {
		m.mu.Lock()
		for len(m.queue) == 0 {
			m.some.Wait()
		}
		queue := m.queue
		m.queue = nil
		m.mu.Unlock()
		for _, fn := range queue {
			fn()
		}
	}
}

// valve holds back syncs while it is closed.
type valve struct {
	mu        sync.Mutex
	changed   sync.Cond
	open      bool
	waiting   int  // syncs that are held back
	abandoned bool // the store has failed, so no more syncs come
}

func newValve() *valve {
	v := &valve{open: true}
	v.changed.L = &v.mu
	return v
}

func (v *valve) set(open bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.open = open
	v.changed.Broadcast()
}

func (v *valve) abandon() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.abandoned = true
	v.changed.Broadcast()
}

func (v *valve) pass() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.waiting++
	v.changed.Broadcast()
	for !v.open {
		v.changed.Wait()
	}
	v.waiting--
}

// await waits until a sync is held back, or none will come.
func (v *valve) await() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for v.waiting == 0 && !v.abandoned {
		v.changed.Wait()
	}
}

// logExtents tracks how far each log was written and synced.
type logExtents struct {
	mu     sync.Mutex
	extent map[string]*logExtent
}

// logExtent is about one log: synced[0] <= written, and synced holds where the last
// three syncs ended, in descending order.
type logExtent struct {
	written int64
	synced  [3]int64
}

func newLogExtents() *logExtents { return &logExtents{extent: make(map[string]*logExtent)} }

func (l *logExtents) begin(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.extent[name] = new(logExtent)
}

func (l *logExtents) wrote(name string, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.extent[name].written += int64(n)
}

func (l *logExtents) end(name string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.extent[name].written
}

func (l *logExtents) synced(name string, upTo int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.extent[name]; upTo > e.synced[0] {
		e.synced = [3]int64{upTo, e.synced[0], e.synced[1]}
	}
}

// measure reports whether a log has bytes that are not synced, and in how many bytes at
// the beginning of each log Pebble can tell damage from a torn end. Each chunk records
// how far the log was synced when Pebble assembled the chunk. A chunk between the last
// two syncs was assembled after the sync before them, so it vouches for everything up to
// there: synced[2]. But Pebble looks for such chunks only in the blocks after the damaged
// one, hence the second bound.
func (l *logExtents) measure() (unsynced bool, flippable map[string]int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	flippable = make(map[string]int64)
	for name, e := range l.extent {
		unsynced = unsynced || e.written > e.synced[0]
		if end := min(e.synced[2], e.synced[1]/logBlockBytes*logBlockBytes); end > 0 {
			flippable[name] = end
		}
	}
	return unsynced, flippable
}

// heldFS is a file system that tracks logs and syncs them only through the valve. Tables
// and the manifest are synced whenever Pebble wants.
type heldFS struct {
	vfs.FS
	syncs *valve
	logs  *logExtents
}

func (f heldFS) watch(path string, file vfs.File, err error) (vfs.File, error) {
	if err != nil || !strings.HasSuffix(path, ".log") {
		return file, err
	}
	name := f.PathBase(path)
	f.logs.begin(name)
	return &heldLog{File: file, fs: f, name: name}, nil
}

func (f heldFS) Create(path string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(path, category)
	return f.watch(path, file, err)
}

func (f heldFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.ReuseForWrite(from, to, category)
	return f.watch(to, file, err)
}

// Unwrap returns the file system below, for Pebble.
func (f heldFS) Unwrap() vfs.FS { return f.FS }

// heldLog is a log file.
type heldLog struct {
	vfs.File
	fs   heldFS
	name string
}

func (l *heldLog) Write(p []byte) (int, error) {
	n, err := l.File.Write(p)
	l.fs.logs.wrote(l.name, n)
	return n, err
}

func (l *heldLog) Sync() error     { return l.sync(l.File.Sync) }
func (l *heldLog) SyncData() error { return l.sync(l.File.SyncData) }

func (l *heldLog) sync(sync func() error) error {
	l.fs.syncs.pass()
	end := l.fs.logs.end(l.name)
	err := sync()
	if err == nil {
		l.fs.logs.synced(l.name, end)
	}
	return err
}
