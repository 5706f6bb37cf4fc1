#!/usr/bin/env bash
# Installs Debian's ZooKeeper and Java for the tests against a real ZooKeeper.
set -euo pipefail
. "$(dirname "$0")/debian.sh"

jar=/usr/share/java/zookeeper.jar
lost="every test against a real ZooKeeper"

if [[ ! -f $jar ]]; then
	provide "ZooKeeper ($jar)" "$lost" zookeeper
fi
if ! command -v java >/dev/null; then
	provide "Java" "$lost" default-jre-headless
fi
if [[ -f $jar ]] && command -v java >/dev/null; then
	echo "ZooKeeper: $(readlink -f "$jar"), $(java -version 2>&1 | head -n 1)"
fi
