#!/usr/bin/env bash
# Text to ids and back, for two small vocabularies made here and, when they are there, real ones.
source "$(dirname "$0")/common.bash" "$@"

texts=("Hello world" "  two  spaces " $'lines\nand\ttabs\n' "-5 degrees" "naïve café, 日本語, 👩‍🚀" "<s> </s> <unk>" "\"quotes\" and \\backslashes\\" "x")
round_trip() { # FILE IS_SMALL: every form of input for the small ones, one for the large ones
    local m=$1 is_small=$2 text
    for text in "${texts[@]}"; do
        printf %s "$text" > "$work/in"
        "$slm" tokenize -m "$m" --no-special --json -f "$work/in" > "$work/ids"
        "$slm" detokenize -m "$m" - < "$work/ids" > "$work/back"
        cmp -s "$work/in" "$work/back" || fail "$m: \"$text\" came back as \"$(cat "$work/back")\""
        [ "$is_small" = yes ] || continue
        same "$("$slm" tokenize -m "$m" --no-special --json -- "$text")" "$(cat "$work/ids")" "argument and file"
        same "$("$slm" tokenize -m "$m" --no-special --json < "$work/in")" "$(cat "$work/ids")" "pipe and file"
        same "$("$slm" detokenize -m "$m" "$work/ids" --json | python3 -c 'import json, sys; sys.stdout.write(json.load(sys.stdin)["text"] + ".")')" "$text." "JSON"
    done
}
python3 "$root/tests/cli/make_vocab.py" "$work"
n=0
for m in "$work"/spm.gguf "$work"/bpe.gguf "${SLM_SHARED:-$root/../shared}"/data/vocab/{llama-spm,llama-bpe,qwen2,gpt-2,phi-3}.gguf; do
    [ -r "$m" ] || continue
    round_trip "$m" "$([ "$n" -lt 2 ] && echo yes || echo no)"
    n=$((n + 1))
done

m=$work/spm.gguf
expect 0 tokenize -m "$m" --bos --json -- ""
same "$(cat "$work/out")" '{"ids":[1]}' "--bos alone"
expect 0 tokenize -m "$m" --json -- ""
same "$(cat "$work/out")" '{"ids":[]}' "an empty text"
expect 0 tokenize -m "$m" --json "<s>"
same "$(cat "$work/out")" '{"ids":[1]}' "a special token"
expect 0 tokenize -m "$m" "a<s>"
same "$(cat "$work/out")" "$("$slm" tokenize -m "$m" --json "a<s>")" "JSON to a file, asked for or not"
printf 'a\x00b' | "$slm" tokenize -m "$m" --json > "$work/ids" || fail "a NUL byte"
same "$("$slm" detokenize -m "$m" - < "$work/ids" | od -An -tx1 | tr -d ' \n')" "610062" "a NUL byte"
head -c 3000 /dev/urandom | "$slm" tokenize -m "$m" --json > /dev/null || fail "arbitrary bytes"
echo "$n vocabularies: every text came back"
