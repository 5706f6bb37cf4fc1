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
	targets, err := ring.Rule{Version: 1}.Assign(q, replication, of)
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
				if what := checkOwners(l); what != "" {
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
			if what := checkRing(l, q); what != "" {
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
		if checkOwners(l) == "" {
			t.Errorf("a wrong replica of partition %d was not seen", p)
		}
	}
	l := ringLayout(t, nodes, q, 3, func(p int, replicas []node.MemberNumber) []node.MemberNumber {
		return replicas[:2]
	})
	if what := checkOwners(l); !strings.Contains(what, "want 3 of them") {
		t.Errorf("missing replicas: %q", what)
	}
}
