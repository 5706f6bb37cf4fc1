package zksim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var drawnPaths = []string{"/", "/a", "/a/x", "/a/y", "/b", "/b/x", "/a/x/deep", "/zookeeper", "/a/", "bad"}

func drawOp(t *rapid.T) Op {
	op := Op{
		Code:    rapid.SampledFrom([]OpCode{OpCreate, OpCreate, OpCreate2, OpDelete, OpSetData, OpCheck}).Draw(t, "code"),
		Path:    rapid.SampledFrom(drawnPaths).Draw(t, "path"),
		Version: rapid.Int32Range(-1, 2).Draw(t, "version"),
	}
	if op.Code == OpCreate || op.Code == OpCreate2 {
		op.Flags = CreateFlags(rapid.IntRange(0, 4).Draw(t, "flags"))
	}
	if rapid.Bool().Draw(t, "with data") {
		op.Data = []byte(rapid.StringN(0, 4, 8).Draw(t, "data"))
	}
	return op
}

func drawTxn(t *rapid.T) Txn {
	txn := Txn{Session: rapid.SampledFrom([]int64{1, 2, 3}).Draw(t, "session")}
	switch rapid.IntRange(0, 9).Draw(t, "kind") {
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

// drawLog is a log that begins with three sessions.
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
			t.Fatal("two trees differ")
		}
	})
}

// A copy through an image goes on as the original does, wherever it was taken.
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
			t.Fatal("the copy went another way")
		}
	})
}

// A multi does what its operations would do one after another, or nothing.
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
			t.Fatalf("multi failed: %v; one after another: %v", r.Failed, want)
		}
		if !r.Failed {
			single.zxid = zxid
			if picture(whole) != picture(single) {
				t.Fatal("not the same state")
			}
			return
		}
		before.Zxid = zxid
		if picture(whole) != fmt.Sprintf("%+v", before) {
			t.Fatal("a failed multi changed something")
		}
		for i, op := range r.Ops {
			if i == want.at && op.Err != want.code || i < want.at && op.Err != OK || i > want.at && op.Err != ErrRuntimeInconsistency {
				t.Fatalf("operation %d: %v, culprit %d: %v", i, op.Err, want.at, want.code)
			}
		}
	})
}

type culprit struct {
	at   int
	code Code
}

// applyOneByOne applies a multi's operations at its zxid, up to the first that
// fails, and takes nothing back.
func applyOneByOne(tree *Tree, txn *Txn) *culprit {
	for i := range txn.Ops {
		var done OpResult
		if code := tree.applyOp(txn, &txn.Ops[i], &done, &undoLog{}); code != OK {
			return &culprit{i, code}
		}
	}
	return nil
}

// After any log the tree is one: every node has its parent, every ephemeral a
// living owner that lists it and no children, and counts are what they count.
func TestTreeIsConsistent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tree := NewTree()
		applyAll(tree, drawLog(t))
		children := make(map[string]int32)
		for _, path := range sortedKeys(tree.nodes) {
			if path != "/" {
				parent, _ := parentOf(path)
				children[parent]++
				if tree.nodes[parent] == nil {
					t.Fatalf("%s has no parent", path)
				}
			}
			owner := tree.nodes[path].view().EphemeralOwner
			if owner != 0 && !slices.Contains(tree.Ephemerals(owner), path) {
				t.Fatalf("%s is not among its owner's", path)
			}
		}
		for _, path := range sortedKeys(tree.nodes) {
			s := tree.nodes[path].view()
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
