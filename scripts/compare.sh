#!/usr/bin/env bash
# Compare how two commits run the same schedules: the BASE commit draws them and
# runs them, then the current commit runs their texts. Every run must take the
# same number of events and the same virtual time, and its clients must have made
# the same number of operations with the same outcomes. Differences of trace hashes
# alone are counted and shown, not failed: a hash also changes with a text in it.
# Only committed changes are compared.
#
# compare.sh BASE [SEEDS of the default profile] [SEEDS of each other profile]
set -euo pipefail
cd "$(dirname "$0")/.."
base=$(git rev-parse "${1:?which commit is the base? usage: compare.sh BASE [SEEDS] [SEEDS]}")
export CGO_ENABLED=0 GOFLAGS="${GOFLAGS:-} -buildvcs=false"

dir=$(mktemp -d)
cleanup() {
	git worktree remove --force "$dir/base" 2>/dev/null || true
	git worktree remove --force "$dir/head" 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
git worktree add --quiet --detach "$dir/base" "$base"
git worktree add --quiet --detach "$dir/head" HEAD

# driver TREE writes a program into a tree that runs schedules and prints a line
# for each. The package of schedules was part of sim once.
driver() {
	local module parse import=""
	module=$(cd "$1" && go list -m)
	parse=sim.ParseSchedule
	if [[ -d $1/sim/schedule ]]; then
		parse=schedule.Parse
		import="\"$module/sim/schedule\""
	fi
	mkdir -p "$1/cmd/comparedriver"
	cat >"$1/cmd/comparedriver/main.go" <<END
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"

	"$module/sim"
	$import
)

type job struct {
	profile string
	seed    uint64
}

func main() {
	dir, draws := os.Args[1], os.Args[2] == "draw"
	most, _ := strconv.ParseUint(os.Args[3], 10, 64)
	others, _ := strconv.ParseUint(os.Args[4], 10, 64)
	var jobs []job
	for i, profile := range sim.Profiles() {
		n := others
		if i == 0 {
			n = most
		}
		for seed := uint64(1); seed <= n; seed++ {
			jobs = append(jobs, job{profile, seed})
		}
	}
	lines, next := make([]string, len(jobs)), make(chan int)
	var wait sync.WaitGroup
	for range runtime.NumCPU() {
		wait.Go(func() {
			for i := range next {
				line, err := run(dir, jobs[i], draws)
				if err != nil {
					fmt.Fprintln(os.Stderr, jobs[i], err)
					os.Exit(1)
				}
				lines[i] = line
			}
		})
	}
	for i := range jobs {
		next <- i
	}
	close(next)
	wait.Wait()
	for _, line := range lines {
		fmt.Println(line)
	}
}

func run(dir string, j job, draws bool) (string, error) {
	file := filepath.Join(dir, fmt.Sprintf("%s-%d.txt", j.profile, j.seed))
	if draws {
		drawn, err := sim.Draw(j.seed, j.profile)
		if err != nil {
			return "", err
		}
		if err := os.WriteFile(file, []byte(drawn.String()), 0o644); err != nil {
			return "", err
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	s, err := $parse(string(text))
	if err != nil {
		return "", err
	}
	r, err := sim.Run(s, sim.RunOptions{})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("profile=%s seed=%d class=%v events=%d virtual=%v called=%d done=%d refused=%d unknown=%d operations=%d trace=%016x",
		j.profile, j.seed, r.Classes, r.Events, r.Virtual, r.Called, r.Done, r.Refused, r.Unknown, len(r.History), r.Trace), nil
}
END
	(cd "$1" && gofmt -w cmd/comparedriver && go build -o "$1.bin" ./cmd/comparedriver)
}

driver "$dir/base"
driver "$dir/head"
mkdir "$dir/schedules"
"$dir/base.bin" "$dir/schedules" draw "${2:-3000}" "${3:-300}" >"$dir/base.txt"
"$dir/head.bin" "$dir/schedules" read "${2:-3000}" "${3:-300}" >"$dir/head.txt"

runs=$(wc -l <"$dir/base.txt")
echo "$runs runs of $(git rev-parse --short "$base") and $(git rev-parse --short HEAD)"
echo "$(awk '{for(i=1;i<=NF;i++)if(split($i,w,"=")==2&&w[1]=="events")n+=w[2]}END{print n}' "$dir/base.txt") events in the base's runs"
echo "$(diff <(grep -o 'trace=.*' "$dir/base.txt") <(grep -o 'trace=.*' "$dir/head.txt") | grep -c '^>' || true) trace hashes differ"
if ! diff <(sed 's/ trace=.*//' "$dir/base.txt") <(sed 's/ trace=.*//' "$dir/head.txt"); then
	echo "the runs above differ in more than their trace hashes" >&2
	exit 1
fi
echo "events, virtual times, operations and outcomes are equal in every run"
