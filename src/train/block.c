/* block.c -- one layer, forward and backward, in written order: read it beside src/model/forward.c.
 *
 * The forward pass is a list of stages, each with the activations that it makes. The backward pass first runs again the stages whose
 * results the recompute level did not keep: the same functions on the same inputs, so the same bits. */
#include "train/net_int.h"

static int64_t width(const struct trainee *t, uint32_t i_layer, enum dim d) { return (int64_t)hparams_dim(&t->hp, d, i_layer); }

/* ---- stages ---- */

static void stage_norm1(struct trainee *t, const struct train_batch *b, uint32_t i, struct layer_acts *a) {
    rows_norm(t, &t->blocks[i].attn_norm, a->buf[ACT_XN1], a->buf[ACT_X], b->n_tok, t->hp.d_model);
}

static void stage_qkv(struct trainee *t, const struct train_batch *b, uint32_t i, struct layer_acts *a) {
    const struct block *k = &t->blocks[i];
    linear_forward(t, &k->q, a->buf[k->q_norm.w ? ACT_Q_RAW : ACT_Q], a->buf[ACT_XN1], b->n_tok);
    linear_forward(t, &k->k, a->buf[k->k_norm.w ? ACT_K_RAW : ACT_K], a->buf[ACT_XN1], b->n_tok);
    linear_forward(t, &k->v, a->buf[ACT_V], a->buf[ACT_XN1], b->n_tok);
    rows_place(t, i, a, b->n_tok);
}

static void stage_attention(struct trainee *t, const struct train_batch *b, uint32_t i, struct layer_acts *a) { attention_forward(t, b, i, a); }

/* mid = x + branch, the branch normed where the layer has a norm for it. */
static void add_branch(struct trainee *t, const struct norm *post, real *mid, const real *x, real *branch, real *scratch, int64_t n_tok) {
    int64_t d = t->hp.d_model;
    if (post->w) {
        rows_norm(t, post, scratch, branch, n_tok, d);
        branch = scratch;
    }
    if (mid != x) memcpy(mid, x, (size_t)(n_tok * d) * sizeof(real));
    rows_add(t, mid, branch, (real)t->hp.residual_scale, n_tok * d);
}

static void stage_proj(struct trainee *t, const struct train_batch *b, uint32_t i, struct layer_acts *a) {
    const struct block *k = &t->blocks[i];
    linear_forward(t, &k->out, a->buf[ACT_PROJ], a->buf[ACT_ATT], b->n_tok);
    add_branch(t, &k->attn_post, a->buf[ACT_MID], a->buf[ACT_X], a->buf[ACT_PROJ], t->scratch[SCR_DBRANCH], b->n_tok);
}

static void stage_norm2(struct trainee *t, const struct train_batch *b, uint32_t i, struct layer_acts *a) {
    rows_norm(t, &t->blocks[i].ffn_norm, a->buf[ACT_XN2], a->buf[ACT_MID], b->n_tok, t->hp.d_model);
}

static void stage_up(struct trainee *t, const struct train_batch *b, uint32_t i, struct layer_acts *a) {
    const struct block *k = &t->blocks[i];
    linear_forward(t, &k->up, a->buf[ACT_UP], a->buf[ACT_XN2], b->n_tok);
    if (!t->arch->plain_ffn) linear_forward(t, &k->gate, a->buf[ACT_GATE], a->buf[ACT_XN2], b->n_tok);
}

static void stage_act(struct trainee *t, const struct train_batch *b, uint32_t i, struct layer_acts *a) {
    rows_act(t, a->buf[ACT_HIDDEN], t->arch->plain_ffn ? NULL : a->buf[ACT_GATE], a->buf[ACT_UP], b->n_tok * width(t, i, DIM_FF));
}

static void stage_down(struct trainee *t, const struct train_batch *b, uint32_t i, struct layer_acts *a) {
    linear_forward(t, &t->blocks[i].down, a->buf[ACT_FFN], a->buf[ACT_HIDDEN], b->n_tok);
}

/* In order; a stage runs again when its first result was not kept. only_post: its result is read only by a norm after the branch. */
static const struct stage {
    void (*run)(struct trainee *t, const struct train_batch *b, uint32_t i_layer, struct layer_acts *a);
    enum act_id makes;
    bool only_post;
} stages[] = {
    {stage_norm1, ACT_XN1, false}, {stage_qkv, ACT_Q, false},  {stage_attention, ACT_ATT, false}, {stage_proj, ACT_MID, false},
    {stage_norm2, ACT_XN2, false}, {stage_up, ACT_UP, false}, {stage_act, ACT_HIDDEN, false},    {stage_down, ACT_FFN, true},
};
#define N_STAGES (sizeof stages / sizeof stages[0])

/* Activations that are others' by another name in this architecture need no stage. */
static bool is_alias(const struct trainee *t, uint32_t i_layer, enum act_id id) {
    const struct block *k = &t->blocks[i_layer];
    return (id == ACT_XN1 && !k->attn_norm.w) || (id == ACT_XN2 && (t->arch->parallel || !k->ffn_norm.w));
}

void block_forward(struct trainee *t, const struct train_batch *b, uint32_t i_layer) {
    struct layer_acts *a = &t->acts[i_layer];
    for (size_t s = 0; s < N_STAGES; s++)
        if (!is_alias(t, i_layer, stages[s].makes)) stages[s].run(t, b, i_layer, a);
    add_branch(t, &t->blocks[i_layer].ffn_post, t->acts[i_layer + 1].buf[ACT_X], a->buf[ACT_MID], a->buf[ACT_FFN], t->scratch[SCR_DBRANCH], b->n_tok);
}

static void restore(struct trainee *t, const struct train_batch *b, uint32_t i_layer) {
    struct layer_acts *a = &t->acts[i_layer];
    for (size_t s = 0; s < N_STAGES; s++) {
        const struct stage *g = &stages[s];
        if (is_alias(t, i_layer, g->makes) || acts_is_kept(t, g->makes) || (g->only_post && !t->blocks[i_layer].ffn_post.w)) continue;
        g->run(t, b, i_layer, a);
    }
}

/* ---- backward ---- */

/* The gradient of a branch from that of the sum: scaled, and through its norm; in scratch, or dx itself where it is the same. */
static const real *branch_back(struct trainee *t, const struct norm *post, const real *raw, const real *dx, int64_t n_tok) {
    int64_t n = n_tok * t->hp.d_model;
    real *out = t->scratch[SCR_DBRANCH], s = (real)t->hp.residual_scale;
    if (!post->w) {
        if (t->hp.residual_scale == 1) return dx;
        rows_scale(t, out, dx, s, n);
        return out;
    }
    if (t->hp.residual_scale != 1) {
        rows_scale(t, t->scratch[SCR_DXN], dx, s, n);
        dx = t->scratch[SCR_DXN];
    }
    memset(out, 0, (size_t)n * sizeof *out);
    rows_norm_back(t, post, out, dx, raw, n_tok, t->hp.d_model);
    return out;
}

/* dx += through a norm; with none the gradient passes. */
static void norm_back(struct trainee *t, const struct norm *n, real *dx, const real *dy, const real *x, int64_t n_tok) {
    if (n->w) rows_norm_back(t, n, dx, dy, x, n_tok, t->hp.d_model);
    else rows_add(t, dx, dy, 1, n_tok * t->hp.d_model);
}

/* SCR_DXN = gradient of the feed-forward block's input. */
static void ffn_back(struct trainee *t, const struct train_batch *b, uint32_t i, struct layer_acts *a, const real *dbranch) {
    const struct block *k = &t->blocks[i];
    int64_t n = b->n_tok;
    real **s = t->scratch;
    linear_backward(t, &k->down, s[SCR_DHIDDEN], false, dbranch, a->buf[ACT_HIDDEN], n);
    rows_act_back(t, s[SCR_DGATE], s[SCR_DUP], s[SCR_DHIDDEN], t->arch->plain_ffn ? NULL : a->buf[ACT_GATE], a->buf[ACT_UP], n * width(t, i, DIM_FF));
    linear_backward(t, &k->up, s[SCR_DXN], false, s[SCR_DUP], a->buf[ACT_XN2], n);
    if (!t->arch->plain_ffn) linear_backward(t, &k->gate, s[SCR_DXN], true, s[SCR_DGATE], a->buf[ACT_XN2], n);
}

/* SCR_DXN (+)= gradient of the attention block's input. */
static void attention_back(struct trainee *t, const struct train_batch *b, uint32_t i, struct layer_acts *a, const real *dbranch, bool add) {
    const struct block *k = &t->blocks[i];
    int64_t n = b->n_tok;
    real **s = t->scratch;
    linear_backward(t, &k->out, s[SCR_DATT], false, dbranch, a->buf[ACT_ATT], n);
    attention_backward(t, b, i, a, s[SCR_DQ], s[SCR_DK], s[SCR_DV], s[SCR_DATT]);
    rows_place_back(t, i, a, s[SCR_DQ], s[SCR_DK], n);
    linear_backward(t, &k->q, s[SCR_DXN], add, k->q_norm.w ? a->buf[ACT_Q] : s[SCR_DQ], a->buf[ACT_XN1], n);
    linear_backward(t, &k->k, s[SCR_DXN], true, k->k_norm.w ? a->buf[ACT_K] : s[SCR_DK], a->buf[ACT_XN1], n);
    linear_backward(t, &k->v, s[SCR_DXN], true, s[SCR_DV], a->buf[ACT_XN1], n);
}

/* SCR_DX: in, the gradient of the layer's output; out, of its input. */
void block_backward(struct trainee *t, const struct train_batch *b, uint32_t i_layer) {
    const struct block *k = &t->blocks[i_layer];
    struct layer_acts *a = &t->acts[i_layer];
    real *dx = t->scratch[SCR_DX], *dxn = t->scratch[SCR_DXN];
    restore(t, b, i_layer);
    ffn_back(t, b, i_layer, a, branch_back(t, &k->ffn_post, a->buf[ACT_FFN], dx, b->n_tok));
    if (!t->arch->parallel) norm_back(t, &k->ffn_norm, dx, dxn, a->buf[ACT_MID], b->n_tok);
    const real *dbranch = branch_back(t, &k->attn_post, a->buf[ACT_PROJ], dx, b->n_tok);
    attention_back(t, b, i_layer, a, dbranch, t->arch->parallel);
    norm_back(t, &k->attn_norm, dx, dxn, a->buf[ACT_X], b->n_tok);
}
