package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"dkv/linearizability"
	"dkv/node/client"
)

// tally counts the calls of some clients by operation and outcome.
type tally struct {
	kinds [linearizability.Delete + 1]kindTally
}

type kindTally struct {
	done, refused, unknown uint64
	latency                histogram // of the calls that are done
	slowest                time.Duration
}

func newTally() *tally { return &tally{} }

func (t *tally) count(kind linearizability.Kind, took time.Duration, err error) {
	k := &t.kinds[kind]
	var failed *client.Error
	switch {
	case err == nil:
		k.done++
		k.latency.add(took)
		k.slowest = max(k.slowest, took)
	case errors.As(err, &failed) && failed.Outcome == client.Refused:
		k.refused++
	default:
		k.unknown++
	}
}

func (t *tally) add(other *tally) {
	for kind := range t.kinds {
		k, o := &t.kinds[kind], &other.kinds[kind]
		k.done += o.done
		k.refused += o.refused
		k.unknown += o.unknown
		k.slowest = max(k.slowest, o.slowest)
		for i := range k.latency {
			k.latency[i] += o.latency[i]
		}
	}
}

func (t *tally) done() uint64 {
	var sum uint64
	for kind := range t.kinds {
		sum += t.kinds[kind].done
	}
	return sum
}

// histogram counts durations in buckets, 32 for each power of two, so that a
// quantile is off by at most 3 %.
type histogram [40 * 32]uint64

func bucketOf(d time.Duration) int {
	ns := uint64(max(d, 32))
	power := bits.Len64(ns) - 1 // at least 5
	return min((power-5)*32+int(ns>>(power-5))-32, len(histogram{})-1)
}

// upperBound returns the end of a bucket.
func upperBound(bucket int) time.Duration {
	power, part := bucket/32, bucket%32
	return time.Duration(uint64(32+part+1) << power)
}

func (h *histogram) add(d time.Duration) { h[bucketOf(d)]++ }

// quantile returns a duration that the given share of the counted ones does not
// exceed.
func (h *histogram) quantile(share float64) time.Duration {
	var total, seen uint64
	for _, n := range h {
		total += n
	}
	for bucket, n := range h {
		seen += n
		if n > 0 && float64(seen) >= share*float64(total) {
			return upperBound(bucket)
		}
	}
	return 0
}

// reading is the servers' counters at one time.
type reading struct {
	cpu      time.Duration
	hasCPU   bool
	walSyncs float64
	hasSyncs bool
}

func (r reading) since(before reading) reading {
	return reading{
		cpu: r.cpu - before.cpu, hasCPU: r.hasCPU && before.hasCPU,
		walSyncs: r.walSyncs - before.walSyncs, hasSyncs: r.hasSyncs && before.hasSyncs,
	}
}

// meters reads the servers' counters.
type meters struct {
	pids    []int
	servers []*client.Client
}

func newMeters(pids []int, servers []*client.Client) *meters { return &meters{pids, servers} }

func (m *meters) read(ctx context.Context) (reading, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r := reading{hasCPU: true, hasSyncs: true}
	for _, server := range m.servers {
		page, err := server.Metrics(ctx)
		if err != nil {
			return r, fmt.Errorf("reading the metrics of a server: %w", err)
		}
		seconds, hasCPU := metric(page, "process_cpu_seconds_total")
		syncs, hasSyncs := metric(page, "dkv_wal_syncs_total")
		r.cpu += time.Duration(seconds * float64(time.Second))
		r.walSyncs += syncs
		r.hasCPU, r.hasSyncs = r.hasCPU && hasCPU, r.hasSyncs && hasSyncs
	}
	if len(m.pids) == 0 {
		return r, nil
	}
	r.cpu, r.hasCPU = 0, true
	for _, pid := range m.pids {
		used, err := cpuOf(pid)
		if err != nil {
			return r, err
		}
		r.cpu += used
	}
	return r, nil
}

// metric finds a metric without labels in Prometheus' text format.
func metric(page []byte, name string) (value float64, ok bool) {
	for line := range bytes.Lines(page) {
		rest, found := bytes.CutPrefix(line, []byte(name+" "))
		if !found {
			continue
		}
		value, err := strconv.ParseFloat(string(bytes.TrimSpace(rest)), 64)
		return value, err == nil
	}
	return 0, false
}

// cpuOf reads the CPU time of a process from fields 14 and 15 of /proc/PID/stat.
// Linux reports them in ticks, 100 per second.
func cpuOf(pid int) (time.Duration, error) {
	const ticksPerSecond = 100
	path := fmt.Sprintf("/proc/%d/stat", pid)
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("reading the CPU time of process %d: %w", pid, err)
	}
	// The second field, the name in parentheses, may contain spaces.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("%s has %d fields after the name, want at least 13", path, len(fields))
	}
	user, err1 := strconv.ParseUint(fields[11], 10, 64)
	system, err2 := strconv.ParseUint(fields[12], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return time.Duration(user+system) * time.Second / ticksPerSecond, nil
}

// report is the result of a run.
type report struct {
	tally *tally
	took  time.Duration
	used  reading
	flags benchFlags
}

func (r report) print(out io.Writer) {
	f := r.flags
	fmt.Fprintf(out, "%d clients, %s, %d-byte values, %d keys (%s), %d servers, %.1f s\n\n",
		f.clients, f.mix, f.valueSize, f.keys, f.distribution, len(f.servers), r.took.Seconds())
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "\tdone/s\tdone\trefused\tunknown\tp50\tp99\tp99.9\tmax\t")
	for kind := linearizability.Get; kind <= linearizability.Delete; kind++ {
		k := &r.tally.kinds[kind]
		if k.done+k.refused+k.unknown == 0 {
			continue
		}
		fmt.Fprintf(table, "%s\t%.0f\t%d\t%d\t%d\t%s\t%s\t%s\t%s\t\n", kind, float64(k.done)/r.took.Seconds(), k.done, k.refused, k.unknown,
			milliseconds(k.latency.quantile(0.5)), milliseconds(k.latency.quantile(0.99)), milliseconds(k.latency.quantile(0.999)), milliseconds(k.slowest))
	}
	_ = table.Flush()
	done := float64(r.tally.done())
	fmt.Fprintf(out, "\nthroughput        %.0f op/s\n", done/r.took.Seconds())
	if r.used.hasCPU && done > 0 {
		fmt.Fprintf(out, "server CPU        %.0f µs/op\n", float64(r.used.cpu.Microseconds())/done)
	}
	if puts := float64(r.tally.kinds[linearizability.Put].done); r.used.hasSyncs && puts > 0 {
		fmt.Fprintf(out, "WAL syncs         %.2f per put, summed over --servers\n", r.used.walSyncs/puts)
	}
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}
