package zktree

import (
	"fmt"
	"time"
)

// Image is a tree laid open: everything a copy of it needs, in a fixed order.
type Image struct {
	Zxid     int64
	Sessions []SessionImage // by id
	Nodes    []NodeImage    // by path, so that parents come first
}

// SessionImage is one session.
type SessionImage struct {
	ID       int64
	Timeout  time.Duration
	Password [16]byte
}

// NodeImage is one node. Stat is the kept form: its Cversion counts creates
// only, DataLength and NumChildren are 0, and EphemeralOwner tells containers
// (the least number there is) and TTL nodes (the highest 8 bits set, the time to
// live in milliseconds in the lowest 40) from others.
type NodeImage struct {
	Path string
	Data []byte
	ACL  []ACL
	Stat Stat
}

// Export lays the tree open. The image shares the tree's data slices, which
// never change, and stays as it is while the tree goes on.
func (t *Tree) Export() Image {
	img := Image{Zxid: t.zxid}
	for _, id := range sortedKeys(t.sessions) {
		s := t.sessions[id]
		img.Sessions = append(img.Sessions, SessionImage{id, s.timeout, s.password})
	}
	img.Nodes = make([]NodeImage, 0, len(t.nodes))
	for _, path := range sortedKeys(t.nodes) {
		n := t.nodes[path]
		img.Nodes = append(img.Nodes, NodeImage{path, n.data, n.acl.entries, n.stat})
	}
	return img
}

// Import builds the tree that an image was taken of. It refuses, naming the
// node, an image that no tree could have given.
func Import(img Image) (*Tree, error) {
	t := emptyTree(len(img.Nodes))
	t.zxid = img.Zxid
	for _, s := range img.Sessions {
		if kindOf(s.ID) != isEphemeral || t.sessions[s.ID] != nil {
			return nil, fmt.Errorf("zktree: session %#x twice or with an impossible number", s.ID)
		}
		t.sessions[s.ID] = &session{timeout: s.Timeout, password: s.Password}
	}
	for _, n := range img.Nodes {
		if err := t.importNode(n); err != nil {
			return nil, err
		}
	}
	if t.nodes["/"] == nil {
		return nil, fmt.Errorf("zktree: image without a root")
	}
	return t, nil
}

func (t *Tree) importNode(n NodeImage) error {
	if !ValidPath(n.Path) || t.nodes[n.Path] != nil {
		return fmt.Errorf("zktree: node %q twice or with an impossible name", n.Path)
	}
	if n.Path != "/" {
		parentPath, _ := ParentOf(n.Path)
		parent := t.nodes[parentPath]
		if parent == nil {
			return fmt.Errorf("zktree: node %q without a parent", n.Path)
		}
		parent.children.add(nameOf(n.Path))
	}
	made := &node{data: n.Data, stat: n.Stat, acl: asList(n.ACL)}
	if owner := n.Stat.EphemeralOwner; made.kind() == isEphemeral && t.sessions[owner] == nil {
		return fmt.Errorf("zktree: ephemeral %q of session %#x, which is not there", n.Path, owner)
	}
	t.nodes[n.Path] = made
	t.own(n.Path, made)
	return nil
}
