#!/usr/bin/env python3
"""Write the Hugging Face folder that a GGUF file would have come from: make_hf.py IN.gguf OUT_DIR [--type T] [--shards N] [...]

The way back of what src/model/hf does, written apart from it: rows of q and k in the authors' order, fused tensors in parts, Gemma's
norms without their one, config.json in transformers' words, safetensors by hand, a SentencePiece tokenizer.model. Converting
the folder must give the file again. Plain Python, so that tests need nothing else."""
import argparse
import json
import math
import os
import struct

F32, F16, BF16 = "F32", "F16", "BF16"
GGUF_TYPES = {0: F32, 1: F16, 30: BF16}
SIZE = {F32: 4, F16: 2, BF16: 2}  # and U8, of blocks


# Reading GGUF

def read_gguf(path):
    data = open(path, "rb").read()
    at = 24
    assert data[:4] == b"GGUF", path
    n_tensor, n_kv = struct.unpack_from("<QQ", data, 8)

    def take(fmt):
        nonlocal at
        v = struct.unpack_from("<" + fmt, data, at)
        at += struct.calcsize("<" + fmt)
        return v[0]

    def text():
        nonlocal at
        n = take("Q")
        at += n
        return data[at - n:at].decode("utf-8", "surrogateescape")

    def value(kind):
        if kind == 8: return text()
        if kind == 9:
            elem, n = take("I"), take("Q")
            return [value(elem) for _ in range(n)]
        return take({0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}[kind])

    kv, table, tensors = {}, [], {}
    for _ in range(n_kv):
        key = text()
        kv[key] = value(take("I"))
    for _ in range(n_tensor):
        name, n_dim = text(), take("I")
        shape = [take("Q") for _ in range(n_dim)][::-1]
        table.append((name, shape, GGUF_TYPES[take("I")], take("Q")))
    start = (at + 31) // 32 * 32
    for name, shape, kind, offset in table:
        n = math.prod(shape) * SIZE[kind]
        tensors[name] = (shape, kind, data[start + offset:start + offset + n])
    return kv, tensors


# Numbers

def to_floats(kind, raw):
    if kind == F32: return list(struct.unpack(f"<{len(raw) // 4}f", raw))
    if kind == F16: return list(struct.unpack(f"<{len(raw) // 2}e", raw))
    return list(struct.unpack(f"<{len(raw) // 2}f", b"".join(b"\0\0" + raw[i:i + 2] for i in range(0, len(raw), 2))))


def from_floats(kind, v):
    if kind == F32: return struct.pack(f"<{len(v)}f", *v)
    if kind == F16: return struct.pack(f"<{len(v)}e", *v)
    bits = struct.unpack(f"<{len(v)}I", struct.pack(f"<{len(v)}f", *v))
    return struct.pack(f"<{len(v)}H", *((b + 0x7fff + (b >> 16 & 1)) >> 16 for b in bits))


class Tensor:
    """shape, kind, raw bytes; rows are byte strings."""

    def __init__(self, shape, kind, raw): self.shape, self.kind, self.raw = list(shape), kind, raw

    def rows(self):
        n = len(self.raw) // self.shape[0]
        return [self.raw[i * n:(i + 1) * n] for i in range(self.shape[0])]

    def with_rows(self, rows): return Tensor([len(rows)] + self.shape[1:], self.kind, b"".join(rows))

    def halves(self, n_head):
        """Adjacent pairs to halves: the authors' order of a head's rows."""
        rows, d = self.rows(), self.shape[0] // n_head
        return self.with_rows([rows[h * d + 2 * i + j] for h in range(n_head) for j in range(2) for i in range(d // 2)])

    def cut(self, sizes):
        rows, at, out = self.rows(), 0, []
        for n in sizes:
            out.append(self.with_rows(rows[at:at + n]))
            at += n
        return out

    def plus(self, x): return Tensor(self.shape, self.kind, from_floats(self.kind, [v + x for v in to_floats(self.kind, self.raw)]))

    def cast(self, kind): return self if kind == self.kind or self.kind == "U8" else Tensor(self.shape, kind, from_floats(kind, to_floats(self.kind, self.raw)))


# Names: GGUF -> the authors' ("model." in front; {} is the layer)

LLAMA = {
    "token_embd": "embed_tokens", "output_norm": "norm", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "attn_qkv": "self_attn.qkv_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    "post_attention_norm": "post_attention_layernorm", "post_ffw_norm": "post_feedforward_layernorm",
}
NAMES = {
    "gemma2": LLAMA | {"ffn_norm": "pre_feedforward_layernorm"}, "gemma3": LLAMA | {"ffn_norm": "pre_feedforward_layernorm"},
    "phi2": LLAMA | {"output_norm": "final_layernorm", "attn_output": "self_attn.dense", "ffn_up": "mlp.fc1", "ffn_down": "mlp.fc2"},
    "phi3": LLAMA | {"ffn_up": "mlp.gate_up_proj"},
}
BERT = {
    "token_embd": "embeddings.word_embeddings", "position_embd": "embeddings.position_embeddings", "token_types": "embeddings.token_type_embeddings",
    "token_embd_norm": "embeddings.LayerNorm", "attn_q": "attention.self.query", "attn_k": "attention.self.key", "attn_v": "attention.self.value",
    "attn_output": "attention.output.dense", "attn_output_norm": "attention.output.LayerNorm", "ffn_up": "intermediate.dense", "ffn_down": "output.dense",
    "layer_output_norm": "output.LayerNorm", "cls": "pooler.dense",
}
NOMIC = {
    "token_embd": "embeddings.word_embeddings", "token_types": "embeddings.token_type_embeddings", "token_embd_norm": "emb_ln", "attn_qkv": "attn.Wqkv",
    "attn_output": "attn.out_proj", "attn_output_norm": "norm1", "ffn_up": "mlp.fc11", "ffn_gate": "mlp.fc12", "ffn_down": "mlp.fc2", "layer_output_norm": "norm2",
}
MODERN = {
    "token_embd": "embeddings.tok_embeddings", "token_embd_norm": "embeddings.norm", "output_norm": "final_norm", "attn_norm": "attn_norm", "attn_qkv": "attn.Wqkv",
    "attn_output": "attn.Wo", "ffn_norm": "mlp_norm", "ffn_up": "mlp.Wi", "ffn_down": "mlp.Wo",
}
NAMES |= {"bert": BERT, "nomic-bert": NOMIC, "modern-bert": MODERN, "gemma-embedding": NAMES["gemma3"]}
NAMES["lfm2"] = LLAMA | {
    "token_embd_norm": "embedding_norm", "attn_norm": "operator_norm", "ffn_norm": "ffn_norm", "attn_output": "self_attn.out_proj", "attn_q_norm": "self_attn.q_layernorm",
    "attn_k_norm": "self_attn.k_layernorm", "in_proj": "conv.in_proj", "conv": "conv.conv", "out_proj": "conv.out_proj", "ffn_gate": "feed_forward.w1",
    "ffn_up": "feed_forward.w3", "ffn_down": "feed_forward.w2",
}
GEMMA_PER_LAYER = {
    "per_layer_token_embd": "embed_tokens_per_layer", "per_layer_model_proj": "per_layer_model_projection", "per_layer_proj_norm": "per_layer_projection_norm",
    "inp_gate": "per_layer_input_gate", "proj": "per_layer_projection", "post_norm": "post_per_layer_input_norm", "altup_router": "altup.modality_router",
    "altup_router_norm": "altup.router_norm", "altup_predict_coef": "altup.prediction_coefs", "altup_correct_coef": "altup.correction_coefs",
    "laurel_l": "laurel.linear_left", "laurel_r": "laurel.linear_right", "laurel_post_norm": "laurel.post_laurel_norm",
}
NAMES |= {arch: NAMES["gemma3"] | GEMMA_PER_LAYER for arch in ("gemma3n", "gemma4")}
NAMES["lfm2moe"] = NAMES["lfm2"] | {"ffn_gate_inp": "feed_forward.gate"}
NAMES |= {arch: LLAMA | {"ffn_gate_inp": "mlp.gate"} for arch in ("qwen3moe", "olmoe")}
NAMES["gpt-oss"] = LLAMA | {"ffn_gate_inp": "mlp.router"}
NAMES["mixtral"] = LLAMA | {"ffn_gate_inp": "block_sparse_moe.gate"}
NAMES["qwen35"] = LLAMA | {
    "attn_qkv": "linear_attn.in_proj_qkv", "attn_gate": "linear_attn.in_proj_z", "ssm_conv1d": "linear_attn.conv1d", "ssm_alpha": "linear_attn.in_proj_a",
    "ssm_beta": "linear_attn.in_proj_b", "ssm_norm": "linear_attn.norm", "ssm_out": "linear_attn.out_proj",
}
# Of experts: where they are, and the names of gate, up and down.
EXPERTS = {"mixtral": ("block_sparse_moe.experts", "w1", "w3", "w2"), "lfm2moe": ("feed_forward.experts", "w1", "w3", "w2"),
           "qwen3moe": ("mlp.experts", "gate_proj", "up_proj", "down_proj"), "olmoe": ("mlp.experts", "gate_proj", "up_proj", "down_proj")}
# Names without a suffix.
BARE = {"attn_sinks.weight": "self_attn.sinks", "exp_probs_b.bias": "feed_forward.expert_bias", "layer_output_scale.weight": "layer_scalar",
        "altup_correct_scale.weight": "altup.correct_output_scale", "ssm_dt.bias": "linear_attn.dt_bias", "ssm_a": "linear_attn.A_log"}
LAYERS = {"bert": "encoder.layer.", "nomic-bert": "encoder.layers."}
CLASSIFIERS = {"bert": {"cls.output": "classifier"}, "modern-bert": {"cls": "head.dense", "cls.norm": "head.norm", "cls.output": "classifier"}}
ADJACENT = ("llama", "mistral3", "smollm3", "granite")
CLASSES = {"llama": "LlamaForCausalLM", "mistral3": "Ministral3ForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM",
           "gemma": "GemmaForCausalLM", "gemma2": "Gemma2ForCausalLM", "gemma3": "Gemma3ForCausalLM", "phi2": "PhiForCausalLM", "phi3": "Phi3ForCausalLM",
           "smollm3": "SmolLM3ForCausalLM", "granite": "GraniteForCausalLM", "olmo2": "Olmo2ForCausalLM", "lfm2": "Lfm2ForCausalLM", "qwen3moe": "Qwen3MoeForCausalLM",
           "olmoe": "OlmoeForCausalLM", "lfm2moe": "Lfm2MoeForCausalLM", "gpt-oss": "GptOssForCausalLM", "mixtral": "MixtralForCausalLM", "qwen35": "Qwen3_5ForCausalLM",
           "gemma3n": "Gemma3nForCausalLM", "gemma4": "Gemma4ForCausalLM", "bert": "BertModel", "nomic-bert": "NomicBertModel",
           "modern-bert": "ModernBertModel", "gemma-embedding": "Gemma3TextModel"}
ENCODERS = ("bert", "nomic-bert", "modern-bert", "gemma-embedding")
MODEL_TYPES = {"gemma-embedding": "gemma3_text", "nomic-bert": "nomic_bert", "modern-bert": "modernbert", "mistral3": "ministral3", "gemma3": "gemma3_text", "phi2": "phi",
               "qwen3moe": "qwen3_moe", "lfm2moe": "lfm2_moe", "gpt-oss": "gpt_oss", "qwen35": "qwen3_5_text", "gemma3n": "gemma3n_text", "gemma4": "gemma4_text"}


def family(kv):
    """The architecture, but Mixtral has names of its own."""
    arch = kv["general.architecture"]
    return "mixtral" if arch == "llama" and kv.get("llama.expert_count") else arch


def matrices(t):
    """Of a stack."""
    n = len(t.raw) // t.shape[0]
    return [Tensor(t.shape[1:], t.kind, t.raw[i * n:(i + 1) * n]) for i in range(t.shape[0])]


def turned(t):
    """[n, rows, cols] as [n, cols, rows]."""
    (n, rows, cols), size = t.shape, SIZE[t.kind]
    at = lambda e, r, c: ((e * rows + r) * cols + c) * size
    return Tensor([n, cols, rows], t.kind, b"".join(t.raw[at(e, r, c):at(e, r, c) + size] for e in range(n) for c in range(cols) for r in range(rows)))


def paired(gate, up):
    """Rows of two tensors in turns: [n, rows, ...] twice to [n, 2 rows, ...]."""
    n, rows = gate.shape[0], gate.shape[1]
    size = len(gate.raw) // (n * rows)
    return Tensor([n, 2 * rows] + gate.shape[2:], gate.kind, b"".join(x.raw[i * size:(i + 1) * size] for i in range(n * rows) for x in (gate, up)))


def mxfp4(t):
    """Blocks [n, rows, blocks, 16], scales [n, rows, blocks], and the floats that they stand for."""
    levels, v, codes, scales, rounded = [0, 0.5, 1, 1.5, 2, 3, 4, 6], to_floats(t.kind, t.raw), b"", b"", []
    for i in range(0, len(v), 32):
        block = v[i:i + 32]
        e = max(math.frexp(max(map(abs, block)))[1] - 3, -126)
        q = [min(range(8), key=lambda k: abs(levels[k] - abs(x) / 2.0 ** e)) | (8 if x < 0 else 0) for x in block]
        scales += bytes([e + 127])
        codes += bytes(q[j] | q[j + 1] << 4 for j in range(0, 32, 2))
        rounded += [(-1 if c & 8 else 1) * levels[c & 7] * 2.0 ** e for c in q]
    n, rows, cols = t.shape
    return Tensor([n, rows, cols // 32, 16], "U8", codes), Tensor([n, rows, cols // 32], "U8", scales), Tensor(t.shape, F32, from_floats(F32, [x + 0.0 for x in rounded]))


def gptoss_experts(out, place, tensors, b, a):
    get = lambda name: Tensor(*tensors[f"{b}.ffn_{name}"])
    both, down = paired(get("gate_exps.weight"), get("up_exps.weight")), get("down_exps.weight")
    out[f"{place}mlp.experts.gate_up_proj_bias"] = paired(get("gate_exps.bias"), get("up_exps.bias"))
    out[f"{place}mlp.experts.down_proj_bias"] = get("down_exps.bias")
    for name, t in (("gate_up_proj", both), ("down_proj", down)):
        if a.mxfp4: blocks, scales, t = mxfp4(t)
        if a.mxfp4 == "blocks": out |= {f"{place}mlp.experts.{name}_blocks": blocks, f"{place}mlp.experts.{name}_scales": scales}
        else: out[f"{place}mlp.experts.{name}"] = turned(t)


def with_key_heads(t, first, width, n_k, n_v):
    """Rows of value heads from GGUF's order to the authors': those of a key head together."""
    rows = t.rows()
    head = lambda v: rows[first + v * width:first + (v + 1) * width]
    return t.with_rows(rows[:first] + [r for k in range(n_k) for j in range(n_v // n_k) for r in head(j * n_k + k)])


def delta_tensor(t, stem, get):
    n_k, n_v, d_k = get("ssm.group_count"), get("ssm.time_step_rank"), get("ssm.state_size")
    d_v = get("ssm.inner_size") // n_v
    if stem in ("attn_qkv", "ssm_conv1d"): t = with_key_heads(t, 2 * n_k * d_k, d_v, n_k, n_v)
    if stem == "attn_gate": t = with_key_heads(t, 0, d_v, n_k, n_v)
    if stem in ("ssm_alpha", "ssm_beta", "ssm_dt", "ssm_a"): t = with_key_heads(t, 0, 1, n_k, n_v)
    if stem == "ssm_out": t = t.with_rows([b"".join(with_key_heads(Tensor([n_v * d_v], t.kind, row), 0, d_v, n_k, n_v).rows()) for row in t.rows()])
    if stem == "ssm_conv1d": t = Tensor([t.shape[0], 1, t.shape[1]], t.kind, t.raw)
    if stem == "ssm_a": t = Tensor(t.shape, t.kind, from_floats(t.kind, [math.log(-x) for x in to_floats(t.kind, t.raw)]))
    return t


def authors_tensors(kv, tensors, a):
    arch = family(kv)
    gguf_arch = kv["general.architecture"]
    n_head = kv[f"{gguf_arch}.attention.head_count"]
    n_kv = kv.get(f"{gguf_arch}.attention.head_count_kv", n_head)
    if isinstance(n_kv, list): n_kv = max(n_kv)
    d_head = kv.get(f"{gguf_arch}.attention.key_length", kv[f"{gguf_arch}.embedding_length"] // n_head)
    names, body, head, out = NAMES.get(arch, LLAMA), a.prefix, a.head_prefix, {}
    for name, (shape, kind, raw) in tensors.items():
        t, parts = Tensor(shape, kind, raw), name.split(".")
        stem, suffix = ".".join(parts[:-1]) if parts[0] == "cls" else parts[-2], parts[-1]
        if stem.startswith(("rope_f", "dense_")): continue
        place = f"{body}{LAYERS.get(arch, 'layers.')}{parts[1]}." if parts[0] == "blk" else body
        bare = ".".join(parts[2:])
        if arch == "qwen35": t = delta_tensor(t, bare if bare == "ssm_a" else stem, lambda key: kv[f"qwen35.{key}"])
        if bare in BARE:
            out[place + BARE[bare]] = t
            continue
        if stem in ("altup_proj", "altup_unembd_proj"):
            for i, m in enumerate(matrices(t)): out[f"{body}{'altup_projections' if stem == 'altup_proj' else 'altup_unembed_projections'}.{i}.{suffix}"] = m
            continue
        if stem.endswith("_exps"):
            if arch != "gpt-oss":
                where, names_of = EXPERTS[arch][0], dict(zip(("gate", "up", "down"), EXPERTS[arch][1:]))
                for i, m in enumerate(matrices(t)): out[f"{place}{where}.{i}.{names_of[stem.split('_')[1]]}.{suffix}"] = m
            elif bare == "ffn_gate_exps.weight": gptoss_experts(out, place, tensors, f"blk.{parts[1]}", a)
            continue
        if stem in CLASSIFIERS.get(arch, {}):
            out[f"{CLASSIFIERS[arch][stem]}.{suffix}"] = t
            continue
        if stem == "output":
            out[f"{head}lm_head.{suffix}"] = t
            continue
        if gguf_arch in ADJACENT and stem in ("attn_q", "attn_k"): t = t.halves(n_head if stem == "attn_q" else n_kv)
        if (arch.startswith("gemma") and arch not in ("gemma3n", "gemma4") or arch == "qwen35" and stem != "ssm_norm") and stem.endswith("_norm"): t = t.plus(-1.0)
        if arch == "bert" and stem == "position_embd" and a.past_pad:  # rows for the padding token and those before it
            t = t.with_rows([b"\0" * len(t.rows()[0])] * (a.past_pad + 1) + t.rows())
        if stem == "conv": t = Tensor([t.shape[0], 1, t.shape[1]], t.kind, t.raw)
        if arch == "phi2" and stem == "attn_qkv":
            for c, part in zip("qkv", t.cut([n_head * d_head, n_kv * d_head, n_kv * d_head])): out[f"{place}self_attn.{c}_proj.{suffix}"] = part
        elif a.granite_hybrid and stem.startswith("ffn_") and stem != "ffn_norm":
            if stem == "ffn_down": out[f"{place}shared_mlp.output_linear.{suffix}"] = t
            elif stem == "ffn_up":
                gate = Tensor(*tensors[name.replace("ffn_up", "ffn_gate")])
                out[f"{place}shared_mlp.input_linear.{suffix}"] = gate.with_rows(gate.rows() + t.rows())
        else:
            out[f"{place}{names[stem]}.{suffix}"] = t
    if a.old_norms: out = {n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t for n, t in out.items()}
    return out


# config.json

KEYS = {
    "block_count": "num_hidden_layers", "embedding_length": "hidden_size", "feed_forward_length": "intermediate_size", "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads", "context_length": "max_position_embeddings", "vocab_size": "vocab_size",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps", "attention.layer_norm_epsilon": "layer_norm_eps", "attention.key_length": "head_dim",
    "attention.sliding_window": "sliding_window", "attn_logit_softcapping": "attn_logit_softcapping", "final_logit_softcapping": "final_logit_softcapping",
    "embedding_scale": "embedding_multiplier", "residual_scale": "residual_multiplier", "attention.scale": "attention_multiplier", "logit_scale": "logits_scaling",
}
KEYS |= {
    "expert_count": "num_experts", "expert_used_count": "num_experts_per_tok", "expert_feed_forward_length": "moe_intermediate_size",
    "attention.shared_kv_layers": "num_kv_shared_layers", "embedding_length_per_layer_input": "hidden_size_per_layer_input", "full_attention_interval": "full_attention_interval",
    "ssm.conv_kernel": "linear_conv_kernel_dim", "ssm.state_size": "linear_key_head_dim", "ssm.group_count": "linear_num_key_heads",
    "ssm.time_step_rank": "linear_num_value_heads", "leading_dense_block_count": "num_dense_layers",
}
ACTS = {"phi2": "gelu_new", "gemma": "gelu", "gemma2": "gelu_pytorch_tanh", "gemma3": "gelu_pytorch_tanh"}


def rope_config(kv, tensors, get, cfg):
    """The object of rope_scaling, without the base."""
    kind, rope = get("rope.scaling.type"), {}
    if "rope_factors_long.weight" in tensors:
        rope = {"rope_type": "longrope"} | {f"{k}_factor": to_floats(F32, tensors[f"rope_factors_{k}.weight"][2]) for k in ("long", "short")}
        cfg["original_max_position_embeddings"] = get("rope.scaling.original_context_length")
        rope["attention_factor"] = get("rope.scaling.attn_factor", 1.0)
    elif "rope_freqs.weight" in tensors:  # what golden models stretch by
        rope = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
        if max(to_floats(F32, tensors["rope_freqs.weight"][2])) > 16: rope["factor"] = 32.0
    elif kind == "linear": rope = {"rope_type": "linear", "factor": get("rope.scaling.factor")}
    elif kind == "yarn":
        factor = get("rope.scaling.factor")
        rope = {"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": get("rope.scaling.original_context_length")}
        log_mul = get("rope.scaling.yarn_log_multiplier", 0.0)
        if log_mul: rope |= {"mscale": 1.0, "mscale_all_dim": log_mul}
        elif get("rope.scaling.attn_factor"): rope["attention_factor"] = get("rope.scaling.attn_factor") * (0.1 * math.log(factor) + 1)
    if get("attention.temperature_scale"): rope["llama_4_scaling_beta"] = get("attention.temperature_scale")
    return rope


def layer_types(arch, n_layer):
    period = {"gemma2": 2, "gemma3": 6, "olmo2": 4, "gpt-oss": 2}.get(arch)
    return period and ["full_attention" if (i + 1) % period == 0 else "sliding_attention" for i in range(n_layer)]


def encoder_config(arch, cfg, get, rope, a):
    ranks, base = get("pooling_type") == 4, get("rope.freq_base")
    for key in ("rms_norm_eps", "head_dim") if arch != "gemma-embedding" else (): cfg.pop(key, None)
    if arch == "bert":
        for key in ("rope_theta", "rope_scaling", "rope_parameters", "num_key_value_heads"): cfg.pop(key, None)
        cfg |= {"architectures": ["BertForSequenceClassification" if ranks else "BertModel"], "hidden_act": "gelu", "position_embedding_type": "absolute",
                "type_vocab_size": 2, "pad_token_id": 0}
        if a.past_pad: cfg |= {"architectures": ["XLMRobertaModel"], "pad_token_id": a.past_pad, "max_position_embeddings": cfg["max_position_embeddings"] + a.past_pad + 1}
    if arch == "nomic-bert":
        for old, new in (("num_hidden_layers", "n_layer"), ("hidden_size", "n_embd"), ("intermediate_size", "n_inner"), ("num_attention_heads", "n_head"),
                         ("max_position_embeddings", "max_trained_positions"), ("layer_norm_eps", "layer_norm_epsilon")): cfg[new] = cfg.pop(old)
        for key in ("rope_theta", "rope_scaling", "rope_parameters", "hidden_act", "num_key_value_heads"): cfg.pop(key, None)
        cfg |= {"n_positions": 8192, "rotary_emb_base": base, "rotary_emb_fraction": 1.0, "rotary_emb_interleaved": False, "rotary_emb_scale_base": None,
                "rotary_scaling_factor": None, "activation_function": "swiglu", "causal": False, "qkv_proj_bias": False, "mlp_fc1_bias": False,
                "mlp_fc2_bias": False, "prenorm": False, "use_rms_norm": False, "type_vocab_size": 2, "summary_type": "cls_index"}
    if arch == "modern-bert":
        for key in ("rope_theta", "rope_scaling", "rope_parameters", "hidden_act", "sliding_window", "num_key_value_heads"): cfg.pop(key, None)
        cfg |= {"architectures": ["ModernBertForSequenceClassification" if ranks else "ModernBertModel"], "hidden_activation": "gelu", "norm_eps": cfg.pop("layer_norm_eps"),
                "global_attn_every_n_layers": 3, "local_attention": get("attention.sliding_window"), "global_rope_theta": base, "local_rope_theta": 10000.0,
                "norm_bias": False, "attention_bias": False, "mlp_bias": False, "classifier_pooling": "cls", "type_vocab_size": 2}
    if arch == "gemma-embedding":
        cfg |= {"use_bidirectional_attention": True, "hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": cfg["head_dim"], "rope_local_base_freq": 10000.0,
                "_sliding_window_pattern": 6}
        del cfg["hidden_act"]


def qwen35_config(cfg, get, base, fraction, a):
    for key in ("rope_theta", "rope_scaling", "rope_parameters", "partial_rotary_factor"): cfg.pop(key, None)
    interval = get("full_attention_interval", 4)
    cfg |= {"linear_value_head_dim": get("ssm.inner_size") // get("ssm.time_step_rank"), "attn_output_gate": True, "mamba_ssm_dtype": "float32", "mtp_num_hidden_layers": 1,
            "layer_types": ["linear_attention" if (i + 1) % interval else "full_attention" for i in range(cfg["num_hidden_layers"])],
            "rope_parameters": {"rope_type": "default", "rope_theta": base, "partial_rotary_factor": fraction, "mrope_interleaved": True,
                                "mrope_section": get("rope.dimension_sections")[:3]}}
    cfg.setdefault("head_dim", cfg["hidden_size"] // cfg["num_attention_heads"])


def per_layer_config(arch, cfg, get, base, a):
    """Gemma 3n and 4."""
    n, windowed = cfg["num_hidden_layers"], get("attention.sliding_window_pattern")
    cfg |= {"layer_types": ["sliding_attention" if w else "full_attention" for w in windowed], "hidden_activation": "gelu_pytorch_tanh", "final_logit_softcapping": get("final_logit_softcapping", 30.0)}
    for key in ("hidden_act", "rope_theta", "rope_scaling", "partial_rotary_factor", "rope_parameters"): cfg.pop(key, None)
    local = {"rope_type": "default", "rope_theta": get("rope.freq_base_swa")}
    if arch == "gemma3n":
        cfg |= {"altup_num_inputs": get("altup.num_inputs"), "altup_active_idx": 0, "altup_coef_clip": 120.0, "altup_correct_scale": True, "laurel_rank": 6,
                "activation_sparsity_pattern": [0.95 if i < 10 else 0.0 for i in range(n)], "intermediate_size": [cfg["intermediate_size"]] * n}
        cfg |= {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": base}, "sliding_attention": local}} if a.new_rope else \
               {"rope_theta": base, "rope_local_base_freq": local["rope_theta"], "rope_scaling": None}
        return
    ff = cfg["intermediate_size"]
    cfg |= {"global_head_dim": get("attention.key_length"), "head_dim": get("attention.key_length_swa"), "attention_k_eq_v": False, "enable_moe_block": False,
            "use_bidirectional_attention": "vision", "num_global_key_value_heads": None, "vocab_size_per_layer_input": cfg["vocab_size"],
            "intermediate_size": ff if isinstance(ff, int) else ff[0] if a.new_rope and ff[-1] == 2 * ff[0] else ff, "use_double_wide_mlp": False,
            "rope_parameters": {"full_attention": {"rope_type": "proportional", "rope_theta": base, "partial_rotary_factor": 0.25}, "sliding_attention": local}}


def write_modules(folder, kv, tensors):
    """What sentence-transformers keeps: pooling, dense layers."""
    pooling, library = kv.get(kv["general.architecture"] + ".pooling_type"), "sentence_transformers.models."
    if pooling not in (1, 2, 3): return
    steps = [("", "Transformer"), ("1_Pooling", "Pooling")]
    for name in ("dense_2.weight", "dense_3.weight"):
        if name not in tensors: continue
        path = f"{name[6]}_Dense"
        steps.append((path, "Dense"))
        os.makedirs(os.path.join(folder, path), exist_ok=True)
        write_safetensors(os.path.join(folder, path, "model.safetensors"), {"linear.weight": Tensor(*tensors[name])})
        with open(os.path.join(folder, path, "config.json"), "w") as f: json.dump({"bias": False, "activation_function": "torch.nn.modules.linear.Identity"}, f)
    os.makedirs(os.path.join(folder, "1_Pooling"), exist_ok=True)
    with open(os.path.join(folder, "1_Pooling", "config.json"), "w") as f:
        json.dump({f"pooling_mode_{name}": i == pooling for i, name in ((1, "mean_tokens"), (2, "cls_token"), (3, "lasttoken"))}, f)
    with open(os.path.join(folder, "modules.json"), "w") as f:
        json.dump([{"idx": i, "name": str(i), "path": p, "type": library + t} for i, (p, t) in enumerate(steps + [("", "Normalize")])], f)


def authors_config(kv, tensors, a):
    arch, gguf_arch = family(kv), kv["general.architecture"]
    get = lambda key, fallback=None: kv.get(f"{gguf_arch}.{key}", fallback)
    cfg = {"architectures": [CLASSES[arch]], "model_type": MODEL_TYPES.get(arch, arch), "hidden_act": ACTS.get(arch, "silu"), "transformers_version": "4.57.0"}
    cfg |= {hf: get(key) for key, hf in KEYS.items() if get(key) is not None}
    cfg["vocab_size"] = tensors["token_embd.weight"][0][0]
    cfg["tie_word_embeddings"] = "output.weight" not in tensors
    d_head = get("attention.key_length", cfg["hidden_size"] // cfg["num_attention_heads"])
    if arch.startswith("gemma") and arch not in ("gemma3n", "gemma4"): cfg["query_pre_attn_scalar" if arch != "gemma" else "head_dim"] = d_head
    if arch == "gemma": del cfg["tie_word_embeddings"]
    if arch == "phi3" and not get("attention.sliding_window"): cfg["sliding_window"] = None
    if arch == "olmo2" and get("attention.sliding_window"): cfg |= {"architectures": ["Olmo3ForCausalLM"], "model_type": "olmo3"}
    if arch == "llama" and get("attention.sliding_window"): cfg |= {"architectures": ["MistralForCausalLM"], "model_type": "mistral"}
    if get("attention.sliding_window") and layer_types(arch, cfg["num_hidden_layers"]): cfg["layer_types"] = layer_types(arch, cfg["num_hidden_layers"])
    rope, base = rope_config(kv, tensors, get, cfg), get("rope.freq_base", 10000.0)
    fraction = get("rope.dimension_count", d_head) / d_head
    if fraction != 1 or arch == "phi2": cfg["partial_rotary_factor"] = fraction
    if a.new_rope:
        full = {"rope_type": "default", "rope_theta": base} | rope
        cfg["rope_parameters"] = full if arch != "gemma3" else {"full_attention": full, "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}
    else:
        cfg |= {"rope_theta": base, "rope_scaling": rope or None}
        if arch == "gemma3": cfg["rope_local_base_freq"] = 10000
    if arch == "lfm2moe":
        n_kv = get("attention.head_count_kv")
        cfg |= {"norm_eps": cfg.pop("rms_norm_eps"), "num_key_value_heads": max(n_kv), "layer_types": ["full_attention" if n else "conv" for n in n_kv], "conv_bias": False,
                "conv_L_cache": get("shortconv.l_cache"), "norm_topk_prob": True, "use_expert_bias": True, "routed_scaling_factor": get("expert_weights_scale", 1.0)}
        del cfg["hidden_act"]
    if arch in ("qwen3moe", "olmoe"): cfg["norm_topk_prob"] = arch == "qwen3moe"
    if arch in ("mixtral", "gpt-oss"): cfg["num_local_experts"] = cfg.pop("num_experts")
    if arch in ("mixtral", "gpt-oss", "olmoe"): del cfg["moe_intermediate_size"]
    if arch == "gpt-oss":
        cfg |= {"swiglu_limit": 7.0, "attention_bias": True, "initial_context_length": 4096, "experts_per_token": cfg["num_experts_per_tok"]}
        cfg.setdefault("head_dim", d_head)
        (cfg.get("rope_parameters") or cfg["rope_scaling"])["truncate"] = get("rope.scaling.yarn_truncate", True)
        if a.mxfp4 == "blocks": cfg["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}
    if arch == "qwen35": qwen35_config(cfg, get, base, fraction, a)
    if arch in ("gemma3n", "gemma4"): per_layer_config(arch, cfg, get, base, a)
    if arch == "lfm2":
        n_kv = get("attention.head_count_kv")
        cfg |= {"norm_eps": cfg.pop("rms_norm_eps"), "num_key_value_heads": max(n_kv), "full_attn_idxs": [i for i, n in enumerate(n_kv) if n], "conv_bias": False,
                "conv_L_cache": get("shortconv.l_cache"), "block_auto_adjust_ff_dim": True, "block_ff_dim": cfg.pop("intermediate_size") * 3 // 2, "block_multiple_of": 4,
                "block_ffn_dim_multiplier": 1.0, "tie_embedding": cfg.pop("tie_word_embeddings")}
        del cfg["hidden_act"]
    if arch in ENCODERS: encoder_config(arch, cfg, get, rope, a)
    if a.granite_hybrid:
        cfg |= {"architectures": ["GraniteMoeHybridForCausalLM"], "model_type": "granitemoehybrid", "shared_intermediate_size": cfg["intermediate_size"],
                "num_local_experts": 0, "num_experts_per_tok": 0, "layer_types": ["attention"] * cfg["num_hidden_layers"], "position_embedding_type": "rope",
                "mamba_d_state": 128}
    if a.nested:
        outer = {"architectures": [{"gemma3": "Gemma3ForConditionalGeneration", "mistral3": "Mistral3ForConditionalGeneration", "qwen35": "Qwen3_5ForConditionalGeneration",
                                       "gemma3n": "Gemma3nForConditionalGeneration", "gemma4": "Gemma4ForConditionalGeneration"}[arch]], "vision_config": {"hidden_size": 8}}
        cfg = outer | {"model_type": arch, "text_config": {k: v for k, v in cfg.items() if k != "architectures"}}
    return cfg


# Files

def write_safetensors(path, tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, t in tensors.items():
        header[name] = {"dtype": t.kind, "shape": t.shape, "data_offsets": [len(data), len(data) + len(t.raw)]}
        data += t.raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f: f.write(struct.pack("<Q", len(text)) + text + data)


def write_weights(folder, tensors, n_shard):
    if n_shard < 2: return write_safetensors(os.path.join(folder, "model.safetensors"), tensors)
    names, where = list(tensors), {}
    for i in range(n_shard):
        part, file = names[i::n_shard], f"model-{i + 1:05}-of-{n_shard:05}.safetensors"
        write_safetensors(os.path.join(folder, file), {n: tensors[n] for n in part})
        where |= {n: file for n in part}
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as f:
        json.dump({"metadata": {"total_size": sum(len(t.raw) for t in tensors.values())}, "weight_map": where}, f)


def write_sentencepiece(path, kv):
    """Protocol buffers by hand: a piece is {1: text, 2: score, 3: type}; then trainer and normalizer."""
    def varint(n):
        out = b""
        while n > 127: out, n = out + bytes([n & 127 | 128]), n >> 7
        return out + bytes([n])

    field = lambda number, body: varint(number << 3 | 2) + varint(len(body)) + body
    g = "tokenizer.ggml."
    out = b""
    for piece, score, kind in zip(kv[g + "tokens"], kv[g + "scores"], kv[g + "token_type"]):
        body = field(1, piece.encode("utf-8", "surrogateescape")) + b"\x15" + struct.pack("<f", score)
        out += field(1, body + (b"\x18" + varint(kind) if kind != 1 else b""))
    trainer = b"\x18" + varint(2) + b"\x98\x02\x01"  # model_type = BPE, byte_fallback = true
    normalizer = field(1, b"identity") + b"\x18" + varint(1) + b"\x20" + varint(0)  # add_dummy_prefix, no remove_extra_whitespaces
    with open(path, "wb") as f: f.write(out + field(2, trainer) + field(3, normalizer))


def write_tokenizer(folder, kv):
    g = "tokenizer.ggml."
    tokens = kv[g + "tokens"]
    config = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": kv.get(g + "add_bos_token", False), "add_eos_token": False, "legacy": False}
    for name in ("bos", "eos"): config[f"{name}_token"] = tokens[kv[f"{g}{name}_token_id"]]
    config["unk_token"] = "<unk>"
    if "tokenizer.chat_template" in kv: config["chat_template"] = kv["tokenizer.chat_template"]
    with open(os.path.join(folder, "tokenizer_config.json"), "w") as f: json.dump(config, f)
    write_sentencepiece(os.path.join(folder, "tokenizer.model"), kv)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("gguf", nargs="?"), ap.add_argument("dir", nargs="?")
    ap.add_argument("--knows", metavar="ARCH", help="only say by the exit status whether folders of this architecture can be made")
    ap.add_argument("--type", choices=[F32, F16, BF16], help="of all tensors; default: matrices as they are, vectors F32")
    ap.add_argument("--shards", type=int, default=1)
    ap.add_argument("--new-rope", action="store_true", help="rope_parameters, as transformers 5 writes")
    ap.add_argument("--nested", action="store_true", help="as the language part of a model with vision")
    ap.add_argument("--past-pad", type=int, default=0, metavar="ID", help="bert as XLM-RoBERTa, whose positions begin behind the padding token's")
    ap.add_argument("--old-norms", action="store_true", help="norms as gamma and beta")
    ap.add_argument("--mxfp4", choices=("blocks", "rounded"), help="gpt-oss's experts in 4-bit blocks, or the floats that these stand for")
    ap.add_argument("--granite-hybrid", action="store_true", help="Granite 4's class")
    ap.add_argument("--prefix", default=None), ap.add_argument("--head-prefix", default=None)
    a = ap.parse_args()
    if a.knows: raise SystemExit(a.knows not in CLASSES)
    kv, tensors = read_gguf(a.gguf)
    default = "" if kv["general.architecture"] in ENCODERS else "model."
    a.prefix = a.prefix if a.prefix is not None else "language_model.model." if a.nested else default
    a.head_prefix = a.head_prefix if a.head_prefix is not None else "language_model." if a.nested else ""
    os.makedirs(a.dir, exist_ok=True)
    out = authors_tensors(kv, tensors, a)
    if a.type: out = {n: t.cast(a.type) for n, t in out.items()}
    if a.nested: out["vision_tower.patch.weight"] = Tensor([2, 3], F32, b"\0" * 24)
    write_weights(a.dir, out, a.shards)
    with open(os.path.join(a.dir, "config.json"), "w") as f: json.dump(authors_config(kv, tensors, a), f, indent=1)
    write_tokenizer(a.dir, kv)
    write_modules(a.dir, kv, tensors)


if __name__ == "__main__":
    main()
