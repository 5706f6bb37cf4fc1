#!/usr/bin/env bash
# Runs everything that CI runs, in stages, and prints the time each took. It stops
# at the first stage that fails.
set -euo pipefail
cd "$(dirname "$0")/.."

# Only the race detector needs cgo; this proves it.
export CGO_ENABLED=0

# The packages that use goroutines; a tidy test checks that none is missing.
concurrent=(./node/real/... ./node/client ./node/pebblestore ./sim/world/crashdisk ./zksim/zkserver ./linearizability/... ./cmd/... ./sim/campaign ./internal/mutants)

times=()
skipped=()
stage() { # NAME COMMAND…
	local name=$1 begun=$SECONDS
	shift
	printf '\n== %s: %s\n' "$name" "$*"
	if ! "$@"; then
		printf '== %s: FAILED after %d s\n' "$name" $((SECONDS - begun)) >&2
		exit 1
	fi
	printf '== %s: passed in %d s\n' "$name" $((SECONDS - begun))
	times+=("$(printf '%6d s  %s' $((SECONDS - begun)) "$name")")
}

# Vet is a stage of its own, and a cached result would test nothing.
gotest() {
	go test -vet=off -count=1 "$@"
}

# The tests with real processes run later, with the machine to themselves.
units() {
	local packages
	packages=$(go list ./... | grep -vx "$(go list ./sim)") || return
	gotest -timeout=8m -skip='^TestProcesses$' $packages
}

# These tests are slow because of a JVM or a browser. They ran before, and under
# the race detector they cover no code of ours that the others do not.
others='^TestProcesses$|^TestLockstep|^TestSuiteOnReal|^TestZKCli|^TestWordsRead|OnAnEnsemble$|^TestBrowser|^TestJepsensHistories'

race() {
	if ! command -v "$(go env CC)" >/dev/null; then
		skipped+=("the race detector: no C compiler")
		return
	fi
	CGO_ENABLED=1 gotest -race -timeout=8m -skip="$others" "${concurrent[@]}"
}

# Every seed runs twice and has to take the same steps both times. The tables
# count the seeds that passed; only the others are printed.
campaign() {
	gotest ./sim -v -seeds="$1" -twice -timeout=8m | { grep -v '^seed=.* result=ok' || true; }
}

skipped+=("TestBenchMoves, which measures and takes minutes: make bench-moves runs it")
stage "ZooKeeper" scripts/zookeeper.sh
[[ -f /usr/share/java/zookeeper.jar ]] && command -v java >/dev/null ||
	skipped+=("every test against a real ZooKeeper: it is not installed")
stage "browser" scripts/browser.sh
[[ -d linearizability/report/testdata/browser/node_modules ]] && command -v chromium >/dev/null && command -v node >/dev/null ||
	skipped+=("the tests of the report in a browser: Chromium, Node.js or playwright-core is not installed")
stage "C compiler" scripts/compiler.sh
stage "modules" go mod download
stage "tools" go mod download -modfile=tools/go.mod
stage "build" go build ./...
stage "vet" go vet ./...
stage "staticcheck" go tool -modfile=tools/go.mod staticcheck ./...
stage "tests" units
stage "processes" gotest ./cmd/dkv -v -run='^TestProcesses$' -timeout=5m -parallel=8
stage "race detector" race
stage "simulation" gotest ./sim -timeout=5m
stage "campaign" campaign 1000

printf '\nAll stages passed:\n'
printf '%s\n' "${times[@]}"
printf '%6d s  total\n' "$SECONDS"
for what in ${skipped[@]+"${skipped[@]}"}; do printf 'but SKIPPED %s\n' "$what"; done
