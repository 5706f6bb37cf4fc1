package zktree

import (
	"crypto/sha1"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// The permissions that an entry of an access list can grant. A list grants what
// any of its entries grants.
const (
	PermRead   int32 = 1  // the data and the children
	PermWrite  int32 = 2  // setting the data
	PermCreate int32 = 4  // creating children
	PermDelete int32 = 8  // deleting children
	PermAdmin  int32 = 16 // setting the access list
	PermAll    int32 = 31
)

// The schemes of identities and of list entries.
const (
	schemeWorld  = "world"  // everyone; its only ID is "anyone"
	schemeAuth   = "auth"   // in requests only: stands for what the sender has proved
	schemeDigest = "digest" // user:base64(sha1(user:password))
	schemeIP     = "ip"     // an address, in a list with a number of bits after a slash
	schemeSuper  = "super"  // an identity that every list admits
)

// ACL is one entry of an access list.
type ACL struct {
	Perms  int32 // bits beyond PermAll are kept and mean nothing
	Scheme string
	ID     string
}

// OpenACL grants everything to everyone. A nil ACL in an Op stands for it. It is
// shared: do not change it.
var OpenACL = []ACL{{Perms: PermAll, Scheme: schemeWorld, ID: "anyone"}}

// An Identity is what a connection has proved about its client. For scheme
// "digest" the ID is user:base64(sha1(user:password)), for scheme "ip" an IPv4
// address. An identity of scheme "super" may do everything.
type Identity struct {
	Scheme, ID string
}

// DigestIdentity returns the identity that "user:password" proves. Without a
// colon all of it is the user.
func DigestIdentity(userPassword string) Identity {
	user, _, _ := strings.Cut(userPassword, ":")
	sum := sha1.Sum([]byte(userPassword))
	return Identity{schemeDigest, user + ":" + base64.StdEncoding.EncodeToString(sum[:])}
}

// accessList is a node's list. world caches what it grants to everyone, so that
// most checks need not walk the entries.
type accessList struct {
	entries []ACL
	world   int32
}

var (
	openList = newAccessList(OpenACL)
	readList = newAccessList([]ACL{{Perms: PermRead, Scheme: schemeWorld, ID: "anyone"}})
)

func newAccessList(entries []ACL) *accessList {
	l := &accessList{entries: entries}
	for _, a := range entries {
		if a.isWorld() {
			l.world |= a.Perms
		}
	}
	if len(entries) == 0 {
		l.world = PermAll // as in ZooKeeper, an empty list restricts nothing
	}
	return l
}

// asList is like newAccessList, but shares openList: nearly every node has it.
func asList(entries []ACL) *accessList {
	if entries == nil || slices.Equal(entries, OpenACL) {
		return openList
	}
	return newAccessList(entries)
}

func (a *ACL) isWorld() bool { return a.Scheme == schemeWorld && a.ID == "anyone" }

// allows reports whether the list grants one of the permissions in perm, to one
// of the identities or to everyone.
func (l *accessList) allows(perm int32, auth []Identity) bool {
	if l.world&perm != 0 {
		return true
	}
	for i := range auth {
		if auth[i].Scheme == schemeSuper {
			return true
		}
	}
	for i := range l.entries {
		a := &l.entries[i]
		if a.Perms&perm == 0 {
			continue
		}
		for j := range auth {
			if a.matches(&auth[j]) {
				return true
			}
		}
	}
	return false
}

func (a *ACL) matches(id *Identity) bool {
	if a.Scheme != id.Scheme {
		return false
	}
	switch a.Scheme {
	case schemeDigest:
		return a.ID == id.ID
	case schemeIP:
		return ipMatches(a.ID, id.ID)
	}
	return false
}

// guard returns the list if it denies reading to some clients, otherwise nil.
func (l *accessList) guard() *accessList {
	if l.world&PermRead != 0 {
		return nil
	}
	return l
}

// ResolveACL returns the list that a node gets when a client with these
// identities asks for acl. Repeated entries are dropped, and an entry of scheme
// "auth" becomes one entry for each identity that the client proved (an address
// is not proved). nil resolves to OpenACL. The code is ErrInvalidACL if the list
// is empty, if an entry has an unknown scheme or an ID that its scheme does not
// accept, or if it has scheme "auth" and the client proved nothing.
func ResolveACL(acl []ACL, auth []Identity) ([]ACL, Code) {
	if acl == nil {
		return OpenACL, OK
	}
	if len(acl) == 0 {
		return nil, ErrInvalidACL
	}
	out := make([]ACL, 0, len(acl))
	for i := range acl {
		a := acl[i]
		if slices.Contains(acl[:i], a) {
			continue
		}
		if a.Scheme != schemeAuth {
			if !a.valid() {
				return nil, ErrInvalidACL
			}
			out = append(out, a)
			continue
		}
		before := len(out)
		for _, id := range auth {
			if id.Scheme == schemeDigest {
				out = append(out, ACL{a.Perms, id.Scheme, id.ID})
			}
		}
		if len(out) == before {
			return nil, ErrInvalidACL
		}
	}
	return out, OK
}

func (a *ACL) valid() bool {
	switch a.Scheme {
	case schemeWorld:
		return a.isWorld()
	case schemeDigest:
		return digestParts(a.ID) == 2
	case schemeIP:
		_, _, ok := parseNet(a.ID)
		return ok
	}
	return false
}

// digestParts counts parts as Java's split does, which drops empty ones at the
// end: "a:b:" has two.
func digestParts(id string) int {
	trimmed := strings.TrimRight(id, ":")
	if trimmed == "" {
		return 0
	}
	return 1 + strings.Count(trimmed, ":")
}

const ipBits = 32

// parseNet reads an IPv4 address or a network as address/bits.
func parseNet(id string) (addr uint32, bits int, ok bool) {
	text, size, masked := strings.Cut(id, "/")
	addr, ok = parseIP(text)
	bits = ipBits
	if ok && masked {
		n, err := strconv.ParseInt(size, 10, 32)
		ok = err == nil && n >= 0 && n <= ipBits
		bits = int(n)
	}
	return addr, bits, ok
}

func parseIP(text string) (addr uint32, ok bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 4 {
		return 0, false
	}
	for _, p := range parts {
		n, err := strconv.ParseInt(p, 10, 32)
		if err != nil || n < 0 || n > 255 {
			return 0, false
		}
		addr = addr<<8 | uint32(n)
	}
	return addr, true
}

func ipMatches(entry, address string) bool {
	want, bits, ok := parseNet(entry)
	if !ok {
		return false
	}
	got, ok := parseIP(address)
	return ok && (want^got)>>(ipBits-bits) == 0
}

// Allowed returns OK if a node's list grants one of the permissions to one of the
// identities or to everyone, otherwise ErrNoAuth, or ErrNoNode. Get and Children
// do not check: a server asks for PermRead first. Exists needs no permission.
func (t *Tree) Allowed(path string, perm int32, auth []Identity) Code {
	n := t.nodes[path]
	switch {
	case n == nil:
		return ErrNoNode
	case !n.acl.allows(perm, auth):
		return ErrNoAuth
	}
	return OK
}

// ACLFor returns a node's access list as a client with these identities may see
// it. Without PermAdmin the hashes of digests are shown as "x"; with neither
// PermAdmin nor PermRead the code is ErrNoAuth. The slice may be the tree's own:
// do not change it.
func (t *Tree) ACLFor(path string, auth []Identity) ([]ACL, Stat, Code) {
	n := t.nodes[path]
	switch {
	case n == nil:
		return nil, Stat{}, ErrNoNode
	case !n.acl.allows(PermRead|PermAdmin, auth):
		return nil, Stat{}, ErrNoAuth
	case n.acl.allows(PermAdmin, auth):
		return n.acl.entries, n.view(), OK
	}
	shown := slices.Clone(n.acl.entries)
	for i := range shown {
		if user, _, ok := strings.Cut(shown[i].ID, ":"); ok && shown[i].Scheme == schemeDigest {
			shown[i].ID = user + ":x"
		}
	}
	return shown, n.view(), OK
}

// ACLOf returns a node's access list. The slice is the tree's own: do not change it.
func (t *Tree) ACLOf(path string) ([]ACL, Stat, Code) {
	n := t.nodes[path]
	if n == nil {
		return nil, Stat{}, ErrNoNode
	}
	return n.acl.entries, n.view(), OK
}

// listFor returns the list that an operation of txn gives a node. The list of a
// trusted transaction was resolved when it was first applied; the identities
// needed to resolve it again are not in a log.
func listFor(txn *Txn, op *Op) (*accessList, Code) {
	if op.ACL == nil {
		return openList, OK
	}
	if txn.Trusted && len(op.ACL) > 0 {
		return asList(op.ACL), OK
	}
	entries, code := ResolveACL(op.ACL, txn.Auth)
	if code != OK {
		return nil, code
	}
	return asList(entries), OK
}

// denies reports whether the node's list keeps txn from what needs perm.
func (n *node) denies(txn *Txn, perm int32) bool {
	return !txn.Trusted && !n.acl.allows(perm, txn.Auth)
}

// setACL checks, in ZooKeeper's order: path, list, node, ADMIN, version of the
// list. It fires no watch.
func (t *Tree) setACL(txn *Txn, op *Op, done *OpResult) Code {
	n := t.nodes[op.Path]
	if n == nil && !ValidPath(op.Path) {
		return ErrBadArguments
	}
	acl, code := listFor(txn, op)
	switch {
	case code != OK:
		return code
	case n == nil:
		return ErrNoNode
	case n.denies(txn, PermAdmin):
		return ErrNoAuth
	case op.Version != -1 && op.Version != n.stat.Aversion:
		return ErrBadVersion
	}
	n.acl = acl
	n.stat.Aversion++
	done.Stat = n.view()
	return OK
}
