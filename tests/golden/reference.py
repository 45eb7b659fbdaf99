"""The forward passes of every architecture, in float64 and a line or two each: what the C code is compared with.

A model is a `Model` (make_models.py): m.kv has the metadata, m.t the tensors as float64. The code reads like the
papers: whole sequences, no cache, no batches. Features hang on keys and tensors that are there, as in the descriptors."""
import numpy as np

from math import erf

sigmoid = lambda x: 1 / (1 + np.exp(-x))
silu = lambda x: x * sigmoid(x)
gelu = lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3)))
gelu_erf = lambda x: 0.5 * x * (1 + np.vectorize(erf)(x / np.sqrt(2)))
cap = lambda x, c: c * np.tanh(x / c) if c else x


def rms(x, w, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w


def layer_norm(x, w, b, eps):
    d = x - x.mean(-1, keepdims=True)
    return d / np.sqrt((d * d).mean(-1, keepdims=True) + eps) * w + b


def softmax(s):
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def log_softmax(y):
    y = y - y.max(-1, keepdims=True)
    return y - np.log(np.exp(y).sum(-1, keepdims=True))


DDOF = 0  # of the deviation that Gemma 3n cuts by; llama.cpp takes 1


class Run:
    """One model with the short words that the formulas below use."""

    def __init__(self, m):
        self.m, self.arch, self.t = m, m.kv["general.architecture"], m.t
        g = self.g
        self.d, self.n_layer, self.n_head = g("embedding_length"), g("block_count"), g("attention.head_count")
        self.n_kv = g("attention.head_count_kv", self.n_head)
        self.shared, self.kept = self.n_layer - g("attention.shared_kv_layers", 0), {}
        if isinstance(self.n_kv, list): self.n_kv = max(self.n_kv)
        self.d_head = g("attention.key_length") or self.d // self.n_head
        self.n_rot = g("rope.dimension_count") or self.d_head
        self.rms_eps, self.ln_eps = g("attention.layer_norm_rms_epsilon"), g("attention.layer_norm_epsilon")
        self.window = g("attention.sliding_window", 0)
        self.encoder = not g("attention.causal", True)

    def g(self, key, default=None):
        return self.m.kv.get(f"{self.arch}.{key}", default)

    def norm(self, name, x):
        """By the tensor's name; absent: nothing."""
        w, b = self.t.get(name + ".weight"), self.t.get(name + ".bias")
        if w is None: return x
        return rms(x, w, self.rms_eps) if self.rms_eps else layer_norm(x, w, 0 if b is None else b, self.ln_eps)

    def linear(self, name, x):
        y = x @ self.t[name + ".weight"].T
        return y + self.t[name + ".bias"] if name + ".bias" in self.t else y

    # ---- positions ----

    def yarn(self, inv, base):
        """Peng et al. 2023: fast pairs keep their angle, slow ones are interpolated, a ramp between; and its magnitude."""
        s, orig = self.g("rope.scaling.factor", 1.0), self.g("rope.scaling.original_context_length")
        fast, slow = self.g("rope.scaling.yarn_beta_fast", 32.0), self.g("rope.scaling.yarn_beta_slow", 1.0)
        pair = lambda turns: self.n_rot * np.log(orig / (turns * 2 * np.pi)) / (2 * np.log(base))
        low, high = (np.floor(pair(fast)), np.ceil(pair(slow))) if self.g("rope.scaling.yarn_truncate", True) else (pair(fast), pair(slow))
        low, high = max(low, 0), min(high, self.n_rot - 1)
        ramp = np.clip((np.arange(self.n_rot // 2) - low) / max(0.001, high - low), 0, 1)
        size = lambda mul: 0.1 * mul * np.log(s) + 1
        mul = self.g("rope.scaling.yarn_log_multiplier", 0.0)
        return inv * (1 - ramp) + inv / s * ramp, size(1) / (size(mul) if mul else 1)

    def angles(self, local, n_ctx):
        """Angle per position of each pair, and the factor of cosines and sines."""
        base, kind = self.g("rope.freq_base", 10000.0), self.g("rope.scaling.type", "none")
        if local and self.local_base(): return self.local_base() ** (-np.arange(0, self.n_rot, 2) / self.n_rot), 1.0
        inv = base ** (-np.arange(0, self.n_rot, 2) / self.n_rot)
        size = self.g("rope.scaling.attn_factor", 1.0)
        if kind == "linear": inv = inv / self.g("rope.scaling.factor")
        if "rope_freqs.weight" in self.t: inv = inv / self.t["rope_freqs.weight"]
        if "rope_factors_long.weight" in self.t:
            long = n_ctx > self.g("rope.scaling.original_context_length")
            inv = inv / self.t["rope_factors_long.weight" if long else "rope_factors_short.weight"]
        if kind == "yarn":
            inv, yarn_size = self.yarn(inv, base)
            size *= yarn_size
        return inv, size

    def local_base(self):
        if self.arch in ("gemma3", "gemma-embedding", "modern-bert", "gemma4", "gemma3n"): return self.g("rope.freq_base_swa", 10000.0)
        if self.arch == "olmo2": return self.g("rope.freq_base", 10000.0)
        return None

    def rope(self, x, local, n_ctx, adjacent):
        inv, size = self.angles(local, n_ctx)
        a = np.arange(len(x))[:, None] * inv
        c, s, h = np.cos(a)[:, None] * size, np.sin(a)[:, None] * size, self.n_rot // 2
        i, j = (slice(0, self.n_rot, 2), slice(1, self.n_rot, 2)) if adjacent else (slice(0, h), slice(h, self.n_rot))
        y = x.copy()
        y[..., i], y[..., j] = x[..., i] * c - x[..., j] * s, x[..., i] * s + x[..., j] * c
        return y

    # ---- blocks ----

    def attend(self, q, k, v, scale, window=0, sinks=None):
        """q [n, n_head, d], k and v [n, n_kv, d]: causal, perhaps windowed; encoders see half a window to each side."""
        n, group = len(q), q.shape[1] // k.shape[1]
        k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
        s = cap(np.einsum("qhd,khd->hqk", q, k) * scale, self.g("attn_logit_softcapping"))
        back = np.arange(n)[:, None] - np.arange(n)[None]
        if self.encoder: hidden = np.abs(back) > window // 2 if window else back < -n
        else: hidden = (back < 0) | ((back >= window) if window else False)
        s = np.where(hidden, -np.inf, s)
        if sinks is not None: s = np.concatenate([s, np.broadcast_to(sinks[:, None, None], (len(s), n, 1))], -1)
        return np.einsum("hqk,khd->qhd", softmax(s)[..., :n], v).reshape(n, -1)

    def is_local(self, i):
        if isinstance(self.g("attention.sliding_window_pattern"), list): return self.g("attention.sliding_window_pattern")[i]
        if self.arch == "modern-bert": return bool(self.window) and i % 3 != 0
        if self.arch in ("gemma2", "gemma3", "gemma3n", "gemma-embedding", "olmo2", "gpt-oss"):
            period = {"gemma2": 2, "olmo2": 4, "gemma3n": 5, "gpt-oss": 2}.get(self.arch, 6)
            return bool(self.window) and (i + 1) % self.g("attention.sliding_window_pattern", period) != 0
        return bool(self.window)

    def qkv(self, b, x):
        sizes = [self.n_head * self.d_head, self.n_kv * self.d_head]
        if b + "attn_qkv.weight" in self.t: q, k, v = np.split(self.linear(b + "attn_qkv", x), [sizes[0], sum(sizes)], -1)
        else:
            q = self.linear(b + "attn_q", x)
            k = self.linear(b + "attn_k", x) if b + "attn_k.weight" in self.t else np.zeros((len(x), sizes[1]))  # shared: never read
            v = self.linear(b + "attn_v", x) if b + "attn_v.weight" in self.t else k
        heads = lambda y, n: y.reshape(len(x), n, self.d_head)
        self.gate = None
        if self.arch == "qwen35": q, self.gate = (y.reshape(len(x), -1) for y in np.split(q.reshape(len(x), self.n_head, -1), 2, -1))
        if self.arch in ("olmo2", "olmoe"): q, k = self.norm(b + "attn_q_norm", q), self.norm(b + "attn_k_norm", k)
        q, k, v = heads(q, self.n_head), heads(k, self.n_kv), heads(v, self.n_kv)
        if self.arch not in ("olmo2", "olmoe"): q, k = self.norm(b + "attn_q_norm", q), self.norm(b + "attn_k_norm", k)
        return q, k, v

    def attention(self, b, i, x, n_ctx):
        if self.g("attention.key_length_swa"):
            self.d_head = self.g("attention.key_length_swa" if self.is_local(i) else "attention.key_length")
            self.n_rot = self.g("rope.dimension_count_swa" if self.is_local(i) else "rope.dimension_count")
        q, k, v = self.qkv(b, x)
        if self.arch in ("gemma4", "gemma3n"): v = rms(v, 1, self.rms_eps)
        adjacent = self.arch in ("llama", "mistral3", "granite", "smollm3")
        if self.arch != "bert" and not (self.arch == "smollm3" and (i + 1) % 4 == 0):
            q, k = self.rope(q, self.is_local(i), n_ctx, adjacent), self.rope(k, self.is_local(i), n_ctx, adjacent)
        if i >= self.shared: k, v = self.kept[self.is_local(i)]
        else: self.kept[self.is_local(i)] = k, v
        if self.g("attention.temperature_scale"):
            orig = self.g("rope.scaling.original_context_length")
            q = q * (1 + self.g("attention.temperature_scale") * np.log(1 + np.arange(len(x)) // orig))[:, None, None]
        scale = 1 / np.sqrt(self.d_head)
        if (self.arch, self.n_layer) in (("gemma2", 46), ("gemma3", 62)): scale = 1 / np.sqrt(self.d / self.n_head)
        scale = 1 if self.arch in ("gemma4", "gemma3n") else self.g("attention.scale") or scale
        y = self.attend(q, k, v, scale, self.window if self.is_local(i) else 0, self.t.get(b + "attn_sinks.weight"))
        return self.linear(b + "attn_output", y if self.gate is None else y * sigmoid(self.gate))

    # ---- mixers that are no attention ----

    def short_conv(self, x, name):
        """Every channel of x [n, d] sees its own last taps; before the text there is nothing."""
        w = self.t[name + ".weight"]
        taps = w.shape[1]
        padded = np.concatenate([np.zeros((taps - 1, x.shape[1])), x])
        return sum(padded[j:j + len(x)] * w[:, j] for j in range(taps))

    def gated_conv(self, b, x):
        before, after, h = np.split(self.linear(b + "shortconv.in_proj", x), 3, -1)
        return self.linear(b + "shortconv.out_proj", after * self.short_conv(before * h, b + "shortconv.conv"))

    def delta_net(self, b, x):
        """Yang et al. 2024: S = decay S; S += beta k (v - k S); y = q S, for each head."""
        n, n_k, n_v, d_k = len(x), self.g("ssm.group_count"), self.g("ssm.time_step_rank"), self.g("ssm.state_size")
        d_v = self.g("ssm.inner_size") // n_v
        mixed = silu(self.short_conv(self.linear(b + "attn_qkv", x), b + "ssm_conv1d"))
        q, k, v = np.split(mixed, [n_k * d_k, 2 * n_k * d_k], -1)
        unit = lambda y: y / np.sqrt((y * y).sum(-1, keepdims=True) + 1e-6)
        q, k, v = unit(q.reshape(n, n_k, d_k)) / np.sqrt(d_k), unit(k.reshape(n, n_k, d_k)), v.reshape(n, n_v, d_v)
        decay = np.exp(self.t[b + "ssm_a"] * np.log1p(np.exp(self.linear(b + "ssm_alpha", x) + self.t[b + "ssm_dt.bias"])))
        beta, y = sigmoid(self.linear(b + "ssm_beta", x)), np.zeros((n, n_v, d_v))
        for h in range(n_v):
            s = np.zeros((d_k, d_v))
            for i in range(n):
                key = k[i, h % n_k]
                s = s * decay[i, h]
                s = s + np.outer(key, beta[i, h] * (v[i, h] - key @ s))
                y[i, h] = q[i, h % n_k] @ s
        y = rms(y, self.t[b + "ssm_norm.weight"], self.rms_eps) * silu(self.linear(b + "attn_gate", x).reshape(n, n_v, d_v))
        return self.linear(b + "ssm_out", y.reshape(n, -1))

    def mix(self, b, i, x, n_ctx):
        if b + "shortconv.in_proj.weight" in self.t: return self.gated_conv(b, x)
        if b + "ssm_out.weight" in self.t: return self.delta_net(b, x)
        return self.attention(b, i, x, n_ctx)

    def experts(self, b, x, act):
        """A token's best experts, weighted: of the softmax of all scores, of sigmoids, or of the softmax of the chosen scores."""
        gating = self.g("expert_gating_func") or {"lfm2moe": 2, "gpt-oss": 3}.get(self.arch, 1)
        score = self.linear(b + "ffn_gate_inp", x)
        score = softmax(score) if gating == 1 else sigmoid(score) if gating == 2 else score
        order = np.argsort(-(score + self.t.get(b + "exp_probs_b.bias", 0)), -1, kind="stable")[:, :self.g("expert_used_count")]
        y = np.zeros_like(x)
        part = lambda name, e, h: h @ self.t[b + name + ".weight"][e].T + (self.t[b + name + ".bias"][e] if b + name + ".bias" in self.t else 0)
        for i in range(len(x)):
            w = score[i, order[i]]
            if gating == 3: w = softmax(w)
            if self.g("expert_weights_norm", self.arch not in ("olmoe", "gpt-oss")): w = w / w.sum()
            w = w * (self.g("expert_weights_scale") or 1)
            for e, weight in zip(order[i], w):
                y[i] += weight * part("ffn_down_exps", e, act(part("ffn_gate_exps", e, x[i]), part("ffn_up_exps", e, x[i])))
        return y

    def feed_forward(self, b, x):
        if b + "ffn_gate_inp.weight" in self.t:
            clamped = lambda g, u: np.minimum(g, 7) * sigmoid(1.702 * np.minimum(g, 7)) * (np.clip(u, -7, 7) + 1)
            return self.experts(b, x, clamped if self.arch == "gpt-oss" else lambda g, u: silu(g) * u)
        act = gelu if self.arch.startswith("gemma") or self.arch == "phi2" else gelu_erf if self.arch in ("bert", "modern-bert") else silu
        if self.arch in ("phi2", "bert"): return self.linear(b + "ffn_down", act(self.linear(b + "ffn_up", x)))
        if self.arch in ("phi3", "modern-bert") and b + "ffn_gate.weight" not in self.t: gate, up = np.split(self.linear(b + "ffn_up", x), 2, -1)
        else: gate, up = self.linear(b + "ffn_gate", x), self.linear(b + "ffn_up", x)
        if self.arch == "gemma3n" and int(b.split(".")[1]) < 10: gate = np.maximum(gate - gate.mean(-1, keepdims=True) - 1.6448536 * gate.std(-1, keepdims=True, ddof=DDOF), 0)
        return self.linear(b + "ffn_down", act(gate) * up)

    def per_layer(self, ids, x):
        """[n, n_layer, d_ple]: every layer's own embedding of the tokens."""
        if "per_layer_token_embd.weight" not in self.t: return None
        shape = len(ids), self.n_layer, self.g("embedding_length_per_layer_input")
        own = self.t["per_layer_token_embd.weight"][ids].reshape(shape) * np.sqrt(shape[-1])
        return (self.norm("per_layer_proj_norm", self.linear("per_layer_model_proj", x).reshape(shape) / np.sqrt(self.d)) + own) / np.sqrt(2)

    def altup(self, x, own, n_ctx):
        """Baykal et al. 2023: copies of the stream are predicted from all, one goes through the layer, all are corrected."""
        size = lambda y: np.sqrt((y * y).sum(-1, keepdims=True))
        like = lambda y, x: y * size(x) / np.maximum(size(y), 1e-5)
        c = np.stack([x] + [like(x @ w.T, x) for w in self.t["altup_proj.weight"]])
        n_copy = len(c)
        for i in range(self.n_layer):
            b = f"blk.{i}."
            mode = lambda y: np.tanh(self.linear(b + "altup_router", self.norm(b + "altup_router_norm", y) / self.d))
            p = c + np.einsum("tji,itd->jtd", self.linear(b + "altup_predict_coef", mode(c[0])).reshape(-1, n_copy, n_copy), c)
            h = self.norm(b + "attn_norm", p[0])
            laurel = h + self.norm(b + "laurel_post_norm", self.linear(b + "laurel_r", self.linear(b + "laurel_l", h)))
            y = (self.norm(b + "post_attention_norm", self.attention(b, i, h, n_ctx)) + p[0] + laurel) / np.sqrt(2)
            y = y + self.norm(b + "post_ffw_norm", self.feed_forward(b, self.norm(b + "ffn_norm", y)))
            c = p + (1 + self.linear(b + "altup_correct_coef", mode(y))).T[:, :, None] * (y - p[0])
            first = gelu(self.linear(b + "inp_gate", c[0] * self.t[b + "altup_correct_scale.weight"])) * own[:, i]
            c[1:] += self.norm(b + "post_norm", self.linear(b + "proj", first))
        return np.mean([c[0]] + [like(y @ w.T, c[0]) for y, w in zip(c[1:], self.t["altup_unembd_proj.weight"])], 0)

    def states(self, ids, n_ctx):
        """[n, d_model] after the last norm."""
        x = self.t["token_embd.weight"][ids]
        x = x * (np.sqrt(self.d) if self.arch.startswith("gemma") else self.g("embedding_scale", 1.0))
        if "token_types.weight" in self.t: x = x + self.t["token_types.weight"][0]
        if "position_embd.weight" in self.t: x = x + self.t["position_embd.weight"][:len(ids)]
        if not self.arch.startswith("lfm2"): x = self.norm("token_embd_norm", x)
        residual, own = self.g("residual_scale", 1.0), self.per_layer(ids, x)
        if "altup_proj.weight" in self.t: return self.norm("output_norm", self.altup(x, own, n_ctx))
        for i in range(self.n_layer):
            b = f"blk.{i}."
            h = self.norm(b + "attn_norm", x)
            a = self.mix(b, i, h, n_ctx)
            if self.arch not in ("qwen35", "gpt-oss"): a = self.norm(b + "post_attention_norm", a)
            if self.arch != "phi2":
                x = self.norm(b + "attn_output_norm", x + residual * a)
                h = self.norm(b + ("post_attention_norm" if self.arch in ("qwen35", "gpt-oss") else "ffn_norm"), x)
            f = self.norm(b + "post_ffw_norm", self.feed_forward(b, h))
            x = self.norm(b + "layer_output_norm", x + residual * f + (a if self.arch == "phi2" else 0))
            if own is not None: x = x + self.norm(b + "post_norm", self.linear(b + "proj", gelu(self.linear(b + "inp_gate", x)) * own[:, i]))
            x = x * self.t.get(b + "layer_output_scale.weight", 1)
        return self.norm("token_embd_norm" if self.arch.startswith("lfm2") else "output_norm", x)

    def head(self, x):
        y = self.linear("output", x) if "output.weight" in self.t else x @ self.t["token_embd.weight"].T
        return cap(y / self.g("logit_scale", 1.0), self.g("final_logit_softcapping", 30.0 if self.arch in ("gemma3n", "gemma4") else None))


def logprobs(m, ids, n_ctx):
    """[n, n_vocab]: the logarithm of the next token's probability at every position of a run of n_ctx."""
    run = Run(m)
    return log_softmax(run.head(run.states(ids, n_ctx)))


def embeddings(m, ids, n_ctx):
    """The states of all tokens [n, d], and {pooling: vector}, none scaled to length 1."""
    run = Run(m)
    x = run.states(ids, n_ctx)
    pooled = {"mean": x.mean(0), "cls": x[0], "last": x[-1]}
    if "dense_2.weight" in m.t: pooled = {k: run.linear("dense_3", run.linear("dense_2", v)) for k, v in pooled.items()}
    if "cls.output.weight" in m.t:
        h = x[0 if run.encoder else -1]
        if "cls.weight" in m.t: h = run.norm("cls.norm", (gelu_erf if run.arch == "modern-bert" else np.tanh)(run.linear("cls", h)))
        score = run.linear("cls.output", h)
        pooled["rank"] = softmax(score) if run.arch == "qwen3" else score
    return x, pooled
