#!/usr/bin/env bash
# Installs a C compiler, which only the race detector needs.
set -euo pipefail
. "$(dirname "$0")/debian.sh"

cc=$(go env CC)
if ! command -v "$cc" >/dev/null; then
	provide "a C compiler ($cc)" "the tests under the race detector" gcc libc6-dev
fi
