#!/usr/bin/env bash
# slm convert and -m FOLDER: every golden model is turned into the Hugging Face folder it would have come from (tests/golden/make_hf.py)
# and back. Logits of the file, of the converted file and of the folder in place are the same bits. Then folders that are broken.
set -u
slm=$1 root=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
faults=0
fail() { echo "FAILED: $*" >&2; faults=$((faults + 1)); }
make_hf() { python3 "$root/tests/golden/make_hf.py" "$@"; }
# answer MODEL OUT: what it computes, as logits or as an embedding and the states of all tokens
answer() {
    if [ -n "$embeds" ]; then "$slm" embed -m "$1" --tokens -t 1 "$ids" > "$2" 2> "$work/err" && "$slm" embed -m "$1" --tokens -t 1 --pooling none "$ids" >> "$2" 2> "$work/err"
    else "$slm" logits -m "$1" --tokens "$ids" -o "$2" -t 1 --kv f32 2> "$work/err"; fi || { fail "$1: $(cat "$work/err")"; : > "$2"; }
}
ids=$(python3 -c "print([1] + [3 + i * i * 7 % 269 for i in range(79)])")

# there_and_back NAME FILE [make_hf options]: three ways to the same logits
there_and_back() {
    local name=$1 file=$2
    shift 2
    embeds=
    [ -e "${file%.gguf}.embeddings.f32" ] && embeds=yes
    rm -rf "$work/m" "$work/m.gguf"
    make_hf "$file" "$work/m" "$@" || { fail "$name: make_hf"; return; }
    "$slm" convert "$work/m" "$work/m.gguf" 2> "$work/err" || { fail "$name $*: $(cat "$work/err")"; return; }
    answer "$work/m.gguf" "$work/b.f32"
    answer "$work/m" "$work/c.f32"
    cmp -s "$work/b.f32" "$work/c.f32" || fail "$name $*: the folder in place differs from the converted file"
    [ -n "${changes_type:-}" ] && return
    answer "$file" "$work/a.f32"
    cmp -s "$work/a.f32" "$work/b.f32" || fail "$name $*: the converted file differs from the one the folder was made of"
}

n=0
for file in "$root"/tests/golden/models/*.gguf; do
    arch=$("$slm" inspect -m "$file" --json | python3 -c "import json,sys; print(json.load(sys.stdin)['metadata']['general.architecture'])")
    python3 "$root/tests/golden/make_hf.py" --knows "$arch" || continue
    case $(basename "$file") in
    qwen3-rank.gguf | gemma4-plain.gguf) continue ;; # no class holds them: Gemma 4's last layer has no window
    *-split.gguf | *-fused.gguf) continue ;;         # forms that only other writers choose
    esac
    there_and_back "$(basename "$file")" "$file"
    there_and_back "$(basename "$file")" "$file" --shards 3 --new-rope
    n=$((n + 1))
done
[ "$n" -ge 38 ] || fail "only $n golden models"
golden=$root/tests/golden/models
there_and_back gemma3 "$golden/gemma3-window.gguf" --nested
there_and_back gemma3 "$golden/gemma3-window.gguf" --nested --new-rope --prefix model.language_model. --head-prefix ""
there_and_back mistral3 "$golden/mistral3.gguf" --nested --shards 2
for model in qwen35 gemma3n gemma4; do there_and_back $model "$golden/$model.gguf" --nested --prefix model.language_model. --head-prefix "" --shards 2; done
there_and_back granite "$golden/granite.gguf" --granite-hybrid
there_and_back qwen3 "$golden/qwen3-tied.gguf" --prefix ""
there_and_back bert "$golden/bert.gguf" --old-norms --prefix bert.
there_and_back xlm-roberta "$golden/bert.gguf" --past-pad 1 --prefix roberta.
there_and_back modern-bert "$golden/modern-bert-rank.gguf" --prefix model.
for type in BF16 F16 F32; do
    changes_type=1 there_and_back llama "$golden/llama-biases.gguf" --type $type
    changes_type=1 there_and_back gemma3 "$golden/gemma3-window.gguf" --type $type
    changes_type=1 there_and_back phi2 "$golden/phi2-partial.gguf" --type $type
done

# gpt-oss: 4-bit blocks are kept as they are, and stand for the same floats as a folder of floats.
changes_type=1 there_and_back gpt-oss "$golden/gpt-oss-ramp.gguf" --mxfp4 blocks
"$slm" inspect -m "$work/m.gguf" | grep -q mxfp4 || fail "gpt-oss: no blocks in $("$slm" inspect -m "$work/m.gguf")"
"$slm" quantize "$work/m" "$work/1.gguf" F32 --requantize > /dev/null 2> "$work/err" || fail "gpt-oss: $(cat "$work/err")"
rm -rf "$work/m"
make_hf "$golden/gpt-oss-ramp.gguf" "$work/m" --mxfp4 rounded
"$slm" convert "$work/m" "$work/2.gguf" --type F32 2> "$work/err" || fail "gpt-oss: $(cat "$work/err")"
cmp -s "$work/1.gguf" "$work/2.gguf" || fail "gpt-oss: blocks are other floats"

# Types: converting to one is the same as converting and quantizing, and does not depend on threads.
rm -rf "$work/m"
make_hf "$golden/llama-factors.gguf" "$work/m" --type BF16
"$slm" convert "$work/m" "$work/auto.gguf" 2> "$work/err" || fail "auto: $(cat "$work/err")"
for type in F32 F16 BF16 Q8_0 Q4_0 Q4_K_M IQ4_NL; do
    "$slm" convert "$work/m" "$work/1.gguf" --type $type -t 1 2> "$work/err" || fail "type $type: $(cat "$work/err")"
    "$slm" convert "$work/m" "$work/2.gguf" --type $type -t 3 2> "$work/err" || fail "type $type: $(cat "$work/err")"
    cmp -s "$work/1.gguf" "$work/2.gguf" || fail "type $type: three threads write other bytes than one"
    "$slm" quantize "$work/auto.gguf" "$work/3.gguf" $type > /dev/null 2> "$work/err" || fail "quantize $type: $(cat "$work/err")"
    cmp -s "$work/1.gguf" "$work/3.gguf" || fail "type $type: slm quantize writes other bytes"
    "$slm" quantize "$work/m" "$work/3.gguf" $type > /dev/null 2> "$work/err" || fail "quantize $type of the folder: $(cat "$work/err")"
    cmp -s "$work/1.gguf" "$work/3.gguf" || fail "type $type: slm quantize of the folder writes other bytes"
done

# Broken folders: exit 3, one line that names the fault, no file.
# broken EXIT SAYS [PYTHON]: the code changes files of the folder d first
broken() {
    local want=$1 says=$2 code=${3:-}
    rm -rf "$work/m" "$work/out.gguf"
    make_hf "$golden/llama-biases.gguf" "$work/m" ${shards:+--shards "$shards"}
    python3 -c "import json, os, struct, sys
d = '$work/m/'
def config(**k):
    c = json.load(open(d + 'config.json')); c.update(k); json.dump(c, open(d + 'config.json', 'w'))
def header(change, name='model.safetensors'):
    b = open(d + name, 'rb').read(); n = struct.unpack('<Q', b[:8])[0]; h = json.loads(b[8:8 + n]); change(h); t = json.dumps(h).encode()
    open(d + name, 'wb').write(struct.pack('<Q', len(t)) + t + b[8 + n:])
$code" || fail "the change for \"$says\""
    "$slm" convert "$work/m" "$work/out.gguf" > "$work/out" 2> "$work/err"
    local rc=$?
    [ $rc = "$want" ] || fail "\"$says\": exit $rc instead of $want: $(cat "$work/err")"
    grep -q "^error: .*$says" "$work/err" || fail "\"$says\" is not in: $(cat "$work/err")"
    [ "$(grep -c ^error: "$work/err")" = 1 ] || fail "\"$says\": not one line: $(cat "$work/err")"
    [ -z "$(find "$work" -maxdepth 1 -name 'out.gguf*')" ] || fail "\"$says\": a file is left"
    "$slm" logits -m "$work/m" --tokens "[1]" -o "$work/c.f32" > /dev/null 2> "$work/err"
    rc=$?
    [ $rc = "$want" ] || fail "\"$says\": in place, exit $rc instead of $want: $(cat "$work/err")"
}
broken 3 'class "RwkvForCausalLM" is not supported' 'config(architectures=["RwkvForCausalLM"])'
broken 3 'key "num_experts" = 8 is unknown' 'config(num_experts=8)'
broken 3 'rope type "dynamic" is not supported' 'config(rope_scaling={"type": "dynamic", "factor": 2.0})'
broken 3 'tensor "model.layers.1.mlp.up_proj.weight" is missing' 'header(lambda h: h.update({"model.layers.1.mlp.other.weight": h.pop("model.layers.1.mlp.up_proj.weight")}))'
broken 3 'tensor "model.layers.0.mlp.gate.weight": has no place' 'header(lambda h: h.update({"model.layers.0.mlp.gate.weight": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}))'
broken 3 'blk.0.attn_v.weight" is \[12, 48\]' 'header(lambda h: h["model.layers.0.self_attn.v_proj.weight"].update(shape=[12, 48]))'
broken 3 'key "vocab_size" = 300, the embeddings have 272 rows' 'config(vocab_size=300)'
broken 3 'weights of type "I16" are not supported' 'header(lambda h: h["model.embed_tokens.weight"].update(dtype="I16"))'
broken 3 'cut short\|pass the' 'b = open(d + "model.safetensors", "rb").read(); open(d + "model.safetensors", "wb").write(b[:len(b) - 100])'
broken 3 'a Git LFS pointer' 'open(d + "model.safetensors", "w").write("version https://git-lfs.github.com/spec/v1\n")'
broken 3 'neither "model.safetensors" nor' 'os.remove(d + "model.safetensors")'
broken 3 'no JSON' 'open(d + "config.json", "w").write("{")'
broken 3 'config.json is not there' 'os.remove(d + "config.json")'
shards=2
index='i = json.load(open(d + "model.safetensors.index.json"))'
broken 3 'neither tokenizer.json nor tokenizer.model' 'os.remove(d + "tokenizer.model")'
broken 3 'shard 2 of 2' 'os.remove(d + "model-00002-of-00002.safetensors")'
broken 3 'a plain name ending in' "$index; i['weight_map']['lm_head.weight'] = '../lm_head.safetensors'; json.dump(i, open(d + 'model.safetensors.index.json', 'w'))"
broken 3 'is not in "model-00001-of-00002.safetensors"' "$index; i['weight_map']['other.weight'] = 'model-00001-of-00002.safetensors'; json.dump(i, open(d + 'model.safetensors.index.json', 'w'))"
unset shards

# Killed while it writes: nothing is left. The output is a pipe's worth slower than the kill.
make_hf "$golden/llama-biases.gguf" "$work/k"
mkdir "$work/kdir"
for delay in 0 0.002 0.01; do
    "$slm" convert "$work/k" "$work/kdir/k.gguf" 2> /dev/null & pid=$!
    sleep $delay
    kill -9 $pid 2> /dev/null
    wait $pid 2> /dev/null
    rm -f "$work/kdir/k.gguf"
    [ -z "$(ls "$work/kdir")" ] || fail "killed after $delay s: $(ls "$work/kdir") is left"
done

# Usage
"$slm" convert "$work/k" "$work/x.gguf" --type q9_9 2> "$work/err"; [ $? = 2 ] || fail "unknown type is no usage error"
"$slm" convert "$work/none" "$work/x.gguf" 2> "$work/err"; [ $? = 1 ] || fail "no folder"
"$slm" convert "$work/k" "$work/kdir" 2> "$work/err"; [ $? = 2 ] || fail "a folder as output"
"$slm" convert "$work/k" "$work/x.gguf" --json 2> /dev/null | python3 -c "import json,sys; r = json.load(sys.stdin); assert r['architecture'] == 'llama' and r['n_tensors'] > 10, r" || fail "--json"

echo "$n golden models there and back, $faults faults"
[ $faults = 0 ]
