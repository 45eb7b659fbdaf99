#!/usr/bin/env bash
# First light: a real model talking
set -euo pipefail
slm=build/slm shared=${SLM_SHARED:-../shared}
story=$shared/data/models/stories260K.gguf
row() { printf "| %s | %s | \`%s\` |\n" "$1" "$2" "${3//|/\\|}"; }

# Greedy ids against the recorded ones, at every thread count, chunk and instruction set.
isas=$($slm doctor --json | python3 -c 'import json, sys; print(" ".join(json.load(sys.stdin)["isa_usable"]))')
read -r same total < <(python3 - "$slm" "$story" "$shared/golden/stories260K.json" "$isas" <<'PY'
import json, os, subprocess, sys
slm, model, golden, isas = sys.argv[1:]
same = total = 0
for case in json.load(open(golden)):
    for isa in isas.split():
        for threads in "1", "2":
            for chunk in "1", "3", "512":
                ids = json.loads(subprocess.run([slm, "run", "-m", model, "--raw", "--temp", "0", "-n", str(len(case["ids"])), "--ids", "-t", threads,
                    "--chunk", chunk, "-p", case["prompt"]], capture_output=True, check=True, env=dict(os.environ, SLM_CPU=isa)).stdout)
                total += 1
                same += ids == case["ids"]
print(same, total)
PY
)
row "greedy ids equal llama.cpp's: 5 prompts x {$isas} x threads 1, 2 x chunks 1, 3, 512" "$same of $total" "slm run -m stories260K.gguf --raw --temp 0 -n 120 --ids -p ..."
[ "$same" = "$total" ]

# Log-probabilities against float64.
for name in llama llama-tied llama3-rope; do
    $slm logits -m "tests/golden/logits/$name.gguf" --tokens tests/golden/logits/tokens.json -o /tmp/slm-results.f32
    worst=$(python3 - "tests/golden/logits/$name.logprobs.f32" <<'PY'
import array, math, sys
def load(path):
    a = array.array("f"); a.frombytes(open(path, "rb").read()); return a
got, want, n, worst = load("/tmp/slm-results.f32"), load(sys.argv[1]), 512, 0.0
for r in range(len(want) // n):
    row = got[r * n:(r + 1) * n]; m = max(row); s = m + math.log(sum(math.exp(x - m) for x in row))
    worst = max(worst, max(abs(x - s - w) for x, w in zip(row, want[r * n:(r + 1) * n])))
print(f"{worst:.1e}")
PY
)
    row "log-softmax against float64, \`$name\`: largest difference" "$worst" "slm logits -m $name.gguf --tokens tokens.json -o out.f32"
done

tests() { ctest --test-dir build -R "$1" 2>&1 | awk '/tests passed/ {print}'; }
row "tokenizers: every golden case, both columns" "$(tests 'golden.tokenizers')" "ctest --test-dir build -R golden.tokenizers"
row "sampler against exact distributions (chi-square), sessions at 1, 2, 3 threads" "$(tests 'unit.(sampler|session)')" "ctest --test-dir build -R 'unit.(sampler|session)'"
row "fault suite: short files, flipped bytes, absurd counts, wrong shapes" "$(tests '^fault')" "ctest --test-dir build -R ^fault"
row "all tests" "$(tests .)" "make test"
