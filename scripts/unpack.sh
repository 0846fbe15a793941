#!/bin/sh
# Unpacks a Debian package, with those libraries of its that are not installed, to target/consumers/PACKAGE, and
# installs nothing: two system loggers exclude each other, and a test must not replace the one that is there.
#
# usage: scripts/unpack.sh PACKAGE
set -eu
cd "$(dirname "$0")/.."
package=$1
place=target/consumers

mkdir -p "$place"
new=$(mktemp -d "$place/.new.XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 1' HUP INT TERM

# Otherwise apt warns that its own user cannot write here.
sandbox="-o APT::Sandbox::User=$(id -un)"
# shellcheck disable=SC2086 # two words
missing=$(apt-get -s $sandbox install --no-install-recommends "$package" | sed -n 's/^Inst \([^ ]*\).*/\1/p')
(
	cd "$new"
	# shellcheck disable=SC2046,SC2086 # words
	apt-get -q $sandbox download $(printf '%s\n' "$package" $missing | sort -u) >&2
	for file in *.deb; do
		dpkg-deb -x "$file" .
		rm "$file"
	done
)
rm -rf "${place:?}/$package"
mv "$new" "$place/$package"
