#!/usr/bin/env bash
# Several processes under mpirun train what one process trains: the same losses to 1e-6, the same weights in every rank count's file to rounding,
# resumed from one's checkpoint by the others; files and talk come from the first alone.
source "$(dirname "$0")/common.bash" "$@"
command -v mpirun > /dev/null || { echo "skipped: needs mpirun (openmpi-bin)" >&2; exit 77; }
[ "$(head -c 2 "$slm")" != '#!' ] || { echo "skipped: not through an emulator" >&2; exit 77; }
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
python3 - "$work" <<'P'
import random, sys
random.seed(4)
words = "a cat sat on the mat and then it went home to see who was there so they all had tea".split()
open(f"{sys.argv[1]}/a.txt", "w").write("\n<|endoftext|>\n".join(" ".join(random.choice(words) for _ in range(random.randint(8, 40))) for _ in range(300)))
P
options=(train --data "$work/a.txt" --arch d=64,L=2,H=4,KV=2,ff=160 --tokenizer new:320 --ctx 32 --batch-tokens 512 --lr 3e-3 --log-every 1 --val-split 0.1 --eval-every 10 --steps 20 -t 1)
# Open MPI leaves much of what it allocated to the end of the process: leaks are looked for without it.
ranks() { ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0" mpirun --oversubscribe -n "$1" "$slm" "${@:2}" > "$work/out" 2> "$work/err" < /dev/null; }
near() { python3 - "$work/one/log.jsonl" "$1/log.jsonl" <<'P' || fail "$2"
import json, sys
a, b = ([json.loads(l) for l in open(p)] for p in sys.argv[1:])
keys = ("loss", "eval_loss", "lr", "tokens", "grad_norm")
worst = max(abs(x.get(k, 0) - y.get(k, 0)) for x, y in zip(a, b) for k in keys)
print(f"largest difference of a figure: {worst:.1e}")
sys.exit(not (len(a) == len(b) == 20 and worst < 1e-6))
P
}

expect 0 "${options[@]}" --out "$work/one"
for n in 2 3; do
    ranks $n "${options[@]}" --out "$work/n$n" || fail "$n processes: $(cat "$work/err")"
    near "$work/n$n" "$n processes have other losses"
    same "$(grep -c 'step 20/20' "$work/err")" 1 "processes that talk"
    same "$(wc -l < "$work/out")" 1 "results said"
done

# Stopped as one process, gone on with as two; then adapters.
"$slm" "${options[@]}" --save-every 7 --out "$work/both" > /dev/null 2>&1 & pid=$!
for _ in $(seq 2000); do [ -e "$work/both/checkpoint.slm" ] && break; sleep 0.01; done
kill -9 $pid 2> /dev/null || true
wait $pid 2> /dev/null || true
ranks 2 "${options[@]}" --out "$work/both" --resume || fail "resumed by two: $(cat "$work/err")"
near "$work/both" "a run that two processes went on with has other losses"
ranks 2 finetune -m "$work/one/model.gguf" --data "$work/a.txt" --ctx 32 --batch-tokens 512 --steps 4 --out "$work/tuned" -t 1 || fail "adapters: $(cat "$work/err")"
[ -s "$work/tuned/adapter.gguf" ] || fail "no adapter"

# What differs between them is an error, for all; a teacher is asked by one process.
mpirun --oversubscribe -n 1 "$slm" "${options[@]}" --out "$work/apart" : -n 1 "$slm" "${options[@]}" --lr 1e-3 --out "$work/apart" > /dev/null 2> "$work/err" < /dev/null && fail "two runs at once"
said 'options: not the same in all 2 processes'
OMPI_COMM_WORLD_SIZE=2 expect 3 distill --teacher "$work/one/model.gguf" --data "$work/a.txt" --out "$work/no"
said 'a teacher is asked by one process'
