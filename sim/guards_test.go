package sim

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"dkv/linearizability"
	"dkv/node"
	"dkv/node/door"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// More of what a verdict of the harness rests on; see soundness_test.go.

func parsed(t *testing.T, text string) *schedule.Schedule {
	t.Helper()
	s, err := schedule.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A key counts as written however its writes ended.
func TestWrittenKeysAreAllThatAWriteNamed(t *testing.T) {
	history := []linearizability.Operation{
		{Key: "read", Kind: linearizability.Get, Outcome: linearizability.OK},
		{Key: "unknown", Kind: linearizability.Put, Outcome: linearizability.Unknown},
		{Key: "deleted", Kind: linearizability.Delete, Outcome: linearizability.OK},
		{Key: "refused", Kind: linearizability.Put, Outcome: linearizability.Refused},
		{Key: "condition", Kind: linearizability.Put, Outcome: linearizability.OK, IfAbsent: true, Answer: linearizability.Answer{ConditionFailed: true}},
		{Key: "unknown", Kind: linearizability.Put, Outcome: linearizability.OK},
		{Key: "last", Kind: linearizability.Put, Outcome: linearizability.OK},
	}
	want := []string{"unknown", "deleted", "refused", "condition", "last"}
	if got := writtenKeys(history); !slices.Equal(got, want) {
		t.Errorf("written keys %q, want %q", got, want)
	}
}

// The histories of drawn runs show a final read of every key that was written.
func TestFinalReadsCoverDrawnRuns(t *testing.T) {
	for seed := uint64(1); seed <= 4; seed++ {
		s, err := Draw(seed, "default")
		if err != nil {
			t.Fatal(err)
		}
		r, err := Run(s, RunOptions{})
		if err != nil || len(r.Violations) > 0 {
			t.Fatal(seed, err, r.Violations)
		}
		written, read := make(map[string]bool), make(map[string]bool)
		for i := range r.History {
			op := &r.History[i]
			switch final := op.Client >= finalClient && op.Client < scriptClient; {
			case op.Kind != linearizability.Get:
				if delete(read, op.Key); final {
					t.Errorf("seed %d: a final write of key %s", seed, op.Key)
				}
				written[op.Key] = true
			case final && op.Outcome == linearizability.OK:
				read[op.Key] = true
			}
		}
		for key := range written {
			if !read[key] {
				t.Errorf("seed %d: key %.20q was written and is not read at the end", seed, key)
			}
		}
		if len(written) < 5 {
			t.Errorf("seed %d wrote %d keys", seed, len(written))
		}
	}
}

// Two disks on which something differs below the same index are told apart.
func TestPlantedDifferencesOfStatesAreSeen(t *testing.T) {
	type pair struct{ key, value []byte }
	for name, plant := range map[string]func(b *door.Batch, kv []pair){
		"nothing":       nil,
		"another value": func(b *door.Batch, kv []pair) { b.Put(kv[0].key, append(bytes.Clone(kv[0].value), 'x')) },
		"one bit": func(b *door.Batch, kv []pair) {
			last := kv[len(kv)-1]
			value := bytes.Clone(last.value)
			value[len(value)-1] ^= 1
			b.Put(last.key, value)
		},
		"another version": func(b *door.Batch, kv []pair) {
			value := bytes.Clone(kv[0].value)
			value[7] ^= 1
			b.Put(kv[0].key, value)
		},
		"a key fewer": func(b *door.Batch, kv []pair) { b.Delete(kv[len(kv)-1].key) },
		"a key more":  func(b *door.Batch, kv []pair) { b.Put(append(bytes.Clone(kv[0].key), 'x'), kv[0].value) },
		"values exchanged": func(b *door.Batch, kv []pair) {
			b.Put(kv[0].key, kv[1].value)
			b.Put(kv[1].key, kv[0].value)
		},
		"the seam": func(b *door.Batch, kv []pair) {
			key := kv[0].key
			b.Delete(key)
			b.Put(bytes.Clone(key[:len(key)-1]), append([]byte{key[len(key)-1]}, kv[0].value...))
		},
	} {
		for victim := range 3 {
			s := parsed(t, "seed 4\nnodes 3\npartitions 1\nworkload operations=0\nphases faults=6s core=0s converge=4s\n"+
				"at 2s put-new n1 0\nat 2.5s put-new n2 0\nat 3s put-new n3 0\n")
			planted := plant == nil
			r, err := Run(s, RunOptions{Pause: func(w *world.World) bool {
				if planted || w.Now() < 5*time.Second {
					return true
				}
				planted = true
				var kv []pair
				from := []byte("p/\x00\x00\x00\x00/gen/")
				err := w.Store(victim).Scan(from, []byte("p/\x00\x00\x00\x00/gen0"), func(key, value []byte) bool {
					kv = append(kv, pair{bytes.Clone(key), bytes.Clone(value)})
					return true
				})
				if err != nil || len(kv) != 3 {
					t.Fatalf("the disk has %d keys: %v", len(kv), err)
				}
				b := &door.Batch{}
				plant(b, kv)
				w.Store(victim).Commit(b, func(error) {})
				return true
			}})
			if err != nil {
				t.Fatal(err)
			}
			seen := slices.ContainsFunc(r.Violations, func(v Violation) bool {
				return v.Class == Convergence && strings.Contains(v.What, "hold different states")
			})
			if seen != (plant != nil) {
				t.Errorf("%s on the disk of %s: %v", name, schedule.HostName(victim), r.Violations)
			}
		}
	}
}

// runOther runs a schedule with processes that have no layout, so that the core is a
// bare majority of the hosts.
func runOther(t *testing.T, s *schedule.Schedule, o RunOptions, newProcess func(int, node.Config, node.Env) (world.Process, error)) *Result {
	t.Helper()
	r := newRun(s, o)
	r.newProcess, r.system = newProcess, &System{Check: func([]linearizability.Operation) []Violation { return nil }}
	result, err := r.execute()
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// A core that falls silent fails, and so does a single host of it, however many
// hosts there are. One that answers passes.
func TestASilentCoreFailsAtEverySize(t *testing.T) {
	for _, hosts := range []int{3, 5, 7} {
		for silent := -2; silent < hosts; silent++ { // -2: no host; -1: all
			s := parsed(t, fmt.Sprintf("seed 2\nnodes %d\npartitions 2\nworkload clients=4 keys=8 operations=100 timeout=500ms\n"+
				"outside down\nphases faults=4s core=3s converge=0s\n", hosts))
			healed, inCore := false, false
			o := RunOptions{Note: func(_ time.Duration, what string) {
				if strings.HasPrefix(what, "the healed core") {
					healed, inCore = true, strings.Contains(what, "n"+fmt.Sprint(silent+1))
				}
			}}
			shared, index := make(map[string]storedValue), door.Index(0)
			r := runOther(t, s, o, func(host int, _ node.Config, _ node.Env) (world.Process, error) {
				p := &mapStore{values: shared, index: &index, answer: func(r door.Response) door.Response { return r }}
				p.heard = func(door.Request) { p.mute = healed && (silent == -1 || silent == host) }
				return p, nil
			})
			unserved := 0
			for _, v := range r.Violations {
				if v.Class == Progress && strings.Contains(v.What, "got no service") {
					unserved++
				}
			}
			if want := silent == -1 || silent >= 0 && inCore; want != (unserved > 0) || !healed {
				t.Errorf("%d hosts, silent host %d (in the core: %t): %v", hosts, silent, inCore, r.Violations)
			}
		}
	}
}

// outsideRun runs programs that greet one another through a core phase. It returns
// the kind of each host outside the core, by host, which hosts are up at its end, and
// the frames that hosts heard of one another in its last two seconds.
func outsideRun(t *testing.T, seed int, outside string) (kinds map[int]schedule.Outside, up []bool, heard [5][5]int) {
	t.Helper()
	s := parsed(t, fmt.Sprintf("seed %d\nnodes 5\npartitions 1\nworkload operations=0\noutside %s\n"+
		"phases faults=4s core=12s converge=0s\nsuspect-after 250ms\n", seed, outside))
	if outside == string(schedule.OutsideAsTheyAre) {
		for host := range 5 {
			s.Steps = append(s.Steps, parsed(t, fmt.Sprintf("at 2s isolate n%d\n", host+1)).Steps...)
		}
		s.Setup.Budget = schedule.NoBudget
	}
	kinds = make(map[int]schedule.Outside)
	beacons := make([]*beacon, 5)
	var before [5][5]int
	from, to := 13*time.Second, 15*time.Second
	o := RunOptions{
		Note: func(_ time.Duration, what string) {
			if name, kind, found := strings.Cut(what, " is outside the core: "); found {
				kinds[int(name[1]-'1')] = schedule.Outside(kind)
			}
		},
		Pause: func(w *world.World) bool {
			switch at := w.Now(); {
			case at < from:
				for i, p := range beacons {
					if p != nil {
						before[i] = p.heard
					}
				}
			case at < to:
				up = up[:0]
				for i, p := range beacons {
					up = append(up, w.Running(i))
					for j := range p.heard {
						heard[i][j] = p.heard[j] - before[i][j]
					}
				}
			}
			return true
		},
	}
	boot := world.Programs(func(d world.Doors) world.Program {
		beacons[d.Host] = &beacon{Doors: d}
		return beacons[d.Host]
	})
	runOther(t, s, o, boot)
	return kinds, up, heard
}

// Hosts outside the core stay broken in the way that the setup names, to the end of
// the core phase, and the core is whole.
func TestHostsOutsideTheCoreStayBroken(t *testing.T) {
	mixed := make(map[schedule.Outside]bool)
	for seed := 1; seed <= 18; seed++ {
		outside := [6]schedule.Outside{schedule.OutsideAsTheyAre, schedule.OutsideDown, schedule.OutsideIsolated, schedule.OutsideDeaf, schedule.OutsideMute, schedule.OutsideMixed}[seed%6]
		if seed > 12 {
			outside = schedule.OutsideMixed
		}
		kinds, up, heard := outsideRun(t, seed, string(outside))
		if len(kinds) == 0 || len(kinds) > 2 {
			t.Fatalf("seed %d: outside the core: %v", seed, kinds)
		}
		for a := range 5 {
			kind, out := kinds[a]
			if outside == schedule.OutsideMixed {
				mixed[kind] = mixed[kind] || out
			} else if out && kind != outside {
				t.Errorf("seed %d: %s is %s, want %s", seed, schedule.HostName(a), kind, outside)
			}
			if up[a] != (kind != schedule.OutsideDown) {
				t.Errorf("seed %d: %s, outside %t as %q, is up: %t", seed, schedule.HostName(a), out, kind, up[a])
			}
			for b := range 5 {
				other, bothOut := kinds[b]
				if a == b || out && bothOut || kind == schedule.OutsideLate {
					continue
				}
				passes := true // from b to a
				switch {
				case kind == schedule.OutsideAsTheyAre || other == schedule.OutsideAsTheyAre:
					passes = outside == schedule.OutsideMixed // otherwise they were isolated
				case kind == schedule.OutsideDown || other == schedule.OutsideDown, kind == schedule.OutsideIsolated || other == schedule.OutsideIsolated,
					kind == schedule.OutsideDeaf, other == schedule.OutsideMute:
					passes = false
				}
				if passes != (heard[a][b] > 0) {
					t.Errorf("seed %d: %s (%q) hears %d frames of %s (%q)", seed, schedule.HostName(a), kind, heard[a][b], schedule.HostName(b), other)
				}
			}
		}
	}
	if len(mixed) < 4 {
		t.Errorf("of the kinds that are mixed only these were met: %v", mixed)
	}
}

// Clients share keys, their operations overlap, and an operation ends in the history
// when its answer comes: after the store had it, and soon after.
func TestHistoryStampsWhatHappens(t *testing.T) {
	var w *world.World
	served := make(map[string]time.Duration) // when the store had a put, by value
	o := RunOptions{Pause: func(now *world.World) bool { w = now; return true }}
	r := runMapStoresWith(t, o, false, func(p *mapStore, _ int) {
		p.heard = func(q door.Request) {
			if q.Kind == door.RequestPut {
				served[string(q.Value)] = w.Now()
			}
		}
	})
	writers := make(map[string]map[int]bool)
	type instant struct {
		stamp linearizability.Stamp
		at    time.Duration
		more  int
	}
	var instants []instant
	judged := 0
	for i := range r.History {
		op := &r.History[i]
		instants = append(instants, instant{op.Call, op.CallTime, 1}, instant{op.Return, op.ReturnTime, -1})
		if op.Kind != linearizability.Put || op.Client >= checkClient {
			continue
		}
		if writers[op.Key] == nil {
			writers[op.Key] = make(map[int]bool)
		}
		writers[op.Key][op.Client] = true
		if at, ok := served[op.Value]; ok && op.Outcome == linearizability.OK {
			judged++
			if at < op.CallTime || at > op.ReturnTime || op.ReturnTime > at+50*time.Millisecond {
				t.Errorf("a put from %v to %v was served at %v", op.CallTime, op.ReturnTime, at)
			}
		}
	}
	shared := 0
	for _, clients := range writers {
		if len(clients) >= 3 {
			shared++
		}
	}
	if judged < 20 || shared < 6 {
		t.Errorf("%d puts were judged; %d of %d keys have three writers of four", judged, shared, len(writers))
	}
	slices.SortFunc(instants, func(a, b instant) int { return int(a.stamp) - int(b.stamp) })
	open, most := 0, 0
	for i, x := range instants {
		if open += x.more; open > most {
			most = open
		}
		if i > 0 && x.stamp != 0 && (x.stamp == instants[i-1].stamp || x.at < instants[i-1].at) {
			t.Errorf("stamp %d at %v follows stamp %d at %v", x.stamp, x.at, instants[i-1].stamp, instants[i-1].at)
		}
	}
	if most < 3 {
		t.Errorf("at most %d operations overlap", most)
	}
}

// The schedule in a report is that of the run: it gives the same trace. A report of a
// run that does not repeat says so.
func TestReportsScheduleGivesTheTraceOfTheRun(t *testing.T) {
	for seed := uint64(1); seed <= 6; seed++ {
		s, err := Draw(seed, Profiles()[0])
		if err != nil {
			t.Fatal(err)
		}
		r, err := Run(s, RunOptions{})
		if err != nil {
			t.Fatal(err)
		}
		r.Violations = append(r.Violations, Violation{Class: Assertion, What: "planted\nat 3s crash n1 for 1s\nin two lines"})
		r.Classes = []Class{Assertion}
		written := r.Trace
		if seed == 6 {
			r.Trace++
		}
		rep, err := WriteReport(t.TempDir(), r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(rep.Schedule)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Run(parsed(t, string(text)), RunOptions{})
		if err != nil || again.Trace != written || again.Steps != r.Steps {
			t.Errorf("seed %d: %v, trace %016x in %d steps, want %016x in %d", seed, err, again.Trace, again.Steps, written, r.Steps)
		}
		if !strings.Contains(rep.Dir, fmt.Sprintf("%016x", r.Trace)) {
			t.Errorf("seed %d: the directory %s does not name the trace", seed, rep.Dir)
		}
		notes, err := os.ReadFile(rep.Notes)
		if differs := strings.Contains(string(notes), "differs from the first one"); err != nil || differs != (seed == 6) {
			t.Errorf("seed %d: %v; the notes say that the run differs: %t", seed, err, differs)
		}
	}
}

// Over many seeds, faults of every frequent action strike throughout the fault phase.
func TestFaultsAreDrawnOverTheWholeFaultPhase(t *testing.T) {
	const parts = 12
	var all [parts]int
	byAction := make(map[*schedule.Action]*[parts]int)
	total := 0
	for seed := range uint64(300) {
		s, err := Draw(seed, "default")
		if err != nil {
			t.Fatal(err)
		}
		for i := range s.Steps {
			if s.Steps[i].At >= s.Setup.Phases.Faults {
				continue
			}
			part := int(s.Steps[i].At * parts / s.Setup.Phases.Faults)
			if byAction[s.Steps[i].Do] == nil {
				byAction[s.Steps[i].Do] = new([parts]int)
			}
			byAction[s.Steps[i].Do][part]++
			all[part]++
			total++
		}
	}
	for part, n := range all {
		if part > 0 && (n < total/parts*6/10 || n > total/parts*16/10) {
			t.Errorf("part %d of %d has %d of %d steps: %v", part+1, parts, n, total, all)
		}
	}
	for a, counts := range byAction {
		n, late := 0, 0
		for part, k := range counts {
			if n += k; part >= parts*2/3 {
				late += k
			}
		}
		if n >= 150 && (late < n*15/100 || counts[parts-1] == 0) {
			t.Errorf("%v strikes %d times, %d of them in the last third: %v", a, n, late, counts)
		}
	}
}

// Each client asks many hosts, and all hosts are asked: before the core phase all that
// there are, in it those of the core and no other.
func TestClientsRoamOverAllHosts(t *testing.T) {
	s, err := Draw(5, "calm")
	if err != nil {
		t.Fatal(err)
	}
	s.Setup.Nodes, s.Setup.Workload.Operations, s.Setup.Workload.Clients = 7, 2000, 8
	s.Setup.Phases = schedule.Phases{Faults: 20 * time.Second, Core: 30 * time.Second}
	var core string
	var begun time.Duration
	o := RunOptions{Note: func(at time.Duration, what string) {
		if strings.HasPrefix(what, "the healed core") {
			core, begun = what, at
		}
	}}
	r, err := Run(s, o)
	if err != nil || len(r.Violations) > 0 {
		t.Fatal(err, r.Violations)
	}
	asked, visited := make(map[string]int), make(map[int]map[string]bool)
	calls := 0
	for i := range r.History {
		op := &r.History[i]
		if op.Client >= s.Setup.Workload.Clients {
			continue
		}
		if op.CallTime > begun {
			if !strings.Contains(core, op.Node) {
				t.Errorf("client %d asks %s after %s", op.Client, op.Node, core)
			}
			continue
		}
		if visited[op.Client] == nil {
			visited[op.Client] = make(map[string]bool)
		}
		visited[op.Client][op.Node] = true
		asked[op.Node]++
		calls++
	}
	if len(asked) != 7 || calls < 1000 {
		t.Errorf("%d calls, by host: %v", calls, asked)
	}
	for host, n := range asked {
		if n < calls*4/100 {
			t.Errorf("%s is asked %d times of %d", host, n, calls)
		}
	}
	for client, hosts := range visited {
		if len(hosts) < 5 {
			t.Errorf("client %d asks only %v", client, hosts)
		}
	}
}
