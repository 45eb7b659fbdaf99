#!/usr/bin/env bash
# Installing into a staging folder: program, header, library, manual pages, completions; and the installed library links.
source "$(dirname "$0")/common.bash" "$@"
build=$(dirname "$slm")
DESTDIR=$work/stage cmake --install "$build" --prefix /opt/slm > "$work/log" || fail "$(cat "$work/log")"
at=$work/stage/opt/slm
[ -x "$at/bin/slm" ] || fail "no program"
same "$("$at/bin/slm" version)" "$("$slm" version)" "installed program"
[ -s "$at/include/slm/slm.h" ] || fail "no header"
find "$at" -name libslm.a | grep -q . || fail "no library"
for c in "" -run -bench; do [ -s "$at/share/man/man1/slm$c.1" ] || fail "no manual page slm$c.1"; done
[ -s "$at/share/bash-completion/completions/slm" ] && [ -s "$at/share/zsh/site-functions/_slm" ] && [ -s "$at/share/fish/vendor_completions.d/slm.fish" ] ||
    fail "no completions"
for m in "$root"/models/*.gguf; do [ ! -e "$m" ] || cmp "$m" "$at/share/slm/models/$(basename "$m")" || fail "no $(basename "$m")"; done
if [ -e "$root/models/tales.gguf" ]; then
    [ -n "$(HOME=$work "$at/bin/slm" run "Once upon a time" -n 20)" ] || fail "the installed program tells nothing"
fi
grep -q '^ExecStart=/opt/slm/bin/slm serve' "$at/lib/systemd/system/slm.service" && [ -s "$at/lib/systemd/system/slm.socket" ] || fail "no systemd units that name the program"
[ ! -e /opt/slm/bin/slm ] || fail "DESTDIR was not respected"
if command -v man > /dev/null; then
    MANPAGER=cat MANWIDTH=80 man -l --warnings "$at/share/man/man1/slm-run.1" > "$work/page" 2> "$work/err" || fail "man: $(cat "$work/err")"
    same "$(cat "$work/err")" "" "warnings of man"
fi
echo "installed: $(find "$at" -type f | wc -l) files"

# The same as a Debian package, where the tools for one are there.
if command -v dpkg-shlibdeps > /dev/null && [ "$("$slm" version | awk '{print $2; exit}')" ]; then
    sh "$root/tools/deb.sh" "$build" "$work/deb" > "$work/name" || fail "no package"
    dpkg-deb --contents "$(cat "$work/name")" | awk '{print $6}' > "$work/files"
    for f in usr/bin/slm usr/share/man/man1/slm-run.1.gz usr/lib/systemd/system/slm.service usr/share/bash-completion/completions/slm; do
        grep -q "^./$f\$" "$work/files" || fail "the package lacks $f"
    done
    dpkg-deb --field "$(cat "$work/name")" Depends | grep -q 'libc6.*libcurl4' || fail "the package says not what it needs"
fi
