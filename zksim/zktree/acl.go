package zktree

import (
	"crypto/sha1"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// What an entry of an access list can allow; a list allows what any of its
// entries does.
const (
	PermRead   int32 = 1  // the data and the children
	PermWrite  int32 = 2  // setting the data
	PermCreate int32 = 4  // creating children
	PermDelete int32 = 8  // deleting children
	PermAdmin  int32 = 16 // setting the access list
	PermAll    int32 = 31
)

// The schemes of identities and list entries that this tree knows.
const (
	schemeWorld  = "world"  // only with the ID anyone: everybody
	schemeAuth   = "auth"   // in a request only: stands for whatever the asker has proved
	schemeDigest = "digest" // user:base64(sha1(user:password))
	schemeIP     = "ip"     // an address, in a list with a number of bits after a slash
	schemeSuper  = "super"  // an identity that no list can stop
)

// ACL is one entry of an access list.
type ACL struct {
	Perms  int32 // bits beyond PermAll are kept and mean nothing
	Scheme string
	ID     string
}

// OpenACL is the access list of a node that anybody may use; a nil ACL in an
// Op stands for it. It is shared: do not change it.
var OpenACL = []ACL{{Perms: PermAll, Scheme: schemeWorld, ID: "anyone"}}

// Identity is one that a connection has proved: of scheme "digest" an ID is
// user:base64(sha1(user:password)), of scheme "ip" an IPv4 address. One of
// scheme "super" may do everything.
type Identity struct {
	Scheme, ID string
}

// DigestIdentity is who proves to know "user:password". Without a colon the
// whole is the user.
func DigestIdentity(userPassword string) Identity {
	user, _, _ := strings.Cut(userPassword, ":")
	sum := sha1.Sum([]byte(userPassword))
	return Identity{schemeDigest, user + ":" + base64.StdEncoding.EncodeToString(sum[:])}
}

// accessList is a node's list, and what it allows to everybody.
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
		if a.everybody() {
			l.world |= a.Perms
		}
	}
	if len(entries) == 0 {
		l.world = PermAll // as in ZooKeeper, no list is no hindrance
	}
	return l
}

// asList is newAccessList that shares the most frequent list.
func asList(entries []ACL) *accessList {
	if entries == nil || slices.Equal(entries, OpenACL) {
		return openList
	}
	return newAccessList(entries)
}

func (a *ACL) everybody() bool { return a.Scheme == schemeWorld && a.ID == "anyone" }

// allows says whether one of the identities, or anybody, has one of the
// permissions.
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

// guard is the list itself if it keeps some from reading, else nil.
func (l *accessList) guard() *accessList {
	if l.world&PermRead != 0 {
		return nil
	}
	return l
}

// ResolveACL is the list that a node gets when somebody with these identities
// asks for acl: equal entries once, and in the place of each of scheme "auth"
// one for every identity that was proved ("ip" is not). ErrInvalidACL: the list
// is empty, or an entry is of no known scheme, has an ID that its scheme does
// not take, or is of scheme "auth" and nothing was proved. nil is OpenACL.
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
		return a.everybody()
	case schemeDigest:
		return digestParts(a.ID) == 2
	case schemeIP:
		_, _, ok := parseNet(a.ID)
		return ok
	}
	return false
}

// digestParts counts as Java's split does, which forgets empty parts at the
// end: "a:b:" has two.
func digestParts(id string) int {
	trimmed := strings.TrimRight(id, ":")
	if trimmed == "" {
		return 0
	}
	return 1 + strings.Count(trimmed, ":")
}

const ipBits = 32

// parseNet reads an IPv4 address, or address/bits.
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

// Allowed says whether one of the identities, or anybody, has one of the
// permissions on a node: OK, ErrNoAuth or ErrNoNode. A server asks for PermRead
// before it gives out data or children; Exists is for everybody.
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

// ACLFor is a node's access list as its asker may see it: ErrNoAuth without
// PermRead and PermAdmin, and without PermAdmin the hashes of digests as "x".
// The slice may be the tree's own: do not change it.
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

// ACLOf is a node's access list. The slice is the tree's own: do not change it.
func (t *Tree) ACLOf(path string) ([]ACL, Stat, Code) {
	n := t.nodes[path]
	if n == nil {
		return nil, Stat{}, ErrNoNode
	}
	return n.acl.entries, n.view(), OK
}

// listFor is the list that an operation of txn gives a node. That of a trusted
// transaction was resolved when it was first applied.
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

// denies holds txn against a node's list.
func (n *node) denies(txn *Txn, perm int32) bool {
	return !txn.Trusted && !n.acl.allows(perm, txn.Auth)
}

// setACL's checks: path, list, node, ADMIN, version of the list. Watches are
// not told.
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
