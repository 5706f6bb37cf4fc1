#!/usr/bin/env bash
# Fuzzes each decoder for TIME: scripts/fuzz.sh [TIME], such as 10s. A crasher is
# saved in the package's testdata/fuzz: commit it together with the fix.
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
