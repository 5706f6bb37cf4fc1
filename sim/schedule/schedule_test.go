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
		case *wordValue:
			*v.v = rapid.SampledFrom(v.words).Draw(t, f.Line)
		default:
			t.Fatalf("header line %s has a value of unknown type %T", f.Line, v)
		}
	}
	s.Replication = min(s.Replication, s.Nodes)
	s.LatencyMean = max(s.LatencyMean, s.LatencyMin)
	s.Sync.Max = max(s.Sync.Max, s.Sync.Min)
	s.Order.Window = min(s.Order.Window, maxWindow)
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
			if do := s.Steps[len(s.Steps)-1].Do; do == DiskFlipTable || do == DiskFlipLog {
				s.Setup.Store = PebbleRaw
			}
		}
		if s.Setup.Workload.Source == Listed {
			s.Calls = drawCalls(t, s.Setup.Nodes)
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
		{"seed 1\nnonsense 3", `line 2: unknown line "nonsense"`},
		{"seed 1\nseed 2", `line 2: a second line "seed"`},
		{"seed", `line 1: "seed" wants one word`},
		{"seed -1", `"-1" is no number`},
		{"nodes 10", `"10" is no number from 1 to 9`},
		{"rates loss=2", `loss: "2" is no probability`},
		{"rates loss=NaN", `loss: "NaN" is no probability`},
		{"rates loss", `"loss" is not key=value`},
		{"rates lost=1", `"rates" has no "lost"`},
		{"rates loss=0.1 loss=0.2", `loss twice`},
		{"network mode=pigeon", `"pigeon" is neither stream nor datagram`},
		{"workload shape=round", `"round" is none of uniform, hot, boundary`},
		{"phases faults=5", `"5" is no duration`},
		{"phases faults=-5s", `"-5s" is no duration`},
		{"nodes 3\nreplication 4", `header: replication 4 with 3 nodes`},
		{"mix get=50", `header: the mix adds up to 110`},
		{"at 1s", `a step is: at TIME VERB`},
		{"at 1s explode n1", `unknown step "explode"`},
		{"at soon crash n1", `"soon" is no duration`},
		{"at 1s crash", `crash wants one node`},
		{"at 1s crash n6", `"n6" is none of n1 to n5`},
		{"at 1s crash 2", `"2" is none of n1 to n5`},
		{"at 1s crash primary:4", `"4" is no partition from 0 to 3`},
		{"at 1s restart n1 for 2s", `restart does not last`},
		{"at 1s delay n1>n2", `delay wants n1>n2 and a duration`},
		{"at 1s delay n1 5ms", `none of n1 to n5`},
		{"at 1s throttle n1>n2", `throttle wants n1>n2 and bytes a second`},
		{"at 1s throttle n1>n2 0", `"0" is no number from 1 to 1073741824`},
		{"at 1s slow n1", `slow wants a node and a duration`},
		{"budget all", `"all" is none of none, majority`},
		{"at 1s disk-slow n1", `disk-slow wants a node and a duration`},
		{"at 1s disk-fail-sync n1 for 2s", `disk-fail-sync does not last`},
		{"at 1s disk-flip-wal n1", `at 1s disk-flip-wal n1: only store pebble-raw can do that, not model`},
		{"store tape", `"tape" is none of model, pebble, pebble-raw`},
		{"at 1s cordon n1", `cordon wants two nodes`},
		{"at 1s heal after soon", `"soon" is no duration`},
		{"at 1s crash n1 once soon:0", `"soon:0" is no moment`},
		{"at 1s crash n1 once active", `"" is no partition from 0 to 3`},
		{"at 1s cut n1-n2", `"n1-n2" is neither`},
		{"at 1s cut n1>n1", `n1 twice`},
		{"at 1s zk-lag 3 1s", `"3" is no number from 0 to 2`},
		{"at 1s heal n1", `heal wants nothing more, here is "n1"`},
		{"at 1s move 0", `move wants the 1 to 7 nodes`},
		{"at 1s cancel 0 n1", `cancel wants nothing more`},
		{"at 1s client 2 get k1 at n1", `wants a line: workload calls=listed`},
		{"at 1s client 2 get k1", `a call is: at TIME client N`},
		{"at 1s client 100 get k1 at n1", `"100" is no number from 0 to 99`},
		{"at 1s client 2 look k1 at n1", `"look" is none of get, put, delete`},
		{"at 1s client 2 get k1 if-match at n1", `get takes no condition "if-match"`},
		{"at 1s client 2 delete k1 if-absent at n1", `delete takes no condition "if-absent"`},
		{"at 1s client 2 put k1 at n9", `"n9" is none of n1 to n5`},
		{"at 1s client 2 put k1 at primary:0", `primary:0: a client asks a certain node`},
		{"workload calls=listed\nat 1s client 2 put k1 at n1\nseed 3", `line 3: "seed" belongs above`},
		{"at 1s heal\nseed 3", `line 2: "seed" belongs above the first step`},
	} {
		_, err := Parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want one with %q", c.text, err, c.want)
		}
	}
}
