#!/usr/bin/env bash
# Pulling, keeping, making models by name
#
# Registry and hub are on loopback, with faults; each row is a test of tests/e2e or tests/wire with more of it. SLM_TEST_KILLS, SLM_TEST_CUTS: how much more.
set -uo pipefail
slm=build/slm
export SLM_TEST_KILLS=${SLM_TEST_KILLS:-200} SLM_TEST_CUTS=${SLM_TEST_CUTS:-60} SLM_TEST_SLOW=1
row() { printf "| %s | %s | \`%s\` |\n" "$1" "$2" "${3//|/\\|}"; }
pull() { # TEST: what it says
    timeout 560 python3 tests/e2e/pull.py "$slm" tests/golden/logits/llama.gguf "$1" 2> /dev/null | sed -n 's/^   //p' | paste -sd ';' | sed 's/;/; /g; s/^$/not had/'
}
row "pull killed at random moments and begun again, until it is whole: bytes fetched twice, as its server counts them" "$(pull test_kills)" "SLM_TEST_KILLS=$SLM_TEST_KILLS python3 tests/e2e/pull.py build/slm tests/golden/logits/llama.gguf test_kills"
row "connection cut at a byte" "$(pull test_cut_at_any_byte)" "SLM_TEST_CUTS=$SLM_TEST_CUTS ... test_cut_at_any_byte"
row "slow, and standing still" "$(pull test_slow)" "SLM_TEST_SLOW=1 ... test_slow"
row "429, 500, 403, no ranges, gzip, another page, wrong hash, wrong length, endless, another range, changed tag" "$(pull test_faults)" "... test_faults"
row "two processes pull one model" "$(pull test_two_processes)" "... test_two_processes"
row "\`--dry-run\`: size, memory, licence from the head of the file" "$(pull test_dry_run)" "... test_dry_run"
row "files of Ollama, llama.cpp and Hugging Face's tools" "$(pull test_other_caches)" "... test_other_caches"
row "Modelfiles, folders, adapters, templates, refused recipes" "$(timeout 300 bash tests/e2e/create.sh "$slm" . | grep -c "^ok") tests pass" "ctest --test-dir build -R e2e.create"
said=$(timeout 300 bash tests/wire/store.sh "$slm" . 2>&1) && passed=yes || passed=no
row "Ollama's API over the store: $(ls tests/wire/transcripts/store | wc -l) transcripts, who may pull, large and broken bodies, a client that leaves" "pass: $passed" "ctest --test-dir build -R wire.store"
row "the official client of npm, unchanged" "$(sed -n 's/^ollama: //p; s/^skipped.*/not had: the package is not there/p' <<< "$said")" "node tests/wire/clients/store.mjs"
package=$(timeout 300 sh tools/deb.sh build build) && row "the Debian package" "$(wc -c < "$package") bytes, $(dpkg-deb --field "$package" Installed-Size) KiB installed" "make deb"
exit 0
