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

// CrashDisk is a disk in memory with one store on it, for simulations: its
// power can be cut between any two calls, and then a bit of its files can be
// flipped. The store is the production one; only the file system below Pebble
// is another.
//
// Its methods belong to one goroutine, which waits in them for Pebble's own. So
// what they return does not depend on how fast those are, with one exception:
// how much of what nobody waits for is in the files when the power goes.
type CrashDisk struct {
	holds bool
	files *vfs.MemFS
	store *pebblestore.Store // nil while none is open

	posted *mailbox // of the open store
	syncs  *valve
	logs   *logExtents
	held   int // bytes committed since the store's log was begun
	waits  int // syncs asked of Pebble since the valve was last open

	// flippable are the bytes of each log, as the last loss of power left it,
	// in which Pebble can tell damage from a torn end.
	flippable map[string]int64
}

const (
	crashDir           = "data"
	crashCacheBytes    = 1 << 20
	crashMemTableBytes = 256 << 10
	// maxHeldBytes and maxHeldSyncs bound what is committed while no sync of
	// the log may end. Above about twice as much, or 4,000 syncs, Pebble would
	// wait for such a sync on the goroutine that is to allow it.
	maxHeldBytes = 96 << 10
	maxHeldSyncs = 1000
	// opBytes is above what Pebble adds to an operation in memory.
	opBytes = 160
	// logBlockBytes is the size of the blocks of Pebble's log. Whether a log is
	// damaged or torn is judged by the blocks after the one that can't be read.
	logBlockBytes = 32 << 10
)

// blank is the disk of a store that was formatted and closed. Copies of it save
// each disk that.
var blank = sync.OnceValues(func() (*vfs.MemFS, error) {
	files := vfs.NewCrashableMem()
	store, err := pebblestore.Open(pebblestore.Options{Dir: crashDir, FS: files, Post: func(fn func()) { fn() }})
	if err != nil {
		return nil, err
	}
	return files, store.Close()
})

// NewCrashDisk makes an empty disk. If it holds syncs, no sync of the log ends
// outside Sync, so that there is something to lose whenever the power goes;
// except for now and then one, because Pebble needs it.
func NewCrashDisk(holdsSyncs bool) *CrashDisk { return &CrashDisk{holds: holdsSyncs} }

// Store is the open store, which is opened if need be. Commits go through the
// disk.
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

// Commit applies a batch to the open store, with a sync of the log or without.
// Nothing is durable for certain before Sync.
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
		done = func(error) {} // Sync hears of an error too
	}
	d.held += size
	if !d.holds || d.held <= maxHeldBytes {
		before := store.Counters().Synced
		store.Commit(b, done)
		if store.Counters().Synced > before { // else all was durable, and no sync is on its way
			d.waits++
		}
		return store.Err()
	}
	d.syncs.set(true)
	store.Commit(b, done)
	err = store.Rotate() // which syncs the former log
	d.syncs.set(false)
	d.held, d.waits = 0, 0
	return err
}

// Sync waits until all that was committed is durable, or returns the error that
// ended the store.
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

// PowerLoss ends the open store and leaves of its files what a loss of power
// does: all that was synced, and of the rest each block with so many percent of
// chance, 0 to 100. It reports whether there was a rest in the log, all of
// which may be lost.
func (d *CrashDisk) PowerLoss(percent int, seed uint64) (unsynced bool) {
	if d.store == nil {
		return false
	}
	if d.holds && d.waits > 0 {
		d.syncs.await() // so that something stands in the log
	}
	left := d.files.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(seed, 1)),
	})
	unsynced, d.flippable = d.logs.measure()
	_ = d.Close() // into files that nobody reads again
	d.files = left
	return unsynced
}

// Close ends the open store gracefully. All that was committed stays.
func (d *CrashDisk) Close() error {
	if d.store == nil {
		return nil
	}
	store := d.store
	d.store = nil
	d.syncs.set(true)
	return store.Close()
}

// Damage says which files rot.
type Damage uint8

// What can be damaged.
const (
	// DamagedTable is a bit of any table, of one that is out of use as well.
	DamagedTable Damage = iota + 1
	// DamagedLog is a bit of the newest log, whose contents are in no table
	// yet, where Pebble can tell damage from a torn end: what was synced behind
	// it has to say so, a block of the log later. Nor is it the one bit of a
	// chunk's header that makes it the end of a log.
	DamagedLog
)

// Flip flips one bit of the files, drawn by the seed, while no store is open,
// after a PowerLoss. It is false if there is none to flip.
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

// looksLikeTheEnd says whether, with this bit of the first byte flipped, a chunk of
// a log names the next log instead of its own. Pebble takes that for the mark
// that it sets at the end of a log, and looks no further, checksum or not
// (record.Reader.nextChunk, version 2.1.7).
func looksLikeTheEnd(from []byte, bit int, name string) bool {
	number, err := strconv.ParseUint(strings.TrimSuffix(name, ".log"), 10, 64)
	return err == nil && bit == 0 && number%2 == 0 && len(from) >= 4 && binary.LittleEndian.Uint32(from) == uint32(number)
}

// keep makes a change of a file's bytes outlast the next loss of power.
func (d *CrashDisk) keep(path string) bool {
	file, err := d.files.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	return file.Sync() == nil
}

// mailbox takes what a store posts, until its owner runs it.
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

// run runs what was posted, and waits for more, until ended says so.
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

// valve holds up syncs while it is closed.
type valve struct {
	mu        sync.Mutex
	changed   sync.Cond
	open      bool
	waiting   int  // syncs that are held up
	abandoned bool // the store has failed: no more syncs come
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

// await waits until a sync is held up.
func (v *valve) await() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for v.waiting == 0 && !v.abandoned {
		v.changed.Wait()
	}
}

// logExtents knows of each log how far it was written, and how far at its last
// syncs.
type logExtents struct {
	mu     sync.Mutex
	extent map[string]*logExtent
}

type logExtent struct {
	written int64
	synced  [3]int64 // last first
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

// measure says whether a log has bytes that are not synced, and of each log in
// how many bytes from its beginning damage can be told from a torn end. What
// was written between the last two syncs was put together after the sync before
// those, and says how far that had come. It is looked for in blocks after the
// damaged one.
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

// heldFS is a file system whose logs are watched, and synced only through the
// valve. Tables and the manifest are synced whenever Pebble likes.
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

// Unwrap is how Pebble finds the file system below.
func (f heldFS) Unwrap() vfs.FS { return f.FS }

// heldLog is a file of the log.
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
