# Sourced by other scripts: installs Debian packages and says so first.

loud() {
	local line
	printf '\n  ******\n' >&2
	for line in "$@"; do printf '  ** %s\n' "$line" >&2; done
	printf '  ******\n\n' >&2
}

# missing WHAT LOST REASON says that WHAT is missing and which tests are LOST
# without it. With CI=true it fails; otherwise the caller continues without WHAT.
missing() {
	loud "$1 is missing, and $3." "SKIPPED without it: $2."
	if [[ ${CI:-} == true ]]; then
		echo "With CI=true no test may be skipped." >&2
		return 1
	fi
}

apt() {
	DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# provide WHAT LOST PACKAGE… installs the packages that contain WHAT. If it
# cannot, it reports that through missing.
provide() {
	local what=$1 lost=$2 log
	shift 2
	if ! command -v apt-get >/dev/null; then
		missing "$what" "$lost" "there is no apt-get to install it with (Debian: $*)"
		return
	fi
	if [[ $(id -u) != 0 ]]; then
		missing "$what" "$lost" "only root can install it: apt-get install $*"
		return
	fi
	echo "$what is missing. Installing from Debian: apt-get install --no-install-recommends $*"
	log=$(mktemp)
	if apt install -y --no-install-recommends "$@" >"$log" 2>&1; then
		rm -f "$log"
		return
	fi
	echo "That failed. Updating the package lists (apt-get update) and trying again."
	if apt update >>"$log" 2>&1 && apt install -y --no-install-recommends "$@" >>"$log" 2>&1; then
		rm -f "$log"
		return
	fi
	tail -n 20 "$log" >&2
	rm -f "$log"
	missing "$what" "$lost" "apt-get could not install it"
}
