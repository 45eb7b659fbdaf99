#!/usr/bin/env python3
"""train_torch.py THREADS SECONDS -- the steps of bench/train.c in PyTorch: same models, same batches, same optimizer; lines "NAME tokens/s tokens/CPU-s".

Debian's python3-torch, a build without MKL that multiplies by whichever BLAS is installed (libopenblas0-pthread): a slow build of PyTorch."""
import math
import sys
import time

import torch
import torch.nn.functional as F

N_TOK, N_VOCAB = 2048, 2048
SIZES = {"1m": (128, 4, 4, 2, 344), "3.5m": (256, 4, 8, 4, 688)}
WORKS = {"task": (32, True), "text": (256, False)}


def forward(w, shape, ids, cos, sin, mask, last_only):
    d, n_layer, n_head, n_kv, _ = shape
    b, n = ids.shape
    norm = lambda x, g: x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-5) * g

    def rope(x):
        a, c = x[..., 0::2], x[..., 1::2]
        return torch.stack([a * cos - c * sin, a * sin + c * cos], -1).flatten(-2)

    x = F.embedding(ids, w["embd"])
    for i in range(n_layer):
        p = w[i]
        h = norm(x, p["n1"])
        q = rope((h @ p["q"].T).view(b, n, n_head, -1).transpose(1, 2))
        k = rope((h @ p["k"].T).view(b, n, n_kv, -1).transpose(1, 2)).repeat_interleave(n_head // n_kv, 1)
        v = (h @ p["v"].T).view(b, n, n_kv, -1).transpose(1, 2).repeat_interleave(n_head // n_kv, 1)
        s = (q @ k.transpose(-1, -2)) / math.sqrt(d // n_head) + mask
        x = x + (s.softmax(-1) @ v).transpose(1, 2).reshape(b, n, d) @ p["o"].T
        h = norm(x, p["n2"])
        x = x + (F.silu(h @ p["gate"].T) * (h @ p["up"].T)) @ p["down"].T
    if last_only:
        x = x[:, -1:]
    return norm(x, w["norm"]) @ w["embd"].T


def main():
    threads, seconds = int(sys.argv[1]), float(sys.argv[2])
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    for size, shape in SIZES.items():
        d, n_layer, n_head, n_kv, ff = shape
        kv = d // n_head * n_kv
        mat = lambda r, c: (torch.randn(r, c) / math.sqrt(c)).requires_grad_(True)
        one = lambda: torch.ones(d, requires_grad=True)
        for work, (length, last_only) in WORKS.items():
            w = {"embd": mat(N_VOCAB, d), "norm": one()}
            for i in range(n_layer):
                w[i] = {"n1": one(), "n2": one(), "q": mat(d, d), "k": mat(kv, d), "v": mat(kv, d), "o": mat(d, d), "gate": mat(ff, d), "up": mat(ff, d), "down": mat(d, ff)}
            params = [w["embd"], w["norm"]] + [t for i in range(n_layer) for t in w[i].values()]
            optim = torch.optim.AdamW(params, lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1)
            ids = torch.randint(N_VOCAB, (N_TOK // length, length))
            target = torch.randint(N_VOCAB, (N_TOK // length, 1 if last_only else length))
            angle = torch.arange(length)[:, None] * 10000 ** (-torch.arange(0, d // n_head, 2) / (d // n_head))[None]
            mask = torch.full((length, length), -math.inf).triu(1)
            wall = cpu = n = 0
            step = -2
            while wall < seconds:
                t0, c0 = time.perf_counter(), time.process_time()
                optim.zero_grad()
                logits = forward(w, shape, ids, angle.cos(), angle.sin(), mask, last_only)
                F.cross_entropy(logits.reshape(-1, N_VOCAB), target.reshape(-1)).backward()
                torch.nn.utils.clip_grad_norm_(params, 1.0)
                optim.step()
                step += 1
                if step > 0:
                    wall += time.perf_counter() - t0
                    cpu += time.process_time() - c0
                    n += N_TOK
            print(f"{size}-{work} {n / wall:.0f} {n / cpu:.0f}", flush=True)


main()
