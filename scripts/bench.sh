#!/bin/sh
# Measures everything and writes one report to target/bench/: docs/BENCHMARKS.md says what and how.
#
# usage: scripts/bench.sh   (options by environment: PEERS, ROUNDS, ONLY, QUICK, LOCK)
set -eu
cd "$(dirname "$0")/.."
mkdir -p target/bench

# The pipeline alone needs no root; the host's benchmark reads what it printed.
rm -f target/bench/pipeline.txt
case ,${ONLY-pipeline}, in
*,pipeline,*)
	if [ -f benches/pipeline.rs ]; then
		echo "== pipeline alone" >&2
		cargo bench --bench pipeline >target/bench/pipeline.txt
	fi
	;;
esac

if [ "$(id -u)" -ne 0 ] && command -v sudo >/dev/null; then
	# Built as ourselves, run as root.
	set -- --config 'target."cfg(unix)".runner="sudo -E"'
fi
cargo bench --bench host "$@"
