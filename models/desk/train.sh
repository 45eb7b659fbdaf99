#!/usr/bin/env bash
# train.sh SLM DATA OUT: the desk model, a million parameters, from the labels; written as Q8_0. With TEACHER=1 a teacher of about 8 million parameters
# learns the three sets first and the student learns from its logits beside the labels. DATA is what prepare.py wrote. THREADS, STEPS, COOL
# may be set. Interrupted, the same command goes on.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
slm=$1 data=$2/desk out=$3 steps=${STEPS:-7807} cool=${COOL:-1500}
mkdir -p "$out"
common=(--data "$data/train.jsonl" --ctx 192 --token-dropout 0.05 --eval-data "$data/val.jsonl" --eval-tokens 40000 --keep last --threads "${THREADS:-0}" --resume)
student=(--arch d=128,L=4,H=4,KV=2,ff=384 --name desk --batch-tokens 2048 --opt muon --lr 2.5e-3 --schedule const --warmup "$(python3 -c "print(100.5 / $steps)")"
         --min-lr 0.02 --steps "$steps" --out "$out/student")
if [ -n "${TEACHER:-}" ]; then
    [ -f "$out/teacher/model.gguf" ] || "$slm" train "${common[@]}" --tokenizer new:2048 --preset 8m --batch-tokens 4096 --opt muon --lr 2.5e-3 --epochs "${EPOCHS:-8}" --out "$out/teacher"
    make=(distill --teacher "$out/teacher/model.gguf" --method logits --kd-alpha 0.7 --kd-temp 1)
else
    make=(train --tokenizer new:2048)
fi
"$slm" "${make[@]}" "${common[@]}" "${student[@]}"
"$slm" "${make[@]}" "${common[@]}" "${student[@]}" --cool "$cool"
"$slm" quantize "$out/student/model.gguf" "$out/desk.gguf" Q8_0
python3 "$here/score.py" "$slm" "$out/desk.gguf" "$2"
