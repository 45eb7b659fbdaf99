#!/usr/bin/env bash
# Speed on this CPU, beside llama.cpp
#
# Wants a quiet machine for 20 minutes, and node-llama-cpp in $PEER_MODULES (a folder with node_modules in it). Models of real shapes and random weights
# are made in $SPEED_MODELS (default: speed-models in the temporary folder; 17 GB while they are made) and kept there. Every part stands alone: one that
# fails is told, has a row that says so, and takes nothing from the others. One part by hand: bash bench/results/30-speed.sh pair llama-1b q4_k_m 5
set -euo pipefail
slm=${SPEED_SLM:-build/slm} shared=${SLM_SHARED:-../shared}
models=${SPEED_MODELS:-${TMPDIR:-/tmp}/speed-models} threads=${SPEED_THREADS:-2}
peer=${PEER_MODULES:-$shared/tools/peer}
bins=node_modules/@node-llama-cpp/linux-x64/bins/linux-x64
python=/usr/bin/python3; [ -x $python ] || python=python3 # the one that Debian's numpy belongs to
row() { [ -n "$2" ] && printf "| %s | %s | \`%s\` |\n" "$1" "$2" "${3//|/\\|}"; }
# field JSON EXPRESSION: a Python expression over the object j
field() { $python -c 'import json, sys; j = json.loads(sys.argv[1]); print(eval(sys.argv[2]))' "$1" "$2"; }
title() { case $1 in llama-1b) echo "Llama-3.2-1B shape" ;; llama-mini) echo "Llama of 4 layers" ;; *) echo "Qwen${1#qwen} shape" ;; esac; }

# source_of SHAPE: the f16 file (f32 for the small one), made when it is not there
source_of() {
    local type=f16 vocab=()
    [ "$1" != llama-mini ] || type=f32
    [ "$1" != llama-1b ] || vocab=(--vocab "$shared/data/vocab/llama-bpe.gguf")
    local file=$models/$1-$type.gguf
    if [ ! -e "$file" ]; then
        $python "$shared/tools/mkmodel.py" --arch "${1%-*}" --size "${1##*-}" --type $type --tied --ctx 16384 "${vocab[@]}" --out "$file.part" >&2
        mv "$file.part" "$file"
    fi
    echo "$file"
}

# model SHAPE TYPE: the file, quantized by llama.cpp's own library where it is at hand, by slm otherwise
model() {
    local file=$models/$1-$2.gguf from
    if [ ! -e "$file" ]; then
        mkdir -p "$models"
        from=$(source_of "$1")
        if [ -d "$peer/$bins" ]; then
            LD_LIBRARY_PATH=$peer/$bins $python "$shared/tools/mkquant.py" "$peer/$bins/libggml-base.so" "$from" "$file.part" "$2" >&2
        else
            $slm quantize "$from" "$file.part" "$2" > /dev/null
        fi
        mv "$file.part" "$file"
    fi
    echo "$file"
}

# peer_with BACKEND: a copy of llama.cpp's package with one CPU backend in it, so that nothing else can be chosen
peer_with() {
    local copy=$models/peer-$1
    if [ ! -e "$copy/ready" ]; then
        rm -rf "$copy"
        mkdir -p "$copy/node_modules/@node-llama-cpp"
        for part in "$peer"/node_modules/*; do [ "$(basename "$part")" = @node-llama-cpp ] || cp -a "$part" "$copy/node_modules/"; done
        cp -a "$peer/node_modules/@node-llama-cpp/linux-x64" "$copy/node_modules/@node-llama-cpp/"
        for backend in "$copy/$bins"/libggml-cpu-*.so; do [ "$(basename "$backend")" = "libggml-cpu-$1.so" ] || rm "$backend"; done
        touch "$copy/ready"
    fi
    echo "$copy"
}

# compare FILE ROUNDS MODULES: bench/compare.mjs as JSON
compare() { node bench/compare.mjs -r "$2" -p 512 -n 32 -t "$threads" --slm "$slm" --modules "$3" --json "$1"; }
ratio_of() { field "$1" "'%.1f, %.1f, **%.2f**' % tuple(j['models'][0]['$2'][k] for k in ('slm', 'peer', 'ratio'))"; }

# pair SHAPE TYPE ROUNDS: prefill, decode, load and memory in alternation with llama.cpp
part_pair() {
    local file out label command
    file=$(model "$1" "$2") label="$(title "$1"), $2" command="node bench/compare.mjs -r $3 -p 512 -n 32 -t $threads $1-$2.gguf"
    out=$(compare "$file" "$3" "$peer")
    row "$label: prefill of 512, tokens/s (slm, llama.cpp, ratio)" "$(ratio_of "$out" prefill_tps)" "$command"
    row "$label: decode, tokens/s (slm, llama.cpp, ratio)" "$(ratio_of "$out" decode_tps)" "the same"
    row "$label: share of the measured multiplying (prefill), of the measured reading (decode)" \
        "$(field "$out" "'%.0f %%, %.0f %%' % (100 * j['models'][0]['multiply_share'], 100 * j['models'][0]['read_share'])")" "the same"
    row "$label: peak memory, MiB (slm, llama.cpp; the file)" \
        "$(field "$out" "'%.0f, %.0f' % tuple(j['models'][0]['peak_memory_bytes'][k] / 1048576 for k in ('slm', 'peer'))"); $(($(stat -Lc %s "$file") >> 20))" "the same"
    field "$out" "'%s %s %.1f %.0f' % ('$1', '$2', j['models'][0]['prefill_tps']['slm'], j['models'][0]['load_ms']['peer'])" >> "$work/pairs"
}

# What the pairs say of each other: types beside q4_k_m, and the start beside llama.cpp's load.
part_types() {
    [ -s "$work/pairs" ]
    row "Llama-3.2-1B shape: prefill of q6_k and iq4_xs, of q4_k_m's" \
        "$(awk '$1 == "llama-1b" {tps[$2] = $3} END {if (!tps["q4_k_m"]) exit 1; printf "%.0f %%, %.0f %%", 100 * tps["q6_k"] / tps["q4_k_m"], 100 * tps["iq4_xs"] / tps["q4_k_m"]}' "$work/pairs")" \
        "node bench/compare.mjs"
}

# start SHAPE TYPE ROUNDS: milliseconds from a process's start to its end with one token made; the run before brings the files into memory
part_start() {
    local file ms load
    file=$(model "$1" "$2")
    ms=$($python - "$slm" "$file" "$threads" "$3" <<'PY'
import statistics, subprocess, sys, time
slm, model, threads, rounds = sys.argv[1:]
times = []
for i in range(int(rounds) + 1):
    t0 = time.perf_counter()
    subprocess.run([slm, "run", "-m", model, "-p", "hi", "--raw", "-n", "1", "-t", threads], stdout=subprocess.DEVNULL, check=True)
    times.append(1000 * (time.perf_counter() - t0))
print("%.0f (%.0f to %.0f)" % (statistics.median(times[1:]), min(times[1:]), max(times[1:])))
PY
)
    load=$(awk -v shape="$1" -v type="$2" '$1 == shape && $2 == type {print $4}' "$work/pairs")
    row "$(title "$1"), $2: start to first token, whole process, ms (median, least to most); llama.cpp's load alone" "$ms; ${load:-not measured}" "slm run -m $1-$2.gguf -p hi --raw -n 1 -t $threads"
}

# batches SHAPE TYPE ROUNDS STEPS
part_batches() {
    local file out
    file=$(model "$1" "$2")
    out=$($slm bench -m "$file" -p 16 -n "$4" -b 1,2,4,8,16 -r "$3" -t "$threads" --json)
    row "$(title "$1"), $2: decode of 1, 2, 4, 8, 16 sequences together, tokens/s, and times one" \
        "$(field "$out" "', '.join('%.1f (%.2f)' % (r['decode_tps'], r['decode_tps'] / j['results'][0]['decode_tps']) for r in j['results'])")" \
        "slm bench -m $1-$2.gguf -p 16 -n $4 -b 1,2,4,8,16 -r $3 -t $threads"
}

# depth SHAPE TYPE KV ROUNDS
part_depth() {
    local file out
    file=$(model "$1" "$2")
    out=$($slm bench -m "$file" -p 512 -n 8 -d 0,2048,8192 --kv "$3" -r "$4" -t "$threads" --json)
    row "$(title "$1"), $2: prefill of 512 tokens at depth 0, 2048, 8192, keys and values in $3, tokens/s, and of depth 0" \
        "$(field "$out" "', '.join('%.1f (%.0f %%)' % (r['prefill_tps'], 100 * r['prefill_tps'] / j['results'][0]['prefill_tps']) for r in j['results'])")" \
        "slm bench -m $1-$2.gguf -p 512 -n 8 -d 0,2048,8192 --kv $3 -r $4 -t $threads"
}

# avx2 SHAPE TYPE ROUNDS: both with AVX2 alone
part_avx2() {
    local file out modules
    file=$(model "$1" "$2") modules=$(peer_with haswell)
    out=$(SLM_CPU=avx2 compare "$file" "$3" "$modules")
    row "$(title "$1"), $2, AVX2 alone (llama.cpp's libggml-cpu-haswell): prefill; decode, tokens/s (slm, llama.cpp, ratio)" \
        "$(ratio_of "$out" prefill_tps); $(ratio_of "$out" decode_tps)" "SLM_CPU=avx2 node bench/compare.mjs -r $3 -p 512 -n 32 -t $threads --modules HASWELL $1-$2.gguf"
}

# f16 SHAPE ROUNDS: decode from halves; f16's own pair would take four minutes
part_f16() {
    local file out
    file=$(source_of "$1")
    out=$($slm bench -m "$file" -p 64 -n 16 -b 1,4,8 -r "$2" -t "$threads" --json)
    row "$(title "$1"), f16: decode of 1, 4, 8 sequences together, tokens/s; share of the measured reading" \
        "$(field "$out" "'%s; %.0f %%' % (', '.join('%.1f' % r['decode_tps'] for r in j['results']), 100 * j['results'][0]['read_share'])")" "slm bench -m $1-f16.gguf -p 64 -n 16 -b 1,4,8 -r $2 -t $threads"
}

# plan SHAPE TYPE: what inspect foretells beside what the system counted
part_plan() {
    local file plan out
    file=$(model "$1" "$2")
    plan=$($slm inspect -m "$file" --plan -c 576 -t "$threads" --kv f16 --json)
    out=$($slm bench -m "$file" -p 512 -n 8 -r 1 -t "$threads" --kv f16 --json)
    row "$(title "$1"), $2: peak memory as planned, as measured, MiB; the first of the second; file and KV" \
        "$(field "[$plan, $out, $(stat -Lc %s "$file")]" "'%.0f, %.0f, %.1f %%; %.0f' % (j[0]['plan']['bytes'] / 2**20, j[1]['peak_memory_bytes'] / 2**20, 100 * j[0]['plan']['bytes'] / j[1]['peak_memory_bytes'], (j[2] + sum(r['bytes'] for r in j[0]['plan']['rows'] if r['name'] == 'kv')) / 2**20)")" \
        "slm inspect -m $1-$2.gguf --plan -c 576 --json; slm bench -m $1-$2.gguf -p 512 -n 8 -r 1"
}

# kv_divergence FILE LABEL: of a q8 cache's predictions from an f16 cache's
part_kv_divergence() {
    head -c 20000 "$shared/data/text/tinystories-sample.txt" > "$work/text"
    $slm perplexity -m "$1" -f "$work/text" -c 512 --chunks 2 --kv f16 -t "$threads" --save-logits "$work/base" > /dev/null
    row "$2: KL divergence of keys and values in q8 from f16, nats" \
        "$($slm perplexity -m "$1" -f "$work/text" -c 512 --chunks 2 --kv q8 -t "$threads" --kl "$work/base" --json | $python -c 'import json, sys; print("%.2g" % json.load(sys.stdin)["kl"]["mean"])')" \
        "slm perplexity -m MODEL -f TEXT --chunks 2 --kv q8 --kl BASE"
    rm -f "$work/base"
}
part_kv() { part_kv_divergence "$(model "$1" "$2")" "$(title "$1"), $2"; }
part_kv_stories() { part_kv_divergence "$shared/data/models/stories260K.gguf" "stories260K (trained; heads of 8)"; }
part_kv_tales() { part_kv_divergence models/tales.gguf "tales (trained; heads of 32)"; }

# divergence TYPE: what 8-bit activations cost, ours and llama.cpp's, from exact activations on the same file
part_divergence() {
    local file
    file=$(model llama-mini "$1")
    $python -c 'import json, random; random.seed(3); print(json.dumps([random.randrange(10, 4000) for _ in range(64)]))' > "$work/ids.json"
    SLM_MATMUL=f32 $slm logits -m "$file" --tokens "$work/ids.json" -o "$work/exact" > /dev/null
    $slm logits -m "$file" --tokens "$work/ids.json" -o "$work/ours" > /dev/null
    cp "$shared/tools/peer/peer.mjs" "$peer/package.json" "$work/" && ln -sfn "$(realpath "$peer/node_modules")" "$work/node_modules"
    node "$work/peer.mjs" logprobs "$file" "$work/ids.json" "$work/theirs"
    row "$(title llama-mini), $1: KL divergence from exact activations, ours, llama.cpp's, nats" "$($python - "$work" <<'PY'
import sys, numpy as np
def logp(name):
    x = np.fromfile(sys.argv[1] + "/" + name, "<f4").reshape(64, -1).astype(np.float64)
    x -= x.max(1, keepdims=True)
    return x - np.log(np.exp(x).sum(1, keepdims=True))
exact, ours, theirs = map(logp, ("exact", "ours", "theirs"))
kl = lambda b: (np.exp(exact) * (exact - b)).sum(1).mean()
print("%.2e, %.2e (%.2f)" % (kl(ours), kl(theirs), kl(ours) / kl(theirs)))
PY
)" "slm logits under SLM_MATMUL=f32 and without; peer.mjs logprobs"
}

# speculate SHAPE TYPE ROUNDS: a text that repeats itself, with guesses from it and without
part_speculate() {
    local file
    file=$(model "$1" "$2")
    row "$(title "$1"), $2: 64 tokens after a text that repeats itself, tokens/s without and with guesses from it (n-gram), times, the same text" "$($python - "$slm" "$file" "$threads" "$3" <<'PY'
import re, statistics, subprocess, sys
slm, model, threads, rounds = sys.argv[1:]
prompt = "the cat sat on the mat and the dog sat on the log. " * 12
speed, texts = {"off": [], "ngram": []}, set()
for i in range(int(rounds)):
    for kind in speed:
        p = subprocess.run([slm, "run", "-v", "-m", model, "-t", threads, "--raw", "--temp", "0", "-n", "64", "--speculate", kind, "-p", prompt], capture_output=True, text=True, check=True)
        speed[kind].append(float(re.search(r"generated \d+ tokens, ([0-9.]+) tokens/s", p.stderr).group(1)))
        texts.add(p.stdout)
off, on = (statistics.median(speed[k]) for k in ("off", "ngram"))
print("%.1f, %.1f, %.2f, %s" % (off, on, on / off, "yes" if len(texts) == 1 else "NO"))
PY
)" "slm run --raw --temp 0 -n 64 --speculate ngram -p TEXT"
}

part_exact() {
    row "logits depend on nothing but their own tokens; panels, products and attention of every instruction set against the reference" \
        "$(ctest --test-dir build -R '^ops|unit.sched|unit.session|unit.speculate' 2>&1 | awk '/tests passed/ {print}')" "ctest --test-dir build -R '^ops|unit.sched|unit.session|unit.speculate'"
}

# In a process of its own, so that a part may stop at its first error.
if [ $# -gt 0 ]; then
    work=${SPEED_WORK:-$(mktemp -d)}
    touch "$work/pairs"
    part=$1 && shift
    "part_$part" "$@"
    exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SPEED_WORK=$work SLM_CACHE=$work/cache # packed afresh: what a first start leaves to the second
touch "$work/pairs"
n_failed=0
try() {
    echo "speed: $* ($(date +%T))" >&2
    if timeout 600 bash "$0" "$@" > "$work/rows" 2> "$work/errors"; then
        cat "$work/rows"
    else
        cat "$work/errors" >&2
        row "$*" "not measured: $(tail -n 1 "$work/errors" | tr -d '|`' | cut -c 1-120)" "bash bench/results/30-speed.sh $*"
        n_failed=$((n_failed + 1))
    fi
}

for type in q4_k_m q8_0 q4_0 q6_k iq4_xs; do try pair llama-1b $type 5; done
try types
try pair qwen3-0.6b q4_k_m 5
try pair qwen3-4b q4_k_m 3
try start llama-1b q4_k_m 9
try batches llama-1b q4_k_m 3 32
try batches llama-1b q8_0 3 32
try batches qwen3-0.6b q4_k_m 3 32
try batches qwen3-4b q4_k_m 2 16
try depth llama-1b q4_k_m q8 3
for type in q4_k_m q8_0; do try avx2 llama-1b $type 3; done
try f16 llama-1b 3
for shape in llama-1b qwen3-0.6b qwen3-4b; do try plan $shape q4_k_m; done
try kv llama-1b q4_k_m
try kv_stories
try kv_tales
for type in q4_k q8_0 q4_0 q6_k iq4_xs; do try divergence $type; done
try speculate llama-1b q4_k_m 3
try exact
[ "$n_failed" -eq 0 ] || echo "speed: $n_failed parts have no figure; their rows say why" >&2
