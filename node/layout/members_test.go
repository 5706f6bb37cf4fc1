package layout

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// become is an update of member n of l.
func become(t *testing.T, l *Layout, n MemberNumber, change func(m *Member)) MemberChange {
	t.Helper()
	m, ok := l.Member(n)
	if !ok {
		t.Fatalf("no member %d", n)
	}
	change(&m)
	return MemberChange{Update, m}
}

func inState(s State) func(m *Member) { return func(m *Member) { m.State = s } }

func TestJoinTakesTheNextNumber(t *testing.T) {
	l := testLayout(t)
	a, b := testMembers(6)[4], testMembers(6)[5]
	result := l.Apply([]Step{{BeginMove, 1, 1, 6, []MemberNumber{5, 6}}}, MemberChange{Join, a}, MemberChange{Join, b})
	if len(result.Changes) != 2 || result.Changes[1].Member.Number != 6 || len(result.Steps) != 1 {
		t.Fatalf("%+v", result)
	}
	next := result.Layout
	m, ok := next.MemberByNode("n6")
	if !ok || m.Number != 6 || m.State != Active || next.NextMember() != 7 || next.Version() != 1 {
		t.Errorf("member %+v, next %d, version %d", m, next.NextMember(), next.Version())
	}
	if _, ok := l.MemberByNode("n6"); ok || l.NextMember() != 5 || len(l.Members()) != 4 {
		t.Error("Apply changed its receiver")
	}
	if err := Legal(l, next); err != nil {
		t.Error(err)
	}
}

func TestAReplacedDiskJoinsAsANewMember(t *testing.T) {
	l := testLayout(t)
	fresh := testMembers(4)[3]
	fresh.Store = "store-5"
	alone := l.Apply(nil, MemberChange{Join, fresh})
	if len(alone.RejectedChanges) != 1 || !strings.Contains(alone.RejectedChanges[0].Reason.Error(), "node is member 4") {
		t.Errorf("joined beside its old member: %+v", alone)
	}
	result := l.Apply(nil, become(t, l, 4, inState(Gone)), MemberChange{Join, fresh})
	if len(result.RejectedChanges) > 0 {
		t.Fatal(result.RejectedChanges)
	}
	if m, ok := result.Layout.MemberByNode("n4"); !ok || m.Number != 5 {
		t.Errorf("node n4 is %+v, %v", m, ok)
	}
	if err := Legal(l, result.Layout); err != nil {
		t.Error(err)
	}
}

func TestDropComesAfterTheStepsThatFreeIt(t *testing.T) {
	l := testLayout(t)
	l = l.Apply(nil, become(t, l, 1, inState(Gone))).Layout
	if rejected := l.Apply(nil, MemberChange{Drop, Member{Number: 1}}).RejectedChanges; len(rejected) != 1 {
		t.Fatal("dropped while named")
	}
	l = l.Apply([]Step{{BeginMove, 0, 1, 2, []MemberNumber{2, 3, 4}}}).Layout
	result := l.Apply([]Step{{FinishMove, 0, 2, 2, nil}}, MemberChange{Drop, Member{Number: 1}})
	if len(result.RejectedChanges) > 0 {
		t.Fatal(result.RejectedChanges)
	}
	if _, ok := result.Layout.Member(1); ok {
		t.Error("member 1 is still there")
	}
	if result.Layout.NextMember() != 5 {
		t.Errorf("next member %d", result.Layout.NextMember())
	}
	if err := Legal(l, result.Layout); err != nil {
		t.Error(err)
	}
}

func TestAnUpdateOfNothingIsNoChange(t *testing.T) {
	l := testLayout(t)
	result := l.Apply(nil, become(t, l, 1, func(*Member) {}))
	if result.Layout != l || len(result.Changes)+len(result.RejectedChanges) != 0 {
		t.Errorf("%+v", result)
	}
}

func TestMemberChangesRefused(t *testing.T) {
	l := testLayout(t)
	l = l.Apply(nil, become(t, l, 4, inState(Gone))).Layout
	newcomer := testMembers(5)[4]
	but := func(change func(m *Member)) MemberChange {
		m := newcomer
		change(&m)
		return MemberChange{Join, m}
	}
	for _, c := range []struct {
		name   string
		change MemberChange
		want   string
	}{
		{"no such change", MemberChange{Kind: 9}, "no such change"},
		{"own number", but(func(m *Member) { m.Number = 5 }), "brings its own number"},
		{"node of another", but(func(m *Member) { m.Node = "n1" }), `node is member 1 with store id "store-1"`},
		{"store of another", but(func(m *Member) { m.Store = "store-1" }), `store id "store-1" is member 1's`},
		{"store of a gone one", but(func(m *Member) { m.Store = "store-4" }), `store id "store-4" is member 4's`},
		{"bad newcomer", but(func(m *Member) { m.Weight = 0 }), "weight 0"},
		{"update of a stranger", MemberChange{Update, Member{Number: 5}}, "no such member"},
		{"other node", become(t, l, 1, func(m *Member) { m.Node = "n9" }), "node id changes"},
		{"other store", become(t, l, 1, func(m *Member) { m.Store = "s9" }), "store id changes"},
		{"return", become(t, l, 4, inState(Active)), "returns from gone to active"},
		{"no such state", become(t, l, 1, inState("away")), `state "away"`},
		{"bad address", become(t, l, 1, func(m *Member) { m.HTTP = "\n" }), "HTTP address"},
		{"drop of a stranger", MemberChange{Drop, Member{Number: 5}}, "no such member"},
		{"drop of an active one", MemberChange{Drop, Member{Number: 1}}, "is active, not gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			result := l.Apply(nil, c.change)
			if result.Layout != l || len(result.Changes) != 0 || len(result.RejectedChanges) != 1 {
				t.Fatalf("applied: %+v", result)
			}
			if err := result.RejectedChanges[0].Reason; !errors.Is(err, ErrIllegal) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("reason %q, want illegal, %q", err, c.want)
			}
		})
	}
}

func TestAMemberGoneInThisChangeIsNotDroppedByIt(t *testing.T) {
	l := testLayout(t)
	result := l.Apply(nil, become(t, l, 4, inState(Gone)), MemberChange{Drop, Member{Number: 4}})
	if len(result.Changes) != 1 || len(result.RejectedChanges) != 1 {
		t.Errorf("%+v", result)
	}
}

func TestMembersAreBounded(t *testing.T) {
	placement := []Placement{{Primary: 1, Replicas: []MemberNumber{1}}}
	full, err := Form("c", 1, testMembers(MaxMembers), placement)
	if err != nil {
		t.Fatal(err)
	}
	newcomer := testMembers(MaxMembers + 1)[MaxMembers]
	if rejected := full.Apply(nil, MemberChange{Join, newcomer}).RejectedChanges; len(rejected) != 1 {
		t.Error("member 257 joined")
	}
	l := testLayout(t)
	l.nextMember = MaxMemberNumber
	last := l.Apply(nil, MemberChange{Join, testMembers(5)[4]})
	if len(last.RejectedChanges) != 0 {
		t.Fatal(last.RejectedChanges)
	}
	if rejected := last.Layout.Apply(nil, MemberChange{Join, testMembers(6)[5]}).RejectedChanges; len(rejected) != 1 {
		t.Error("a member joined after the last number")
	}
}

// TestAReplacedMemberMayReturn: unlike one that is gone. Only a layout that names one needs
// format 2.
func TestAReplacedMemberMayReturn(t *testing.T) {
	l := testLayout(t)
	before := encode(t, l)
	replaced := l.Apply(nil, become(t, l, 3, inState(Replaced))).Layout
	if data := string(encode(t, replaced)); !strings.HasPrefix(data, `{"format":2,`) {
		t.Errorf("encoded as %.20s, want format 2", data)
	} else if again, err := Decode([]byte(data)); err != nil || !sameMembersOf(again, replaced) {
		t.Errorf("decoded as %+v, %v", again, err)
	}
	back := replaced.Apply(nil, become(t, replaced, 3, inState(Active)))
	if len(back.Changes) != 1 || Legal(replaced, back.Layout) != nil {
		t.Fatalf("did not return: %+v", back)
	}
	if data := string(encode(t, back.Layout)); data[:20] != string(before)[:20] {
		t.Errorf("encoded as %.20s, want format 1", data)
	}
	gone := replaced.Apply(nil, become(t, replaced, 3, inState(Gone))).Layout
	if result := gone.Apply(nil, become(t, gone, 3, inState(Active))); len(result.Changes) != 0 {
		t.Errorf("a gone member returned: %+v", result)
	}
}

func sameMembersOf(a, b *Layout) bool { return slices.Equal(a.Members(), b.Members()) }
