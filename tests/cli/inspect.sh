#!/usr/bin/env bash
# slm inspect: sums, the plan, vocabularies, unknown architectures, and names that would command a terminal.
source "$(dirname "$0")/common.bash" "$@"
m=$models/llama.gguf
expect 0 inspect -m "$m"
grep -q '^weights .* 32.000 bits per weight$' "$work/out" || fail "no bits per weight: $(head -5 "$work/out")"
grep -q 'blk.1.ffn_down.weight' "$work/out" || fail "no tensors"
expect 0 inspect -m "$m" --json
cp "$work/out" "$work/json"
same "$(json "$work/json" 'sum(t["bytes"] for t in d["tensors"]) == d["tensor_bytes"] and d["supported"] and d["architecture"] == "llama"')" True "sums"
same "$(json "$work/json" 'd["metadata"]["tokenizer.ggml.tokens"]["n"]')" 512 "an array's length"
expect 0 inspect -m "$m" --json --full
same "$(json "$work/out" 'len(d["metadata"]["tokenizer.ggml.tokens"])')" 512 "a whole array"
expect 0 inspect -m "$m" --json --plan -c 256 --kv f16 -t 2
same "$(json "$work/out" 'sum(r["bytes"] for r in d["plan"]["rows"]) == d["plan"]["bytes"] and d["plan"]["n_ctx"] == 256 and d["plan"]["kv_type"] == "f16"')" True "the plan"
same "$(json "$work/out" 'd["plan"]["rows"][0]["name"] == "process" and d["plan"]["rows"][0]["bytes"] > 1 << 20')" True "what the process holds"

# A file of one key and no tensor, whose architecture nobody knows and whose strings are hostile.
python3 - "$work/odd.gguf" <<'P'
import struct, sys
def s(b): return struct.pack("<Q", len(b)) + b
kv = [(b"general.architecture", b"no\x1b[31msuch"), (b"evil\x1b]0;title\x07key", b"bad \xff utf-8 \xe2\x80\xae reversed\n error: fake")]
body = b"".join(s(k) + struct.pack("<I", 8) + s(v) for k, v in kv)
open(sys.argv[1], "wb").write(b"GGUF" + struct.pack("<IQQ", 3, 0, len(kv)) + body)
P
expect 0 inspect -m "$work/odd.gguf"
grep -q 'slm cannot run' "$work/out" || fail "an unknown architecture is not told"
! LC_ALL=C grep -q -P '[\x00-\x09\x0b-\x1f\x7f\xff]' "$work/out" || fail "control characters reach the output"
expect 0 inspect -m "$work/odd.gguf" --json
same "$(json "$work/out" 'd["supported"]')" False "supported"
expect 3 run -m "$work/odd.gguf" -p hi --raw
! LC_ALL=C grep -q -P '[\x00-\x09\x0b-\x1f\x7f]' "$work/err" || fail "control characters reach an error"
expect 3 inspect -m "$work/odd.gguf" --plan
for v in "${SLM_SHARED:-$root/../shared}"/data/vocab/*.gguf; do
    [ -r "$v" ] || continue
    expect 0 inspect -m "$v"
done
echo "inspect: sums agree, hostile names stay harmless"
