#!/usr/bin/env bash
# slm train, finetune, merge: the same bytes for any threads, passes and recomputing, also after a kill; adapters beside any base.
source "$(dirname "$0")/common.bash" "$@"
python3 - "$work" <<'P'
import json, random, sys
random.seed(4)
def text(words, n): return [" ".join(random.choice(words) for _ in range(random.randint(5, 30))) + "." for _ in range(n)]
a = "the a small dog ran to its friend and said hello then they went home happy day sun tree".split()
b = "lo wherefore thou art gone unto my lord of night come hither speak no more sweet queen".split()
for name, words, n in (("a", a, 300), ("b", b, 200)):
    open(f"{sys.argv[1]}/{name}.jsonl", "w").write("".join(json.dumps({"text": t}) + "\n" for t in text(words, n)))
P
options=(--data "$work/a.jsonl" --arch d=64,L=2,H=4,KV=2,ff=160 --tokenizer new:320 --ctx 32 --batch-tokens 512 --steps 40 --lr 5e-3 --log-every 8 --save-every 9 --val-split 0.1)
figures() { python3 -c '
import json, sys
for line in open(sys.argv[1]):
    row = json.loads(line)
    print({k: v for k, v in row.items() if k not in ("seconds", "tokens_per_s")})' "$1"; }

# One result.
expect 0 train "${options[@]}" -t 1 --out "$work/one" --json
same "$(json "$work/out" 'd["steps"], d["loss"] < 3, d["eval_loss"] < 3')" "(40, True, True)" "it learns"
expect 0 train "${options[@]}" -t 3 --out "$work/three"
cmp "$work/one/model.gguf" "$work/three/model.gguf" || fail "threads change bytes"
expect 0 train "${options[@]}" --recompute 3 --out "$work/again"
cmp "$work/one/model.gguf" "$work/again/model.gguf" || fail "recomputing changes bytes"
cmp <(figures "$work/one/log.jsonl") <(figures "$work/three/log.jsonl") || fail "threads change the log"

# Killed, and resumed twice: the same bytes, the same log.
"$slm" train "${options[@]}" --out "$work/killed" > /dev/null 2>&1 & pid=$!
for _ in $(seq 2000); do [ -e "$work/killed/checkpoint.slm" ] && break; sleep 0.01; done
kill -9 $pid 2> /dev/null || true
wait $pid 2> /dev/null || true
expect 0 train "${options[@]}" --out "$work/killed" --resume
cmp "$work/one/model.gguf" "$work/killed/model.gguf" || fail "a resumed run differs"
cmp <(figures "$work/one/log.jsonl") <(figures "$work/killed/log.jsonl") || fail "a resumed run's log differs"

# A run without an end, cooled from its checkpoint: ten steps more at a falling rate, the same whether it was interrupted or not.
cool=("${options[@]}" --schedule const --warmup 0 --min-lr 0)
"$slm" train "${cool[@]}" --steps 100000 --out "$work/cool" > /dev/null 2>&1 & pid=$!
for _ in $(seq 2000); do [ -e "$work/cool/checkpoint.slm" ] && break; sleep 0.01; done
kill -INT $pid
wait $pid 2> /dev/null || true
cp -r "$work/cool" "$work/cool2"
expect 0 train "${cool[@]}" --steps 100000 --log-every 1 --out "$work/cool" --resume --cool 10 --json
python3 - "$work/cool/log.jsonl" "$work/out" <<'P' || fail "the rate does not fall: $(tail -n 10 "$work/cool/log.jsonl")"
import json, sys
rates = [json.loads(l)["lr"] for l in open(sys.argv[1])][-10:]
n = json.load(open(sys.argv[2]))["steps"]
sys.exit(not (n < 5000 and all(a > b for a, b in zip(rates, rates[1:])) and abs(rates[0] - 0.9 * 5e-3) < 1e-8 and abs(rates[-1]) < 1e-12))
P
expect 0 train "${cool[@]}" --steps 100000 --save-every 1 --out "$work/cool2" --resume --cool 10
expect 0 train "${cool[@]}" --steps 100000 --out "$work/cool2" --resume --cool 99
cmp "$work/cool/model.gguf" "$work/cool2/model.gguf" || fail "a cooled run is not gone on with as it began"
expect 2 train "${cool[@]}" --steps 100000 --out "$work/new" --resume --cool 10
said 'is not there'
expect 2 train "${cool[@]}" --steps 100000 --out "$work/cool" --cool 10
said 'without --resume it does nothing'
expect 3 train "${options[@]}" --clip 0.5 --out "$work/killed" --resume
said 'is of a run with other options'
head -c 3000 "$work/one/checkpoint.slm" > "$work/killed/checkpoint.slm"
expect 3 train "${options[@]}" --out "$work/killed" --resume
said 'is damaged'

# Every optimizer and schedule learns; the result runs, and its folder says how it was made.
for opt in adamw8 muon sgd; do
    expect 0 train "${options[@]}" --opt $opt --schedule wsd --out "$work/$opt" --json
    same "$(json "$work/out" 'd["eval_loss"] < 4.5')" True "$opt learns"
done
expect 0 run -m "$work/one/model.gguf" --raw -n 8 --temp 0 -p "the small"
[ -s "$work/out" ] || fail "the model writes nothing"
grep -q '^lr: 0.005$' "$work/one/run.yaml" || fail "run.yaml lacks the rate"
[ -s "$work/one/loss.svg" ] || fail "no picture"
grep -q chat_template "$work/one/model.gguf" && fail "a model of texts alone claims a chat template"
printf 'text,label\nwhere is my card,a\nmy card is lost,b\n' > "$work/labels.csv"
expect 0 train --data "$work/labels.csv" --label-pieces --arch d=32,L=1,H=2,KV=2,ff=64 --tokenizer new:300 --ctx 32 --batch-tokens 64 --steps 1 --out "$work/labels"
grep -q chat_template "$work/labels/model.gguf" || fail "a model of labelled rows has no chat template"

# Adapters: the loss on new text falls, beside an exact and a quantized base, which stay as they were; merged is the same model.
"$slm" quantize "$work/one/model.gguf" "$work/q8.gguf" Q8_0 > /dev/null
before=$(cat "$work/one/model.gguf" "$work/q8.gguf" | cksum)
for base in one/model q8; do
    expect 0 finetune -m "$work/$base.gguf" --data "$work/b.jsonl" --val-split 0.2 --ctx 32 --batch-tokens 512 --steps 30 --lr 1e-2 --lora-r 4 --eval-every 1 --out "$work/tuned" --json
    python3 - "$work/tuned/log.jsonl" <<'P' || fail "adapters beside $base learn too little"
import json, sys
losses = [json.loads(l)["eval_loss"] for l in open(sys.argv[1]) if "eval_loss" in l]
sys.exit(not losses[-1] < 0.9 * losses[0])
P
    rm -f "$work/tuned/checkpoint.slm"
    expect 0 merge -m "$work/$base.gguf" --adapter "$work/tuned/adapter.gguf" "$work/merged.gguf" --type F32
    expect 0 merge -m "$work/$base.gguf" --adapter "$work/tuned/adapter.gguf" "$work/none.gguf" --type F32 --strength 0
done
same "$(cat "$work/one/model.gguf" "$work/q8.gguf" | cksum)" "$before" "the base"
cp "$work/tuned/adapter.gguf" "$work/same.gguf"
expect 2 merge -m "$work/q8.gguf" --adapter "$work/same.gguf" "$work/same.gguf"
said 'is a file that is read'
cmp "$work/tuned/adapter.gguf" "$work/same.gguf" || fail "merging wrote over its adapter"
expect 0 perplexity -m "$work/q8.gguf" -f "$work/b.jsonl" -c 32 --json
old=$(json "$work/out" 'd["perplexity"]')
expect 0 perplexity -m "$work/merged.gguf" -f "$work/b.jsonl" -c 32 --json
merged=$(json "$work/out" 'd["perplexity"]')
python3 -c "import sys; sys.exit(not $merged < 0.5 * $old)" || fail "the merged model has not learnt"

# An adapter beside its base is the merged model, in every command that takes one.
expect 0 perplexity -m "$work/q8.gguf" --adapter "$work/tuned/adapter.gguf" -f "$work/b.jsonl" -c 32 --json
python3 -c "import sys; sys.exit(not abs($(json "$work/out" 'd["perplexity"]') / $merged - 1) < 1e-3)" || fail "perplexity with --adapter" # the embedding stays Q8_0
same "$("$slm" run -m "$work/q8.gguf" --adapter "$work/tuned/adapter.gguf" --raw -n 12 --temp 0 -p "the small")" \
     "$("$slm" run -m "$work/merged.gguf" --raw -n 12 --temp 0 -p "the small")" "run with --adapter"
expect 0 eval -m "$work/q8.gguf" --adapter "$work/tuned/adapter.gguf" --against "$work/merged.gguf" --kind agreement --task "$work/b.jsonl" --json
python3 -c "import json, sys; d = json.load(open(sys.argv[1])); sys.exit(not (d['agreement']['value'] > 0.98 and d['kl']['value'] < 1e-3))" "$work/out" ||
    fail "eval with --adapter: $(cat "$work/out")"
expect 3 run -m "$root/tests/golden/models/llama-odd-heads.gguf" --adapter "$work/tuned/adapter.gguf" -p x
said 'does not fit the base'

# A disk that is full at a checkpoint: said, and the checkpoint before it is as it was; with room again the run ends as one that never stopped.
steady=("${options[@]}" --eval-every 1000)
"$slm" train "${steady[@]}" --steps 40 --out "$work/steady" > /dev/null 2>&1
"$slm" train "${steady[@]}" --steps 40 --out "$work/full" > /dev/null 2>&1 & pid=$!
for _ in $(seq 2000); do [ -e "$work/full/checkpoint.slm" ] && break; sleep 0.01; done
kill -9 $pid 2> /dev/null || true
wait $pid 2> /dev/null || true
old=$(cksum < "$work/full/checkpoint.slm") got=0
(trap '' XFSZ; ulimit -f 64; "$slm" train "${steady[@]}" --steps 40 --save-every 1 --out "$work/full" --resume) > "$work/out" 2> "$work/err" || got=$?
[ $got -ne 0 ] || fail "a full disk is no error"
said 'could not be written whole; the checkpoint before it is as it was'
same "$(cksum < "$work/full/checkpoint.slm")" "$old" "the checkpoint before it"
expect 0 train "${steady[@]}" --steps 40 --out "$work/full" --resume
cmp "$work/steady/model.gguf" "$work/full/model.gguf" || fail "a run that met a full disk ends differently"

# Refused, by name.
expect 3 finetune -m "$work/q8.gguf" --mode full --data "$work/b.jsonl" --out "$work/no"
said 'full training of a quantized model'
expect 3 merge -m "$root/tests/golden/models/llama-odd-heads.gguf" --adapter "$work/tuned/adapter.gguf" "$work/no.gguf"
said 'does not fit the base'
expect 3 finetune -m "$root/tests/golden/models/lfm2.gguf" --data "$work/b.jsonl" --out "$work/no"
said 'has no backward pass for'
expect 4 train "${options[@]}" --mem 1M --out "$work/no"
said 'needs'
expect 2 train "${options[@]}" --preset 7m --out "$work/no"
expect 2 finetune -m "$work/one/model.gguf" --data "$work/b.jsonl" --lora-targets q,x --out "$work/no"
expect 1 train "${options[@]}" --lr 10 --clip 0 --spike-skip 0 --opt sgd --beta1 0.999 --steps 400 --out "$work/nan"
said 'is not a number; the weights before it are in'
[ -s "$work/nan/checkpoint.slm" ] || fail "the weights before it are lost"
[ ! -e "$work/no/model.gguf" ] || fail "a refused run writes"
