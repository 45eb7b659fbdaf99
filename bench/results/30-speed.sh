#!/usr/bin/env bash
# Speed on this CPU, beside llama.cpp
#
# Wants a quiet machine, and node-llama-cpp in $PEER_MODULES (a folder with node_modules in it). Models of real shapes and random weights are made in
# $SPEED_MODELS (default: speed-models in the temporary folder; 20 GB) and kept there.
set -euo pipefail
slm=build/slm shared=${SLM_SHARED:-../shared}
models=${SPEED_MODELS:-${TMPDIR:-/tmp}/speed-models} threads=${SPEED_THREADS:-2} rounds=${SPEED_ROUNDS:-5}
peer=${PEER_MODULES:-$shared/tools/peer}
row() { printf "| %s | %s | \`%s\` |\n" "$1" "$2" "${3//|/\\|}"; }
# field JSON EXPRESSION: a Python expression over the object j
field() { python3 -c 'import json, sys; j = json.loads(sys.argv[1]); print(eval(sys.argv[2]))' "$1" "$2"; }

declare -A vocab=([llama-1b]=llama-bpe [qwen3-0.6b]=qwen2 [qwen3-4b]=qwen2)
declare -A tied=([llama-1b]=--tied [qwen3-0.6b]=--tied [qwen3-4b]=--tied)

# model SHAPE TYPE: the file, made when it is not there
model() {
    local file=$models/$1-$2.gguf source=$models/$1-f16.gguf
    mkdir -p "$models"
    if [ ! -e "$source" ]; then
        python3 "$shared/tools/mkmodel.py" --arch "${1%-*}" --size "${1##*-}" --type f16 ${tied[$1]} --vocab "$shared/data/vocab/${vocab[$1]}.gguf" --out "$source.part" >&2
        mv "$source.part" "$source"
    fi
    [ -e "$file" ] || $slm quantize "$source" "$file" "$2" > /dev/null
    echo "$file"
}

# first_token FILE: milliseconds from the start of the process to its end with one token made, median of the rounds; peak memory in bytes
first_token() {
    python3 - "$slm" "$1" "$threads" "$rounds" <<'PY'
import os, statistics, subprocess, sys, time
slm, model, threads, rounds = sys.argv[1:]
times, peak = [], 0
for i in range(int(rounds) + 1): # the first brings files into memory
    t0 = time.perf_counter()
    p = subprocess.Popen([slm, "run", "-m", model, "-p", "hi", "--raw", "-n", "1", "-t", threads], stdout=subprocess.DEVNULL)
    _, status, use = os.wait4(p.pid, 0)
    if status: sys.exit(1)
    if i: times.append(1000 * (time.perf_counter() - t0))
    peak = use.ru_maxrss * 1024
print(round(statistics.median(times)), peak)
PY
}

pair() { # LABEL FILE: prefill, decode and load in alternation with llama.cpp
    local out
    out=$(node bench/compare.mjs -r "$rounds" -p 512 -n 32 -t "$threads" --slm "$slm" --modules "$peer" --json "$2")
    local of="slm, llama.cpp, ratio"
    for key in prefill_tps decode_tps; do
        row "$1: ${key%_tps}, tokens/s ($of)" "$(field "$out" "'%.1f, %.1f, **%.2f**' % tuple(j['models'][0]['$key'][k] for k in ('slm', 'peer', 'ratio'))")" "node bench/compare.mjs -r $rounds -p 512 -n 32 -t $threads $(basename "$2")"
    done
    row "$1: share of the measured multiplying (prefill), of the measured reading (decode)" \
        "$(field "$out" "'%.0f %%, %.0f %%' % (100 * j['models'][0]['multiply_share'], 100 * j['models'][0]['read_share'])")" "the same"
    row "$1: peak memory in that run, MiB (slm, llama.cpp; the file)" \
        "$(field "$out" "'%.0f, %.0f' % tuple(j['models'][0]['peak_memory_bytes'][k] / 1048576 for k in ('slm', 'peer'))"); $(($(stat -Lc %s "$2") >> 20))" "the same"
    read -r ms bytes < <(first_token "$2")
    row "$1: start to first token, ms (slm), and llama.cpp's load alone" "$ms, $(field "$out" "'%.0f' % j['models'][0]['load_ms']['peer']")" "slm run -m $(basename "$2") -p hi --raw -n 1"
}

batches() { # LABEL FILE
    local out
    out=$($slm bench -m "$2" -p 64 -n 32 -b 1,2,4,8,16 -r "$rounds" -t "$threads" --json)
    row "$1: decode of 1, 2, 4, 8, 16 sequences together, tokens/s, and times one" \
        "$(field "$out" "', '.join('%.1f (%.2f)' % (r['decode_tps'], r['decode_tps'] / j['results'][0]['decode_tps']) for r in j['results'])")" \
        "slm bench -m $(basename "$2") -p 64 -n 32 -b 1,2,4,8,16 -r $rounds -t $threads"
}

for type in q4_k_m q8_0 q4_0 q6_k iq4_xs; do
    file=$(model llama-1b $type)
    pair "Llama-3.2-1B shape, $type" "$file"
    batches "Llama-3.2-1B shape, $type" "$file"
done
for shape in qwen3-0.6b qwen3-4b; do
    file=$(model $shape q4_k_m)
    pair "${shape/qwen/Qwen} shape, q4_k_m" "$file"
    batches "${shape/qwen/Qwen} shape, q4_k_m" "$file"
done

file=$(model llama-1b q4_k_m)
out=$($slm bench -m "$file" -p 512 -n 8 -d 0,2048,8192 --kv q8 -r "$rounds" -t "$threads" --json)
row "prefill of 512 tokens at depth 0, 2048, 8192, keys and values in q8, tokens/s, and of depth 0" \
    "$(field "$out" "', '.join('%.1f (%.0f %%)' % (r['prefill_tps'], 100 * r['prefill_tps'] / j['results'][0]['prefill_tps']) for r in j['results'])")" \
    "slm bench -m $(basename "$file") -p 512 -n 8 -d 0,2048,8192 --kv q8 -r $rounds -t $threads"
for type in q4_k_m q8_0; do
    file=$(model llama-1b $type)
    out=$(SLM_CPU=avx2 $slm bench -m "$file" -p 512 -n 32 -r "$rounds" -t "$threads" --json)
    row "with AVX2 alone, $type: prefill, decode, tokens/s" "$(field "$out" "'%.1f, %.1f' % (j['prefill_tps'], j['decode_tps'])")" "SLM_CPU=avx2 slm bench -m $(basename "$file") -p 512 -n 32 -r $rounds -t $threads"
done
