#!/usr/bin/env bash
# slm logits against the float64 references: log-softmax of every row, to a thousandth.
source "$(dirname "$0")/common.bash" "$@"
for m in "$models"/{llama,qwen3,gemma2}.gguf; do
    name=$(basename "$m" .gguf)
    "$slm" logits -m "$m" --tokens "$models/tokens.json" -o "$work/$name.f32" -t 1
    for chunk in 1 7; do
        "$slm" logits -m "$m" --tokens "$models/tokens.json" -o "$work/again.f32" --chunk $chunk -t 2
        cmp "$work/$name.f32" "$work/again.f32" || fail "$name: --chunk $chunk changes bits"
    done
    python3 - "$work/$name.f32" "$models/$name.logprobs.f32" <<'P'
import array, math, sys
got, want = array.array("f"), array.array("f")
got.frombytes(open(sys.argv[1], "rb").read())
want.frombytes(open(sys.argv[2], "rb").read())
assert len(got) == len(want) == 48 * 512, (len(got), len(want))
worst = 0
for r in range(48):
    row = got[r * 512:(r + 1) * 512]
    top = max(row)
    norm = top + math.log(sum(math.exp(x - top) for x in row))
    worst = max(worst, max(abs(x - norm - y) for x, y in zip(row, want[r * 512:(r + 1) * 512])))
assert worst < 1e-3, worst
print(f"{sys.argv[2].split('/')[-1]}: largest difference {worst:.1e}")
P
done
"$slm" logits -m "$models/llama.gguf" --tokens - -o "$work/l.f32" --json < "$models/tokens.json" > "$work/json"
same "$(json "$work/json" 'd["shape"]')" "[48, 512]" "shape"
