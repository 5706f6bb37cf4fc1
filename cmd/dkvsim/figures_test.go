package main

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"syscall"
	"testing"
	"time"

	"dkv/linearizability"

	"github.com/anishathalye/porcupine"
)

var figures = flag.Bool("figures", false, "measure the check of histories, and print the figures")

// A fakeStore answers at once, so that what its clients record is legal.
type fakeStore struct {
	rng   *rand.Rand
	index uint64
	keys  map[string]linearizability.Answer // of a get
}

func (s *fakeStore) do(op *linearizability.Operation, indexed bool) linearizability.Answer {
	var a linearizability.Answer
	switch op.Kind {
	case linearizability.Put:
		s.index++
		a.Version = linearizability.Version(s.index)
		s.keys[op.Key] = linearizability.Answer{Found: true, HasValue: true, Value: op.Value, Version: a.Version}
	case linearizability.Delete:
		s.index++
		a = s.keys[op.Key]
		delete(s.keys, op.Key)
	default:
		a = s.keys[op.Key]
	}
	if indexed {
		a.Index = linearizability.Index(max(s.index, 1))
	}
	return a
}

type fakeClient struct {
	busy   bool
	called linearizability.Stamp
	op     linearizability.Operation
	done   bool
	answer linearizability.Answer
}

// recordHistory has eight clients overlap on a store, and records them.
func recordHistory(r *linearizability.Recorder, operations, keys int, indexed bool) {
	store := &fakeStore{rng: rand.New(rand.NewPCG(1, uint64(operations))), index: 1, keys: map[string]linearizability.Answer{}}
	clients := make([]fakeClient, 8)
	for begun, ended := 0, 0; ended < operations; {
		n := store.rng.IntN(len(clients))
		c := &clients[n]
		switch {
		case c.busy:
			if !c.done {
				c.answer = store.do(&c.op, indexed)
			}
			r.Return(c.called, linearizability.OK, c.answer)
			*c = fakeClient{}
			ended++
		case begun < operations:
			begun++
			c.op = linearizability.Operation{Client: n, Key: fmt.Sprintf("key-%d", store.rng.IntN(keys)), Kind: linearizability.Get}
			switch store.rng.IntN(10) {
			case 0, 1, 2, 3:
				c.op.Kind, c.op.Value = linearizability.Put, fmt.Sprintf("value-%d", begun)
			case 4:
				c.op.Kind = linearizability.Delete
			}
			c.busy, c.called = true, r.Call(c.op)
			if store.rng.IntN(2) == 0 {
				c.done, c.answer = true, store.do(&c.op, indexed)
			}
		}
	}
}

// plantStaleRead makes early writes unknown, and the last read that found
// something answer what had been overwritten when it was called.
func plantStaleRead(history []linearizability.Operation, unknown int) {
	rng := rand.New(rand.NewPCG(2, 2))
	for n := 0; n < unknown; {
		if op := &history[rng.IntN(len(history)/2)]; op.Kind != linearizability.Get && op.Outcome == linearizability.OK {
			op.Outcome, op.Return, op.Answer = linearizability.Unknown, 0, linearizability.Answer{}
			n++
		}
	}
	at := len(history) - 1
	for history[at].Kind != linearizability.Get || !history[at].Answer.Found {
		at--
	}
	var puts []*linearizability.Operation
	for i := range history {
		if op := &history[i]; op.Kind == linearizability.Put && op.Outcome == linearizability.OK && op.Return < history[at].Call {
			puts = append(puts, op)
		}
	}
	slices.SortFunc(puts, func(a, b *linearizability.Operation) int { return int(a.Answer.Version) - int(b.Answer.Version) })
	stale := puts[len(puts)-2]
	history[at].Answer.Value, history[at].Answer.Version = stale.Value, stale.Answer.Version
}

// plainPorcupine is Porcupine over everything, within a time.
func plainPorcupine(history []linearizability.Operation, atMost time.Duration) porcupine.CheckResult {
	ops := make([]porcupine.Operation, len(history))
	for i := range history {
		op := &history[i]
		ops[i] = porcupine.Operation{ClientId: i, Input: op, Call: int64(op.Call), Return: int64(op.Return)}
		if op.Return == 0 {
			ops[i].Return = math.MaxInt64
		}
	}
	model := porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, _ any) (bool, any) {
			op := input.(*linearizability.Operation)
			switch {
			case op.Kind == linearizability.Put:
				return true, op.Value
			case op.Kind == linearizability.Delete:
				return op.Outcome != linearizability.OK || op.Answer.Found == (state != ""), ""
			}
			return op.Outcome != linearizability.OK || op.Answer.Value == state, state
		},
		Hash: func(state any) uint64 { return uint64(len(state.(string))) },
	}
	return porcupine.CheckOperationsTimeout(model, ops, atMost)
}

// medianOf times some runs, each against the processor too.
func medianOf(runs int, run func()) (wall, processor time.Duration) {
	var walls, processors []time.Duration
	for range runs {
		used, begun := processorTime(), time.Now()
		run()
		walls = append(walls, time.Since(begun))
		processors = append(processors, processorTime()-used)
	}
	slices.Sort(walls)
	slices.Sort(processors)
	return walls[runs/2], processors[runs/2]
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestFigures prints how long the check of histories takes; see -figures.
func TestFigures(t *testing.T) {
	if !*figures {
		t.Skip("nothing is measured without -figures")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as the program itself has it
	for _, indexed := range []bool{true, false} {
		r := linearizability.NewRecorder(linearizability.RecorderConfig{})
		recordHistory(r, 10_000, 100, indexed)
		history := r.History()
		name := map[bool]string{true: "order by log index, and Porcupine", false: "pruned search, and Porcupine"}[indexed]
		wall, processor := medianOf(31, func() { mustBe(t, history, linearizability.Linearizable) })
		fmt.Printf("10,000 operations on 100 keys, %-33s %8.1f ms  (%.1f ms of processor)\n", name+":", ms(wall), ms(processor))
	}
	r := linearizability.NewRecorder(linearizability.RecorderConfig{})
	recordHistory(r, 400, 1, false)
	history := r.History()
	plantStaleRead(history, 30)
	wall, processor := medianOf(31, func() { mustBe(t, history, linearizability.Illegal) })
	fmt.Printf("a stale read among 400 operations of one key, 30 unknown writes: %6.1f ms  (%.1f ms of processor)\n", ms(wall), ms(processor))
	begun := time.Now()
	verdict := plainPorcupine(history, 20*time.Second)
	fmt.Printf("the same by plain Porcupine: %s after %.1f s\n", verdict, time.Since(begun).Seconds())
	million(t)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func mustBe(t *testing.T, history []linearizability.Operation, want linearizability.Verdict) {
	t.Helper()
	result, err := linearizability.Check(history, linearizability.Options{})
	if err != nil || result.Verdict != want {
		t.Fatalf("%v, %v; want %v", result, err, want)
	}
}

// million has the program itself read and check a million operations in a file.
func million(t *testing.T) {
	dir := t.TempDir()
	program, file := filepath.Join(dir, "dkvsim"), filepath.Join(dir, "history")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building: %v\n%s", err, out)
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	r := linearizability.NewRecorder(linearizability.RecorderConfig{To: f, Forget: true})
	recordHistory(r, 1_000_000, 10_000, false)
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	cmd := exec.Command(program, "check", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wall := time.Since(begun)
	most := float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / (1 << 20)
	fmt.Printf("1,000,000 operations on 10,000 keys, read and checked: %.1f s (%.1f s of processor), %.2f GiB at most\n", wall.Seconds(),
		(cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), most)
}
