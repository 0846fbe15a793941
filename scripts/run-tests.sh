#!/bin/sh
# Cargo's runner for the binaries with the tests (scripts/test.sh), as root where it can.
#
# Tests that know what a tracer must have seen run each in a process of its own, the kernel tests several at once: much
# of the time they wait for the kernel to detach, or for a timeout. JOBS says how many at once. With an option of the
# test binary's (as --nocapture) they run as cargo runs them.
#
# Beside them runs a witness (tests/support/witness.rs). An attempt that fails while this kernel has hidden changes of
# state from all BPF programs is made once more, and that is told: three attempts at most, each after a longer pause, for
# what keeps the hidden process busy lasts a while. An attempt that fails while nothing was hidden fails the test.
#
# usage: scripts/run-tests.sh BINARY [NAME...]
set -eu
binary=$1
shift

as_root=
if [ "$(id -u)" -ne 0 ] && command -v sudo >/dev/null; then
	as_root='sudo -E'
fi
case ${binary##*/} in
kernel-*) jobs=${JOBS:-$(($(nproc) * 4))} ;;
outputs-* | privileges-* | service-*) jobs=1 ;;
*) jobs= ;;
esac
for argument; do
	case $argument in -*) jobs= ;; esac
done
# shellcheck disable=SC2086 # two words, or none
[ -n "$jobs" ] || exec $as_root "$binary" "$@"

logs=$(mktemp -d)
CONNLEDGER_HIDDEN=$logs/.hidden
export CONNLEDGER_HIDDEN as_root binary logs
# shellcheck disable=SC2086
$as_root "$binary" --ignored --exact witness::watch >"$logs/.witness" 2>&1 &
witness=$!
trap 'kill "$witness" 2>/dev/null || true; rm -rf "$logs"' EXIT
trap 'exit 1' HUP INT TERM

# Runs the test $1. How many changes of state were hidden from programs so far, the witness says, if it can.
one=$(
	cat <<-'END'
		hidden() {
			cat "$CONNLEDGER_HIDDEN" 2>/dev/null || echo 0
		}
		# Waits until the witness has looked again. On a busy machine it may have to wait for its turn.
		look_again() {
			[ -e "$CONNLEDGER_HIDDEN" ] || return 0
			touch "$logs/.failed-$1"
			for _ in $(seq 100); do
				sleep 0.1
				[ ! "$CONNLEDGER_HIDDEN" -nt "$logs/.failed-$1" ] || return 0
			done
		}
		for attempt in 1 2 3; do
			before=$(hidden)
			status=0
			$as_root "$binary" --exact "$1" >>"$logs/$1" 2>&1 || status=$?
			if [ "$status" -eq 0 ]; then
				echo "test $1 ... ok"
				rm "$logs/$1"
				exit
			fi
			look_again "$1"
			count=$(($(hidden) - before))
			echo "attempt $attempt: exit status $status; this kernel hid $count changes of state meanwhile" >>"$logs/$1"
			if [ "$count" -eq 0 ] || [ "$attempt" -eq 3 ]; then
				break
			fi
			echo "test $1 ... once more: this kernel hid $count changes of state from all BPF programs"
			echo "$1" >>"$logs/.repeated"
			sleep "$((attempt * 2))"
		done
		echo "test $1 ... FAILED"
	END
)
# Ahead of the others those that must be alone, for each waits until all that run have ended; then those that wait for
# the kernel longest. A module of the kernel tests that is not named here costs time, and nothing else.
in_order() {
	sed -E 's/^(accept_races|books|filters::consumers|following_io|opening|opening_busy|wakeups)::/1 &/; t
		s/^(timeouts|unanswered)::/2 &/; t
		s/^/3 /' | sort -s -k 1,1 | cut -d ' ' -f 2
}
"$binary" "$@" --skip witness::watch --list --format terse | sed -n 's/: test$//p' | in_order >"$logs/.all"
xargs -P "$jobs" -n 1 sh -c "$one" sh <"$logs/.all"

for log in "$logs"/*; do
	[ -e "$log" ] || continue
	echo "---- ${log##*/}"
	cat "$log"
done
all=$(wc -l <"$logs/.all")
failed=$(find "$logs" -type f ! -name '.*' | wc -l)
repeated=$(sort -u "$logs/.repeated" 2>/dev/null | wc -l)
echo "test result: $((all - failed)) passed, $failed failed, $repeated run once more"
[ "$failed" -eq 0 ]
