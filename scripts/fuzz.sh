#!/usr/bin/env bash
# Fuzzes every decoder for a while each: scripts/fuzz.sh [TIME], such as 10s.
# What it finds stands in the package's testdata/fuzz and belongs in the commit
# of its mending.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-10s}
export CGO_ENABLED=0

targets=$(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*\(' . | sed -E 's|^(.*)/[^/]*:func (Fuzz[^(]*)\(|\1 \2|' | sort)
count=$(wc -l <<<"$targets")
echo "$count fuzz targets, $time each"
while read -r package target; do
	printf '\n== %s %s\n' "$package" "$target"
	go test "$package" -run='^$' -fuzz="^$target\$" -fuzztime="$time"
done <<<"$targets"
