#!/usr/bin/env bash
# train.sh SLM DATA OUT: the tales model from the files that prepare.py wrote. STEPS at a constant rate, then COOL more in which it falls; THREADS may be
# set. Interrupted, the same command goes on; with more STEPS it would only become better.
set -euo pipefail
slm=$1 data=$2 out=$3 steps=${STEPS:-1241} cool=${COOL:-420}
run=(--data "$data/train.txt" --eval-data "$data/val.txt" --tokenizer new:2048 --preset 5m --name tales --ctx 512 --batch-tokens 4096 --opt muon --lr 4e-3
     --warmup "$(python3 -c "print(40.5 / $steps)")" --min-lr 0.02 --schedule const --steps "$steps" --eval-every 100 --eval-tokens 16384 --log-every 20
     --save-every 40 --keep last --threads "${THREADS:-0}" --out "$out" --resume)
"$slm" train "${run[@]}"
"$slm" train "${run[@]}" --cool "$cool"
"$slm" quantize "$out/model.gguf" "$out/tales.gguf" Q8_0
"$slm" perplexity -m "$out/tales.gguf" -f "$data/val.txt" -c 512
