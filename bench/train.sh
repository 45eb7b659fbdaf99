#!/usr/bin/env bash
# train.sh [THREADS [SECONDS]]: slm's training beside PyTorch's (Debian's python3-torch), in alternation; tokens a second and their ratio.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
threads=${1:-2} seconds=${2:-3}
python=/usr/bin/python3
"$python" -c 'import torch' 2> /dev/null || { echo "error: PyTorch is missing: apt-get install python3-torch libopenblas0-pthread" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for _ in 1 2; do
    "$root/build/bench/bench_train" "$threads" "$seconds" >> "$work/slm"
    "$python" "$root/bench/train_torch.py" "$threads" "$seconds" >> "$work/torch"
done
awk -v threads="$threads" '
    function best(a, name, v) { if (v + 0 > a[name] + 0) a[name] = v }
    FNR == NR { best(slm, $1, $2); best(slm_cpu, $1, $3); best(rate, $1, $4); if (!($1 in seen)) { seen[$1] = 1; names[++n] = $1 } next }
    { best(torch, $1, $2); best(torch_cpu, $1, $3) }
    END {
        printf "%-10s %12s %12s %7s   %12s %12s %7s   %s\n", "model", "slm tok/s", "torch tok/s", "ratio", "slm/CPU-s", "torch/CPU-s", "ratio", "GFLOP/CPU-s"
        for (i = 1; i <= n; i++) {
            m = names[i]
            printf "%-10s %12d %12d %7.2f   %12d %12d %7.2f   %s\n", m, slm[m], torch[m], slm[m] / torch[m], slm_cpu[m], torch_cpu[m], slm_cpu[m] / torch_cpu[m], rate[m]
        }
    }' "$work/slm" "$work/torch"
