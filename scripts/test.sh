#!/bin/sh
# Runs every test, as root if it can: the kernel tests trace. At the end it says what was skipped: a test
# that cannot run here appends a line to the file that CONNLEDGER_SKIPS names. With CI=true it fails instead.
#
# usage: scripts/test.sh [OPTIONS OF CARGO TEST]
set -eu
cd "$(dirname "$0")/.."

# Not in /tmp, where root may not append to another user's file.
mkdir -p target
CONNLEDGER_SKIPS=$PWD/target/skipped-tests
export CONNLEDGER_SKIPS
: >"$CONNLEDGER_SKIPS"

status=0
runner="target.\"cfg(unix)\".runner=\"$PWD/scripts/run-tests.sh\""
cargo test --config "$runner" --no-fail-fast "$@" || status=$?

if [ -s "$CONNLEDGER_SKIPS" ]; then
	echo "skipped:"
	sort -u "$CONNLEDGER_SKIPS" | sed 's/^/  /'
	[ "${CI-}" != true ] || status=1
elif [ "$status" -eq 0 ]; then
	echo "skipped: nothing"
fi
exit "$status"
