#!/usr/bin/env bash
# Serve: many at once, valid output
#
# Wants a quiet machine, and node-llama-cpp in $PEER_MODULES. The model of the Llama-3.2-1B shape and random weights is the one of 30-speed.sh, or
# $SERVE_MODEL. A figure that cannot be had says so in its row; the others stand. About ten minutes.
set -uo pipefail
slm=build/slm shared=${SLM_SHARED:-../shared}
models=${SPEED_MODELS:-${TMPDIR:-/tmp}/speed-models} threads=${SPEED_THREADS:-2}
peer=${PEER_MODULES:-$shared/tools/peer}
model=${SERVE_MODEL:-$models/llama-1b-q4_k_m.gguf}
tiny=tests/golden/models/llama-linear.gguf
name=$(basename "$model")
n_had=0
row() { printf "| %s | %s | \`%s\` |\n" "$1" "$2" "${3//|/\\|}"; }
# figure SECONDS WHAT COMMAND PRINT...: the row of a command's JSON, shown by a Python expression over the object j
figure() {
    local seconds=$1 what=$2 shown=$3 out
    shift 3
    if out=$(timeout "$seconds" "$@" 2> "$work/why") && out=$(python3 -c 'import json, sys; j = json.loads(sys.argv[1]); print(eval(sys.argv[2]))' "$out" "$shown" 2>> "$work/why"); then
        n_had=$((n_had + 1))
    else out="not measured: $(tail -n 1 "$work/why" | tr '|' '/' | cut -c 1-100)"; fi
    row "$what" "$out" "$(printf '%s ' "$@" | sed "s|$model|$name|g; s|$peer|PEER|g; s| $||")"
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ ! -e "$model" ] && [ -z "${SERVE_MODEL:-}" ]; then
    source=$models/llama-1b-f16.gguf
    mkdir -p "$models"
    [ -e "$source" ] || { python3 "$shared/tools/mkmodel.py" --arch llama --size 1b --type f16 --tied --vocab "$shared/data/vocab/llama-bpe.gguf" --out "$source.part" && mv "$source.part" "$source"; } >&2
    $slm quantize "$source" "$model" q4_k_m > /dev/null
fi

figure 120 "$name: one stream; 8 streams together, tokens/s; times one (goal 3)" "'%.1f; %.1f; **%.2f**' % (j['one_tps'], j['many_tps'], j['ratio'])" python3 bench/serve.py together $slm "$model" 8 -t "$threads"
ours=$(timeout 120 python3 bench/serve.py together $slm "$model" 8 -t "$threads" 2> /dev/null)
figure 240 "the same by llama.cpp, 8 sequences in one batch; slm beside it (goal 1.5)" \
    "'%.1f; %.1f; **%.2f**' % (j['one_tps'], j['many_tps'], (${ours:-"{}"})['many_tps'] / j['many_tps'])" node bench/batch.mjs "$model" 8 "$threads" "$peer"
figure 260 "4 streams, ms per token; while a prompt of 4096 tokens is read beside them; times (goal 2 at most); longest wait; seconds to the prompt's first token" \
    "'%.0f; %.0f; **%.2f**; %.0f ms; %s' % (j['token_ms'], j['token_beside_ms'], j['ratio'], j['worst_gap_ms'], '%.0f s' % j['prompt_s'] if j['prompt_s'] else 'not within 240 s')" \
    python3 bench/serve.py beside $slm "$model" 4096 -t "$threads"
figure 120 "a prompt of 2048 + 16 tokens, seconds to the first token; again with the same 2048; share (goal 10 % at most)" "'%.2f; %.3f; **%.1f %%**' % (j['first_s'], j['second_s'], 100 * j['share'])" \
    python3 bench/serve.py prefix $slm "$model" 2048 -t "$threads"
figure 60 "a client leaves in the middle of a stream: tokens made after that; until nothing runs, ms" "'%d; %.0f' % (j['tokens_after'], 1000 * j['seconds'])" python3 bench/serve.py gone $slm "$model" -t "$threads"

# Masks: one line of bench_mask per kind and suite.
masks="build/bench/bench_mask $shared/data/vocab/llama-bpe.gguf $shared/data/tasks/json-schema-test-suite $shared/data/tasks/bfcl"
if timeout 180 $masks > "$work/masks" 2> "$work/why" && grep -q '^BFCL' "$work/masks"; then
    n_had=$((n_had + 1))
    while IFS='|' read -r suite part line; do
        row "$suite, $part, 128,256 tokens" "$line" "bench_mask llama-bpe.gguf json-schema-test-suite bfcl"
    done < <(awk '/^(JSON|BFCL)/ {suite = $1; if (suite == "BFCL") suite = "BFCL functions"; sub(/:$/, "", suite)}
                  /^(compile|mask) / {goal = $1 == "mask" ? "goals 50, 600" : "goal of p99 20000"; printf "%s|%s, us: p50, p99 (%s)|%s, **%s** of %s\n", suite, $1, goal, $5, $9, $3}
                  /^valid instances/ {printf "%s|valid instances taken; invalid ones where all is enforced|%s of %s; %s of %s\n", suite, $4, $6 + 0, $(NF - 2), $NF}
                  /^random walks/ {printf "%s|texts of uniform random picks that are valid; of the others something is only checked|%s of %s; %s\n", suite, $3, $5, $(NF - 4)}' "$work/masks")
else row "masks" "not measured: $(tail -n 1 "$work/why")" "$masks"; fi

if build/tests/test_unit_schema_suite > "$work/suite" 2>&1; then
    n_had=$((n_had + 1))
    while IFS=: read -r draft score; do row "the validator and $draft: required tests (goal 98 %)" "$score" "test_unit_schema_suite"; done < <(grep 'required tests agree' "$work/suite" | sed 's/ required tests agree: / = /; s/^\(draft[^:]*\): /\1:/')
else row "the validator" "not measured" "test_unit_schema_suite"; fi

figure 300 "10,000 connections dropped in the middle of a stream: requests, connections and descriptors left; resident memory after the first 2,000 and after all, MiB" \
    "'%d, %d, %d; %.1f, %.1f' % (j['requests'], j['connections'], j['descriptors'], j['rss_first'] / 1048576, j['rss'] / 1048576)" python3 tests/wire/soak.py $slm $tiny --drops 10000
figure 120 "soak at full load of every kind of request, 60 s: answers, lost ones, slots left; resident memory after a third and at the end, MiB; exit of SIGTERM" \
    "'%d, %d, %d; %.1f, %.1f; %d' % (j['answers'], j['lost'], j['requests'], j['rss_first'] / 1048576, j['rss'] / 1048576, j['exit'])" python3 tests/wire/soak.py $slm $tiny --seconds 60
[ "$n_had" -gt 0 ]
