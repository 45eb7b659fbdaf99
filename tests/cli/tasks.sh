#!/usr/bin/env bash
# Narrow jobs from outside: a head is fitted, answers come, go on after an interruption, are certified, are refused with another head; extract
# copies, summarize and complete refuse what they cannot do.
source "$(dirname "$0")/common.bash" "$@"

python3 - "$work" <<'PY'
import json, random, sys
random.seed(3)
words = {"book": ["table", "restaurant", "seats", "dinner"], "play": ["song", "album", "music", "tune"], "weather": ["rain", "sunny", "forecast", "snow"]}
def rows(n, noise):
    for _ in range(n):
        label = random.choice(sorted(words))
        text = f"please {random.choice(['get', 'find'])} the {random.choice(words[label])} and {random.choice(words[label])} number {random.randrange(100)}"
        yield {"text": text, "label": label if random.random() > noise else random.choice(sorted(words)), "id": _}
for name, n, noise in (("train", 300, 0), ("cal", 1500, 0.01), ("few", 60, 0.01)):
    with open(f"{sys.argv[1]}/{name}.jsonl", "w") as f:
        for r in rows(n, noise): f.write(json.dumps(r) + "\n")
PY

# Fitting.
expect 0 fit -d "$work/train.jsonl" -o "$work/h.slmh" --json
same "$(json "$work/out" 'd["method"], d["n_label"], d["n_row"], d["accuracy"] > 0.95')" "('ngram', 3, 300, True)" "the fit"
cp "$work/h.slmh" "$work/first"
expect 0 fit -d "$work/train.jsonl" -o "$work/h.slmh"
cmp "$work/first" "$work/h.slmh" || fail "two fits differ"
expect 2 fit -d "$work/train.jsonl" -o "$work/x.slmh" --method linear
said "needs a model"
[ ! -e "$work/x.slmh" ] || fail "a head was left behind"
printf '{"text": "a"}\n' > "$work/nolabel.jsonl"
expect 3 fit -d "$work/nolabel.jsonl" -o "$work/x.slmh"

# One text, lines, rows.
expect 0 classify --head "$work/h.slmh" "a song and an album"
same "$(cut -f1 "$work/out")" play "the label"
printf 'a song\n\nsnow and rain\n' | "$slm" classify --head "$work/h.slmh" > "$work/out" 2> "$work/err"
same "$(cut -f1 "$work/out" | tr '\n' ' ')" "play weather " "labels of lines"
expect 7 classify --head "$work/h.slmh" --abstain 0.99 --json "zzz qqq"
same "$(json "$work/out" 'd["output"], d["abstained"], d["tier"], d["reasons"]')" "(None, True, 'none', ['confidence below --abstain'])" "an answer given up"
expect 0 classify --head "$work/h.slmh" -f "$work/cal.jsonl" -o "$work/whole"
said "1500 texts"
same "$(wc -l < "$work/whole")" 1500 "lines of answers"

# Interrupted in the middle of a line, and gone on with: the same answers (but for their times and names).
head -c 300000 "$work/whole" > "$work/cut"
expect 0 classify --head "$work/h.slmh" -f "$work/cal.jsonl" -o "$work/cut"
said "answers already"
for f in whole cut; do
    python3 -c 'import json, sys
for l in open(sys.argv[1]):
    d = json.loads(l); d.pop("request_id"); d.pop("usage"); print(json.dumps(d))' "$work/$f" > "$work/$f.plain"
done
cmp "$work/whole.plain" "$work/cut.plain" || fail "what was gone on with differs"

# Waiting for a line is interrupted as working is; a line without end is refused before it fills the memory.
python3 - "$slm" "$work/h.slmh" <<'PY' || fail "an interrupted wait"
import signal, subprocess, sys
p = subprocess.Popen([sys.argv[1], "classify", "--head", sys.argv[2]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
p.stdin.write(b"a song\r\n"); p.stdin.flush()
first = p.stdout.readline()
p.send_signal(signal.SIGINT)
said = p.stderr.read()
sys.exit(not (p.wait(60) == 130 and first.startswith(b"play\t") and b"interrupted" in said and b"read" not in said))
PY
got=0
timeout 60 "$slm" classify --head "$work/h.slmh" -f <(yes endless | tr -d '\n') 2> "$work/err" || got=$?
[ "$got" != 0 ] && [ "$got" != 124 ] || fail "a line without end: $got"
said "a line: longer than"
expect 4 report <(yes endless | tr -d '\n')
said ":1: a line: longer than"

# A row that is none does not end the batch.
{ head -2 "$work/few.jsonl"; echo '{"no": 1}'; echo 'nothing'; tail -1 "$work/few.jsonl"; } > "$work/bad.jsonl"
expect 1 classify --head "$work/h.slmh" -f "$work/bad.jsonl" --json
said "2 of 5 texts failed"
same "$(wc -l < "$work/out")" 5 "a line for each row"

# Certificates.
expect 0 calibrate "$work/whole" --target 0.97 -o "$work/c.cal" --json
same "$(json "$work/out" 'd["certified"], d["bound"] <= 0.03, d["proof"]["n_kept"] > 300')" "(True, True, True)" "the certificate"
expect 0 classify --head "$work/h.slmh" --cal "$work/c.cal" --json "please get the song and music number 3"
same "$(json "$work/out" 'd["calibration"]["certified"], d["confidence"] > 0.9, d["abstained"]')" "(True, True, False)" "an answer under a certificate"
expect 7 classify --head "$work/h.slmh" --cal "$work/c.cal" "zzz"
expect 0 classify --head "$work/h.slmh" -f "$work/few.jsonl" -o "$work/few.out"
expect 1 calibrate "$work/few.out" --target 0.99 -o "$work/few.cal"
said "cannot certify"
said "more rows"
expect 7 classify --head "$work/h.slmh" --cal "$work/few.cal" "a song"
said "promises nothing"
expect 0 fit -d "$work/few.jsonl" -o "$work/other.slmh"
expect 2 classify --head "$work/other.slmh" --cal "$work/c.cal" "a song"
said "another prompt, labels or limits"
sed 's/"certified": true/"certified": false/' "$work/c.cal" > "$work/broken.cal"
expect 3 classify --head "$work/h.slmh" --cal "$work/broken.cal" "a song"

# Replay.
printf '{"local_ok": true, "frontier_ok": true, "score": 3}\n{"local_ok": false, "frontier_ok": true, "score": 1}\n{"local_ok": false, "frontier_ok": false, "score": 2}\n{"local_ok": true, "frontier_ok": true, "score": 4}\n' > "$work/two.jsonl"
expect 0 calibrate --replay "$work/two.jsonl" --json
same "$(json "$work/out" 'd["local"], d["frontier"], round(d["random"]["apgr"], 9), d["oracle"]["cpt95"] <= 0.25, d["scored"]["apgr"] == d["oracle"]["apgr"]')" "(0.5, 0.75, 0.5, True, True)" "replay"

# What is not defined is null: no gap between the tiers, no certificate, nothing kept.
printf '{"local_ok": true, "frontier_ok": true}\n{"local_ok": false, "frontier_ok": false}\n' > "$work/same.jsonl"
expect 0 calibrate --replay "$work/same.jsonl" --json
same "$(json "$work/out" '[d[w][k] for w in ("random", "oracle") for k in ("apgr", "cpt50", "cpt95")]')" "[None, None, None, None, None, None]" "a gap that is none"
expect 0 calibrate --replay "$work/same.jsonl"
! grep -qi nan "$work/out" || fail "nan is printed"
expect 1 calibrate "$work/few.out" --target 0.99 --json
same "$(json "$work/out" 'd["bound"], d["threshold"], d["proof"]["n_kept"], d["proof"]["error_kept"]["value"]')" "(None, None, 0, None)" "what is not certified"

# Nothing that is said is left unheard.
refused() { expect 2 "$@"; said "option \"--"; }
expect 2 classify --head "$work/h.slmh" -f "$work/few.jsonl" -o "$work/few.jsonl"
said "is a file that is read"
ln "$work/few.jsonl" "$work/few-too.jsonl"
cp "$work/few.jsonl" "$work/was"
for to in few few-too; do
    expect 2 fit -d "$work/few.jsonl" -o "$work/$to.jsonl"
    said 'is a file that is read, by this name or another'
    expect 2 calibrate "$work/few.jsonl" -o "$work/$to.jsonl"
    said 'is a file that is read, by this name or another'
done
cmp "$work/few.jsonl" "$work/was" || fail "what is read was written to"
# ... by whatever way it comes to be the same: standard input, or standard output that follows it for ever. The last row has no end and stays.
printf 'a song\nsnow' > "$work/same"
cp "$work/same" "$work/was"
for how in '-o "$work/same" < "$work/same"' '-f "$work/same" >> "$work/same"' '>> "$work/same" < "$work/same"'; do
    got=0
    eval "timeout 60 \"\$slm\" classify --head \"\$work/h.slmh\" $how" 2> "$work/err" || got=$?
    same "$got" 2 "$how"
    said 'is the file that is read'
    cmp "$work/same" "$work/was" || fail "$how wrote to what it reads"
done
refused classify --head "$work/h.slmh" -l a,b "a text"
refused classify --head "$work/h.slmh" -e "$work/few.jsonl" "a text"
refused classify --head "$work/h.slmh" --method ngram "a text"
refused classify --head "$work/h.slmh" --no-prior "a text"
refused classify --head "$work/h.slmh" --answer "{label}" "a text"
refused classify --head "$work/h.slmh" --prompt "{text}?" "a text"
refused classify --head "$work/h.slmh" --raw "a text"
refused classify --head "$work/h.slmh" --top 2 "a text"
refused classify --head "$work/h.slmh" --ctx 99 "a text"
refused classify -e "$work/few.jsonl" --prompt "{text}?" "a text"
refused classify -l a,b --novel 1 "a text"
refused classify --head "$work/h.slmh" -f "$work/few.jsonl" "a text"
refused fit -d "$work/few.jsonl" -o "$work/x.slmh" --pooling mean
refused calibrate "$work/whole" --replay "$work/two.jsonl"
refused calibrate --replay "$work/two.jsonl" --target 0.9
refused report "$work/whole" --audit 10
refused summarize --extractive --ground off "A text."
refused inspect -m "$models/llama.gguf" --ctx 99
refused quantize "$models/llama.gguf" "$work/q.gguf" Q8_0 --file "$work/few.jsonl"
refused eval -m "$models/llama.gguf" --task "$work/few.jsonl" --predict 4
expect 0 classify -m "$models/llama.gguf" --head "$work/h.slmh" "a text"
said "the model is not needed"

# Reports: the certificate still speaks of answers like its own, and of those of another kind it does not.
expect 0 report "$work/whole" --cal "$work/c.cal" --json
same "$(json "$work/out" 'd["calibration"]["watch"], d["n"], d["error_kept"]["value"] < 0.03')" "('calm', 1500, True)" "the report"
python3 -c 'import json, sys
for l in open(sys.argv[1]):
    d = json.loads(l); d["signals"]["confidence"] = 0.4; d["signals"]["margin"] = 0.01; print(json.dumps(d))' "$work/whole" > "$work/unlike"
expect 0 report "$work/unlike" --cal "$work/c.cal" --json
same "$(json "$work/out" 'd["calibration"]["watch"], d["calibration"]["alarm_at"] <= 500')" "('shift', True)" "the alarm"
expect 2 report "$work/whole" --cal "$work/few.cal" --audit 101

# What the gateway's file decides.
cat > "$work/tiers.yaml" <<'YAML'
ledger: none.sqlite
upstreams:
  - {name: main, kind: openai, base_url: "http://127.0.0.1:9", model: m, price_in: 2, price_out: 8}
auto: {accept: "repeats < 0.5"}
rules:
  - {when: "text contains 'translate'", then: frontier}
  - {when: "text contains 'secretly'", then: local_only}
  - {when: "in_bytes > 1000", then: block}
privacy: {detectors: [email], action: local_only}
YAML
expect 0 route --gateway "$work/tiers.yaml" "please translate" "secretly" "write to a@b.example.com and translate" "hello"
same "$(cut -f1 "$work/out" | tr '\n' ',')" "frontier,local_only,local_only,local first," "decisions"
expect 0 route --gateway "$work/tiers.yaml" --ctx 300 --json "hello"
same "$(json "$work/out" 'd["output"]["rule"], d["facts"]["fits"], d["facts"]["pii"], 0 < d["output"]["frontier_usd_at_most"] < 1')" "(None, True, 0, True)" "facts"
expect 0 route --gateway "$work/tiers.yaml" --bodies '{"messages": [{"role": "user", "content": "hello"}], "tools": [{"type": "function", "function": {"name": "f", "description": "asks a@b.example.com"}}]}' \
    '{"messages": [{"role": "user", "content": "hello"}], "stop": ["a@b.example.com"]}' '{"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "translate"}], "max_tokens": 9}' \
    '{"messages": [{"role": "user", "content": "hello"}], "response_format": {"type": "json_schema", "json_schema": {"schema": {"enum": ["a@b.example.com"]}}}}' '{"messages": [{"role": "user", "content": "hello"}]}'
same "$(cut -f1 "$work/out" | tr '\n' ',')" "local_only,local_only,frontier,local_only,local first," "decisions of bodies"
expect 0 route --gateway "$work/tiers.yaml" --json --bodies \
    '{"messages": [{"role": "user", "content": "secretly"}, {"role": "user", "content": [{"type": "text", "text": "trans"}, {"type": "text", "text": "late"}]}], "response_format": {"type": "text"}, "max_completion_tokens": 8, "max_tokens": 9}'
same "$(json "$work/out" 'd["output"]["decision"], d["facts"]["schema"], d["facts"]["max_tokens"]')" "('frontier', False, 8)" "a body with parts"
expect 2 route --gateway "$work/tiers.yaml" --bodies '{"messages": [{"role": "user", "content": 5}]}'
said "must be a string or an array of parts"
expect 2 route --gateway "$work/tiers.yaml" --bodies '{"messages": 1}'
said "has no messages"
expect 0 route --gateway "$work/tiers.yaml" --ctx 20 "hello"
same "$(cut -f1 "$work/out")" frontier "what does not fit"

# Without a model.
expect 0 summarize --extractive -w 12 "The dam on the river broke. A cat slept. The broken dam let the river flood the town."
grep -q dam "$work/out" || fail "the summary misses its matter"
expect 2 summarize "a text"
said "--extractive"

model=$models/llama.gguf
expect 0 extract -m "$model" --schema '{"type":"object","properties":{"n":{"type":"integer","minimum":0,"maximum":9},"ok":{"type":"boolean"}},"required":["n","ok"],"additionalProperties":false}' --json -t 1 "any text"
same "$(json "$work/out" 'd["schema"]["valid"], sorted(d["output"]), [f["path"] for f in d["fields"]]')" "(True, ['n', 'ok'], ['/n', '/ok'])" "what was extracted"
expect 3 extract -m "$model" --schema '{"type": 3}' "a"
expect 0 extract -m "$model" --schema '{}' --show-prompt
grep -q '{schema}' "$work/out" || fail "the prompt is not shown"
echo x > "$work/x"
expect 3 complete -m "$model" --suffix "$work/x" "a"
said "tokens for filling gaps"
expect 0 complete -m "$model" -n 4 -t 1 --json "ab"
same "$(json "$work/out" 'd["task"], d["usage"]["local"]["out"] <= 4')" "('complete', True)" "a completion"
expect 0 classify -m "$model" -l a,b,ab -t 1 --json "any"
cp "$work/out" "$work/one"
expect 0 classify -m "$model" -l a,b,ab -t 3 --json "any"
same "$(json "$work/out" 'd["top"]')" "$(json "$work/one" 'd["top"]')" "labels on one thread and on three"
# A text that failed is a wrong answer that nobody keeps: its file is calibrated and reported like any other.
python3 -c 'import json
for i in range(30): print(json.dumps({"text": "ab " * (2000 if i == 7 else 1 + i % 4), "label": "a"}))' > "$work/long.jsonl"
expect 1 classify -m "$model" -c 128 -l a,b -t 1 -f "$work/long.jsonl" -o "$work/long.out"
said "1 of 30 texts failed"
expect 1 calibrate "$work/long.out" --target 0.9
said "cannot certify"
expect 0 report "$work/long.out" --json
same "$(json "$work/out" 'd["n"], d["n_kept"]')" "(30, 29)" "the report of a batch with a text that failed"
# An answer that is one value is a field too: it is rated, and given up whole.
expect 0 extract -m "$model" --schema '{"type":"boolean"}' --json -t 1 "any text"
same "$(json "$work/out" '[(f["path"], 0 < f["confidence"] < 1) for f in d["fields"]]')" "[('', True)]" "the field of a bare value"
expect 7 extract -m "$model" --schema '{"type":"boolean"}' --field-min 1 --json -t 1 "any text"
same "$(json "$work/out" 'd["output"], d["reasons"]')" "(None, ['a field below --field-min that the schema needs'])" "a bare value that is not sure"

# What answers are bound to changes with whatever makes them.
prompt_of() {
    expect 0 "$@" -t 1 --json "any text"
    json "$work/out" 'd["bound_to"]["prompt"]'
}
python3 "$root/tests/cli/add_template.py" "$model" "$work/talks.gguf" '{% for m in messages %}[{{ m.content }}]{% endfor %}'
talks=$work/talks.gguf schema='{"type":"boolean"}'
{
    for more in "-l a,b" "-l a,b --raw" "-l a,b --no-prior" "-l a,b --system ab" "-l a,b --answer {label}ab" "-l ab,b"; do prompt_of classify -m "$talks" $more; done
    for more in "-n 9" "-n 9 --raw" "-n 10" "-n 9 --field-min 0.1" "-n 9 --ground off" "-n 9 --system ab"; do prompt_of extract -m "$talks" --schema "$schema" $more; done
    prompt_of classify -m "$talks" -l a,b --answer "{label}ab" --system ""
    prompt_of classify -m "$talks" -l a,b --answer "{label}" --system "ab"
} > "$work/prompts"
same "$(sort "$work/prompts" | uniq -d)" "" "two ways of asking that are bound alike"
same "$(wc -l < "$work/prompts")" 14 "ways of asking"
expect 2 classify -m "$model" -l a, "any"
said "at least two"
expect 2 classify -m "$model" -l a,b,a "any"
said "given twice"
echo "narrow jobs hold what they say"
