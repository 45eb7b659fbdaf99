#!/usr/bin/env bash
# slm bench and slm doctor: what they print is complete and makes sense; no figure is judged.
source "$(dirname "$0")/common.bash" "$@"
expect 0 doctor --no-measure
grep -q '^kernels ' "$work/out" || fail "no kernels"
expect 0 doctor --no-measure -v
grep -q 'matmul_f32 ' "$work/out" || fail "-v does not list slots"
SLM_CPU=ref expect 0 doctor --no-measure --json
same "$(json "$work/out" '{k: n for k, n in d["kernels"].items() if n != "ref"} == {"panel_few": "none", "matmul_half": "none"} and d["n_usable"] >= 1 and d["memory_bytes"] > 0')" True "doctor under SLM_CPU=ref"
expect 0 doctor --json -t 1
same "$(json "$work/out" 'd["measured"]["read_bytes_per_s"] > 1e8 and d["measured"]["f32_flop_per_s"] > 1e7 and d["measured"]["int8_op_per_s"] > 1e7')" True "measured rates"
expect 0 bench -m "$models/llama.gguf" -p 20 -n 5 -b 1,3 -r 2 -t 1 --json
same "$(json "$work/out" '[r["batch"] for r in d["results"]]')" "[1, 3]" "batches"
same "$(json "$work/out" 'min(d[k] for k in ("prefill_tps", "decode_tps", "load_ms", "bytes_per_token", "peak_memory_bytes", "machine_read_bytes_per_s", "machine_f32_flop_per_s", "machine_int8_op_per_s")) > 0')" True "keys of bench"
same "$(json "$work/out" 'd["decode_tps"] == d["results"][0]["decode_tps"] and d["results"][1]["bytes_per_token"] < d["bytes_per_token"]')" True "rows of bench"
expect 0 bench -m "$models/llama.gguf" -p 4 -n 2 -r 1 -t 1
[ "$(grep -c '%' "$work/out")" -ge 1 ] || fail "no shares"
expect 0 bench -m "$models/llama.gguf" -p 20 -n 3 -b 1,2 -d 0,70 -r 1 -t 1 --kv q8 --json --plot "$work/speed.svg"
same "$(json "$work/out" '[(r["depth"], r["batch"]) for r in d["results"]], d["kv"]')" "([(0, 1), (0, 2), (70, 1), (70, 2)], 'q8')" "depths, each with every batch"
same "$(json "$work/out" 'd["results"][2]["bytes_per_token"] > d["results"][0]["bytes_per_token"]')" True "a deeper sequence reads more"
python3 -c 'import sys, xml.dom.minidom as x; sys.exit(len(x.parse(sys.argv[1]).getElementsByTagName("rect")) != 8)' "$work/speed.svg" || fail "no bar for each figure in the picture"
expect 1 bench -m "$models/llama.gguf" -p 1 -n 1 -r 1 -t 1 --plot "$work/none/speed.svg"
said "none/speed.svg"
echo "bench and doctor are complete"
