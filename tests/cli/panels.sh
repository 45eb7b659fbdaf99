#!/usr/bin/env bash
# Packed weights: every ISA gives the same bits, exact products are near, and the cache is written, used, and never trusted when it is not whole.
source "$(dirname "$0")/common.bash" "$@"
echo '[1, 300, 17, 42, 5, 9, 200, 77, 3, 8, 101, 404]' > "$work/ids.json"
logits() { # logits MODEL OUT
    "$slm" logits -m "$1" --tokens "$work/ids.json" -o "$2" 2> "$work/err" || fail "logits of $1: $(cat "$work/err")"
}
export SLM_CACHE=off
expect 0 quantize "$models/llama.gguf" "$work/m.gguf" q8_0
logits "$work/m.gguf" "$work/best.f32"
expect 0 doctor --no-measure --json
for isa in $(json "$work/out" '" ".join(d["isa_usable"])'); do
    # Products are bit-equal; norms, attention and activations are within the tolerances of tests/ops.
    SLM_CPU=$isa logits "$work/m.gguf" "$work/isa.f32"
    python3 - "$work/isa.f32" "$work/best.f32" 1e-2 <<'P' || fail "SLM_CPU=$isa"
import array, sys
a, b = (array.array("f", open(p, "rb").read()) for p in sys.argv[1:3])
assert len(a) == len(b) and max(abs(x - y) for x, y in zip(a, b)) < float(sys.argv[3])
P
done
SLM_MATMUL=f32 logits "$work/m.gguf" "$work/exact.f32"
python3 - "$work/exact.f32" "$work/best.f32" <<'P' || fail "products of rounded activations"
import array, sys
a, b = (array.array("f", open(p, "rb").read()) for p in sys.argv[1:3])
size = sum(x * x for x in a) ** 0.5
error = sum((x - y) ** 2 for x, y in zip(a, b)) ** 0.5
assert 0 < error < 0.03 * size, error / size
P
SLM_MATMUL=int4 expect 2 logits -m "$work/m.gguf" --tokens "$work/ids.json" -o "$work/x.f32"
said 'SLM_MATMUL "int4"'

# The cache.
export SLM_CACHE=$work/cache/slm
logits "$work/m.gguf" "$work/first.f32"
cmp "$work/first.f32" "$work/best.f32" || fail "packed and written"
for i in 1 2 3 4 5 6 7 8 9 10; do
    file=$(ls "$SLM_CACHE"/*.panels 2> /dev/null) && break
    sleep 0.1
done
[ -n "$file" ] || fail "no cache was written"
mapped() { SLM_TRACE=1 logits "$1" "$2" && grep -q "model.pack.*mapped" "$work/err"; }
mapped "$work/m.gguf" "$work/second.f32" || fail "the cache is not used"
cmp "$work/second.f32" "$work/best.f32" || fail "mapped"

# Cut short, or of another file: packed again.
truncate -s 5000 "$file"
mapped "$work/m.gguf" "$work/x.f32" && fail "a cache cut short is trusted"
cmp "$work/x.f32" "$work/best.f32" || fail "after a cache cut short"
sleep 0.2
printf 'x' | dd of="$file" bs=1 seek=3 conv=notrunc status=none
mapped "$work/m.gguf" "$work/x.f32" && fail "another header is trusted"
cmp "$work/x.f32" "$work/best.f32" || fail "after another header"
expect 0 quantize "$models/llama.gguf" "$work/m.gguf" q4_0
mapped "$work/m.gguf" "$work/x.f32" && fail "the cache of what the file was before is trusted"
# A bound on its bytes: what was used last stays, what is in use stays, what is not ours stays.
export SLM_CACHE=$work/bounded
wrote() { # wrote N: as many files are there, whole
    for i in 1 2 3 4 5 6 7 8 9 10; do
        [ "$(find "$SLM_CACHE" -name '????????????????.panels' | wc -l)" = "$1" ] && ! ls "$SLM_CACHE"/*.tmp-* > /dev/null 2>&1 && return 0
        sleep 0.1
    done
    fail "the cache has not $1 files: $(ls "$SLM_CACHE")"
}
for name in a b c; do cp "$work/m.gguf" "$work/$name.gguf"; done
logits "$work/a.gguf" "$work/x.f32"
wrote 1
bytes=$(du -B1 "$SLM_CACHE"/*.panels | cut -f1)
touch "$SLM_CACHE/notes.panels" "$SLM_CACHE/0123456789abcdef.panels.tmp-dead"
logits "$work/b.gguf" "$work/x.f32"
wrote 2 # notes.panels is not ours; the dead writer's file went
[ -e "$SLM_CACHE/notes.panels" ] && rm "$SLM_CACHE/notes.panels" || fail "a file that is not ours was removed"
mapped "$work/b.gguf" "$work/x.f32" || fail "the second model's cache is not there"
touch -d '1 hour ago' "$SLM_CACHE"/*.panels
mapped "$work/a.gguf" "$work/x.f32" || fail "the first model's cache is not there" # now b is the one used longest ago
export SLM_CACHE_MAX=$((bytes * 2 + bytes / 2))
logits "$work/c.gguf" "$work/x.f32"
wrote 2
mapped "$work/a.gguf" "$work/x.f32" || fail "what was used last was removed"
oldest=$(ls -tr "$SLM_CACHE"/*.panels | head -1)
SLM_CACHE_MAX=$((bytes + bytes / 2)) flock -s "$oldest" "$slm" logits -m "$work/b.gguf" --tokens "$work/ids.json" -o "$work/x.f32" || fail "logits with a file in use"
[ -e "$oldest" ] || fail "a file in use was removed"
SLM_CACHE_MAX=2x expect 2 logits -m "$work/m.gguf" --tokens "$work/ids.json" -o "$work/x.f32"
said 'SLM_CACHE_MAX "2x"'
unset SLM_CACHE_MAX

if [ "$(id -u)" = 0 ]; then touch "$work/plain"; SLM_CACHE=$work/plain/sub; else chmod 500 "$work/cache"; SLM_CACHE=$work/cache/other; fi
logits "$work/m.gguf" "$work/x.f32" # no folder: packed in memory
