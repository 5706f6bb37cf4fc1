package pebblestore_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"dkv/node/door"
	"dkv/node/envtest"
	"dkv/node/pebblestore"
)

// patience is how long a test waits for something that must happen.
const patience = 30 * time.Second

// loop runs events on the goroutine of the test.
type loop struct {
	mu     sync.Mutex
	queue  []func()
	posted chan struct{}
}

func newLoop() *loop { return &loop{posted: make(chan struct{}, 1)} }

func (l *loop) post(fn func()) {
	l.mu.Lock()
	l.queue = append(l.queue, fn)
	l.mu.Unlock()
	select {
	case l.posted <- struct{}{}:
	default:
	}
}

func (l *loop) next() func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return nil
	}
	fn := l.queue[0]
	l.queue = l.queue[1:]
	return fn
}

func (l *loop) Do(fn func()) { fn() }

func (l *loop) RunUntil(cond func() bool) bool { return l.run(cond, patience) }

func (l *loop) Settle() { l.run(func() bool { return false }, 20*time.Millisecond) }

func (l *loop) run(cond func() bool, limit time.Duration) bool {
	late := time.NewTimer(limit)
	defer late.Stop()
	for !cond() {
		if fn := l.next(); fn != nil {
			fn()
			continue
		}
		select {
		case <-l.posted:
		case <-late.C:
			return false
		}
	}
	return true
}

// faults makes a file system fail.
type faults struct {
	mu   sync.Mutex
	fail func(errorfs.Op) error
}

func (f *faults) set(fail func(errorfs.Op) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *faults) String() string { return "faults" }

func (f *faults) MaybeError(op errorfs.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == nil {
		return nil
	}
	return f.fail(op)
}

func isSync(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		return true
	}
	return false
}

// disk is a harness whose file system is in memory. A crash keeps what was synced
// and a random part of the rest.
type disk struct {
	*loop
	t           *testing.T
	fs          *vfs.MemFS
	faults      *faults
	random      *rand.Rand
	store       *pebblestore.Store
	incarnation int
}

func newDisk(t *testing.T) *disk {
	return &disk{loop: newLoop(), t: t, fs: vfs.NewCrashableMem(), random: rand.New(rand.NewPCG(1, 1))}
}

func (d *disk) Open() door.Store {
	d.t.Helper()
	d.incarnation++
	incarnation := d.incarnation
	d.faults = new(faults)
	store, err := pebblestore.Open(pebblestore.Options{
		Dir: "data",
		FS:  errorfs.Wrap(d.fs, d.faults),
		Post: func(fn func()) {
			d.post(func() {
				if incarnation == d.incarnation {
					fn()
				}
			})
		},
		MemTableBytes: 1 << 20,
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.store = store
	d.t.Cleanup(func() { _ = store.Close() })
	return store
}

func (d *disk) Crash() {
	d.incarnation++ // so that no done runs any more
	survives := vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 30, 70, 100}[d.random.IntN(4)], RNG: d.random}
	d.fs = d.fs.CrashClone(survives)
	_ = d.store.Close()
}

func (d *disk) FailSyncs() {
	d.faults.set(func(op errorfs.Op) error {
		if isSync(op) {
			return syscall.EIO
		}
		return nil
	})
}

func TestConformanceInMemory(t *testing.T) {
	envtest.TestStore(t, func(t *testing.T) envtest.StoreHarness { return newDisk(t) })
}

// directory is a harness on the file system of the machine. Its crash loses only
// what was in the memory of the process.
type directory struct {
	*loop
	t           *testing.T
	dir         string
	store       *pebblestore.Store
	incarnation int
}

func (d *directory) Open() door.Store {
	d.t.Helper()
	d.incarnation++
	incarnation := d.incarnation
	store, err := pebblestore.Open(pebblestore.Options{Dir: d.dir, Post: func(fn func()) {
		d.post(func() {
			if incarnation == d.incarnation {
				fn()
			}
		})
	}})
	if err != nil {
		d.t.Fatal(err)
	}
	d.store = store
	d.t.Cleanup(func() { _ = store.Close() })
	return store
}

func (d *directory) Crash() {
	d.incarnation++
	if err := d.store.Close(); err != nil {
		d.t.Fatal(err)
	}
}

func TestConformanceOnDisk(t *testing.T) {
	envtest.TestStore(t, func(t *testing.T) envtest.StoreHarness {
		return &directory{loop: newLoop(), t: t, dir: t.TempDir()}
	})
}

func batchOf(key, value string) *door.Batch {
	var b door.Batch
	b.Put([]byte(key), []byte(value))
	return &b
}

// outcomes collects the results of commits, in order.
type outcomes struct {
	loop  *loop
	store *pebblestore.Store
	errs  []error
	made  int
}

func (o *outcomes) commit(key, value string) {
	o.made++
	o.store.Commit(batchOf(key, value), func(err error) { o.errs = append(o.errs, err) })
}

func (o *outcomes) await(t *testing.T) {
	t.Helper()
	if !o.loop.RunUntil(func() bool { return len(o.errs) == o.made }) {
		t.Fatalf("%d of %d dones ran", len(o.errs), o.made)
	}
}

func within(t *testing.T, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s did not return", what)
	}
}

// TestBrokenDisk makes the operations of one kind on files of one kind fail. The
// first commit that is affected and all later ones fail, the owner is notified once,
// and nothing hangs: the store's part of rule "stop on damage".
func TestBrokenDisk(t *testing.T) {
	logFile := func(op errorfs.Op) bool { return strings.HasSuffix(op.Path, ".log") }
	for _, test := range []struct {
		name  string
		fails func(errorfs.Op) bool
		err   error
		grow  int // bytes to commit before the error occurs; 0 for the first commit
	}{
		{"sync of the log", func(op errorfs.Op) bool { return logFile(op) && isSync(op) }, syscall.EIO, 0},
		{"write of the log", func(op errorfs.Op) bool { return logFile(op) && op.Kind == errorfs.OpFileWrite }, syscall.EIO, 0},
		{"write of the log on a full disk", func(op errorfs.Op) bool { return logFile(op) && op.Kind == errorfs.OpFileWrite }, syscall.ENOSPC, 0},
		{"sync of the log on a full disk", func(op errorfs.Op) bool { return logFile(op) && isSync(op) }, syscall.ENOSPC, 0},
		{"next log on a full disk", func(op errorfs.Op) bool {
			return logFile(op) && (op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpReuseForWrite)
		}, syscall.ENOSPC, 4 << 20},
		{"table on a full disk", func(op errorfs.Op) bool {
			return strings.HasSuffix(op.Path, ".sst") && op.Kind == errorfs.OpFileWrite
		}, syscall.ENOSPC, 4 << 20},
		{"sync of the manifest", func(op errorfs.Op) bool { return strings.Contains(op.Path, "MANIFEST") && isSync(op) }, syscall.EIO, 4 << 20},
	} {
		t.Run(test.name, func(t *testing.T) { breakDisk(t, test.fails, test.err, test.grow) })
	}
}

func breakDisk(t *testing.T, fails func(errorfs.Op) bool, cause error, grow int) {
	l, f := newLoop(), new(faults)
	var told atomic.Int64
	mem := vfs.NewCrashableMem()
	store, err := pebblestore.Open(pebblestore.Options{
		Dir: "data", FS: errorfs.Wrap(mem, f), Post: l.post, MemTableBytes: 1 << 20,
		Failed: func(error) { told.Add(1) },
	})
	if err != nil {
		t.Fatal(err)
	}
	o := &outcomes{loop: l, store: store}
	o.commit("before", "1")
	o.await(t)
	view, err := store.View()
	if err != nil || o.errs[0] != nil {
		t.Fatal(err, o.errs[0])
	}
	f.set(func(op errorfs.Op) error {
		if fails(op) {
			return cause
		}
		return nil
	})
	within(t, "committing until the error shows", func() { commitUntilError(t, o, grow) })
	first := len(o.errs)
	o.commit("after", "1")
	o.await(t)
	within(t, "use after the error", func() {
		store.Commit(batchOf("after", "2"), nil)
		if _, _, err := store.Get([]byte("before")); err == nil {
			t.Error("Get succeeded after the error")
		}
		if _, err := store.View(); err == nil {
			t.Error("View succeeded after the error")
		}
		if _, _, err := view.Get([]byte("before")); err == nil {
			t.Error("reading from a View succeeded after the error")
		}
		view.Close()
		if err := store.Close(); err == nil {
			t.Error("Close reported success after the error")
		}
	})
	if o.errs[first] == nil {
		t.Error("a commit after the error succeeded")
	}
	if told.Load() != 1 {
		t.Errorf("the owner was notified %d times, want once", told.Load())
	}
	surviving(t, mem.CrashClone(vfs.CrashCloneCfg{}), o.errs)
}

// commitUntilError makes commits with a sync until one fails.
func commitUntilError(t *testing.T, o *outcomes, grow int) {
	value := strings.Repeat("x", 64<<10)
	for written := 0; ; written += len(value) {
		o.commit("grow", value)
		if !o.loop.RunUntil(func() bool { return len(o.errs) == o.made }) {
			t.Error("a done did not run")
			return
		}
		if o.errs[o.made-1] != nil {
			return
		}
		if written > grow+(64<<20) {
			t.Errorf("no error after %d bytes", written)
			return
		}
	}
}

// surviving opens what a crash left and checks that it holds what was acknowledged.
func surviving(t *testing.T, mem *vfs.MemFS, errs []error) {
	t.Helper()
	l := newLoop()
	store, err := pebblestore.Open(pebblestore.Options{Dir: "data", FS: mem, Post: l.post})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if v, ok, err := store.Get([]byte("before")); err != nil || !ok || string(v) != "1" {
		t.Errorf("a key acknowledged before the error: %q, %v, %v", v, ok, err)
	}
	if _, ok, err := store.Get([]byte("grow")); err != nil || !ok && errs[1] == nil {
		t.Errorf("the last key acknowledged before the error: %v, %v", ok, err)
	}
	if v, ok, _ := store.Get([]byte("after")); ok {
		t.Errorf("a key committed after the error survived: %q", v)
	}
}

func TestSecondOpenerIsRefused(t *testing.T) {
	for _, test := range []struct {
		name string
		fs   vfs.FS
		dir  string
	}{{"in memory", vfs.NewMem(), "data"}, {"on disk", vfs.Default, t.TempDir()}} {
		t.Run(test.name, func(t *testing.T) {
			options := pebblestore.Options{Dir: test.dir, FS: test.fs, Post: newLoop().post}
			first, err := pebblestore.Open(options)
			if err != nil {
				t.Fatal(err)
			}
			refusedAsInUse(t, options)
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			second, err := pebblestore.Open(options)
			if err != nil {
				t.Fatal(err)
			}
			if err := second.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func refusedAsInUse(t *testing.T, options pebblestore.Options) {
	t.Helper()
	if _, err := pebblestore.Open(options); err == nil || !strings.Contains(err.Error(), "in use by a running node: stop that node") {
		t.Fatalf("opening a directory that is in use: %v", err)
	}
}

// commitAll commits numbered keys without waiting in between, and then waits until
// all are durable.
func commitAll(t *testing.T, l *loop, store *pebblestore.Store, from, to int) {
	t.Helper()
	o := &outcomes{loop: l, store: store}
	for i := from; i < to; i++ {
		o.commit(fmt.Sprintf("key%04d", i), strings.Repeat("v", 100))
	}
	o.await(t)
	if err := errors.Join(o.errs...); err != nil {
		t.Fatal(err)
	}
}

// rot flips a byte in the middle of the newest file with the given ending.
func rot(t *testing.T, mem *vfs.MemFS, ending string) {
	t.Helper()
	names, err := mem.List("data")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	var found []byte
	var path string
	for _, name := range names {
		if !strings.HasSuffix(name, ending) {
			continue
		}
		file, err := mem.Open(mem.PathJoin("data", name))
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(content) > 0 {
			found, path = content, mem.PathJoin("data", name)
		}
		_ = file.Close()
	}
	if found == nil {
		t.Fatalf("no %s file that is not empty", ending)
	}
	found[len(found)/2] ^= 0x40
	file, err := mem.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Write(found); err != nil {
		t.Fatal(err)
	}
	_ = file.Close()
}

// TestDamagedLogIsNoticed flips a byte in the middle of the first log that a store
// ever wrote. An Open that took the damage for a torn end would lose acknowledged
// commits, against rule "stop on damage".
func TestDamagedLogIsNoticed(t *testing.T) {
	mem := vfs.NewCrashableMem()
	l := newLoop()
	store, err := pebblestore.Open(pebblestore.Options{Dir: "data", FS: mem, Post: l.post})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for i := range 20 {
		commitAll(t, l, store, 50*i, 50*i+50)
	}
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	rot(t, crashed, ".log")
	if again, err := pebblestore.Open(pebblestore.Options{Dir: "data", FS: crashed, Post: l.post}); err == nil {
		_ = again.Close()
		t.Fatal("a damaged log was opened without an error")
	}
}

// TestDamagedTableIsNoticed flips a byte in a table. Opening may succeed, but the
// read that reaches the damage fails, and so does everything after it.
func TestDamagedTableIsNoticed(t *testing.T) {
	mem := vfs.NewCrashableMem()
	l := newLoop()
	options := pebblestore.Options{Dir: "data", FS: mem, Post: l.post}
	store, err := pebblestore.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	commitAll(t, l, store, 0, 2000)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if store, err = pebblestore.Open(options); err != nil { // turns the log into a table
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	rot(t, mem, ".sst")
	told := make(chan error, 1)
	options.Failed = func(err error) { told <- err }
	if store, err = pebblestore.Open(options); err != nil {
		return
	}
	defer store.Close()
	seen := 0
	err = store.Scan([]byte("key"), []byte("kez"), func(_, _ []byte) bool { seen++; return true })
	if err == nil {
		t.Fatalf("a scan over a damaged table saw %d keys and no error", seen)
	}
	select {
	case <-told:
	case <-time.After(patience):
		t.Fatal("the owner was not notified")
	}
	if _, _, err := store.Get([]byte("key0000")); err == nil {
		t.Fatal("Get succeeded after damage was found")
	}
}

// slowSyncs makes each sync of the log slow.
type slowSyncs struct{}

func (slowSyncs) String() string { return "slow syncs" }

func (slowSyncs) MaybeError(op errorfs.Op) error {
	if isSync(op) && strings.HasSuffix(op.Path, ".log") {
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}

func TestCommitsShareSyncs(t *testing.T) {
	l := newLoop()
	store, err := pebblestore.Open(pebblestore.Options{Dir: "data", FS: errorfs.Wrap(vfs.NewMem(), slowSyncs{}), Post: l.post})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	before := store.Counters()
	const commits = 500
	commitAll(t, l, store, 0, commits)
	after := store.Counters()
	if n := after.Synced - before.Synced; n != commits || after.Commits-before.Commits != commits {
		t.Errorf("%d commits, %d with a done; want %d", after.Commits-before.Commits, n, commits)
	}
	if n := after.WALSyncs - before.WALSyncs; n == 0 || n > commits/4 {
		t.Errorf("%d syncs for %d concurrent commits", n, commits)
	}
	if n := after.WALBytes - before.WALBytes; n < after.Bytes-before.Bytes || n < commits*100 {
		t.Errorf("%d bytes went to the log for %d bytes of commits", n, after.Bytes-before.Bytes)
	}
}

// TestBarriersSyncOnlyWhatIsUnsynced counts the syncs of empty batches.
func TestBarriersSyncOnlyWhatIsUnsynced(t *testing.T) {
	l := newLoop()
	store, err := pebblestore.Open(pebblestore.Options{Dir: "data", FS: vfs.NewMem(), Post: l.post})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	barrier := func() uint64 {
		before := store.Counters().WALSyncs
		ended := false
		store.Commit(new(door.Batch), func(err error) { ended = err == nil })
		if !l.RunUntil(func() bool { return ended }) {
			t.Fatal("a barrier did not complete")
		}
		return store.Counters().WALSyncs - before
	}
	if n := barrier(); n != 1 {
		t.Errorf("the first barrier made %d syncs; writes of an earlier process may need one", n)
	}
	if n := barrier(); n != 0 {
		t.Errorf("a barrier after a barrier made %d syncs", n)
	}
	commitAll(t, l, store, 0, 1)
	if n := barrier(); n != 0 {
		t.Errorf("a barrier after a synced commit made %d syncs", n)
	}
	store.Commit(batchOf("k", "v"), nil)
	if n := barrier(); n != 1 {
		t.Errorf("a barrier after an unsynced commit made %d syncs", n)
	}
}

func TestCloseEndsCommits(t *testing.T) {
	l := newLoop()
	store, err := pebblestore.Open(pebblestore.Options{Dir: "data", FS: vfs.NewMem(), Post: l.post})
	if err != nil {
		t.Fatal(err)
	}
	o := &outcomes{loop: l, store: store}
	for range 20 {
		o.commit("k", "v")
	}
	view, err := store.View()
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	o.commit("late", "v")
	o.await(t)
	for i, err := range o.errs[:20] {
		if err != nil {
			t.Errorf("commit %d before Close: %v", i, err)
		}
	}
	if !errors.Is(o.errs[20], pebblestore.ErrClosed) {
		t.Errorf("a commit after Close: %v", o.errs[20])
	}
	if _, _, err := view.Get([]byte("k")); !errors.Is(err, pebblestore.ErrClosed) {
		t.Errorf("a View after Close: %v", err)
	}
	view.Close()
	if err := store.Close(); !errors.Is(err, pebblestore.ErrClosed) {
		t.Errorf("closing again: %v", err)
	}
}

const childDirectory = "PEBBLESTORE_TEST_DIRECTORY"

// TestKilledProcess kills a process that makes commits. Every commit that it saw
// become durable must be there, as rule "durable before acknowledged" requires of
// the disk, and until its death no other process can open its directory.
func TestKilledProcess(t *testing.T) {
	if dir := os.Getenv(childDirectory); dir != "" {
		commitForever(dir)
	}
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run=^TestKilledProcess$")
	child.Env = append(os.Environ(), childDirectory+"="+dir)
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	durable := 0
	for durable < 100 && lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "durable %d", &durable); err != nil {
			t.Errorf("the other process printed %q", lines.Text())
			break
		}
	}
	options := pebblestore.Options{Dir: dir, Post: newLoop().post}
	refusedAsInUse(t, options)
	_ = child.Process.Kill()
	for lines.Scan() {
		_, _ = fmt.Sscanf(lines.Text(), "durable %d", &durable)
	}
	_ = child.Wait()
	if durable < 100 {
		t.Fatalf("the other process exited after %d commits", durable)
	}
	store, err := pebblestore.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for i := 1; i <= durable; i++ {
		if _, ok, err := store.Get(fmt.Appendf(nil, "key%06d", i)); !ok || err != nil {
			t.Fatalf("commit %d of %d durable ones: %v, %v", i, durable, ok, err)
		}
	}
}

// commitForever is the process to kill.
func commitForever(dir string) {
	l := newLoop()
	store, err := pebblestore.Open(pebblestore.Options{Dir: dir, Post: l.post})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for i := 1; ; i++ {
		done := false
		store.Commit(batchOf(fmt.Sprintf("key%06d", i), "v"), func(err error) {
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			done = true
		})
		if !l.RunUntil(func() bool { return done }) {
			os.Exit(1)
		}
		fmt.Println("durable", i)
	}
}

// BenchmarkCommit keeps 64 commits of 128 bytes, each with a sync, in progress.
func BenchmarkCommit(b *testing.B) {
	for _, fs := range []struct {
		name string
		fs   vfs.FS
		dir  string
	}{{"memory", vfs.NewMem(), "data"}, {"disk", vfs.Default, b.TempDir()}} {
		b.Run(fs.name, func(b *testing.B) { benchmarkCommit(b, fs.fs, fs.dir) })
	}
}

func benchmarkCommit(b *testing.B, fs vfs.FS, dir string) {
	const outstanding = 64
	l := newLoop()
	store, err := pebblestore.Open(pebblestore.Options{Dir: dir, FS: fs, Post: l.post})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	value := strings.Repeat("v", 128)
	before := store.Counters()
	made, ended := 0, 0
	b.ReportAllocs()
	for b.Loop() {
		made++
		store.Commit(batchOf(fmt.Sprintf("key%06d", made%10000), value), func(err error) {
			if err != nil {
				b.Error(err)
			}
			ended++
		})
		if !l.RunUntil(func() bool { return made-ended < outstanding }) {
			b.Fatal("a done did not run")
		}
	}
	if !l.RunUntil(func() bool { return made == ended }) {
		b.Fatal("a done did not run")
	}
	syncs := store.Counters().WALSyncs - before.WALSyncs
	b.ReportMetric(float64(made)/float64(max(syncs, 1)), "commits/sync")
}
