#!/usr/bin/env bash
# quant_table.sh [MODEL.gguf...]: size, bits, perplexity, divergence and agreement of every file type, as Markdown, put into
# docs/quantization.md between its marks (PRINT=1: only printed). Models are F32, F16 or BF16; without any, stories260K.
#
# MAKERS of the same types: slm as it is; ggml's encoders (mkquant.py of ../shared/tools; PEER_LIB=.../libggml-base.so, its folder in
# LD_LIBRARY_PATH; left out when absent); slm after --calibrate on text that is not measured on; and after --calibrate-self.
# Texts: WikiText-2, stories, a classic. CHUNKS (12) of 512 tokens each; TYPES; PYTHON: one that has numpy.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
slm=${SLM:-$root/build/slm} shared=${SLM_SHARED:-$root/../shared} page=$root/docs/quantization.md
types=${TYPES:-Q8_0 Q6_K Q5_K_S Q5_1 Q5_0 Q4_K_M Q4_K_S Q4_1 Q4_0 IQ4_NL IQ4_XS MXFP4 Q3_K_M IQ3_S IQ3_XXS Q2_K IQ2_S IQ2_XS IQ2_XXS TQ2_0 IQ1_M IQ1_S}
makers=${MAKERS:-slm ggml calibrate calibrate-self}
[ $# -gt 0 ] || set -- "$shared/data/models/stories260K.gguf"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Texts to measure on, and one to calibrate on that shares no sentence with them.
story=$shared/data/text/tinystories-sample.txt classics=$shared/data/text/classics-fiction.tar.gz
book() { tar -xOzf "$classics" --wildcards "$1" | head -c 300000 | tail -c 200000; }
cp "$shared/data/text/wikitext-2/test.txt" "$work/wiki"
tail -c 290000 "$story" > "$work/story"
book 'Jane Austen/*' > "$work/classic" 2> /dev/null || true
book 'H.G. Wells/*' > "$work/wells" 2> /dev/null || true
python3 - "$shared/data/text/wikitext-2/valid.txt" "$story" "$work/wells" > "$work/calibration" <<'P'
import sys
texts = [open(path, encoding="utf-8", errors="ignore").read(150000) for path in sys.argv[1:]]
for at in range(0, 150000, 1500):  # in turns: no part of the text is of one kind
    for t in texts: print(t[at:at + 1500])
P

measure() { # FILE TEXT: perplexity, KL divergence, same best token
    "$slm" perplexity -m "$1" -f "$work/$2" --chunks "${CHUNKS:-12}" --kl "$work/$2.base" --json |
        python3 -c 'import json, sys
d = json.load(sys.stdin)
print("%.3f · %.5f · %.2f %%" % (d["perplexity"], d["kl"]["mean"], 100 * d["top1_agreement"]))'
}
row() { # TYPE MAKER FILE
    local bits
    bits=$("$slm" inspect -m "$3" --json | python3 -c 'import json, os, sys
d = json.load(sys.stdin)
n = 0
for t in d["tensors"]:
    k = 1
    for s in t["shape"]: k *= s
    n += k
print("%.2f" % (8 * os.path.getsize(sys.argv[1]) / n))' "$3")
    printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$1" "$2" "$(wc -c < "$3")" "$bits" "$(measure "$3" wiki)" "$(measure "$3" story)" "$(measure "$3" classic)"
}

made() { # MAKER MODEL TYPE: its row
    case $1 in
        slm) "$slm" quantize "$2" "$work/q" "$3" > /dev/null 2>&1 && row "$3" slm "$work/q" ;;
        ggml)
            [ -n "${PEER_LIB:-}" ] || return 0
            "$slm" quantize "$2" "$work/q" "$3" > /dev/null 2>&1
            "${PYTHON:-python3}" "$root/bench/quant_peer.py" "$PEER_LIB" "$2" "$work/q" "$work/peer" && row "$3" ggml "$work/peer"
            ;;
        calibrate) "$slm" quantize "$2" "$work/q" "$3" --imatrix "$work/moments" > /dev/null 2>&1 && row "$3" "slm, calibrated" "$work/q" ;;
        calibrate-self) "$slm" quantize "$2" "$work/q" "$3" --calibrate-self > /dev/null 2>&1 && row "$3" "slm, no text" "$work/q" ;;
        *) echo "maker $1: unknown" >&2 && exit 2 ;;
    esac
}

table() { # MODEL
    echo "**$(basename "$1" .gguf)**, $(wc -c < "$1") bytes."
    echo
    echo '| type | by | bytes | bits | WikiText-2 | stories | classic |'
    echo '|---|---|---|---|---|---|---|'
    for t in wiki story classic; do
        "$slm" perplexity -m "$1" -f "$work/$t" --chunks "${CHUNKS:-12}" --save-logits "$work/$t.base" --json > "$work/$t.json"
    done
    printf '| original | | %s | | %s |\n' "$(wc -c < "$1")" "$(for t in wiki story classic; do python3 -c 'import json, sys; print("%.3f" % json.load(open(sys.argv[1]))["perplexity"])' "$work/$t.json"; done | paste -sd '|' | sed 's/|/ | /g')"
    case $makers in *"calibrate "* | *calibrate) "$slm" imatrix -m "$1" -f "$work/calibration" --hessian --chunks 200 -o "$work/moments" 2> /dev/null ;; esac
    for t in $types; do
        for maker in $makers; do made "$maker" "$1" "$t"; done
    done
    rm -f "$work/moments"
    echo
}

if [ -n "${PRINT:-}" ]; then
    for model; do table "$model"; done
    exit 0
fi
for model; do table "$model"; done > "$work/tables"
awk -v text="$work/tables" '
    $0 == "<!-- table -->" {print; while ((getline line < text) > 0) print line; skip = 1; next}
    $0 == "<!-- /table -->" {skip = 0}
    !skip' "$page" > "$page.new"
mv "$page.new" "$page"
