package zktree

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

// treeTest applies transactions to a tree, numbering them itself.
type treeTest struct {
	t    testing.TB
	tree *Tree
	zxid int64
}

const (
	alice int64 = 0xa11ce
	bob   int64 = 0xb0b
)

func newTreeTest(t testing.TB) *treeTest {
	b := &treeTest{t: t, tree: NewTree()}
	for _, id := range []int64{alice, bob} {
		txn := Txn{Session: id, Timeout: time.Second}
		txn.Code = OpCreateSession
		if r := b.apply(txn); r.Err != OK {
			t.Fatalf("session %x: %v", id, r.Err)
		}
	}
	return b
}

func (b *treeTest) apply(txn Txn) Result {
	b.zxid++
	txn.Zxid, txn.Time = b.zxid, 1000*b.zxid
	r := b.tree.Apply(&txn)
	if r.Zxid != b.zxid || b.tree.Zxid() != b.zxid {
		b.t.Fatalf("zxid %d, want %d: failed writes take one too", b.tree.Zxid(), b.zxid)
	}
	r.Changes = slices.Clone(r.Changes)
	return r
}

func (b *treeTest) do(op Op) Result { return b.apply(Txn{Session: alice, Op: op}) }

func (b *treeTest) must(ops ...Op) {
	b.t.Helper()
	for _, op := range ops {
		if r := b.do(op); r.Err != OK {
			b.t.Fatalf("%+v: %v", op, r.Err)
		}
	}
}

func (b *treeTest) multi(ops ...Op) Result {
	return b.apply(Txn{Session: alice, Op: Op{Code: OpMulti}, Ops: ops})
}

func (b *treeTest) end(id int64) Result {
	return b.apply(Txn{Session: id, Op: Op{Code: OpCloseSession}})
}

func (b *treeTest) stat(path string) Stat {
	b.t.Helper()
	s, code := b.tree.Exists(path)
	if code != OK {
		b.t.Fatalf("%s: %v", path, code)
	}
	return s
}

func create(path string) Op { return Op{Code: OpCreate, Path: path} }
func ephemeral(path string) Op {
	return Op{Code: OpCreate, Path: path, Flags: Ephemeral}
}
func sequential(path string) Op {
	return Op{Code: OpCreate, Path: path, Flags: Sequential}
}
func remove(path string) Op { return Op{Code: OpDelete, Path: path, Version: -1} }
func containerAt(path string) Op {
	return Op{Code: OpContainer, Path: path, Flags: Container}
}
func withTTL(path string, ttl time.Duration) Op {
	return Op{Code: OpCreateTTL, Path: path, Flags: WithTTL, TTL: ttl}
}
func setACL(path string, acl ...ACL) Op {
	return Op{Code: OpSetACL, Path: path, ACL: acl, Version: -1}
}
func everyone(perms int32) []ACL { return []ACL{{perms, "world", "anyone"}} }
func set(path, data string) Op {
	return Op{Code: OpSetData, Path: path, Data: []byte(data), Version: -1}
}

func TestCheckOrders(t *testing.T) {
	cases := []struct {
		name string
		op   Op
		want Code
	}{
		{"empty ACL before missing parent", Op{Code: OpCreate, Path: "/no/x", ACL: []ACL{}}, ErrInvalidACL},
		{"missing parent before bad path", create("/no/x\x01"), ErrNoNode},
		{"bad path before existence", create("/p/"), ErrBadArguments},
		{"existence before ephemeral parent", create("/e"), ErrNodeExists},
		{"the root exists", create("/"), ErrNodeExists},
		{"ephemeral parent", create("/e/x"), ErrNoChildrenForEphemerals},
		{"no slash", create("x"), ErrBadArguments},
		{"empty", create(""), ErrBadArguments},
		{"NUL", create("/a\x00b"), ErrBadArguments},
		{"unknown kind", Op{Code: OpCreate, Path: "/k", Flags: 7}, ErrBadArguments},
		{"negative kind", Op{Code: OpCreate, Path: "/k", Flags: -1}, ErrBadArguments},
		{"a TTL's flags without a TTL", Op{Code: OpCreate, Path: "/k", Flags: WithTTL}, ErrBadArguments},
		{"empty ACL before unknown parent's permission", Op{Code: OpCreate, Path: "/shut/x", ACL: []ACL{}}, ErrInvalidACL},
		{"bad flags before empty ACL", Op{Code: OpCreate, Path: "/k", Flags: 7, ACL: []ACL{}}, ErrBadArguments},
		{"no slash before empty ACL", Op{Code: OpCreate, Path: "k", ACL: []ACL{}}, ErrBadArguments},
		{"missing parent, though its name is all that is wrong", create("/shut/x/"), ErrNoNode},
		{"CREATE before bad name", create("/shut/\x01"), ErrNoAuth},
		{"CREATE before existence", create("/shut/c"), ErrNoAuth},
		{"CREATE of a container", containerAt("/shut/c"), ErrNoAuth},
		{"a TTL of 0", withTTL("/k", 0), ErrBadArguments},
		{"a TTL below 0", withTTL("/k", -time.Second), ErrBadArguments},
		{"a TTL too long", withTTL("/k", MaxTTL+time.Millisecond), ErrBadArguments},
		{"a TTL of less than a millisecond", withTTL("/k", time.Microsecond), ErrBadArguments},
		{"a TTL without its flags", Op{Code: OpCreateTTL, Path: "/k", TTL: time.Second}, ErrBadArguments},
		{"a container with a TTL's flags", Op{Code: OpContainer, Path: "/k", Flags: WithTTL, TTL: time.Second}, ErrBadArguments},
		{"setACL: bad path before empty list", Op{Code: OpSetACL, Path: "/no/", ACL: []ACL{}}, ErrBadArguments},
		{"setACL: empty list before missing node", Op{Code: OpSetACL, Path: "/no", ACL: []ACL{}}, ErrInvalidACL},
		{"setACL of nothing", setACL("/no", OpenACL...), ErrNoNode},
		{"setACL: ADMIN before version", Op{Code: OpSetACL, Path: "/shut", ACL: OpenACL, Version: 9}, ErrNoAuth},
		{"setACL: version of the list", Op{Code: OpSetACL, Path: "/p", ACL: OpenACL, Version: 1}, ErrBadVersion},
		{"DELETE before missing node", remove("/shut/no"), ErrNoAuth},
		{"DELETE before version", Op{Code: OpDelete, Path: "/shut/c", Version: 9}, ErrNoAuth},
		{"DELETE is asked of the parent", remove("/shut"), ErrNotEmpty},
		{"WRITE before version", Op{Code: OpSetData, Path: "/shut", Version: 9}, ErrNoAuth},
		{"READ before version", Op{Code: OpCheck, Path: "/shut", Version: 9}, ErrNoAuth},
		{"set the built-in configuration", set("/zookeeper/config", ""), ErrNoAuth},
		{"a client deletes a container", Op{Code: OpDelContainer, Path: "/p"}, ErrUnimplemented},
		{"delete the root", remove("/"), ErrBadArguments},
		{"delete a built-in node", remove("/zookeeper"), ErrBadArguments},
		{"delete below nothing", remove("/no/x"), ErrNoNode},
		{"delete nothing", remove("/no"), ErrNoNode},
		{"version before children", Op{Code: OpDelete, Path: "/p", Version: 9}, ErrBadVersion},
		{"children", remove("/p"), ErrNotEmpty},
		{"set: bad path before missing node", set("/no/", ""), ErrBadArguments},
		{"set nothing", set("/no", ""), ErrNoNode},
		{"set version", Op{Code: OpSetData, Path: "/p", Version: 1}, ErrBadVersion},
		{"set version -2", Op{Code: OpSetData, Path: "/p", Version: -2}, ErrBadVersion},
		{"check nothing", Op{Code: OpCheck, Path: "/no", Version: -1}, ErrNoNode},
		{"check version", Op{Code: OpCheck, Path: "/p", Version: 1}, ErrBadVersion},
		{"check any", Op{Code: OpCheck, Path: "/p", Version: -1}, OK},
		{"check right", Op{Code: OpCheck, Path: "/p", Version: 0}, OK},
		{"unknown operation", Op{Code: 99, Path: "/p"}, ErrUnimplemented},
	}
	b := newTreeTest(t)
	b.must(create("/p"), create("/p/c"), ephemeral("/e"), create("/shut"), create("/shut/c"), setACL("/shut", everyone(0)...))
	for _, c := range cases {
		before := b.stat("/p")
		r := b.do(c.op)
		if r.Err != c.want {
			t.Errorf("%s: %v, want %v", c.name, r.Err, c.want)
		}
		if r.Failed != (c.want != OK) || len(r.Changes) > 0 || b.stat("/p") != before {
			t.Errorf("%s: a failed operation changed something: %+v", c.name, r)
		}
	}
}

func TestPaths(t *testing.T) {
	good := []string{"/", "/a", "/a/b", "/.a", "/a.", "/..a", "/a..b", "/...", "/ü", "/\u00a0", "/\uf900", "/\uffef", "/ ", "/a b"}
	bad := []string{"", "a", "/a/", "//", "//a", "/a//b", "/.", "/..", "/a/.", "/a/..", "/./a", "/../a", "/a/../b",
		"/\x01", "/\x1f", "/\x7f", "/\u0080", "/\u009f", "/\ue000", "/\uf8ff", "/\ufff0", "/\uffff", "/\U0001F600", "/\xff", "/a\xc3"}
	for _, p := range good {
		if !ValidPath(p) {
			t.Errorf("%q is refused", p)
		}
	}
	for _, p := range bad {
		if ValidPath(p) {
			t.Errorf("%q is accepted", p)
		}
	}
}

func TestStat(t *testing.T) {
	b := newTreeTest(t)
	if got, want := b.stat("/"), (Stat{Cversion: -1, NumChildren: 1}); got != want {
		t.Errorf("fresh root %+v, want %+v", got, want)
	}
	b.must(Op{Code: OpCreate, Path: "/p", Data: []byte("abc")}) // 3
	want := Stat{Czxid: 3, Mzxid: 3, Pzxid: 3, Ctime: 3000, Mtime: 3000, DataLength: 3}
	check := func(name string) {
		t.Helper()
		if got := b.stat("/p"); got != want {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
		}
	}
	check("created")
	b.must(set("/p", "abc")) // 4
	want.Mzxid, want.Mtime, want.Version = 4, 4000, 1
	check("set to the same")
	b.must(create("/p/c")) // 5
	want.Pzxid, want.Cversion, want.NumChildren = 5, 1, 1
	check("child created")
	b.must(create("/p/c/d"), set("/p/c", "x")) // 6 7
	check("grandchild created, child set")
	b.do(create("/p/c")) // 8, fails
	check("failed create")
	b.must(remove("/p/c/d"), remove("/p/c")) // 9 10
	want.Pzxid, want.Cversion, want.NumChildren = 10, 2, 0
	check("child deleted")
	b.must(remove("/p"), create("/p"))
	if got := b.stat("/p"); got.Version != 0 || got.Cversion != 0 || got.Czxid != 12 {
		t.Errorf("recreated: %+v", got)
	}
}

func TestNilAndEmptyDataDiffer(t *testing.T) {
	b := newTreeTest(t)
	b.must(create("/nil"), Op{Code: OpCreate, Path: "/empty", Data: []byte{}})
	if d, _, _ := b.tree.Get("/nil"); d != nil {
		t.Errorf("nil data became %v", d)
	}
	if d, _, _ := b.tree.Get("/empty"); d == nil {
		t.Error("empty became nil")
	}
}

func TestSequences(t *testing.T) {
	b := newTreeTest(t)
	b.must(create("/q"))
	next := func(op Op, want string) {
		t.Helper()
		if r := b.do(op); r.Err != OK || r.Path != want {
			t.Fatalf("%v, created %q, want %q", r.Err, r.Path, want)
		}
	}
	next(sequential("/q/a-"), "/q/a-0000000000")
	next(sequential("/q/b-"), "/q/b-0000000001")
	b.must(create("/q/plain")) // 2
	next(sequential("/q/"), "/q/0000000003")
	b.must(remove("/q/plain"))
	b.do(create("/q/no/x"))
	b.multi(sequential("/q/m-"), create("/no/x"))
	next(sequential("/q/a-"), "/q/a-0000000004")
	b.must(create("/q/c-0000000006")) // 5; the counter is 6 now
	if r := b.do(sequential("/q/c-")); r.Err != ErrNodeExists {
		t.Fatalf("a sequential name that a plain create took: %v", r.Err)
	}
	if r := b.do(sequential("/q/c-")); r.Err != ErrNodeExists {
		t.Fatalf("its prefix stays blocked until the counter moves on: %v", r.Err)
	}
	next(sequential("/q/d-"), "/q/d-0000000006")
	next(sequential("/q/c-"), "/q/c-0000000007")
	if r := b.multi(sequential("/q/m-"), sequential("/q/m-")); r.Ops[0].Path != "/q/m-0000000008" || r.Ops[1].Path != "/q/m-0000000009" {
		t.Fatalf("in one multi: %+v", r.Ops)
	}
}

func TestSequenceSticks(t *testing.T) {
	b := newTreeTest(t)
	b.must(create("/q"))
	b.tree.nodes["/q"].stat.Cversion = math.MaxInt32 - 1
	if r := b.do(sequential("/q/a")); r.Path != "/q/a2147483646" {
		t.Fatal(r.Path)
	}
	if r := b.do(sequential("/q/a")); r.Path != "/q/a2147483647" {
		t.Fatal(r.Path)
	}
	pzxid := b.stat("/q").Pzxid
	if r := b.do(sequential("/q/a")); r.Err != ErrNodeExists {
		t.Fatalf("at the maximum: %v, created %q", r.Err, r.Path)
	}
	if r := b.do(sequential("/q/b")); r.Path != "/q/b2147483647" {
		t.Fatal(r.Path)
	}
	if b.stat("/q").Pzxid != pzxid || pzxid != b.zxid-3 {
		t.Error("pzxid moved past the sticking point")
	}
}

func TestEphemerals(t *testing.T) {
	b := newTreeTest(t)
	b.must(create("/d"), ephemeral("/d/1"), ephemeral("/d/2"), ephemeral("/x"))
	if got := b.stat("/d/1").EphemeralOwner; got != alice {
		t.Fatalf("the owner is session %x", got)
	}
	// Other sessions may set and delete them.
	if r := b.apply(Txn{Session: bob, Op: set("/d/1", "bob")}); r.Err != OK {
		t.Fatal(r.Err)
	}
	if r := b.apply(Txn{Session: bob, Op: remove("/x")}); r.Err != OK {
		t.Fatal(r.Err)
	}
	// Bob replaces one in a multi: Alice's end does not touch his.
	r := b.apply(Txn{Session: bob, Op: Op{Code: OpMulti}, Ops: []Op{remove("/d/2"), ephemeral("/d/2")}})
	if r.Failed {
		t.Fatalf("the multi failed: %+v", r.Ops)
	}
	b.must(ephemeral("/z"))
	r = b.end(alice)
	want := []Change{{Kind: Deleted, Path: "/d/1"}, {Kind: Deleted, Path: "/z"}}
	if !slices.Equal(r.Changes, want) {
		t.Errorf("changes %v, want %v", r.Changes, want)
	}
	if b.stat("/d").Pzxid != r.Zxid || b.stat("/d/2").EphemeralOwner != bob {
		t.Error("the end of a session must remove all its own ephemerals, and no others, at one zxid")
	}
	if r := b.do(create("/late")); r.Err != ErrSessionExpired {
		t.Errorf("a write after the session's end: %v", r.Err)
	}
	if r := b.end(alice); r.Err != ErrSessionExpired {
		t.Errorf("ending the session again: %v", r.Err)
	}
}

func TestFailedMultiLeavesNothing(t *testing.T) {
	b := newTreeTest(t)
	b.must(create("/p"), create("/p/old"), ephemeral("/p/e"), set("/p", "v"))
	before := b.tree.Export()
	r := b.multi(
		create("/p/new"), ephemeral("/p/e2"), remove("/p/e"), ephemeral("/p/e"), set("/p", "w"),
		remove("/p/old"), sequential("/p/s"), create("/p/new/deep"), remove("/p/new/deep"), remove("/p/new"),
		Op{Code: OpCheck, Path: "/p", Version: 1},
		create("/never"),
	)
	if r.Err != OK || !r.Failed || len(r.Changes) > 0 {
		t.Fatalf("the failing multi: %+v", r)
	}
	for i, op := range r.Ops {
		want := OK
		if i == 10 {
			want = ErrBadVersion
		} else if i > 10 {
			want = ErrRuntimeInconsistency
		}
		if op.Err != want {
			t.Errorf("operation %d: %v, want %v", i, op.Err, want)
		}
	}
	before.Zxid = b.zxid
	if got, want := fmt.Sprint(b.tree.Export()), fmt.Sprint(before); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if got := b.tree.Ephemerals(alice); !slices.Equal(got, []string{"/p/e"}) {
		t.Errorf("the session owns %v after the multi", got)
	}
}

func TestMulti(t *testing.T) {
	b := newTreeTest(t)
	r := b.multi(create("/a"), create("/a/b"), set("/a", "x"), Op{Code: OpCheck, Path: "/a", Version: 1}, set("/a", "y"))
	if r.Failed {
		t.Fatalf("the multi failed: %+v", r.Ops)
	}
	want := []Change{{Kind: Created, Path: "/a"}, {Kind: Created, Path: "/a/b"}, {Kind: DataSet, Path: "/a"}, {Kind: DataSet, Path: "/a"}}
	if !slices.Equal(r.Changes, want) {
		t.Errorf("changes %v, want %v", r.Changes, want)
	}
	if s := b.stat("/a"); s.Czxid != r.Zxid || s.Mzxid != r.Zxid || s.Pzxid != r.Zxid || s.Version != 2 || r.Ops[4].Stat.Version != 2 {
		t.Errorf("the stat after the multi is %+v", s)
	}
	if r := b.multi(); r.Failed || len(r.Ops) != 0 {
		t.Errorf("empty: %+v", r)
	}
}

func TestRequestBytes(t *testing.T) {
	op := Op{Code: OpSetData, Path: "/a"}
	op.Data = make([]byte, MaxRequest-RequestBytes(&op, nil))
	if n := RequestBytes(&op, nil); n != MaxRequest {
		t.Fatalf("a request filled up to MaxRequest has %d bytes", n)
	}
	c := create("/ab")
	if n := RequestBytes(&c, nil); n != 8+4+3+4+4+4+4+5+4+6+4 {
		t.Errorf("create is %d bytes", n)
	}
	list := []ACL{{1, "digest", "a:b"}, {2, "ip", "1.2.3.4"}}
	c = containerAt("/ab")
	c.ACL = list
	const listBytes = 4 + (12 + 6 + 3) + (12 + 2 + 7)
	if n := RequestBytes(&c, nil); n != 8+4+3+4+listBytes+4 {
		t.Errorf("container is %d bytes", n)
	}
	c = withTTL("/ab", time.Second)
	c.ACL = list
	if n := RequestBytes(&c, nil); n != 8+4+3+4+listBytes+4+8 {
		t.Errorf("TTL is %d bytes", n)
	}
	c = setACL("/ab", list...)
	if n := RequestBytes(&c, nil); n != 8+4+3+listBytes+4 {
		t.Errorf("setACL is %d bytes", n)
	}
	if n := RequestBytes(&Op{Code: OpMulti}, []Op{remove("/a")}); n != 8+9+4+2+4+9 {
		t.Errorf("multi is %d bytes", n)
	}
}

func TestWatches(t *testing.T) {
	type told = []string
	cases := []struct {
		name  string
		data  []string
		child []string
		ops   []Op
		want  told
	}{
		{"created, then the parent", []string{"/n"}, []string{"/"}, []Op{create("/n")}, told{"1 /n", "4 /"}},
		{"deleted once for both tables, then the parent", []string{"/p/c"}, []string{"/p/c", "/p"}, []Op{remove("/p/c")}, told{"2 /p/c", "4 /p"}},
		{"deleted, only a child watch", nil, []string{"/p/c"}, []Op{remove("/p/c")}, told{"2 /p/c"}},
		{"changed", []string{"/p"}, []string{"/p"}, []Op{set("/p", "x")}, told{"3 /p"}},
		{"one shot", []string{"/p"}, nil, []Op{set("/p", "x"), set("/p", "y")}, told{"3 /p"}},
		{"child data is not the parent's", []string{"/p"}, []string{"/p"}, []Op{set("/p/c", "x")}, nil},
		{"children are not data", []string{"/p"}, nil, []Op{create("/p/d")}, nil},
		{"a failed operation", []string{"/p", "/no"}, []string{"/p"}, []Op{create("/no/x"), remove("/p")}, nil},
	}
	for _, c := range cases {
		b := newTreeTest(t)
		b.must(create("/p"), create("/p/c"))
		w := NewWatches()
		for _, p := range c.data {
			w.Add(DataWatch, p, 1)
			w.Add(DataWatch, p, 1)
		}
		for _, p := range c.child {
			w.Add(ChildWatch, p, 1)
		}
		var got told
		for _, op := range c.ops {
			r := b.do(op)
			w.Fire(r.Changes, func(id int64, e Event) { got = append(got, fmt.Sprintf("%d %s", e.Type, e.Path)) })
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		w.Drop(1)
		if w.Len() != 0 || len(w.tables[0])+len(w.tables[1]) != 0 {
			t.Errorf("%s: watches left behind", c.name)
		}
	}
}

func TestWatchersAreToldInOrder(t *testing.T) {
	w := NewWatches()
	for _, id := range []int64{5, 1, 9, 3} {
		w.Add(DataWatch, "/a", id)
	}
	w.Drop(3)
	var got []int64
	w.Fire([]Change{{Kind: DataSet, Path: "/a"}}, func(id int64, e Event) { got = append(got, id) })
	if !slices.Equal(got, []int64{1, 5, 9}) {
		t.Errorf("the watchers were told in the order %v", got)
	}
}

func TestRestoreTellsWhatTheStateShows(t *testing.T) {
	cases := []struct {
		name  string
		set   WatchSet
		away  []Op
		want  string
		armed int
	}{
		{"data set", WatchSet{Data: []string{"/p"}}, []Op{set("/p", "x")}, "3 /p", 0},
		{"data deleted", WatchSet{Data: []string{"/p/c"}}, []Op{remove("/p/c")}, "2 /p/c", 0},
		{"data deleted and recreated", WatchSet{Data: []string{"/p/c"}}, []Op{remove("/p/c"), create("/p/c")}, "3 /p/c", 0},
		{"exists: created", WatchSet{Exist: []string{"/n"}}, []Op{create("/n")}, "1 /n", 0},
		{"exists: created and deleted is lost", WatchSet{Exist: []string{"/n"}}, []Op{create("/n"), remove("/n")}, "", 1},
		{"child added", WatchSet{Child: []string{"/p"}}, []Op{create("/p/d")}, "4 /p", 0},
		{"child added and removed", WatchSet{Child: []string{"/p"}}, []Op{create("/p/d"), remove("/p/d")}, "4 /p", 0},
		{"child-watched node deleted", WatchSet{Child: []string{"/p/c"}}, []Op{remove("/p/c")}, "2 /p/c", 0},
		{"child-watched node recreated", WatchSet{Child: []string{"/p/c"}}, []Op{remove("/p/c"), create("/p/c")}, "4 /p/c", 0},
		{"nothing", WatchSet{Data: []string{"/p"}, Exist: []string{"/n"}, Child: []string{"/p"}}, nil, "", 3},
	}
	for _, c := range cases {
		b := newTreeTest(t)
		b.must(create("/p"), create("/p/c"))
		since := b.zxid
		b.must(c.away...)
		w := NewWatches()
		var got []string
		w.Restore(b.tree, since, c.set, 1, func(e Event) { got = append(got, fmt.Sprintf("%d %s", e.Type, e.Path)) })
		if strings.Join(got, " ") != c.want || w.Len() != c.armed {
			t.Errorf("%s: told %q armed %d, want %q and %d", c.name, got, w.Len(), c.want, c.armed)
		}
	}
}
