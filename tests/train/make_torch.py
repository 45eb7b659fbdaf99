#!/usr/bin/env python3
"""make_torch.py OUT.json -- fifty AdamW steps of PyTorch on tests/golden/logits/llama.gguf, for tests/train/test_torch.c.

Needs Debian's python3-torch. A Llama written here in PyTorch's own operations, in float64; sequences of different lengths run one by one. Gradients of
the first step are kept as their length and their products with four cosine waves."""
import json
import math
import pathlib
import random
import struct
import sys

import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
HERE = pathlib.Path(__file__).parent
MODEL = HERE.parent / "golden/logits/llama.gguf"
LENGTHS, STEPS, LR, BETAS, EPS, DECAY, CLIP = (40, 1, 17, 70), 50, 2e-3, (0.9, 0.95), 1e-8, 0.1, 1.0
SIZES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


def read_gguf(path):
    """Metadata and F32 tensors, in the file's order."""
    data, at = path.read_bytes(), 4

    def take(fmt):
        nonlocal at
        value = struct.unpack_from("<" + fmt, data, at)[0]
        at += struct.calcsize("<" + fmt)
        return value

    def text():
        nonlocal at
        n = take("Q")
        at += n
        return data[at - n:at].decode("utf-8", "replace")

    def value(kind):
        if kind == 8:
            return text()
        if kind == 9:
            inner, n = take("I"), take("Q")
            return [value(inner) for _ in range(n)]
        return take(SIZES[kind])

    take("I")
    n_tensor, n_kv = take("Q"), take("Q")
    meta = {}
    for _ in range(n_kv):
        key = text()
        meta[key] = value(take("I"))
    rows = []
    for _ in range(n_tensor):
        name, n_dim = text(), take("I")
        shape = [take("Q") for _ in range(n_dim)][::-1]
        assert take("I") == 0, "F32 only"
        rows.append((name, shape, take("Q")))
    align = meta.get("general.alignment", 32)
    base = (at + align - 1) // align * align
    return meta, {name: torch.frombuffer(bytearray(data[base + off:base + off + 4 * math.prod(shape)]), dtype=torch.float32).double().reshape(shape)
                  for name, shape, off in rows}


def forward(w, meta, ids):
    n_head, n_kv = meta["llama.attention.head_count"], meta["llama.attention.head_count_kv"]
    eps, base, n = meta["llama.attention.layer_norm_rms_epsilon"], meta["llama.rope.freq_base"], len(ids)
    norm = lambda x, name: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + eps) * w[name]
    x = w["token_embd.weight"][ids]
    d_head = x.shape[1] // n_head
    angle = torch.arange(n)[:, None] * base ** (-torch.arange(0, d_head, 2) / d_head)[None]
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]

    def rope(x):
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)

    mask = torch.full((n, n), -math.inf).triu(1)
    for i in range(meta["llama.block_count"]):
        p = f"blk.{i}."
        h = norm(x, p + "attn_norm.weight")
        q, k, v = (((h @ w[p + s + ".weight"].T).reshape(n, -1, d_head)) for s in ("attn_q", "attn_k", "attn_v"))
        q, k = rope(q), rope(k)
        k, v = (t.repeat_interleave(n_head // n_kv, 1) for t in (k, v))
        scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(d_head) + mask
        x = x + torch.einsum("hqk,khd->qhd", scores.softmax(-1), v).reshape(n, -1) @ w[p + "attn_output.weight"].T
        h = norm(x, p + "ffn_norm.weight")
        x = x + (torch.nn.functional.silu(h @ w[p + "ffn_gate.weight"].T) * (h @ w[p + "ffn_up.weight"].T)) @ w[p + "ffn_down.weight"].T
    return norm(x, "output_norm.weight") @ w.get("output.weight", w["token_embd.weight"]).T


def main():
    meta, w = read_gguf(MODEL)
    rng = random.Random(7)
    for t in w.values():
        t.requires_grad_(True)
    # As slm has it: vectors have no decay.
    optim = torch.optim.AdamW([{"params": [t for t in w.values() if t.dim() == 2], "weight_decay": DECAY},
                               {"params": [t for t in w.values() if t.dim() == 1], "weight_decay": 0}], lr=LR, betas=BETAS, eps=EPS)
    tokens = [[rng.randrange(meta["llama.vocab_size"]) for _ in range(n + 1)] for n in LENGTHS]
    weights = [[rng.choice([0.25, 0.5, 1, 2]) for _ in range(n)] for n in LENGTHS]
    out = {"tokens": tokens, "weights": weights, "steps": STEPS, "lr": LR, "beta1": BETAS[0], "beta2": BETAS[1], "eps": EPS, "decay": DECAY, "clip": CLIP, "losses": [], "gradients": {}}
    for step in range(STEPS):
        optim.zero_grad()
        loss = sum((torch.nn.functional.cross_entropy(forward(w, meta, t[:-1]), torch.tensor(t[1:]), reduction="none") * torch.tensor(u)).sum()
                   for t, u in zip(tokens, weights)) / sum(map(sum, weights))
        loss.backward()
        out["losses"].append(loss.item())
        if step == 0:
            for name, t in w.items():
                g, i = t.grad.flatten(), torch.arange(t.numel())
                out["gradients"][name] = [g.norm().item()] + [(g * torch.cos(0.7 + 1.3 * k + 0.61803 * (k + 1) * i)).sum().item() for k in range(4)]
        torch.nn.utils.clip_grad_norm_(list(w.values()), CLIP)
        optim.step()
    pathlib.Path(sys.argv[1]).write_text(json.dumps(out) + "\n")


main()
