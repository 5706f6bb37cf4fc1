#!/usr/bin/env bash
# Measures what a cluster that grows from 3 to 6 nodes and shrinks to 4 costs its
# clients, on Apache ZooKeeper: scripts/bench-moves.sh [-moves-keys N] [FLAGS].
# The flags are those of cmd/dkv/bench_moves_test.go.
set -euo pipefail
cd "$(dirname "$0")/.."

mkdir -p bin
dir=$(mktemp -d "$PWD/bin/bench-moves.XXXXXX") # not in /tmp, which may be in memory, where a sync is free
trap 'rm -rf "$dir"' EXIT
CI=true TMPDIR=$dir go test ./cmd/dkv -count=1 -timeout=3h -v -run='^TestBenchMoves$' -args -moves "$@" | grep -v '^=== '
