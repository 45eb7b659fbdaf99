#!/usr/bin/env bash
# Shrink a model, and know what it cost
#
# SLM_SHRINK_MODEL: a trained model in F32, F16 or BF16 whose rows are multiples of 256 (more types fit it); SLM_SHRINK_TYPES, _SIZES, _BOUNDS: which.
# SLM_LARGE_MODEL: one to take times on, as SLM_LARGE_TYPES: in CPU time, as others may use the machine. A row that cannot be had says so and the rest goes on.
set -uo pipefail
slm=build/slm shared=${SLM_SHARED:-../shared}
model=${SLM_SHRINK_MODEL:-$shared/data/models/stories260K.gguf}
types=${SLM_SHRINK_TYPES:-Q4_0 IQ4_NL} sizes=${SLM_SHRINK_SIZES:-Q4_1 Q5_0} chunks=${CHUNKS:-4}
export SLM_CACHE=off
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
row() { printf "| %s | %s | \`%s\` |\n" "$1" "$2" "${3//|/\\|}"; }
tests() { timeout 300 ctest --test-dir build -R "$1" 2>&1 | awk '/tests passed|tests failed/ {print; n = 1} END {if (!n) print "not had: ended by the clock"}'; }
quantize() { timeout "${LIMIT:-150}" "$slm" quantize "$@" > /dev/null 2>&1; }
kl() { # FILE: KL divergence on the held-out text
    timeout 60 "$slm" perplexity -m "$1" -f "$work/held-out" --chunks "$chunks" --kl "$work/base" --json 2> /dev/null |
        python3 -c 'import json, sys; print("%.5f" % json.load(sys.stdin)["kl"]["mean"])' 2> /dev/null || echo "not had"
}
size() { wc -c < "$1"; }
name=$(basename "$model")

row "every type below ggml's relative RMS error on golden/quants and on trained weights, with importance and without; carried rounding below plain, at full length" "$(tests 'golden.quants|unit.carry')" "ctest --test-dir build -R 'golden.quants|unit.carry'"
row "killed at any moment, disk full, not finite, quantized twice: whole files or none" "$(tests '^cli.shrink$')" "ctest --test-dir build -R cli.shrink"

# Text to calibrate on and text to measure on; the budgets never see the second.
head -c "${CALIBRATION_BYTES:-100000}" "$shared/data/text/tinystories-sample.txt" > "$work/calibration"
tail -c 290000 "$shared/data/text/tinystories-sample.txt" > "$work/held-out"
"$slm" perplexity -m "$model" -f "$work/held-out" --chunks "$chunks" --save-logits "$work/base" > /dev/null 2>&1 || { echo "$name: no predictions to compare with" >&2; exit 1; }
timeout 150 "$slm" imatrix -m "$model" -f "$work/calibration" --hessian -o "$work/moments" > /dev/null 2>&1
for type in $types; do
    figure=$(quantize "$model" "$work/plain" "$type" && kl "$work/plain" || echo "not had") carried=$(quantize "$model" "$work/carried" "$type" --imatrix "$work/moments" && kl "$work/carried" || echo "not had")
    own=$(quantize "$model" "$work/carried" "$type" --calibrate-self && kl "$work/carried" || echo "not had")
    row "\`$name\` as $type, KL divergence on held-out text: plain, calibrated, calibrated without a text" "$figure, $carried, $own" "slm quantize $name out.gguf $type [--calibrate TEXT | --calibrate-self]"
done

# Budgets of size: met within 2 %, and against the one type of that size.
for type in $sizes; do
    figure="not had"
    if quantize "$model" "$work/one" "$type"; then
        bytes=$(size "$work/one")
        quantize "$model" "$work/mix" --budget "${bytes}B" -f "$work/calibration" && figure="$(size "$work/mix"); $(kl "$work/mix") beside $(kl "$work/one")"
        row "\`$name\` under --budget ${bytes}B (what $type takes): bytes; KL divergence on held-out text, beside $type's" "$figure" "slm quantize $name out.gguf --budget ${bytes}B -f TEXT"
    fi
done
for bound in ${SLM_SHRINK_BOUNDS:-0.05 0.02}; do
    figure="not had"
    quantize "$model" "$work/mix" --budget "kl<=$bound" -f "$work/calibration" && figure="$(kl "$work/mix"), $(size "$work/mix")"
    row "\`$name\` under --budget kl<=$bound: KL divergence on held-out text, bytes" "$figure" "slm quantize $name out.gguf --budget 'kl<=$bound' -f TEXT"
done

# Time, where a large model is at hand.
if [ -n "${SLM_LARGE_MODEL:-}" ]; then
    plain=
    for type in ${SLM_LARGE_TYPES:-BF16 Q8_0 Q4_0 Q4_K_S IQ4_XS}; do
        figures=$(timeout "${LIMIT:-300}" /usr/bin/env time -f '%U %S %M' "$slm" quantize "$SLM_LARGE_MODEL" "$work/large" "$type" -t 2 2>&1 > /dev/null | tail -1 |
            awk -v plain="$plain" 'NF == 3 {printf "%.1f s, %.2f times BF16, %.0f MB at most", $1 + $2, plain ? ($1 + $2) / plain : 1, $3 / 1024}')
        plain=${plain:-${figures%% s,*}}
        row "$(basename "$SLM_LARGE_MODEL") ($(wc -c < "$SLM_LARGE_MODEL") bytes, F16) to $type, two threads: CPU time; memory. To BF16 is reading, converting and writing" "${figures:-not had}" "slm quantize f16.gguf out.gguf $type -t 2"
    done
fi
exit 0
