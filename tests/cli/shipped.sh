#!/usr/bin/env bash
# The models that come with the program: by name, and without one for slm run; nothing is fetched, nothing else on the machine is asked.
source "$(dirname "$0")/common.bash" "$@"
export SLM_STORE=$work/store HOME=$work
mkdir "$work/shipped" "$work/empty"
cp "$models/llama.gguf" "$work/shipped/tales.gguf"
cp "$models/llama-tied.gguf" "$work/shipped/other.gguf"
p="Once upon a time"

# The same text whether the model has a name, a path or neither, and however the prompt is given.
export SLM_MODELS=$work/shipped
want=$("$slm" run -m "$work/shipped/tales.gguf" --raw -n 20 --seed 7 --ids -p "$p")
for how in "-p|$p" "$p" "tales|$p" "-m|tales|-p|$p" "-m|tales|$p"; do
    IFS='|' read -ra words <<< "$how"
    same "$("$slm" run --raw -n 20 --seed 7 --ids "${words[@]}")" "$want" "$how"
done
same "$(printf %s "$p" | "$slm" run --raw -n 20 --seed 7 --ids)" "$want" "a prompt from a pipe"
[ "$("$slm" run other --raw -n 20 --seed 7 --ids -p "$p")" != "$want" ] || fail "a name gives the other model"
same "$("$slm" tokenize -m tales --json "$p" 2>&1)" "$("$slm" tokenize -m "$work/shipped/tales.gguf" --json "$p" 2>&1)" "another command"
[ ! -e "$work/store" ] || fail "the store was made"

# A file of that name comes first; a word that is a file is a model, whatever its name.
mkdir "$work/here" && cd "$work/here"
cp "$models/llama-tied.gguf" tales
cp "$models/llama.gguf" "a model.gguf"
[ "$("$slm" run tales --raw -n 20 --seed 7 --ids -p "$p")" != "$want" ] || fail "a file is not taken"
same "$("$slm" run "a model.gguf" --raw -n 20 --seed 7 --ids -p "$p")" "$want" "a file with a space in its name"

# Not there: said, and nothing is fetched.
export SLM_MODELS=$work/empty
expect 2 run "$p"
said 'is missing, and the model that comes with slm is not beside the program'
expect 2 run -m other.gguf "$work/here/tales" "$p"
said 'names the model already'

# Beside the program, as it is built and as it is installed.
unset SLM_MODELS
place() { mkdir -p "$work/$1" "$work/$2" && cp "$slm" "$work/$1/slm" && cp "$models/llama.gguf" "$work/$2/tales.gguf"; }
if [ "$(head -c 2 "$slm")" != '#!' ]; then # not through an emulator's script
    place prefix/bin prefix/share/slm/models
    place one one/models
    for at in prefix/bin one; do same "$("$work/$at/slm" run "$p" --raw -n 20 --seed 7 --ids)" "$want" "$at"; done
    if [ -e "$root/models/tales.gguf" ]; then
        expect 0 run "$p" -n 40 --seed 1
        same "$(cat "$work/err")" "" "talk beside the text"
        [ "$(wc -w < "$work/out")" -gt 15 ] || fail "tales tells little: $(cat "$work/out")"
    fi
fi
