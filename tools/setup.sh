#!/bin/sh
# Install the Debian packages that building and testing need and that are not there yet. Quiet when none is missing.
# --dev: also what sanitizers and fuzzers need. --deb: also what makes a package. --arm64: also what cross-builds and their tests need. --libraries: only print the libraries.
set -eu
libraries="libjansson-dev libpcre2-dev libutf8proc-dev libedit-dev libcyaml-dev libyaml-dev libcurl4-openssl-dev libsqlite3-dev libevent-dev libssl-dev libcmocka-dev libopenblas0-pthread"
packages="make gcc libc6-dev cmake ninja-build pkg-config python3 openssl $libraries"
case "${1:-}" in
    --dev) packages="$packages clang libclang-rt-dev" ;;
    --arm64) packages="$packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user" ;;
    --deb) packages="$packages dpkg-dev" ;;
    --libraries) echo "$libraries"; exit 0 ;;
esac

if ! command -v dpkg-query > /dev/null 2>&1; then
    for tool in cc cmake ninja pkg-config python3; do
        command -v "$tool" > /dev/null 2>&1 || { echo "error: \"$tool\" is missing: this is no Debian system, install what these Debian packages hold: $packages" >&2; exit 1; }
    done
    exit 0
fi

missing=
for package in $packages; do
    case $(dpkg-query -W -f '${Status}' "$package" 2> /dev/null || true) in
        "install ok installed") ;;
        *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

root=
[ "$(id -u)" = 0 ] || root=sudo
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# Word splitting is wanted: one argument per package. A second try after an update serves a machine with old lists.
# shellcheck disable=SC2086
$root apt-get install -y -qq --no-install-recommends $missing > /dev/null 2>&1 || {
    $root apt-get update -qq > /dev/null
    $root apt-get install -y -qq --no-install-recommends $missing > /dev/null
}
