#!/usr/bin/env bash
# slm run --schema, --regex, --grammar, --choice: a random model answers as it must, at any limit that the shortest answer fits.
source "$(dirname "$0")/common.bash" "$@"
m=$models/llama.gguf
run() { "$slm" run -m "$m" --raw -p "Once" -c 512 "$@" 2> "$work/err"; }
parses() { python3 -c 'import json, sys; d = json.loads(sys.stdin.read()); sys.exit(0 if eval(sys.argv[1]) else 1)' "$1" || fail "not so: $1"; }

cat > "$work/person.json" <<'JSON'
{"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
 "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3}}, "required": ["name", "age"], "additionalProperties": false}
JSON
for seed in 1 2 3 4 5; do
    for n in 19 20 25 40 200; do
        run --schema "$work/person.json" -n $n --seed $seed | parses 'set(d) <= {"name", "age", "tags"} and 0 <= d["age"] <= 150 and isinstance(d["name"], str)'
    done
done
expect 4 run -m "$m" --raw -p Once --schema "$work/person.json" -n 5
said 'shortest text that satisfies it has 19 tokens'
want=$(run --schema "$work/person.json" -n 60 --seed 9)
for t in 1 3; do same "$(run --schema "$work/person.json" -n 60 --seed 9 -t $t --chunk 3)" "$want" "-t $t"; done
same "$(run --schema "$work/person.json" -n 60 --seed 9 --speculate ngram)" "$want" "guesses"

run --schema '{"type": "array", "items": {"type": "integer"}, "uniqueItems": true, "minItems": 2, "maxItems": 2}' -n 60 --json > "$work/json" || true
same "$(json "$work/json" 'd["structure"]["unenforced"][0]["at"]')" "/uniqueItems" "what is only checked"
expect 1 run -m "$m" --raw -p Once -n 30 --schema '{"type": "array", "items": {"const": 1}, "uniqueItems": true, "minItems": 2}'
said 'uniqueItems'
said 'equal items'

for seed in 1 2 3; do
    run --regex '[a-z]{3,8}-\d{2}' -n 40 --seed $seed | grep -qE '^[a-z]{3,8}-[0-9]{2}$' || fail "--regex"
    run --choice yes --choice no -n 9 --seed $seed | grep -qE '^(yes|no)$' || fail "--choice"
    printf 'root ::= item ("," item){2}\nitem ::= [0-9]{1,3}' > "$work/list.gbnf"
    run --grammar "$work/list.gbnf" -n 30 --seed $seed | grep -qE '^[0-9]{1,3}(,[0-9]{1,3}){2}$' || fail "--grammar"
done
expect 2 run -m "$m" --raw -p Once --regex a --choice b
said 'only one can hold'
expect 3 run -m "$m" --raw -p Once --schema '{"type": "strnig"}'
said '"/type"'

# Rows of the matrices that stand for no piece are never drawn, held or free.
python3 "$root/tests/cli/cut_vocab.py" "$m" "$work/cut.gguf" 300
m=$work/cut.gguf
for seed in 1 2 3; do
    run --regex '[a-z]{3,8}-\d{2}' -n 40 --seed $seed | grep -qE '^[a-z]{3,8}-[0-9]{2}$' || fail "--regex, a padded vocabulary: $(cat "$work/err")"
    run --ids -n 200 --seed $seed --ignore-eos | python3 -c 'import json, sys; ids = json.load(sys.stdin); sys.exit(not (len(ids) == 200 and max(ids) < 300))' || fail "an id without a piece"
done
