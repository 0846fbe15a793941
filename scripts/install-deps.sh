#!/bin/sh
# Installs what is missing to build, test, lint, measure or package connledger, and says what it installs.
# If all is there it does nothing, says nothing, and needs neither network nor root.
#
# usage: scripts/install-deps.sh GROUP...   (build, test, lint, bench, deb, rpm)
set -eu
here=$(dirname "$0")

debian= # packages that are missing, by their names in Debian
fedora= # the same in Fedora: a hint
unpack= # packages of Debian that are unpacked, not installed (scripts/unpack.sh)

say() { echo "install-deps: $*" >&2; }

fail() {
	say "$*"
	exit 1
}

# need DEBIAN-PACKAGE FEDORA-PACKAGE COMMAND...: the command succeeds if it is there
need() {
	debian_name=$1 fedora_name=$2
	shift 2
	if ! "$@" >/dev/null 2>&1; then
		debian="$debian $debian_name"
		fedora="$fedora $fedora_name"
	fi
}

# need_unpacked DEBIAN-PACKAGE PROGRAM: where there is no apt-get, the tests say that they are skipped
need_unpacked() {
	[ -x "$here/../target/consumers/$1/$2" ] || ! program apt-get >/dev/null || unpack="$unpack $1"
}

program() { command -v "$1"; }

header() { echo "#include <$1>" | cc -E -; }

need_build() {
	rust=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$here/../Cargo.toml")
	program cargo >/dev/null ||
		fail "no cargo: install Rust $rust or newer. (If it is yours and root does not see it:" \
			"run make as yourself, it uses sudo where it must.)"
	found=$(rustc --version | cut -d ' ' -f 2)
	[ "$(printf '%s\n' "$rust" "$found" | sort -V | head -n 1)" = "$rust" ] ||
		fail "Rust $rust or newer is needed, and this is $found: https://rustup.rs has the newest"
	need gcc gcc program cc
	need libc6-dev glibc-devel header stdio.h
	need make make program make
	need pkg-config pkgconf-pkg-config program pkg-config
	need clang clang program clang
	need libelf-dev elfutils-libelf-devel header gelf.h
	need zlib1g-dev zlib-devel header zlib.h
}

need_test() {
	need jq jq program jq
	need iproute2 iproute program ip
	need nftables nftables program nft
	need lnav lnav program lnav
	need logrotate logrotate program logrotate
	# scripts/python-env.sh
	need python3-venv python3 python3 -c 'import ensurepip'
	need strace strace program strace
	need libcap2-bin libcap program setcap
	need systemd systemd program journalctl
	# A Debian to install the packages into, and to boot: scripts/debian-root.sh
	need debootstrap debootstrap program debootstrap
	need systemd-container systemd-container program systemd-nspawn
	# Runs the example's container as Kubernetes would: tests/container/
	need crun crun program crun
	need zsh zsh program zsh
	need fish fish program fish
	need man-db man-db program man
	need mandoc mandoc program mandoc
	need_guest
	# They look at the packages: tests/packages/
	need lintian lintian program lintian
	need rpmlint rpmlint program rpmlint
	need_unpacked rsyslog usr/sbin/rsyslogd
	need_unpacked syslog-ng-core usr/sbin/syslog-ng
}

# Debian's own kernel, and what runs it: tests/vm/
need_guest() {
	[ "$(uname -m)" = x86_64 ] && grep -qs '^ID=debian$' /etc/os-release || return 0
	need qemu-system-x86 qemu-system-x86 program qemu-system-x86_64
	need busybox-static busybox program busybox
	ls /boot/vmlinuz-*-cloud-amd64 >/dev/null 2>&1 || need_unpacked linux-image-cloud-amd64 boot
}

need_lint() {
	need clang-format clang-tools-extra program clang-format
	need shellcheck ShellCheck program shellcheck
	for component in rustfmt clippy; do
		cargo "${component#rust}" --version >/dev/null 2>&1 && continue
		program rustup >/dev/null || fail "no $component: install the one of your Rust toolchain"
		say "installing with rustup: $component"
		rustup component add "$component" >&2
	done
}

# What connledger is measured beside. PEERS=no does without.
need_bench() {
	need iproute2 iproute program ip
	[ "${PEERS-yes}" != no ] || return 0
	need libbpf-tools libbpf-tools program tcplife
	need bpftrace bpftrace program bpftrace
	need bpfcc-tools bcc-tools program tcplife-bpfcc
	need tcpdump tcpdump program tcpdump
}

# make deb: on Debian
need_deb() {
	need debhelper debhelper program dh
	need dpkg-dev dpkg-dev program dpkg-buildpackage
	need_licences
}

# make rpm: on Fedora, and on Debian
need_rpm() {
	need rpm rpm-build program rpmbuild
	need_licences
}

# scripts/third-party.sh
need_licences() { need jq jq program jq; }

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

apt() {
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 "$@" >&2
}

[ $# -gt 0 ] || fail "which of build, test, lint, bench, deb and rpm?"
for group; do
	case $group in
	build | test | lint | bench | deb | rpm) "need_$group" ;;
	*) fail "'$group' is none of build, test, lint, bench, deb and rpm" ;;
	esac
done
[ -n "$debian$unpack" ] || exit 0

program apt-get >/dev/null || fail "missing, as Debian calls it:$debian. With dnf: dnf install$fedora"
[ "$(id -u)" -eq 0 ] || program sudo >/dev/null ||
	fail "missing:$debian$unpack. There is no sudo; as root: scripts/install-deps.sh $*"

apt update || say "apt-get update failed; trying with the package lists that are there"
if [ -n "$debian" ]; then
	say "installing with apt:$debian"
	# shellcheck disable=SC2086 # a list of words
	apt install -y --no-install-recommends $debian || fail "apt-get could not install:$debian"
fi
for package in $unpack; do
	say "unpacking to target/consumers: $package"
	"$here/unpack.sh" "$package" || fail "could not unpack $package"
done
