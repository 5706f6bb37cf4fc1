//go:build linux

package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dkv/linearizability"
	"dkv/node/client"
)

var (
	moves        = flag.Bool("moves", false, "measure a cluster that grows and shrinks under load, and print the figures")
	movesKeys    = flag.Int("moves-keys", 1_000_000, "number of keys")
	movesClients = flag.Int("moves-clients", 64, "number of concurrent clients")
	movesLoad    = flag.Int("moves-load", 300, "requests a second of all clients together; 0: as many as they can. Two cores are busy with 1000 before anything moves")
	movesRate    = flag.String("moves-rate", "", "--move-rate of the nodes, if not the default")
	movesQuiet   = flag.Duration("moves-quiet", 30*time.Second, "how long to measure before anything moves")
	movesProfile = flag.String("moves-profile", "", "directory for a CPU profile of each node while partitions move to the new ones")
	movesRecord  = flag.Int("moves-record", 1000, "number of keys whose history is recorded; they get half of the load")
)

const movesValueBytes = 100

// TestBenchMoves measures what members that come and go cost the clients: three nodes become
// six and then four, on Apache ZooKeeper, while clients read and write. No request may fail
// and nothing may be lost. See -moves.
func TestBenchMoves(t *testing.T) {
	if !*moves {
		t.Skip("nothing is measured without -moves")
	}
	p := buildPrograms(t)
	b := newMovesBench(t, p)
	began := time.Now()
	b.preload()
	fmt.Printf("%d keys of %d bytes written in %v\n", *movesKeys, movesValueBytes, time.Since(began).Round(time.Second))

	b.start()
	time.Sleep(2 * time.Second) // not measured
	b.phase("quiet, 3 nodes", func() { time.Sleep(*movesQuiet) })
	b.phase("3 to 6 nodes", func() {
		for range 3 {
			b.nodes = append(b.nodes, b.node(len(b.nodes)+1))
			b.nodes[len(b.nodes)-1].start()
		}
		for _, n := range b.nodes[3:] {
			n.awaitReady(patience)
		}
		b.serve()
		if *movesProfile != "" {
			b.awaitCopy()
			defer b.profile()()
		}
		b.awaitStable(6)
	})
	b.phase("6 to 4 nodes", func() {
		for range 2 {
			b.retire(b.nodes[0])
		}
		b.awaitStable(4)
	})
	b.end()
	b.judge()
}

// movesBench is a cluster under load.
type movesBench struct {
	t         *testing.T
	p         programs
	dir       string
	zookeeper *apacheZooKeeper
	nodes     []*node
	debug     []string                      // their addresses for profiles, with -moves-profile
	client    atomic.Pointer[client.Client] // of the nodes that are to be called now

	recorder *linearizability.Recorder
	began    time.Time
	values   atomic.Uint64
	acked    []atomic.Uint64 // the latest version acknowledged, by key
	working  sync.WaitGroup
	over     chan struct{}

	mu       sync.Mutex
	calls    []movesCall
	failures []string // the first ones

	phases  []movesPhase
	settled time.Duration // when the last change of the layout or of a copy was seen
	retired float64       // bytes that nodes copied which have stopped since
}

// movesCall is one measured call.
type movesCall struct {
	at, took time.Duration
	put      bool
	outcome  linearizability.Outcome
}

// movesPhase is a part of the run. moved counts bytes that the nodes copied, and needed those of
// the replicas that the layout at its end has and that at its beginning has not.
type movesPhase struct {
	name         string
	from, to     time.Duration
	moved, needs float64
	replicas     int
}

func newMovesBench(t *testing.T, p programs) *movesBench {
	b := &movesBench{
		t: t, p: p, dir: t.TempDir(), zookeeper: startApacheZooKeeper(t), began: time.Now(),
		acked: make([]atomic.Uint64, *movesKeys), over: make(chan struct{}),
	}
	b.recorder = linearizability.NewRecorder(linearizability.RecorderConfig{Now: b.now})
	for i := range 3 {
		b.nodes = append(b.nodes, b.node(i+1))
		b.nodes[i].start()
	}
	for _, n := range b.nodes {
		n.awaitReady(patience)
	}
	b.serve()
	return b
}

func (b *movesBench) node(i int) *node {
	flags := nodeFlags{"zookeeper": b.zookeeper.address, "cluster": "moves", "expect": "3"}
	if *movesRate != "" {
		flags["move-rate"] = *movesRate
	}
	if *movesProfile != "" {
		flags["debug-listen"] = fmt.Sprintf("127.0.0.1:%d", freePorts(b.t))
		b.debug = append(b.debug, flags["debug-listen"])
	}
	return newNode(b.t, b.p, b.dir, fmt.Sprintf("n%d", i), flags)
}

// awaitCopy waits until something is copied: settle-time after the last member joined.
func (b *movesBench) awaitCopy() {
	was := b.copied()
	await(b.t, patience, func() error {
		time.Sleep(250 * time.Millisecond)
		if b.copied() > was {
			return nil
		}
		return errors.New("nothing is copied")
	})
}

// profile begins a CPU profile of 15 seconds of each node that runs, and returns what waits
// for them. go tool pprof reads the files, also several at once.
func (b *movesBench) profile() (wait func()) {
	var profiling sync.WaitGroup
	for i, address := range b.debug {
		profiling.Go(func() {
			status, data := call(http.MethodGet, "http://"+address+"/debug/pprof/profile?seconds=15", "")
			if status != http.StatusOK {
				b.t.Errorf("no profile of n%d: %d %s", i+1, status, data)
				return
			}
			if err := os.WriteFile(filepath.Join(*movesProfile, fmt.Sprintf("n%d.pprof", i+1)), []byte(data), 0o600); err != nil {
				b.t.Error(err)
			}
		})
	}
	return profiling.Wait
}

func (b *movesBench) now() time.Duration { return time.Since(b.began) }

// serve makes the clients call the nodes that there are now.
func (b *movesBench) serve() {
	var servers []string
	for _, n := range b.nodes {
		servers = append(servers, n.http)
	}
	c, err := client.New(servers...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.client.Store(c)
}

// preload writes every key once.
func (b *movesBench) preload() {
	var next atomic.Int64
	var loading sync.WaitGroup
	for i := range *movesClients {
		loading.Go(func() {
			for !b.t.Failed() {
				key := int(next.Add(1)) - 1
				if key >= *movesKeys {
					return
				}
				if outcome, err := b.call(i, key, linearizability.Put); outcome != linearizability.OK {
					b.t.Errorf("writing key %d: %v", key, err)
				}
			}
		})
	}
	loading.Wait()
	if b.t.Failed() {
		b.t.FailNow()
	}
}

// start runs the clients until end is called. Each waits between its calls, so that together
// they make -moves-load calls a second unless the cluster is slower.
func (b *movesBench) start() {
	for i := range *movesClients {
		b.working.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 2))
			var calls []movesCall
			next := time.Now()
			for !b.isOver() {
				if *movesLoad > 0 {
					pause := float64(*movesClients) / float64(*movesLoad) * (0.5 + random.Float64())
					next = next.Add(time.Duration(pause * float64(time.Second)))
					time.Sleep(time.Until(next))
				}
				key := random.IntN(*movesKeys)
				if random.IntN(2) == 0 {
					key = random.IntN(min(*movesRecord, *movesKeys))
				}
				kind := linearizability.Get
				if random.IntN(2) == 0 {
					kind = linearizability.Put
				}
				began := b.now()
				outcome, err := b.call(i, key, kind)
				now := b.now()
				calls = append(calls, movesCall{began, now - began, kind == linearizability.Put, outcome})
				if err != nil {
					b.failed(fmt.Sprintf("%v after %v: %s of key %d: %v", began.Round(time.Millisecond), (now - began).Round(time.Millisecond), kind, key, err))
				}
				if late := time.Now(); next.Before(late) {
					next = late // a slow call is not made up for by a burst
				}
			}
			b.mu.Lock()
			b.calls = append(b.calls, calls...)
			b.mu.Unlock()
		})
	}
}

func (b *movesBench) failed(what string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.failures) < 20 {
		b.failures = append(b.failures, what)
	}
}

func (b *movesBench) isOver() bool {
	select {
	case <-b.over:
		return true
	default:
		return false
	}
}

func (b *movesBench) end() {
	close(b.over)
	b.working.Wait()
}

// keyName has the same length for all keys.
func keyName(key int) string { return fmt.Sprintf("key/%08d", key) }

// call makes one call, and records it if it is of one of the first keys. A refused call
// was tried at every node (package client).
func (b *movesBench) call(number, key int, kind linearizability.Kind) (linearizability.Outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	name := keyName(key)
	op := linearizability.Operation{Client: number, Key: name, Kind: kind}
	if kind == linearizability.Put {
		op.Value = name + "/" + strconv.FormatUint(b.values.Add(1), 10) + "/"
		op.Value += strings.Repeat(".", movesValueBytes-len(op.Value))
	}
	recorded := key < *movesRecord
	var stamp linearizability.Stamp
	if recorded {
		stamp = b.recorder.Call(op)
	}
	outcome, answer, err := b.send(ctx, op)
	if recorded {
		b.recorder.Return(stamp, outcome, answer)
	}
	if outcome == linearizability.OK && kind == linearizability.Put {
		raise(&b.acked[key], uint64(answer.Version))
	}
	return outcome, err
}

func (b *movesBench) send(ctx context.Context, op linearizability.Operation) (linearizability.Outcome, linearizability.Answer, error) {
	var a client.Answer
	var err error
	if op.Kind == linearizability.Put {
		a, err = b.client.Load().Put(ctx, []byte(op.Key), []byte(op.Value))
	} else {
		a, err = b.client.Load().Get(ctx, []byte(op.Key))
	}
	var failed *client.Error
	switch {
	case errors.As(err, &failed) && failed.Outcome == client.Refused:
		return linearizability.Refused, linearizability.Answer{}, err
	case err != nil:
		return linearizability.Unknown, linearizability.Answer{}, err
	}
	said := linearizability.Answer{Found: a.Found, Version: linearizability.Version(a.Version), Index: linearizability.Index(a.Index)}
	if op.Kind == linearizability.Get && a.Found {
		said.HasValue, said.Value = true, string(a.Value)
	}
	return linearizability.OK, said, nil
}

func raise(to *atomic.Uint64, value uint64) {
	for {
		was := to.Load()
		if was >= value || to.CompareAndSwap(was, value) {
			return
		}
	}
}

// phase measures what happens while do runs, until the last move.
func (b *movesBench) phase(name string, do func()) {
	before := b.placed()
	m := movesPhase{name: name, from: b.now(), moved: -b.copied()}
	b.settled = 0
	do()
	m.to = b.now()
	if b.settled > 0 {
		m.to = b.settled
	}
	m.moved += b.copied()
	for replica := range b.placed() {
		if !before[replica] {
			m.replicas++
		}
	}
	// A version has 8 bytes.
	partition := float64(*movesKeys) * float64(len(keyName(0))+movesValueBytes+8) / float64(b.partitions())
	m.needs = float64(m.replicas) * partition
	b.phases = append(b.phases, m)
	fmt.Printf("%s: %v\n", name, (m.to - m.from).Round(100*time.Millisecond))
}

// retire drains a member, stops and removes it. Its clients leave it before it stops.
func (b *movesBench) retire(n *node) {
	others := slices.DeleteFunc(slices.Clone(b.nodes), func(o *node) bool { return o == n })
	member(b.t, b.p, others[0], "drain", n.id)
	awaitReplicas(b.t, others[0], n.id, func(replicas int) bool { return replicas == 0 })
	b.nodes = others
	b.serve()
	b.retired += copiedBy(n)
	n.terminate()
	member(b.t, b.p, others[0], "remove", n.id)
}

type placedPage struct {
	Partitions []struct {
		ID             int
		Replicas, Next []int
	}
}

func (b *movesBench) placement() placedPage {
	var page placedPage
	last := b.nodes[len(b.nodes)-1]
	await(b.t, patience, func() error {
		_, body := call(http.MethodGet, last.http+"/v1/partitions", "")
		if err := json.Unmarshal([]byte(body), &page); err != nil {
			return fmt.Errorf("/v1/partitions: %.200s", body)
		}
		return nil
	})
	return page
}

func (b *movesBench) partitions() int { return len(b.placement().Partitions) }

// placed returns the replicas that the layout names, as pairs of partition and member.
func (b *movesBench) placed() map[[2]int]bool {
	all := map[[2]int]bool{}
	for _, p := range b.placement().Partitions {
		for _, m := range p.Replicas {
			all[[2]int{p.ID, m}] = true
		}
	}
	return all
}

// copied returns how many bytes all nodes have copied to learners.
func (b *movesBench) copied() float64 {
	sum := b.retired
	for _, n := range b.nodes {
		sum += copiedBy(n)
	}
	return sum
}

func copiedBy(n *node) float64 {
	_, body := call(http.MethodGet, n.http+"/metrics", "")
	for line := range strings.Lines(body) {
		if text, ok := strings.CutPrefix(line, "dkv_copied_bytes_total "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				n.t.Errorf("the metrics of %s: %q", n.id, line)
			}
			return value
		}
	}
	n.t.Errorf("node %s does not say how many bytes it copied", n.id)
	return 0
}

// awaitStable waits until each of so many members has a good part of its share, and nothing
// has moved for longer than a move waits for its turn.
func (b *movesBench) awaitStable(members int) {
	const calm = 15 * time.Second
	var was string
	await(b.t, time.Hour, func() error {
		time.Sleep(250 * time.Millisecond)
		page := b.placement()
		share, replicas, moving := map[int]int{}, 0, 0
		for _, p := range page.Partitions {
			for _, m := range p.Replicas {
				share[m]++
				replicas++
			}
			moving += len(p.Next)
		}
		if now := fmt.Sprint(page, b.copied()); now != was {
			was, b.settled = now, b.now()
		}
		if moving > 0 || len(share) != members || b.now()-b.settled < calm {
			return fmt.Errorf("still moving: %d of %d members hold replicas", len(share), members)
		}
		for m, has := range share {
			if has < replicas/members*4/5 {
				return fmt.Errorf("member %d has %d of %d replicas", m, has, replicas)
			}
		}
		return nil
	})
}

// lost reads every key and counts those that lack an acknowledged write.
func (b *movesBench) lost() int {
	var next, lost atomic.Int64
	var reading sync.WaitGroup
	for i := range *movesClients {
		reading.Go(func() {
			for {
				key := int(next.Add(1)) - 1
				if key >= *movesKeys {
					return
				}
				wrote := b.acked[key].Load()
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				a, err := b.client.Load().Get(ctx, []byte(keyName(key)))
				cancel()
				if err != nil || a.Version < wrote || !bytes.HasPrefix(a.Value, []byte(keyName(key)+"/")) {
					if lost.Add(1) <= 5 {
						b.t.Errorf("client %d reads %s: version %d, %.30q, %v; version %d was acknowledged", i, keyName(key), a.Version, a.Value, err, wrote)
					}
				}
			}
		})
	}
	reading.Wait()
	return int(lost.Load())
}

// judge prints the figures, and fails the test if a request failed or a key was lost.
func (b *movesBench) judge() {
	var quiet [2]time.Duration
	fmt.Printf("\n%-16s %9s %8s %8s %9s %9s %9s %9s %7s %10s %10s %6s\n", "", "requests", "refused", "unknown", "get p99", "put p99", "longest", "p99/quiet", "time", "moved MB", "needed MB", "ratio")
	for i, m := range b.phases {
		p99, longest, refused, unknown, count := b.measured(m)
		if i == 0 {
			quiet = p99
		}
		ratio := max(float64(p99[0])/float64(quiet[0]), float64(p99[1])/float64(quiet[1]))
		fmt.Printf("%-16s %9d %8d %8d %9v %9v %9v %9.1f %7v %10.1f %10.1f", m.name, count, refused, unknown, round(p99[0]), round(p99[1]), round(longest), ratio,
			(m.to - m.from).Round(100*time.Millisecond), m.moved/1e6, m.needs/1e6)
		if m.needs > 0 {
			fmt.Printf(" %6.2f", m.moved/m.needs)
		}
		fmt.Println()
	}
	for _, f := range b.failures {
		fmt.Println("failed at", f)
	}
	if len(b.failures) > 0 {
		b.t.Error("requests failed")
	}
	began := time.Now()
	fmt.Printf("keys that lack an acknowledged write: %d of %d (all read again in %v)\n", b.lost(), *movesKeys, time.Since(began).Round(time.Second))
	history := b.recorder.History()
	result, err := linearizability.Check(history, linearizability.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	fmt.Printf("recorded history of %d keys: %d operations, %v\n", min(*movesRecord, *movesKeys), len(history), result.Verdict)
	if result.Verdict != linearizability.Linearizable {
		b.t.Errorf("the history is not linearizable: %v", result.Verdict)
	}
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// measured sums up the calls that began in a phase: p99 of gets and of puts.
func (b *movesBench) measured(m movesPhase) (p99 [2]time.Duration, longest time.Duration, refused, unknown, count int) {
	var took [2][]time.Duration
	for _, c := range b.calls {
		if c.at < m.from || c.at >= m.to {
			continue
		}
		count++
		kind := 0
		if c.put {
			kind = 1
		}
		took[kind] = append(took[kind], c.took)
		longest = max(longest, c.took)
		switch c.outcome {
		case linearizability.Refused:
			refused++
		case linearizability.Unknown:
			unknown++
		}
	}
	for kind := range took {
		slices.Sort(took[kind])
		if n := len(took[kind]); n > 0 {
			p99[kind] = took[kind][n*99/100]
		}
	}
	return p99, longest, refused, unknown, count
}
