#!/usr/bin/env bash
# Reports known vulnerabilities in what this module uses: scripts/vuln.sh [FLAGS
# OF govulncheck], such as "-show verbose". The database is a module, so that the
# Go module proxy is enough to fetch it. It is pinned here; to update the pin:
#
#   go list -m golang.org/x/vulndb@latest
set -euo pipefail
cd "$(dirname "$0")/.."

database=golang.org/x/vulndb@v0.0.0-20261105234957-e22db6528018

echo "Vulnerability database: $database"
dir=$(go mod download -json "$database" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
[[ -d $dir/data/osv ]] || { echo "$database has no directory data/osv" >&2; exit 1; }
go tool -modfile=tools/go.mod govulncheck -db "file://$dir/data/osv" "$@" ./...
