#!/usr/bin/env bash
# protocol_h.sh SLM DATA SET OUT [SEEDS]: the honest split. A teacher learns half of the training texts; a student of a million parameters
# has ten labels a class and the other half as texts without labels. DATA is what prepare.py wrote, SET banking77 or clinc150.
# Per seed: labels only, the teacher's text (hard), the teacher's logits (soft), all with the same number of steps; then one line of
# figures to OUT/SET/results.tsv. THREADS and STEPS may be set.
set -euo pipefail
slm=$1 data=$2/$3 out=$4/$3 seeds=${5:-"1 2 3"}
threads=${THREADS:-0} steps=${STEPS:-2500}
student="d=128,L=4,H=4,KV=2,ff=344" teacher="d=256,L=4,H=8,KV=4,ff=688"
run=(--ctx 256 --token-dropout 0.1 --batch-tokens 512 --steps "$steps" --threads "$threads" --log-every 500 --save-every 0)
mkdir -p "$out"
[ -f "$out/results.tsv" ] || printf 'seed\tteacher\tlabels_only\thard\tsoft\tp_soft_vs_labels\tp_soft_vs_hard\n' > "$out/results.tsv"

score() { "$slm" eval -m "$1" --task "$data/test.csv" --labels "$data/labels.txt" --threads "$threads" --json | python3 -c 'import json, sys; print("%.2f" % (100 * json.load(sys.stdin)["accuracy"]["value"]))'; }
chance() { "$slm" eval -m "$1" --against "$2" --task "$data/test.csv" --labels "$data/labels.txt" --threads "$threads" --json | python3 -c 'import json, sys; print("%.2g" % json.load(sys.stdin)["pair"]["mcnemar_p"])'; }

for seed in $seeds; do
    s=$data/seed-$seed o=$out/seed-$seed
    mkdir -p "$o"
    [ -f "$o/teacher/model.gguf" ] || "$slm" train --data "$s/a.csv" --label-pieces --tokenizer new:2048 --arch "$teacher" --lr 7e-4 --seed "$seed" "${run[@]}" --out "$o/teacher"
    [ -f "$o/labels/model.gguf" ] || "$slm" distill --teacher "$o/teacher/model.gguf" --method seq --data "$s/few.csv" --arch "$student" --lr 1e-3 --seed "$seed" "${run[@]}" --out "$o/labels"
    for method in seq logits; do
        [ -f "$o/$method/model.gguf" ] || "$slm" distill --teacher "$o/teacher/model.gguf" --method "$method" --prompts "$s/pool.csv" --data "$s/few.csv" --labels "$data/labels.txt" \
            --arch "$student" --lr 1e-3 --seed "$seed" "${run[@]}" --out "$o/$method"
    done
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$seed" "$(score "$o/teacher/model.gguf")" "$(score "$o/labels/model.gguf")" "$(score "$o/seq/model.gguf")" "$(score "$o/logits/model.gguf")" \
        "$(chance "$o/logits/model.gguf" "$o/labels/model.gguf")" "$(chance "$o/logits/model.gguf" "$o/seq/model.gguf")" >> "$out/results.tsv"
done
column -t "$out/results.tsv"
