#!/usr/bin/env bash
# Help and topics, manual pages, completion scripts.
source "$(dirname "$0")/common.bash" "$@"

expect 0
grep -q 'slm run "Once upon a time"' "$work/out" || fail "slm alone shows no example"
expect 0 --version
same "$(cat "$work/out")" "$("$slm" version)" "slm --version"
expect 0 help
commands=$(awk '/^  [a-z]/ && !/environment|exit-codes/ {print $1}' "$work/out")
[ "$(wc -w <<< "$commands")" -ge 10 ] || fail "too few commands: $commands"
expect 0 help environment
for name in SLM_CPU SLM_TRACE NO_COLOR; do grep -q "$name" "$work/out" || fail "no $name in help environment"; done
expect 0 help exit-codes
for code in 0 1 2 3 4 5 6 7 130; do grep -qE "^ +$code " "$work/out" || fail "no $code in help exit-codes"; done
expect 2 help rnu
said 'did you mean "slm help run"'
expect 2 rnu
said 'did you mean "slm run"'
expect 2 tokenize --modle x
said 'did you mean "--model"'

mkdir "$work/man"
expect 0 help --man "$work/man"
[ -s "$work/man/slm.1" ] || fail "no slm.1"
for c in $commands; do
    page=$work/man/slm-$c.1
    [ -s "$page" ] || fail "no manual page of $c"
    same "$("$slm" help "$c")" "$("$slm" "$c" --help)" "slm help $c"
    # the manual's synopsis is the usage line of the help
    usage=$("$slm" "$c" -h | sed -n 's/^usage: //p')
    synopsis=$(sed -n '/^\.SH SYNOPSIS/{n;p}' "$page" | sed 's/\\-/-/g')
    same "$synopsis" "$usage" "synopsis of $c"
    # and both list the same options
    in_help=$("$slm" "$c" --help | grep -oE '^ +(-[a-z], |    )--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u)
    in_man=$(sed 's/\\-/-/g' "$page" | grep -oE '^\\fB(-[a-z]\\fR, \\fB)?--[a-z-]+' | grep -oE -- '--[a-z-]+' | sort -u)
    same "$in_man" "$in_help" "options of $c in manual and help"
done
expect 1 help --man "$work/not-there"
said 'not-there'
if command -v groff > /dev/null; then
    for page in "$work"/man/*.1; do
        warnings=$(groff -man -ww -Tascii -P-cbou "$page" 2>&1 > "$work/page")
        same "$warnings" "" "groff on $page"
        grep -q "SYNOPSIS" "$work/page" || fail "$page renders empty"
    done
fi

for shell in bash zsh fish; do
    expect 0 completions $shell
    cp "$work/out" "$work/complete.$shell"
    command -v $shell > /dev/null || continue
    $shell -n "$work/complete.$shell" || fail "$shell does not parse its completions"
done
complete_words() { # the words that bash offers after "slm $*"
    bash -c 'source "$1"; shift; COMP_WORDS=(slm "$@"); COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 )); _slm; echo "${COMPREPLY[*]}"' - "$work/complete.bash" "$@"
}
same "$(complete_words det)" "detokenize" "completion of det"
same "$(complete_words run --kv '')" "auto f16 q8 q4 f32" "completion of --kv"
same "$(complete_words run --top-)" "--top-k --top-p" "completion of --top-"
same "$(complete_words completions z)" "zsh" "completion of a shell"
same "$(complete_words help exit)" "exit-codes" "completion of a topic"
echo "help, manual and completions agree for: $commands" | tr '\n' ' '
