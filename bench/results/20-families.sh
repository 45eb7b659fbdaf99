#!/usr/bin/env bash
# Every small family, every file they come in
set -euo pipefail
slm=build/slm shared=${SLM_SHARED:-../shared}
row() { printf "| %s | %s | \`%s\` |\n" "$1" "$2" "${3//|/\\|}"; }
tests() { ctest --test-dir build -R "$1" 2>&1 | awk '/tests passed/ {print}'; }
count() { python3 -c "import json, sys; d = json.load(open(sys.argv[1])); print(len(d if isinstance(d, list) else d['cases']))" "$1"; }

worst=$(build/tests/test_golden_logits 2> /dev/null | awk '/max .difference/ {if ($NF > w) w = $NF; if (!($2 in n)) {n[$2]; k++}} END {print w + 0, k}')
row "log-softmax of ${worst#* } models (14 recorded, the rest from our generator) against float64, every instruction set: largest difference" "${worst% *}" "build/tests/test_golden_logits"
row "embeddings: encoders against float64 and recorded references" "$(tests golden.embed)" "ctest --test-dir build -R golden.embed"
row "chat templates: $(count "$shared/golden/templates/cases.json") recorded cases and $(count tests/golden/templates/expected.json) of our own, to the byte or with jinja2's message" "$(tests golden.templates)" "ctest --test-dir build -R golden.templates"
row "random templates through slm and jinja2" "$(tests cli.template_random)" "ctest --test-dir build -R cli.template_random"
row "tokenizers: every recorded case, all vocabularies" "$(tests golden.tokenizers)" "ctest --test-dir build -R golden.tokenizers"
row "every block type decodes to ggml's floats, to the bit" "$(tests golden.quants)" "ctest --test-dir build -R golden.quants"
row "convert: every golden model as a Hugging Face folder and back, the folder run in place: the same bits" "$(tests e2e.convert)" "ctest --test-dir build -R e2e.convert"
row "published config.json files that parse" "$(python3 -c "import json; d = json.load(open('tests/unit/hf_configs.json')); print(len(d))") configurations, $(tests unit.hf)" "ctest --test-dir build -R unit.hf"

# Tokenizing 10 MB beside the npm package tokenizers, when it is there.
text=$(mktemp)
{ tar -xOzf "$shared/data/text/classics-fiction.tar.gz" 2> /dev/null || true; } | head -c 10000000 > "$text" # head leaves early
for vocab in llama-bpe qwen2; do
    out=$(node bench/tokenize.mjs "$shared/data/vocab/$vocab.gguf" "$text" 2> /dev/null | tail -1) || out="not measured: the npm package tokenizers is not installed"
    row "tokenizing 10 MB of fiction, \`$vocab\`, one thread, beside the npm package tokenizers, same ids" "${out//|//}" "node bench/tokenize.mjs $vocab.gguf TEXT"
done
rm -f "$text"
