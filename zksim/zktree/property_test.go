package zktree

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var drawnPaths = []string{"/", "/a", "/a/x", "/a/y", "/b", "/b/x", "/a/x/deep", "/zookeeper", "/a/", "bad"}

var (
	drawnCodes = []OpCode{OpCreate, OpCreate, OpCreate2, OpContainer, OpCreateTTL, OpDelete, OpSetData, OpCheck, OpSetACL}
	drawnLists = [][]ACL{
		nil, nil, nil, {}, OpenACL, {{31, "auth", ""}}, {{31, "digest", ann.ID}}, {{PermAll &^ PermRead, "world", "anyone"}},
		{{PermRead, "world", "anyone"}, {PermAll, "auth", ""}}, {{15, "ip", "127.0.0.0/8"}, {31, "digest", ben.ID}},
	}
	drawnAuth = [][]Identity{nil, {local, ann}, {local, ben}, {ann, ben}, {root}}
)

func drawOp(t *rapid.T) Op {
	op := Op{
		Code:    rapid.SampledFrom(drawnCodes).Draw(t, "code"),
		Path:    rapid.SampledFrom(drawnPaths).Draw(t, "path"),
		Version: rapid.Int32Range(-1, 2).Draw(t, "version"),
	}
	switch op.Code {
	case OpCreate, OpCreate2:
		op.Flags = CreateFlags(rapid.IntRange(0, 4).Draw(t, "flags"))
	case OpContainer:
		op.Flags = Container
	case OpCreateTTL:
		op.Flags = WithTTL
		op.TTL = time.Duration(rapid.IntRange(0, 3).Draw(t, "ttl")) * time.Second
	}
	switch op.Code {
	case OpCreate, OpCreate2, OpContainer, OpCreateTTL, OpSetACL:
		op.ACL = rapid.SampledFrom(drawnLists).Draw(t, "acl")
	}
	if rapid.Bool().Draw(t, "with data") {
		op.Data = []byte(rapid.StringN(0, 4, 8).Draw(t, "data"))
	}
	return op
}

func drawTxn(t *rapid.T) Txn {
	txn := Txn{Session: rapid.SampledFrom([]int64{1, 2, 3}).Draw(t, "session")}
	txn.Auth = rapid.SampledFrom(drawnAuth).Draw(t, "auth")
	switch rapid.IntRange(0, 10).Draw(t, "kind") {
	case 10:
		txn = Txn{Op: Op{Code: OpDelContainer, Path: rapid.SampledFrom(drawnPaths).Draw(t, "path")}}
	case 0:
		txn.Code = OpCreateSession
		txn.Timeout = time.Second
	case 1:
		txn.Code = OpCloseSession
	case 2, 3, 4:
		txn.Code = OpMulti
		txn.Ops = rapid.SliceOfN(rapid.Custom(drawOp), 0, 5).Draw(t, "ops")
	default:
		txn.Op = drawOp(t)
	}
	return txn
}

// drawLog draws a log that begins with three sessions.
func drawLog(t *rapid.T) []Txn {
	var log []Txn
	for id := int64(1); id <= 3; id++ {
		log = append(log, Txn{Session: id, Op: Op{Code: OpCreateSession}})
	}
	log = append(log, rapid.SliceOfN(rapid.Custom(drawTxn), 1, 40).Draw(t, "log")...)
	for i := range log {
		log[i].Zxid, log[i].Time = int64(i+1), int64(i+1)*1000
	}
	return log
}

func applyAll(tree *Tree, log []Txn) (results []string) {
	for i := range log {
		results = append(results, fmt.Sprintf("%+v", tree.Apply(&log[i])))
	}
	return results
}

func picture(tree *Tree) string { return fmt.Sprintf("%+v", tree.Export()) }

func TestEqualLogsGiveEqualTrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := drawLog(t)
		a, b := NewTree(), NewTree()
		if !slices.Equal(applyAll(a, log), applyAll(b, log)) || picture(a) != picture(b) {
			t.Fatal("two trees that applied the same log differ")
		}
	})
}

// TestImageIsTheWholeTree checks that a tree imported from an image taken anywhere
// in a log behaves as the original does in the rest of it.
func TestImageIsTheWholeTree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := drawLog(t)
		cut := rapid.IntRange(0, len(log)).Draw(t, "cut")
		a := NewTree()
		applyAll(a, log[:cut])
		b, err := Import(a.Export())
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(applyAll(a, log[cut:]), applyAll(b, log[cut:])) || picture(a) != picture(b) {
			t.Fatal("the imported copy differs from the original")
		}
	})
}

// TestMultiIsAllOrNothing checks that a multi does what its operations do when
// applied one after another, or nothing.
func TestMultiIsAllOrNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		log := drawLog(t)
		ops := rapid.SliceOfN(rapid.Custom(drawOp), 0, 6).Draw(t, "multi")
		whole, single := NewTree(), NewTree()
		applyAll(whole, log)
		applyAll(single, log)
		zxid := int64(len(log) + 1)
		txn := Txn{Zxid: zxid, Session: 1, Op: Op{Code: OpMulti}, Ops: ops}
		before := whole.Export()
		r := whole.Apply(&txn)
		if r.Err == ErrSessionExpired {
			return
		}
		want := applyOneByOne(single, &txn)
		if r.Failed != (want != nil) {
			t.Fatalf("the multi failed: %v; its operations one after another: %v", r.Failed, want)
		}
		if !r.Failed {
			single.zxid = zxid
			if picture(whole) != picture(single) {
				t.Fatal("a multi and its operations one after another differ")
			}
			return
		}
		before.Zxid = zxid
		if picture(whole) != fmt.Sprintf("%+v", before) {
			t.Fatal("a failed multi changed something")
		}
		for i, op := range r.Ops {
			if i == want.at && op.Err != want.code || i < want.at && op.Err != OK || i > want.at && op.Err != ErrRuntimeInconsistency {
				t.Fatalf("operation %d: %v; operation %d should fail with %v", i, op.Err, want.at, want.code)
			}
		}
	})
}

// TestFailedMultiUndoesItsCreate is a case that TestMultiIsAllOrNothing once found
// and shrank: the second operation fails below the same parent. The create before
// it must leave no trace, not even in the parent's stat.
func TestFailedMultiUndoesItsCreate(t *testing.T) {
	tree := NewTree()
	tree.Apply(&Txn{Zxid: 1, Session: 1, Op: Op{Code: OpCreateSession}, Timeout: time.Second})
	before := tree.Export()
	r := tree.Apply(&Txn{Zxid: 2, Session: 1, Op: Op{Code: OpMulti}, Ops: []Op{create("/a"), create("/")}})
	if !r.Failed || len(r.Changes) != 0 || r.Ops[0].Err != OK || r.Ops[1].Err != ErrNodeExists {
		t.Errorf("the multi: %+v", r)
	}
	before.Zxid = 2
	if got, want := picture(tree), fmt.Sprintf("%+v", before); got != want {
		t.Errorf("after the multi %s\nwant %s", got, want)
	}
}

type failure struct {
	at   int
	code Code
}

// applyOneByOne applies a multi's operations at its zxid up to the first that
// fails, and undoes nothing.
func applyOneByOne(tree *Tree, txn *Txn) *failure {
	for i := range txn.Ops {
		var done OpResult
		if code := tree.applyOp(txn, &txn.Ops[i], &done, &undoLog{}); code != OK {
			return &failure{i, code}
		}
	}
	return nil
}

// TestTreeIsConsistent checks the invariants of Tree after any log.
func TestTreeIsConsistent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := NewTree()
		applyAll(tree, drawLog(t))
		for path := range tree.transient {
			if tree.nodes[path] == nil {
				t.Fatalf("%s is in transient but not in the tree", path)
			}
		}
		children := make(map[string]int32)
		for _, path := range sortedKeys(tree.nodes) {
			if path != "/" {
				parent, _ := ParentOf(path)
				children[parent]++
				if tree.nodes[parent] == nil {
					t.Fatalf("%s has no parent", path)
				}
			}
			kind := tree.nodes[path].kind()
			if passes := tree.transient[path]; (kind == isContainer || kind == isTTL) != (passes == tree.nodes[path]) {
				t.Fatalf("%s is of kind %d; in transient: %v", path, kind, passes)
			}
			owner := tree.nodes[path].view().EphemeralOwner
			if owner != 0 && !slices.Contains(tree.Ephemerals(owner), path) {
				t.Fatalf("%s is not in its owner's list", path)
			}
		}
		for _, path := range sortedKeys(tree.nodes) {
			s := tree.nodes[path].view()
			if names, _, _ := tree.Children(path); len(names) != int(s.NumChildren) || !slices.IsSorted(names) {
				t.Fatalf("%s: %+v, children %q", path, s, names)
			}
			if s.NumChildren != children[path] || s.EphemeralOwner != 0 && s.NumChildren > 0 {
				t.Fatalf("%s: %+v, %d children", path, s, children[path])
			}
			if s.Mzxid < s.Czxid || s.Pzxid < s.Czxid || s.Mzxid > tree.zxid || s.Pzxid > tree.zxid {
				t.Fatalf("%s: %+v", path, s)
			}
		}
		for _, id := range tree.Sessions() {
			for _, path := range tree.Ephemerals(id) {
				if n := tree.nodes[path]; n == nil || n.stat.EphemeralOwner != id {
					t.Fatalf("session %d lists %s", id, path)
				}
			}
		}
	})
}

// TestTrustedReplay checks that replaying a log whose lists are resolved, as a
// trusted one, gives the same tree.
func TestTrustedReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first, second := NewTree(), NewTree()
		for _, txn := range drawLog(t) {
			r := first.Apply(&txn)
			for i := range txn.Ops {
				txn.Ops[i].ACL = resolved(&txn, &txn.Ops[i])
			}
			txn.ACL = resolved(&txn, &txn.Op)
			txn.Auth, txn.Trusted = nil, true
			if r.Failed {
				second.zxid = txn.Zxid
			} else if again := second.Apply(&txn); fmt.Sprint(again) != fmt.Sprint(r) {
				t.Fatalf("%+v, replayed %+v", r, again)
			}
		}
		if picture(first) != picture(second) {
			t.Fatal("the replayed tree differs")
		}
	})
}

func resolved(txn *Txn, op *Op) []ACL {
	acl, _ := ResolveACL(op.ACL, txn.Auth)
	return acl
}

// TestNames checks the sorted set of children against a plain one.
func TestNames(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set names
		model := make(map[string]struct{})
		ascending := rapid.Bool().Draw(t, "ascending")
		steps := rapid.IntRange(1, 4*maxChunk).Draw(t, "steps")
		seed := rapid.Uint32().Draw(t, "seed")
		for i := range steps {
			seed = seed*1664525 + 1013904223
			name := fmt.Sprint(seed >> 20)
			if ascending {
				name = fmt.Sprintf("%06d", i)
			}
			_, there := model[name]
			switch {
			case !there:
				set.add(name)
				model[name] = struct{}{}
			case seed>>16&3 != 0:
				set.remove(name)
				delete(model, name)
			}
		}
		checkNames(t, &set, model)
		for _, name := range sortedKeys(model)[:len(model)/2] {
			set.remove(name)
			delete(model, name)
		}
		checkNames(t, &set, model)
	})
}

func checkNames(t *rapid.T, set *names, model map[string]struct{}) {
	if got := set.list(); !slices.Equal(got, sortedKeys(model)) || set.len() != len(model) {
		t.Fatalf("%d names %q, want %q", set.len(), got, sortedKeys(model))
	}
	for _, chunk := range set.chunks {
		if len(chunk) == 0 || len(chunk) > maxChunk {
			t.Fatalf("a chunk of %d names", len(chunk))
		}
	}
}
