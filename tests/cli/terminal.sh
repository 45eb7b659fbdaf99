#!/usr/bin/env bash
# The interactive session at a pseudo-terminal, and Ctrl-C: terminal.py says what is tried.
source "$(dirname "$0")/common.bash" "$@"
python3 "$root/tests/cli/add_template.py" "$models/llama.gguf" "$work/chat.gguf" \
    "{% for m in messages %}{% if m.content == 'no' %}{{ raise_exception('not that') }}{% endif %}[{{ m.role }}]{{ m.content }}[end]{% endfor %}[assistant]"
python3 "$root/tests/cli/terminal.py" "$slm" "$models/llama.gguf" "$work/chat.gguf"
