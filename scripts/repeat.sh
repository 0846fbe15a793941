#!/bin/sh
# Runs the kernel tests so often in a row, and tells at the end which of them failed, and how often. The logs of
# the runs that failed stay in target/repeat/.
#
# usage: scripts/repeat.sh RUNS [NAME OF A TEST...]
set -eu
cd "$(dirname "$0")/.."
runs=$1
shift

runner="target.\"cfg(unix)\".runner=\"$PWD/scripts/run-tests.sh\""
cargo test --no-run --test kernel
mkdir -p target/repeat
rm -f target/repeat/*.log
failed=0
for run in $(seq "$runs"); do
	log=target/repeat/$run.log
	if cargo test --config "$runner" --test kernel -- "$@" >"$log" 2>&1; then
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
