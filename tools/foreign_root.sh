#!/bin/sh
# Make DIR the root of a Debian of another architecture (arm64), with the libraries that slm links to, from the same release as this machine. Nothing of the
# machine itself changes and root is not needed. The cross compiler takes headers and libraries from it, qemu-<arch> runs programs in it.
#   tools/foreign_root.sh ARCH DIR
# A DIR that has them already is left as it is.
set -eu
[ $# = 2 ] || { echo "usage: $0 ARCH DIR" >&2; exit 2; }
arch=$1
packages="libc6-dev $(sh "$(dirname "$0")/setup.sh" --libraries)"
stamp="$2/.packages"
[ "$(cat "$stamp" 2> /dev/null || true)" = "$arch $packages" ] && exit 0
for tool in apt-get dpkg-deb; do
    command -v $tool > /dev/null 2>&1 || { echo "error: \"$tool\" is missing: such a root is made on Debian only" >&2; exit 1; }
done
mkdir -p "$2"
root=$(cd "$2" && pwd)

# An apt of its own: lists, cache, and a status file in which nothing is installed, so that it fetches all that is depended on.
apt="$root/.apt"
mkdir -p "$apt/lists/partial" "$apt/archives/partial"
: > "$apt/status"
set -- -qq -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt" \
    -o Dir::Cache::archives="$apt/archives" -o Dir::State::status="$apt/status" -o Debug::NoLocking=1 -o APT::Sandbox::User=
# Other vendors' lists may not have the architecture; what is missing from Debian's own shows in the next step.
apt-get "$@" update > "$apt/log" 2>&1 || true
# Word splitting is wanted: one argument per package.
# shellcheck disable=SC2086
apt-get "$@" install -y --download-only --no-install-recommends $packages >> "$apt/log" 2>&1 || {
    cat "$apt/log" >&2
    echo "error: packages of $arch: cannot be fetched" >&2
    exit 1
}
for file in "$apt"/archives/*.deb; do dpkg-deb -x "$file" "$root"; done
# Absolute links would lead into the machine's own root.
find "$root" -type l -lname '/*' | while read -r link; do ln -sfn "$root$(readlink "$link")" "$link"; done
rm -rf "$apt"
echo "$arch $packages" > "$stamp"
