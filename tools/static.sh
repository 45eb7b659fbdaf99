#!/bin/sh
# static.sh: can slm be linked statically with this C library? Each library that it needs is tried alone; the first line of what fails is said.
# CC=musl-gcc asks the same of musl.
set -u
CC=${CC:-cc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo 'int main(void) { return 0; }' > "$work/x.c"
$CC -static -o "$work/x" "$work/x.c" 2> "$work/err" || { echo "error: static: $CC links no static program: $(head -1 "$work/err")" >&2; exit 1; }
missing=
for lib in jansson libpcre2-8 libutf8proc libedit libcyaml libcurl sqlite3 libevent openssl; do
    flags=$(pkg-config --static --libs "$lib") || { missing="$missing $lib"; continue; }
    if $CC -static -o "$work/x" "$work/x.c" $flags 2> "$work/err"; then echo "$lib: static"
    else
        missing="$missing $lib"
        echo "$lib: not static: $(grep -o 'cannot find [^ :]*' "$work/err" | sort -u | tr '\n' ' ')"
    fi
done
[ -z "$missing" ] && { echo "all libraries link statically: cmake --preset release -DCMAKE_EXE_LINKER_FLAGS=-static"; exit 0; }
echo "error: static: no static form of$missing on this system" >&2
echo "hint: Debian's libcurl needs Kerberos, which Debian has as a shared library only; a libcurl built with OpenSSL and nothing else links" >&2
exit 1
