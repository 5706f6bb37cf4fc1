package sim

import (
	"errors"
	"strings"
	"testing"
	"time"

	"dkv/linearizability"
	"dkv/node/door"
	"dkv/sim/schedule"
	"dkv/sim/world"
)

// A verdict of the harness rests on these properties: every operation is recorded,
// faults take effect, only real effects are counted, the final state is read, and
// a draw depends on its key alone. Each has a mutant in sim/mutants/harness.

// If a write were not recorded, a correct read of it would look like a violation.
func TestHistoryHoldsEveryWriteThatArrived(t *testing.T) {
	arrived := make(map[string]string) // key by value
	r := runMapStores(t, false, func(p *mapStore, starts int) {
		p.mute = starts%3 == 0 // so that many are never answered
		p.heard = func(r door.Request) {
			if r.Kind == door.RequestPut {
				arrived[string(r.Value)] = string(r.Key)
			}
		}
	})
	outcomes := make(map[linearizability.Outcome]int)
	for i := range r.History {
		op := &r.History[i]
		if key, ok := arrived[op.Value]; ok && op.Kind == linearizability.Put && op.Key == key {
			delete(arrived, op.Value)
			outcomes[op.Outcome]++
		}
	}
	for value, key := range arrived {
		t.Errorf("a put of key %s, value %s, arrived and is not in the history", key, value)
	}
	if outcomes[linearizability.OK] < 20 || outcomes[linearizability.Unknown] < 5 {
		t.Errorf("puts by outcome: %v: too few for a conclusion", outcomes)
	}
}

// Only the final reads find what is lost after the last operation of the workload.
func TestFinalReadsFindLateLosses(t *testing.T) {
	var values map[string]storedValue
	lost := 0
	o := RunOptions{Note: func(_ time.Duration, what string) {
		if what == "all faults are healed" {
			lost = len(values)
			clear(values)
		}
	}}
	r := runMapStoresWith(t, o, false, func(p *mapStore, _ int) { values = p.values })
	if lost == 0 {
		t.Fatal("there was nothing to lose: the test is blind")
	}
	wantClass(t, r, Durability)
}

func TestUndecidedIsAFailure(t *testing.T) {
	for _, c := range []struct {
		check *linearizability.Result
		err   error
		want  string
	}{
		{&linearizability.Result{Verdict: linearizability.Linearizable}, nil, ""},
		{&linearizability.Result{Verdict: linearizability.Undecided}, nil, "L"},
		{nil, errors.New("no history"), "A"},
	} {
		r := &run{}
		r.verdict = &verdict{where: r.where}
		r.judge(c.check, c.err)
		if got := joinClasses(r.verdict.classes()); got != c.want {
			t.Errorf("%v, %v: class %q, want %q", c.check, c.err, got, c.want)
		}
	}
}

// beacon is a Program that sends a frame to every other host ten times a second,
// and counts the frames that it receives from each.
type beacon struct {
	world.Doors
	heard [5]int
}

func (p *beacon) Start() {
	for host := range p.Hosts {
		if host != p.Host {
			p.Network.Send(host, []byte("here"))
		}
	}
	p.Clock.After(100*time.Millisecond, p.Start)
}

func (p *beacon) OnFrame(from int, _ []byte)                { p.heard[from]++ }
func (*beacon) OnRequest(door.Request, func(door.Response)) {}
func (*beacon) EndTurn()                                    {}
func (*beacon) Leads() bool                                 { return false }

// Each kind of cut stops exactly the frames between the nodes that it names, until
// it ends.
func TestCutsSeparateTheNodesThatTheyName(t *testing.T) {
	between := func(a, b []int) func(from, to int) bool {
		has := func(list []int, n int) bool {
			for _, x := range list {
				if x == n {
					return true
				}
			}
			return false
		}
		return func(from, to int) bool { return has(a, from) && has(b, to) || has(b, from) && has(a, to) }
	}
	for step, parted := range map[string]func(from, to int) bool{
		"cut n2>n4":    func(from, to int) bool { return from == 2 && to == 4 },
		"cut n2<>n4":   between([]int{2}, []int{4}),
		"isolate n3":   between([]int{3}, []int{1, 2, 4, 5}),
		"split n1 n4":  between([]int{1, 4}, []int{2, 3, 5}),
		"cordon n2 n5": between([]int{2}, []int{1, 3, 4}),
		"clog n5":      between([]int{5}, []int{1, 2, 3, 4}),
		"bridge n4":    between([]int{5, 1}, []int{2, 3}),
		"mute n4":      func(from, to int) bool { return from == 4 && to != 4 },
		"suspend n2":   between([]int{2}, []int{1, 3, 4, 5}),
	} {
		t.Run(step, func(t *testing.T) {
			s, err := schedule.Parse("seed 3\nnodes 5\nat 1s " + step + " for 2s\n")
			if err != nil {
				t.Fatal(err)
			}
			beacons := make([]*beacon, 5)
			w, err := world.New(world.Config{Seed: 3, Hosts: 5, NewProcess: world.Programs(func(d world.Doors) world.Program {
				beacons[d.Host] = &beacon{Doors: d}
				return beacons[d.Host]
			})})
			if err != nil {
				t.Fatal(err)
			}
			for host := range w.Hosts() {
				w.Start(host)
			}
			s.Setup.Budget = schedule.KeepMajority
			faults := newInjector(w, s)
			faults.note = func(string, ...any) {}
			frames := func(from, to time.Duration) (heard [5][5]int) {
				w.RunUntil(from)
				for i, p := range beacons {
					heard[i] = p.heard
				}
				w.RunUntil(to)
				for i, p := range beacons {
					for j := range p.heard {
						heard[i][j] = p.heard[j] - heard[i][j]
					}
				}
				return heard
			}
			var counted ledger
			w.After(2*time.Second, func() { counted = faults.ledger })
			during, after := frames(1500*time.Millisecond, 2500*time.Millisecond), frames(5*time.Second, 6*time.Second)
			for to := range beacons {
				for from := range beacons {
					if from == to {
						continue
					}
					if passes := during[to][from] > 0; passes == parted(from+1, to+1) {
						t.Errorf("from %s to %s: %d frames during the fault", schedule.HostName(from), schedule.HostName(to), during[to][from])
					}
					// A suspended machine counts as away, not as cut off.
					if cut := counted.blocked[from][to] > 0; cut != parted(from+1, to+1) && !strings.HasPrefix(step, "suspend") {
						t.Errorf("the budget counts the link from %s to %s as cut: %t", schedule.HostName(from), schedule.HostName(to), cut)
					}
					if after[to][from] == 0 {
						t.Errorf("from %s to %s: no frames after the fault", schedule.HostName(from), schedule.HostName(to))
					}
				}
			}
		})
	}
}
