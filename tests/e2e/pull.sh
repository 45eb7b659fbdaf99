#!/usr/bin/env bash
# slm pull and its kin against servers of our own on loopback: pull.py says what is tried.
source "$(dirname "$0")/../cli/common.bash" "$@"
python3 "$root/tests/e2e/pull.py" "$slm" "$models/llama.gguf"
