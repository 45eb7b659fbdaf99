#!/usr/bin/env bash
# Teach: what training gives, and that it is the same whatever the machine does
set -euo pipefail
slm=build/slm shared=${SLM_SHARED:-../shared}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
row() { printf "| %s | %s | \`%s\` |\n" "$1" "$2" "${3//|/\\|}"; }
field() { python3 -c "import json, sys; d = json.load(sys.stdin); print($1)"; }

# The shipped models, on texts that they have not learnt from.
python3 models/tales/prepare.py "$shared" "$work/tales" > "$work/log"
$slm perplexity -m models/tales.gguf -f "$work/tales/val.txt" -c 512 --json > "$work/tales.json"
row "tales: bits per byte on two books it has not seen (perplexity of its 2,048 pieces)" \
    "$(field '"%.3f (%.1f)" % (d["bits_per_byte"], d["perplexity"])' < "$work/tales.json")" "slm perplexity -m models/tales.gguf -f val.txt -c 512"
if [ -e models/desk.gguf ]; then
    python3 models/desk/prepare.py "$shared" "$work/desk" > "$work/log"
    python3 models/desk/score.py $slm models/desk.gguf "$work/desk" banking77 clinc150 snips | tail -n +2 > "$work/desk.tsv"
    while IFS=$'\t' read -r set accuracy oos f1 whole json; do
        row "desk, $set: intents in scope, %; out of scope found, %; F1 of slots; whole answer, %; JSON, %" "$accuracy; $oos; $f1; $whole; $json" "python3 models/desk/score.py slm models/desk.gguf DATA $set"
    done < "$work/desk.tsv"
fi

# Adapters on a real model: a new style, beside F32 and Q8_0.
story=$shared/data/models/stories260K.gguf
python3 - "$shared/data/text/tinyshakespeare.txt" > "$work/plays.jsonl" <<'PY'
import json, sys
speeches = open(sys.argv[1]).read().split("\n\n")[:1000]
for i in range(0, len(speeches), 5): print(json.dumps({"text": "\n\n".join(speeches[i:i + 5])}))
PY
$slm quantize "$story" "$work/q8.gguf" Q8_0 > /dev/null 2>&1
before=$(cksum < "$work/q8.gguf")
for base in "$story" "$work/q8.gguf"; do
    $slm finetune -m "$base" --data "$work/plays.jsonl" --ctx 128 --batch-tokens 1024 --steps 60 --lr 3e-3 --lora-r 8 --val-split 0.1 --eval-every 1 --eval-tokens 2048 --out "$work/lora" 2> /dev/null > /dev/null
    row "LoRA of rank 8, stories260K in $(basename "$base" .gguf | sed 's/stories260K/F32/'), learns plays: loss on held-out texts, first step and last" \
        "$(python3 -c "import json, sys; e = [d['eval_loss'] for d in map(json.loads, open(sys.argv[1])) if 'eval_loss' in d]; print('%.3f, %.3f (%.0f %% less)' % (e[0], e[-1], 100 * (1 - e[-1] / e[0])))" "$work/lora/log.jsonl")" \
        "slm finetune -m stories260K.gguf --data plays.jsonl --lora-r 8 --steps 60"
    rm -rf "$work/lora"
done
[ "$(cksum < "$work/q8.gguf")" = "$before" ]
row "merged and beside its base, four families: largest difference of a loss" "$(build/tests/test_train_adapter 2> /dev/null | awk '/differ by/ {gsub(",", ""); if ($7 + 0 > w) w = $7 + 0} END {printf "%.1e", w}')" "build/tests/test_train_adapter"

row "an adapter run beside the model against the two merged, so many architectures: largest difference of a logit; the greedy text is the same" \
    "$(build/tests/test_golden_lora 2> /dev/null | awk '/differ by/ {gsub(",", ""); n++; if ($7 + 0 > w) w = $7 + 0} END {printf "%d: %.1e", n, w}')" "build/tests/test_golden_lora"

# The same whatever the machine does.
if command -v mpirun > /dev/null; then
    row "two and three processes, and two that go on where one stopped, against one: largest difference of a logged figure" \
        "$(bash tests/cli/ranks.sh "$PWD/$slm" "$PWD" | awk '/largest/ {if ($NF + 0 > w) w = $NF + 0} END {printf "%.1e", w}')" "bash tests/cli/ranks.sh build/slm ."
fi
tests() { ctest --test-dir build -R "$1" 2>&1 | awk '/tests passed/ {print}'; }
row "gradients against differences in double (each tensor < 1e-7), steps recorded from PyTorch (< 1e-4)" "$(tests '^train\.')" "ctest --test-dir build -R ^train"
row "threads, recomputing, kill -9 and resume, a full disk: the same bytes" "$(tests '^cli.teach')" "ctest --test-dir build -R cli.teach"
