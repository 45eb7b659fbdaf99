#!/usr/bin/env python3
"""Write tiny random models of every architecture, and what a float64 reference answers: make_models.py [DIR] [-k NAME] [...]

A case is a row of CASES: architecture, sizes and the switches that it is there for. Every switch of a descriptor has a case, with
texts longer than any window. Matrices are rounded to half precision before the reference reads them, so the committed
F16 files and F32 files of the same case (--f32: what other engines compute exactly) have one truth. Needs python3-numpy."""
import argparse
import json
import os
import struct

import numpy as np

import reference

N_TOK, N_VOCAB, STRIDE = 80, 272, 4  # a run crosses a KV page; of its positions every STRIDE-th is kept

# case: arch, what it is there for, sizes (d_model, n_layer, n_head, n_head_kv, d_head, d_ff), options
CASES = {
    "llama-odd-heads":    ("llama", (36, 2, 9, 3, 4, 40), {}),
    "llama-mqa-wide":     ("llama", (24, 2, 5, 1, 16, 40), {"tied": True}),
    "llama-biases":       ("llama", (24, 2, 3, 3, 8, 40), {"biases": True}),
    "llama-linear":       ("llama", (24, 2, 3, 1, 16, 40), {"scaling": ("linear", 4.0), "base": 500000.0}),
    "llama-yarn":         ("llama", (32, 2, 6, 2, 16, 40), {"scaling": ("yarn", 4.0), "n_orig": 32}),
    "llama-factors":      ("llama", (32, 2, 6, 2, 16, 40), {"llama3": True, "base": 500000.0, "tied": True}),
    "mistral3":           ("mistral3", (32, 2, 6, 2, 16, 40), {"scaling": ("yarn", 16.0), "n_orig": 24, "temperature": 0.1, "log_mul": 1.0}),
    "mistral3-plain":     ("mistral3", (32, 2, 6, 2, 16, 40), {"scaling": ("yarn", 8.0), "n_orig": 16, "tied": True}),
    "qwen2-7-heads":      ("qwen2", (56, 2, 7, 1, 8, 40), {"tied": True, "base": 1e6}),
    "qwen2-yarn":         ("qwen2", (32, 2, 2, 2, 16, 40), {"scaling": ("yarn", 4.0), "n_orig": 32, "base": 1e6}),
    "qwen3-wide-heads":   ("qwen3", (32, 2, 5, 1, 24, 40), {"base": 1e6}),
    "qwen3-tied":         ("qwen3", (32, 2, 4, 2, 32, 40), {"tied": True, "base": 1e6}),
    "gemma-mqa":          ("gemma", (32, 2, 3, 1, 32, 40), {}),
    "gemma2-window":      ("gemma2", (32, 4, 6, 2, 8, 32), {"window": 9, "attn_cap": 20.0, "final_cap": 15.0}),
    "gemma3-window":      ("gemma3", (24, 7, 4, 2, 8, 24), {"window": 11, "scaling": ("linear", 8.0), "base": 1e6}),
    "phi2-partial":       ("phi2", (32, 2, 2, 2, 16, 40), {"n_rot": 6}),
    "phi2-split":         ("phi2", (32, 2, 4, 2, 8, 40), {"n_rot": 4, "other_form": True}),
    "phi3-split":         ("phi3", (32, 2, 4, 2, 8, 40), {"other_form": True, "tied": True}),
    "qwen2-fused":        ("qwen2", (32, 2, 4, 2, 8, 40), {"other_form": True, "base": 1e6}),
    "phi3-short":         ("phi3", (32, 2, 4, 2, 8, 40), {"longrope": 4096, "attn_factor": 1.19}),
    "phi3-long":          ("phi3", (32, 2, 2, 1, 16, 40), {"longrope": 32, "attn_factor": 1.19, "n_rot": 12, "tied": True}),
    "phi3-window":        ("phi3", (24, 2, 3, 3, 8, 40), {"window": 13}),
    "smollm3-nope":       ("smollm3", (24, 5, 3, 1, 8, 32), {"tied": True, "base": 5e6}),
    "granite":            ("granite", (32, 3, 6, 2, 8, 40), {"multipliers": (9.0, 0.3, 0.17, 0.6), "tied": True}),
    "olmo2-gqa":          ("olmo2", (32, 2, 4, 2, 8, 40), {"base": 500000.0}),
    "olmo2-window-yarn":  ("olmo2", (24, 5, 3, 1, 8, 24), {"window": 10, "scaling": ("yarn", 8.0), "n_orig": 16, "base": 500000.0, "attn_factor": 1.21}),
    "lfm2":               ("lfm2", (32, 4, 4, 2, 8, 40), {"tied": True, "base": 1e6, "attention": [2], "taps": 3}),
    "lfm2-5-taps":        ("lfm2", (24, 5, 3, 1, 8, 32), {"base": 1e6, "attention": [1, 4], "taps": 5}),
    "qwen35":             ("qwen35", (32, 4, 4, 2, 16, 40), {"tied": True, "base": 1e7, "n_rot": 8, "delta": (2, 4, 8, 4)}),
    "qwen35-period-2":    ("qwen35", (24, 3, 3, 1, 24, 32), {"base": 1e7, "n_rot": 12, "delta": (3, 3, 16, 4), "period": 2}),
    "gemma4":             ("gemma4", (24, 6, 4, 2, 16, [24, 24, 24, 24, 40, 40]), {"window": 11, "final_cap": 15.0, "base": 1e6, "d_local": 8, "shared": 2,
                                      "windowed": [True, False] * 3, "d_ple": 8, "k_is_v": [1]}),
    "gemma4-plain":       ("gemma4", (32, 3, 4, 1, 8, 40), {"window": 9, "base": 1e6, "d_local": 8, "windowed": [True, False, True], "scales": False}),
    "gemma3n":            ("gemma3n", (24, 5, 4, 2, 8, 160), {"window": 11, "base": 1e6, "shared": 2, "windowed": [True, True, False, True, False], "d_ple": 8, "altup": (4, 6), "scales": False}),
    "qwen3moe":           ("qwen3moe", (32, 2, 4, 2, 16, 40), {"experts": (6, 2, 20), "base": 1e6}),
    "gpt-oss":            ("gpt-oss", (32, 3, 4, 2, 8, 24), {"experts": (4, 2, 24), "biases": True, "window": 10, "base": 150000.0, "scaling": ("yarn", 8.0), "n_orig": 16}),
    "gpt-oss-ramp":       ("gpt-oss", (32, 2, 4, 2, 16, 32), {"experts": (3, 2, 32), "biases": True, "window": 12, "base": 150000.0, "scaling": ("yarn", 32.0), "n_orig": 24, "truncate": False}),
    "mixtral":            ("llama", (32, 2, 4, 2, 8, 24), {"experts": (4, 2, 24)}),
    "olmoe":              ("olmoe", (32, 2, 4, 4, 8, 16), {"experts": (8, 3, 16)}),
    "lfm2moe":            ("lfm2moe", (24, 3, 3, 1, 8, 32), {"tied": True, "base": 1e6, "attention": [1], "taps": 3, "experts": (5, 2, 12), "n_dense": 1,
                                       "gating": 2, "choice_bias": True}),
}

# The same for models that make embeddings; pooling is GGUF's number.
EMBED_CASES = {
    "bert":               ("bert", (32, 2, 4, 4, 8, 40), {"pooling": 2, "n_position": 96}),
    "bert-rank":          ("bert", (24, 2, 3, 3, 8, 40), {"pooling": 4, "n_position": 96, "n_label": 1, "classifier": True}),
    "nomic-bert":         ("nomic-bert", (32, 2, 4, 4, 8, 40), {"pooling": 1, "base": 1000.0}),
    "modern-bert":        ("modern-bert", (24, 4, 3, 3, 8, 32), {"pooling": 1, "base": 160000.0, "window": 14}),
    "modern-bert-rank":   ("modern-bert", (24, 4, 3, 3, 8, 32), {"pooling": 4, "base": 160000.0, "window": 9, "n_label": 3, "classifier": True}),
    "gemma-embedding":    ("gemma-embedding", (24, 7, 3, 1, 16, 24), {"pooling": 1, "window": 12, "base": 1e6, "dense": 40}),
    "qwen3-embedding":    ("qwen3", (32, 2, 4, 2, 16, 40), {"pooling": 3, "tied": True, "base": 1e6}),
    "qwen3-rank":         ("qwen3", (32, 2, 4, 2, 16, 40), {"pooling": 4, "tied": True, "base": 1e6, "n_label": 2}),
}


class Model:
    """Metadata and tensors; write() makes a GGUF file of it (version 3, little endian)."""

    ALIGN, F32, F16 = 32, 0, 1

    def __init__(self, arch, seed):
        self.arch, self.kv, self.t, self.rng = arch, {}, {}, np.random.default_rng(seed)
        self.kv["general.architecture"] = arch

    def put(self, key, value):
        self.kv[f"{self.arch}.{key}"] = value

    def mat(self, name, *shape, gain=1.0):
        """Matrices (and stacks of them) in half precision; the spread keeps activations near one."""
        self.t[name] = (self.rng.standard_normal(shape) * gain / np.sqrt(shape[-1])).astype(np.float16).astype(np.float64)

    def vec(self, name, n, mean=0.0, spread=0.1):
        self.t[name] = (mean + spread * self.rng.standard_normal(n)).astype(np.float32).astype(np.float64)

    def norm(self, name, n, bias=False):
        self.vec(name + ".weight", n, 1.0)
        if bias: self.vec(name + ".bias", n)

    def byte_vocabulary(self):
        """A stand-in SPM vocabulary: three specials, 256 bytes, then made-up words."""
        words = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + [f"\u2581w{i}" for i in range(N_VOCAB - 259)]
        self.kv |= {
            "tokenizer.ggml.model": "llama", "tokenizer.ggml.tokens": words, "tokenizer.ggml.scores": [0.0] * 259 + [-float(i) for i in range(N_VOCAB - 259)],
            "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * (N_VOCAB - 259),
            "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.add_bos_token": True,
        }

    @staticmethod
    def _value(v):
        """(type id, bytes) of a metadata value; the type follows from Python's."""
        text = lambda s: struct.pack("<Q", len(s.encode())) + s.encode()
        if isinstance(v, bool): return 7, struct.pack("<?", v)
        if isinstance(v, int): return (4, struct.pack("<I", v)) if v >= 0 else (5, struct.pack("<i", v))
        if isinstance(v, float): return 6, struct.pack("<f", v)
        if isinstance(v, str): return 8, text(v)
        kind = {bool: 7, int: 5, float: 6, str: 8}[type(v[0])]
        pack = {7: lambda x: struct.pack("<?", x), 5: lambda x: struct.pack("<i", x), 6: lambda x: struct.pack("<f", x), 8: text}[kind]
        return 9, struct.pack("<IQ", kind, len(v)) + b"".join(map(pack, v))

    def write(self, path, f32):
        text = lambda s: struct.pack("<Q", len(s.encode())) + s.encode()
        head, data = b"", b""
        for key, value in self.kv.items():
            kind, payload = self._value(value)
            head += text(key) + struct.pack("<I", kind) + payload
        for name, a in self.t.items():
            half = a.ndim > 1 and not f32 and not name.endswith(".bias") and not name.endswith("conv1d.weight") and not name.endswith("shortconv.conv.weight")
            raw = a.astype("<f2" if half else "<f4").tobytes()
            head += text(name) + struct.pack("<I", a.ndim) + struct.pack(f"<{a.ndim}Q", *a.shape[::-1])
            head += struct.pack("<IQ", self.F16 if half else self.F32, len(data))
            data += raw + b"\0" * (-len(raw) % self.ALIGN)
        head = b"GGUF" + struct.pack("<IQQ", 3, len(self.t), len(self.kv)) + head
        with open(path, "wb") as f: f.write(head + b"\0" * (-len(head) % self.ALIGN) + data)


def put_sizes(m, sizes, o):
    d, n_layer, n_head, n_kv, d_head, d_ff = sizes
    for key, v in (("vocab_size", N_VOCAB), ("context_length", 4096), ("embedding_length", d), ("block_count", n_layer), ("feed_forward_length", d_ff),
                   ("attention.head_count", n_head), ("attention.head_count_kv", n_kv), ("rope.dimension_count", o.get("n_rot", d_head)),
                   ("rope.freq_base", o.get("base", 10000.0))): m.put(key, v)
    if d_head * n_head != d: m.put("attention.key_length", d_head), m.put("attention.value_length", d_head)


def put_options(m, o):
    names = {"window": "attention.sliding_window", "attn_cap": "attn_logit_softcapping", "final_cap": "final_logit_softcapping",
             "temperature": "attention.temperature_scale", "log_mul": "rope.scaling.yarn_log_multiplier", "attn_factor": "rope.scaling.attn_factor",
             "n_orig": "rope.scaling.original_context_length", "pooling": "pooling_type", "n_dense": "leading_dense_block_count", "gating": "expert_gating_func",
             "expert_scale": "expert_weights_scale", "taps": "shortconv.l_cache", "period": "full_attention_interval", "truncate": "rope.scaling.yarn_truncate"}
    for option, key in names.items():
        if option in o: m.put(key, o[option])
    if "scaling" in o: m.put("rope.scaling.type", o["scaling"][0]), m.put("rope.scaling.factor", o["scaling"][1])
    if "longrope" in o: m.put("rope.scaling.original_context_length", o["longrope"])
    if "experts" in o:
        for key, v in zip(("expert_count", "expert_used_count", "expert_feed_forward_length"), o["experts"]): m.put(key, v)
    if "delta" in o:
        n_k, n_v, d_k, taps = o["delta"]
        for key, v in (("conv_kernel", taps), ("inner_size", n_v * d_k), ("state_size", d_k), ("time_step_rank", n_v), ("group_count", n_k)): m.put("ssm." + key, v)
        third = o["n_rot"] // 2 // 3
        m.put("rope.dimension_sections", [o["n_rot"] // 2 - 2 * third, third, third, 0])
    if "multipliers" in o:
        for key, v in zip(("embedding_scale", "residual_scale", "attention.scale", "logit_scale"), o["multipliers"]): m.put(key, v)


def rope_factor_tensors(m, o, n_rot):
    """Llama 3.1's factors for a context of 64 stretched 8 times; LongRoPE's tables are noise above one."""
    if o.get("llama3"):
        wave = 2 * np.pi * o["base"] ** (np.arange(0, n_rot, 2) / n_rot)
        smooth = np.clip((64 / wave - 1) / (4 - 1), 0, 1)
        m.t["rope_freqs.weight"] = (1 / ((1 - smooth) / 8 + smooth)).astype(np.float32).astype(np.float64)
    if "longrope" in o:
        for kind, spread in (("short", 0.3), ("long", 3.0)):
            m.vec(f"rope_factors_{kind}.weight", n_rot // 2)
            m.t[f"rope_factors_{kind}.weight"] = np.float32(1 + spread * np.abs(m.t[f"rope_factors_{kind}.weight"]) * 10).astype(np.float64)


def mixer_tensors(m, arch, b, i, d, o):
    """What a layer has instead of attention; False: it is attention."""
    if arch.startswith("lfm2") and i not in o["attention"]:
        m.mat(b + "shortconv.in_proj.weight", 3 * d, d, gain=1.5)
        m.mat(b + "shortconv.conv.weight", d, o["taps"], gain=1.5)
        m.mat(b + "shortconv.out_proj.weight", d, d, gain=1.5)
        return True
    if arch == "qwen35" and (i + 1) % o.get("period", 4):
        n_k, n_v, d_k, taps = o["delta"]
        n_qkv, d_inner = (2 * n_k + n_v) * d_k, n_v * d_k
        m.mat(b + "attn_qkv.weight", n_qkv, d, gain=3.0), m.mat(b + "attn_gate.weight", d_inner, d)
        m.mat(b + "ssm_conv1d.weight", n_qkv, taps, gain=1.5)
        m.mat(b + "ssm_alpha.weight", n_v, d), m.mat(b + "ssm_beta.weight", n_v, d)
        m.vec(b + "ssm_a", n_v, -1.0, 0.5), m.vec(b + "ssm_dt.bias", n_v, -1.0, 0.5)
        m.t[b + "ssm_a"] = -np.abs(m.t[b + "ssm_a"])
        m.norm(b + "ssm_norm", d_k), m.mat(b + "ssm_out.weight", d, d_inner)
        return True
    return False


def altup_tensors(m, b, d, n_copy, d_laurel):
    m.mat(b + "altup_router.weight", n_copy, d, gain=d), m.norm(b + "altup_router_norm", d)
    m.mat(b + "altup_predict_coef.weight", n_copy * n_copy, n_copy, gain=0.5), m.mat(b + "altup_correct_coef.weight", n_copy, n_copy, gain=0.5)
    m.vec(b + "altup_correct_scale.weight", d, 1.0)
    m.mat(b + "laurel_l.weight", d_laurel, d), m.mat(b + "laurel_r.weight", d, d_laurel), m.norm(b + "laurel_post_norm", d)


def gemma4_model(arch, sizes, o, seed):
    m = Model(arch, seed)
    d, n_layer, n_head, n_kv, d_head, d_ff = sizes
    put_sizes(m, sizes, o), put_options(m, o), m.byte_vocabulary()
    o.setdefault("d_local", d_head)
    local = (("attention.key_length_swa", o["d_local"]), ("attention.value_length_swa", o["d_local"]), ("rope.dimension_count_swa", o["d_local"]))
    for key, v in (local if arch == "gemma4" else ()) + (("attention.key_length", d_head), ("attention.value_length", d_head), ("attention.sliding_window_pattern", o["windowed"]),
                   ("attention.shared_kv_layers", o.get("shared", 0)), ("embedding_length_per_layer_input", o.get("d_ple", 0)),
                   ("attention.layer_norm_rms_epsilon", 1e-5), ("rope.freq_base_swa", 10000.0)): m.put(key, v)
    m.mat("token_embd.weight", N_VOCAB, d, gain=np.sqrt(d) * 0.15)
    if arch == "gemma4": m.t["rope_freqs.weight"] = np.float32([1.0] * (d_head // 8) + [1e30] * (d_head // 2 - d_head // 8)).astype(np.float64)
    if "altup" in o:
        m.put("altup.num_inputs", o["altup"][0]), m.put("altup.active_idx", 0)
        m.mat("altup_proj.weight", o["altup"][0] - 1, d, d), m.mat("altup_unembd_proj.weight", o["altup"][0] - 1, d, d)
    d_ple = o.get("d_ple", 0)
    if d_ple:
        m.mat("per_layer_token_embd.weight", N_VOCAB, d_ple * n_layer), m.mat("per_layer_model_proj.weight", d_ple * n_layer, d)
        m.norm("per_layer_proj_norm", d_ple)
    for i in range(n_layer):
        b, head, ff = f"blk.{i}.", o["d_local"] if o["windowed"][i] else d_head, d_ff[i] if isinstance(d_ff, list) else d_ff
        for norm in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"): m.norm(b + norm, d)
        m.mat(b + "attn_q.weight", n_head * head, d), m.vec(b + "attn_q_norm.weight", head, 0.4)  # scores are not scaled: keep them small
        if arch == "gemma3n" or i < n_layer - o.get("shared", 0):  # files of Gemma 3n keep those that nobody reads
            m.mat(b + "attn_k.weight", n_kv * head, d), m.vec(b + "attn_k_norm.weight", head, 0.4)
            if i not in o.get("k_is_v", []): m.mat(b + "attn_v.weight", n_kv * head, d)
        m.mat(b + "attn_output.weight", d, n_head * head)
        m.mat(b + "ffn_gate.weight", ff, d), m.mat(b + "ffn_up.weight", ff, d), m.mat(b + "ffn_down.weight", d, ff)
        if d_ple: m.mat(b + "inp_gate.weight", d_ple, d), m.mat(b + "proj.weight", d, d_ple), m.norm(b + "post_norm", d)
        if "altup" in o: altup_tensors(m, b, d, *o["altup"])
        if o.get("scales", True): m.vec(b + "layer_output_scale.weight", 1, 0.8)
    m.norm("output_norm", d)
    return m


def expert_tensors(m, b, d, o):
    n, _, d_ff = o["experts"]
    m.mat(b + "ffn_gate_inp.weight", n, d, gain=2.0)
    m.mat(b + "ffn_gate_exps.weight", n, d_ff, d), m.mat(b + "ffn_up_exps.weight", n, d_ff, d), m.mat(b + "ffn_down_exps.weight", n, d, d_ff)
    if o.get("choice_bias"): m.vec(b + "exp_probs_b.bias", n, spread=0.3)
    if o.get("biases"):
        m.vec(b + "ffn_gate_inp.bias", n)
        for name, rows in (("gate", d_ff), ("up", d_ff), ("down", d)):
            m.vec(f"{b}ffn_{name}_exps.bias", n * rows, spread=0.3)
            m.t[f"{b}ffn_{name}_exps.bias"] = m.t[f"{b}ffn_{name}_exps.bias"].reshape(n, rows)


def decoder_model(arch, sizes, o, seed):
    m = Model(arch, seed)
    d, n_layer, n_head, n_kv, d_head, d_ff = sizes
    q, kv, phi2 = n_head * d_head, n_kv * d_head, arch == "phi2"
    put_sizes(m, sizes, o), put_options(m, o), m.byte_vocabulary()
    m.put("attention.layer_norm_epsilon" if phi2 else "attention.layer_norm_rms_epsilon", 1e-5)
    tied = o.get("tied") or arch.startswith("gemma")
    m.mat("token_embd.weight", N_VOCAB, d, gain=np.sqrt(d) * 0.3 if not tied else np.sqrt(d) * 0.15)

    def linear(name, rows, cols, gain=1.0, bias=False):
        m.mat(name + ".weight", rows, cols, gain=gain)
        if bias: m.vec(name + ".bias", rows, spread=0.3)

    if arch.startswith("lfm2"): m.put("attention.head_count_kv", [n_kv if i in o["attention"] else 0 for i in range(n_layer)])
    for i in range(n_layer):
        b = f"blk.{i}."
        bias = phi2 or o.get("biases", False)
        if arch != "olmo2": m.norm(b + "attn_norm", d, phi2)
        if (arch in ("phi2", "phi3")) != o.get("other_form", False): linear(b + "attn_qkv", q + 2 * kv, d, 1.3, phi2 or arch == "qwen2")
        elif not mixer_tensors(m, arch, b, i, d, o):
            for c, rows, gain in (("q", 2 * q if arch == "qwen35" else q, 1.5), ("k", kv, 1.5), ("v", kv, 1.0)): linear(b + "attn_" + c, rows, d, gain, bias or phi2 or arch == "qwen2")
        attention = b + "attn_k.weight" in m.t or b + "attn_qkv.weight" in m.t and arch != "qwen35"
        if arch in ("qwen3", "gemma3", "gemma-embedding", "lfm2", "lfm2moe", "qwen35", "qwen3moe") and attention: m.norm(b + "attn_q_norm", d_head), m.norm(b + "attn_k_norm", d_head)
        if arch in ("olmo2", "olmoe"): m.norm(b + "attn_q_norm", q), m.norm(b + "attn_k_norm", kv)
        if attention: linear(b + "attn_output", d, q, bias=bias)
        if arch == "gpt-oss": m.vec(b + "attn_sinks.weight", n_head, 0.5, 1.0)
        if arch in ("qwen35", "gpt-oss"): m.norm(b + "post_attention_norm", d)
        if arch in ("gemma2", "gemma3", "gemma-embedding", "olmo2"): m.norm(b + "post_attention_norm", d), m.norm(b + "post_ffw_norm", d)
        if arch not in ("phi2", "olmo2", "qwen35", "gpt-oss"): m.norm(b + "ffn_norm", d)
        if "experts" in o and i >= o.get("n_dense", 0):
            expert_tensors(m, b, d, o)
            continue
        if arch == "phi3" and not o.get("other_form"): linear(b + "ffn_up", 2 * d_ff, d)
        else:
            if not phi2: linear(b + "ffn_gate", d_ff, d, bias=bias)
            linear(b + "ffn_up", d_ff, d, bias=bias)
        linear(b + "ffn_down", d, d_ff, bias=bias)
    m.norm("token_embd_norm" if arch.startswith("lfm2") else "output_norm", d, phi2)
    if not tied: linear("output", N_VOCAB, d, 2.0, phi2)
    if arch == "gemma-embedding":
        m.put("attention.causal", False), m.put("dense_2_feat_in", d), m.put("dense_2_feat_out", o["dense"])
        m.put("dense_3_feat_in", o["dense"]), m.put("dense_3_feat_out", d)
        m.mat("dense_2.weight", o["dense"], d), m.mat("dense_3.weight", d, o["dense"])
    if "n_label" in o:
        m.put("classifier.output_labels", [f"label{i}" for i in range(o["n_label"])])
        m.mat("cls.output.weight", o["n_label"], d)
    rope_factor_tensors(m, o, o.get("n_rot", d_head))
    return m


def encoder_model(arch, sizes, o, seed):
    m = Model(arch, seed)
    d, n_layer, n_head, n_kv, d_head, d_ff = sizes
    bert, modern = arch == "bert", arch == "modern-bert"
    put_sizes(m, sizes, o), put_options(m, o), m.byte_vocabulary()
    if bert: m.put("context_length", o["n_position"])
    m.put("attention.layer_norm_epsilon", 1e-5), m.put("attention.causal", False)
    m.kv["tokenizer.ggml.token_type_count"] = 2
    m.mat("token_embd.weight", N_VOCAB, d, gain=np.sqrt(d))
    if bert: m.mat("position_embd.weight", o["n_position"], d, gain=np.sqrt(d) * 0.5)
    if not modern: m.mat("token_types.weight", 2, d, gain=np.sqrt(d) * 0.5)
    m.norm("token_embd_norm", d, not modern)

    def linear(name, rows, cols, gain=1.0, bias=bert):
        m.mat(name + ".weight", rows, cols, gain=gain)
        if bias: m.vec(name + ".bias", rows, spread=0.3)

    for i in range(n_layer):
        b = f"blk.{i}."
        if modern and i: m.norm(b + "attn_norm", d)
        if bert:
            for c in "qkv": linear(b + "attn_" + c, d, d, 1.5)
        else: linear(b + "attn_qkv", 3 * d, d, 1.5)
        linear(b + "attn_output", d, d)
        if modern: m.norm(b + "ffn_norm", d)
        else: m.norm(b + "attn_output_norm", d, True), m.norm(b + "layer_output_norm", d, True)
        linear(b + "ffn_up", 2 * d_ff if modern else d_ff, d)
        if arch == "nomic-bert": linear(b + "ffn_gate", d_ff, d)
        linear(b + "ffn_down", d, d_ff)
    if modern: m.norm("output_norm", d)
    if "classifier" in o:
        m.put("classifier.output_labels", [f"label{i}" for i in range(o["n_label"])])
        linear("cls", d, d, bias=bert), linear("cls.output", o["n_label"], d, bias=True)
        if modern: m.norm("cls.norm", d)
    return m


BUILDERS = {"gemma4": gemma4_model, "gemma3n": gemma4_model, "bert": encoder_model, "nomic-bert": encoder_model, "modern-bert": encoder_model}  # architectures whose tensors are not a decoder's


def make(name, seed=0):
    arch, sizes, options = (CASES | EMBED_CASES)[name]
    return BUILDERS.get(arch, decoder_model)(arch, sizes, options, [seed, *name.encode()])


def tokens():
    return [1] + np.random.default_rng(7).integers(3, N_VOCAB, N_TOK - 1).tolist()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("dir", nargs="?", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "models"))
    ap.add_argument("-k", "--only", default="", help="cases whose name holds this")
    ap.add_argument("--f32", action="store_true", help="matrices as F32, log-probabilities of every position")
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--ctx", type=int, default=96, help="context of the run: chooses LongRoPE's table")
    a = ap.parse_args()
    os.makedirs(a.dir, exist_ok=True)
    ids, stride = tokens(), 1 if a.f32 else STRIDE
    for name in CASES | EMBED_CASES:
        if a.only not in name: continue
        m, path = make(name, a.seed), os.path.join(a.dir, name)
        m.write(path + ".gguf", a.f32)
        if name in CASES: reference.logprobs(m, np.array(ids), a.ctx)[::stride].astype("<f4").tofile(path + ".logprobs.f32")
        else:
            states, pooled = reference.embeddings(m, np.array(ids), a.ctx)
            np.concatenate([states[::stride].ravel(), *pooled.values()]).astype("<f4").tofile(path + ".embeddings.f32")
        print(f"{name}: {os.path.getsize(path + '.gguf') // 1024} KiB")
    with open(os.path.join(a.dir, "manifest.json"), "w") as f:
        json.dump({"tokens": ids, "stride": stride, "n_ctx": a.ctx, "n_vocab": N_VOCAB, "cases": list(CASES), "embed_cases": list(EMBED_CASES)}, f, indent=None)
    if a.f32:
        with open(os.path.join(a.dir, "tokens.json"), "w") as f: json.dump(ids, f)


if __name__ == "__main__":
    main()
