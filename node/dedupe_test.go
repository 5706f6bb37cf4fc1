package node

import (
	"testing"

	"pgregory.net/rapid"

	"dkv/node/door"
)

// TestOneFateANumber checks rule "one fate per forward": a number is fresh at most once,
// keeps its fate while it is in the window, and is never fresh again below it.
func TestOneFateANumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tables []*fates
		table := findFates(&tables, ForwardID{Store: "a", Boot: 1})
		known := make(map[uint64]*fate)
		greatest := uint64(0)
		for range rapid.IntRange(1, 60).Draw(t, "forwards") {
			jump := rapid.SampledFrom([]int{0, 1, 2, 100, forwardWindow - 1, forwardWindow, 3 * forwardWindow}).Draw(t, "jump")
			number := greatest + uint64(jump)
			if rapid.Bool().Draw(t, "back") {
				number = max(greatest, uint64(jump)) - uint64(jump)
			}
			f, fresh := table.of(number)
			below := number+forwardWindow <= greatest
			first, again := known[number]
			switch {
			case below && (f != nil || fresh):
				t.Fatalf("number %d has a fate below the window that ends at %d", number, greatest)
			case !below && fresh == again:
				t.Fatalf("number %d is fresh: %v, came before: %v", number, fresh, again)
			case !below && again && f != first:
				t.Fatalf("number %d has a second fate", number)
			}
			if fresh {
				known[number] = f
			}
			greatest = max(greatest, number)
		}
	})
}

func TestFatesAreBounded(t *testing.T) {
	table := &fates{records: make(map[uint64]*fate)}
	for number := uint64(1); number <= 5*forwardWindow; number++ {
		table.of(number)
		if len(table.records) > forwardWindow || len(table.order) != len(table.records) {
			t.Fatalf("after number %d: %d records, %d in order", number, len(table.records), len(table.order))
		}
	}
}

func TestForwardersHaveTheirOwnTables(t *testing.T) {
	var tables []*fates
	a := findFates(&tables, ForwardID{Store: "a", Boot: 1, Number: 7})
	if findFates(&tables, ForwardID{Store: "a", Boot: 1, Number: 8}) != a {
		t.Error("one forwarder has two tables")
	}
	if findFates(&tables, ForwardID{Store: "a", Boot: 2}) == a || findFates(&tables, ForwardID{Store: "b", Boot: 1}) == a {
		t.Error("two forwarders share a table")
	}
}

// TestOnlySmallAnswersAreRepeated: a copy must not get an answer whose value
// was dropped.
func TestOnlySmallAnswersAreRepeated(t *testing.T) {
	for _, c := range []struct {
		size  int
		final bool
	}{{0, true}, {smallValue, true}, {smallValue + 1, false}} {
		var f fate
		f.settle(door.Response{Outcome: door.Done, Value: make([]byte, c.size), Version: 3})
		if f.final != c.final || f.final != (f.response.Outcome == door.Done) {
			t.Errorf("an answer of %d bytes: final %v, kept %v", c.size, f.final, f.response)
		}
	}
}
