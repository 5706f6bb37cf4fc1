package zktree

import (
	"fmt"
	"slices"
	"testing"
)

var (
	ann   = DigestIdentity("ann:a")
	ben   = DigestIdentity("ben:b")
	local = Identity{"ip", "127.0.0.1"}
	root  = Identity{Scheme: "super"}
)

func only(perms int32, id Identity) ACL { return ACL{perms, id.Scheme, id.ID} }

func (b *treeTest) as(op Op, auth ...Identity) Result {
	return b.apply(Txn{Session: alice, Op: op, Auth: auth})
}

func TestDigestIdentity(t *testing.T) {
	// The example in ZooKeeper's documentation.
	if got := DigestIdentity("super:admin"); got != (Identity{"digest", "super:xQJmxLMiHGwaqBvst5y6rkB6HQs="}) {
		t.Errorf("the identity of super:admin is %+v", got)
	}
	if got := DigestIdentity("alone").ID; got[:6] != "alone:" {
		t.Errorf("the identity of a user without a password is %q", got)
	}
}

// TestResolveACL has rows that were all tried on a real server.
func TestResolveACL(t *testing.T) {
	cases := []struct {
		asked []ACL
		auth  []Identity
		want  []ACL // nil: refused
	}{
		{nil, nil, OpenACL},
		{[]ACL{}, nil, nil},
		{everyone(0), nil, everyone(0)},
		{everyone(-1), nil, everyone(-1)},
		{[]ACL{{31, "world", "other"}}, nil, nil},
		{[]ACL{{31, "world", ""}}, nil, nil},
		{[]ACL{{1, "world", "anyone"}, {2, "world", "anyone"}, {1, "world", "anyone"}}, nil, []ACL{{1, "world", "anyone"}, {2, "world", "anyone"}}},
		{[]ACL{{31, "auth", ""}}, nil, nil},
		{[]ACL{{31, "auth", ""}}, []Identity{local, root}, nil},
		{[]ACL{{31, "auth", "what stands here is nothing"}}, []Identity{local, ann}, []ACL{only(31, ann)}},
		{[]ACL{{3, "auth", ""}, {3, "auth", "x"}}, []Identity{ann, ben}, []ACL{only(3, ann), only(3, ben), only(3, ann), only(3, ben)}},
		{[]ACL{{31, "digest", "a:b"}, {31, "auth", ""}}, nil, nil},
		{[]ACL{{31, "super", ""}}, []Identity{root}, nil},
		{[]ACL{{31, "sasl", "x"}}, nil, nil},
		{[]ACL{{31, "", ""}}, nil, nil},
	}
	for _, c := range cases {
		got, code := ResolveACL(c.asked, c.auth)
		if !slices.Equal(got, c.want) || (code == OK) != (c.want != nil) || code != OK && code != ErrInvalidACL {
			t.Errorf("%v as %v: %v %v, want %v", c.asked, c.auth, got, code, c.want)
		}
	}
	ids := map[string][]string{
		"digest": {"a:b", ":b", "a:b:", "a:b::"},
		"ip":     {"127.0.0.1", "127.0.0.0/8", "1.2.3.4/0", "1.2.3.4/32", "127.0.0.01", "+127.-0.0.1"},
	}
	for scheme, good := range ids {
		for _, id := range good {
			if _, code := ResolveACL([]ACL{{1, scheme, id}}, nil); code != OK {
				t.Errorf("%s %q is refused", scheme, id)
			}
		}
	}
	bad := map[string][]string{
		"digest": {"", ":", "a", "a:", "a:b:c", "a::b"},
		"ip":     {"", "127.1", "127.0.0.256", "127.0.0.-1", "127.0.0.1/", "127.0.0.1/33", "127.0.0.1/-1", "127.0.0.1/8/9", "127.0.0.1.", "::1", "1_2.0.0.1"},
	}
	for scheme, list := range bad {
		for _, id := range list {
			if _, code := ResolveACL([]ACL{{1, scheme, id}}, nil); code != ErrInvalidACL {
				t.Errorf("%s %q is accepted", scheme, id)
			}
		}
	}
}

func TestAllowed(t *testing.T) {
	b := newTreeTest(t)
	b.must(create("/n"))
	cases := []struct {
		name string
		acl  []ACL
		perm int32
		auth []Identity
		want Code
	}{
		{"everyone", everyone(PermRead), PermRead, nil, OK},
		{"everyone, another permission", everyone(PermAll &^ PermRead), PermRead, []Identity{local, ann}, ErrNoAuth},
		{"one of two permissions", everyone(PermAdmin), PermRead | PermAdmin, nil, OK},
		{"the right digest", []ACL{only(PermRead, ann)}, PermRead, []Identity{local, ben, ann}, OK},
		{"another digest", []ACL{only(PermRead, ann)}, PermRead, []Identity{local, ben}, ErrNoAuth},
		{"the right digest, another permission", []ACL{only(PermRead, ann)}, PermWrite, []Identity{ann}, ErrNoAuth},
		{"the second entry", []ACL{only(PermRead, ann), only(PermWrite, ann)}, PermWrite, []Identity{ann}, OK},
		{"an ID of another scheme", []ACL{only(PermRead, ann)}, PermRead, []Identity{{"ip", ann.ID}}, ErrNoAuth},
		{"an address", []ACL{{PermRead, "ip", "127.0.0.1"}}, PermRead, []Identity{local}, OK},
		{"another address", []ACL{{PermRead, "ip", "127.0.0.2"}}, PermRead, []Identity{local}, ErrNoAuth},
		{"a network", []ACL{{PermRead, "ip", "126.0.0.0/7"}}, PermRead, []Identity{local}, OK},
		{"another network", []ACL{{PermRead, "ip", "126.0.0.0/8"}}, PermRead, []Identity{local}, ErrNoAuth},
		{"every address", []ACL{{PermRead, "ip", "9.9.9.9/0"}}, PermRead, []Identity{local}, OK},
		{"not an address", []ACL{{PermRead, "ip", "9.9.9.9/0"}}, PermRead, []Identity{{"ip", "::1"}}, ErrNoAuth},
		{"super", everyone(0), PermAdmin, []Identity{root}, OK},
	}
	for _, c := range cases {
		if r := b.as(setACL("/n", c.acl...), root); r.Err != OK {
			t.Fatalf("%s: %v", c.name, r.Err)
		}
		if got := b.tree.Allowed("/n", c.perm, c.auth); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	if got := b.tree.Allowed("/no", PermRead, nil); got != ErrNoNode {
		t.Errorf("no node: %v", got)
	}
}

// TestPermissions checks that each operation needs its permission and no other.
func TestPermissions(t *testing.T) {
	ops := []struct {
		op   Op
		perm int32
	}{
		{create("/n/new"), PermCreate},
		{sequential("/n/new"), PermCreate},
		{ephemeral("/n/new"), PermCreate},
		{containerAt("/n/new"), PermCreate},
		{withTTL("/n/new", 1e9), PermCreate},
		{remove("/n/c"), PermDelete},
		{set("/n", "x"), PermWrite},
		{Op{Code: OpCheck, Path: "/n", Version: -1}, PermRead},
		{setACL("/n", OpenACL...), PermAdmin},
	}
	for _, o := range ops {
		for _, trusted := range []bool{false, true} {
			for perm := PermRead; perm <= PermAdmin; perm <<= 1 {
				b := newTreeTest(t)
				b.must(create("/n"), create("/n/c"), setACL("/n", only(perm, ann)))
				want := ErrNoAuth
				if perm == o.perm || trusted {
					want = OK
				}
				if r := b.apply(Txn{Session: alice, Op: o.op, Auth: []Identity{ann}, Trusted: trusted}); r.Err != want {
					t.Errorf("%+v with permission %d, trusted %v: %v", o.op, perm, trusted, r.Err)
				}
			}
		}
	}
}

func TestSetACL(t *testing.T) {
	b := newTreeTest(t)
	b.must(create("/n"))
	before := b.stat("/n")
	r := b.as(Op{Code: OpSetACL, Path: "/n", ACL: []ACL{{PermAll, "auth", ""}}}, ann)
	before.Aversion = 1
	if r.Err != OK || r.Stat != before || b.stat("/n") != before || len(r.Changes) > 0 {
		t.Fatalf("%+v, want %+v and no changes", r, before)
	}
	if acl, _, _ := b.tree.ACLOf("/n"); !slices.Equal(acl, []ACL{only(PermAll, ann)}) {
		t.Errorf("the node's list is %v", acl)
	}
	if r := b.as(setACL("/n", OpenACL...), ben); r.Err != ErrNoAuth {
		t.Errorf("set by a client without ADMIN: %v", r.Err)
	}
	if r := b.as(Op{Code: OpSetACL, Path: "/n", ACL: OpenACL, Version: 1}, ann); r.Err != OK || r.Stat.Aversion != 2 {
		t.Errorf("set by a client with ADMIN: %+v", r)
	}
	if r := b.multi(setACL("/n", OpenACL...)); !r.Failed || r.Ops[0].Err != ErrUnimplemented {
		t.Errorf("in a multi: %+v", r)
	}
	if s := b.stat("/zookeeper/config"); s.Aversion != -1 {
		t.Errorf("/zookeeper/config: %+v", s)
	}
}

// TestTrustedListsAreStoredAsTheyAre replays a log: the lists in it were resolved
// with identities that the log does not have.
func TestTrustedListsAreStoredAsTheyAre(t *testing.T) {
	twice := []ACL{only(1, ann), only(1, ann)}
	b := newTreeTest(t)
	if r := b.apply(Txn{Op: Op{Code: OpCreate, Path: "/n", ACL: twice}, Trusted: true}); r.Err != OK {
		t.Fatal(r.Err)
	}
	if acl, _, _ := b.tree.ACLOf("/n"); !slices.Equal(acl, twice) {
		t.Errorf("the list of a trusted create is %v", acl)
	}
}

func TestACLForHidesWhatMustNotBeSeen(t *testing.T) {
	b := newTreeTest(t)
	list := []ACL{only(PermRead, ben), only(PermAll, ann), {PermWrite, "ip", "1.2.3.4"}}
	b.must(create("/n"), setACL("/n", list...))
	hidden := []ACL{{PermRead, "digest", "ben:x"}, {PermAll, "digest", "ann:x"}, list[2]}
	cases := []struct {
		auth []Identity
		want []ACL
		code Code
	}{
		{[]Identity{ann}, list, OK},
		{[]Identity{ben}, hidden, OK},
		{[]Identity{root}, list, OK},
		{[]Identity{{"ip", "1.2.3.4"}}, nil, ErrNoAuth},
		{nil, nil, ErrNoAuth},
	}
	for _, c := range cases {
		got, stat, code := b.tree.ACLFor("/n", c.auth)
		if code != c.code || !slices.Equal(got, c.want) || code == OK && stat != b.stat("/n") {
			t.Errorf("%v: %v %v, want %v %v", c.auth, got, code, c.want, c.code)
		}
	}
	if kept, _, _ := b.tree.ACLOf("/n"); !slices.Equal(kept, list) {
		t.Errorf("ACLFor changed the node's own list: %v", kept)
	}
	if _, _, code := b.tree.ACLFor("/no", nil); code != ErrNoNode {
		t.Errorf("a missing node: %v", code)
	}
}

// TestEventsAreWithheld checks that only watchers that may read a node hear of its
// events, and that the others lose their watches all the same.
func TestEventsAreWithheld(t *testing.T) {
	secret := []ACL{only(PermRead, ann), {PermAll &^ PermRead, "world", "anyone"}}
	cases := []struct {
		name string
		op   Op
		want []string
	}{
		{"set", set("/s", "x"), []string{"1: 3 /s"}},
		{"deleted, its parent open", remove("/s"), []string{"1: 2 /s", "1: 4 /", "2: 4 /"}},
		{"created, its parent open", Op{Code: OpCreate, Path: "/new", ACL: secret}, []string{"1: 1 /new", "1: 4 /", "2: 4 /"}},
		{"created open, its parent secret", create("/s/c"), []string{"1: 1 /s/c", "2: 1 /s/c", "1: 4 /s"}},
	}
	for _, c := range cases {
		b := newTreeTest(t)
		b.must(Op{Code: OpCreate, Path: "/s", ACL: secret})
		w := NewWatches()
		w.Identify(1, []Identity{local, ann})
		w.Identify(2, []Identity{local, ben})
		for id := int64(1); id <= 2; id++ {
			for _, path := range []string{"/s", "/s/c", "/new", "/"} {
				w.Add(DataWatch, path, id)
				w.Add(ChildWatch, path, id)
			}
		}
		armed := w.Len()
		var got []string
		r := b.do(c.op)
		w.Fire(r.Changes, func(id int64, e Event) { got = append(got, fmt.Sprintf("%d: %d %s", id, e.Type, e.Path)) })
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if len1, len2 := len(w.byWatcher[1]), len(w.byWatcher[2]); len1 != len2 || w.Len() == armed {
			t.Errorf("%s: %d and %d watches left", c.name, len1, len2)
		}
		w.Drop(1)
		w.Add(DataWatch, "/s", 1)
		w.Fire([]Change{{DataSet, "/s", newAccessList(secret), nil}}, func(id int64, e Event) { t.Errorf("%s: a dropped watcher is still known", c.name) })
	}
}
