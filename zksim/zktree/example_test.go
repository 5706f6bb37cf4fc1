package zktree_test

import (
	"fmt"

	"dkv/zksim/zktree"
)

// A tree can be used alone: it is a state machine.
func ExampleTree() {
	tree := zktree.NewTree()
	apply := func(zxid int64, op zktree.Op) {
		r := tree.Apply(&zktree.Txn{Zxid: zxid, Op: op})
		fmt.Println(r.Zxid, r.Err == zktree.OK, r.Path, r.Changes)
	}
	apply(1, zktree.Op{Code: zktree.OpCreate, Path: "/q"})
	apply(2, zktree.Op{Code: zktree.OpCreate, Path: "/q/n-", Flags: zktree.Sequential})
	apply(3, zktree.Op{Code: zktree.OpDelete, Path: "/q", Version: -1})
	// Output:
	// 1 true /q [{1 /q}]
	// 2 true /q/n-0000000000 [{1 /q/n-0000000000}]
	// 3 false  []
}
