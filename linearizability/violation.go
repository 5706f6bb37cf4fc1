package linearizability

import (
	"fmt"
	"strings"
)

// A Class names a kind of violation by the letter that campaigns print.
type Class string

const (
	// NotLinearizable: no order explains the answers about a key.
	NotLinearizable Class = "L"
	// RefusedSeen: the value of a refused put was seen. Such a history is not
	// linearizable either.
	RefusedSeen Class = "R"
	// WriteLost: an acknowledged write is missing at the end. Such a history is
	// not linearizable either.
	WriteLost Class = "D"
)

// A Violation is one thing that went wrong with one key.
type Violation struct {
	Class      Class
	Key        string
	Sentence   string       // in words: which operations contradict one another
	Operations []*Operation // those of the history that the sentence names
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: key %s: %s", v.Class, Quote(v.Key), v.Sentence)
}

// RefusedValuesSeen returns, for each key by name, the first answer that
// carries a value which only refused puts can have written: the store said of
// the put that it certainly had no effect, and it had one.
func RefusedValuesSeen(history []Operation) []Violation {
	var found []Violation
	for _, k := range byKey(history) {
		if _, c := gatherFacts(Register, k.ops); c != nil && c.class == RefusedSeen {
			found = append(found, Violation{RefusedSeen, k.key, clashSentence(c), c.ops})
		}
	}
	return found
}

// LostWrites returns, for each key by name, an acknowledged put or append that
// the final read of the key should have found and did not, although nothing
// overwrote or deleted it. The final read is the key's last answered get, if it
// was called after every acknowledged write of the key had returned. A key
// without one is not judged, nor is one where values do not name their writes
// (two puts share one, or there are conditions on values), unless nothing but
// appends can have changed it.
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

// whatWrites says whether nothing but appends can have changed the key, and
// whether only puts of different values and deletes can have.
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

// lostAppend: nothing removes what was appended, so the final read has it.
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
	for _, op := range ops { // by call
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

// metPut is the put whose value the read carries, if there is one.
func metPut(ops []*Operation, read *Operation) *Operation {
	for _, op := range ops {
		if op.Kind == Put && op.Outcome != Refused && read.Answer.HasValue && op.Value == read.Answer.Value {
			return op
		}
	}
	return nil
}

// olderThan: what the read met was certainly written before this put.
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

// mayBeDeleted: some delete can have taken effect after this put.
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
			continue // it removed something older
		}
		if op.mayTakeEffect() || op.effective() && op.Return > put.Call {
			return true
		}
	}
	return false
}

// violationsOf lists what is wrong with a key that is illegal.
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
