#!/bin/sh
# Prints what is linked into connledger besides its own code, with the licences: their terms want to be passed on
# with the program. A text that several crates share stands there once.
#
# usage: scripts/third-party.sh
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C
texts=$(mktemp -d)
trap 'rm -rf "$texts"' EXIT
trap 'exit 1' HUP INT TERM

host=$(rustc -vV | sed -n 's/^host: //p')
# Rust's own list, where the toolchain brings it.
library=$(rustc --print sysroot)/share/doc/rust/COPYRIGHT-library.html

# Name, version, licence and home of each crate.
cargo tree --locked --edges normal,no-proc-macro --target "$host" --prefix none --format '{p}|{l}|{r}' |
	sed 's/ (\*)$//' | sort -u | grep -v '^connledger ' >"$texts/.crates"
# Name and version, the folder, and the authors.
cargo metadata --locked --format-version 1 --filter-platform "$host" |
	jq -r '.packages[] | "\(.name) v\(.version)|\(.manifest_path | rtrimstr("/Cargo.toml"))|\(.authors | join(", "))"' \
		>"$texts/.folders"

cut -d '|' -f 1 "$texts/.crates" >"$texts/.names"

cat <<'END'
connledger is licensed under MIT or Apache-2.0, at your choice, and the programs
that it loads into the kernel under GPL-2.0-only or BSD-2-Clause. Linked into it
are Rust's standard library (MIT OR Apache-2.0, https://www.rust-lang.org) and:

END
sed 's/^\([^|]*\)|\([^|]*\)|\(.*\)/\1\n    \2\n    \3/; s/\n    $//' "$texts/.crates"
cat <<'END'

libbpf-sys has libbpf in it (LGPL-2.1 OR BSD-2-Clause, https://github.com/libbpf/libbpf),
zstd-sys has zstd (BSD-3-Clause OR GPL-2.0, https://github.com/facebook/zstd).
END

# Each text by its sum: who has it in .of, and itself.
while IFS='|' read -r crate _; do
	folder=$(awk -F '|' -v crate="$crate" '$1 == crate { print $2 }' "$texts/.folders")
	for file in "$folder"/LICEN[CS]E* "$folder"/COPYING* "$folder"/COPYRIGHT* "$folder"/NOTICE* "$folder"/UNLICENSE* \
		"$folder"/libbpf/LICENSE "$folder"/libbpf/LICENSE.BSD* "$folder"/zstd/LICENSE; do
		[ -f "$file" ] || continue
		sum=$(sha256sum <"$file")
		sum=${sum%% *}
		cp "$file" "$texts/$sum"
		echo "$crate: ${file#"$folder"/}" >>"$texts/$sum.of"
		echo "$crate" >>"$texts/.with"
	done
done <"$texts/.crates"

rule() { printf '\n%s\n' ------------------------------------------------------------------------------; }

# Those that have no text, but name the MIT license: its text, and their authors. Of another license it must be looked
# for by somebody.
grep -Fxv -f "$texts/.with" "$texts/.names" >"$texts/.without" || true
while IFS= read -r crate; do
	awk -F '|' -v crate="$crate" '$1 == crate { print $2 }' "$texts/.crates" | grep -qw MIT || {
		echo "third-party: $crate has no license text" >&2
		exit 1
	}
	rule
	echo "$crate has no text of its own"
	echo
	authors=$(awk -F '|' -v crate="$crate" '$1 == crate { print $3 }' "$texts/.folders")
	awk -v authors="$authors" '/^Copyright/ { $0 = "Copyright (c) " authors } { print }' LICENSE-MIT
done <"$texts/.without"

# In the order of who has them.
for of in "$texts"/*.of; do
	echo "$(head -n 1 "$of")|${of%.of}"
done | sort | while IFS='|' read -r _ text; do
	rule
	cat "$text.of"
	echo
	# As it is, but for the ends of lines.
	sed 's/[[:space:]]*$//' "$text"
done

if [ -f "$library" ]; then
	rule
	echo "Rust's standard library: ${library##*/} of $(rustc --version), as text"
	sed 's/<[^>]*>//g; s/&#34;/"/g; s/&#39;/\x27/g; s/&#60;/</g; s/&#62;/>/g; s/&#38;/\&/g; s/[[:space:]]*$//' "$library" | cat -s
fi
