package ring

import "slices"

// matching assigns members to partitions so that no member has more than its
// bound. Where a partition finds only members at their bound, an augmenting
// path makes room: a full member gives up one of its partitions to a second
// one, which gives up one to a third, until one is met that has room.
type matching struct {
	bound []int
	held  [][]int // partitions of each member, in the order taken
	may   func(partition, from, to int) bool

	// closed are the members from which no path leads to room. None ever will:
	// they are full, and no exchange among the others changes what they hold or
	// who may take it.
	closed []bool
}

// noMember stands for the giver of a partition that has a place left.
const noMember = -1

// substitution is one link of an augmenting path.
type substitution struct{ partition, from, to int }

// newMatching returns an empty matching. may tells whether a member could take
// a partition as things are, in the place of another one or, if from is
// noMember, besides those that have it.
func newMatching(bound []int, may func(partition, from, to int) bool) *matching {
	return &matching{bound: bound, held: make([][]int, len(bound)), closed: make([]bool, len(bound)), may: may}
}

func (m *matching) hasRoom(member int) bool { return len(m.held[member]) < m.bound[member] }

func (m *matching) take(partition, member int) {
	m.held[member] = append(m.held[member], partition)
}

// augment gives the partition one more member, by the shortest path, and among
// those by the first in the order of members and of what they hold. It returns
// that member and the substitutions the caller has to make; noMember if there is
// no path.
func (m *matching) augment(partition int) (added int, path []substitution) {
	arrived := make([]substitution, len(m.bound)) // how the search came to a member
	seen := make([]bool, len(m.bound))
	var queue []int
	for member := range m.bound {
		if !m.closed[member] && m.may(partition, noMember, member) {
			seen[member] = true
			arrived[member] = substitution{partition, noMember, member}
			queue = append(queue, member)
		}
	}
	for i := 0; i < len(queue); i++ {
		from := queue[i]
		if m.hasRoom(from) {
			return m.unwind(from, arrived)
		}
		for _, p := range m.held[from] {
			for to := range m.bound {
				if !seen[to] && !m.closed[to] && m.may(p, from, to) {
					seen[to] = true
					arrived[to] = substitution{p, from, to}
					queue = append(queue, to)
				}
			}
		}
	}
	for _, member := range queue {
		m.closed[member] = true
	}
	return noMember, nil
}

// unwind makes the substitutions that lead to last, from there back to the
// start.
func (m *matching) unwind(last int, arrived []substitution) (added int, path []substitution) {
	for {
		s := arrived[last]
		m.take(s.partition, last)
		if s.from < 0 {
			return last, path
		}
		m.held[s.from] = slices.DeleteFunc(m.held[s.from], func(p int) bool { return p == s.partition })
		path = append(path, s)
		last = s.from
	}
}
