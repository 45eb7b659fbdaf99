#!/usr/bin/env bash
# The interactive session at a pseudo-terminal, and Ctrl-C: terminal.py says what is tried.
source "$(dirname "$0")/common.bash" "$@"
python3 "$root/tests/cli/terminal.py" "$slm" "$models/llama.gguf"
