package zktree

import (
	"slices"
	"testing"
	"time"
)

// TestKinds checks which kind of node each operation makes with each flag, alone
// and in a multi, against what a real server makes.
func TestKinds(t *testing.T) {
	all := []nodeKind{isPersistent, isEphemeral, isPersistent, isEphemeral}
	cases := []struct {
		code    OpCode
		inMulti bool
		kinds   []nodeKind // by flags, from 0; flags beyond it are refused
		ttl     bool       // flags 5 and 6 make TTL nodes
	}{
		{OpCreate, false, append(slices.Clone(all), isPersistent), false},
		{OpCreate2, false, append(slices.Clone(all), isPersistent), false},
		{OpContainer, false, []nodeKind{isContainer, isContainer, isContainer, isContainer, isContainer}, false},
		{OpCreateTTL, false, nil, true},
		{OpCreate, true, append(slices.Clone(all), isContainer), false},
		{OpCreate2, true, append(slices.Clone(all), isContainer), false},
		{OpContainer, true, append(slices.Clone(all), isContainer), false},
		{OpCreateTTL, true, append(slices.Clone(all), isContainer), true},
	}
	for _, c := range cases {
		for flags := CreateFlags(-1); flags <= 7; flags++ {
			op := Op{Code: c.code, Path: "/k", Flags: flags, TTL: time.Second}
			b := newTreeTest(t)
			path, code := b.create(op, c.inMulti)
			ttl := flags == WithTTL || flags == SequentialWithTTL
			want, ok := isTTL, c.ttl && ttl
			if flags >= 0 && int(flags) < len(c.kinds) {
				want, ok = c.kinds[flags], true
			}
			if (code == OK) != ok {
				t.Fatalf("%+v in a multi %v: %v", op, c.inMulti, code)
			}
			if refusal := refusalOf(c.inMulti && ttl); !ok && code != refusal {
				t.Errorf("%+v in a multi %v: %v, want %v", op, c.inMulti, code, refusal)
			}
			if !ok {
				continue
			}
			if got := b.tree.nodes[path].kind(); got != want {
				t.Errorf("%+v in a multi %v: kind %d, want %d", op, c.inMulti, got, want)
			}
			if sequential := path == "/k0000000000"; sequential != (flags == 2 || flags == 3 || flags == 6) {
				t.Errorf("%+v: %s", op, path)
			}
			if shown := b.stat(path).EphemeralOwner; shown != 0 && want != isEphemeral {
				t.Errorf("%+v: owner %x is shown", op, shown)
			}
		}
	}
}

func refusalOf(undecodable bool) Code {
	if undecodable {
		return ErrMarshalling
	}
	return ErrBadArguments
}

// create applies op and returns the path of the node and the code of the answer.
func (b *treeTest) create(op Op, inMulti bool) (string, Code) {
	if !inMulti {
		r := b.do(op)
		return r.Path, r.Err
	}
	r := b.multi(op)
	if r.Err != OK {
		if r.Ops != nil || !r.Failed {
			b.t.Errorf("%+v: %+v", op, r)
		}
		return "", r.Err
	}
	want := OpCreate
	if !r.Failed && op.Flags >= Container {
		want = OpCreate2
	}
	if !r.Failed && r.Ops[0].Code != want {
		b.t.Errorf("%+v is answered as %d", op, r.Ops[0].Code)
	}
	return r.Ops[0].Path, r.Ops[0].Err
}

func TestContainersGoAfterTheirLastChild(t *testing.T) {
	b := newTreeTest(t)
	b.must(containerAt("/c"), containerAt("/never"))
	due := func(want ...string) {
		t.Helper()
		if got := b.tree.Due(1000 * b.zxid); !slices.Equal(got, want) {
			t.Fatalf("due %q, want %q", got, want)
		}
	}
	collect := func(path string, want Code) Result {
		t.Helper()
		r := b.apply(Txn{Op: Op{Code: OpDelContainer, Path: path}})
		if r.Err != want || r.Failed != (want != OK) {
			t.Fatalf("%s: %+v, want %v", path, r, want)
		}
		return r
	}
	due()
	collect("/c", ErrBadVersion)
	b.must(ephemeral("/c/1"), create("/c/2"))
	due()
	collect("/c", ErrNotEmpty)
	b.must(remove("/c/2"))
	b.end(alice)
	due("/c")
	pzxid := b.stat("/").Pzxid
	r := collect("/c", OK)
	if want := []Change{{Kind: Deleted, Path: "/c"}}; !slices.Equal(r.Changes, want) {
		t.Errorf("the removal made the changes %v", r.Changes)
	}
	if got := b.stat("/").Pzxid; got != r.Zxid || got == pzxid {
		t.Error("the parent's pzxid did not change")
	}
	due()
	collect("/c", ErrNoNode)
	for _, path := range []string{"/", "/zookeeper", "c", ""} {
		collect(path, ErrBadArguments)
	}
	// A plain node created in the place of a deleted container is not a container.
	b.apply(Txn{Session: bob, Op: remove("/never")})
	b.apply(Txn{Session: bob, Op: create("/never")})
	b.apply(Txn{Session: bob, Op: create("/never/x")})
	b.apply(Txn{Session: bob, Op: remove("/never/x")})
	due()
	collect("/never", ErrBadVersion)
	b.apply(Txn{Session: bob, Op: ephemeral("/e")})
	collect("/e", ErrBadVersion)
}

func TestTTLNodesGoWhenNothingHappens(t *testing.T) {
	b := newTreeTest(t)
	b.must(withTTL("/t", 5*time.Second)) // at 3 s
	mtime := b.stat("/t").Mtime
	if mtime != 3000 {
		t.Fatalf("mtime is %d, want 3000", mtime)
	}
	for now, want := range map[int64]int{mtime: 0, mtime + 5000: 0, mtime + 5001: 1} {
		if got := len(b.tree.Due(now)); got != want {
			t.Errorf("after %d ms %d are due, want %d", now-mtime, got, want)
		}
	}
	b.must(set("/t", "x"), create("/t/c")) // 4, 5
	if got := b.tree.Due(1 << 40); len(got) != 0 {
		t.Errorf("with a child: %q", got)
	}
	b.must(remove("/t/c"))
	collect := func() Code { return b.apply(Txn{Op: Op{Code: OpDelContainer, Path: "/t"}}).Err }
	if code := collect(); code != ErrBadVersion { // at 7 s, set at 4
		t.Errorf("too early: %v", code)
	}
	b.must(create("/x"), create("/y")) // 8, 9
	if code := collect(); code != OK { // at 10 s
		t.Errorf("late: %v", code)
	}
	b.must(withTTL("/long", MaxTTL))
	if got := b.tree.Due(1000*b.zxid + MaxTTL.Milliseconds()); len(got) != 0 {
		t.Errorf("due exactly at the end of its time to live: %q", got)
	}
	if got := b.tree.Due(1000*b.zxid + MaxTTL.Milliseconds() + 1); len(got) != 1 {
		t.Errorf("a millisecond later only these are due: %q", got)
	}
}

// TestFailedMultiAndContainers checks that a node created by a failed multi is
// never due, and that one it would have deleted still is.
func TestFailedMultiAndContainers(t *testing.T) {
	b := newTreeTest(t)
	b.must(containerAt("/c"), create("/c/x"), remove("/c/x"), withTTL("/t", time.Second))
	r := b.multi(remove("/c"), remove("/t"), containerAt("/new"), create("/new/x"), remove("/new/x"), withTTL("/new2", time.Second), create("/no/x"))
	if !r.Failed {
		t.Fatal("a multi with an invalid operation succeeded")
	}
	if got := b.tree.Due(1 << 40); !slices.Equal(got, []string{"/c", "/t"}) {
		t.Errorf("due: %q", got)
	}
	copied, err := Import(b.tree.Export())
	if err != nil {
		t.Fatal(err)
	}
	if got := copied.Due(1 << 40); !slices.Equal(got, []string{"/c", "/t"}) {
		t.Errorf("a copy: %q", got)
	}
}

// TestNumbersThatMarkKindsAreRefusedAsSessions has the numbers that would turn a
// session's ephemerals into containers or TTL nodes.
func TestNumbersThatMarkKindsAreRefusedAsSessions(t *testing.T) {
	tree := NewTree()
	for i, id := range []int64{0, -1, ttlOwner, ttlOwner + 5, containerOwner} {
		txn := Txn{Zxid: int64(i + 1), Session: id}
		txn.Code = OpCreateSession
		if r := tree.Apply(&txn); r.Err != ErrBadArguments {
			t.Errorf("session %x: %v", id, r.Err)
		}
		if _, err := Import(Image{Sessions: []SessionImage{{ID: id}}, Nodes: []NodeImage{{Path: "/"}}}); err == nil {
			t.Errorf("session %x in an image is accepted", id)
		}
	}
}

func TestAllChildrenNumber(t *testing.T) {
	b := newTreeTest(t)
	b.must(create("/a"), create("/a/b"), create("/a/b/c"), create("/a/d"), create("/ab"), create("/ab/x"))
	for path, want := range map[string]int32{"/": 9, "/a": 3, "/a/b": 1, "/a/d": 0, "/ab": 1} {
		if got, code := b.tree.AllChildrenNumber(path); got != want || code != OK {
			t.Errorf("%s: %d %v, want %d", path, got, code, want)
		}
	}
	if _, code := b.tree.AllChildrenNumber("/no"); code != ErrNoNode {
		t.Errorf("a missing node: %v", code)
	}
}
