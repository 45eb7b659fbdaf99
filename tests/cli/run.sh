#!/usr/bin/env bash
# slm run on a committed random model: results do not depend on threads, chunks or the form of output; seeds; stops; input.
source "$(dirname "$0")/common.bash" "$@"
m=$models/llama.gguf
run() { "$slm" run -m "$m" --raw -p "Once upon a time there was a long prompt to cut in pieces" -c 512 "$@"; }

want=$(run -n 40 --seed 7 --ids)
[ "$(tr -cd , <<< "$want" | wc -c)" -gt 5 ] || fail "too few ids: $want"
for t in 1 2 3; do
    for chunk in 1 7 512; do same "$(run -n 40 --seed 7 --ids -t $t --chunk $chunk)" "$want" "-t $t --chunk $chunk"; done
done
[ "$(run -n 40 --seed 8 --ids)" != "$want" ] || fail "another seed gives the same"
run -n 40 --seed 7 --json > "$work/json"
same "$(json "$work/json" 'json.dumps(d["ids"], separators=(",", ":"))')" "$want" "ids in JSON"
same "$(json "$work/json" 'd["seed"]')" 7 "seed in JSON"
same "$(json "$work/json" 'd["n_generated"] == len(d["ids"]) and d["finish"] in ("length", "eos") and d["timings"]["decode_tps"] > 0')" True "JSON"
json "$work/json" 'd["text"]' > "$work/text"
run -n 40 --seed 7 > "$work/plain"
cmp "$work/text" "$work/plain" || fail "text differs between plain and JSON"

# Guesses change nothing, whoever makes them.
for how in "--speculate off" "--speculate ngram" "--draft $m" "--draft $m --draft-n 3" "--draft $m --speculate ngram"; do
    same "$(run -n 40 --seed 7 --ids $how)" "$want" "$how"
    same "$(run -n 40 --temp 0 --ids $how)" "$(run -n 40 --temp 0 --ids)" "$how, greedy"
done
run -n 60 --temp 0 --draft "$m" --ignore-eos --json > "$work/json"
same "$(json "$work/json" 'd["speculation"]["n_accepted"] == d["speculation"]["n_drafted"] > 0')" True "a model guesses itself"
run -n 5 --speculate draft 2> "$work/err" > /dev/null && fail "a draft without a model"
said 'no draft model'
for kv in f16 f32 q8 q4; do same "$(run -n 20 --seed 7 --ids --kv $kv -t 3 --chunk 5)" "$(run -n 20 --seed 7 --ids --kv $kv)" "--kv $kv"; done

# A random seed is told, and repeats the text.
run -n 20 --json > "$work/json"
seed=$(json "$work/json" 'd["seed"]')
same "$(run -n 20 --seed "$seed" --ids)" "$(json "$work/json" 'json.dumps(d["ids"], separators=(",", ":"))')" "the told seed"
run -n 20 -v 2> "$work/err" > /dev/null
said 'tokens/s'
said 'seed [0-9]'
run -n 20 2> "$work/err" > /dev/null
[ ! -s "$work/err" ] || fail "talk without a terminal: $(cat "$work/err")"

# Where the prompt comes from.
printf 'Once upon' > "$work/prompt"
want=$("$slm" run -m "$m" --raw -n 8 --temp 0 --ids -p 'Once upon')
same "$("$slm" run -m "$m" --raw -n 8 --temp 0 --ids -f "$work/prompt")" "$want" "-f"
same "$("$slm" run -m "$m" --raw -n 8 --temp 0 --ids < "$work/prompt")" "$want" "a pipe"
same "$("$slm" run -m "$m" --raw -n 8 --temp 0 --ids -f - < "$work/prompt")" "$want" "-f -"
same "$("$slm" run -m "$m" --raw -n 0 --ids -p hi)" "[]" "-n 0"
"$slm" run -m "$m" --raw -n 4 --ids -p '' > /dev/null || fail "an empty prompt after the first token of a text"

# A bias wins, a ban holds, a stop string ends.
same "$(run -n 3 --temp 0 --ignore-eos --logit-bias 300=1000 --ids)" "[300,300,300]" "--logit-bias"
first=$(run -n 1 --temp 0 --ids | tr -d '[]')
[ "$(run -n 1 --temp 0 --ids --logit-bias "$first=-inf" | tr -d '[]')" != "$first" ] || fail "a banned token came"
piece=$("$slm" detokenize -m "$m" '[5,300]' | tail -c 1)
run -n 5 --temp 0 --ignore-eos --logit-bias 300=1000 --stop "$piece" --json > "$work/json"
same "$(json "$work/json" 'd["finish"]')" stop "--stop $piece"
run -n -1 -c 128 --ignore-eos --json > "$work/json"
same "$(json "$work/json" 'd["finish"]')" context "a full context"

# A model without a template says so, once; --raw does not.
expect 0 run -m "$m" -p hi -n 2
same "$(grep -c 'no chat template' "$work/err")" 1 "note of a missing template"
expect 0 run -m "$m" -p hi -n 2 --raw
[ ! -s "$work/err" ] || fail "talk with --raw: $(cat "$work/err")"

run -n 2 --trace 2> "$work/err" > /dev/null
said 'forward'
SLM_TRACE=$work/trace run -n 2 > /dev/null
python3 -c 'import json, sys; [json.loads(l) for l in open(sys.argv[1])]' "$work/trace" || fail "the trace file is no JSON"
# A template that opens the reasoning: until the model closes it, nothing is the answer. --raw tells nothing apart.
python3 "$root/tests/cli/add_template.py" "$m" "$work/think.gguf" "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]<think>
"
think() { "$slm" run -m "$work/think.gguf" -p hi -n 8 --seed 3 --ignore-eos -t 1 "$@"; }
think > "$work/out" 2> "$work/err"
same "$(cat "$work/out")" "" "what is reasoning, on standard output"
think --json > "$work/json" 2> /dev/null
same "$(json "$work/json" 'd["text"] == "" and len(d["reasoning"]) > 0 and "tool_calls" not in d')" True "reasoning in JSON"
same "$(json "$work/json" 'd["reasoning"]')" "$(cat "$work/err")" "reasoning on standard error"
think --raw --json > "$work/json" 2> /dev/null
same "$(json "$work/json" 'len(d["text"]) > 0 and "reasoning" not in d')" True "--raw"
echo "run: same ids at any thread count and chunk"
