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

# A whole model: the file's tensors move when a key is added, so it is written anew.
python3 - "$models/llama.gguf" "$work/run.gguf" <<'P'
import struct, sys
b = open(sys.argv[1], "rb").read()
version, n_tensor, n_kv = struct.unpack_from("<IQQ", b, 4)
at = 24
sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
def skip(kind, at):
    if kind == 8:
        return at + 8 + struct.unpack_from("<Q", b, at)[0]
    if kind == 9:
        item, n = struct.unpack_from("<IQ", b, at)
        at += 12
        for _ in range(n):
            at = skip(item, at)
        return at
    return at + sizes[kind]
for _ in range(n_kv):
    at += 8 + struct.unpack_from("<Q", b, at)[0]
    at = skip(struct.unpack_from("<I", b, at)[0], at + 4)
kv_end = at
for _ in range(n_tensor):
    at += 8 + struct.unpack_from("<Q", b, at)[0]
    at += 4 + 8 * struct.unpack_from("<I", b, at)[0] + 4 + 8
s = lambda t: struct.pack("<Q", len(t)) + t
key = s(b"tokenizer.chat_template") + struct.pack("<I", 8) + s(b"{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}{% if not add_generation_prompt %}?{% endif %}{% if messages[0].content == 'no' %}{{ raise_exception('not this') }}{% endif %}")
align = 32
head = b[:16] + struct.pack("<Q", n_kv + 1) + b[24:kv_end] + key + b[kv_end:at]
head += b"\0" * (-len(head) % align)
open(sys.argv[2], "wb").write(head + b[at + (-at % align):])
P
expect 0 run -m "$work/run.gguf" -p hi -n 4 --temp 0 --ids
chat=$(cat "$work/out")
expect 0 run -m "$models/llama.gguf" -p 'user:hi;' -n 4 --temp 0 --ids --raw
same "$chat" "$(cat "$work/out")" "slm run through the template"
expect 1 run -m "$work/run.gguf" -p no -n 4
said '^error: not this'
echo "templates: files, models, errors, run"
