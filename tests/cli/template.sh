#!/usr/bin/env bash
# slm template: prompts to the byte, errors as the template's author wrote them, and slm run through a model's template.
source "$(dirname "$0")/common.bash" "$@"

cat > "$work/t.jinja" <<'T'
{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>
{{ m.content }}{% if m.role not in ['user', 'assistant'] %}{{ raise_exception('Only user and assistant, not ' + m.role) }}{% endif %}
{% endfor %}
{% if add_generation_prompt %}<|assistant|>{% endif %}
{{ strftime_now('%d %b %Y') if today }}
T
echo '{"messages": [{"role": "user", "content": "héllo\nyou"}], "add_generation_prompt": true, "bos_token": "<s>"}' > "$work/in.json"
expect 0 template --template "$work/t.jinja" --input "$work/in.json"
same "$(cat "$work/out"; echo .)" $'<s><|user|>\nhéllo\nyou<|assistant|>.' "a prompt"
"$slm" template --template "$work/t.jinja" --input - < "$work/in.json" | cmp - "$work/out" || fail "input from a pipe"
echo '{"messages": [{"role": "system", "content": "x"}]}' > "$work/system.json"
expect 1 template --template "$work/t.jinja" --input "$work/system.json"
same "$(head -1 "$work/err")" "error: Only user and assistant, not system" "raise_exception"
echo '{"messages": [], "today": true}' > "$work/today.json"
SLM_NOW=2026-07-04T09:05:00 expect 0 template --template "$work/t.jinja" --input "$work/today.json"
same "$(cat "$work/out")" "04 Jul 2026" "SLM_NOW"
SLM_NOW=yesterday expect 2 template --template "$work/t.jinja" --input "$work/today.json"
said SLM_NOW
echo '{"messages": 5}' > "$work/five.json"
expect 1 template --template "$work/t.jinja" --input "$work/five.json"
said "template line 1: TypeError: 'int' object is not iterable"
echo '{% if %}' > "$work/bad.jinja"
expect 3 template --template "$work/bad.jinja" --input "$work/in.json"
said 'line 1: TemplateSyntaxError'
echo '[1' > "$work/bad.json"
expect 2 template --template "$work/t.jinja" --input "$work/bad.json"
expect 2 template --template "$work/t.jinja"
expect 2 template --input "$work/in.json"
expect 1 template --template "$work/none" --input "$work/in.json"
printf '%s' '{"chat_template": [{"name": "default", "template": "plain"}, {"name": "tool_use", "template": "with {{ tools|length }}"}]}' > "$work/config.json"
expect 0 template --template "$work/config.json" --input "$work/in.json"
same "$(cat "$work/out")" plain "a list of templates"
echo '{"tools": [{}]}' > "$work/tools.json"
expect 0 template --template "$work/config.json" --input "$work/tools.json"
same "$(cat "$work/out")" "with 1" "the template for tools"

# The same through a model: its template, its bos_token, its ids; then slm run takes that way too.
cat > "$work/add.py" <<'P'
import struct, sys
src, out, template = sys.argv[1:4]
b = open(src, "rb").read()
n, = struct.unpack_from("<Q", b, 16)
s = lambda t: struct.pack("<Q", len(t.encode())) + t.encode()
open(out, "wb").write(b[:16] + struct.pack("<Q", n + 1) + s("tokenizer.chat_template") + struct.pack("<I", 8) + s(template) + b[24:])
P
python3 "$root/tests/cli/make_vocab.py" "$work"
python3 "$work/add.py" "$work/bpe.gguf" "$work/chat.gguf" "{% for m in messages %}<|user|>{{ m.content }}<|end|>{% endfor %}"
echo '{"messages": [{"role": "user", "content": "a<|end|>"}]}' > "$work/guard.json"
expect 0 template -m "$work/chat.gguf" --input "$work/guard.json" --json
end=$("$slm" tokenize -m "$work/chat.gguf" --json '<|end|>' | python3 -c 'import json, sys; print(json.load(sys.stdin)["ids"][0])')
same "$(json "$work/out" "d['ids'].count($end)")" 1 "a user's special token"
same "$(json "$work/out" "d['prompt']")" '<|user|>a<|end|><|end|>' "the prompt"
expect 3 template -m "$work/bpe.gguf" --input "$work/guard.json"
said 'no chat template'

# A whole model.
python3 "$root/tests/cli/add_template.py" "$models/llama.gguf" "$work/run.gguf" \
    "{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}{% if not add_generation_prompt %}?{% endif %}{% if messages[0].content == 'no' %}{{ raise_exception('not this') }}{% endif %}"
expect 0 run -m "$work/run.gguf" -p hi -n 4 --temp 0 --ids
chat=$(cat "$work/out")
expect 0 run -m "$models/llama.gguf" -p 'user:hi;' -n 4 --temp 0 --ids --raw
same "$chat" "$(cat "$work/out")" "slm run through the template"
expect 0 run -m "$work/run.gguf" --system brief -p hi -n 4 --temp 0 --ids
chat=$(cat "$work/out")
expect 0 run -m "$models/llama.gguf" -p 'system:brief;user:hi;' -n 4 --temp 0 --ids --raw
same "$chat" "$(cat "$work/out")" "--system through the template"
expect 0 run -m "$models/llama.gguf" --system 'be' -p ' brief' -n 4 --temp 0 --ids --raw
expect 1 run -m "$work/run.gguf" -p no -n 4
said '^error: not this'
echo "templates: files, models, errors, run"
