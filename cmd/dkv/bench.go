package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"dkv/linearizability"
	"dkv/node/client"
)

// minUniqueValue is the size that a unique value needs.
const minUniqueValue = 24

// benchFlags are the flags of dkv bench.
type benchFlags struct {
	servers      []string
	clients      int
	mix          string
	valueSize    int
	keys         int
	distribution string
	duration     time.Duration
	timeout      time.Duration
	preload      bool
	pids         []int
	history      string
}

func newBenchCommand() *cobra.Command {
	f := &benchFlags{}
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Put load on a cluster and measure it",
		Long: `Put load on a cluster and print throughput, latencies, outcomes, the CPU time that
an operation costs the servers, and the syncs of the write-ahead log per put. Each
client calls, waits for the answer and calls again.

With --history every call is recorded in a file for dkvsim check. Such a run uses
keys that no other run uses.`,
		Example: "  dkv bench --mix get=90,put=10 --duration 30s\n  dkv bench --servers 127.0.0.1:8000 --clients 1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := f.prepare()
			if err != nil {
				return err
			}
			return b.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&f.servers, "servers", []string{"127.0.0.1:8000", "127.0.0.1:8010", "127.0.0.1:8020", "127.0.0.1:8030", "127.0.0.1:8040"},
		"nodes to load as host:port, comma-separated; clients are spread across them")
	flags.IntVar(&f.clients, "clients", 64, "number of concurrent clients")
	flags.StringVar(&f.mix, "mix", "get=50,put=50", "relative shares of get, put and delete")
	flags.IntVar(&f.valueSize, "value-size", 100, "size of a value in bytes")
	flags.IntVar(&f.keys, "keys", 10_000, "number of keys")
	flags.StringVar(&f.distribution, "distribution", "uniform", "distribution of the keys: uniform or zipf")
	flags.DurationVar(&f.duration, "duration", 10*time.Second, "how long to measure")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Second, "how long a client waits for an answer")
	flags.BoolVar(&f.preload, "preload", true, "write every key once before measuring")
	flags.IntSliceVar(&f.pids, "pids", nil, "measure the CPU time of these processes instead of asking the servers (Linux only)")
	flags.StringVar(&f.history, "history", "", "file to record the history of all calls in")
	return cmd
}

// bench is one run.
type bench struct {
	flags    benchFlags
	clients  []*client.Client // one per server, so that a refusal is counted and not retried elsewhere
	mix      mix
	prefix   string
	recorder *linearizability.Recorder // nil: no history
	file     *os.File
	values   atomic.Uint64
}

func (f *benchFlags) prepare() (*bench, error) {
	b := &bench{flags: *f, prefix: "bench/"}
	var err error
	if b.mix, err = parseMix(f.mix); err != nil {
		return nil, err
	}
	switch {
	case f.clients < 1 || f.clients > 65536:
		return nil, fmt.Errorf("invalid --clients %d (want 1 to 65536)", f.clients)
	case f.keys < 1 || f.keys > 100_000_000:
		return nil, fmt.Errorf("invalid --keys %d (want 1 to 100000000)", f.keys)
	case f.valueSize < 0 || f.valueSize > 1<<20:
		return nil, fmt.Errorf("invalid --value-size %d (want 0 to 1048576)", f.valueSize)
	case f.distribution != "uniform" && f.distribution != "zipf":
		return nil, fmt.Errorf("invalid --distribution %q (want uniform or zipf)", f.distribution)
	case f.duration <= 0:
		return nil, fmt.Errorf("invalid --duration %v (want more than 0)", f.duration)
	case len(f.servers) == 0:
		return nil, errors.New("--servers is empty: name at least one node")
	case f.history != "" && f.valueSize < minUniqueValue:
		return nil, fmt.Errorf("invalid --value-size %d: --history needs unique values, which take at least %d bytes", f.valueSize, minUniqueValue)
	}
	for _, server := range f.servers {
		c, err := client.New(server)
		if err != nil {
			return nil, err
		}
		b.clients = append(b.clients, c)
	}
	return b, b.record()
}

// record opens the history. It uses new keys, because a history starts with an
// empty store.
func (b *bench) record() error {
	if b.flags.history == "" {
		return nil
	}
	file, err := os.Create(b.flags.history)
	if err != nil {
		return err
	}
	b.file = file
	b.recorder = linearizability.NewRecorder(linearizability.RecorderConfig{To: file, Forget: true})
	b.prefix = "bench/" + strconv.FormatInt(time.Now().UnixNano(), 36) + "/"
	return nil
}

func (b *bench) run(ctx context.Context, out io.Writer) error {
	if b.flags.preload && (b.mix.get > 0 || b.mix.remove > 0) {
		if err := b.load(ctx); err != nil {
			return err
		}
	}
	meters := newMeters(b.flags.pids, b.clients)
	before, err := meters.read(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	total := b.measure(ctx)
	took := time.Since(began)
	after, err := meters.read(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	if err := b.closeHistory(); err != nil {
		return err
	}
	report{total, took, after.since(before), b.flags}.print(out)
	if total.done() == 0 {
		return errors.New("no call succeeded")
	}
	return nil
}

func (b *bench) closeHistory() error {
	if b.recorder == nil {
		return nil
	}
	if err := errors.Join(b.recorder.Flush(), b.file.Close()); err != nil {
		return fmt.Errorf("writing the history: %w", err)
	}
	return nil
}

// load writes every key once. It retries refused writes for a while.
func (b *bench) load(ctx context.Context) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var loading sync.WaitGroup
	for i := range b.flags.clients {
		loading.Go(func() {
			w := b.worker(i)
			for failed.Load() == nil && ctx.Err() == nil {
				key := next.Add(1) - 1
				if key >= int64(b.flags.keys) {
					return
				}
				if err := w.loadKey(ctx, b.key(uint64(key))); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	loading.Wait()
	if err := failed.Load(); err != nil {
		return fmt.Errorf("writing the keys before measuring: %w", *err)
	}
	return ctx.Err()
}

func (w *worker) loadKey(ctx context.Context, key []byte) error {
	const tries = 20
	var err error
	for range tries {
		if err = w.call(ctx, linearizability.Put, key); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

func (b *bench) measure(ctx context.Context) *tally {
	ctx, cancel := context.WithTimeout(ctx, b.flags.duration)
	defer cancel()
	tallies := make([]*tally, b.flags.clients)
	var working sync.WaitGroup
	for i := range tallies {
		working.Go(func() { tallies[i] = b.worker(i).work(ctx) })
	}
	working.Wait()
	total := newTally()
	for _, t := range tallies {
		total.add(t)
	}
	return total
}

func (b *bench) key(n uint64) []byte { return []byte(b.prefix + strconv.FormatUint(n, 10)) }

// worker is one client.
type worker struct {
	*bench
	number int
	client *client.Client
	random *rand.Rand
	zipf   *rand.Zipf // nil: uniform
	value  []byte
}

func (b *bench) worker(i int) *worker {
	w := &worker{
		bench: b, number: i, client: b.clients[i%len(b.clients)],
		random: rand.New(rand.NewPCG(uint64(i), 1)), value: make([]byte, b.flags.valueSize),
	}
	if b.flags.distribution == "zipf" {
		w.zipf = rand.NewZipf(w.random, 1.1, 1, uint64(b.flags.keys-1))
	}
	return w
}

// work makes calls until ctx ends, and waits for the last one.
func (w *worker) work(ctx context.Context) *tally {
	t := newTally()
	patient := context.WithoutCancel(ctx)
	for ctx.Err() == nil {
		kind := w.mix.draw(w.random)
		began := time.Now()
		err := w.call(patient, kind, w.key(w.draw()))
		t.count(kind, time.Since(began), err)
		if err != nil { // do not flood a node that refuses
			time.Sleep(time.Millisecond)
		}
	}
	return t
}

func (w *worker) draw() uint64 {
	if w.zipf != nil {
		return w.zipf.Uint64()
	}
	return w.random.Uint64N(uint64(w.flags.keys))
}

// call makes one call and records it.
func (w *worker) call(ctx context.Context, kind linearizability.Kind, key []byte) error {
	ctx, cancel := context.WithTimeout(ctx, w.flags.timeout)
	defer cancel()
	op := linearizability.Operation{Client: w.number, Key: string(key), Kind: kind, Node: w.flags.servers[w.number%len(w.flags.servers)]}
	if kind == linearizability.Put {
		w.fillValue()
	}
	if w.recorder == nil {
		_, err := w.send(ctx, kind, key)
		return err
	}
	if kind == linearizability.Put {
		op.Value = string(w.value)
	}
	stamp := w.recorder.Call(op)
	answer, err := w.send(ctx, kind, key)
	outcome, said := outcomeOf(kind, answer, err)
	w.recorder.Return(stamp, outcome, said)
	return err
}

// fillValue makes a value that no other call of this run writes, if --value-size
// leaves room for one.
func (w *worker) fillValue() {
	n := copy(w.value, strconv.FormatUint(w.values.Add(1), 36))
	for i := n; i < len(w.value); i++ {
		w.value[i] = '.'
	}
}

func (w *worker) send(ctx context.Context, kind linearizability.Kind, key []byte) (client.Answer, error) {
	switch kind {
	case linearizability.Get:
		return w.client.Get(ctx, key)
	case linearizability.Put:
		return w.client.Put(ctx, key, w.value)
	default:
		return w.client.Delete(ctx, key)
	}
}

// outcomeOf translates the result of a call into the terms of a history.
func outcomeOf(kind linearizability.Kind, a client.Answer, err error) (linearizability.Outcome, linearizability.Answer) {
	var failed *client.Error
	switch {
	case errors.As(err, &failed) && failed.Outcome == client.Refused:
		return linearizability.Refused, linearizability.Answer{}
	case err != nil:
		return linearizability.Unknown, linearizability.Answer{}
	}
	said := linearizability.Answer{
		Found: a.Found, ConditionFailed: a.Failed,
		Version: linearizability.Version(a.Version), Index: linearizability.Index(a.Index),
	}
	if kind == linearizability.Get && a.Found {
		said.HasValue, said.Value = true, string(a.Value)
	}
	return linearizability.OK, said
}

// mix holds the relative shares of the operations.
type mix struct{ get, put, remove int }

func parseMix(text string) (mix, error) {
	var m mix
	shares := map[string]*int{"get": &m.get, "put": &m.put, "delete": &m.remove}
	for _, part := range strings.Split(text, ",") {
		name, number, _ := strings.Cut(part, "=")
		share := shares[strings.TrimSpace(name)]
		n, err := strconv.Atoi(number)
		if share == nil || err != nil || n < 0 || n > 1_000_000 {
			return mix{}, fmt.Errorf("invalid --mix %q (example: get=50,put=40,delete=10)", text)
		}
		*share = n
	}
	if m.get+m.put+m.remove == 0 {
		return mix{}, fmt.Errorf("invalid --mix %q: at least one share must be above 0", text)
	}
	return m, nil
}

func (m mix) draw(r *rand.Rand) linearizability.Kind {
	n := r.IntN(m.get + m.put + m.remove)
	switch {
	case n < m.get:
		return linearizability.Get
	case n < m.get+m.put:
		return linearizability.Put
	}
	return linearizability.Delete
}
