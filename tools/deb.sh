#!/bin/sh
# deb.sh BUILD_DIR OUT_DIR: what `make install` installs, as a Debian package: program, models, manual pages, completions, systemd units. The
# library and its header stay out. What it depends on is read off the program (dpkg-shlibdeps).
set -eu
build=$1 out=$2
command -v dpkg-shlibdeps > /dev/null || { echo 'error: dpkg-shlibdeps: is not there' >&2; echo 'hint: apt-get install dpkg-dev' >&2; exit 1; }
version=$("$build/slm" version | awk '{print $2; exit}')
arch=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stage=$work/stage
DESTDIR=$stage cmake --install "$build" --prefix /usr > "$work/log" || { cat "$work/log" >&2; exit 1; }
rm -rf "$stage/usr/include" "$stage"/usr/lib/*/libslm.a "$stage/usr/lib/libslm.a"
find "$stage/usr/lib" -mindepth 1 -type d -empty -delete 2> /dev/null || true
strip "$stage/usr/bin/slm"
find "$stage/usr/share/man" -name '*.1' -exec gzip -9n {} +
mkdir -p "$work/debian" "$stage/DEBIAN" "$stage/usr/share/doc/slm"
: > "$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O "$stage/usr/bin/slm" 2> "$work/log" | sed 's/^shlibs:Depends=//')
[ -n "$depends" ] || { cat "$work/log" >&2; exit 1; }
cat > "$stage/DEBIAN/control" <<CONTROL
Package: slm
Version: $version
Architecture: $arch
Maintainer: slm <slm@localhost>
Installed-Size: $(du -sk "$stage/usr" | cut -f1)
Depends: $depends
Recommends: ca-certificates
Section: science
Priority: optional
Description: run, serve, shrink and teach small language models
 One program for language models of about 1 to 15 billion parameters: local
 chat, an HTTP server with the APIs of OpenAI, Anthropic, Ollama and llama.cpp,
 quantizing, training, and pulling models by name.
CONTROL
cat > "$stage/DEBIAN/postinst" <<'POST'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
POST
cp "$stage/DEBIAN/postinst" "$stage/DEBIAN/postrm"
chmod 755 "$stage/DEBIAN/postinst" "$stage/DEBIAN/postrm"
mkdir -p "$out"
dpkg-deb --root-owner-group --build "$stage" "$out/slm_${version}_$arch.deb" > /dev/null
echo "$out/slm_${version}_$arch.deb"
