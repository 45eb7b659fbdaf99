#!/usr/bin/env bash
# Shrink a model, and know what it cost
set -euo pipefail
slm=build/slm shared=${SLM_SHARED:-../shared}
model=${SLM_SHRINK_MODEL:-$shared/data/models/stories260K.gguf}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
row() { printf "| %s | %s | \`%s\` |\n" "$1" "$2" "${3//|/\\|}"; }
tests() { ctest --test-dir build -R "$1" 2>&1 | awk '/tests passed/ {print}'; }
kl() { "$slm" perplexity -m "$1" -f "$work/held-out" --chunks 12 --kl "$work/base" --json | python3 -c 'import json, sys; print("%.5f" % json.load(sys.stdin)["kl"]["mean"])'; }
name=$(basename "$model")

row "every type below ggml's relative RMS error on golden/quants, with weights and without; carried rounding below plain, every type" "$(tests 'golden.quants|unit.carry')" "ctest --test-dir build -R 'golden.quants|unit.carry'"
row "killed at any moment, disk full, not finite, quantized twice: whole files or none" "$(tests '^cli.shrink$')" "ctest --test-dir build -R cli.shrink"

# Text to calibrate on and text to measure on; the budgets never see the second.
head -c 400000 "$shared/data/text/tinystories-sample.txt" > "$work/calibration"
tail -c 290000 "$shared/data/text/tinystories-sample.txt" > "$work/held-out"
"$slm" perplexity -m "$model" -f "$work/held-out" --chunks 12 --save-logits "$work/base" > /dev/null
for type in Q4_0 IQ4_NL ${SLM_SHRINK_TYPES:-}; do
    "$slm" quantize "$model" "$work/plain" $type > /dev/null 2>&1
    "$slm" quantize "$model" "$work/carried" $type --calibrate "$work/calibration" > /dev/null 2>&1
    row "\`$name\` as $type, KL divergence on held-out text: plain, calibrated" "$(kl "$work/plain"), $(kl "$work/carried")" "slm quantize $name out.gguf $type --calibrate TEXT"
done

# Budgets of size: met within 2 %, and against the one type of that size.
for type in Q4_1 Q5_0; do
    "$slm" quantize "$model" "$work/one" $type > /dev/null 2>&1
    bytes=$(wc -c < "$work/one")
    "$slm" quantize "$model" "$work/mix" --budget "${bytes}B" -f "$work/calibration" > /dev/null 2>&1
    row "\`$name\` under --budget ${bytes}B (what $type takes): bytes; KL divergence on held-out text, beside $type's" "$(wc -c < "$work/mix"); $(kl "$work/mix") beside $(kl "$work/one")" "slm quantize $name out.gguf --budget ${bytes}B -f TEXT"
    [ "$(wc -c < "$work/mix")" -le "$bytes" ]
done
for bound in 0.05 0.02; do
    "$slm" quantize "$model" "$work/mix" --budget "kl<=$bound" -f "$work/calibration" > /dev/null 2>&1
    row "\`$name\` under --budget kl<=$bound: KL divergence on held-out text, bytes" "$(kl "$work/mix"), $(wc -c < "$work/mix")" "slm quantize $name out.gguf --budget 'kl<=$bound' -f TEXT"
done

# Time, where a large model is at hand.
if [ -n "${SLM_LARGE_MODEL:-}" ]; then
    for type in F32 Q8_0 Q4_0 Q4_K_S IQ4_XS; do
        figures=$(/usr/bin/env time -f '%U + %S s of CPU, %e s, %M kB at most' "$slm" quantize "$SLM_LARGE_MODEL" "$work/large" $type -t 2 2>&1 > /dev/null | tail -1)
        row "$(basename "$SLM_LARGE_MODEL") to $type, two threads" "$figures" "slm quantize f16.gguf out.gguf $type -t 2"
    done
fi
