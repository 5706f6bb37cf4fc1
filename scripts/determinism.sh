#!/usr/bin/env bash
# Checks that the same seeds give the same trace hashes, wherever and however the
# program is built: from two clean clones in different directories, with and
# without -trimpath, with the race detector, on one core and on two. Only
# committed changes are tested. Usage: scripts/determinism.sh [SEEDS], such as 12.
set -euo pipefail
cd "$(dirname "$0")/.."

seeds=${1:-12}
[[ $seeds =~ ^[1-9][0-9]*$ ]] || { printf 'invalid SEEDS %q: want a number of at least 1\n' "$seeds" >&2; exit 2; }
profiles=(default rough)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

here=$PWD
one=$work/one
two=$work/a/directory/with/a/much/longer/name/two
for clone in "$one" "$two"; do
	git clone --quiet --no-hardlinks "$here" "$clone"
done
printf 'commit %s, seeds 1 to %d of the profiles %s\n' "$(git rev-parse --short HEAD)" "$seeds" "${profiles[*]}"
[[ -z $(git status --porcelain) ]] || printf 'uncommitted changes are not tested\n'

# hashes prints a line for each seed: profile, seed, events and trace.
hashes() { # BINARY GOMAXPROCS
	for profile in "${profiles[@]}"; do
		GOMAXPROCS=$2 "$1" run --seeds "1-$seeds" --jobs "$2" --profile "$profile" |
			sed -n "s/^seed=\([0-9]*\) .*\(events=[0-9]*\) .*\(trace=[0-9a-f]*\)\$/$profile \1 \2 \3/p" || true
	done | sort
}

reference= reference_name= status=0
compare() { # NAME BINARY GOMAXPROCS
	local out=$work/hashes.$((++count))
	hashes "$2" "$3" >"$out"
	if [[ $(wc -l <"$out") -ne $((seeds * ${#profiles[@]})) ]]; then
		printf '%-44s BROKEN: %d lines\n' "$1" "$(wc -l <"$out")"
		status=1
	elif [[ -z $reference ]]; then
		reference=$out reference_name=$1
		printf '%-44s %s\n' "$1" "$(sha256sum <"$out" | cut -c1-16)"
	elif cmp -s "$reference" "$out"; then
		printf '%-44s %s the same\n' "$1" "$(sha256sum <"$out" | cut -c1-16)"
	else
		printf '%-44s DIFFERS from "%s":\n' "$1" "$reference_name"
		diff "$reference" "$out" | head -20
		status=1
	fi
}
count=0

build() { # DIRECTORY OUTPUT FLAG…
	local directory=$1 output=$2
	shift 2
	(cd "$directory" && CGO_ENABLED=${cgo:-0} go build "$@" -o "$output" ./cmd/dkvsim)
}

build "$one" "$work/plain"
build "$one" "$work/trimmed" -trimpath
build "$two" "$work/plain-two"
build "$two" "$work/trimmed-two" -trimpath
compare "clone one, one core" "$work/plain" 1
compare "clone one, two cores" "$work/plain" 2
compare "clone one, -trimpath, two cores" "$work/trimmed" 2
compare "clone two, one core" "$work/plain-two" 1
compare "clone two, -trimpath, two cores" "$work/trimmed-two" 2
if command -v "$(go env CC)" >/dev/null; then
	cgo=1 build "$two" "$work/raced" -race
	compare "clone two, -race, one core" "$work/raced" 1
	compare "clone two, -race, two cores" "$work/raced" 2
else
	printf '%-44s SKIPPED: no C compiler\n' "-race"
	status=1
fi
exit "$status"
