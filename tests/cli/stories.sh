#!/usr/bin/env bash
# slm run on a trained model equals llama.cpp's greedy continuation, for every instruction set, thread count and chunk.
source "$(dirname "$0")/common.bash" "$@"
m=$(shared data/models/stories260K.gguf) || exit 77
golden=$(shared golden/stories260K.json) || exit 77

n=$(json "$golden" 'len(d)')
isas=$("$slm" doctor --no-measure --json > "$work/doctor"; json "$work/doctor" '" ".join(sorted(set(d["kernels"].values())))')
for i in $(seq 0 $((n - 1))); do
    json "$golden" "d[$i]['prompt']" | head -c -1 > "$work/prompt"
    want=$(json "$golden" "json.dumps(d[$i]['ids'], separators=(',', ':'))")
    count=$(json "$golden" "len(d[$i]['ids'])")
    for isa in $isas; do
        for setting in "-t 1 --chunk 512" "-t 1 --chunk 1" "-t 2 --chunk 7" "-t 2 --chunk 512"; do
            # shellcheck disable=SC2086
            got=$(SLM_CPU=$isa "$slm" run -m "$m" --raw --temp 0 -n "$count" --ids -f "$work/prompt" $setting)
            same "$got" "$want" "prompt $i, $isa, $setting"
        done
    done
    json "$golden" "d[$i]['text']" > "$work/text"
    "$slm" run -m "$m" --raw --temp 0 -n "$count" -f "$work/prompt" -t 1 > "$work/plain"
    # the reference drops a space in front
    same "$(sed '1s/^ //' "$work/plain")" "$(cat "$work/text")" "text of prompt $i"
done

# More prompts, among themselves: sampled with a seed, one instruction set, all thread counts and chunks.
for prompt in "The big dog" "Tom and Sue went to the" "In the night, a small"; do
    want=$("$slm" run -m "$m" --raw -p "$prompt" -n 60 --seed 5 --ids -t 1)
    for setting in "-t 2" "-t 3 --chunk 2" "-t 1 --chunk 3"; do
        # shellcheck disable=SC2086
        same "$("$slm" run -m "$m" --raw -p "$prompt" -n 60 --seed 5 --ids $setting)" "$want" "\"$prompt\" $setting"
    done
done
echo "$n prompts equal the reference on: $isas"
