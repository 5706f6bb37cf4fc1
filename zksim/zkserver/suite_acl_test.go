package zkserver

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"slices"
	"testing"

	"dkv/zksim/zktree"
)

// digestID returns the ID that the password "p" proves.
func digestID(user string) string {
	sum := sha1.Sum([]byte(user + ":p"))
	return user + ":" + base64.StdEncoding.EncodeToString(sum[:])
}

func aclFor(perms int32, user string) zktree.ACL {
	return zktree.ACL{Perms: perms, Scheme: "digest", ID: digestID(user)}
}

func aclWorld(perms int32) zktree.ACL {
	return zktree.ACL{Perms: perms, Scheme: "world", ID: "anyone"}
}

func aclAuth(perms int32) zktree.ACL { return zktree.ACL{Perms: perms, Scheme: "auth"} }

func aclIP(perms int32, id string) zktree.ACL {
	return zktree.ACL{Perms: perms, Scheme: "ip", ID: id}
}

// as begins a session with an identity.
func as(t *testing.T, at target, user string) *wireClient {
	t.Helper()
	c := newSession(t, at.addr, longest)
	want(t, "identity "+user, c.auth("digest", user+":p").Err, zktree.OK)
	return c
}

func opCreateWith(path string, acl ...zktree.ACL) zktree.Op {
	return zktree.Op{Code: zktree.OpCreate, Path: path, ACL: append([]zktree.ACL{}, acl...)}
}

// suiteACLOrders makes requests that are forbidden and also wrong in another way: the
// code shows where the access list stands among the checks.
func suiteACLOrders(t *testing.T, at target) {
	c, root := place(t, at)
	owner := as(t, at, "u")
	closed := root + "/closed"
	only := aclFor(zktree.PermAll, "u")
	for _, op := range ops(opCreateWith(closed, only), opCreate(closed+"/c"),
		zktree.Op{Code: zktree.OpCreate, Path: root + "/e", Flags: zktree.Ephemeral, ACL: []zktree.ACL{only}}) {
		want(t, "set-up", owner.write(op).Err, zktree.OK)
	}
	setACL := func(path string, version int32, acl ...zktree.ACL) zktree.Op {
		return zktree.Op{Code: zktree.OpSetACL, Path: path, Version: version, ACL: append([]zktree.ACL{}, acl...)}
	}
	for _, x := range []struct {
		name string
		op   zktree.Op
		want zktree.Code
	}{
		{"create: an empty list before the parent's", opCreateWith(closed + "/x"), zktree.ErrInvalidACL},
		{"create: the parent's list", opCreate(closed + "/x"), zktree.ErrNoAuth},
		{"create: the parent's list before the path", opCreate(closed + "/x\x01"), zktree.ErrNoAuth},
		{"create: the parent's list before existence", opCreate(closed + "/c"), zktree.ErrNoAuth},
		{"create: the parent's list before its kind", opCreate(root + "/e/x"), zktree.ErrNoAuth},
		{"delete: the parent's list", opDelete(closed + "/c"), zktree.ErrNoAuth},
		{"delete: the parent's list before the node", opDelete(closed + "/no"), zktree.ErrNoAuth},
		{"delete: not the node's own list", opDelete(closed), zktree.ErrNotEmpty},
		{"set: the list before the version", zktree.Op{Code: zktree.OpSetData, Path: closed, Version: 9}, zktree.ErrNoAuth},
		{"set: not the parent's list", opSet(closed + "/c"), zktree.OK},
		{"setACL: the path first", setACL(closed+"/", -1), zktree.ErrBadArguments},
		{"setACL: the new list before the node", setACL(root+"/no", -1), zktree.ErrInvalidACL},
		{"setACL: the node", setACL(root+"/no", -1, aclWorld(1)), zktree.ErrNoNode},
		{"setACL: the list before the version", setACL(closed, 9, aclWorld(1)), zktree.ErrNoAuth},
		{"setACL: the version", setACL(closed+"/c", 9, aclWorld(1)), zktree.ErrBadVersion},
		{"setACL: version -2", setACL(closed+"/c", -2, aclWorld(1)), zktree.ErrBadVersion},
	} {
		want(t, x.name, c.write(x.op).Err, x.want)
	}
	want(t, "check without READ", errs(c.multi(opCheck(closed, 0))), []zktree.Code{zktree.ErrNoAuth})
	want(t, "check without READ, of a wrong version", errs(c.multi(opCheck(closed, 9))), []zktree.Code{zktree.ErrNoAuth})
	want(t, "exists without permission", c.exists(closed, false).Err, zktree.OK)
	want(t, "sync without permission", c.call(wireSync, func(e *encoder) { e.str(closed) }).Err, zktree.OK)
	want(t, "a missing node below one without permission", c.read(opGetData, closed+"/no", false).Err, zktree.ErrNoNode)
	want(t, "delete by the owner", owner.write(opDelete(closed+"/c")).Err, zktree.OK)
}

// suiteACLPermissions grants each permission alone, and none, and tries every
// operation.
func suiteACLPermissions(t *testing.T, at target) {
	c, root := place(t, at)
	owner := as(t, at, "u")
	for _, perm := range []int32{0, permRead, permWrite, permCreate, permDelete, permAdmin, zktree.PermAll} {
		n := fmt.Sprintf("%s/p%d", root, perm)
		want(t, "set-up", owner.write(opCreateWith(n, aclWorld(perm), aclFor(zktree.PermAll, "u"))).Err, zktree.OK)
		want(t, "set-up", owner.create(n+"/c", "", 0).Err, zktree.OK)
		for _, x := range []struct {
			name  string
			needs int32
			got   func() zktree.Code
		}{
			{"getData", permRead, func() zktree.Code { return c.read(opGetData, n, false).Err }},
			{"getChildren", permRead, func() zktree.Code { return c.read(opGetChildren, n, false).Err }},
			{"getChildren2", permRead, func() zktree.Code { return c.read(opChildren2, n, false).Err }},
			{"getAllChildrenNumber", permRead, func() zktree.Code { return c.countAll(n).Err }},
			{"multiRead", permRead, func() zktree.Code { return c.multiRead(partRead{Code: opGetData, Path: n}).Reads[0].Err }},
			{"check", permRead, func() zktree.Code { return errs(c.multi(opCheck(n, -1)))[0] }},
			{"getACL", permRead | permAdmin, func() zktree.Code { return c.aclOf(n).Err }},
			{"setData", permWrite, func() zktree.Code { return c.set(n, "x", -1).Err }},
			{"create", permCreate, func() zktree.Code { return c.create(n+"/d", "", 0).Err }},
			{"delete", permDelete, func() zktree.Code { return c.delete(n+"/c", -1).Err }},
			{"setACL", permAdmin, func() zktree.Code { return c.setACL(n, -1, aclWorld(perm), aclFor(zktree.PermAll, "u")).Err }},
			{"exists", zktree.PermAll + 32, func() zktree.Code { return c.exists(n, false).Err }},
		} {
			wanted := zktree.OK
			if x.needs&perm == 0 && x.needs < 32 {
				wanted = zktree.ErrNoAuth
			}
			want(t, fmt.Sprintf("%s with permission %d", x.name, perm), x.got(), wanted)
		}
	}
}

func suiteSetACL(t *testing.T, at target) {
	c, root := place(t, at)
	before := c.exists(root, false).Stat
	c.read(opGetData, root, true)
	c.read(opChildren2, root, true)
	o := c.setACL(root, 0, aclWorld(zktree.PermAll), aclFor(permRead, "u"))
	want(t, "code", o.Err, zktree.OK)
	after := before
	after.Aversion = 1
	want(t, "the stat in the answer", o.Stat, after)
	want(t, "the stat afterwards", c.exists(root, false).Stat, after)
	want(t, "events of setACL", c.takeEvents(), nil)
	got := c.aclOf(root)
	want(t, "the list", got.ACL, []zktree.ACL{aclWorld(zktree.PermAll), aclFor(permRead, "u")})
	want(t, "its stat", got.Stat, after)
	want(t, "an old aversion", c.setACL(root, 0, aclWorld(1)).Err, zktree.ErrBadVersion)
	want(t, "the aversion after a set", c.set(root, "x", 0).Stat.Aversion, 1)
	want(t, "the aversion after another setACL", c.setACL(root, 1, aclWorld(zktree.PermAll)).Stat.Aversion, 2)
	want(t, "getACL of a missing node", c.aclOf(root+"/no").Err, zktree.ErrNoNode)
	dup := c.write(opCreateWith(root+"/dup", aclWorld(permRead), aclFor(3, "u"), aclWorld(permRead), aclWorld(permAdmin)))
	want(t, "create with repeated entries", dup.Err, zktree.OK)
	want(t, "the list without repeated entries", c.aclOf(root+"/dup").ACL, []zktree.ACL{aclWorld(permRead), aclFor(3, "u"), aclWorld(permAdmin)})
	want(t, "delete", c.write(opDelete(root+"/dup")).Err, zktree.OK)
	c.create(root+"/dup", "", 0)
	want(t, "the list of a node created again", c.aclOf(root+"/dup").ACL, zktree.OpenACL)
	want(t, "the aversion of a node created again", c.exists(root+"/dup", false).Stat.Aversion, 0)
}

func suiteACLValidity(t *testing.T, at target) {
	c, root := place(t, at)
	ip := func(id string) zktree.ACL { return aclIP(zktree.PermAll, id) }
	other := func(scheme, id string) zktree.ACL { return zktree.ACL{Perms: 31, Scheme: scheme, ID: id} }
	for i, x := range []struct {
		acl  zktree.ACL
		want zktree.Code
	}{
		{other("world", "someone"), zktree.ErrInvalidACL},
		{other("world", ""), zktree.ErrInvalidACL},
		{other("nonsense", "x"), zktree.ErrInvalidACL},
		{other("", "x"), zktree.ErrInvalidACL},
		{other("digest", "u"), zktree.ErrInvalidACL},
		{other("digest", "u:v:w"), zktree.ErrInvalidACL},
		{other("digest", "u:v"), zktree.OK},
		{other("digest", ":v"), zktree.OK},
		{other("digest", "u:"), zktree.ErrInvalidACL},
		{ip("127.0.0.1"), zktree.OK},
		{ip("10.1.2.3/8"), zktree.OK},
		{ip("10.1.2.3/0"), zktree.OK},
		{ip("10.1.2.3/32"), zktree.OK},
		{ip("10.1.2.3/33"), zktree.ErrInvalidACL},
		{ip("10.1.2.3/-1"), zktree.ErrInvalidACL},
		{ip("10.1.2.3/x"), zktree.ErrInvalidACL},
		{ip("10.1.2"), zktree.ErrInvalidACL},
		{ip("10.1.2.256"), zktree.ErrInvalidACL},
		{ip("here"), zktree.ErrInvalidACL},
		{ip(""), zktree.ErrInvalidACL},
		{aclAuth(31), zktree.ErrInvalidACL}, // the client has proved no identity
		{aclWorld(0), zktree.OK},
		{aclWorld(64), zktree.OK},
		{aclWorld(-1), zktree.OK},
	} {
		path := fmt.Sprintf("%s/n%d", root, i)
		name := fmt.Sprintf("%+v", x.acl)
		want(t, name, c.write(opCreateWith(path, aclWorld(1), x.acl)).Err, x.want)
		if x.want == zktree.OK {
			want(t, name+" is kept", c.aclOf(path).ACL[1].ID, hidden(x.acl))
		}
		want(t, name+" in setACL", c.setACL(root, -1, aclWorld(31), x.acl).Err, x.want)
	}
}

// hidden returns the ID of an entry as a client without ADMIN sees it: without the
// hash of a digest.
func hidden(a zktree.ACL) string {
	if a.Scheme != "digest" {
		return a.ID
	}
	user, _, _ := cutAt(a.ID, ':')
	return user + ":x"
}

func cutAt(s string, b byte) (before, after string, found bool) {
	if i := slices.Index([]byte(s), b); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func suiteIdentities(t *testing.T, at target) {
	c, root := place(t, at)
	type ids = []zktree.Identity
	local := zktree.Identity{Scheme: "ip", ID: "127.0.0.1"}
	want(t, "whoAmI at first", c.whoAmI().IDs, ids{local})
	want(t, "u", c.auth("digest", "u:p").Err, zktree.OK)
	want(t, "v", c.auth("digest", "v:p").Err, zktree.OK)
	want(t, "v again", c.auth("digest", "v:p").Err, zktree.OK)
	want(t, "whoAmI", c.whoAmI().IDs, ids{{Scheme: "digest", ID: "u"}, {Scheme: "digest", ID: "v"}, local})

	both := []zktree.ACL{aclFor(permRead|permAdmin, "u"), aclFor(permRead|permAdmin, "v")}
	byID := func(list []zktree.ACL) []zktree.ACL {
		slices.SortFunc(list, func(a, b zktree.ACL) int { return slices.Compare([]byte(a.ID), []byte(b.ID)) })
		return list
	}
	want(t, "auth at create", c.write(opCreateWith(root+"/a", aclAuth(permRead|permAdmin))).Err, zktree.OK)
	want(t, "the list made of scheme auth", byID(c.aclOf(root+"/a").ACL), both)
	want(t, "auth in a multi", errs(c.multi(opCreateWith(root+"/m", zktree.ACL{Perms: permRead | permAdmin, Scheme: "auth", ID: "ignored"}))), []zktree.Code{0})
	want(t, "the list made in a multi", byID(c.aclOf(root+"/m").ACL), both)
	want(t, "auth in setACL", c.setACL(root+"/a", -1, aclWorld(permWrite), aclAuth(permRead|permAdmin)).Err, zktree.OK)
	want(t, "the list that setACL made", byID(c.aclOf(root + "/a").ACL[1:]), both)
	want(t, "the first entry of that list", c.aclOf(root + "/a").ACL[0], aclWorld(permWrite))

	stranger := newSession(t, at.addr, longest)
	want(t, "a read by a client without the identities", stranger.read(opGetData, root+"/a", false).Err, zktree.ErrNoAuth)
	want(t, "a write that everyone may do", stranger.set(root+"/a", "x", -1).Err, zktree.OK)
	want(t, "a read with one of the identities", as(t, at, "v").read(opGetData, root+"/a", false).Err, zktree.OK)
	wrong := newSession(t, at.addr, longest)
	want(t, "proving u with another password", wrong.auth("digest", "u:other").Err, zktree.OK)
	want(t, "a read with that identity", wrong.read(opGetData, root+"/a", false).Err, zktree.ErrNoAuth)

	again, err := hello(t, at.addr, longest, c.session, c.password, c.lastZxid)
	if err != nil || again.session != c.session {
		t.Fatalf("reattach: %v", err)
	}
	want(t, "a read over a new connection of the session", again.read(opGetData, root+"/a", false).Err, zktree.ErrNoAuth)
	want(t, "proving the identity again", again.auth("digest", "u:p").Err, zktree.OK)
	want(t, "a read after that", again.read(opGetData, root+"/a", false).Err, zktree.OK)
	want(t, "proof of scheme ip", again.auth("ip", "").Err, zktree.OK)
	want(t, "whoAmI after it", again.whoAmI().IDs, ids{{Scheme: "digest", ID: "u"}, local})
}

func suiteAddresses(t *testing.T, at target) {
	c, root := place(t, at)
	owner := as(t, at, "u")
	for i, x := range []struct {
		id   string
		want zktree.Code
	}{
		{"127.0.0.1", zktree.OK}, {"127.0.0.1/32", zktree.OK}, {"127.1.2.3/8", zktree.OK}, {"126.0.0.0/7", zktree.OK}, {"9.9.9.9/0", zktree.OK},
		{"127.0.0.2", zktree.ErrNoAuth}, {"127.0.0.0/32", zktree.ErrNoAuth}, {"126.0.0.0/8", zktree.ErrNoAuth}, {"10.0.0.0/8", zktree.ErrNoAuth},
	} {
		path := fmt.Sprintf("%s/n%d", root, i)
		want(t, x.id, owner.write(opCreateWith(path, aclIP(permRead, x.id))).Err, zktree.OK)
		want(t, "a client at 127.0.0.1 and "+x.id, c.read(opGetData, path, false).Err, x.want)
	}
}

// suiteGetACL checks that the hashes of digests are shown only to clients that may
// change the list.
func suiteGetACL(t *testing.T, at target) {
	c, root := place(t, at)
	owner := as(t, at, "u")
	list := []zktree.ACL{aclWorld(permRead), aclFor(zktree.PermAll, "u"), aclFor(permRead, "v"), aclIP(permWrite, "10.0.0.1")}
	want(t, "set-up", owner.write(opCreateWith(root+"/n", list...)).Err, zktree.OK)
	want(t, "the list shown to the owner", owner.aclOf(root+"/n").ACL, list)
	shown := slices.Clone(list)
	shown[1].ID, shown[2].ID = "u:x", "v:x"
	want(t, "the list shown to a reader", c.aclOf(root+"/n").ACL, shown)
	want(t, "the list shown to another reader", as(t, at, "v").aclOf(root+"/n").ACL, shown)
	want(t, "setACL", owner.setACL(root+"/n", -1, aclWorld(permAdmin), list[1]).Err, zktree.OK)
	want(t, "the list shown to a client with ADMIN only", c.aclOf(root+"/n").ACL, []zktree.ACL{aclWorld(permAdmin), list[1]})
}

func suiteAuth(t *testing.T, at target) {
	c, root := place(t, at)
	r := c.auth("digest", "u:p")
	want(t, "digest", r.Err, zktree.OK)
	want(t, "the zxid of its answer", r.Zxid, 0)
	want(t, "a read after it", c.exists(root, false).Err, zktree.OK)
	for _, scheme := range []string{"nonsense", "world", "auth", ""} {
		d := newSession(t, at.addr, longest)
		want(t, fmt.Sprintf("scheme %q", scheme), d.auth(scheme, "u:p").Err, zktree.ErrAuthFailed)
		want(t, "connection closed", d.closedByServer(), true)
	}
}

// suiteProtectedEvents checks that a watcher gets no events of nodes that it may not
// read.
func suiteProtectedEvents(t *testing.T, at target) {
	c, root := place(t, at)
	owner := as(t, at, "u")
	secret := root + "/secret"
	reads := newSession(t, at.addr, longest)
	reads.auth("digest", "u:p")
	for _, w := range []*wireClient{c, reads} {
		want(t, "one-shot", w.exists(secret, true).Err, zktree.ErrNoNode)
		want(t, "recursive", w.addWatch(root, watchRecursive).Err, zktree.OK)
	}
	want(t, "created", owner.write(opCreateWith(secret, aclFor(zktree.PermAll, "u"))).Err, zktree.OK)
	want(t, "child", owner.create(secret+"/open", "", 0).Err, zktree.OK)
	want(t, "set", owner.set(secret, "x", -1).Err, zktree.OK)
	want(t, "child deleted", owner.delete(secret+"/open", -1).Err, zktree.OK)
	want(t, "deleted", owner.delete(secret, -1).Err, zktree.OK)
	all := []zktree.Event{{Type: zktree.EventCreated, Path: secret}, {Type: zktree.EventCreated, Path: secret + "/open"},
		{Type: zktree.EventDataChanged, Path: secret}, {Type: zktree.EventDeleted, Path: secret + "/open"}, {Type: zktree.EventDeleted, Path: secret}}
	want(t, "events of the watcher that may read", reads.takeEvents(), all)
	want(t, "events of the watcher that may not", c.takeEvents(), []zktree.Event{all[1], all[3]})
}
