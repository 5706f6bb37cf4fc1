package linearizability

import (
	"fmt"
	"strings"
)

// A Class is a kind of violation, named by the letter that campaigns print.
type Class string

const (
	// NotLinearizable: no order explains the answers about a key.
	NotLinearizable Class = "L"
	// RefusedSeen: the value of a refused put was seen. Such a history is not
	// linearizable either.
	RefusedSeen Class = "R"
	// WriteLost: the final read misses an acknowledged write. Such a history is not
	// linearizable either.
	WriteLost Class = "D"
)

// A Violation is one thing that went wrong with one key.
type Violation struct {
	Class      Class
	Key        string
	Sentence   string       // which operations contradict each other
	Operations []*Operation // the operations that the sentence names
}

func (v Violation) String() string {
	if v.Key == "" { // a single object without a name
		return fmt.Sprintf("%s: %s", v.Class, v.Sentence)
	}
	return fmt.Sprintf("%s: key %s: %s", v.Class, Quote(v.Key), v.Sentence)
}

// RefusedValuesSeen returns, sorted by key, for each key the first answer with a value
// that only refused puts can have written: the store said that the put certainly had no
// effect, but it had one.
func RefusedValuesSeen(history []Operation) []Violation {
	var found []Violation
	for _, k := range byKey(history) {
		if _, c := gatherFacts(Register, k.ops); c != nil && c.class == RefusedSeen {
			found = append(found, Violation{RefusedSeen, k.key, clashSentence(c), c.ops})
		}
	}
	return found
}

// LostWrites returns, sorted by key, for each key an acknowledged put or append that the
// final read should have found and did not, although nothing overwrote or deleted it.
// The final read is the last answered get of the key, if it was called after every
// acknowledged write of the key had returned. Keys without one are skipped. So are keys
// where values do not identify their writes (two puts write the same value, or there are
// conditions on values), unless only appends can have changed the key.
func LostWrites(history []Operation) []Violation {
	var found []Violation
	for _, k := range byKey(history) {
		if v := lostWrite(k); v != nil {
			found = append(found, *v)
		}
	}
	return found
}

func lostWrite(k keyHistory) *Violation {
	final := finalRead(k.ops)
	if final == nil {
		return nil
	}
	var lost *Operation
	switch appended, named := whatWrites(k.ops); {
	case appended:
		lost = lostAppend(k.ops, final)
	case named:
		lost = lostPut(k.ops, final)
	}
	if lost == nil {
		return nil
	}
	sentence := claim(lost) + ", but at the end " + claim(final)
	if !final.Answer.Found {
		sentence += ", and no delete can have removed it"
	}
	return &Violation{WriteLost, k.key, sentence, []*Operation{lost, final}}
}

// whatWrites reports whether only appends can have changed the key, and whether only
// deletes and puts of different values can have.
func whatWrites(ops []*Operation) (appended, named bool) {
	values := make(map[string]struct{})
	appends, others := 0, 0
	named = true
	for _, op := range ops {
		if !op.effective() && !op.mayTakeEffect() {
			continue
		}
		if op.Kind == Append {
			appends++
			continue
		}
		others++
		if op.Kind == Put {
			_, twice := values[op.Value]
			named = named && !twice
			values[op.Value] = struct{}{}
		}
		named = named && !op.HasIfValue
	}
	return appends > 0 && others == 0, named && appends == 0
}

func lostPut(ops []*Operation, final *Operation) (lost *Operation) {
	met := metPut(ops, final)
	for _, op := range ops {
		if op.Kind != Put || !op.effective() {
			continue
		}
		if final.Answer.Found && !olderThan(final, met, op) || !final.Answer.Found && mayBeDeleted(ops, op) {
			continue
		}
		if lost == nil || op.Answer.Version >= lost.Answer.Version {
			lost = op
		}
	}
	return lost
}

// lostAppend finds an append whose value the final read lacks, although nothing removes
// what was appended.
func lostAppend(ops []*Operation, final *Operation) (lost *Operation) {
	for _, op := range ops {
		if op.effective() && (!final.Answer.Found && op.Value != "" || final.Answer.HasValue && !strings.Contains(final.Answer.Value, op.Value)) {
			lost = op
		}
	}
	return lost
}

func finalRead(ops []*Operation) *Operation {
	var final *Operation
	var lastAcknowledged Stamp
	for _, op := range ops { // in call order
		if op.Kind == Get && op.answered() {
			final = op
		}
		if op.effective() {
			lastAcknowledged = max(lastAcknowledged, op.Return)
		}
	}
	if final == nil || final.Call < lastAcknowledged {
		return nil
	}
	return final
}

// metPut returns the put whose value the read found, or nil.
func metPut(ops []*Operation, read *Operation) *Operation {
	for _, op := range ops {
		if op.Kind == Put && op.Outcome != Refused && read.Answer.HasValue && op.Value == read.Answer.Value {
			return op
		}
	}
	return nil
}

// olderThan reports whether the value read was certainly written before this put.
func olderThan(read, met, put *Operation) bool {
	version := read.Answer.Version
	if version == 0 && met != nil {
		version = met.Answer.Version
	}
	if version != 0 && put.Answer.Version != 0 {
		return version < put.Answer.Version
	}
	return met != nil && met.Outcome == OK && met.Return < put.Call
}

// mayBeDeleted reports whether some delete can have taken effect after this put.
func mayBeDeleted(ops []*Operation, put *Operation) bool {
	version := put.Answer.Version
	for _, op := range ops {
		if op.Kind != Delete || op.IfAbsent {
			continue
		}
		removed := op.IfMatch
		if op.effective() && op.Answer.Version != 0 {
			removed = op.Answer.Version
		}
		if removed != 0 && version != 0 && removed < version {
			continue // it removed an older value
		}
		if op.mayTakeEffect() || op.effective() && op.Return > put.Call {
			return true
		}
	}
	return false
}

// violationsOf lists what is wrong with an illegal key.
func violationsOf(k keyHistory, d *decision, c *Contradiction) []Violation {
	l := Violation{Class: NotLinearizable, Key: k.key, Sentence: "no order of the operations explains all answers"}
	switch {
	case d.clash != nil:
		l.Sentence, l.Operations = clashSentence(d.clash), d.clash.ops
	case c != nil:
		l.Sentence, l.Operations = c.Sentence, c.Core
	}
	var all []Violation
	if v := lostWrite(k); v != nil {
		all = append(all, *v)
	}
	all = append(all, l)
	if d.clash != nil && d.clash.class == RefusedSeen {
		all = append(all, Violation{RefusedSeen, k.key, l.Sentence, l.Operations})
	}
	return all
}
