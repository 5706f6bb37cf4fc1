package layout

import (
	"fmt"
	"slices"
)

// MemberChangeKind is one way in which the list of members may change.
type MemberChangeKind uint8

const (
	// Join adds a member, active, under the number NextMember. Its Number must
	// be 0. Neither may its store id be a member's, nor its node id that of a
	// member which is not gone: a node that lost its disk joins anew after, or
	// together with, the Update that sets its old member gone.
	Join MemberChangeKind = iota + 1
	// Update replaces addresses, zone, weight and state of the member with
	// Member's number. Node id and store id must be that member's, and gone is
	// final. An update that changes nothing is neither made nor rejected.
	Update
	// Drop forgets a member that was gone already before this compare-and-set,
	// and that no partition names after it. Only Member.Number counts.
	Drop
)

func (k MemberChangeKind) String() string {
	switch k {
	case Join:
		return "join"
	case Update:
		return "update"
	case Drop:
		return "drop"
	default:
		return fmt.Sprintf("member change kind %d", uint8(k))
	}
}

// MemberChange is one requested change of the list of members.
type MemberChange struct {
	Kind   MemberChangeKind
	Member Member
}

// ChangeRejection is a change of members that Apply did not make. Its reason
// is always an ErrIllegal.
type ChangeRejection struct {
	Change MemberChange
	Reason error
}

// changeMembers makes the changes that are legal after those before them:
// either the drops or the others. l is the layout that next grew from.
func (next *Layout) changeMembers(l *Layout, changes []MemberChange, drops bool, result *Applied) {
	for _, c := range changes {
		if (c.Kind == Drop) != drops {
			continue
		}
		members, at, err := next.judgeChange(l, c)
		if err != nil {
			err = fmt.Errorf("%w: %v of member %d (node %q): %w", ErrIllegal, c.Kind, c.Member.Number, c.Member.Node, err)
			result.RejectedChanges = append(result.RejectedChanges, ChangeRejection{c, err})
			continue
		}
		if members == nil {
			continue
		}
		next.members = members
		next.index()
		if c.Kind != Drop {
			c.Member = members[at]
		}
		if c.Kind == Join {
			next.nextMember++
		}
		result.Changes = append(result.Changes, c)
	}
}

// judgeChange returns the members after c, and the index of the one that
// changed; nil if c changes nothing.
func (next *Layout) judgeChange(l *Layout, c MemberChange) (members []Member, at int, err error) {
	switch c.Kind {
	case Join:
		return next.join(c.Member)
	case Update:
		return next.update(c.Member)
	case Drop:
		return next.drop(l, c.Member.Number)
	default:
		return nil, 0, fmt.Errorf("no such change")
	}
}

func (next *Layout) join(m Member) ([]Member, int, error) {
	if m.Number != 0 {
		return nil, 0, fmt.Errorf("brings its own number, want 0")
	}
	if next.nextMember > MaxMemberNumber {
		return nil, 0, fmt.Errorf("all %d numbers are used", MaxMemberNumber)
	}
	if len(next.members) >= MaxMembers {
		return nil, 0, fmt.Errorf("there are %d members already", len(next.members))
	}
	if other, ok := next.MemberByNode(m.Node); ok {
		return nil, 0, fmt.Errorf("node is member %d with store id %q", other.Number, other.Store)
	}
	if other, ok := next.MemberByStore(m.Store); ok {
		return nil, 0, fmt.Errorf("store id %q is member %d's (node %q, %s)", m.Store, other.Number, other.Node, other.State)
	}
	m.Number, m.State = next.nextMember, Active
	if err := m.validate(); err != nil {
		return nil, 0, err
	}
	at := len(next.members)
	return append(slices.Clone(next.members), m), at, nil
}

func (next *Layout) update(m Member) ([]Member, int, error) {
	at, ok := next.find(m.Number)
	if !ok {
		return nil, 0, fmt.Errorf("no such member")
	}
	if m == next.members[at] {
		return nil, at, nil
	}
	if err := mayBecome(next.members[at], m); err != nil {
		return nil, 0, err
	}
	if err := m.validate(); err != nil {
		return nil, 0, err
	}
	members := slices.Clone(next.members)
	members[at] = m
	return members, at, nil
}

func (next *Layout) drop(l *Layout, n MemberNumber) ([]Member, int, error) {
	was, ok := l.Member(n)
	at, still := next.find(n)
	switch {
	case !ok || !still:
		return nil, 0, fmt.Errorf("no such member")
	case was.State != Gone:
		return nil, 0, fmt.Errorf("is %s, not %s", was.State, Gone)
	case next.Names(n):
		return nil, 0, fmt.Errorf("partitions still name it")
	}
	return slices.Delete(slices.Clone(next.members), at, at+1), at, nil
}

// mayBecome reports whether one version may know a member as was and the next as
// is.
func mayBecome(was, is Member) error {
	switch {
	case is.Node != was.Node:
		return fmt.Errorf("node id changes from %q to %q", was.Node, is.Node)
	case is.Store != was.Store:
		return fmt.Errorf("store id changes from %q to %q", was.Store, is.Store)
	case was.State == Gone && is.State != Gone:
		return fmt.Errorf("returns from %s to %s", Gone, is.State)
	}
	return nil
}
