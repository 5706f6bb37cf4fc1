#!/usr/bin/env bash
# Runs what has to pass before an issue is closed: the tests, the same traces from
# differently built programs, a campaign of each profile and of each store, and
# the planted bugs. It takes hours. SEEDS sets how many seeds the default profile
# runs; the other campaigns run a third of them,
# and the day profile a thirtieth.
set -euo pipefail
cd "$(dirname "$0")/.."

seeds=${SEEDS:-3000}
[[ $seeds =~ ^[1-9][0-9]*$ ]] || { printf 'invalid SEEDS %q: want a number of at least 1\n' "$seeds" >&2; exit 2; }
fewer=$(((seeds + 2) / 3))

make test
make determinism SEEDS=12
make fuzz
make sim SEEDS="$seeds" ARGS=--quiet
for profile in calm process network zookeeper moves members planned elections rough disk majority-lost; do
	make sim SEEDS="$fewer" ARGS="--quiet --profile $profile"
done
make sim SEEDS="$(((fewer + 9) / 10))" ARGS="--quiet --profile day" # a run takes about a second
for store in pebble pebble-raw; do
	make sim SEEDS="$fewer" ARGS="--quiet --store $store"
done
make mutants
