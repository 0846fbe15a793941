#!/bin/sh
# Installs the programs of tests/readers/requirements.txt from PyPI into target/python, and says so. If they are
# there it does nothing, says nothing, and needs no network.
#
# usage: scripts/python-env.sh
set -eu
cd "$(dirname "$0")/.."
wanted=tests/readers/requirements.txt
env=target/python

# The copy is made last: it says that all of it was installed.
if cmp -s "$wanted" "$env/requirements.txt"; then
	exit 0
fi
echo "python-env: installing from PyPI into $env:" "$(sed -n 's/==.*//p' "$wanted" | tr '\n' ' ')" >&2
rm -rf "$env"
mkdir -p target
python3 -m venv "$env"
"$env/bin/pip" --quiet --disable-pip-version-check install --requirement "$wanted"
cp "$wanted" "$env/"
