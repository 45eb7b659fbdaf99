#!/bin/sh
# fuzz.sh BUILD_DIR RUNS: run every fuzz target RUNS times from its committed corpus; findings stop the script. The same runs each time
# (a seed, and no schedule that depends on the clock): other seeds are for the long runs by hand.
set -eu
build=$1 runs=$2
corpora=$(cd "$(dirname "$0")/../tests/fuzz/corpus" && pwd)
for target in "$build"/tests/fuzz_*; do
    [ -x "$target" ] || continue
    name=$(basename "$target" | sed 's/^fuzz_//')
    work=$(mktemp -d)
    "$target" -runs="$runs" -seed=1 -entropic=0 -max_len=8192 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 "$work" "$corpora/$name" > "$work.log" 2>&1 || {
        cat "$work.log"
        echo "fuzz $name: FAILED" >&2
        exit 1
    }
    echo "fuzz $name: $(awk '/number_of_executed_units/ {print $2}' "$work.log") runs, no finding"
    rm -rf "$work" "$work.log"
done
