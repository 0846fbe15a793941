#!/bin/sh
# Runs suites of tests so often in a row, and tells at the end which tests failed, and how often. The logs of the runs
# that failed stay in target/repeat/. SUITES names the suites: kernel, unless it says otherwise.
#
# usage: scripts/repeat.sh RUNS [NAME OF A TEST...]
set -eu
cd "$(dirname "$0")/.."
runs=$1
shift

runner="target.\"cfg(unix)\".runner=\"$PWD/scripts/run-tests.sh\""
suites=
for suite in ${SUITES:-kernel}; do
	suites="$suites --test $suite"
done
# shellcheck disable=SC2086 # several words
cargo test --no-run $suites
mkdir -p target/repeat
rm -f target/repeat/*.log
failed=0
for run in $(seq "$runs"); do
	log=target/repeat/$run.log
	# shellcheck disable=SC2086
	if cargo test --no-fail-fast --config "$runner" $suites -- "$@" >"$log" 2>&1; then
		result=$(grep '^test result' "$log")
		grep -h '\.\.\. once more' "$log" || true
		rm "$log"
	else
		result="failed: $log"
		failed=$((failed + 1))
	fi
	echo "$run of $runs, $(date +%T): $result"
done
[ "$failed" -eq 0 ] || grep -h '^test .* FAILED$' target/repeat/*.log | sort | uniq -c
echo "$((runs - failed)) passed, $failed failed"
[ "$failed" -eq 0 ]
