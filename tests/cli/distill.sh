#!/usr/bin/env bash
# slm distill and eval: a teacher labels a pool, a student learns its text or its logits; steps that fit are not done again; a
# teacher behind HTTP that stumbles and dies; what cannot be is refused by name.
source "$(dirname "$0")/common.bash" "$@"
python3 - "$work" <<'P'
import csv, random, sys
random.seed(5)
words = {"weather": "rain sun wind cloud storm snow".split(), "food": "bread soup rice cake apple fish".split(), "music": "song band drum piano tune choir".split()}
fill = "the a please now today for me find some more what is".split()
def rows(n):
    out = []
    for i in range(n):
        label = random.choice(list(words))
        w = random.sample(fill, 4) + random.sample(words[label], 2)
        random.shuffle(w)
        out.append((" ".join(w), label))
    return list(dict.fromkeys(out))
for name, n in (("a", 400), ("pool", 300), ("few", 9), ("test", 120)):
    with open(f"{sys.argv[1]}/{name}.csv", "w", newline="") as f:
        w = csv.writer(f)
        w.writerow(("text", "label") if name != "pool" else ("text",))
        w.writerows(r if name != "pool" else r[:1] for r in rows(n))
open(f"{sys.argv[1]}/labels.txt", "w").write("food\nmusic\nweather\n")
P
shape=(--arch d=64,L=2,H=4,KV=2,ff=160 --ctx 32 --batch-tokens 256 --lr 5e-3 --save-every 0)
accuracy() { expect 0 eval -m "$1" --task "$work/test.csv" --labels "$work/labels.txt" --json; json "$work/out" 'd["accuracy"]["value"]'; }
above() { python3 -c 'import sys; sys.exit(not float(sys.argv[1]) > float(sys.argv[2]))' "$1" "$2" || fail "$3: $1 is not above $2"; }

expect 0 train --data "$work/a.csv" --label-pieces --tokenizer new:400 "${shape[@]}" --steps 60 --out "$work/teacher"
teacher=$work/teacher/model.gguf
above "$(accuracy "$teacher")" 0.9 "the teacher"

# Text and logits; nine labels alone are worse.
pool=(--teacher "$teacher" --prompts "$work/pool.csv" --data "$work/few.csv" --labels "$work/labels.txt" "${shape[@]}" --steps 60)
expect 0 distill "${pool[@]}" --out "$work/soft"
said 'logits: .* of the 3 best labels'
expect 0 distill "${pool[@]}" --method seq --out "$work/hard"
expect 0 distill --teacher "$teacher" --data "$work/few.csv" "${shape[@]}" --steps 60 --method seq --out "$work/alone"
soft=$(accuracy "$work/soft/model.gguf") hard=$(accuracy "$work/hard/model.gguf") alone=$(accuracy "$work/alone/model.gguf")
above "$soft" 0.85 "the student by logits"
above "$hard" 0.85 "the student by text"
above "$soft" "$alone" "the pool"
same "$(sort -u <(python3 -c 'import json, sys; [print(json.loads(l)["label"]) for l in open(sys.argv[1])]' "$work/soft/answers.jsonl") | tr '\n' ' ')" "food music weather " "labels of the answers"
expect 0 eval -m "$work/soft/model.gguf" --against "$work/alone/model.gguf" --task "$work/test.csv" --classes
grep -q 'McNemar' "$work/out" || fail "no test of the difference"

# The same again makes no logits again, and the same bytes; a stale file is made anew.
cp "$work/soft/model.gguf" "$work/first.gguf"
cp "$work/soft/teacher.kd" "$work/kept.kd"
touch -d 2000-01-01 "$work/soft/teacher.kd"
expect 0 distill "${pool[@]}" --out "$work/soft" -t 1
[ "$(stat -c %Y "$work/soft/teacher.kd")" -lt 1000000000 ] || fail "logits that fit were made again"
cmp "$work/first.gguf" "$work/soft/model.gguf" || fail "the same command gives other bytes"
head -n 200 "$work/pool.csv" > "$work/less.csv"
expect 0 distill --teacher "$teacher" --prompts "$work/less.csv" --labels "$work/labels.txt" "${shape[@]}" --stop-after logits --out "$work/soft"
cmp -s "$work/kept.kd" "$work/soft/teacher.kd" && fail "stale logits were kept"

# A teacher that runs beside its student, which writes some of the answers itself; the same bytes for any threads.
live=(--teacher "$teacher" --data "$work/a.csv" "${shape[@]}" --steps 60 --method live --kd-alpha 1 --on-policy 0.3)
expect 0 distill "${live[@]}" --out "$work/live"
above "$(accuracy "$work/live/model.gguf")" 0.85 "the student beside its teacher"
cp "$work/live/model.gguf" "$work/live.gguf"
expect 0 distill "${live[@]}" --out "$work/live" -t 1
cmp "$work/live.gguf" "$work/live/model.gguf" || fail "threads change what a live teacher gives"
expect 2 distill "${pool[@]}" --on-policy 0.5 --out "$work/x"
said 'without --method live it does nothing'

# Refused by name.
expect 2 distill --prompts "$work/pool.csv" --out "$work/x"
said 'a teacher is needed'
expect 2 distill --teacher "$teacher" --out "$work/x"
said 'nothing to learn from'
expect 2 distill "${pool[@]}" --filter lenn:1-2 --out "$work/x"
said 'filter "lenn": unknown'
expect 3 distill --teacher "$teacher" --tokenizer "$models/llama.gguf" --prompts "$work/pool.csv" --labels "$work/labels.txt" --method logits "${shape[@]}" --out "$work/x"
said 'vocabulary mismatch'
printf 'lr: 1e-3\nkd-tmp: 2\n' > "$work/bad.yaml"
expect 2 distill --config "$work/bad.yaml" --out "$work/x"
said 'bad.yaml:2: key "kd-tmp"'
said 'did you mean "kd-temp"'
printf 'text,label\na,food\nb,\n' > "$work/bad.csv"
expect 3 distill --teacher "$teacher" --data "$work/bad.csv" --out "$work/x"
said 'bad.csv:3: "label" is empty'

# Behind HTTP: 429 and 500 first, dead after 60 answers; the next run asks for the rest only.
cat > "$work/server.py" <<'P'
import http.server, json, os, sys
words = {w: l for l, ws in {"weather": "rain sun wind cloud storm snow", "food": "bread soup rice cake apple fish", "music": "song band drum piano tune choir"}.items() for w in ws.split()}
n = good = 0
last = int(sys.argv[2])
class H(http.server.BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def do_POST(self):
        global n, good
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        n += 1
        status = 429 if n == 1 else 500 if n == 3 else 400 if good >= last else 200
        text = body["messages"][-1]["content"]
        answer = {"choices": [{"message": {"role": "assistant", "content": next(words[w] for w in text.split() if w in words)}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}
        good += status == 200
        with open(sys.argv[1] + ".new", "w") as f: f.write(str(good))
        os.rename(sys.argv[1] + ".new", sys.argv[1] + ".count") # before the answer: who has it, may read
        data = json.dumps(answer if status == 200 else {"error": {"message": "no"}}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if status == 429: self.send_header("Retry-After", "0.05")
        self.end_headers()
        self.wfile.write(data)
server = http.server.HTTPServer(("127.0.0.1", 0), H)
with open(sys.argv[1] + ".tmp", "w") as f: f.write(str(server.server_port))
os.rename(sys.argv[1] + ".tmp", sys.argv[1])
server.serve_forever()
P
serve() {
    rm -f "$work/port"
    python3 "$work/server.py" "$work/port" "$1" & server=$!
    for _ in $(seq 500); do [ -e "$work/port" ] && break; sleep 0.02; done
}
url() { echo "http://127.0.0.1:$(cat "$work/port")/v1"; }
export no_proxy=127.0.0.1
far=(--teacher-model big --tokenizer "$teacher" --prompts "$work/pool.csv" --labels "$work/labels.txt" "${shape[@]}" --steps 60 --out "$work/far")
trap 'kill $server 2> /dev/null || true; rm -rf "$work"' EXIT
serve 60
expect 6 distill --teacher-url "$(url)" "${far[@]}"
said 'status 400: "no"'
[ ! -e "$work/far/answers.jsonl" ] || fail "half of the answers were written"
same "$(cat "$work/port.count")" 60 "answers before the end"
kill $server
serve 100000
expect 0 distill --teacher-url "$(url)" "${far[@]}"
same "$(($(cat "$work/port.count") + 60))" "$(($(wc -l < "$work/pool.csv") - 1))" "answers asked once"
above "$(accuracy "$work/far/model.gguf")" 0.85 "a student of a teacher behind HTTP"
kill $server
