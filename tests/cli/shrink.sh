#!/usr/bin/env bash
# slm quantize, imatrix, perplexity: types and metadata, whole files or none, the same bytes at any thread count.
source "$(dirname "$0")/common.bash" "$@"
model=$models/llama.gguf
python3 - "$work/text" <<'P'
import random, sys
random.seed(4)
words = "the a small dog ran to its friend and said hello then they went home happy day sun tree".split()
open(sys.argv[1], "w").write(" ".join(random.choice(words) for _ in range(3000)))
P

# Types, sizes, metadata.
expect 0 quantize "$model" "$work/q8.gguf" q8_0 --json
same "$(json "$work/out" 'd["type"]')" "Q8_0" "type"
expect 0 inspect -m "$work/q8.gguf" --json
same "$(json "$work/out" 'd["metadata"]["general.file_type"], d["metadata"]["general.quantization_version"], d["metadata"]["llama.embedding_length"]')" "(7, 2, 64)" "metadata"
same "$(json "$work/out" 'sorted({t["dtype"] for t in d["tensors"] if t["name"].endswith("_norm.weight")} | {t["dtype"] for t in d["tensors"] if "ffn_up" in t["name"]})')" "['f32', 'q8_0']" "types"
expect 0 quantize "$model" "$work/dry.gguf" Q4_K_M --dry-run --tensor 'attn_[qk]=q6_k' --tensor 'ffn=f16' --json
[ ! -e "$work/dry.gguf" ] || fail "--dry-run writes"
same "$(json "$work/out" '[(t["to"], t["fallback"]) for t in d["tensors"] if t["name"] in ("blk.0.attn_q.weight", "blk.0.attn_v.weight", "blk.1.ffn_up.weight")]')" \
    "[('q8_0', True), ('q5_0', True), ('f16', False)]" "overrides and rows that do not fit"
expect 0 quantize "$model" "$work/o.gguf" Q4_K_M
said 'does not divide'

# What is read is not written to, by whatever name.
mkdir "$work/one" && cp "$model" "$work/one/m.gguf"
ln -s m.gguf "$work/one/sym.gguf"
ln "$work/one/m.gguf" "$work/one/hard.gguf"
for to in m sym hard; do
    expect 2 quantize "$work/one/m.gguf" "$work/one/$to.gguf" Q8_0
    said 'is a file that is read, by this name or another'
done
cmp "$model" "$work/one/m.gguf" && [ -L "$work/one/sym.gguf" ] || fail "the source was written to"
same "$(ls "$work/one" | tr '\n' ' ')" "hard.gguf m.gguf sym.gguf " "what lies beside it"

# Somebody else writes to it, or cuts it short, while it is read: an error in words, and no output. The program waits for a text meanwhile.
python3 - "$slm" "$work/one/m.gguf" "$work/one/out.gguf" "$work/text" "$model" <<'P' || fail "a source that changes"
import os, shutil, subprocess, sys, time
slm, source, out, text, model = sys.argv[1:]
def meanwhile(change, want):
    shutil.copyfile(model, source)
    p = subprocess.Popen([slm, "quantize", source, out, "Q8_0", "-t", "2", "--calibrate", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    def reads():  # it is mapped, and SIGBUS (7) caught
        caught = [l.split()[1] for l in open(f"/proc/{p.pid}/status") if l.startswith("SigCgt")]
        return os.path.realpath(source) in open(f"/proc/{p.pid}/maps").read() and int(caught[0], 16) >> 6 & 1
    while not reads():
        if p.poll() is not None: sys.exit(p.stderr.read().decode())
        time.sleep(0.01)
    time.sleep(0.2)
    change()
    said = p.communicate(open(text, "rb").read())[1].decode()
    if p.returncode != 1 or want not in said or os.path.exists(out): sys.exit(f"{change.__name__}: {p.returncode} {said}")
def cut(): os.truncate(source, 20000)
def write():
    with open(source, "r+b") as f: f.seek(-1, 2); f.write(b"x")
meanwhile(cut, "another program has made it shorter")
meanwhile(write, "another program has written to it")
P
rm -r "$work/one"

# The same bytes for every number of threads.
for t in 1 2 5; do
    "$slm" quantize "$model" "$work/t$t.gguf" Q4_0 -t $t > /dev/null
    cmp "$work/t1.gguf" "$work/t$t.gguf" || fail "$t threads change bytes"
done

# Refused, with nothing written.
expect 2 quantize "$model" "$work/no.gguf" Q4_K_X
said 'did you mean "Q4_K_M"'
expect 2 quantize "$model" "$work/no.gguf" Q4_0 --tensor 'ffn=q4_z'
expect 2 quantize "$model" "$work/no.gguf" Q4_0 --tensor '(ffn=q4_0'
said 'tensor pattern'
expect 3 quantize "$work/q8.gguf" "$work/no.gguf" Q4_0
said 'requantize'
expect 0 quantize "$work/q8.gguf" "$work/re.gguf" Q4_0 --requantize
python3 - "$model" "$work/nan.gguf" <<'P'
import struct, sys
b = bytearray(open(sys.argv[1], "rb").read())
b[-40:-36] = struct.pack("<f", float("nan"))
open(sys.argv[2], "wb").write(b)
P
expect 3 quantize "$work/nan.gguf" "$work/no.gguf" Q8_0
said 'not finite'
( ulimit -f 100; expect 1 quantize "$model" "$work/no.gguf" F16; said 'write' )
ls "$work" | grep -E 'no\.gguf|tmp-' && fail "something was left behind"
# A disk that is full, where one can be made.
if unshare -m true 2> /dev/null; then
    mkdir "$work/tiny"
    unshare -m bash -c 'mount -t tmpfs -o size=64k none "$1" && ! "$2" quantize "$3" "$1/no.gguf" F16 > /dev/null 2> "$4" && [ -z "$(ls -A "$1")" ]' \
        - "$work/tiny" "$slm" "$model" "$work/err" || fail "a full disk: success, or something left behind"
    said 'No space left'
    said 'no.gguf'
else
    echo "not tried: a full disk (no right to mount one)" >&2
fi
# Killed at a random moment: a whole file or none.
for i in 1 2 3 4; do
    "$slm" quantize "$model" "$work/k$i.gguf" Q5_K_M > /dev/null 2>&1 & pid=$!
    sleep 0.0$i
    kill -9 $pid 2> /dev/null || true
    wait $pid 2> /dev/null || true
    [ ! -e "$work/k$i.gguf" ] || expect 0 inspect -m "$work/k$i.gguf"
done

# Perplexity and divergence.
expect 0 perplexity -m "$model" -f "$work/text" -c 64 --save-logits "$work/base.logp" --json
cp "$work/out" "$work/p1"
expect 0 perplexity -m "$model" -f "$work/text" -c 64 --kl "$work/base.logp" --json -t 2
same "$(json "$work/out" 'd["perplexity"]')" "$(json "$work/p1" 'd["perplexity"]')" "perplexity at two thread counts"
same "$(json "$work/out" 'd["kl"]["mean"] < 1e-6, d["top1_agreement"]')" "(True, 1.0)" "divergence from itself"
same "$(json "$work/out" 'd["n_scored"] == d["n_chunk"] * 31, d["perplexity_interval"][0] < d["perplexity"] < d["perplexity_interval"][1]')" "(True, True)" "counts"
expect 0 perplexity -m "$work/t1.gguf" -f "$work/text" -c 64 --kl "$work/base.logp" --json
same "$(json "$work/out" '1e-5 < d["kl"]["mean"] < 1 and d["kl"]["median"] <= d["kl"]["p99"] <= d["kl"]["max"]')" "True" "divergence of Q4_0"
expect 2 perplexity -m "$model" -f "$work/text" -c 32 --kl "$work/base.logp"
said 'another text'
head -c 100000 "$work/base.logp" > "$work/cut.logp"
expect 3 perplexity -m "$model" -f "$work/text" -c 64 --kl "$work/cut.logp"
expect 3 perplexity -m "$model" -f "$work/text" -c 64 --kl "$model"
echo short > "$work/short"
expect 2 perplexity -m "$model" -f "$work/short"
said 'shorter than a chunk'

# Importance: interrupted and continued gives the same bytes; and it is used.
expect 0 imatrix -m "$model" -f "$work/text" -c 64 -o "$work/whole.im" --json
n=$(json "$work/out" 'd["n_chunk"]')
expect 0 imatrix -m "$model" -f "$work/text" -c 64 -o "$work/parts.im" --chunks 3 -t 1
expect 0 imatrix -m "$model" -f "$work/text" -c 64 -o "$work/parts.im" -t 2
cmp "$work/whole.im" "$work/parts.im" || fail "a continued imatrix differs"
expect 2 imatrix -m "$model" -f "$work/text" -c 32 -o "$work/parts.im"
expect 0 inspect -m "$work/whole.im" --json
same "$(json "$work/out" 'd["metadata"]["general.type"], d["metadata"]["imatrix.chunk_count"] == '$n', d["metadata"]["imatrix.chunk_size"], sum(t["name"] == "blk.2.ffn_down.weight.in_sum2" for t in d["tensors"])')" \
    "('imatrix', True, 64, 1)" "imatrix"
expect 0 quantize "$model" "$work/im.gguf" Q4_0 --imatrix "$work/whole.im"
cmp -s "$work/im.gguf" "$work/t1.gguf" && fail "the imatrix changes nothing"
expect 3 quantize "$model" "$work/no.gguf" Q4_0 --imatrix "$model"
said 'imatrix'
expect 3 quantize "$models/gemma2.gguf" "$work/no.gguf" Q4_0 --imatrix "$work/whole.im"
said 'another model'

# The older binary form of the same sums gives the same file; one that is cut is refused.
python3 - "$work/whole.im" "$work/old.dat" <<'P'
import struct, sys
b = open(sys.argv[1], "rb").read()
n_tensor, n_kv = struct.unpack("<QQ", b[8:24])
at = 24
def string():
    global at
    n, = struct.unpack_from("<Q", b, at); at += 8 + n
    return b[at - n:at]
def value(kind):
    global at
    if kind == 8: return string()
    if kind == 9:
        sub, n = struct.unpack_from("<IQ", b, at); at += 12
        return [value(sub) for _ in range(n)]
    at += 4
    return struct.unpack_from("<I", b, at - 4)[0]
for _ in range(n_kv):
    string(); kind, = struct.unpack_from("<I", b, at); at += 4; value(kind)
tensors = {}
for _ in range(n_tensor):
    name = string(); n_dim, = struct.unpack_from("<I", b, at); dims = struct.unpack_from("<%dQ" % n_dim, b, at + 4); at += 4 + 8 * n_dim
    kind, offset = struct.unpack_from("<IQ", b, at); at += 12
    tensors[name] = (dims, offset)
base = (at + 31) // 32 * 32
out = []
for name, (dims, offset) in tensors.items():
    if not name.endswith(b".in_sum2"): continue
    sums = b[base + offset:base + offset + 4 * dims[0] * dims[1]]
    count, = struct.unpack_from("<f", b, base + tensors[name[:-8] + b".counts"][1])
    out.append(struct.pack("<i", len(name) - 8) + name[:-8] + struct.pack("<ii", int(count), dims[0] * dims[1]) + sums)
open(sys.argv[2], "wb").write(struct.pack("<i", len(out)) + b"".join(out) + struct.pack("<ii", 3, 4) + b"text")
P
expect 0 quantize "$model" "$work/im2.gguf" Q4_0 --imatrix "$work/old.dat"
expect 0 inspect -m "$work/im2.gguf" --json
same "$(json "$work/out" 'd["metadata"]["quantize.imatrix.chunks_count"], d["metadata"]["quantize.imatrix.dataset"]')" "(3, 'text')" "the older form's metadata"
cmp <(tail -c 100000 "$work/im.gguf") <(tail -c 100000 "$work/im2.gguf") || fail "the older form of an imatrix gives other weights"
for n in 3 40 1000; do
    head -c $n "$work/old.dat" > "$work/cut.dat"
    expect 3 quantize "$model" "$work/no.gguf" Q4_0 --imatrix "$work/cut.dat"
    said 'older form'
done
expect 2 imatrix -m "$model" -f "$work/text" -c 64 -o "$work/old.dat"
said 'older form'

# How inputs go together: continued to the same bytes; carried errors hurt less; the same bytes from --calibrate.
expect 0 imatrix -m "$model" -f "$work/text" -c 64 -o "$work/whole.h" --hessian
expect 0 imatrix -m "$model" -f "$work/text" -c 64 -o "$work/parts.h" --hessian --chunks 2 -t 1
expect 2 imatrix -m "$model" -f "$work/text" -c 64 -o "$work/parts.h"
said 'begun with --hessian'
expect 0 imatrix -m "$model" -f "$work/text" -c 64 -o "$work/parts.h" --hessian -t 2
cmp "$work/whole.h" "$work/parts.h" || fail "a continued imatrix with moments differs"
expect 0 quantize "$model" "$work/plain.gguf" IQ4_NL --imatrix "$work/whole.h" --no-carry
expect 0 quantize "$model" "$work/plain2.gguf" IQ4_NL --imatrix "$work/whole.im"
cmp "$work/plain.gguf" "$work/plain2.gguf" || fail "--no-carry is not what it was without moments"
expect 0 quantize "$model" "$work/carry1.gguf" IQ4_NL --imatrix "$work/whole.h" -t 1
expect 0 quantize "$model" "$work/carry2.gguf" IQ4_NL --imatrix "$work/whole.h" -t 3
cmp "$work/carry1.gguf" "$work/carry2.gguf" || fail "threads change carried bytes"
for f in plain carry1; do
    expect 0 perplexity -m "$work/$f.gguf" -f "$work/text" -c 64 --kl "$work/base.logp" --json
    json "$work/out" 'd["kl"]["mean"]' > "$work/$f.kl"
done
same "$(awk '{a[NR] = $1} END {print (a[1] < 0.9 * a[2])}' "$work/carry1.kl" "$work/plain.kl")" "1" "divergence with errors carried"
expect 0 quantize "$model" "$work/cal.gguf" IQ4_NL --calibrate "$work/text"
expect 2 quantize "$model" "$work/no.gguf" IQ4_NL --calibrate "$work/text" --imatrix "$work/whole.h"
expect 2 quantize "$model" "$work/no.gguf" IQ4_NL --calibrate "$work/short"
for t in 1 3; do expect 0 quantize "$model" "$work/self$t.gguf" IQ4_NL --calibrate-self -t $t; done
cmp "$work/self1.gguf" "$work/self3.gguf" || fail "threads change what is calibrated on the model's own text"
cmp -s "$work/self1.gguf" "$work/cal.gguf" && fail "the model's own text counts for nothing"
expect 0 inspect -m "$work/self1.gguf" --json
same "$(json "$work/out" 'd["metadata"]["quantize.imatrix.dataset"]')" "what the model itself writes" "the text's name"
expect 2 quantize "$model" "$work/no.gguf" IQ4_NL --calibrate-self --calibrate "$work/text"
said 'calibrate-self'

# Budgets: near the target, under it, and better than one type of the same size.
for b in 4.7bpw 6bpw; do
    expect 0 quantize "$model" "$work/b.gguf" --budget $b -f "$work/text" --json
    same "$(json "$work/out" "0.98 * ${b%bpw} < d['bits_per_weight'] <= ${b%bpw}")" "True" "bits under $b"
done
expect 0 quantize "$model" "$work/b.gguf" --budget 130kB -f "$work/text" --json
n=$(wc -c < "$work/b.gguf")
[ "$n" -le 130000 ] && [ "$n" -gt 127400 ] || fail "$n bytes under a budget of 130kB"
expect 0 quantize "$model" "$work/b.gguf" --budget 'kl<=0.0005' -f "$work/text" --json
same "$(json "$work/out" 'd["score"]["kl"] < d["score"]["kl_upper"] <= 0.0005')" "True" "divergence under the budget"
expect 0 quantize "$model" "$work/b.gguf" --budget 4.7bpw -f "$work/text" --calibrate "$work/text" --json
same "$(json "$work/out" "0.98 * 4.7 < d['bits_per_weight'] <= 4.7")" "True" "bits under a budget, calibrated"
expect 0 quantize "$model" "$work/b.gguf" Q4_1 -f "$work/text" --tensor '(attn_[qkvo]|ffn_[gud]|embd|output\.)=q4_1' --report --json
cp "$work/out" "$work/q4_1"
bpw=$(json "$work/q4_1" 'd["bits_per_weight"]')
expect 0 quantize "$model" "$work/b2.gguf" --budget "${bpw}bpw" -f "$work/text" --json
same "$(json "$work/out" 'd["score"]["kl"]' | awk -v other="$(json "$work/q4_1" 'd["score"]["kl"]')" '{print ($1 < other)}')" "1" "a budget's mix against one type of its size"
# The report is in the file and beside it.
expect 0 inspect -m "$work/b.gguf" --json
same "$(json "$work/out" '0 < d["metadata"]["slm.report.kl"] < 1 and d["metadata"]["slm.report.text"].endswith("text")')" "True" "report in the metadata"
expect 0 inspect -m "$work/b.gguf"
grep -q '^measured .*KL divergence 0\.[0-9]* nats.*predictions of ".*text"$' "$work/out" || fail "inspect does not show the report"
grep -q 'KL divergence' "$work/b.gguf.md" || fail "no card"
python3 -c 'import sys, xml.dom.minidom as x; x.parse(sys.argv[1])' "$work/b.gguf.svg" || fail "the picture is no XML"
expect 0 quantize "$model" "$work/b3.gguf" --budget 5bpw
said 'the model itself writes'
expect 2 quantize "$model" "$work/no.gguf" --budget 1bpw -f "$work/text"
said 'smallest types'
expect 2 quantize "$model" "$work/no.gguf" --budget fast
expect 2 quantize "$model" "$work/no.gguf" Q4_0 --budget 5bpw
expect 2 quantize "$model" "$work/no.gguf"
[ ! -e "$work/no.gguf" ] || fail "a refused run writes"
exit 0
