#!/usr/bin/env bash
# Makes sure that there is a C compiler: the race detector needs one. Nothing
# else here does.
set -euo pipefail
. "$(dirname "$0")/debian.sh"

cc=$(go env CC)
if ! command -v "$cc" >/dev/null; then
	provide "a C compiler ($cc)" "the tests under the race detector" gcc libc6-dev
fi
