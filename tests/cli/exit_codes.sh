#!/usr/bin/env bash
# One exit code for each kind of failure, one "error:" line, and never a silent success.
source "$(dirname "$0")/common.bash" "$@"
m=$models/llama.gguf

one_error() { [ "$(grep -c '^error: ' "$work/err")" = 1 ] || fail "not one error line: $(cat "$work/err")"; }

expect 0 tokenize -m "$m" hello
expect 1 tokenize -m "$work/none.gguf" hello
one_error
said 'No such file'
expect 3 inspect -m "$work"
said 'config.json is not there'
expect 2 run -m "$m" -p hello --temp -1
one_error
expect 2 run -m "$m" -p a -f b
expect 2 run -m "$m" -p a --raw --json --ids
expect 2 run -m "$m" -p a --raw --logit-bias 512=1
said '0 to 511'
expect 2 run -m "$m" -p a --raw --stop ''
head -c 1000 "$m" > "$work/cut.gguf"
expect 3 inspect -m "$work/cut.gguf"
one_error
said 'cut.gguf'
echo "not a model" > "$work/text.gguf"
expect 3 run -m "$work/text.gguf" -p hello --raw
one_error
expect 4 run -m "$m" -p hello --raw -c 2
said 'context of 2'
# A run that does not fit the memory is refused with numbers, and its plan can be seen; what fits depends on the machine.
got=0
"$slm" inspect -m "$m" --plan --json -c 16777216 --kv f32 --chunk 65536 > "$work/plan" 2> "$work/err" || got=$?
fits=$(json "$work/plan" 'd["plan"]["bytes_private"] <= d["plan"]["available_bytes"]')
[ "$fits" = True ] && want=0 || want=4
same $got $want "a plan, with fits: $fits"
[ "$fits" = True ] || said 'MiB'
SLM_CPU=z80 expect 2 run -m "$m" -p hello --raw
said 'SLM_CPU'

expect 2 detokenize -m "$m" '[1, 2'
said 'not JSON'
for ids in '[512]' '[-1]' '[1.5]' '["a"]' '{"x":[1]}' '7' '[[1]]' ''; do expect $([ -n "$ids" ] && [ "$ids" != 7 ] && echo 2 || { [ -z "$ids" ] && echo 2 || echo 1; }) detokenize -m "$m" "$ids"; done
expect 2 logits -m "$m" --tokens '[]' -o "$work/l.f32"
expect 1 logits -m "$m" --tokens '[1]' -o "$work/none/l.f32"
[ ! -e "$work/l.f32" ] || fail "a failed logits left a file"

# Standard output that fails: full, closed, a broken pipe.
for c in "help" "version" "completions bash" "doctor --no-measure" "inspect -m $m" "tokenize -m $m hi" "detokenize -m $m [300]" "run -m $m --raw -p hi -n 3" "run -m $m --raw -p hi -n 3 --json"; do
    got=0
    # shellcheck disable=SC2086
    "$slm" $c > /dev/full 2> "$work/err" || got=$?
    same $got 1 "slm $c > /dev/full"
    one_error
    said 'standard output'
    got=0
    # shellcheck disable=SC2086
    "$slm" $c >&- 2> "$work/err" || got=$?
    same $got 1 "slm $c with standard output closed"
    one_error
done
set +e
"$slm" run -m "$m" --raw -p hi -n -1 -c 20000 --ignore-eos 2> "$work/err" | head -c 5 > /dev/null
got=${PIPESTATUS[0]}
set -e
same "$got" 1 "slm run into a closed pipe"
said 'Broken pipe'
"$slm" logits -m "$m" --tokens '[1,2]' -o "$work/ok.f32" >&- || fail "logits needs no standard output"
same "$(stat -c %s "$work/ok.f32")" $((2 * 512 * 4)) "bytes of logits"
"$slm" version <&- > /dev/null || fail "version needs no standard input"
"$slm" version > /dev/null 2>&- || fail "version needs no standard error"
echo "exit codes as documented"
