#!/usr/bin/env bash
# Narrow jobs, and what may be promised about them
set -euo pipefail
slm=build/slm shared=${SLM_SHARED:-../shared}
model=${SLM_TASK_MODEL:-models/desk.gguf} # SLM_TASK_MODEL: another model that extracts
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
row() { printf "| %s | %s | \`%s\` |\n" "$1" "$2" "${3//|/\\|}"; }
get() { python3 -c "import json, sys; d = json.load(open(sys.argv[1])); print($2)" "$1"; }
right() { python3 -c 'import json, sys; v = [json.loads(l)["right"] for l in open(sys.argv[1])]; print("%.2f %%" % (100 * sum(v) / len(v)))' "$1"; }
tests() { ctest --test-dir build -R "$1" 2>&1 | awk '/tests passed/ {print}'; }
python3 bench/tier_data.py "$shared" "$work"

row "binomial tails against whole fractions; bound kept on drawn calibrations; replay lines; damaged certificates and heads" "$(tests 'unit.calib|unit.head')" "ctest --test-dir build -R 'unit.calib|unit.head'"

# Heads with all labels, and with few.
for task in clinc150 banking77 snips polarity; do
    figures=
    for k in 1 5 10; do
        "$slm" fit -d "$work/$task.few$k.jsonl" -o "$work/few.slmh" --method ngram > /dev/null 2>&1
        rm -f "$work/few.out"
        "$slm" classify --head "$work/few.slmh" -f "$work/$task.test.jsonl" -o "$work/few.out" 2> /dev/null
        figures+="$(right "$work/few.out"), "
    done
    "$slm" fit -d "$work/$task.train.jsonl" -o "$work/$task.slmh" --method ngram > /dev/null 2>&1
    "$slm" classify --head "$work/$task.slmh" -f "$work/$task.test.jsonl" -o "$work/$task.out" 2> /dev/null
    row "$task test half right by the n-gram head: 1, 5, 10 rows a label, all rows" "$figures$(right "$work/$task.out")" "slm fit -d $task.jsonl -o $task.slmh --method ngram"
done

# What can be promised: calibrated on one random half, judged on the other, 1,000 times.
for task in clinc150 polarity; do
    cat "$work/$task.val.jsonl" "$work/$task.test.jsonl" > "$work/pool.jsonl"
    rm -f "$work/pool.out"
    "$slm" classify --head "$work/$task.slmh" -f "$work/pool.jsonl" -o "$work/pool.out" 2> /dev/null
    for target in 0.02 0.05; do
        build/bench/bench_resplit "$work/pool.out" $target 0.95 > "$work/resplit.json"
        row "$task at $(python3 -c "print(round(100 * $target))") % error with 95 % confidence, 1,000 resplits: certified; share kept; error of what is kept; promise broken (all answers; testing half with its noise)" \
            "$(get "$work/resplit.json" '"%.1f %%; %.1f %%; %.2f %%; %.1f %%, %.1f %%" % tuple(100 * d[k] for k in ("certified", "share", "error", "broken_all", "broken_half"))')" \
            "bench_resplit answers.jsonl $target 0.95"
        if [ $task$target = clinc1500.02 ]; then
            row "clinc150 with a frontier that is right on 97 % of what it is sent, independent of us: quality of the whole, share of calls saved" \
                "$(get "$work/resplit.json" '"%.2f %%, %.1f %%" % (100 * (d["share"] * (1 - d["error"]) + (1 - d["share"]) * 0.97), 100 * d["share"])')" "from the row above"
        fi
    done
done

# Shift: the promise is for requests like the rows, and what happens when they are not.
"$slm" classify --head "$work/clinc150.slmh" -f "$work/clinc150.val.jsonl" -o "$work/val.out" 2> /dev/null
"$slm" calibrate "$work/val.out" --target 0.98 -o "$work/clinc150.cal" --json > "$work/cal.json"
"$slm" classify --head "$work/clinc150.slmh" --cal "$work/clinc150.cal" -f "$work/clinc150.oos.jsonl" -o "$work/oos.out" 2> /dev/null
row "out-of-scope requests of CLINC150 (none in the calibration) that the certified threshold gives up" \
    "$(python3 -c 'import json, sys; v = [json.loads(l)["abstained"] for l in open(sys.argv[1])]; print("%.1f %% of %d" % (100 * sum(v) / len(v), len(v)))' "$work/oos.out")" "slm classify --cal clinc150.cal -f oos.jsonl"

# 3 % of the calibrating rows are out of scope, 3 % of the first 1,000 requests, 18 % of the next 3,000.
python3 - "$work" <<'PY'
import random, sys
random.seed(2)
work = sys.argv[1]
val, test, oos = ([*open(f"{work}/clinc150.{p}.jsonl")] for p in ("val", "test", "oos"))
for rows in (val, test, oos):
    random.shuffle(rows)
other = iter(oos)
with open(f"{work}/mixed.jsonl", "w") as f:
    f.writelines([*val, *[next(other) for _ in range(93)]])
with open(f"{work}/traffic.jsonl", "w") as f:
    for i, row in enumerate(test[:4000]):
        f.write(next(other) if random.random() < (0.03 if i < 1000 else 0.18) else row)
PY
for part in mixed traffic; do "$slm" classify --head "$work/clinc150.slmh" -f "$work/$part.jsonl" -o "$work/$part.out" 2> /dev/null; done
"$slm" calibrate "$work/mixed.out" --target 0.95 -o "$work/mixed.cal" > /dev/null
"$slm" report "$work/traffic.out" --cal "$work/mixed.cal" --audit 2 --json > "$work/report.json"
row "clinc150 at 5 %, out of scope 3 % in calibration, 18 % of requests from 1,000 on: error of what is kept over all 4,000; request of the alarm" "$(get "$work/report.json" '"%.2f %%, %d" % (100 * d["error_kept"]["value"], d["calibration"]["alarm_at"])')" \
    "slm report traffic.jsonl --cal mixed.cal"

# Recorded outcomes of two tiers.
for set in mmlu gsm8k; do
    "$slm" calibrate --replay "$work/routellm.$set.jsonl" --json > "$work/replay.json"
    row "RouteLLM $set (all rows): weak, strong right; share sent up for 95 % of strong at random, by an oracle; APGR at random, by the oracle" \
        "$(get "$work/replay.json" '"%.4f, %.4f; %.4f, %.4f; %.4f, %.4f" % (d["local"], d["frontier"], d["random"]["share95"], d["oracle"]["share95"], d["random"]["apgr"], d["oracle"]["apgr"])')" \
        "slm calibrate --replay $set.jsonl"
done

# Extraction: valid and grounded whatever the model is. The smallest has no room for a schema in its prompt.
prompt=${SLM_EXTRACT_PROMPT-{text\}}
pairs=()
for schema in "$work"/snips.*.schema.json; do
    intent=$(basename "$schema" .schema.json)
    head -n "${SLM_EXTRACT_ROWS:-20}" "$work/$intent.slots.jsonl" > "$work/$intent.some.jsonl"
    "$slm" extract -m "$model" --schema "$schema" -f "$work/$intent.some.jsonl" -o "$work/$intent.out" -n 160 --prompt "$prompt" 2> /dev/null
    pairs+=("$work/$intent.some.jsonl" "$work/$intent.out")
done
python3 bench/tier_slots.py "${pairs[@]}" > "$work/slots.json"
row "SNIPS slots by \`$(basename "$model")\`: texts, valid by the schema, strings that are not in their text, F1 (BERT, trained: 0.969)" "$(get "$work/slots.json" '"%d, %d, %d, %.3f" % (d["n"], d["valid"], d["ungrounded"], d["f1"])')" \
    "slm extract -m $(basename "$model") --schema SCHEMA -f rows.jsonl"
head -n "${SLM_EXTRACT_ROWS:-40}" "$work/wnut17.test.jsonl" > "$work/wnut.some.jsonl"
"$slm" extract -m "$model" --schema "$work/wnut17.schema.json" -f "$work/wnut.some.jsonl" -o "$work/wnut.out" -n 160 --prompt "$prompt" 2> /dev/null
python3 bench/tier_slots.py "$work/wnut.some.jsonl" "$work/wnut.out" > "$work/slots.json"
row "WNUT17 names by the same: texts, valid, strings not in their text, F1 (best of the shared task: 0.42)" "$(get "$work/slots.json" '"%d, %d, %d, %.3f" % (d["n"], d["valid"], d["ungrounded"], d["f1"])')" "slm extract --schema names.json -f rows.jsonl"
