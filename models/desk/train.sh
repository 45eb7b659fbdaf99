#!/usr/bin/env bash
# train.sh SLM DATA OUT: the desk model. A teacher of about 8 million parameters learns the three sets with their labels; a student of about 3
# million learns from its logits beside the labels, and is written as Q8_0. DATA is what prepare.py wrote. THREADS, EPOCHS, and
# EPOCHS_STUDENT may be set. Interrupted, the same command goes on.
set -euo pipefail
slm=$1 data=$2/desk out=$3 threads=${THREADS:-0}
mkdir -p "$out"
run=(--ctx 256 --batch-tokens 4096 --threads "$threads" --token-dropout 0.05 --eval-data "$data/val.jsonl" --eval-tokens 65536 --resume)
[ -f "$out/teacher/model.gguf" ] || "$slm" train --data "$data/train.jsonl" --tokenizer new:4096 --preset 8m --lr 1.5e-3 --epochs "${EPOCHS:-8}" "${run[@]}" --out "$out/teacher"
[ -f "$out/student/model.gguf" ] || "$slm" distill --teacher "$out/teacher/model.gguf" --method logits --kd-alpha 0.7 --kd-temp 1 --data "$data/train.jsonl" --preset 3m --lr 2e-3 \
    --epochs "${EPOCHS_STUDENT:-12}" "${run[@]}" --name desk --out "$out/student"
"$slm" quantize "$out/student/model.gguf" "$out/desk.gguf" Q8_0
for set in banking77 clinc150 snips; do
    echo "== $set"
    "$slm" eval -m "$out/desk.gguf" --task "$data/test-$set.jsonl" --predict 128 --threads "$threads"
done
