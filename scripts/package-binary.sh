#!/bin/sh
# Builds the connledger that packages hold: target/package/connledger, and the licences of what is linked into it.
# The same source gives the same bytes, wherever it lies and wherever cargo keeps its crates.
#
# CONNLEDGER_COMMIT names the commit where git cannot.
#
# usage: scripts/package-binary.sh
set -eu
cd "$(dirname "$0")/.."

# dpkg-buildpackage and rpmbuild each have flags of their own. Here both packages get the same binary, built once.
unset RUSTFLAGS CPPFLAGS CXXFLAGS LDFLAGS PKG_CONFIG_PATH
# Of the libraries in C: libbpf and zstd.
CFLAGS='-O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2'

# Panics and assertions name source files: they get names that say nothing of this machine.
project=$(pwd -P)
crates=${CARGO_HOME:-$HOME/.cargo}
toolchain=$(rustc --print sysroot)
for place in "$crates=/usr/src/cargo" "$toolchain=/usr/src/rust" "$project=/usr/src/connledger"; do
	RUSTFLAGS="${RUSTFLAGS-} --remap-path-prefix=$place"
	CFLAGS="$CFLAGS -ffile-prefix-map=$place"
done
export RUSTFLAGS CFLAGS

if [ -z "${CONNLEDGER_COMMIT-}" ] && commit=$(git rev-parse --short=12 HEAD 2>/dev/null); then
	export CONNLEDGER_COMMIT="$commit"
fi

# Not all crates with C in them are built anew by themselves when the flags change.
build=target/package/build
mkdir -p "$build"
if [ "$(cat "$build/cflags" 2>/dev/null)" != "$CFLAGS" ]; then
	rm -rf "$build/dist"
	echo "$CFLAGS" >"$build/cflags"
fi
CARGO_INCREMENTAL=0 cargo build --locked --profile dist --bin connledger --target-dir "$build"
scripts/third-party.sh >target/package/THIRD-PARTY
install -m 755 "$build/dist/connledger" target/package/connledger
