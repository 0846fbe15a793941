#!/bin/sh
# Makes a small Debian with systemd in target/roots/debian: what a package is installed into, and what boots in a
# container to run the service. Nobody writes to it: whoever uses it lays a file system of its own over it.
#
# The suite and its mirror are those of this machine. Made once, and anew when the list of its packages changes.
#
# usage: scripts/debian-root.sh, as root
set -eu
cd "$(dirname "$0")/.."
place=target/roots/debian
mkdir -p target/roots
# Several tests may ask for it at once.
exec 9>target/roots/.lock
flock 9
# What is there on any server of Debian's, and what connledger's package depends on; and rpm, for the other package.
include=systemd,systemd-sysv,dbus,logrotate,libelf1,zlib1g,rpm
[ ! -d "$place" ] || [ "$(cat "$place.packages" 2>/dev/null)" != "$include" ] || exit 0

# Of all that apt knows, where Debian itself comes from.
# shellcheck disable=SC2016 # apt expands them
origin=$(apt-get indextargets --format '$(SITE) $(CODENAME)' 'Created-By: Packages' 'Origin: Debian' \
	'Label: Debian' | grep -v -e - | head -n 1)
[ -n "$origin" ] || {
	echo "debian-root: apt names no mirror of Debian" >&2
	exit 1
}

new=$(mktemp -d target/roots/.new.XXXXXX)
# debootstrap mounts /proc in there, and may have left it.
trap 'rm -rf --one-file-system "$new"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$new"
debootstrap --variant=minbase --include="$include" "${origin#* }" "$new" "${origin% *}" >"$new.log" 2>&1 || {
	tail -n 20 "$new.log" >&2
	echo "debian-root: debootstrap failed" >&2
	exit 1
}
rm -rf "$new.log" "$new"/var/cache/apt/archives/*.deb
# Names of the machine that made it have no place in it.
rm -f "$new/etc/resolv.conf"
: >"$new/etc/machine-id"
echo connledger-test >"$new/etc/hostname"
rm -rf --one-file-system "$place"
mv "$new" "$place"
echo "$include" >"$place.packages"
