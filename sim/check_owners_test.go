package sim

import (
	"strconv"
	"strings"
	"testing"

	"dkv/node"
	"dkv/node/layout"
	"dkv/node/ring"
)

// ringLayout forms the layout that package ring asks for.
func ringLayout(t *testing.T, nodes, q, replication int, change func(p int, replicas []node.MemberNumber) []node.MemberNumber) *layout.Layout {
	t.Helper()
	var members []layout.Member
	var of []ring.Member
	for i := range nodes {
		id := "n" + strconv.Itoa(i+1)
		members = append(members, layout.Member{Node: node.NodeID(id), Store: node.StoreID("s" + id), Peer: "p:" + id, HTTP: "h:" + id, Weight: 1})
		of = append(of, ring.Member{Number: uint64(i + 1), ID: id, Weight: 1})
	}
	targets, err := ring.Latest.Assign(q, replication, of)
	if err != nil {
		t.Fatal(err)
	}
	var placements []layout.Placement
	for p, target := range targets {
		var replicas []node.MemberNumber
		for _, m := range target.Replicas {
			replicas = append(replicas, node.MemberNumber(m))
		}
		replicas = change(p, replicas)
		placements = append(placements, layout.Placement{Primary: replicas[0], Replicas: replicas})
	}
	l, err := layout.Form("uuid", replication, members, placements)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func same(_ int, replicas []node.MemberNumber) []node.MemberNumber { return replicas }

func TestOwnersAgreeWithTheRing(t *testing.T) {
	plain := 0
	for nodes := 3; nodes <= 7; nodes++ {
		for q := 1; q <= 16; q++ {
			for _, replication := range []int{3, 5} {
				if replication > nodes {
					continue
				}
				l := ringLayout(t, nodes, q, replication, same)
				if what := checkOwners(l, ring.Latest); what != "" {
					t.Errorf("%d nodes, %d partitions, %d replicas: %s", nodes, q, replication, what)
				}
				if plainOwners(l.Members(), q, replication) != nil {
					plain++
				}
			}
		}
	}
	if plain < 60 {
		t.Errorf("the plain rule had an answer for only %d clusters: the comparison is blind", plain)
	}
}

func TestRingFollowsItsPlainRuleAtTheSeam(t *testing.T) {
	for nodes := 3; nodes <= 7; nodes++ {
		l := ringLayout(t, nodes, 4, 3, same)
		for _, q := range []int{64, 256, 2048} {
			if what := checkRing(l, ring.Latest, q); what != "" {
				t.Errorf("%d nodes: %s", nodes, what)
			}
		}
	}
}

func TestOwnersOffTheRingAreSeen(t *testing.T) {
	const nodes, q = 5, 4
	for p := range q {
		l := ringLayout(t, nodes, q, 3, func(at int, replicas []node.MemberNumber) []node.MemberNumber {
			if at != p {
				return replicas
			}
			for m := node.MemberNumber(1); ; m++ { // the first member that is not one of them
				if !layout.Contains(replicas, m) {
					return append([]node.MemberNumber{m}, replicas[1:]...)
				}
			}
		})
		if checkOwners(l, ring.Latest) == "" {
			t.Errorf("a wrong replica of partition %d was not seen", p)
		}
	}
	l := ringLayout(t, nodes, q, 3, func(p int, replicas []node.MemberNumber) []node.MemberNumber {
		return replicas[:2]
	})
	if what := checkOwners(l, ring.Latest); !strings.Contains(what, "want 3 of them") {
		t.Errorf("missing replicas: %q", what)
	}
}

// TestBrokenSpreadsAreSeen: the check knows the limits of zones and the bounds of weights,
// and takes what the ring makes of them.
func TestBrokenSpreadsAreSeen(t *testing.T) {
	members := []layout.Member{
		{Number: 1, Node: "n1", Weight: 1, Zone: "a"}, {Number: 2, Node: "n2", Weight: 1, Zone: "a"},
		{Number: 3, Node: "n3", Weight: 3, Zone: "b"}, {Number: 4, Node: "n4", Weight: 1, Zone: "b"}, {Number: 5, Node: "n5", Weight: 1, Zone: "c"},
	}
	prefer := ring.Rule{Version: 2, Zones: ring.Prefer}
	for _, rule := range []ring.Rule{{Version: 1}, ring.Latest, prefer} {
		for _, replication := range []int{1, 2, 3, 4, 5} {
			targets, err := rule.Assign(64, replication, ringMembers(members))
			if err != nil {
				t.Fatal(err)
			}
			if what := checkSpread(rule, members, replication, replicaSets(targets)); what != "" {
				t.Errorf("rule %v, %d replicas: %s", rule, replication, what)
			}
		}
	}
	targets, _ := prefer.Assign(64, 3, ringMembers(members))
	if what := checkSpread(ring.Latest, members, 3, replicaSets(targets)); !strings.Contains(what, "in zone") {
		t.Errorf("weights before zones under the strict rule: %q", what)
	}
	targets, _ = ring.Latest.Assign(64, 3, ringMembers(members))
	if what := checkSpread(prefer, members, 3, replicaSets(targets)); !strings.Contains(what, "want at most") {
		t.Errorf("zones before weights under the other rule: %q", what)
	}
}
