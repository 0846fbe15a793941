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

# Name, version, licence and home of each crate.
cargo tree --locked --edges normal,no-proc-macro --target "$host" --prefix none --format '{p}|{l}|{r}' |
	sed 's/ (\*)$//' | sort -u | grep -v '^connledger ' >"$texts/.crates"
# Name and version, and the folder.
cargo metadata --locked --format-version 1 --filter-platform "$host" |
	jq -r '.packages[] | "\(.name) v\(.version)|\(.manifest_path | rtrimstr("/Cargo.toml"))"' >"$texts/.folders"

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

if grep -Fxvq -f "$texts/.with" "$texts/.names"; then
	printf '\n%s\n' "No text of their own have:"
	grep -Fxv -f "$texts/.with" "$texts/.names" | sed 's/^/    /'
fi

# In the order of who has them.
for of in "$texts"/*.of; do
	echo "$(head -n 1 "$of")|${of%.of}"
done | sort | while IFS='|' read -r _ text; do
	printf '\n%s\n' ------------------------------------------------------------------------------
	cat "$text.of"
	echo
	# As it is, but for the ends of lines.
	sed 's/[[:space:]]*$//' "$text"
done
