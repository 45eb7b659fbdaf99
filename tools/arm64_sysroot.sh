#!/bin/sh
# Make DIR an arm64 root with the libraries that slm links to, from the same Debian as this machine; nothing of the machine
# itself is changed, and root is not needed. The cross compiler links against it, qemu-aarch64 runs programs in it.
#   tools/arm64_sysroot.sh DIR
# The system's package lists are not used: they need not know arm64. A finished DIR is left as it is.
set -eu
packages="libc6-dev libjansson-dev libpcre2-dev libutf8proc-dev libedit-dev libcmocka-dev"

[ $# = 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
stamp="$1/.packages"
[ "$(cat "$stamp" 2> /dev/null || true)" = "$packages" ] && exit 0
for tool in apt-get dpkg-deb; do
    command -v $tool > /dev/null 2>&1 || { echo "error: \"$tool\" is missing: an arm64 root is made on Debian only" >&2; exit 1; }
done
mkdir -p "$1"
root=$(cd "$1" && pwd)

# An apt of its own: lists, cache, and a status file in which nothing is installed, so that it fetches all that is depended on.
apt="$root/.apt"
mkdir -p "$apt/lists/partial" "$apt/archives/partial"
: > "$apt/status"
set -- -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt" \
    -o Dir::Cache::archives="$apt/archives" -o Dir::State::status="$apt/status" -o Debug::NoLocking=1 -o APT::Sandbox::User=
# Other vendors' lists may not have arm64; Debian's own are enough.
apt-get "$@" update > /dev/null 2>&1 || true
# Word splitting is wanted: one argument per package.
# shellcheck disable=SC2086
apt-get "$@" install -y --download-only --no-install-recommends $packages > /dev/null
for file in "$apt"/archives/*.deb; do dpkg-deb -x "$file" "$root"; done
# Absolute links would lead into the machine's own root.
find "$root" -type l -lname '/*' | while read -r link; do ln -sfn "$root$(readlink "$link")" "$link"; done
rm -rf "$apt"
echo "$packages" > "$stamp"
