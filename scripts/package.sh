#!/bin/sh
# Makes the .deb or the .rpm in target/package/, each with its distribution's own tools, around one binary
# (scripts/package-binary.sh) and one list of files (scripts/install.sh). The same source gives the same bytes.
#
# packaging/deb is what Debian calls debian/. Copied to that name in a source tree it works as it is, but for the
# changelog, which is written here. packaging/rpm/connledger.spec takes what varies as macros, from here too.
#
# RELEASE numbers the packages of one version of connledger: 1 if not given. SOURCE_DATE_EPOCH is the date of the
# last commit if not given, and without git that of CHANGELOG.md.
#
# usage: scripts/package.sh deb|rpm
set -eu
cd "$(dirname "$0")/.."
project=$(pwd -P)
place=$project/target/package
maintainer=$(sed -n 's/^Maintainer: //p' packaging/deb/control)

: "${RELEASE:=1}"
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md)}"
export SOURCE_DATE_EPOCH
# 1.2.0-rc.1 comes before 1.2.0: both formats write that with a tilde.
version=$(cargo pkgid --locked | sed 's/.*[#@]//; s/-/~/')

date_as() { LC_ALL=C date --utc --date="@$SOURCE_DATE_EPOCH" "+$1"; }

# quietly LOG COMMAND...: what the tools say is of interest if they fail
quietly() {
	log=$1
	shift
	"$@" >"$log" 2>&1 || {
		cat "$log" >&2
		exit 1
	}
}

deb() {
	rm -rf "$place/deb" "$place"/*.deb
	mkdir -p "$place/deb"
	cp -R packaging/deb "$place/deb/debian"
	cat >"$place/deb/debian/changelog" <<-END
		connledger ($version-$RELEASE) unstable; urgency=medium

		  * Version $version of connledger; what is new in it stands in changelog.gz.

		 -- $maintainer  $(date_as '%a, %d %b %Y %T +0000')
	END
	cd "$place/deb"
	# The tools to build with are looked for by scripts/install-deps.sh: Rust need not be Debian's.
	SOURCE=$project quietly build.log \
		dpkg-buildpackage --build=binary --unsigned-changes --no-pre-clean --no-check-builddeps
	rm "$place"/*.buildinfo "$place"/*.changes
	made=$(echo "$place"/*.deb)
	first="apt install $made"
}

rpm() {
	rm -rf "$place/rpm" "$place"/*.rpm
	mkdir -p "$place/rpm"
	{
		cat packaging/rpm/connledger.spec
		echo "* $(date_as '%a %b %d %Y') $maintainer - $version-$RELEASE"
		echo "- Version $version of connledger; what is new in it stands in CHANGELOG.md."
	} >"$place/rpm/connledger.spec"
	quietly "$place/rpm/build.log" rpmbuild -bb --define "_topdir $place/rpm" --define "_rpmdir $place" \
		--define "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm" \
		--define "source $project" --define "upstream_version $version" --define "package_release $RELEASE" \
		"$place/rpm/connledger.spec"
	made=$(echo "$place"/*.rpm)
	first="dnf install $made"
}

case ${1-} in
deb | rpm) "$1" ;;
*)
	echo "usage: scripts/package.sh deb|rpm" >&2
	exit 2
	;;
esac
cat <<END
$made
To install it, and to start it:
    sudo $first
    sudo systemctl enable --now connledger
END
