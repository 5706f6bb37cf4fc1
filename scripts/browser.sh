#!/usr/bin/env bash
# Installs what the tests of the report need to drive a browser: Debian's
# Chromium, and the driver pinned in linearizability/report/testdata/browser.
set -euo pipefail
. "$(dirname "$0")/debian.sh"

tests=$(dirname "$0")/../linearizability/report/testdata/browser
lost="the tests of the report in a browser"

if ! command -v chromium >/dev/null; then
	provide "Chromium" "$lost" chromium
fi
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	provide "Node.js with npm" "$lost" nodejs npm
fi
if ! command -v chromium >/dev/null || ! command -v node >/dev/null || ! command -v npm >/dev/null; then
	exit 0
fi
installed=$tests/node_modules/.package-lock.json
if [[ ! -f $installed || $tests/package-lock.json -nt $installed ]]; then
	log=$(mktemp)
	if ! (cd "$tests" && npm ci --ignore-scripts --no-audit --no-fund) >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		missing "playwright-core" "$lost" "npm ci could not install it"
	fi
	rm -f "$log"
fi
echo "Browser: $(chromium --version 2>/dev/null), Node.js $(node --version)"
