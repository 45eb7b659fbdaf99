#!/usr/bin/env bash
# quant_table.sh MODEL.gguf TEXT [TYPE...]: size, bits, perplexity, divergence and agreement of every file type, as a table.
# MODEL is F32, F16 or BF16. With CALIB=FILE a second row per type uses an importance matrix of that text. With
# PEER_LIB=libggml-base.so (and its folder in LD_LIBRARY_PATH) a row of ../shared/tools/mkquant.py's file follows, where it can make one.
# CHUNKS (20) bounds the text.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
slm=$root/build/slm model=$1 text=$2
shift 2
types=${*:-Q8_0 Q6_K Q5_K_M Q5_1 Q5_0 Q4_K_M Q4_1 Q4_0 IQ4_NL IQ4_XS MXFP4 Q3_K_M IQ3_S IQ3_XXS Q2_K IQ2_S IQ2_XS IQ2_XXS IQ1_M IQ1_S TQ2_0}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

measure() { # NAME FILE
    "$slm" perplexity -m "$2" -f "$text" --chunks "${CHUNKS:-20}" --kl "$work/base" --json |
        python3 -c 'import json, os, sys
d = json.load(sys.stdin)
print("%s\t%d\t%.4f\t%.4f\t%.6f\t%.6f\t%.2f" % (sys.argv[1], os.path.getsize(sys.argv[2]), d["perplexity"], d["bits_per_byte"], d["kl"]["mean"], d["kl"]["p99"], 100 * d["top1_agreement"]))' "$1" "$2"
}

"$slm" perplexity -m "$model" -f "$text" --chunks "${CHUNKS:-20}" --save-logits "$work/base" > /dev/null
[ -z "${CALIB:-}" ] || "$slm" imatrix -m "$model" -f "$CALIB" -o "$work/imatrix" 2> /dev/null
printf 'type\tbytes\tperplexity\tbits_per_byte\tkl\tkl_99\tsame_best_percent\n'
for t in $types; do
    "$slm" quantize "$model" "$work/ours" "$t" > /dev/null 2>&1
    measure "$t" "$work/ours"
    if [ -n "${CALIB:-}" ]; then
        "$slm" quantize "$model" "$work/ours" "$t" --imatrix "$work/imatrix" > /dev/null 2>&1
        measure "$t+imatrix" "$work/ours"
    fi
    if [ -n "${PEER_LIB:-}" ]; then
        python3 "${PEER_SCRIPT:-$root/../shared/tools/mkquant.py}" "$PEER_LIB" "$model" "$work/peer" "${t,,}" > /dev/null 2>&1 &&
            measure "$t (ggml)" "$work/peer" || true
    fi
done
