/* acts.c -- every buffer of a step, sized before it is allocated; the recompute level and the micro-batch come from the memory there is.
 *
 * An activation has a level up to which each layer keeps its own; above it all layers share one buffer and the backward pass makes
 * the layer's again. One block of memory holds everything; it is walked twice, to measure and to hand out. */
#include <stdlib.h>

#include "base/cpu.h"
#include "train/net_int.h"

#define MICRO_DEFAULT 4096
#define HEAD_BYTES (32 << 20)
#define HEAD_ROWS_MIN 64
#define N_LEVELS 4

static const struct {
    enum dim width;
    int keep; /* highest level that keeps it */
} rows[N_ACT] = {
    [ACT_X] = {DIM_MODEL, 3},  [ACT_XN1] = {DIM_MODEL, 0}, [ACT_Q_RAW] = {DIM_Q, 2}, [ACT_K_RAW] = {DIM_KV, 2}, [ACT_Q] = {DIM_Q, 2},     [ACT_K] = {DIM_KV, 2},
    [ACT_V] = {DIM_KV, 2},     [ACT_ATT] = {DIM_Q, 2},     [ACT_LSE] = {DIM_HEADS, 2}, [ACT_PROJ] = {DIM_MODEL, 1}, [ACT_MID] = {DIM_MODEL, 1}, [ACT_XN2] = {DIM_MODEL, 0},
    [ACT_GATE] = {DIM_FF, 1},  [ACT_UP] = {DIM_FF, 1},     [ACT_HIDDEN] = {DIM_FF, 0}, [ACT_FFN] = {DIM_MODEL, 1},
};
static const enum dim scratch_widths[N_SCRATCH] = {
    [SCR_DX] = DIM_MODEL, [SCR_DBRANCH] = DIM_MODEL, [SCR_DXN] = DIM_MODEL, [SCR_DQ] = DIM_Q,   [SCR_DK] = DIM_KV,      [SCR_DV] = DIM_KV,
    [SCR_DATT] = DIM_Q,   [SCR_DGATE] = DIM_FF,      [SCR_DUP] = DIM_FF,    [SCR_DHIDDEN] = DIM_FF, [SCR_T] = DIM_NONE, [SCR_DT] = DIM_NONE,
};

bool acts_is_kept(const struct trainee *t, enum act_id id) { return t->level <= rows[id].keep; }

/* What this architecture has of it, and whose it is when it is only another name. */
enum use { USE_NONE, USE_OWN, USE_SHARED, USE_X, USE_XN1, USE_MID };
static enum use use_of(const struct trainee *t, uint32_t i_layer, enum act_id id) {
    const struct block *b = &t->blocks[i_layer];
    enum use kept = acts_is_kept(t, id) ? USE_OWN : USE_SHARED;
    switch (id) {
    case ACT_XN1: return b->attn_norm.w ? kept : USE_X;
    case ACT_XN2: return t->arch->parallel ? USE_XN1 : b->ffn_norm.w ? kept : USE_MID;
    case ACT_Q_RAW: return b->q_norm.w ? kept : USE_NONE;
    case ACT_K_RAW: return b->k_norm.w ? kept : USE_NONE;
    case ACT_PROJ: return b->attn_post.w ? kept : USE_SHARED;
    case ACT_FFN: return b->ffn_post.w ? kept : USE_SHARED;
    case ACT_GATE: return t->arch->plain_ffn ? USE_NONE : kept;
    default: return kept;
    }
}

/* Memory handed out in order; base NULL only measures. */
struct carver {
    char *base;
    uint64_t used;
};
static void *carve(struct carver *c, uint64_t n, size_t size) {
    void *p = c->base ? c->base + c->used : NULL;
    c->used += (n * size + 63) / 64 * 64;
    return p;
}
static real *carve_real(struct carver *c, uint64_t n) { return carve(c, n, sizeof(real)); }

static void carve_acts(struct trainee *t, struct carver *c) {
    real *shared[N_ACT] = {0};
    uint64_t n = (uint64_t)t->micro_tokens;
    for (int id = 0; id < N_ACT; id++) shared[id] = carve_real(c, rows[id].keep < t->level || id == ACT_PROJ || id == ACT_FFN ? n * hparams_dim_max(&t->hp, rows[id].width) : 0);
    for (uint32_t i = 0; i <= t->hp.n_layer; i++) {
        struct layer_acts a = {{0}};
        a.buf[ACT_X] = carve_real(c, n * t->hp.d_model);
        for (int id = ACT_X + 1; id < N_ACT && i < t->hp.n_layer; id++) {
            enum use use = use_of(t, i, (enum act_id)id);
            a.buf[id] = use == USE_OWN      ? carve_real(c, n * hparams_dim(&t->hp, rows[id].width, i))
                        : use == USE_SHARED ? shared[id]
                        : use == USE_X      ? a.buf[ACT_X]
                        : use == USE_XN1    ? a.buf[ACT_XN1]
                        : use == USE_MID    ? a.buf[ACT_MID]
                                            : NULL;
        }
        if (c->base) t->acts[i] = a;
    }
}

/* Partial sums of weight gradients: the most that any norm asks for. */
static uint64_t partial_size(const struct trainee *t) {
    uint64_t n = (uint64_t)t->micro_tokens, heads = hparams_dim_max(&t->hp, DIM_Q), d = t->hp.d_model;
    uint64_t whole = (n / 64 + 1) * 2 * (d > heads ? d : heads), per_head = (n * heads / (64 * 256) + 1) * 2 * hparams_dim_max(&t->hp, DIM_HEAD);
    return whole > 4 * per_head ? whole : 4 * per_head;
}

static int64_t d_in_max(const struct trainee *t) {
    uint64_t n = t->hp.d_model, q = hparams_dim_max(&t->hp, DIM_Q), ff = hparams_dim_max(&t->hp, DIM_FF);
    return (int64_t)(q > n ? q > ff ? q : ff : n > ff ? n : ff);
}

static bool has_decoded_base(const struct trainee *t) { return !t->head.w; }

static void carve_all(struct trainee *t, struct carver *c) {
    uint64_t n = (uint64_t)t->micro_tokens, d = t->hp.d_model, v = t->hp.n_vocab, ctx = (uint64_t)t->n_ctx;
    uint64_t r = (uint64_t)t->set.lora.r, chunk = HEAD_BYTES / (v * sizeof(real));
    chunk = chunk < HEAD_ROWS_MIN ? HEAD_ROWS_MIN : chunk;
    chunk = chunk > n ? n : chunk;
    t->acts = carve(c, t->hp.n_layer + 1, sizeof *t->acts);
    carve_acts(t, c);
    for (int i = 0; i < N_SCRATCH; i++) t->scratch[i] = carve_real(c, n * (scratch_widths[i] == DIM_NONE ? r : hparams_dim_max(&t->hp, scratch_widths[i])));
    for (int i = 0; i < 2; i++) {
        t->cs[i] = carve_real(c, ctx * (uint64_t)t->n_pair[i]);
        t->sn[i] = carve_real(c, ctx * (uint64_t)t->n_pair[i]);
    }
    t->q_scale = t->hp.temp_scale > 0 ? carve_real(c, ctx) : NULL;
    t->n_dequant = has_decoded_base(t) ? (uint64_t)linear_dequant_rows(1) + 64 * (uint64_t)d_in_max(t) : 0;
    t->dequant = carve_real(c, t->n_dequant);
    t->n_partial = partial_size(t);
    t->partial = carve_real(c, t->n_partial);
    t->n_tile = attention_tile(&t->hp, t->n_ctx);
    t->tile = carve_real(c, t->n_tile * (uint64_t)pool_n_threads(t->pool));
    t->head_x = carve_real(c, n * d);
    t->head_xn = carve_real(c, n * d);
    t->head_dx = carve_real(c, n * d);
    t->head_chunk = (int32_t)chunk;
    t->head_logits = carve_real(c, chunk * v);
    t->head_slope = t->hp.final_softcap > 0 ? carve_real(c, chunk * v) : NULL;
    t->head_row = carve(c, n, sizeof *t->head_row);
    t->head_loss = carve(c, n, sizeof *t->head_loss);
    t->pos = carve(c, n, sizeof *t->pos);
}

static uint64_t measure(struct trainee *t) {
    struct carver c = {0};
    carve_all(t, &c);
    return c.used;
}

static slm_status refuse(struct trainee *t, uint64_t room, uint64_t need, slm_err *err) {
    err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "memory of %llu MB: a micro-batch of %d tokens needs %llu MB beside %llu MB of parameters, gradients and optimizer",
            (unsigned long long)(t->set.mem_bytes >> 20), t->micro_tokens, (unsigned long long)(need >> 20), (unsigned long long)((t->set.mem_bytes - room) >> 20));
    err_hint(err, "raise --mem, or lower --ctx; adapters (--lora-r) need less than full training, and so does --opt adamw8");
    return SLM_E_LIMIT;
}

/* The first level that fits, then half the micro-batch, down to one sequence. */
static slm_status choose(struct trainee *t, slm_err *err) {
    struct cpu_info info;
    cpu_info_get(&info);
    if (t->set.mem_bytes == 0) t->set.mem_bytes = info.mem_available_bytes / 10 * 9;
    uint64_t fixed = t->n_elem * (2 * sizeof(float) + t->set.optim_bytes), room = t->set.mem_bytes > fixed ? t->set.mem_bytes - fixed : 0, need = 0;
    int64_t micro = t->set.micro_tokens ? t->set.micro_tokens : MICRO_DEFAULT;
    int first = t->set.recompute < 0 ? 0 : t->set.recompute, last = t->set.recompute < 0 ? N_LEVELS - 1 : t->set.recompute;
    if (micro < t->n_ctx) micro = t->n_ctx;
    for (;; micro = micro / 2 < t->n_ctx ? t->n_ctx : micro / 2) {
        t->micro_tokens = (int32_t)micro;
        for (t->level = first; t->level <= last; t->level++)
            if ((need = measure(t)) <= room) return SLM_OK;
        if (micro == t->n_ctx || t->set.micro_tokens) return refuse(t, room, need, err);
    }
}

static void fill_rope(struct trainee *t, const struct rope_table *table, int i) {
    for (int64_t p = 0; p < t->n_ctx; p++)
        for (int64_t j = 0; j < t->n_pair[i]; j++) {
            double angle = (double)p * table->inv_freq[j];
            t->cs[i][p * t->n_pair[i] + j] = (real)(cos(angle) * (double)table->mscale);
            t->sn[i][p * t->n_pair[i] + j] = (real)(sin(angle) * (double)table->mscale);
        }
}

slm_status acts_plan(struct trainee *t, slm_err *err) {
    slm_status st = SLM_OK;
    struct rope_table tables[2] = {{0}};
    for (int i = 0; i < 2; i++) {
        TRY(rope_table_make(t->base, t->n_ctx, i == 1, &tables[i], err));
        t->n_pair[i] = tables[i].n_pair;
    }
    TRY(choose(t, err));
    t->bytes = measure(t);
    TRY(mem_reserve(&t->blob, t->bytes, "activations", err));
    struct carver c = {t->blob, 0};
    carve_all(t, &c);
    for (int i = 0; i < 2; i++) fill_rope(t, &tables[i], i);
    for (int32_t p = 0; p < t->n_ctx && t->q_scale; p++) t->q_scale[p] = (real)(1 + (double)t->hp.temp_scale * log(1 + floor((double)p / t->hp.temp_len)));
    t->set.micro_tokens = t->micro_tokens;
    t->set.recompute = t->level;
out:
    for (int i = 0; i < 2; i++) free(tables[i].inv_freq);
    return st;
}

void acts_fini(struct trainee *t) {
    mem_release(t->blob, t->bytes);
    t->blob = NULL;
}
