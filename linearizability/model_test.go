package linearizability

import "testing"

// step alone defines what an operation means, and the property tests rely on it. So
// each of its cases is tested here.
func TestStep(t *testing.T) {
	for _, test := range stepTests() {
		t.Run(test.name, func(t *testing.T) {
			to, legal := step(test.from, &test.op)
			if legal != test.legal || legal && to != test.to {
				t.Errorf("%v, %+v; want %v, %+v", legal, to, test.legal, test.to)
			}
		})
	}
}

type stepTest struct {
	name  string
	from  state
	op    Operation
	legal bool
	to    state
}

var (
	absent      = state{floor: 3}
	a7          = state{present: true, value: "a", version: 7, floor: 7}
	unversioned = state{present: true, value: "a", floor: 3} // the version is unknown
)

func ok(op Operation, a Answer) Operation {
	op.Outcome, op.Answer = OK, a
	return op
}

func met(version Version, value string) Answer {
	return Answer{Found: true, Version: version, Value: value, HasValue: value != ""}
}

func failedOn(a Answer) Answer {
	a.ConditionFailed = true
	return a
}

func b(version, floor Version) state {
	return state{present: true, value: "b", version: version, floor: floor}
}

func stepTests() []stepTest {
	get, del, put := Operation{Kind: Get}, Operation{Kind: Delete}, Operation{Kind: Put, Value: "b"}
	return []stepTest{
		{"get finds", a7, ok(get, met(7, "a")), true, a7},
		{"get finds without version", a7, ok(get, met(0, "a")), true, a7},
		{"head finds", a7, ok(get, met(7, "")), true, a7},
		{"get finds another value", a7, ok(get, met(7, "b")), false, a7},
		{"get finds another version", a7, ok(get, met(8, "a")), false, a7},
		{"get misses", a7, ok(get, Answer{}), false, a7},
		{"get finds nothing", absent, ok(get, Answer{}), true, absent},
		{"get finds what is not", absent, ok(get, met(7, "a")), false, absent},
		{"get tells the version", unversioned, ok(get, met(5, "a")), true, state{present: true, value: "a", version: 5, floor: 5}},
		{"get tells an impossible version", unversioned, ok(get, met(3, "a")), false, unversioned},

		{"put", absent, ok(put, Answer{Version: 4}), true, b(4, 4)},
		{"put over a value", a7, ok(put, Answer{Version: 8}), true, b(8, 8)},
		{"put without version", a7, ok(put, Answer{}), true, b(0, 7)},
		{"put with a version taken", a7, ok(put, Answer{Version: 7}), false, a7},
		{"put if absent", absent, ok(ifAbsent(put), Answer{Version: 4}), true, b(4, 4)},
		{"put if absent, present", a7, ok(ifAbsent(put), Answer{Version: 8}), false, a7},
		{"put if match", a7, ok(ifMatch(put, 7), Answer{Version: 8}), true, b(8, 8)},
		{"put if match of another", a7, ok(ifMatch(put, 6), Answer{Version: 8}), false, a7},
		{"put if match, absent", absent, ok(ifMatch(put, 2), Answer{Version: 8}), false, absent},
		{"put if match tells the version", unversioned, ok(ifMatch(put, 5), Answer{}), true, b(0, 5)},

		{"condition fails on another", a7, ok(ifMatch(put, 6), failedOn(met(7, ""))), true, a7},
		{"condition fails on another, with the value", a7, ok(ifMatch(put, 6), failedOn(met(7, "a"))), true, a7},
		{"condition fails on another value", a7, ok(ifMatch(put, 6), failedOn(met(7, "c"))), false, a7},
		{"condition fails on none", absent, ok(ifMatch(del, 6), failedOn(Answer{})), true, absent},
		{"condition fails on none, present", a7, ok(ifMatch(put, 6), failedOn(Answer{})), false, a7},
		{"condition fails on itself", a7, ok(ifMatch(put, 7), failedOn(met(7, ""))), false, a7},
		{"condition fails on itself, unversioned", a7, ok(ifMatch(put, 7), failedOn(met(0, "a"))), false, a7},
		{"condition fails if absent", a7, ok(ifAbsent(put), failedOn(met(7, ""))), true, a7},
		{"condition fails if absent, absent", absent, ok(ifAbsent(put), failedOn(Answer{})), false, absent},
		{"condition fails and excludes a version", unversioned, ok(ifMatch(put, 5), failedOn(met(0, "a"))), true,
			state{present: true, value: "a", floor: 3, excluded: versionSet("").with(5)}},
		{"an excluded version is told", state{present: true, value: "a", excluded: versionSet("").with(5)}, ok(get, met(5, "a")), false, unversioned},

		{"delete removes", a7, ok(del, met(7, "a")), true, state{floor: 7}},
		{"delete removes something", a7, ok(del, met(0, "")), true, state{floor: 7}},
		{"delete removes another", a7, ok(del, met(6, "")), false, a7},
		{"delete misses", a7, ok(del, Answer{}), false, a7},
		{"delete of nothing", absent, ok(del, Answer{}), true, absent},
		{"delete of what is not", absent, ok(del, met(0, "")), false, absent},
		{"delete if match", a7, ok(ifMatch(del, 7), met(7, "")), true, state{floor: 7}},
		{"delete if match of another", a7, ok(ifMatch(del, 6), met(0, "")), false, a7},
		{"delete if absent of nothing", absent, ok(ifAbsent(del), Answer{}), true, absent},

		{"unknown get", a7, get, true, a7},
		{"unknown put", a7, put, true, b(0, 7)},
		{"unknown put if absent, present", a7, ifAbsent(put), true, a7},
		{"unknown put if match", a7, ifMatch(put, 7), true, b(0, 7)},
		{"unknown put if match of another", a7, ifMatch(put, 6), true, a7},
		{"unknown put if match, unversioned", unversioned, ifMatch(put, 6), true, b(0, 6)},
		{"unknown put if match of a version gone", unversioned, ifMatch(put, 3), true, unversioned},
		{"unknown delete", a7, del, true, state{floor: 7}},
		{"unknown delete if match of another", a7, ifMatch(del, 6), true, a7},
		{"refused put", a7, refused(put), true, a7},
	}
}
