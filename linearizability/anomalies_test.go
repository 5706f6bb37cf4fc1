package linearizability

import (
	"strings"
	"testing"
)

// All operations of these tests are on key "x".

func put(client int, call, ret Stamp, value string, version Version) Operation {
	return Operation{Client: client, Key: "x", Kind: Put, Value: value, Call: call, Return: ret, Outcome: OK, Answer: Answer{Version: version}}
}

func get(client int, call, ret Stamp, value string, version Version) Operation {
	return Operation{Client: client, Key: "x", Kind: Get, Call: call, Return: ret, Outcome: OK,
		Answer: Answer{Found: true, HasValue: true, Value: value, Version: version}}
}

func getAbsent(client int, call, ret Stamp) Operation {
	return Operation{Client: client, Key: "x", Kind: Get, Call: call, Return: ret, Outcome: OK}
}

// erased returns an unconditional delete: its answer says only whether the key existed.
func erased(client int, call, ret Stamp, existed bool) Operation {
	return Operation{Client: client, Key: "x", Kind: Delete, Call: call, Return: ret, Outcome: OK, Answer: Answer{Found: existed}}
}

func unanswered(op Operation) Operation {
	op.Return, op.Outcome, op.Answer = 0, Unknown, Answer{}
	return op
}

func refused(op Operation) Operation {
	op.Outcome, op.Answer = Refused, Answer{}
	return op
}

func ifMatch(op Operation, version Version) Operation {
	op.IfMatch = version
	return op
}

func ifAbsent(op Operation) Operation {
	op.IfAbsent = true
	return op
}

func failed(op Operation, met Answer) Operation {
	met.ConditionFailed = true
	op.Answer = met
	return op
}

var anomalies = []struct {
	name     string
	history  []Operation
	verdict  Verdict
	classes  string // of the violations, in order
	sentence string // of the first violation
}{
	{name: "nothing happened", verdict: Linearizable},
	{
		name:    "overlapping writes, read either way",
		history: []Operation{put(1, 1, 4, "a", 5), put(2, 2, 3, "b", 4), get(3, 5, 6, "a", 5)},
	},
	{
		name: "stale read", verdict: Illegal, classes: "D L",
		history:  []Operation{put(1, 1, 2, "a", 4), put(2, 3, 4, "b", 7), get(3, 5, 6, "a", 4)},
		sentence: `client 2's put of "b" (stamps 3-4) was acknowledged with version 7, but at the end client 3's get (stamps 5-6) read "a", version 4`,
	},
	{
		name: "stale read, healed later", verdict: Illegal, classes: "L",
		history:  []Operation{put(1, 1, 2, "a", 4), put(2, 3, 4, "b", 7), get(3, 5, 6, "a", 4), get(3, 7, 8, "b", 7)},
		sentence: `client 3's get (stamps 5-6) read "a", version 4, but before that call client 2's put of "b" (stamps 3-4) was acknowledged with version 7`,
	},
	{
		name: "stale read where no answer carries a version", verdict: Illegal, classes: "L",
		history: []Operation{put(1, 1, 2, "a", 0), put(2, 3, 4, "b", 0), get(3, 5, 6, "a", 0), get(3, 7, 8, "b", 0)},
		sentence: `client 3's get (stamps 5-6) read "a", but before that call client 2's put of "b" (stamps 3-4) was acknowledged, ` +
			`and every put of "a" had returned even earlier`,
	},
	{
		name: "two reads go back in time", verdict: Illegal, classes: "L",
		history:  []Operation{put(1, 1, 2, "a", 4), put(2, 3, 20, "b", 7), get(3, 5, 6, "b", 7), get(4, 7, 8, "a", 4), get(3, 21, 22, "b", 7)},
		sentence: `client 4's get (stamps 7-8) read "a", version 4, but before that call client 3's get (stamps 5-6) read "b", version 7`,
	},
	{
		name: "lost update", verdict: Illegal, classes: "L",
		history: []Operation{
			put(1, 1, 2, "a", 4),
			ifMatch(put(2, 3, 6, "b", 7), 4), ifMatch(put(3, 4, 5, "c", 8), 4),
		},
		sentence: `client 2's put of "b" with If-Match 4 (stamps 3-6) was acknowledged with version 7; ` +
			`client 3's put of "c" with If-Match 4 (stamps 4-5) was acknowledged with version 8: both replaced version 4, but only one of them can have`,
	},
	{
		name: "two creations", verdict: Illegal, classes: "L",
		history: []Operation{ifAbsent(put(2, 3, 6, "b", 7)), ifAbsent(put(3, 4, 5, "c", 8))},
		sentence: `client 2's put of "b" with If-None-Match (stamps 3-6) was acknowledged with version 7; ` +
			`client 3's put of "c" with If-None-Match (stamps 4-5) was acknowledged with version 8: both created the key, and no delete can have taken effect in between`,
	},
	{
		name:    "two creations with a delete of unknown outcome",
		history: []Operation{unanswered(erased(4, 1, 0, true)), ifAbsent(put(2, 3, 6, "b", 7)), ifAbsent(put(3, 4, 5, "c", 8))},
	},
	{
		name: "two deletes of one value", verdict: Illegal, classes: "L",
		history: []Operation{put(1, 1, 2, "a", 4), erased(2, 3, 6, true), erased(3, 4, 5, true)},
		sentence: `client 2's delete (stamps 3-6) removed an existing value; client 3's delete (stamps 4-5) removed an existing value: ` +
			`both removed the key, and no write can have taken effect in between`,
	},
	{
		name: "read of a deleted value", verdict: Illegal, classes: "L",
		history: []Operation{put(1, 1, 2, "a", 4), erased(2, 3, 4, true), get(3, 5, 6, "a", 4)},
		sentence: `client 3's get (stamps 5-6) read "a", version 4, but before that call client 2's delete (stamps 3-4) ` +
			`removed an existing value, and no write can have taken effect in between`,
	},
	{
		name: "acknowledged write lost", verdict: Illegal, classes: "D L",
		history: []Operation{put(1, 1, 2, "a", 4), getAbsent(2, 3, 4)},
		sentence: `client 1's put of "a" (stamps 1-2) was acknowledged with version 4, but at the end client 2's get (stamps 3-4) ` +
			`found no value, and no delete can have removed it`,
	},
	{
		name:    "acknowledged write gone, perhaps by a delete of unknown outcome",
		history: []Operation{put(1, 1, 2, "a", 4), unanswered(erased(3, 3, 0, true)), getAbsent(2, 4, 5)},
	},
	{
		name: "acknowledged write gone, and the delete was called too late", verdict: Illegal, classes: "L",
		history: []Operation{put(1, 1, 2, "a", 4), getAbsent(2, 3, 4), unanswered(erased(3, 5, 0, true)), getAbsent(2, 6, 7)},
		sentence: `client 2's get (stamps 3-4) found no value, but before that call client 1's put of "a" (stamps 1-2) ` +
			`was acknowledged with version 4, and no delete can have taken effect in between`,
	},
	{
		name:    "unknown write seen later",
		history: []Operation{put(1, 1, 2, "a", 4), unanswered(put(2, 3, 0, "b", 0)), get(3, 5, 6, "a", 4), get(3, 7, 8, "b", 9)},
	},
	{
		name: "unknown write read and then lost", verdict: Illegal, classes: "L",
		history: []Operation{put(1, 1, 2, "a", 4), unanswered(put(2, 3, 0, "b", 0)), get(3, 5, 6, "b", 9), get(4, 7, 8, "a", 4)},
		sentence: `client 4's get (stamps 7-8) read "a", version 4, but before that call client 3's get (stamps 5-6) ` +
			`read "b", version 9`,
	},
	{
		name:    "delete of an unknown write that was never read",
		history: []Operation{unanswered(put(1, 1, 0, "a", 0)), getAbsent(2, 2, 3), erased(2, 4, 5, true), getAbsent(2, 6, 7)},
	},
	{
		name: "delete of nothing", verdict: Illegal, classes: "L",
		history:  []Operation{getAbsent(2, 2, 3), erased(2, 4, 5, true), unanswered(put(1, 6, 0, "a", 0))},
		sentence: `client 2's delete (stamps 4-5) removed an existing value: no state of the key explains this answer`,
	},
	{
		name: "refused value seen", verdict: Illegal, classes: "L R",
		history: []Operation{refused(put(1, 1, 2, "a", 0)), get(2, 3, 4, "a", 4)},
		sentence: `client 1's put of "a" (stamps 1-2) was refused; client 2's get (stamps 3-4) read "a", version 4: ` +
			`the value of a refused write must never be seen`,
	},
	{
		name:    "refused value not seen",
		history: []Operation{refused(put(1, 1, 2, "a", 0)), getAbsent(2, 3, 4)},
	},
	{
		name: "value that was never written", verdict: Illegal, classes: "L",
		history:  []Operation{get(2, 3, 4, "a", 4)},
		sentence: `client 2's get (stamps 3-4) read "a", version 4: no put of this key wrote that value`,
	},
	{
		name: "value read before it was written", verdict: Illegal, classes: "L",
		history: []Operation{get(2, 3, 4, "a", 7), put(1, 5, 6, "a", 7)},
		sentence: `client 2's get (stamps 3-4) read "a", version 7; client 1's put of "a" (stamps 5-6) was acknowledged with version 7: ` +
			`the value was seen before its put was called`,
	},
	{
		name: "one value, two versions", verdict: Illegal, classes: "L",
		history: []Operation{put(1, 1, 2, "a", 7), get(2, 3, 4, "a", 8)},
		sentence: `client 1's put of "a" (stamps 1-2) was acknowledged with version 7; client 2's get (stamps 3-4) read "a", version 8: ` +
			`one value cannot have two versions`,
	},
	{
		name: "two writes, one version", verdict: Illegal, classes: "L",
		history: []Operation{put(1, 1, 4, "a", 7), put(2, 2, 3, "b", 7)},
		sentence: `client 1's put of "a" (stamps 1-4) was acknowledged with version 7; client 2's put of "b" (stamps 2-3) was acknowledged with version 7: ` +
			`two writes cannot have one version`,
	},
	{
		name: "versions contradict the order in time", verdict: Illegal, classes: "L",
		history: []Operation{put(1, 1, 2, "a", 9), put(2, 3, 4, "b", 7)},
		sentence: `client 2's put of "b" (stamps 3-4) was acknowledged with version 7, but before that call ` +
			`client 1's put of "a" (stamps 1-2) was acknowledged with version 9`,
	},
	{
		name: "condition failed on the expected version", verdict: Illegal, classes: "L",
		history: []Operation{put(1, 1, 2, "a", 4), failed(ifMatch(put(2, 3, 4, "b", 0), 4), Answer{Found: true, Version: 4})},
		sentence: `client 2's put of "b" with If-Match 4 (stamps 3-4) failed its condition and found version 4: ` +
			`the condition failed, although the version found is the expected one`,
	},
	{
		name: "condition failed on an old version", verdict: Illegal, classes: "L",
		history: []Operation{put(1, 1, 2, "a", 4), put(1, 3, 4, "b", 6), failed(ifMatch(put(2, 5, 6, "c", 0), 6), Answer{Found: true, Version: 4})},
		sentence: `client 2's put of "c" with If-Match 6 (stamps 5-6) failed its condition and found version 4, but before that call ` +
			`client 1's put of "b" (stamps 3-4) was acknowledged with version 6`,
	},
	{
		name: "condition found a version that no known write has",
		history: []Operation{put(1, 1, 2, "a", 4), unanswered(put(3, 3, 0, "b", 0)),
			failed(ifMatch(put(2, 5, 6, "c", 0), 4), Answer{Found: true, Version: 9}), ifMatch(put(2, 7, 8, "d", 12), 9)},
	},
	{
		name: "the same, followed by the old value", verdict: Illegal, classes: "L",
		history: []Operation{put(1, 1, 2, "a", 4), unanswered(put(3, 3, 0, "b", 0)),
			failed(ifMatch(put(2, 5, 6, "c", 0), 4), Answer{Found: true, Version: 9}), get(2, 7, 8, "a", 4), put(2, 9, 10, "d", 12)},
		sentence: `client 2's get (stamps 7-8) read "a", version 4, but before that call ` +
			`client 2's put of "c" with If-Match 4 (stamps 5-6) failed its condition and found version 9`,
	},
	{
		name:    "deleting an absent key has no effect",
		history: []Operation{erased(1, 1, 2, false), put(1, 3, 4, "a", 4), get(2, 5, 6, "a", 4)},
	},
	{
		name: "values that are not unique are decided without pruning", verdict: Illegal, classes: "L",
		history: []Operation{put(1, 1, 2, "a", 0), put(2, 3, 4, "b", 0), getAbsent(2, 5, 6), put(1, 7, 8, "a", 0)},
		sentence: `client 2's get (stamps 5-6) found no value, but before that call client 1's put of "a" (stamps 1-2) ` +
			`was acknowledged, and no delete can have taken effect in between`,
	},
}

func TestAnomalies(t *testing.T) {
	for _, a := range anomalies {
		t.Run(a.name, func(t *testing.T) {
			r, err := Check(a.history, Options{})
			if err != nil {
				t.Fatal(err)
			}
			var classes []string
			for _, v := range r.Violations {
				classes = append(classes, string(v.Class))
			}
			if r.Verdict != a.verdict || strings.Join(classes, " ") != a.classes {
				t.Fatalf("%v, classes %q; want %v, %q", r.Verdict, classes, a.verdict, a.classes)
			}
			if len(r.Violations) > 0 && r.Violations[0].Sentence != a.sentence {
				t.Errorf("sentence\n%s\nwant\n%s", r.Violations[0].Sentence, a.sentence)
			}
			if plain, err := CheckWithPorcupine(Register, a.history, 0); err != nil || plain != a.verdict {
				t.Errorf("Porcupine alone: %v, %v", plain, err)
			}
		})
	}
}
