/* forward.c -- one batch through all layers, as a plain loop over ops: read it beside the paper.
 *
 * Every token of the batch writes its key and value before any token attends, layer by layer; a token attends
 * to its own sequence up to its own position. So a prompt gives the same numbers whether it comes whole, in
 * chunks, or beside other sequences. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "model/forward_int.h"

/* The engine's buffers by their names in the plan. */
static const struct {
    const char *name;
    size_t offset;
} buffer_rows[] = {
    {"x", offsetof(struct forward, x)},       {"xn", offsetof(struct forward, xn)},   {"q", offsetof(struct forward, q)},
    {"k", offsetof(struct forward, k)},       {"v", offsetof(struct forward, v)},     {"att", offsetof(struct forward, att)},
    {"branch", offsetof(struct forward, branch)}, {"gate", offsetof(struct forward, gate)}, {"up", offsetof(struct forward, up)},
    {"cos", offsetof(struct forward, cos)},   {"sin", offsetof(struct forward, sin)}, {"q_scale", offsetof(struct forward, q_scale)},
    {"end", offsetof(struct forward, end)},
    {"visible", offsetof(struct forward, visible)},
    {"jobs", offsetof(struct forward, jobs)}, {"att_parts", offsetof(struct forward, att_parts)},
    {"ple", offsetof(struct forward, ple)},   {"ple_in", offsetof(struct forward, ple_in)}, {"ones", offsetof(struct forward, ones)},
    {"moe_score", offsetof(struct forward, moe_score)}, {"moe_weight", offsetof(struct forward, moe_weight)},
    {"moe_in", offsetof(struct forward, moe_in)}, {"moe_out", offsetof(struct forward, moe_out)}, {"moe_id", offsetof(struct forward, moe_id)},
    {"copies", offsetof(struct forward, copies)}, {"predicted", offsetof(struct forward, predicted)},
    {"altup_mode", offsetof(struct forward, altup_mode)}, {"altup_coef", offsetof(struct forward, altup_coef)},
    {"lora_groups", offsetof(struct forward, lora_groups)}, {"lora_rows", offsetof(struct forward, lora_rows)}, {"lora_h", offsetof(struct forward, lora_h)},
    {"lora_expert_rows", offsetof(struct forward, lora_expert_rows)},
    {"mix", offsetof(struct forward, mix)},   {"mix_gate", offsetof(struct forward, mix_gate)}, {"mix_scalars", offsetof(struct forward, mix_scalars)},
};
#define N_BUFFERS (sizeof buffer_rows / sizeof buffer_rows[0])

static void **buffer_at(struct forward *f, size_t i) { return (void **)((char *)f + buffer_rows[i].offset); }

slm_status forward_create(const struct slm_model *m, const struct plan *plan, struct compute *c, struct forward **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct forward *f = NULL;
    void *p = NULL;
    *out = NULL;
    TRY(mem_alloc(&p, 1, sizeof *f, "forward pass", err));
    f = p;
    f->m = m;
    f->c = c;
    f->n_batch = plan->n_batch;
    f->n_out = plan->n_out;
    f->n_loras = m->n_loras;
    f->n_part_floats = plan_find(plan, "att_parts")->bytes / sizeof(float);
    for (size_t i = 0; i < N_BUFFERS; i++) {
        const struct plan_row *row = plan_find(plan, buffer_rows[i].name);
        if (row) TRY(mem_alloc(buffer_at(f, i), row->bytes, 1, row->name, err));
    }
    if (f->ones)
        for (uint64_t i = 0; i < hparams_dim_max(&m->hp, DIM_HEAD); i++) f->ones[i] = 1;
    for (int i = 0; i < N_ROPE_TABLES; i++) TRY(rope_table_make(m, plan->n_ctx, i == ROPE_LOCAL, &f->rope[i], err));
    *out = f;
    return SLM_OK;
out:
    forward_destroy(f);
    return st;
}

void forward_destroy(struct forward *f) {
    if (!f) return;
    for (size_t i = 0; i < N_BUFFERS; i++) free(*buffer_at(f, i));
    for (int i = 0; i < N_ROPE_TABLES; i++) free(f->rope[i].inv_freq);
    free(f);
}

void forward_observe(struct forward *f, forward_observer fn, void *user) {
    f->observer = fn;
    f->observer_user = user;
}

static slm_status check_batch(const struct forward *f, const struct batch *b, slm_err *err) {
    int32_t n_out = 0;
    if (!b->hidden && !f->m->global[W_OUTPUT].w.data) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "\"%s\": architecture \"%s\" has no output head: it makes embeddings, not text", gguf_path(f->m->gguf),
                f->m->arch->name);
        err_hint(err, "use slm embed");
        return SLM_E_USAGE;
    }
    if (b->n_tok < 1 || b->n_tok > f->n_batch)
        return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "batch of %d tokens: must be 1 to %d", b->n_tok, f->n_batch);
    for (int32_t i = 0; i < b->n_tok; i++) {
        if (b->token[i] < 0 || (uint32_t)b->token[i] >= f->m->hp.n_vocab)
            return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "token id \"%d\": outside a vocabulary of %u", b->token[i], f->m->hp.n_vocab);
        SLM_ASSERT(b->pos[i] >= 0 && b->pos[i] < b->seq[i]->n_page * KV_PAGE_TOK);
        if (f->m->global[W_POS_EMBD].w.data && (uint32_t)b->pos[i] >= f->m->hp.n_ctx_train)
            return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "position %d: the model has %u", b->pos[i], f->m->hp.n_ctx_train);
        n_out += b->want_logits[i];
    }
    if (!b->hidden && n_out > f->n_out) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "logits of %d tokens: at most %d in one batch", n_out, f->n_out);
    return SLM_OK;
}

/* What depends on positions alone: cos, sin [N_ROPE_TABLES, n_batch, n_pair] serve all layers and heads. */
static void prepare_positions(struct forward *f, const struct batch *b) {
    const struct hparams *hp = &f->m->hp;
    size_t ld = hparams_n_pair_max(hp);
    for (int t = 0; t < N_ROPE_TABLES; t++)
        for (size_t i = 0; i < (size_t)b->n_tok; i++)
            for (size_t j = 0; j < f->rope[t].n_pair; j++) {
                double angle = b->pos[i] * f->rope[t].inv_freq[j];
                size_t at = ((size_t)t * (size_t)f->n_batch + i) * ld + j;
                f->cos[at] = (float)(cos(angle) * (double)f->rope[t].mscale);
                f->sin[at] = (float)(sin(angle) * (double)f->rope[t].mscale);
            }
    for (int32_t i = b->n_tok - 1; i >= 0; i--) {
        bool inside = f->m->hp.bidirectional && i + 1 < b->n_tok && b->seq[i + 1] == b->seq[i];
        f->end[i] = inside ? f->end[i + 1] : b->pos[i] + 1;
    }
    if (hp->temp_scale > 0)
        for (int32_t i = 0; i < b->n_tok; i++)
            f->q_scale[i] = (float)(1 + (double)hp->temp_scale * log(1 + floor((double)b->pos[i] / hp->temp_len)));
}

/* The words of the loop below. A slot that the architecture lacks does nothing. */

/* Up to three slots over the same input. */
void forward_linears(struct forward *f, float *const y[], const enum weight_slot slots[], int n_slots, uint32_t i_layer, const float *x, int64_t n_tok) {
    struct product products[3] = {{0}};
    int64_t d_in = 0;
    SLM_ASSERT(n_slots >= 1 && n_slots <= 3);
    for (int i = 0; i < n_slots; i++) {
        const struct weight *w = &model_slot(f->m, slots[i], i_layer)->w;
        products[i] = (struct product){y[i], w->d_out, w};
        d_in = w->d_in;
        if (f->observer && w->data) f->observer(f->observer_user, slots[i], i_layer, 0, x, n_tok, d_in);
    }
    compute_products(f->c, products, n_slots, x, d_in, n_tok);
    for (int i = 0; i < n_slots; i++) {
        const struct bound *b = model_slot(f->m, slots[i], i_layer);
        forward_lora_add(f, y[i], slots[i], i_layer, x);
        if (b->bias) compute_add_bias(f->c, y[i], b->bias, n_tok, b->w.d_out);
    }
}

void forward_linear(struct forward *f, float *y, enum weight_slot slot, uint32_t i_layer, const float *x, int64_t n_tok) {
    forward_linears(f, &y, &slot, 1, i_layer, x, n_tok);
}

void forward_norm(struct forward *f, float *y, enum weight_slot slot, uint32_t i_layer, const float *x, int64_t n_row, int64_t d) {
    const struct bound *b = model_slot(f->m, slot, i_layer);
    if (!b->vec) {
        if (y != x) memcpy(y, x, (size_t)(n_row * d) * sizeof(float));
    } else if (f->m->arch->norm == NORM_LAYER) {
        compute_layer_norm(f->c, y, x, b->vec, b->bias, n_row, d, f->m->hp.norm_eps);
    } else {
        compute_rms_norm(f->c, y, x, b->vec, n_row, d, f->m->hp.norm_eps);
    }
}

struct place_args {
    struct forward *f;
    struct kv *kv;
    const struct batch *b;
    uint32_t i_layer;
};

/* Rotate the queries and keys of tokens [begin, end) and put their keys and values in the cache. */
static void place_tokens(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct place_args *a = ctx;
    const struct forward *f = a->f;
    const struct hparams *hp = &f->m->hp;
    const struct layer_hparams *l = &hp->layer[a->i_layer];
    const struct ops *ops = &f->c->ops;
    int64_t n_pair = l->n_rot / 2, d_head = l->d_head;
    void (*rotate)(float *, int64_t, int64_t, int64_t, const float *, const float *) =
        f->m->arch->rope == ROPE_ADJACENT ? ops->rope_adjacent : ops->rope_halves;
    bool own = l->i_kv == a->i_layer;
    int64_t table = l->is_local ? ROPE_LOCAL : ROPE_FULL;
    (void)i_thread;
    for (int64_t i = begin; i < end; i++) {
        float *q = f->q + i * l->n_head * d_head, *k = f->k + i * l->n_head_kv * d_head;
        const float *v = f->v + i * l->n_head_kv * d_head;
        if (l->has_rope) {
            int64_t at = (table * f->n_batch + i) * hparams_n_pair_max(hp);
            rotate(q, l->n_head, d_head, n_pair, f->cos + at, f->sin + at);
            if (own) rotate(k, l->n_head_kv, d_head, n_pair, f->cos + at, f->sin + at);
        }
        if (hp->temp_scale > 0) ops->scale(q, f->q_scale[i], l->n_head * d_head);
        if (!own) continue;
        int32_t pos = a->b->pos[i], page = a->b->seq[i]->pages[pos / KV_PAGE_TOK];
        for (uint32_t h = 0; h < l->n_head_kv; h++) {
            ops->kv_store(kv_keys(a->kv, page, a->i_layer, h), kv_values(a->kv, page, a->i_layer, h), a->kv->type, pos % KV_PAGE_TOK,
                          k + h * d_head, v + h * d_head, d_head);
        }
    }
}

/* Positions that token i sees: up to its own in a decoder, half a window to each side in an encoder. */
static struct attn_range visible(const struct forward *f, const struct batch *b, int32_t i, uint32_t window) {
    struct attn_range range = {0, f->end[i]};
    int32_t pos = b->pos[i], back = (int32_t)window - 1;
    if (window == 0) return range;
    if (f->m->hp.bidirectional) {
        back = (int32_t)window / 2;
        if (range.end - pos - 1 > back) range.end = pos + back + 1;
    }
    if (pos > back) range.first = pos - back;
    return range;
}

/* att[n_tok, n_head, d_head] = each token's heads over what it sees of its own sequence. Jobs of a KV head follow each
 * other, so that its pages are read while they are in the caches. */
static void attend(struct forward *f, struct kv *kv, const struct batch *b, uint32_t i_layer) {
    const struct layer_hparams *l = &f->m->hp.layer[i_layer];
    int64_t n_group = l->n_head / l->n_head_kv, ld = (int64_t)l->n_head * l->d_head, n_job = 0;
    const float *sinks = model_slot(f->m, W_ATTN_SINKS, i_layer)->vec;
    int32_t n_max = compute_attention_toks(n_group);
    for (int32_t i = 0; i < b->n_tok; i++) f->visible[i] = visible(f, b, i, l->window);
    for (int32_t begin = 0, end; begin < b->n_tok; begin = end) {
        for (end = begin + 1; end < b->n_tok && b->seq[end] == b->seq[begin]; end++) {}
        for (uint32_t h = 0; h < l->n_head_kv; h++)
            for (int32_t i = begin; i < end; i += n_max) {
                int64_t at = i * ld + h * n_group * l->d_head;
                f->jobs[n_job++] = (struct attn_job){.kv = kv_attn(kv, b->seq[i], l->i_kv, h), .q = f->q + at, .out = f->att + at, .ld = ld,
                                                     .visible = f->visible + i, .sinks = sinks ? sinks + h * n_group : NULL, .n_tok = end - i < n_max ? end - i : n_max};
            }
    }
    struct attn_params params = {.scale = f->m->hp.attn_scale, .softcap = f->m->hp.attn_softcap};
    compute_attention(f->c, f->jobs, n_job, n_group, l->d_head, &params, f->att_parts, f->n_part_floats);
}

/* q and k norms: per head, or over all heads at once. */
static void norm_qk(struct forward *f, int64_t n, uint32_t i_layer) {
    const struct layer_hparams *l = &f->m->hp.layer[i_layer];
    bool whole = f->m->arch->qk_norm_whole;
    int64_t n_q = whole ? 1 : l->n_head, n_k = whole ? 1 : l->n_head_kv;
    forward_norm(f, f->q, W_ATTN_Q_NORM, i_layer, f->q, n * n_q, (int64_t)l->n_head * l->d_head / n_q);
    forward_norm(f, f->k, W_ATTN_K_NORM, i_layer, f->k, n * n_k, (int64_t)l->n_head_kv * l->d_head / n_k);
}

/* In place: q[n_tok, n_head, 2, d_head] becomes the queries [n_tok, n_head, d_head]; the gates go to gate. */
static void split_gates(struct forward *f, int64_t n, uint32_t i_layer) {
    const struct layer_hparams *l = &f->m->hp.layer[i_layer];
    size_t d = l->d_head, bytes = d * sizeof(float);
    for (size_t i = 0; i < (size_t)n * l->n_head; i++) {
        memcpy(f->mix + i * d, f->q + (2 * i + 1) * d, bytes);
        memmove(f->q + i * d, f->q + 2 * i * d, bytes);
    }
}

/* q, k and v of xn; k stands for v where the layer has none. A layer that reads another's keys and values makes only q. */
static void project(struct forward *f, int64_t n, uint32_t i_layer) {
    const struct layer_hparams *l = &f->m->hp.layer[i_layer];
    bool own = l->i_kv == i_layer, has_v = own && model_slot(f->m, W_ATTN_V, i_layer)->w.data;
    int64_t d_kv = (int64_t)hparams_dim(&f->m->hp, DIM_KV, i_layer);
    forward_linears(f, (float *[]){f->q, f->k, f->v}, (enum weight_slot[]){W_ATTN_Q, W_ATTN_K, W_ATTN_V}, 1 + own + has_v, i_layer, f->xn, n);
    if (f->m->arch->attn_gate) split_gates(f, n, i_layer);
    if (own && !has_v) memcpy(f->v, f->k, (size_t)(n * d_kv) * sizeof(float));
    norm_qk(f, n, i_layer);
    if (own && f->m->arch->v_norm) compute_rms_norm(f->c, f->v, f->v, f->ones, n * l->n_head_kv, l->d_head, f->m->hp.norm_eps);
}

/* branch = attention of xn */
void forward_attention(struct forward *f, struct kv *kv, const struct batch *b, uint32_t i_layer) {
    int64_t n = b->n_tok, d = f->m->hp.d_model;
    project(f, n, i_layer);
    struct place_args place = {f, kv, b, i_layer};
    pool_run(f->c->pool, n, 8, place_tokens, &place);
    attend(f, kv, b, i_layer);
    if (f->m->arch->attn_gate) compute_sigmoid_mul(f->c, f->att, f->mix, n * (int64_t)hparams_dim(&f->m->hp, DIM_Q, i_layer));
    forward_linear(f, f->branch, W_ATTN_OUT, i_layer, f->att, n);
    forward_norm(f, f->branch, W_ATTN_POST_NORM, i_layer, f->branch, n, d);
}

struct sparse_args {
    float *gate;
    int64_t d;
    double n_std;
};

/* Rows [begin, end): what a value is above mean + n_std deviations of its row, else 0. */
static void cut_rows(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct sparse_args *a = ctx;
    (void)i_thread;
    for (float *x = a->gate + begin * a->d; x < a->gate + end * a->d; x += a->d) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < a->d; i++) sum += (double)x[i];
        double mean = sum / (double)a->d;
        for (int64_t i = 0; i < a->d; i++) squares += ((double)x[i] - mean) * ((double)x[i] - mean);
        double cut = mean + a->n_std * sqrt(squares / (double)a->d);
        for (int64_t i = 0; i < a->d; i++) x[i] = (float)fmax((double)x[i] - cut, 0);
    }
}

/* branch = one feed-forward block of xn */
static void ffn_dense(struct forward *f, int64_t n, uint32_t i_layer) {
    const struct arch_desc *arch = f->m->arch;
    int64_t d_ff = f->m->hp.layer[i_layer].d_ff;
    float *hidden = f->up;
    if (arch->plain_ffn) {
        forward_linear(f, f->up, W_FFN_UP, i_layer, f->xn, n);
        compute_act(f->c, arch->act, f->up, n * d_ff);
    } else {
        hidden = f->gate;
        forward_linears(f, (float *[]){f->up, f->gate}, (enum weight_slot[]){W_FFN_UP, W_FFN_GATE}, 2, i_layer, f->xn, n);
        struct sparse_args sparse = {f->gate, d_ff, (double)f->m->hp.layer[i_layer].sparse_std};
        if (sparse.n_std > 0) pool_run(f->c->pool, n, 1, cut_rows, &sparse);
        compute_act_mul(f->c, arch->act, f->gate, f->up, n * d_ff);
    }
    forward_linear(f, f->branch, W_FFN_DOWN, i_layer, hidden, n);
}

/* branch = feed-forward of xn, by one block or by experts */
void forward_ffn(struct forward *f, int64_t n, uint32_t i_layer) {
    if (f->m->hp.layer[i_layer].is_moe) forward_moe(f, n, i_layer);
    else ffn_dense(f, n, i_layer);
    forward_norm(f, f->branch, W_FFN_POST_NORM, i_layer, f->branch, n, f->m->hp.d_model);
}

static void layer(struct forward *f, struct kv *kv, const struct batch *b, uint32_t i_layer) {
    const struct hparams *hp = &f->m->hp;
    int64_t n = b->n_tok, d = hp->d_model;
    forward_norm(f, f->xn, W_ATTN_NORM, i_layer, f->x, n, d);
    if (hp->layer[i_layer].mixer == MIXER_ATTENTION) forward_attention(f, kv, b, i_layer);
    else forward_mix(f, kv, b, i_layer);
    compute_add(f->c, f->x, f->branch, hp->residual_scale, n * d);
    forward_norm(f, f->x, W_ATTN_SUM_NORM, i_layer, f->x, n, d);
    if (!f->m->arch->parallel) forward_norm(f, f->xn, W_FFN_NORM, i_layer, f->x, n, d);
    forward_ffn(f, n, i_layer);
    compute_add(f->c, f->x, f->branch, hp->residual_scale, n * d);
    forward_norm(f, f->x, W_FFN_SUM_NORM, i_layer, f->x, n, d);
    if (forward_has_ple(f)) {
        forward_ple(f, n, i_layer, f->x, f->branch);
        compute_add(f->c, f->x, f->branch, 1, n * d);
    }
    const float *scale = model_slot(f->m, W_LAYER_SCALE, i_layer)->vec;
    if (scale) compute_scale(f->c, f->x, scale[0], n * d);
}

/* x = embeddings of the tokens: their own, and in encoders those of position and of token type 0. */
static void embed(struct forward *f, const struct batch *b) {
    const struct hparams *hp = &f->m->hp;
    const struct bound *g = f->m->global;
    int64_t n = b->n_tok, d = hp->d_model;
    compute_get_rows(f->c, f->x, &g[W_TOK_EMBD].w, b->token, n);
    if (hp->embd_scale != 1) compute_scale(f->c, f->x, hp->embd_scale, n * d);
    if (g[W_TYPE_EMBD].w.data) {
        const int32_t type = 0;
        compute_get_rows(f->c, f->xn, &g[W_TYPE_EMBD].w, &type, 1);
        compute_add_bias(f->c, f->x, f->xn, n, d);
    }
    if (g[W_POS_EMBD].w.data) {
        compute_get_rows(f->c, f->xn, &g[W_POS_EMBD].w, b->pos, n);
        compute_add(f->c, f->x, f->xn, 1, n * d);
    }
    forward_norm(f, f->x, W_EMBD_NORM, 0, f->x, n, d);
}

/* xn = the last norm of the tokens that want an output, and their logits [n_out, n_vocab]. */
static void head(struct forward *f, const struct batch *b, float *logits) {
    const struct hparams *hp = &f->m->hp;
    int64_t n_out = 0, d = hp->d_model;
    for (int32_t i = 0; i < b->n_tok; i++)
        if (b->want_logits[i]) memcpy(f->xn + n_out++ * d, f->x + i * d, (size_t)d * sizeof(float));
    if (n_out == 0) return;
    forward_norm(f, f->xn, W_OUTPUT_NORM, 0, f->xn, n_out, d);
    if (b->hidden) return;
    forward_lora_begin(f, b, b->want_logits);
    forward_linear(f, logits, W_OUTPUT, 0, f->xn, n_out);
    if (hp->logit_scale != 1) compute_scale(f->c, logits, 1 / hp->logit_scale, n_out * hp->n_vocab);
    if (hp->final_softcap > 0) compute_softcap(f->c, logits, hp->final_softcap, n_out * hp->n_vocab);
}

slm_status model_forward(struct forward *f, struct kv *kv, const struct batch *b, const _Atomic bool *cancel, float *logits, slm_err *err) {
    const struct hparams *hp = &f->m->hp;
    slm_status st = check_batch(f, b, err);
    if (st != SLM_OK) return st;
    double t0 = trace_begin();
    kv_states_begin(kv, b->seq, b->n_tok);
    forward_lora_begin(f, b, NULL);
    embed(f, b);
    forward_ple_begin(f, b);
    if (hp->n_altup) forward_altup_begin(f, b->n_tok);
    prepare_positions(f, b);
    for (uint32_t i_layer = 0; i_layer < hp->n_layer; i_layer++) {
        if (cancel && *cancel) return err_set(err, SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
        if (hp->n_altup) forward_altup_layer(f, kv, b, i_layer);
        else layer(f, kv, b, i_layer);
    }
    if (hp->n_altup) forward_altup_end(f, b->n_tok);
    head(f, b, logits);
    forward_lora_end(f);
    for (int32_t i = 0; i < b->n_tok; i++)
        if (b->seq[i]->n_pos < b->pos[i] + 1) b->seq[i]->n_pos = b->pos[i] + 1;
    kv_states_end(kv, b->seq, b->n_tok);
    trace_end(t0, "model.forward", "%d tokens", b->n_tok);
    return SLM_OK;
}

const float *forward_hidden(const struct forward *f) { return f->xn; }

uint32_t model_pooled_size(const struct slm_model *m, enum pooling pooling) {
    return pooling == POOLING_RANK && m->hp.n_label ? m->hp.n_label : m->hp.d_model;
}

void model_pooled_head(struct forward *f, enum pooling pooling, float *pooled, float *out) {
    const struct bound *g = f->m->global;
    const struct hparams *hp = &f->m->hp;
    if (pooling != POOLING_RANK) {
        memcpy(out, pooled, hp->d_model * sizeof *out);
        if (!g[W_DENSE_2].w.data || !g[W_DENSE_3].w.data) return;
        forward_linear(f, f->up, W_DENSE_2, 0, pooled, 1);
        forward_linear(f, out, W_DENSE_3, 0, f->up, 1);
        return;
    }
    float *x = pooled;
    if (g[W_CLS].w.data) {
        x = f->branch;
        forward_linear(f, x, W_CLS, 0, pooled, 1);
        if (f->m->arch->cls_act == CLS_GELU) compute_act(f->c, ACT_GELU_ERF, x, hp->d_model);
        else
            for (uint32_t i = 0; i < hp->d_model; i++) x[i] = tanhf(x[i]);
        forward_norm(f, x, W_CLS_NORM, 0, x, 1, hp->d_model);
    }
    if (!g[W_CLS_OUT].w.data) {
        memcpy(out, x, hp->d_model * sizeof *out);
        return;
    }
    forward_linear(f, out, W_CLS_OUT, 0, x, 1);
    if (f->m->arch->cls_softmax && hp->n_label == 2) f->c->ops.softmax(out, 2);
}
