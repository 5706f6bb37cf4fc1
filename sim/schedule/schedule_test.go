package schedule

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/linearizability"
	"dkv/netsim"

	"pgregory.net/rapid"
)

// drawSetup makes any valid header.
func drawSetup(t *rapid.T) Setup {
	s := DefaultSetup()
	for _, f := range header {
		switch v := f.of(&s).(type) {
		case *uintValue:
			*v = uintValue(rapid.Uint64().Draw(t, f.Line))
		case *intValue:
			*v.v = rapid.IntRange(v.min, v.max).Draw(t, f.Line)
		case *durationValue:
			*v.v = time.Duration(rapid.Int64Range(int64(v.min), int64(maxDuration)).Draw(t, f.Line))
			s.SuspectAfter = min(s.SuspectAfter, maxSuspectAfter)
		case *rateValue:
			*v = rateValue(rapid.Float64Range(0, 1).Draw(t, f.Line))
		case *switchValue:
			*v = switchValue(rapid.Bool().Draw(t, f.Line))
		case *modeValue:
			*v = modeValue(rapid.SampledFrom([]netsim.Mode{netsim.Stream, netsim.Datagram}).Draw(t, f.Line))
		case *picksValue:
			if rapid.Bool().Draw(t, "picks") {
				*v = picksValue(Picks("").With(rapid.IntRange(0, 99).Draw(t, "choice"), 2).With(100, 1))
			}
		case *crashValue:
			if rapid.Bool().Draw(t, "crash") {
				*v = crashValue{Host: rapid.IntRange(0, 8).Draw(t, "host"), Step: rapid.IntRange(1, 99).Draw(t, "step"), Restart: time.Second}
			}
		case *unevenValue:
			if rapid.Bool().Draw(t, "uneven") {
				*v = unevenValue(Uneven("").With(0, 3*s.SuspectAfter).With(rapid.IntRange(1, MaxNodes-1).Draw(t, "uneven host"), s.SuspectAfter/2+time.Millisecond))
			}
		case *perHostValue:
			*v.v = PerHost(rapid.StringOfN(rapid.SampledFrom([]rune(v.allowed)), 0, MaxNodes, -1).Draw(t, f.Line))
		case *wordValue:
			*v.v = rapid.SampledFrom(v.words).Draw(t, f.Line)
		default:
			t.Fatalf("header line %s has a value of unknown type %T", f.Line, v)
		}
	}
	s.Replication = min(s.Replication, s.Nodes)
	s.Strangers = min(s.Strangers, MaxNodes-s.Nodes)
	s.LatencyMean = max(s.LatencyMean, s.LatencyMin)
	s.Sync.Max = max(s.Sync.Max, s.Sync.Min)
	s.TurnMax = max(s.TurnMax, s.TurnMin)
	s.Order.Window = min(s.Order.Window, maxWindow)
	s.Uneven, s.Zones, s.Weights = s.Uneven.below(s.Nodes), s.Zones.below(s.Nodes), s.Weights.below(s.Nodes)
	if s.ReplaceAfter != 0 {
		s.ReplaceAfter = max(s.ReplaceAfter, min(4*slices.Max(s.SuspectAfters()), maxDuration))
	}
	s.Order.Crash.Host = min(s.Order.Crash.Host, s.Nodes-1)
	w := &s.Workload
	w.Get, w.Put, w.Delete, w.Conditional = w.Get/4, w.Put/4, w.Delete/4, 0
	w.Conditional = 100 - w.Get - w.Put - w.Delete
	return s
}

func drawStep(t *rapid.T, s *Setup, at time.Duration) Step {
	return Generate(s, at, func(what string, low, high int) int { return rapid.IntRange(low, high).Draw(t, what) })
}

func drawCalls(t *rapid.T, nodes int) []Call {
	var calls []Call
	at := time.Duration(0)
	for range rapid.IntRange(0, 8).Draw(t, "calls") {
		at += time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "call at"))
		c := Call{
			At: at, Client: rapid.IntRange(0, MaxClients-1).Draw(t, "client"),
			Key: rapid.StringMatching(`[a-z][0-9-]{0,6}`).Draw(t, "key"), Host: rapid.IntRange(0, nodes-1).Draw(t, "host"),
			Kind: rapid.SampledFrom([]linearizability.Kind{linearizability.Get, linearizability.Put, linearizability.Delete}).Draw(t, "kind"),
		}
		switch {
		case c.Kind == linearizability.Get:
		case c.Kind == linearizability.Put && rapid.Bool().Draw(t, "if absent"):
			c.IfAbsent = true
		default:
			c.IfMatch = rapid.Bool().Draw(t, "if match")
		}
		calls = append(calls, c)
	}
	return calls
}

func TestScheduleTextIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &Schedule{Setup: drawSetup(t)}
		at := time.Duration(0)
		for range rapid.IntRange(0, 12).Draw(t, "steps") {
			at += time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "at"))
			s.Steps = append(s.Steps, drawStep(t, &s.Setup, at))
			if do := s.Steps[len(s.Steps)-1].Do; do.Only != "" {
				s.Setup.Store = PebbleRaw
			}
		}
		if s.Setup.Workload.Source == Listed {
			s.Calls = drawCalls(t, s.Setup.Hosts())
		}
		for _, text := range []string{s.String(), s.Brief()} {
			read, err := Parse(text)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if !reflect.DeepEqual(read, s) {
				t.Fatalf("wrote\n%s\nread\n%s", text, read)
			}
		}
	})
}

func TestScheduleOfDefaultsCommentsAndAnyOrder(t *testing.T) {
	s, err := Parse(`
# A story.
nodes 3     # small
zk session=2s

at 2s heal
at 1s cut primary:0<>n2 for 1.5s  # the earlier step may stand below
at 1s move 1 n1 n3
`)
	if err != nil {
		t.Fatal(err)
	}
	if s.Setup.Nodes != 3 || s.Setup.SessionTimeout != 2*time.Second || s.Setup.ZKServers != DefaultSetup().ZKServers {
		t.Fatalf("header read as %+v", s.Setup)
	}
	var lines []string
	for i := range s.Steps {
		lines = append(lines, s.Steps[i].String())
	}
	want := []string{"at 1s cut primary:0<>n2 for 1.5s", "at 1s move 1 n1 n3", "at 2s heal"}
	if !slices.Equal(lines, want) {
		t.Fatalf("steps %q, want %q", lines, want)
	}
}

func TestScheduleErrorsNameTheLineAndTheFault(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"seed 1\nnonsense 3", `line 2: unknown header line "nonsense"`},
		{"seed 1\nseed 2", `line 2: header line "seed" appears twice`},
		{"seed", `line 1: header line "seed" takes one value`},
		{"seed -1", `invalid number "-1"`},
		{"nodes 21", `invalid number "21" (want 1 to 20)`},
		{"partitions 513", `invalid number "513" (want 1 to 512)`},
		{"suspect-after-of n2", `suspect-after of n2: invalid duration ""`},
		{"suspect-after-of 2:1s", `invalid suspect-after of a host "2:1s" (example: n2:300ms)`},
		{"suspect-after-of n3:1s,n2:1s", `suspect-after of n2 is not in order: it must come after that of n3`},
		{"nodes 3\nsuspect-after-of n4:1s", `suspect-after-of names n4, but there are only 3 nodes`},
		{"rates loss=2", `loss: invalid probability "2"`},
		{"rates loss=NaN", `loss: invalid probability "NaN"`},
		{"rates loss", `invalid word "loss" (want key=value)`},
		{"rates lost=1", `header line "rates" has no key "lost"`},
		{"rates loss=0.1 loss=0.2", `key loss appears twice`},
		{"network mode=pigeon", `unknown network mode "pigeon"`},
		{"workload shape=round", `unknown word "round" (want one of uniform, hot, boundary)`},
		{"phases faults=5", `invalid duration "5"`},
		{"phases faults=-5s", `invalid duration "-5s"`},
		{"nodes 3\nreplication 4", `header: replication 4 needs at least as many nodes, not 3`},
		{"mix get=50", `header: the percentages of mix add up to 110`},
		{"at 1s", `incomplete step (want: at TIME ACTION`},
		{"at 1s explode n1", `unknown action "explode"`},
		{"at soon crash n1", `invalid duration "soon"`},
		{"at 1s crash", `crash: wrong number of arguments; usage: at TIME crash NODE [for TIME]`},
		{"at 1s crash n6", `invalid node "n6" (want n1 to n5`},
		{"at 1s crash 2", `invalid node "2" (want n1 to n5`},
		{"at 1s crash primary:4", `invalid partition "4" (want 0 to 3)`},
		{"at 1s restart n1 for 2s", `restart takes no "for": it does not last`},
		{"at 1s delay n1>n2", `delay: wrong number of arguments; usage: at TIME delay NODE>NODE TIME`},
		{"at 1s delay n1 5ms", `invalid link "n1" (example: n1>n2)`},
		{"at 1s throttle n1>n2", `usage: at TIME throttle NODE>NODE BYTES`},
		{"at 1s throttle n1>n2 0", `invalid number "0" (want 1 to 1073741824)`},
		{"at 1s slow n1", `usage: at TIME slow NODE TIME`},
		{"budget all", `unknown word "all" (want one of none, majority)`},
		{"at 1s disk-slow n1", `usage: at TIME disk-slow NODE TIME`},
		{"at 1s disk-fail-sync n1 for 2s", `disk-fail-sync takes no "for"`},
		{"at 1s disk-flip-wal n1", `at 1s disk-flip-wal n1: only possible with store pebble-raw, not model`},
		{"store tape", `unknown word "tape" (want one of model, pebble, pebble-raw)`},
		{"at 1s cordon n1", `usage: at TIME cordon NODE NODE`},
		{"at 1s heal after soon", `invalid duration "soon"`},
		{"at 1s crash n1 once soon:0", `invalid trigger "soon:0" (example: active:0)`},
		{"at 1s crash n1 once active", `invalid partition "" (want 0 to 3)`},
		{"at 1s cut n1-n2", `usage: at TIME cut NODE>NODE [for TIME], or: at TIME cut NODE<>NODE`},
		{"at 1s cut n1>n1", `n1 is named twice`},
		{"at 1s zk-lag 3 1s", `invalid number "3" (want 0 to 2)`},
		{"at 1s heal n1", `heal: wrong number of arguments; usage: at TIME heal`},
		{"at 1s move 0", `move: wrong number of arguments, 1 to 7 nodes; usage: at TIME move P NODE`},
		{"at 1s cancel 0 n1", `usage: at TIME cancel P`},
		{"at 1s client 2 get k1 at n1", `client calls need the header line: workload calls=listed`},
		{"at 1s client 2 get k1", `a call is: at TIME client N`},
		{"at 1s client 100 get k1 at n1", `invalid number "100" (want 0 to 99)`},
		{"at 1s client 2 look k1 at n1", `unknown operation "look"`},
		{"at 1s client 2 get k1 if-match at n1", `get takes no condition "if-match"`},
		{"at 1s client 2 delete k1 if-absent at n1", `delete takes no condition "if-absent"`},
		{"at 1s client 2 put k1 at n9", `invalid node "n9" (want n1 to n5`},
		{"at 1s client 2 put k1 at primary:0", `invalid node primary:0: a call names a node by its number`},
		{"workload calls=listed\nat 1s client 2 put k1 at n1\nseed 3", `line 3: header line "seed" must come before`},
		{"at 1s heal\nseed 3", `line 2: header line "seed" must come before the first step`},
	} {
		_, err := Parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want one with %q", c.text, err, c.want)
		}
	}
}
