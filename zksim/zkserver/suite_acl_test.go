package zkserver

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"slices"
	"testing"
	"time"

	"dkv/zksim"
)

// digestID is the identity that the password "p" proves.
func digestID(user string) string {
	sum := sha1.Sum([]byte(user + ":p"))
	return user + ":" + base64.StdEncoding.EncodeToString(sum[:])
}

func aclFor(perms int32, user string) zksim.ACL {
	return zksim.ACL{Perms: perms, Scheme: "digest", ID: digestID(user)}
}

func aclWorld(perms int32) zksim.ACL {
	return zksim.ACL{Perms: perms, Scheme: "world", ID: "anyone"}
}

func aclAuth(perms int32) zksim.ACL { return zksim.ACL{Perms: perms, Scheme: "auth"} }

func aclIP(perms int32, id string) zksim.ACL {
	return zksim.ACL{Perms: perms, Scheme: "ip", ID: id}
}

// as gives a session an identity.
func as(t *testing.T, at target, user string) *wireClient {
	t.Helper()
	c := newSession(t, at.addr, 4*time.Second)
	want(t, "identity "+user, c.auth("digest", user+":p").Err, zksim.OK)
	return c
}

func opCreateWith(path string, acl ...zksim.ACL) zksim.Op {
	return zksim.Op{Code: zksim.OpCreate, Path: path, ACL: append([]zksim.ACL{}, acl...)}
}

// suiteACLOrders asks for what is forbidden and also wrong otherwise: the place
// of the access list among the checks shows.
func suiteACLOrders(t *testing.T, at target) {
	c, root := place(t, at)
	owner := as(t, at, "u")
	closed := root + "/closed"
	only := aclFor(zksim.PermAll, "u")
	for _, op := range ops(opCreateWith(closed, only), opCreate(closed+"/c"),
		zksim.Op{Code: zksim.OpCreate, Path: root + "/e", Flags: zksim.Ephemeral, ACL: []zksim.ACL{only}}) {
		want(t, "set-up", owner.write(op).Err, zksim.OK)
	}
	setACL := func(path string, version int32, acl ...zksim.ACL) zksim.Op {
		return zksim.Op{Code: zksim.OpSetACL, Path: path, Version: version, ACL: append([]zksim.ACL{}, acl...)}
	}
	for _, x := range []struct {
		story string
		op    zksim.Op
		want  zksim.Code
	}{
		{"create: an empty list before the parent's", opCreateWith(closed + "/x"), zksim.ErrInvalidACL},
		{"create: the parent's list", opCreate(closed + "/x"), zksim.ErrNoAuth},
		{"create: the parent's list before the path", opCreate(closed + "/x\x01"), zksim.ErrNoAuth},
		{"create: the parent's list before existence", opCreate(closed + "/c"), zksim.ErrNoAuth},
		{"create: the parent's list before its kind", opCreate(root + "/e/x"), zksim.ErrNoAuth},
		{"delete: the parent's list", opDelete(closed + "/c"), zksim.ErrNoAuth},
		{"delete: the parent's list before the node", opDelete(closed + "/no"), zksim.ErrNoAuth},
		{"delete: the node's own list has no say", opDelete(closed), zksim.ErrNotEmpty},
		{"set: the list before the version", zksim.Op{Code: zksim.OpSetData, Path: closed, Version: 9}, zksim.ErrNoAuth},
		{"set: the node's own list only", opSet(closed + "/c"), zksim.OK},
		{"setACL: the path first", setACL(closed+"/", -1), zksim.ErrBadArguments},
		{"setACL: the new list before the node", setACL(root+"/no", -1), zksim.ErrInvalidACL},
		{"setACL: the node", setACL(root+"/no", -1, aclWorld(1)), zksim.ErrNoNode},
		{"setACL: the list before the version", setACL(closed, 9, aclWorld(1)), zksim.ErrNoAuth},
		{"setACL: the version", setACL(closed+"/c", 9, aclWorld(1)), zksim.ErrBadVersion},
		{"setACL: version -2", setACL(closed+"/c", -2, aclWorld(1)), zksim.ErrBadVersion},
	} {
		want(t, x.story, c.write(x.op).Err, x.want)
	}
	want(t, "check needs to read", errs(c.multi(opCheck(closed, 0))), []zksim.Code{zksim.ErrNoAuth})
	want(t, "before the version", errs(c.multi(opCheck(closed, 9))), []zksim.Code{zksim.ErrNoAuth})
	want(t, "exists is free", c.exists(closed, false).Err, zksim.OK)
	want(t, "sync is free", c.call(wireSync, func(e *encoder) { e.str(closed) }).Err, zksim.OK)
	want(t, "a node without permission is not a missing one", c.read(opGetData, closed+"/no", false).Err, zksim.ErrNoNode)
	want(t, "the owner may", owner.write(opDelete(closed+"/c")).Err, zksim.OK)
}

// suiteACLPermissions gives one permission at a time, and none, and tries all.
func suiteACLPermissions(t *testing.T, at target) {
	c, root := place(t, at)
	owner := as(t, at, "u")
	for _, perm := range []int32{0, permRead, permWrite, permCreate, permDelete, permAdmin, zksim.PermAll} {
		n := fmt.Sprintf("%s/p%d", root, perm)
		want(t, "set-up", owner.write(opCreateWith(n, aclWorld(perm), aclFor(zksim.PermAll, "u"))).Err, zksim.OK)
		want(t, "set-up", owner.create(n+"/c", "", 0).Err, zksim.OK)
		for _, x := range []struct {
			story string
			needs int32
			got   func() zksim.Code
		}{
			{"getData", permRead, func() zksim.Code { return c.read(opGetData, n, false).Err }},
			{"getChildren", permRead, func() zksim.Code { return c.read(opGetChildren, n, false).Err }},
			{"getChildren2", permRead, func() zksim.Code { return c.read(opChildren2, n, false).Err }},
			{"getAllChildrenNumber", permRead, func() zksim.Code { return c.countAll(n).Err }},
			{"multiRead", permRead, func() zksim.Code { return c.multiRead(partRead{Code: opGetData, Path: n}).Reads[0].Err }},
			{"check", permRead, func() zksim.Code { return errs(c.multi(opCheck(n, -1)))[0] }},
			{"getACL", permRead | permAdmin, func() zksim.Code { return c.aclOf(n).Err }},
			{"setData", permWrite, func() zksim.Code { return c.set(n, "x", -1).Err }},
			{"create", permCreate, func() zksim.Code { return c.create(n+"/d", "", 0).Err }},
			{"delete", permDelete, func() zksim.Code { return c.delete(n+"/c", -1).Err }},
			{"setACL", permAdmin, func() zksim.Code { return c.setACL(n, -1, aclWorld(perm), aclFor(zksim.PermAll, "u")).Err }},
			{"exists", zksim.PermAll + 32, func() zksim.Code { return c.exists(n, false).Err }},
		} {
			wanted := zksim.OK
			if x.needs&perm == 0 && x.needs < 32 {
				wanted = zksim.ErrNoAuth
			}
			want(t, fmt.Sprintf("%s with permission %d", x.story, perm), x.got(), wanted)
		}
	}
}

func suiteSetACL(t *testing.T, at target) {
	c, root := place(t, at)
	before := c.exists(root, false).Stat
	c.read(opGetData, root, true)
	c.read(opChildren2, root, true)
	o := c.setACL(root, 0, aclWorld(zksim.PermAll), aclFor(permRead, "u"))
	want(t, "code", o.Err, zksim.OK)
	after := before
	after.Aversion = 1
	want(t, "only the aversion moves", o.Stat, after)
	want(t, "as seen later", c.exists(root, false).Stat, after)
	want(t, "no watch fires", c.takeEvents(), nil)
	got := c.aclOf(root)
	want(t, "the list", got.ACL, []zksim.ACL{aclWorld(zksim.PermAll), aclFor(permRead, "u")})
	want(t, "its stat", got.Stat, after)
	want(t, "an old aversion", c.setACL(root, 0, aclWorld(1)).Err, zksim.ErrBadVersion)
	want(t, "the aversion is not the version", c.set(root, "x", 0).Stat.Aversion, 1)
	want(t, "and back", c.setACL(root, 1, aclWorld(zksim.PermAll)).Stat.Aversion, 2)
	want(t, "without a list", c.aclOf(root+"/no").Err, zksim.ErrNoNode)
	dup := c.write(opCreateWith(root+"/dup", aclWorld(permRead), aclFor(3, "u"), aclWorld(permRead), aclWorld(permAdmin)))
	want(t, "duplicates", dup.Err, zksim.OK)
	want(t, "go", c.aclOf(root+"/dup").ACL, []zksim.ACL{aclWorld(permRead), aclFor(3, "u"), aclWorld(permAdmin)})
	want(t, "recreated nodes have none of it", c.write(opDelete(root+"/dup")).Err, zksim.OK)
	c.create(root+"/dup", "", 0)
	want(t, "but their own", c.aclOf(root+"/dup").ACL, zksim.OpenACL)
	want(t, "nor an aversion", c.exists(root+"/dup", false).Stat.Aversion, 0)
}

func suiteACLValidity(t *testing.T, at target) {
	c, root := place(t, at)
	ip := func(id string) zksim.ACL { return aclIP(zksim.PermAll, id) }
	other := func(scheme, id string) zksim.ACL { return zksim.ACL{Perms: 31, Scheme: scheme, ID: id} }
	for i, x := range []struct {
		acl  zksim.ACL
		want zksim.Code
	}{
		{other("world", "someone"), zksim.ErrInvalidACL},
		{other("world", ""), zksim.ErrInvalidACL},
		{other("nonsense", "x"), zksim.ErrInvalidACL},
		{other("", "x"), zksim.ErrInvalidACL},
		{other("digest", "u"), zksim.ErrInvalidACL},
		{other("digest", "u:v:w"), zksim.ErrInvalidACL},
		{other("digest", "u:v"), zksim.OK},
		{other("digest", ":v"), zksim.OK},
		{other("digest", "u:"), zksim.ErrInvalidACL},
		{ip("127.0.0.1"), zksim.OK},
		{ip("10.1.2.3/8"), zksim.OK},
		{ip("10.1.2.3/0"), zksim.OK},
		{ip("10.1.2.3/32"), zksim.OK},
		{ip("10.1.2.3/33"), zksim.ErrInvalidACL},
		{ip("10.1.2.3/-1"), zksim.ErrInvalidACL},
		{ip("10.1.2.3/x"), zksim.ErrInvalidACL},
		{ip("10.1.2"), zksim.ErrInvalidACL},
		{ip("10.1.2.256"), zksim.ErrInvalidACL},
		{ip("here"), zksim.ErrInvalidACL},
		{ip(""), zksim.ErrInvalidACL},
		{aclAuth(31), zksim.ErrInvalidACL}, // nobody in particular asks
		{aclWorld(0), zksim.OK},
		{aclWorld(64), zksim.OK},
		{aclWorld(-1), zksim.OK},
	} {
		path := fmt.Sprintf("%s/n%d", root, i)
		story := fmt.Sprintf("%+v", x.acl)
		want(t, story, c.write(opCreateWith(path, aclWorld(1), x.acl)).Err, x.want)
		if x.want == zksim.OK {
			want(t, story+" is kept", c.aclOf(path).ACL[1].ID, hidden(x.acl))
		}
		want(t, story+" in setACL", c.setACL(root, -1, aclWorld(31), x.acl).Err, x.want)
	}
}

// hidden is the ID of an entry as one without the permission to change it sees
// it: a digest's password is not shown.
func hidden(a zksim.ACL) string {
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
	type ids = []zksim.Identity
	local := zksim.Identity{Scheme: "ip", ID: "127.0.0.1"}
	want(t, "whoAmI at first", c.whoAmI().IDs, ids{local})
	want(t, "u", c.auth("digest", "u:p").Err, zksim.OK)
	want(t, "v", c.auth("digest", "v:p").Err, zksim.OK)
	want(t, "v again", c.auth("digest", "v:p").Err, zksim.OK)
	want(t, "whoAmI", c.whoAmI().IDs, ids{{Scheme: "digest", ID: "u"}, {Scheme: "digest", ID: "v"}, local})

	both := []zksim.ACL{aclFor(permRead|permAdmin, "u"), aclFor(permRead|permAdmin, "v")}
	byID := func(list []zksim.ACL) []zksim.ACL {
		slices.SortFunc(list, func(a, b zksim.ACL) int { return slices.Compare([]byte(a.ID), []byte(b.ID)) })
		return list
	}
	want(t, "auth at create", c.write(opCreateWith(root+"/a", aclAuth(permRead|permAdmin))).Err, zksim.OK)
	want(t, "stands for all identities", byID(c.aclOf(root+"/a").ACL), both)
	want(t, "auth in a multi", errs(c.multi(opCreateWith(root+"/m", zksim.ACL{Perms: permRead | permAdmin, Scheme: "auth", ID: "ignored"}))), []zksim.Code{0})
	want(t, "does too", byID(c.aclOf(root+"/m").ACL), both)
	want(t, "auth in setACL", c.setACL(root+"/a", -1, aclWorld(permWrite), aclAuth(permRead|permAdmin)).Err, zksim.OK)
	want(t, "does too", byID(c.aclOf(root + "/a").ACL[1:]), both)
	want(t, "its first entry", c.aclOf(root + "/a").ACL[0], aclWorld(permWrite))

	stranger := newSession(t, at.addr, 4*time.Second)
	want(t, "a stranger", stranger.read(opGetData, root+"/a", false).Err, zksim.ErrNoAuth)
	want(t, "may what the world may", stranger.set(root+"/a", "x", -1).Err, zksim.OK)
	want(t, "v alone", as(t, at, "v").read(opGetData, root+"/a", false).Err, zksim.OK)
	wrong := newSession(t, at.addr, 4*time.Second)
	want(t, "any password does", wrong.auth("digest", "u:other").Err, zksim.OK)
	want(t, "but is another identity", wrong.read(opGetData, root+"/a", false).Err, zksim.ErrNoAuth)

	again, err := hello(t, at.addr, 4*time.Second, c.session, c.password, c.lastZxid)
	if err != nil || again.session != c.session {
		t.Fatalf("reattach: %v", err)
	}
	want(t, "identities are the connection's, not the session's", again.read(opGetData, root+"/a", false).Err, zksim.ErrNoAuth)
	want(t, "and can be proved again", again.auth("digest", "u:p").Err, zksim.OK)
	want(t, "with effect", again.read(opGetData, root+"/a", false).Err, zksim.OK)
	want(t, "an address proves nothing more", again.auth("ip", "").Err, zksim.OK)
	want(t, "than it did", again.whoAmI().IDs, ids{{Scheme: "digest", ID: "u"}, local})
}

func suiteAddresses(t *testing.T, at target) {
	c, root := place(t, at)
	owner := as(t, at, "u")
	for i, x := range []struct {
		id   string
		want zksim.Code
	}{
		{"127.0.0.1", zksim.OK}, {"127.0.0.1/32", zksim.OK}, {"127.1.2.3/8", zksim.OK}, {"126.0.0.0/7", zksim.OK}, {"9.9.9.9/0", zksim.OK},
		{"127.0.0.2", zksim.ErrNoAuth}, {"127.0.0.0/32", zksim.ErrNoAuth}, {"126.0.0.0/8", zksim.ErrNoAuth}, {"10.0.0.0/8", zksim.ErrNoAuth},
	} {
		path := fmt.Sprintf("%s/n%d", root, i)
		want(t, x.id, owner.write(opCreateWith(path, aclIP(permRead, x.id))).Err, zksim.OK)
		want(t, "a client at 127.0.0.1 and "+x.id, c.read(opGetData, path, false).Err, x.want)
	}
}

// suiteGetACL: passwords are shown to those who may change them.
func suiteGetACL(t *testing.T, at target) {
	c, root := place(t, at)
	owner := as(t, at, "u")
	list := []zksim.ACL{aclWorld(permRead), aclFor(zksim.PermAll, "u"), aclFor(permRead, "v"), aclIP(permWrite, "10.0.0.1")}
	want(t, "set-up", owner.write(opCreateWith(root+"/n", list...)).Err, zksim.OK)
	want(t, "to the owner", owner.aclOf(root+"/n").ACL, list)
	shown := slices.Clone(list)
	shown[1].ID, shown[2].ID = "u:x", "v:x"
	want(t, "to a reader", c.aclOf(root+"/n").ACL, shown)
	want(t, "to another reader", as(t, at, "v").aclOf(root+"/n").ACL, shown)
	want(t, "to an admin", owner.setACL(root+"/n", -1, aclWorld(permAdmin), list[1]).Err, zksim.OK)
	want(t, "who may not read", c.aclOf(root+"/n").ACL, []zksim.ACL{aclWorld(permAdmin), list[1]})
}

func suiteAuth(t *testing.T, at target) {
	c, root := place(t, at)
	r := c.auth("digest", "u:p")
	want(t, "digest", r.Err, zksim.OK)
	want(t, "its zxid", r.Zxid, 0)
	want(t, "and on", c.exists(root, false).Err, zksim.OK)
	for _, scheme := range []string{"nonsense", "world", "auth", ""} {
		d := newSession(t, at.addr, 4*time.Second)
		want(t, fmt.Sprintf("scheme %q", scheme), d.auth(scheme, "u:p").Err, zksim.ErrAuthFailed)
		want(t, "closes", d.closedByServer(), true)
	}
}

// suiteProtectedEvents: what a watcher may not read it is not told of.
func suiteProtectedEvents(t *testing.T, at target) {
	c, root := place(t, at)
	owner := as(t, at, "u")
	secret := root + "/secret"
	reads := newSession(t, at.addr, 4*time.Second)
	reads.auth("digest", "u:p")
	for _, w := range []*wireClient{c, reads} {
		want(t, "one-shot", w.exists(secret, true).Err, zksim.ErrNoNode)
		want(t, "recursive", w.addWatch(root, watchRecursive).Err, zksim.OK)
	}
	want(t, "created", owner.write(opCreateWith(secret, aclFor(zksim.PermAll, "u"))).Err, zksim.OK)
	want(t, "child", owner.create(secret+"/open", "", 0).Err, zksim.OK)
	want(t, "set", owner.set(secret, "x", -1).Err, zksim.OK)
	want(t, "child gone", owner.delete(secret+"/open", -1).Err, zksim.OK)
	want(t, "deleted", owner.delete(secret, -1).Err, zksim.OK)
	all := []zksim.Event{{Type: zksim.EventCreated, Path: secret}, {Type: zksim.EventCreated, Path: secret + "/open"},
		{Type: zksim.EventDataChanged, Path: secret}, {Type: zksim.EventDeleted, Path: secret + "/open"}, {Type: zksim.EventDeleted, Path: secret}}
	want(t, "who may read", reads.takeEvents(), all)
	want(t, "who may not", c.takeEvents(), []zksim.Event{all[1], all[3]})
}
