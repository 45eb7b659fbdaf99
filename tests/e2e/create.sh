#!/usr/bin/env bash
# slm create: Modelfiles, files, folders, adapters; what they say holds when the model runs. create.py says what is tried.
source "$(dirname "$0")/../cli/common.bash" "$@"
python3 "$root/tests/e2e/create.py" "$slm" "$models/llama.gguf" "$root"
