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
SIZE = {F32: 4, F16: 2, BF16: 2}


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

    def cast(self, kind): return self if kind == self.kind else Tensor(self.shape, kind, from_floats(kind, to_floats(self.kind, self.raw)))


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
LAYERS = {"bert": "encoder.layer.", "nomic-bert": "encoder.layers."}
CLASSIFIERS = {"bert": {"cls.output": "classifier"}, "modern-bert": {"cls": "head.dense", "cls.norm": "head.norm", "cls.output": "classifier"}}
ADJACENT = ("llama", "mistral3", "smollm3", "granite")
CLASSES = {"llama": "LlamaForCausalLM", "mistral3": "Ministral3ForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM",
           "gemma": "GemmaForCausalLM", "gemma2": "Gemma2ForCausalLM", "gemma3": "Gemma3ForCausalLM", "phi2": "PhiForCausalLM", "phi3": "Phi3ForCausalLM",
           "smollm3": "SmolLM3ForCausalLM", "granite": "GraniteForCausalLM", "olmo2": "Olmo2ForCausalLM", "lfm2": "Lfm2ForCausalLM", "bert": "BertModel", "nomic-bert": "NomicBertModel",
           "modern-bert": "ModernBertModel", "gemma-embedding": "Gemma3TextModel"}
ENCODERS = ("bert", "nomic-bert", "modern-bert", "gemma-embedding")
MODEL_TYPES = {"gemma-embedding": "gemma3_text", "nomic-bert": "nomic_bert", "modern-bert": "modernbert", "mistral3": "ministral3", "gemma3": "gemma3_text", "phi2": "phi"}


def authors_tensors(kv, tensors, a):
    arch = kv["general.architecture"]
    n_head = kv[f"{arch}.attention.head_count"]
    n_kv = kv.get(f"{arch}.attention.head_count_kv", n_head)
    if isinstance(n_kv, list): n_kv = max(n_kv)
    d_head = kv.get(f"{arch}.attention.key_length", kv[f"{arch}.embedding_length"] // n_head)
    names, body, head, out = NAMES.get(arch, LLAMA), a.prefix, a.head_prefix, {}
    for name, (shape, kind, raw) in tensors.items():
        t, parts = Tensor(shape, kind, raw), name.split(".")
        stem, suffix = ".".join(parts[:-1]) if parts[0] == "cls" else parts[-2], parts[-1]
        if stem.startswith(("rope_f", "dense_")): continue
        if stem in CLASSIFIERS.get(arch, {}):
            out[f"{CLASSIFIERS[arch][stem]}.{suffix}"] = t
            continue
        if stem == "output":
            out[f"{head}lm_head.{suffix}"] = t
            continue
        if arch in ADJACENT and stem in ("attn_q", "attn_k"): t = t.halves(n_head if stem == "attn_q" else n_kv)
        if arch.startswith("gemma") and stem.endswith("_norm"): t = t.plus(-1.0)
        if arch == "bert" and stem == "position_embd" and a.past_pad:  # rows for the padding token and those before it
            t = t.with_rows([b"\0" * len(t.rows()[0])] * (a.past_pad + 1) + t.rows())
        if stem == "conv": t = Tensor([t.shape[0], 1, t.shape[1]], t.kind, t.raw)
        place = f"{body}{LAYERS.get(arch, 'layers.')}{parts[1]}." if parts[0] == "blk" else body
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
    period = {"gemma2": 2, "gemma3": 6, "olmo2": 4}.get(arch)
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
    arch = kv["general.architecture"]
    get = lambda key, fallback=None: kv.get(f"{arch}.{key}", fallback)
    cfg = {"architectures": [CLASSES[arch]], "model_type": MODEL_TYPES.get(arch, arch), "hidden_act": ACTS.get(arch, "silu"), "transformers_version": "4.57.0"}
    cfg |= {hf: get(key) for key, hf in KEYS.items() if get(key) is not None}
    cfg["vocab_size"] = tensors["token_embd.weight"][0][0]
    cfg["tie_word_embeddings"] = "output.weight" not in tensors
    d_head = get("attention.key_length", cfg["hidden_size"] // cfg["num_attention_heads"])
    if arch.startswith("gemma"): cfg["query_pre_attn_scalar" if arch != "gemma" else "head_dim"] = d_head
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
        outer = {"architectures": [{"gemma3": "Gemma3ForConditionalGeneration", "mistral3": "Mistral3ForConditionalGeneration"}[arch]], "vision_config": {"hidden_size": 8}}
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
