package zkserver

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dkv/zksim/zktree"
)

// durable opens a server with a directory and makes it serve; done closes it.
func durable(t *testing.T, dir string, snapshotBytes int64) (s *Server, addr string, done func()) {
	t.Helper()
	s, err := Open(Options{Dir: dir, Tick: TestTick, MinSessionTimeout: 500 * time.Millisecond, MaxSessionTimeout: lasting, SnapshotBytes: snapshotBytes})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	return s, l.Addr().String(), func() {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-served; err != ErrClosed {
			t.Fatalf("Serve: %v", err)
		}
	}
}

func imageOf(s *Server) (img zktree.Image) {
	s.call(func() { img = s.tree.Export() })
	return img
}

func TestRestartRecoversEverything(t *testing.T) {
	dir := t.TempDir()
	s, addr, done := durable(t, dir, 0)
	c := newSession(t, addr, lasting)
	c.create("/a", "one", 0)
	c.create("/a/e", "", zktree.Ephemeral)
	c.create("/a/s-", "", zktree.Sequential)
	c.set("/a", "two", 0)
	c.set("/a", "no", 9)
	c.multi(opCreate("/b"), opDelete("/b"), opCreate("/nil"))
	c.multi(opCreate("/c"), opCheck("/a", 77))
	d := newSession(t, addr, lasting)
	d.create("/gone", "", zktree.Ephemeral)
	d.close()
	before := imageOf(s)
	done()

	s, addr, done = durable(t, dir, 0)
	defer done()
	if after := imageOf(s); !reflect.DeepEqual(before, after) {
		t.Errorf("\nbefore %+v\n after %+v", before, after)
	}
	again, err := hello(t, addr, lasting, c.session, c.password, c.lastZxid)
	if err != nil || again.session != c.session {
		t.Fatalf("reattaching the session after the restart: %v", err)
	}
	want(t, "the zxid after the restart", again.set("/a", "three", 1).Zxid, before.Zxid+1)
	if fresh := newSession(t, addr, lasting); fresh.session == c.session || fresh.session == d.session {
		t.Error("a session id was used twice")
	}
}

// TestEveryKindOfWriteIsReplayed covers access lists that depend on identities,
// containers, TTL nodes and the server's own transactions, from the log and from a
// snapshot.
func TestEveryKindOfWriteIsReplayed(t *testing.T) {
	for _, snapshotBytes := range []int64{0, 200} {
		dir := t.TempDir()
		s, addr, done := durable(t, dir, snapshotBytes)
		c := newSession(t, addr, lasting)
		c.call(opAuth, func(e *encoder) { e.i32(0); e.str("digest"); e.buffer([]byte("u:p")) })
		for _, op := range everyKindOfWrite() {
			c.call(int32(op.Code), func(e *encoder) { encodeWrite(e, &op) })
		}
		mine := zktree.Op{Code: zktree.OpCreate, Path: "/owned", ACL: []zktree.ACL{{Perms: zktree.PermAll, Scheme: "auth"}}}
		c.call(int32(zktree.OpMulti), func(e *encoder) {
			for _, op := range ops(mine, zktree.Op{Code: zktree.OpCreate, Path: "/owned/box", Flags: 4}, opSet("/owned")) {
				e.multiHeader(int32(op.Code), false, -1)
				encodeWrite(e, &op)
			}
			e.multiHeader(-1, true, -1)
		})
		c.send(int32(zktree.OpCreate), func(e *encoder) { e.i32(1000) }) // undecodable: only a zxid
		time.Sleep(30 * time.Millisecond)
		s.call(func() { s.onSweep(time.Now()) })
		before := imageOf(s)
		if treeHasPath(before, "/short") || !treeHasPath(before, "/end") || !treeHasPath(before, "/owned/box") {
			t.Fatalf("the state to be tested was not reached: %+v", before)
		}
		done()
		s, _, done = durable(t, dir, snapshotBytes)
		if after := imageOf(s); !reflect.DeepEqual(before, after) {
			t.Errorf("snapshots after %d bytes:\nbefore %+v\n after %+v", snapshotBytes, before, after)
		}
		done()
	}
}

func treeHasPath(img zktree.Image, path string) bool {
	return slices.ContainsFunc(img.Nodes, func(n zktree.NodeImage) bool { return n.Path == path })
}

// TestCloseAnswersWhatWasDone checks that every write done before Close is answered,
// and still there after a restart.
func TestCloseAnswersWhatWasDone(t *testing.T) {
	dir := t.TempDir()
	s, addr, done := durable(t, dir, 0)
	c := newSession(t, addr, lasting)
	c.create("/a", "", 0)
	const requests = 2000
	var xids []int32
	for range requests {
		xids = append(xids, c.send(int32(zktree.OpSetData), func(e *encoder) { op := opSet("/a"); encodeOp(e, &op) }))
	}
	waitFor(t, "some writes to be done", func() bool {
		taken := int64(0)
		s.call(func() { taken = s.zxid })
		return taken > 50
	})
	done()
	answered := int32(0)
	for _, xid := range xids {
		r, err := c.receive(xid)
		if err != nil {
			break
		}
		want(t, "the outcome of a write", r.Err, zktree.OK)
		answered++
	}
	s, _, done = durable(t, dir, 0)
	defer done()
	_, stat, _ := s.tree.Get("/a")
	want(t, "the version after the restart", stat.Version, answered)
	t.Logf("%d of %d requests were taken", answered, requests)
}

func TestSessionsHaveTheirFullTimeoutAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, addr, done := durable(t, dir, 0)
	const timeout = 3 * time.Second
	c := newSession(t, addr, timeout)
	c.create("/e", "", zktree.Ephemeral)
	done()
	time.Sleep(timeout + 100*time.Millisecond)
	_, addr, done = durable(t, dir, 0)
	defer done()
	d := newSession(t, addr, lasting)
	want(t, "the ephemeral at first", d.exists("/e", false).Err, zktree.OK)
	waitFor(t, "the expiry of the session", func() bool { return d.exists("/e", false).Err == zktree.ErrNoNode })
}

func TestSnapshotReplacesTheLog(t *testing.T) {
	dir := t.TempDir()
	s, addr, done := durable(t, dir, 10_000)
	c := newSession(t, addr, lasting)
	c.create("/a", "", 0)
	payload := strings.Repeat("x", 1000)
	for i := range 200 {
		c.set("/a", fmt.Sprint(i, payload), -1)
	}
	before := imageOf(s)
	done()
	files, err := filepath.Glob(filepath.Join(dir, "*-*"))
	if err != nil || len(files) > 4 {
		t.Fatalf("%v: old generations still exist: %v", err, files)
	}
	if s.wal.gen < 2 {
		t.Fatalf("generation %d: no snapshot ever replaced a log", s.wal.gen)
	}
	s, _, done = durable(t, dir, 10_000)
	defer done()
	if after := imageOf(s); !reflect.DeepEqual(before, after) {
		t.Error("the state differs after the restart")
	}
}

func TestDirectoryInUseIsRefused(t *testing.T) {
	dir := t.TempDir()
	_, _, done := durable(t, dir, 0)
	if _, err := Open(Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("opening a directory in use: %v", err)
	}
	done()
	_, _, done = durable(t, dir, 0)
	done()
}

// makeLog returns a log of several blocks, and the tree's zxid by the length replayed.
func makeLog(t *testing.T, blocks int) (log []byte, zxidAt map[int]int64) {
	t.Helper()
	dir := t.TempDir()
	_, addr, done := durable(t, dir, 0)
	c := newSession(t, addr, lasting)
	zxidAt = map[int]int64{logHeaderBytes: 0}
	path := filepath.Join(dir, logName(0))
	note := func() {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		zxidAt[int(info.Size())] = c.lastZxid
	}
	for i := range blocks { // one at a time: each is a block of its own
		c.create(fmt.Sprintf("/n%d", i), strings.Repeat("d", 30), 0)
		note()
	}
	log, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	done()
	return log, zxidAt
}

func TestLogCutAnywhereKeepsEveryWholeBlock(t *testing.T) {
	log, zxidAt := makeLog(t, 6)
	newest := int64(0)
	for end := logHeaderBytes; end <= len(log); end++ {
		if z, whole := zxidAt[end]; whole {
			newest = z
		}
		tree := zktree.NewTree()
		got, err := replayLog(tree, log[:end], 0)
		if err != nil {
			t.Fatalf("cut at %d: %v", end, err)
		}
		if tree.Zxid() != newest && tree.Zxid() != 1 { // 1: the session's own block
			t.Fatalf("cut at %d: zxid %d, want %d", end, tree.Zxid(), newest)
		}
		if got > end {
			t.Fatalf("cut at %d: replayed up to %d", end, got)
		}
	}
}

func TestGarbageAtTheEndIsDropped(t *testing.T) {
	dir := t.TempDir()
	s, addr, done := durable(t, dir, 0)
	newSession(t, addr, lasting).create("/a", "", 0)
	before := imageOf(s)
	done()
	path := filepath.Join(dir, logName(0))
	for _, garbage := range []string{"BLK", "BLK\xa7\x00\x00\x00\x09too short", strings.Repeat("\x00", 5000), "BLK\xa7\xff\xff\xff\xffxxxxxxxxxxx"} {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(garbage); err != nil {
			t.Fatal(err)
		}
		f.Close()
		s, _, done = durable(t, dir, 0)
		if after := imageOf(s); !reflect.DeepEqual(before, after) {
			t.Errorf("%.10q changed the state", garbage)
		}
		done()
	}
}

func TestDamageInTheMiddleIsRefused(t *testing.T) {
	log, zxidAt := makeLog(t, 6)
	lastBlock := 0
	for at := range zxidAt {
		if at < len(log) {
			lastBlock = max(lastBlock, at)
		}
	}
	for at := range lastBlock {
		bad := append([]byte(nil), log...)
		bad[at] ^= 0x10
		if _, err := replayLog(zktree.NewTree(), bad, 0); err == nil {
			t.Fatalf("a flipped bit at byte %d of %d was not noticed", at, len(log))
		}
	}
	dir := t.TempDir()
	log[logHeaderBytes+200] ^= 1
	if err := os.WriteFile(filepath.Join(dir, logName(0)), log, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "acknowledged transactions") || !strings.Contains(err.Error(), "restore") {
		t.Errorf("the error does not say what to do: %v", err)
	}
}

func TestDamagedOrMissingFilesAreRefused(t *testing.T) {
	t.Parallel()
	make := func(t *testing.T) string {
		dir := t.TempDir()
		_, addr, done := durable(t, dir, 3000)
		c := newSession(t, addr, lasting)
		for i := range 40 {
			c.create(fmt.Sprintf("/n%d", i), strings.Repeat("x", 300), 0)
		}
		done()
		return dir
	}
	newest := func(t *testing.T, dir, kind string) string {
		files, err := filepath.Glob(filepath.Join(dir, kind+"-*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("found no file %s: %v", kind, err)
		}
		return files[len(files)-1]
	}
	for _, x := range []struct {
		name   string
		damage func(t *testing.T, dir string) error
		says   string
	}{
		{"snapshot bit", func(t *testing.T, dir string) error { return flip(newest(t, dir, "snapshot"), 100) }, "is damaged"},
		{"snapshot cut", func(t *testing.T, dir string) error { return os.Truncate(newest(t, dir, "snapshot"), 100) }, "is damaged"},
		{"log header", func(t *testing.T, dir string) error { return flip(newest(t, dir, "log"), 20) }, "header is damaged"},
		{"log missing", func(t *testing.T, dir string) error { return os.Remove(newest(t, dir, "log")) }, "is missing"},
		{"snapshot missing", func(t *testing.T, dir string) error { return os.Remove(newest(t, dir, "snapshot")) }, "is missing"},
		{"log of another generation", func(t *testing.T, dir string) error {
			name := newest(t, dir, "log")
			return os.WriteFile(filepath.Join(dir, logName(99)), must1(os.ReadFile(name)), 0o600)
		}, "is missing"},
	} {
		t.Run(x.name, func(t *testing.T) {
			dir := make(t)
			if err := x.damage(t, dir); err != nil {
				t.Fatal(err)
			}
			s, err := Open(Options{Dir: dir})
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), x.says) {
				t.Errorf("got %v, want an error with %q", err, x.says)
			}
		})
	}
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func flip(name string, at int) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	b[at] ^= 1
	return os.WriteFile(name, b, 0o600)
}

// TestMain runs a server when the test below starts this binary as a child.
func TestMain(m *testing.M) {
	if dir := os.Getenv("ZKSERVER_TEST_CHILD_DIR"); dir != "" {
		serveAsChild(dir)
	}
	os.Exit(m.Run())
}

func serveAsChild(dir string) {
	s, err := Open(Options{Dir: dir, Tick: TestTick, MaxSessionTimeout: lasting, SnapshotBytes: 20_000})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends when the parent does
		os.Exit(0)
	}()
	fmt.Println("error:", s.Serve(l))
	os.Exit(1)
}

func startChild(t *testing.T, dir string) (addr string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ZKSERVER_TEST_CHILD_DIR="+dir)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // SIGKILL; it may be dead already
		_ = cmd.Wait()         // "signal: killed" is what was asked for
	})
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.HasPrefix(line, "error") {
		t.Fatalf("child: %v %s", err, line)
	}
	return strings.TrimSpace(line), kill
}

// TestKillLosesNothing kills a server under four writers again and again: every write
// that was answered must be there afterwards, and every session too.
func TestKillLosesNothing(t *testing.T) {
	dir := t.TempDir()
	acked := make(map[string]int32) // path to its last acknowledged version
	for round := range 4 {
		addr, kill := startChild(t, dir)
		type ack struct {
			path    string
			version int32
		}
		acks := make(chan ack, 10_000)
		var clients []*wireClient
		for i := range 4 {
			c := newSession(t, addr, lasting)
			path := fmt.Sprintf("/r%d-c%d", round, i)
			want(t, "create", c.create(path, "", zktree.Ephemeral).Err, zktree.OK)
			clients = append(clients, c)
			go func() {
				for {
					op := opSet(path)
					xid := c.send(int32(op.Code), func(e *encoder) { encodeOp(e, &op) })
					r, err := c.receive(xid)
					if err != nil || r.Err != zktree.OK {
						acks <- ack{}
						return
					}
					acks <- ack{path, r.body.stat().Version}
				}
			}()
		}
		for ended, answered := 0, 0; ended < 4; answered++ {
			if answered == 100 { // the other clients wait for answers
				go kill()
			}
			a := <-acks
			if a.path == "" {
				ended++
				continue
			}
			acked[a.path] = a.version
		}
		kill() // returns when the process is gone, and its lock of the directory with it
		addr, kill = startChild(t, dir)
		reader := newSession(t, addr, lasting)
		for _, c := range clients {
			back, err := hello(t, addr, lasting, c.session, c.password, c.lastZxid)
			if err != nil || back.session != c.session {
				t.Fatalf("round %d: reattaching a session: %v", round, err)
			}
		}
		for path, version := range acked {
			if s := reader.exists(path, false); s.Err != zktree.OK || s.Stat.Version < version {
				t.Fatalf("round %d: %s is %v at version %d, version %d was acknowledged", round, path, s.Err, s.Stat.Version, version)
			}
		}
		kill()
	}
	total := int32(0)
	for _, v := range acked {
		total += v
	}
	if total < 50 {
		t.Fatalf("only %d writes were acknowledged: too few to test anything", total)
	}
	t.Logf("%d acknowledged writes survived 8 kills", total)
}

// TestFailedWriteAnswersNothing checks that, when the log cannot be written, no client
// learns of what is not in it, and the server ends with the reason.
func TestFailedWriteAnswersNothing(t *testing.T) {
	s, err := Open(Options{Dir: t.TempDir()})
	must(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	c := newSession(t, l.Addr().String(), 5*time.Second)
	s.wal.file.Close()
	xid := c.send(int32(zktree.OpCreate), func(e *encoder) { op := opCreate("/a"); encodeOp(e, &op) })
	if r, err := c.receive(xid); err == nil {
		t.Errorf("a write that is not in the log was answered: %+v", r)
	}
	for _, err := range []error{<-served, s.Close()} {
		if err == nil || !strings.Contains(err.Error(), "writing") {
			t.Errorf("the server ended with %v", err)
		}
	}
}

// TestManyWritersShareSyncs checks that one sync serves all writers that wait.
func TestManyWritersShareSyncs(t *testing.T) {
	s, addr, done := durable(t, t.TempDir(), 0)
	defer done()
	const clients, writes = 16, 30
	began := s.wal.syncs.Load()
	ended := make(chan struct{})
	for i := range clients {
		c := newSession(t, addr, lasting)
		c.create(fmt.Sprintf("/c%d", i), "", 0)
		go func() {
			defer func() { ended <- struct{}{} }()
			for range writes {
				op := opSet(fmt.Sprintf("/c%d", i))
				xid := c.send(int32(op.Code), func(e *encoder) { encodeOp(e, &op) })
				if r, err := c.receive(xid); err != nil || r.Err != zktree.OK {
					t.Errorf("client %d: %v %v", i, err, r.Err)
					return
				}
			}
		}()
	}
	for range clients {
		<-ended
	}
	syncs := s.wal.syncs.Load() - began
	t.Logf("%d writes, %d syncs", clients*(writes+2), syncs)
	if syncs >= clients*writes {
		t.Errorf("%d syncs for %d writes: none was shared", syncs, clients*writes)
	}
}

// TestFirstLogsAreRead opens a directory that a server wrote before access lists,
// containers and TTL nodes existed.
func TestFirstLogsAreRead(t *testing.T) {
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS("testdata/first")))
	s, addr, done := durable(t, dir, 0)
	defer done()
	want(t, "sessions", len(s.Sessions()), 1)
	c := newSession(t, addr, lasting)
	want(t, "the zxid after 22 transactions and a new session", c.exists("/", false).Zxid, 23)
	want(t, "data", string(c.read(opGetData, "/a", false).Data), "11"+strings.Repeat("x", 40))
	names := c.read(opChildren2, "/a", false).Names
	want(t, "children", names, []string{"e", "s-0000000001"})
	want(t, "ephemeral", c.exists("/a/e", false).Stat.EphemeralOwner, s.Sessions()[0])
	want(t, "multi", c.exists("/b", false).Stat.Version, 1)
	want(t, "failed multi", c.exists("/c", false).Err, zktree.ErrNoNode)
}
