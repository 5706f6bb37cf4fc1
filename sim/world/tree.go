package world

import (
	"bytes"
	"slices"
)

// tree is a persistent ordered map from byte strings to byte strings: a picture of it
// is one pointer, which later changes of the tree leave as it is. It is a B+ tree that
// copies a page before a change if a picture may share the page. It keeps the slices
// that it gets, so their owner must not write to them.
//
//   - A page of the tree's own generation is in no picture and may be changed in place.
//   - Trees that share pages have different generations, and share issued, so that no
//     generation is used twice.
type tree struct {
	root       *page
	generation uint64
	issued     *uint64 // the last generation of all trees that share pages
}

// page is a leaf (children nil) or an inner page. In an inner page keys[i] is
// at or below every key in children[i] and above every one in children[i-1];
// keys[0] bounds nothing.
type page struct {
	generation uint64
	keys       [][]byte
	values     [][]byte // of a leaf
	children   []*page  // of an inner page
}

const pageKeys = 16

func newTree() tree { return tree{root: &page{}, issued: new(uint64)} }

// fork returns a tree with the same contents, which changes independently.
func (t *tree) fork() tree {
	twin := tree{root: t.picture(), issued: t.issued}
	twin.renew()
	return twin
}

// renew makes the tree own none of its pages.
func (t *tree) renew() {
	*t.issued++
	t.generation = *t.issued
}

// picture returns the root, which never changes from now on.
func (t *tree) picture() *page {
	t.renew()
	return t.root
}

// search finds the position of a key in a leaf, and whether the key is there.
func (p *page) search(key []byte) (int, bool) {
	low, high := 0, len(p.keys)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if bytes.Compare(p.keys[middle], key) < 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, low < len(p.keys) && bytes.Equal(p.keys[low], key)
}

// child finds the child of an inner page that covers a key.
func (p *page) child(key []byte) int {
	low, high := 1, len(p.keys)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if bytes.Compare(p.keys[middle], key) <= 0 {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low - 1
}

// get returns the value of a key, without copying it.
func (p *page) get(key []byte) ([]byte, bool) {
	for p.children != nil {
		p = p.children[p.child(key)]
	}
	if i, ok := p.search(key); ok {
		return p.values[i], true
	}
	return nil, false
}

// scan calls fn for the keys in [from, to) in order until fn returns false, and
// reports whether fn never did. A nil to means no upper bound.
func (p *page) scan(from, to []byte, fn func(key, value []byte) bool) bool {
	if p.children == nil {
		i, _ := p.search(from)
		for ; i < len(p.keys); i++ {
			if to != nil && bytes.Compare(p.keys[i], to) >= 0 {
				return true
			}
			if !fn(p.keys[i], p.values[i]) {
				return false
			}
		}
		return true
	}
	first := p.child(from)
	for i := first; i < len(p.children); i++ {
		if i > first && to != nil && bytes.Compare(p.keys[i], to) >= 0 {
			return true
		}
		if !p.children[i].scan(from, to, fn) {
			return false
		}
	}
	return true
}

// own returns the page itself if the tree may change it in place, else a copy.
func (t *tree) own(p *page) *page {
	if p.generation == t.generation {
		return p
	}
	q := &page{generation: t.generation, keys: withRoom(p.keys)}
	if p.children == nil {
		q.values = withRoom(p.values)
	} else {
		q.children = withRoom(p.children)
	}
	return q
}

// withRoom copies a slice of a page, with capacity for a few inserts.
func withRoom[T any](s []T) []T {
	c := make([]T, len(s), min(len(s)+4, pageKeys+1))
	copy(c, s)
	return c
}

func (t *tree) put(key, value []byte) {
	root, right := t.insert(t.root, key, value)
	if right != nil {
		root = &page{
			generation: t.generation,
			keys:       [][]byte{nil, right.least()},
			children:   []*page{root, right},
		}
	}
	t.root = root
}

// insert puts a key below p. right is a new sibling if p was split, else nil.
func (t *tree) insert(p *page, key, value []byte) (left, right *page) {
	p = t.own(p)
	if p.children == nil {
		i, found := p.search(key)
		if found {
			p.values[i] = value
			return p, nil
		}
		p.keys = slices.Insert(p.keys, i, key)
		p.values = slices.Insert(p.values, i, value)
		return p, t.split(p, i)
	}
	i := p.child(key)
	child, sibling := t.insert(p.children[i], key, value)
	p.children[i] = child
	if sibling == nil {
		return p, nil
	}
	p.keys = slices.Insert(p.keys, i+1, sibling.least())
	p.children = slices.Insert(p.children, i+1, sibling)
	return p, t.split(p, i+1)
}

// least returns the lower bound of a new sibling for its parent. In a page that split
// has just made, keys[0] is that bound, even if the page is an inner one.
func (p *page) least() []byte { return p.keys[0] }

// split moves the right part of a page that is too full to a new page. After an insert
// at the end it moves little: a log only appends, and would leave its pages half empty
// otherwise.
func (t *tree) split(p *page, added int) *page {
	if len(p.keys) <= pageKeys {
		return nil
	}
	at := len(p.keys) / 2
	if added == len(p.keys)-1 {
		at = len(p.keys) - 2
	}
	right := &page{generation: t.generation, keys: withRoom(p.keys[at:])}
	clear(p.keys[at:])
	p.keys = p.keys[:at]
	if p.children == nil {
		right.values = withRoom(p.values[at:])
		clear(p.values[at:])
		p.values = p.values[:at]
		return right
	}
	right.children = withRoom(p.children[at:])
	clear(p.children[at:])
	p.children = p.children[:at]
	return right
}

func (t *tree) delete(key []byte) {
	if _, ok := t.root.get(key); ok {
		t.become(t.cut(t.root, key, append(slices.Clone(key), 0)))
	}
}

// deleteRange removes the keys in [from, to).
func (t *tree) deleteRange(from, to []byte) {
	if bytes.Compare(from, to) < 0 {
		t.become(t.cut(t.root, from, to))
	}
}

// become sets the root to what a cut has left, without a chain of single children.
func (t *tree) become(root *page) {
	if root == nil {
		root = &page{generation: t.generation}
	}
	for len(root.children) == 1 {
		root = root.children[0]
	}
	t.root = root
}

// cut removes the keys in [from, to) below p. It returns what is left, or nil if
// nothing is. It never merges small pages, and removes a page only when it is empty.
func (t *tree) cut(p *page, from, to []byte) *page {
	if p.children == nil {
		return t.cutLeaf(p, from, to)
	}
	first := p.child(from)
	last := first
	for last+1 < len(p.children) && bytes.Compare(p.keys[last+1], to) < 0 {
		last++
	}
	low, high := t.cut(p.children[first], from, to), (*page)(nil)
	if last > first {
		high = t.cut(p.children[last], from, to)
	}
	if low == p.children[first] && (last == first || last == first+1 && high == p.children[last]) {
		return p
	}
	p = t.own(p)
	var keys [][]byte
	var left []*page
	if low != nil {
		keys, left = append(keys, p.keys[first]), append(left, low)
	}
	if high != nil {
		keys, left = append(keys, p.keys[last]), append(left, high)
	}
	p.keys = slices.Replace(p.keys, first, last+1, keys...)
	p.children = slices.Replace(p.children, first, last+1, left...)
	if len(p.children) == 0 {
		return nil
	}
	return p
}

func (t *tree) cutLeaf(p *page, from, to []byte) *page {
	i, _ := p.search(from)
	j, _ := p.search(to)
	if i == j {
		return p
	}
	if i == 0 && j == len(p.keys) {
		return nil
	}
	p = t.own(p)
	p.keys = slices.Delete(p.keys, i, j)
	p.values = slices.Delete(p.values, i, j)
	return p
}
