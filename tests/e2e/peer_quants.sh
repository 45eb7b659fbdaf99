#!/usr/bin/env bash
# Files of every type, plain and with errors carried, loaded by llama.cpp: its log-probabilities are those of slm on the same file. Skipped
# without SLM_PEER=.../peer.mjs (../shared/tools/peer with its packages installed) or a python with numpy (PYTHON).
# SLM_PEER_MODEL: a model to take instead of the shipped one, whose matrices have rows of 256 and more. One that was trained: the peer rounds
# activations to eight bits, for which predictions of random weights have ten times the divergence.
source "$(dirname "$0")/../cli/common.bash" "$@"
peer=${SLM_PEER:-} python=${PYTHON:-python3} shared=${SLM_SHARED:-$(cd "$(dirname "$0")/../.." && pwd)/../shared}
[ -n "$peer" ] && "$python" -c 'import numpy' 2> /dev/null || exit 77
model=${SLM_PEER_MODEL:-$root/models/tales.gguf}
head -c 60000 "$shared/data/text/tinystories-sample.txt" > "$work/text"
"$slm" tokenize -m "$model" -f "$work/text" --json | python3 -c 'import json, sys; json.dump(json.load(sys.stdin)["ids"][:200], sys.stdout)' > "$work/tokens.json"
"$slm" imatrix -m "$model" -f "$work/text" -c 256 --chunks 8 --hessian -o "$work/moments" 2> /dev/null
for type in Q8_0 Q6_K Q5_K_S Q5_1 Q5_0 Q4_K_S Q4_1 Q4_0 IQ4_NL IQ4_XS MXFP4 Q3_K_S IQ3_S IQ3_XXS Q2_K_S IQ2_S IQ2_XS IQ2_XXS IQ1_M IQ1_S TQ2_0 TQ1_0; do
    for how in "" "--imatrix $work/moments"; do
        "$slm" quantize "$model" "$work/q.gguf" $type --requantize $how > /dev/null 2>&1 || fail "$type $how: not written"
        SLM_MATMUL=f32 "$slm" logits -m "$work/q.gguf" --tokens "$work/tokens.json" -o "$work/ours.f32" || fail "$type: slm does not run it"
        node "$peer" logprobs "$work/q.gguf" "$work/tokens.json" "$work/peer.f32" || fail "$type: llama.cpp does not load it"
        "$python" - "$work" "$type $how" <<'P' || fail "$type $how: log-probabilities differ"
import json, sys
import numpy as np
work, label = sys.argv[1:]
n = len(json.load(open(work + "/tokens.json")))
ours, peer = (np.fromfile("%s/%s.f32" % (work, who), "<f4").reshape(n, -1).astype(np.float64) for who in ("ours", "peer"))
ours -= np.log(np.exp(ours - ours.max(-1, keepdims=True)).sum(-1, keepdims=True)) + ours.max(-1, keepdims=True)
p = np.exp(peer)
kl = (p * (peer - ours)).sum(-1).mean()  # wrong bytes give whole nats
print("%-60s KL %.6f, same best %.1f %%" % (label.split()[0] + (", errors carried" if "moments" in label else ""), kl, 100 * (ours.argmax(-1) == peer.argmax(-1)).mean()))
sys.exit(not abs(kl) < 0.003)
P
    done
done
