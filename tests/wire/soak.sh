#!/usr/bin/env bash
# Every kind of request at full load for SLM_SOAK seconds (6), the same before a gateway with its jobs and reports, then SLM_DROPS connections (300) dropped in the middle of a stream: nothing is lost or left.
set -euo pipefail
model=$2/tests/golden/models/llama-linear.gguf
python3 "$(dirname "$0")/soak.py" "$1" "$model" --seconds "${SLM_SOAK:-6}"
python3 "$(dirname "$0")/soak.py" "$1" "$model" --seconds "${SLM_SOAK:-6}" --clients 12 --gateway
python3 "$(dirname "$0")/soak.py" "$1" "$model" --drops "${SLM_DROPS:-300}"
