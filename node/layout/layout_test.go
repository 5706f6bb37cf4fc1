package layout

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// testMembers is n members with every field set.
func testMembers(n int) []Member {
	members := make([]Member, n)
	for i := range members {
		members[i] = Member{
			Node:   NodeID(fmt.Sprintf("n%d", i+1)),
			Store:  StoreID(fmt.Sprintf("store-%d", i+1)),
			Peer:   fmt.Sprintf("10.0.0.%d:8002", i+1),
			HTTP:   fmt.Sprintf("[::1%%lo]:%d", 8000+i),
			Zone:   string(rune('a' + i%3)),
			Weight: 1 + i%2,
		}
	}
	return members
}

// testLayout has four members; partition 0 is at rest on 1, 2, 3, partition 1
// on 2 alone.
func testLayout(t testing.TB) *Layout {
	t.Helper()
	l, err := Form("c0ffee", 3, testMembers(4), []Placement{
		{Primary: 2, Replicas: []MemberNumber{1, 2, 3}},
		{Primary: 2, Replicas: []MemberNumber{2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestForm(t *testing.T) {
	l := testLayout(t)
	if l.Version() != 0 || l.Cluster() != "c0ffee" || l.Q() != 2 || l.Replication() != 3 || l.NextMember() != 5 {
		t.Errorf("version %d, cluster %q, Q %d, replication %d, next member %d",
			l.Version(), l.Cluster(), l.Q(), l.Replication(), l.NextMember())
	}
	for i, m := range l.Members() {
		want := testMembers(4)[i]
		want.Number, want.State = MemberNumber(i+1), Active
		if m != want {
			t.Errorf("member %d is %+v, want %+v", i+1, m, want)
		}
	}
	want := Partition{Epoch: 1, Primary: 2, Replicas: []MemberNumber{1, 2, 3}}
	if got := l.Partitions()[0]; !got.Equal(want) {
		t.Errorf("partition 0 is %+v, want %+v", got, want)
	}
}

func TestFormRefuses(t *testing.T) {
	one := []Placement{{Primary: 1, Replicas: []MemberNumber{1}}}
	with := func(change func(m *Member)) []Member {
		members := testMembers(2)
		change(&members[1])
		return members
	}
	for _, c := range []struct {
		name        string
		cluster     string
		replication int
		members     []Member
		placements  []Placement
		want        string
	}{
		{"no cluster", "", 1, testMembers(1), one, "cluster UUID has 0 bytes"},
		{"no members", "c", 1, nil, one, "0 members"},
		{"too many members", "c", 1, testMembers(257), one, "257 members"},
		{"no partitions", "c", 1, testMembers(1), nil, "0 partitions"},
		{"too many partitions", "c", 1, testMembers(1), slices.Repeat(one, 4097), "4097 partitions"},
		{"no replication", "c", 0, testMembers(1), one, "replication factor 0"},
		{"too much replication", "c", 8, testMembers(1), one, "replication factor 8"},
		{"another number", "c", 1, with(func(m *Member) { m.Number = 3 }), one, `"n2" has number 3, not 2`},
		{"node twice", "c", 1, with(func(m *Member) { m.Node = "n1" }), one, `members 1 and 2 both have node id "n1"`},
		{"store twice", "c", 1, with(func(m *Member) { m.Store = "store-1" }), one, `members 1 and 2 both have store id "store-1"`},
		{"no node", "c", 1, with(func(m *Member) { m.Node = "" }), one, "member 2: node id has 0 bytes"},
		{"node with slash", "c", 1, with(func(m *Member) { m.Node = "a/b" }), one, `member 2: node id "a/b"`},
		{"node with dots", "c", 1, with(func(m *Member) { m.Node = ".." }), one, `member 2: node id ".." is reserved`},
		{"long store", "c", 1, with(func(m *Member) { m.Store = StoreID(strings.Repeat("x", 65)) }), one, "member 2: store id has 65 bytes"},
		{"zone with quote", "c", 1, with(func(m *Member) { m.Zone = `"` }), one, "member 2: zone"},
		{"peer with space", "c", 1, with(func(m *Member) { m.Peer = "a b" }), one, "member 2: peer address"},
		{"long http", "c", 1, with(func(m *Member) { m.HTTP = strings.Repeat("x", 256) }), one, "member 2: HTTP address has 256 bytes"},
		{"no weight", "c", 1, with(func(m *Member) { m.Weight = 0 }), one, "member 2: weight 0"},
		{"heavy", "c", 1, with(func(m *Member) { m.Weight = 101 }), one, "member 2: weight 101"},
		{"no replicas", "c", 1, testMembers(1), []Placement{{Primary: 1}}, "partition 0: no replicas"},
		{"unknown replica", "c", 1, testMembers(1), []Placement{{1, []MemberNumber{1, 2}}}, "no member has number 2"},
		{"replica twice", "c", 1, testMembers(1), []Placement{{1, []MemberNumber{1, 1}}}, "member 1 twice"},
		{"too many replicas", "c", 1, testMembers(8), []Placement{{1, []MemberNumber{1, 2, 3, 4, 5, 6, 7, 8}}}, "8 replicas, want at most 7"},
		{"strange primary", "c", 1, testMembers(2), []Placement{{2, []MemberNumber{1}}}, "primary 2 is in neither"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Form(c.cluster, c.replication, c.members, c.placements); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestLookups(t *testing.T) {
	gone, _ := testLayout(t).Member(4)
	gone.State = Gone
	l := testLayout(t).Apply(nil, MemberChange{Update, gone}).Layout

	if m, ok := l.Member(4); !ok || m != gone {
		t.Errorf("Member(4) = %+v, %v", m, ok)
	}
	if m, ok := l.MemberByStore("store-4"); !ok || m != gone {
		t.Errorf("MemberByStore of a gone member = %+v, %v", m, ok)
	}
	if m, ok := l.MemberByNode("n3"); !ok || m.Number != 3 {
		t.Errorf("MemberByNode(n3) = %+v, %v", m, ok)
	}
	if m, ok := l.MemberByNode("n4"); ok {
		t.Errorf("MemberByNode of a gone member = %+v", m)
	}
	for _, n := range []MemberNumber{0, 5} {
		if m, ok := l.Member(n); ok {
			t.Errorf("Member(%d) = %+v", n, m)
		}
	}
	if _, ok := l.MemberByStore("n1"); ok {
		t.Error("MemberByStore finds a node id")
	}
	if _, ok := l.Partition(2); ok {
		t.Error("Partition(2) of 2")
	}
	if p, ok := l.Partition(1); !ok || p.Primary != 2 {
		t.Errorf("Partition(1) = %+v, %v", p, ok)
	}
	if l.Names(4) || !l.Names(3) {
		t.Errorf("Names(4) = %v, Names(3) = %v", l.Names(4), l.Names(3))
	}
}
