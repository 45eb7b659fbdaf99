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

# They are listed and shown as what they are; the store can do nothing about them, until it has one of that name itself.
expect 0 list
same "$(awk '{print $1, $4, $5, $6}' "$work/out")" $'other comes with slm\ntales comes with slm' "the list"
expect 0 list --json
same "$(json "$work/out" '[(m["name"], m["shipped"], m["bytes"] > 0) for m in d["models"]]')" "[('other', True, True), ('tales', True, True)]" "the list as JSON"
expect 0 show tales
grep -q "comes with slm" "$work/out" || fail "slm show tales"
expect 0 show tales --json
same "$(json "$work/out" 'd["path"]')" "$work/shipped/tales.gguf" "where it lies"
expect 2 rm tales
said 'model "tales": comes with slm'
expect 2 cp tales mine
said 'comes with slm'
expect 0 show tales --modelfile
cp "$work/out" "$work/Modelfile"
expect 0 create tales -f "$work/Modelfile"
expect 0 list --json
same "$(json "$work/out" '[(m["name"], m["shipped"]) for m in d["models"]]')" "[('tales:latest', False), ('other', True), ('tales', True)]" "both"
expect 0 rm tales
[ -e "$work/shipped/tales.gguf" ] || fail "what comes with slm was removed"
expect 2 rm tales
rm -rf "$work/store"

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
