#!/bin/sh
# Installs connledger: the one list of what make install and both packages hold, with its modes. A distribution's
# own papers (licences, changelog) are laid by its own tools.
#
# PREFIX is /usr or /usr/local: elsewhere systemd does not look for the unit, and for what makes the user.
# LICENSES=no leaves out the licences.
#
# usage: make install [DESTDIR=...] [PREFIX=/usr/local] [BINARY=...] [UNITDIR=...] [ZSHDIR=...] [LICENSES=no]
set -eu
cd "$(dirname "$0")/.."
umask 022

: "${BINARY:=target/release/connledger}" "${PREFIX:=/usr/local}" "${SYSCONFDIR:=/etc}"
share=$PREFIX/share
# Some distributions want these elsewhere.
: "${UNITDIR:=$PREFIX/lib/systemd/system}" "${ZSHDIR:=$share/zsh/site-functions}"

[ -x "$BINARY" ] || {
	echo "install: there is no $BINARY; run make build first" >&2
	exit 1
}

made=$(mktemp)
trap 'rm -f "$made"' EXIT
trap 'exit 1' HUP INT TERM

# put MODE FILE PLACE
put() {
	install -D -m "$1" "$2" "${DESTDIR-}$3"
}

# keep FILE PLACE: what was changed there stays. The new file is not put beside it, where programs would read it, too.
keep() {
	if [ -e "${DESTDIR-}$2" ] && ! cmp -s "$1" "${DESTDIR-}$2"; then
		beside=$share/doc/connledger/new/${2##*/}
		put 644 "$1" "$beside"
		echo "install: $2 was changed, and stays; the new one is $beside"
	else
		put 644 "$1" "$2"
	fi
}

# generate WHAT PLACE: the program itself has its pages and completions
generate() {
	"$BINARY" generate "$1" >"$made"
	put 644 "$made" "$2"
}

# put_all FOLDER PLACE: all that is in it, of whatever depth
put_all() {
	find "$1" -type f | LC_ALL=C sort | while IFS= read -r file; do
		put 644 "$file" "$2${file#"$1"}"
	done
}

put 755 "$BINARY" "$PREFIX/bin/connledger"
keep packaging/connledger.toml "$SYSCONFDIR/connledger/connledger.toml"
keep packaging/logrotate/connledger "$SYSCONFDIR/logrotate.d/connledger"
# Here lnav finds it by itself.
keep examples/lnav/connledger.json "$SYSCONFDIR/lnav/formats/connledger/connledger.json"

sed "s|/usr/bin/|$PREFIX/bin/|" packaging/systemd/connledger.service >"$made"
put 644 "$made" "$UNITDIR/connledger.service"
put 644 packaging/systemd/connledger.sysusers "$PREFIX/lib/sysusers.d/connledger.conf"
put 644 packaging/systemd/connledger.tmpfiles "$PREFIX/lib/tmpfiles.d/connledger.conf"
put 644 packaging/journald/connledger.catalog "$PREFIX/lib/systemd/catalog/connledger.catalog"

generate man "$share/man/man8/connledger.8"
generate man-config "$share/man/man5/connledger.toml.5"
generate bash "$share/bash-completion/completions/connledger"
generate zsh "$ZSHDIR/_connledger"
generate fish "$share/fish/vendor_completions.d/connledger.fish"

for file in schema/*.json; do
	put 644 "$file" "$share/connledger/$file"
done
put_all schema/examples "$share/connledger/schema/examples"
put 644 schema/CHANGES.md "$share/doc/connledger/schema-changes.md"
put 644 README.md "$share/doc/connledger/README.md"
put_all examples "$share/doc/connledger/examples"
if [ "${LICENSES-}" != no ]; then
	for file in LICENSE-* bpf/LICENSE-*; do
		put 644 "$file" "$share/licenses/connledger/${file##*/}"
	done
fi
