#!/usr/bin/env bash
# Measures a fresh cluster of five nodes on this machine:
# scripts/bench.sh [FLAGS OF dkv bench]. BENCH_PORT sets the first port. Then,
# after the cluster has stopped, it measures zkserver, Apache's server and the
# tree alone, the check of histories, and the simulator on one core: events and
# seeds of the default profile, longer seeds, nodes, and a CPU profile.
set -euo pipefail
cd "$(dirname "$0")/.."

port=${BENCH_PORT:-18000}
dir=$(mktemp -d bin/bench.XXXXXX) # not in /tmp, which may be in memory, where a sync is free
cluster=
finish() {
	if [[ -n $cluster ]]; then
		kill -TERM "$cluster" 2>/dev/null || true
		wait "$cluster" 2>/dev/null || true
	fi
	rm -rf "$dir"
}
trap finish EXIT

bin/dkv local --base-port "$port" --data "$dir/data" --log-level warn >"$dir/log" 2>&1 &
cluster=$!
until grep -q 'cluster is ready' "$dir/log"; do
	if ! kill -0 "$cluster" 2>/dev/null || ((SECONDS > 60)); then
		cat "$dir/log" >&2
		exit 1
	fi
	sleep 0.1
done

servers=
for i in 0 1 2 3 4; do servers+=,127.0.0.1:$((port + 10 * i)); done
bin/dkv bench --servers "${servers#,}" "$@"

finish
cluster=
printf '\n== ZooKeeper: a client of go-zookeeper at each server in turn, nothing synced; the tree alone\n'
go test ./zksim/zkserver -run='^$' -bench='^Benchmark(Set|Get)$' -benchtime=2s | grep '^Benchmark'
go test ./zksim/zktree ./zksim -run='^$' -bench='^BenchmarkTree$/^mix$|^BenchmarkOperations$' | grep '^Benchmark'
printf '\n== linearizability\n'
go test ./cmd/dkvsim -count=1 -v -run='^TestFigures$' -args -figures | grep -v '^=== \|^--- PASS\|^PASS\|^ok'
printf '\n== simulator, one core: 600 seeds of the default profile; seeds of five nodes and 60 virtual seconds; clusters of 5, 15 and 50 nodes; the profile of the default seeds\n'
go test -c -o "$dir/sim.test" ./sim
(
	cd sim
	GOMAXPROCS=1 "../$dir/sim.test" -test.run='^$' -test.bench='^BenchmarkSwarm$' -test.benchtime=600x -test.cpuprofile="../$dir/sim.prof" | grep '^Benchmark'
	GOMAXPROCS=1 "../$dir/sim.test" -test.run='^$' -test.bench='^BenchmarkSeeds$' -test.benchtime=20s | grep '^Benchmark'
)
GOMAXPROCS=1 go test ./sim/world -run='^$' -bench='^BenchmarkNodes$' -benchtime=1000000x | grep '^Benchmark'
go tool pprof -top -cum -nodecount=40 "$dir/sim.test" "$dir/sim.prof" 2>/dev/null | tail -n +5
