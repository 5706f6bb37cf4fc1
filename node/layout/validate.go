package layout

import "fmt"

// validate checks everything that can be told from one layout alone. The
// errors name the field and the value that is wrong.
func (l *Layout) validate() error {
	if l.version < 0 {
		return fmt.Errorf("version %d is negative", l.version)
	}
	if err := checkName("cluster UUID", l.cluster); err != nil {
		return err
	}
	if q := len(l.partitions); q < 1 || q > MaxPartitions {
		return fmt.Errorf("%d partitions, want 1 to %d", q, MaxPartitions)
	}
	if l.replication < 1 || l.replication > MaxReplication {
		return fmt.Errorf("replication factor %d, want 1 to %d", l.replication, MaxReplication)
	}
	if err := l.validateMembers(); err != nil {
		return err
	}
	for id, p := range l.partitions {
		if err := l.validatePartition(p); err != nil {
			return fmt.Errorf("partition %d: %w", id, err)
		}
	}
	return nil
}

// validateMembers needs the index: of two members with one node id, not both
// can be in it.
func (l *Layout) validateMembers() error {
	if n := len(l.members); n < 1 || n > MaxMembers {
		return fmt.Errorf("%d members, want 1 to %d", n, MaxMembers)
	}
	if l.nextMember > MaxMemberNumber+1 {
		return fmt.Errorf("next member %d, want at most %d", l.nextMember, MaxMemberNumber+1)
	}
	stores := make(map[StoreID]MemberNumber, len(l.members))
	last := MemberNumber(0)
	for i, m := range l.members {
		if err := m.validate(); err != nil {
			return fmt.Errorf("member %d: %w", m.Number, err)
		}
		if m.Number <= last {
			return fmt.Errorf("member %d follows member %d, want ascending numbers from 1, none twice", m.Number, last)
		}
		if m.Number >= l.nextMember {
			return fmt.Errorf("member %d is not below the next member %d", m.Number, l.nextMember)
		}
		if other, ok := stores[m.Store]; ok {
			return fmt.Errorf("members %d and %d both have store id %q", other, m.Number, m.Store)
		}
		if j := l.byNode[m.Node]; m.State != Gone && j != i {
			return fmt.Errorf("members %d and %d both have node id %q and neither is gone", m.Number, l.members[j].Number, m.Node)
		}
		stores[m.Store], last = m.Number, m.Number
	}
	return nil
}

func (m Member) validate() error {
	if err := checkName("node id", string(m.Node)); err != nil {
		return err
	}
	if err := checkName("store id", string(m.Store)); err != nil {
		return err
	}
	if m.Zone != "" {
		if err := checkName("zone", m.Zone); err != nil {
			return err
		}
	}
	if err := CheckAddress("peer address", m.Peer); err != nil {
		return err
	}
	if err := CheckAddress("HTTP address", m.HTTP); err != nil {
		return err
	}
	if m.Weight < 1 || m.Weight > MaxWeight {
		return fmt.Errorf("weight %d, want 1 to %d", m.Weight, MaxWeight)
	}
	switch m.State {
	case Active, Leaving, Replaced, Gone:
		return nil
	default:
		return fmt.Errorf("state %q, want %s, %s, %s or %s", m.State, Active, Leaving, Replaced, Gone)
	}
}

func (l *Layout) validatePartition(p Partition) error {
	if err := p.Validate(); err != nil {
		return err
	}
	if err := l.checkMembers("replicas", p.Replicas); err != nil {
		return err
	}
	return l.checkMembers("next replicas", p.Next)
}

// Validate checks what can be told from an assignment without the list of members: a frame
// carries it alone.
func (p Partition) Validate() error {
	if p.Epoch < 1 || p.Epoch > MaxEpoch {
		return fmt.Errorf("epoch %d, want 1 to %d", p.Epoch, uint64(MaxEpoch))
	}
	if len(p.Replicas) == 0 {
		return fmt.Errorf("no replicas")
	}
	if err := checkSet("replicas", p.Replicas); err != nil {
		return err
	}
	if err := checkSet("next replicas", p.Next); err != nil {
		return err
	}
	if p.Moving() && sameSet(p.Replicas, p.Next) {
		return fmt.Errorf("moves from %v to the same replicas", p.Replicas)
	}
	if !p.Names(p.Primary) {
		return fmt.Errorf("primary %d is in neither replicas %v nor next %v", p.Primary, p.Replicas, p.Next)
	}
	return nil
}

// checkSet checks that set is small enough, and names no member twice.
func checkSet(what string, set []MemberNumber) error {
	if len(set) > MaxReplication {
		return fmt.Errorf("%d %s, want at most %d", len(set), what, MaxReplication)
	}
	for i, n := range set {
		if Contains(set[:i], n) {
			return fmt.Errorf("%s %v: member %d twice", what, set, n)
		}
	}
	return nil
}

// checkMembers checks that set names only members.
func (l *Layout) checkMembers(what string, set []MemberNumber) error {
	for _, n := range set {
		if _, ok := l.find(n); !ok {
			return fmt.Errorf("%s %v: no member has number %d", what, set, n)
		}
	}
	return nil
}

// checkName accepts what is safe as one element of a znode's path: letters,
// digits, '.', '_' and '-', neither "." nor "..".
func checkName(what, s string) error {
	if s == "" || len(s) > MaxNameBytes {
		return fmt.Errorf("%s has %d bytes, want 1 to %d", what, len(s), MaxNameBytes)
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '_', c == '-':
		default:
			return fmt.Errorf("%s %q: want letters, digits, '.', '_' and '-' only", what, s)
		}
	}
	if s == "." || s == ".." {
		return fmt.Errorf("%s %q is reserved", what, s)
	}
	return nil
}

// CheckAddress accepts what a layout can hold as an address: at most MaxAddressBytes of
// printable ASCII that needs no escape in JSON. It may be empty: the code that dials it
// judges it. The error begins with what.
func CheckAddress(what, s string) error {
	if len(s) > MaxAddressBytes {
		return fmt.Errorf("%s has %d bytes, want at most %d", what, len(s), MaxAddressBytes)
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return fmt.Errorf("%s %q: want printable ASCII without spaces, quotes and backslashes", what, s)
		}
	}
	return nil
}
