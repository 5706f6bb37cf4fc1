package zktree

import (
	"fmt"
	"time"
)

// Image is the content of a tree in a fixed order: all that Import needs to build
// an equal one. Equal trees have equal images.
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

// NodeImage is one node. Its Stat is the stored form, not what clients see:
// Cversion counts creates only, DataLength and NumChildren are 0, and
// EphemeralOwner also marks containers (the least int64) and TTL nodes (the
// highest 8 bits set, the time to live in milliseconds in the lowest 40).
type NodeImage struct {
	Path string
	Data []byte
	ACL  []ACL
	Stat Stat
}

// Export returns the content of the tree. The image shares the tree's data
// slices, which never change, so later transactions leave it as it is.
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

// Import builds the tree that an image was taken of. It returns an error, which
// names the session or node, for an image that no tree can have.
func Import(img Image) (*Tree, error) {
	t := emptyTree(len(img.Nodes))
	t.zxid = img.Zxid
	for _, s := range img.Sessions {
		if kindOf(s.ID) != isEphemeral || t.sessions[s.ID] != nil {
			return nil, fmt.Errorf("zktree: importing session %#x: the number occurs twice or cannot be a session's", s.ID)
		}
		t.sessions[s.ID] = &session{timeout: s.Timeout, password: s.Password}
	}
	for _, n := range img.Nodes {
		if err := t.importNode(n); err != nil {
			return nil, err
		}
	}
	if t.nodes["/"] == nil {
		return nil, fmt.Errorf("zktree: importing an image: it has no node \"/\"")
	}
	return t, nil
}

func (t *Tree) importNode(n NodeImage) error {
	if !ValidPath(n.Path) || t.nodes[n.Path] != nil {
		return fmt.Errorf("zktree: importing node %q: the path occurs twice or is not valid", n.Path)
	}
	if n.Path != "/" {
		parentPath, _ := ParentOf(n.Path)
		parent := t.nodes[parentPath]
		if parent == nil {
			return fmt.Errorf("zktree: importing node %q: its parent is missing or comes later", n.Path)
		}
		parent.children.add(nameOf(n.Path))
	}
	made := &node{data: n.Data, stat: n.Stat, acl: asList(n.ACL)}
	if owner := n.Stat.EphemeralOwner; made.kind() == isEphemeral && t.sessions[owner] == nil {
		return fmt.Errorf("zktree: importing ephemeral %q: its session %#x is missing", n.Path, owner)
	}
	t.nodes[n.Path] = made
	t.own(n.Path, made)
	return nil
}
