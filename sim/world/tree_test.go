package world

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is a simple implementation of the same map.
type model map[string]string

func (m model) inRange(from, to string) []string {
	var keys []string
	for key := range m {
		if key >= from && key < to {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// contents lists what a picture holds in a range.
func contents(p *page, from, to []byte) []string {
	var list []string
	p.scan(from, to, func(key, value []byte) bool {
		list = append(list, string(key)+"="+string(value))
		return true
	})
	return list
}

func (m model) contents(from, to string) []string {
	var list []string
	for _, key := range m.inRange(from, to) {
		list = append(list, key+"="+m[key])
	}
	return list
}

// treeOf returns a tree that starts as a picture.
func treeOf(root *page, issued *uint64) *tree {
	t := &tree{root: root, issued: issued}
	t.renew()
	return t
}

// checkPage fails the test if a page breaks an invariant.
func checkPage(t *rapid.T, p *page, low, high []byte, root bool) {
	if len(p.keys) > pageKeys || len(p.keys) == 0 && !root {
		t.Fatalf("a page of %d keys", len(p.keys))
	}
	if p.children != nil && len(p.children) != len(p.keys) || p.children == nil && len(p.values) != len(p.keys) {
		t.Fatalf("a page of %d keys, %d values, %d children", len(p.keys), len(p.values), len(p.children))
	}
	for i, key := range p.keys {
		first := p.children != nil && i == 0
		if !first && (low != nil && bytes.Compare(key, low) < 0 || high != nil && bytes.Compare(key, high) >= 0) {
			t.Fatalf("key %q outside [%q, %q)", key, low, high)
		}
		if i > 1 && bytes.Compare(p.keys[i-1], key) >= 0 {
			t.Fatalf("key %q behind %q", key, p.keys[i-1])
		}
	}
	for i, child := range p.children {
		from, to := low, high
		if i > 0 {
			from = p.keys[i]
		}
		if i+1 < len(p.keys) {
			to = p.keys[i+1]
		}
		checkPage(t, child, from, to, false)
	}
}

func TestTreeIsAMapWhosePicturesStay(t *testing.T) {
	key := rapid.Custom(func(t *rapid.T) string {
		n := rapid.IntRange(0, 400).Draw(t, "n")
		if n%7 == 0 {
			return fmt.Sprintf("log/%03d/x", n)
		}
		return fmt.Sprintf("log/%03d", n)
	})
	rapid.Check(t, func(t *rapid.T) {
		tree, now := newTree(), model{}
		type picture struct {
			root *page
			want model
		}
		var pictures []picture
		for step := range rapid.IntRange(1, 150).Draw(t, "steps") {
			a, b := key.Draw(t, "key"), key.Draw(t, "other")
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				tree.delete([]byte(a))
				delete(now, a)
			case 1:
				tree.deleteRange([]byte(a), []byte(b))
				for _, k := range now.inRange(a, b) {
					delete(now, k)
				}
			case 2:
				pictures = append(pictures, picture{tree.picture(), maps.Clone(now)})
			case 3:
				twin := tree.fork()
				pictures = append(pictures, picture{twin.root, maps.Clone(now)})
				twin.put([]byte(a), []byte("twin")) // must show nowhere
				if len(pictures) > 0 {
					p := pictures[rapid.IntRange(0, len(pictures)-1).Draw(t, "back to")]
					past := treeOf(p.root, tree.issued)
					tree = past.fork()
					now = maps.Clone(p.want)
				}
			case 4, 5: // a run of keys, as a log has
				for i := range rapid.IntRange(1, 60).Draw(t, "run") {
					k, v := fmt.Sprintf("log/%03d", (step*31+i)%400), fmt.Sprint(step, i)
					tree.put([]byte(k), []byte(v))
					now[k] = v
				}
			default:
				v := fmt.Sprint(step)
				tree.put([]byte(a), []byte(v))
				now[a] = v
			}
			checkPage(t, tree.root, nil, nil, true)
			if value, ok := tree.root.get([]byte(a)); ok != (now[a] != "") || string(value) != now[a] {
				t.Fatalf("get(%q) = %q, %t; want %q", a, value, ok, now[a])
			}
			if got, want := contents(tree.root, []byte(a), []byte(b)), now.contents(a, b); !slices.Equal(got, want) {
				t.Fatalf("[%q, %q) has %v, want %v", a, b, got, want)
			}
		}
		pictures = append(pictures, picture{tree.picture(), now})
		for i, p := range pictures {
			if got, want := contents(p.root, nil, nil), p.want.contents("", "~"); !slices.Equal(got, want) {
				t.Fatalf("picture %d has %v, want %v", i, got, want)
			}
		}
	})
}

func TestTreeStaysShallowUnderALogThatMovesOn(t *testing.T) {
	tree := newTree()
	for i := range 20_000 {
		tree.put(fmt.Appendf(nil, "p/0001/log/%016x", i), []byte("entry"))
		if i >= 100 {
			tree.deleteRange([]byte("p/0001/log/"), fmt.Appendf(nil, "p/0001/log/%016x", i-99))
		}
		tree.picture()
	}
	if got := len(contents(tree.root, nil, nil)); got != 100 {
		t.Errorf("%d keys, want 100", got)
	}
	depth := 0
	for p := tree.root; p.children != nil; p = p.children[0] {
		depth++
	}
	if depth > 3 {
		t.Errorf("100 keys at depth %d", depth)
	}
}
