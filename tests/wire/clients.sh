#!/usr/bin/env bash
# Official clients of npm, unchanged, against a live server. Skipped where node or the packages are not there:
# npm install in tests/wire/clients, or SLM_NODE_MODULES names a folder that has them.
slm=$1 root=$2
command -v node > /dev/null || { echo "skipped: node is not there"; exit 77; }
work=$(mktemp -d)
trap 'kill "$pid" 2> /dev/null; rm -rf "$work"' EXIT
cp "$root"/tests/wire/clients/*.mjs "$root/tests/wire/clients/package.json" "$work/"
ln -s "${SLM_NODE_MODULES:-$root/tests/wire/clients/node_modules}" "$work/node_modules"
SLM_CPU=ref "$slm" serve -m "tiny=$root/tests/golden/models/llama-linear.gguf" -m "bert=$root/tests/golden/models/bert.gguf" --template "$root/tests/wire/chat.jinja" \
    --listen 127.0.0.1:0 -t 1 2> "$work/log" &
pid=$!
for _ in $(seq 100); do grep -q listening "$work/log" && break; sleep 0.05; done
url=$(sed -n 's/^listening on //p' "$work/log")
node "$work/clients.mjs" "$url" tiny bert
code=$?
[ $code = 77 ] || { kill -TERM "$pid" && wait "$pid" || { echo "FAILED: the server's exit"; exit 1; }; }
exit $code
