#!/usr/bin/env bash
# The page at / in headless Chromium. Skipped where node, playwright-core or Chromium are not there.
slm=$1 root=$2
command -v node > /dev/null || { echo "skipped: node is not there"; exit 77; }
for name in chromium-headless-shell chromium chromium-browser google-chrome; do browser=$(command -v "$name") && break; done
[ -n "${browser:-}" ] || { echo "skipped: Chromium is not there"; exit 77; }
work=$(mktemp -d)
trap 'kill "$pid" 2> /dev/null; rm -rf "$work"' EXIT
cp "$root"/tests/wire/clients/page.mjs "$root/tests/wire/clients/package.json" "$work/"
ln -s "${SLM_NODE_MODULES:-$root/tests/wire/clients/node_modules}" "$work/node_modules"
SLM_CPU=ref "$slm" serve -m "tiny=$root/tests/golden/models/llama-linear.gguf" --template "$root/tests/wire/chat.jinja" --listen 127.0.0.1:0 -t 1 2> "$work/log" &
pid=$!
for _ in $(seq 100); do grep -q listening "$work/log" && break; sleep 0.05; done
timeout 120 node "$work/page.mjs" "$(sed -n 's/^listening on //p' "$work/log")" "$browser"
