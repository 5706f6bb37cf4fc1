package layout

import (
	"fmt"
	"slices"
)

// Legal reports whether next can follow old by one compare-and-set of any legal
// steps and changes of members; the error names the first thing that can not.
// Both must be valid layouts. It is written from the rules, on its own, so
// that it can be used to check what Apply and others made.
//
// The fact F behind the finish of a move is not in a layout and is not judged.
func Legal(old, next *Layout) error {
	if int64(next.version) != int64(old.version)+1 {
		return fmt.Errorf("version %d follows version %d", next.version, old.version)
	}
	if err := legalConstants(old, next); err != nil {
		return err
	}
	if err := legalMembers(old, next); err != nil {
		return err
	}
	changed := !slices.Equal(old.members, next.members)
	for id := range old.partitions {
		was, is := old.partitions[id], next.partitions[id]
		if is.Equal(was) {
			continue
		}
		if err := legalStep(was, is); err != nil {
			return fmt.Errorf("partition %d: %w", id, err)
		}
		changed = true
	}
	if !changed {
		return fmt.Errorf("version %d changes nothing", next.version)
	}
	return nil
}

func legalConstants(old, next *Layout) error {
	if next.cluster != old.cluster {
		return fmt.Errorf("cluster UUID changes from %q to %q", old.cluster, next.cluster)
	}
	if next.Q() != old.Q() {
		return fmt.Errorf("number of partitions changes from %d to %d", old.Q(), next.Q())
	}
	if next.replication != old.replication {
		return fmt.Errorf("replication factor changes from %d to %d", old.replication, next.replication)
	}
	return nil
}

// legalMembers: members keep number, node and store; a gone one stays gone; one
// is dropped only if it was gone and no partition names it (which holds of
// every absent member of a valid layout); members that join are active and take
// the numbers from old's next on, none left out.
func legalMembers(old, next *Layout) error {
	for _, was := range old.members {
		is, ok := next.Member(was.Number)
		if !ok && was.State != Gone {
			return fmt.Errorf("member %d is dropped while %s", was.Number, was.State)
		}
		if !ok && next.Names(was.Number) {
			return fmt.Errorf("member %d is dropped while partitions name it", was.Number)
		}
		if !ok {
			continue
		}
		if err := mayBecome(was, is); err != nil {
			return fmt.Errorf("member %d: %w", was.Number, err)
		}
	}
	expected := old.nextMember
	for _, is := range next.members {
		if _, ok := old.Member(is.Number); ok {
			continue
		}
		if is.Number != expected {
			return fmt.Errorf("member %d joins, want number %d", is.Number, expected)
		}
		if is.State != Active {
			return fmt.Errorf("member %d joins as %s", is.Number, is.State)
		}
		expected++
	}
	if next.nextMember != expected {
		return fmt.Errorf("next member is %d, want %d", next.nextMember, expected)
	}
	return nil
}

// legalStep reports whether an assignment can follow another by one of L1 to L4.
// Lists of replicas are compared as they are written: no step reorders them.
func legalStep(was, is Partition) error {
	if is.Epoch != was.Epoch+1 {
		return fmt.Errorf("epoch %d follows epoch %d", is.Epoch, was.Epoch)
	}
	keepsReplicas := slices.Equal(is.Replicas, was.Replicas)
	keepsNext := slices.Equal(is.Next, was.Next)
	inReplicas, inNext := Contains(is.Replicas, is.Primary), Contains(is.Next, is.Primary)
	switch {
	case keepsReplicas && keepsNext: // L1
		return unless(inReplicas || inNext, "primary %d is not one of the replicas", is.Primary)
	case keepsReplicas && !was.Moving(): // L2
		if sameSet(is.Next, is.Replicas) {
			return fmt.Errorf("moves from %v to the same replicas", is.Replicas)
		}
		return unless(inReplicas || inNext, "primary %d is in neither set of a move", is.Primary)
	case was.Moving() && !is.Moving() && slices.Equal(is.Replicas, was.Next): // L3
		return unless(inReplicas, "primary %d of a finished move is not in %v", is.Primary, is.Replicas)
	case was.Moving() && !is.Moving() && keepsReplicas: // L4
		return unless(inReplicas, "primary %d of a cancelled move is not in %v", is.Primary, is.Replicas)
	}
	return fmt.Errorf("no step leads from replicas %v, next %v to replicas %v, next %v",
		was.Replicas, was.Next, is.Replicas, is.Next)
}

func unless(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}
