#!/usr/bin/env bash
# slm quantize, imatrix, perplexity: types and metadata, whole files or none, the same bytes at any thread count.
source "$(dirname "$0")/common.bash" "$@"
model=$models/llama.gguf
python3 - "$work/text" <<'P'
import random, sys
random.seed(4)
words = "the a small dog ran to its friend and said hello then they went home happy day sun tree".split()
open(sys.argv[1], "w").write(" ".join(random.choice(words) for _ in range(3000)))
P

# Types, sizes, metadata.
expect 0 quantize "$model" "$work/q8.gguf" q8_0 --json
same "$(json "$work/out" 'd["type"]')" "Q8_0" "type"
expect 0 inspect -m "$work/q8.gguf" --json
same "$(json "$work/out" 'd["metadata"]["general.file_type"], d["metadata"]["general.quantization_version"], d["metadata"]["llama.embedding_length"]')" "(7, 2, 64)" "metadata"
same "$(json "$work/out" 'sorted({t["dtype"] for t in d["tensors"] if t["name"].endswith("_norm.weight")} | {t["dtype"] for t in d["tensors"] if "ffn_up" in t["name"]})')" "['f32', 'q8_0']" "types"
expect 0 quantize "$model" "$work/dry.gguf" Q4_K_M --dry-run --tensor 'attn_[qk]=q6_k' --tensor 'ffn=f16' --json
[ ! -e "$work/dry.gguf" ] || fail "--dry-run writes"
same "$(json "$work/out" '[(t["to"], t["fallback"]) for t in d["tensors"] if t["name"] in ("blk.0.attn_q.weight", "blk.0.attn_v.weight", "blk.1.ffn_up.weight")]')" \
    "[('q8_0', True), ('q5_0', True), ('f16', False)]" "overrides and rows that do not fit"
expect 0 quantize "$model" "$work/o.gguf" Q4_K_M
said 'does not divide'

# The same bytes for every number of threads.
for t in 1 2 5; do
    "$slm" quantize "$model" "$work/t$t.gguf" Q4_0 -t $t > /dev/null
    cmp "$work/t1.gguf" "$work/t$t.gguf" || fail "$t threads change bytes"
done

# Refused, with nothing written.
expect 2 quantize "$model" "$work/no.gguf" Q4_K_X
said 'did you mean "Q4_K_M"'
expect 2 quantize "$model" "$work/no.gguf" Q4_0 --tensor 'ffn=q4_z'
expect 2 quantize "$model" "$work/no.gguf" Q4_0 --tensor '(ffn=q4_0'
said 'tensor pattern'
expect 3 quantize "$work/q8.gguf" "$work/no.gguf" Q4_0
said 'requantize'
expect 0 quantize "$work/q8.gguf" "$work/re.gguf" Q4_0 --requantize
python3 - "$model" "$work/nan.gguf" <<'P'
import struct, sys
b = bytearray(open(sys.argv[1], "rb").read())
b[-40:-36] = struct.pack("<f", float("nan"))
open(sys.argv[2], "wb").write(b)
P
expect 3 quantize "$work/nan.gguf" "$work/no.gguf" Q8_0
said 'not finite'
( ulimit -f 100; expect 1 quantize "$model" "$work/no.gguf" F16; said 'write' )
ls "$work" | grep -E 'no\.gguf|tmp-' && fail "something was left behind"
# Killed at a random moment: a whole file or none.
for i in 1 2 3 4; do
    "$slm" quantize "$model" "$work/k$i.gguf" Q5_K_M > /dev/null 2>&1 & pid=$!
    sleep 0.0$i
    kill -9 $pid 2> /dev/null || true
    wait $pid 2> /dev/null || true
    [ ! -e "$work/k$i.gguf" ] || expect 0 inspect -m "$work/k$i.gguf"
done

# Perplexity and divergence.
expect 0 perplexity -m "$model" -f "$work/text" -c 64 --save-logits "$work/base.logp" --json
cp "$work/out" "$work/p1"
expect 0 perplexity -m "$model" -f "$work/text" -c 64 --kl "$work/base.logp" --json -t 2
same "$(json "$work/out" 'd["perplexity"]')" "$(json "$work/p1" 'd["perplexity"]')" "perplexity at two thread counts"
same "$(json "$work/out" 'd["kl"]["mean"] < 1e-6, d["top1_agreement"]')" "(True, 1.0)" "divergence from itself"
same "$(json "$work/out" 'd["n_scored"] == d["n_chunk"] * 31, d["perplexity_interval"][0] < d["perplexity"] < d["perplexity_interval"][1]')" "(True, True)" "counts"
expect 0 perplexity -m "$work/t1.gguf" -f "$work/text" -c 64 --kl "$work/base.logp" --json
same "$(json "$work/out" '1e-5 < d["kl"]["mean"] < 1 and d["kl"]["median"] <= d["kl"]["p99"] <= d["kl"]["max"]')" "True" "divergence of Q4_0"
expect 2 perplexity -m "$model" -f "$work/text" -c 32 --kl "$work/base.logp"
said 'another text'
head -c 100000 "$work/base.logp" > "$work/cut.logp"
expect 3 perplexity -m "$model" -f "$work/text" -c 64 --kl "$work/cut.logp"
expect 3 perplexity -m "$model" -f "$work/text" -c 64 --kl "$model"
echo short > "$work/short"
expect 2 perplexity -m "$model" -f "$work/short"
said 'shorter than a chunk'

# Importance: interrupted and continued gives the same bytes; and it is used.
expect 0 imatrix -m "$model" -f "$work/text" -c 64 -o "$work/whole.im" --json
n=$(json "$work/out" 'd["n_chunk"]')
expect 0 imatrix -m "$model" -f "$work/text" -c 64 -o "$work/parts.im" --chunks 3 -t 1
expect 0 imatrix -m "$model" -f "$work/text" -c 64 -o "$work/parts.im" -t 2
cmp "$work/whole.im" "$work/parts.im" || fail "a continued imatrix differs"
expect 2 imatrix -m "$model" -f "$work/text" -c 32 -o "$work/parts.im"
expect 0 inspect -m "$work/whole.im" --json
same "$(json "$work/out" 'd["metadata"]["general.type"], d["metadata"]["imatrix.chunk_count"] == '$n', d["metadata"]["imatrix.chunk_size"], sum(t["name"] == "blk.2.ffn_down.weight.in_sum2" for t in d["tensors"])')" \
    "('imatrix', True, 64, 1)" "imatrix"
expect 0 quantize "$model" "$work/im.gguf" Q4_0 --imatrix "$work/whole.im"
cmp -s "$work/im.gguf" "$work/t1.gguf" && fail "the imatrix changes nothing"
expect 3 quantize "$model" "$work/no.gguf" Q4_0 --imatrix "$model"
said 'imatrix'
expect 3 quantize "$models/gemma2.gguf" "$work/no.gguf" Q4_0 --imatrix "$work/whole.im"
said 'another model'

# Budgets: near the target, under it, and better than one type of the same size.
for b in 4.7bpw 6bpw; do
    expect 0 quantize "$model" "$work/b.gguf" --budget $b -f "$work/text" --json
    same "$(json "$work/out" "0.98 * ${b%bpw} < d['bits_per_weight'] <= ${b%bpw}")" "True" "bits under $b"
done
expect 0 quantize "$model" "$work/b.gguf" --budget 130kB -f "$work/text" --json
n=$(wc -c < "$work/b.gguf")
[ "$n" -le 130000 ] && [ "$n" -gt 127400 ] || fail "$n bytes under a budget of 130kB"
expect 0 quantize "$model" "$work/b.gguf" --budget 'kl<=0.0005' -f "$work/text" --json
same "$(json "$work/out" 'd["score"]["kl"] <= 0.0005')" "True" "divergence under the budget"
expect 0 quantize "$model" "$work/b.gguf" Q4_1 -f "$work/text" --tensor '(attn_[qkvo]|ffn_[gud]|embd|output\.)=q4_1' --report --json
cp "$work/out" "$work/q4_1"
bpw=$(json "$work/q4_1" 'd["bits_per_weight"]')
expect 0 quantize "$model" "$work/b2.gguf" --budget "${bpw}bpw" -f "$work/text" --json
same "$(json "$work/out" 'd["score"]["kl"]' | awk -v other="$(json "$work/q4_1" 'd["score"]["kl"]')" '{print ($1 < other)}')" "1" "a budget's mix against one type of its size"
# The report is in the file and beside it.
expect 0 inspect -m "$work/b.gguf" --json
same "$(json "$work/out" '0 < d["metadata"]["slm.report.kl"] < 1 and d["metadata"]["slm.report.text"].endswith("text")')" "True" "report in the metadata"
grep -q 'KL divergence' "$work/b.gguf.md" || fail "no card"
python3 -c 'import sys, xml.dom.minidom as x; x.parse(sys.argv[1])' "$work/b.gguf.svg" || fail "the picture is no XML"
expect 0 quantize "$model" "$work/b3.gguf" --budget 5bpw
said 'the model itself writes'
expect 2 quantize "$model" "$work/no.gguf" --budget 1bpw -f "$work/text"
said 'smallest types'
expect 2 quantize "$model" "$work/no.gguf" --budget fast
expect 2 quantize "$model" "$work/no.gguf" Q4_0 --budget 5bpw
expect 2 quantize "$model" "$work/no.gguf"
[ ! -e "$work/no.gguf" ] || fail "a refused run writes"
exit 0
