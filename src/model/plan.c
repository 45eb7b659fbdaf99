/* plan.c -- every buffer of a run, from hyper-parameters alone, before anything is allocated.
 *
 * One list serves three readers: forward_create allocates the engine's buffers by walking it, `slm inspect
 * --plan` prints it, and the session compares its sum with the memory that is there. Sizes are bounded by the
 * hyper-parameters' own limits (arch rows) and the limits below, so the products fit 64 bits. */
#include <string.h>

#include "base/cpu.h"
#include "model/forward_int.h"
#include "model/lora.h"

#define N_CTX_MAX (1 << 24)
#define N_BATCH_MAX 65536

const char *lifetime_name(enum lifetime l) {
    static const char *const names[] = {"process", "model", "engine", "request", "step"};
    return names[l];
}

static uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

static void add_row(struct plan *p, const char *name, enum dtype dtype, enum lifetime life, uint64_t n0, uint64_t n1, uint64_t n2, const char *what) {
    struct plan_row *row = &p->rows[p->n_rows++];
    *row = (struct plan_row){.name = name, .shape = {n0, n1, n2, 0}, .dtype = dtype, .lifetime = life, .what = what};
    row->bytes = n0 * n1 * (n2 ? n2 : 1) * dtype_get(dtype)->block_bytes;
}

static void add_bytes(struct plan *p, const char *name, enum lifetime life, uint64_t bytes, const char *what) {
    p->rows[p->n_rows++] = (struct plan_row){.name = name, .dtype = DTYPE_COUNT, .lifetime = life, .bytes = bytes, .what = what};
}

/* Layers that are no attention; the gates of attention lie in mix too. */
static void add_mixer_rows(struct plan *plan, const struct slm_model *m, uint64_t n) {
    const struct hparams *hp = &m->hp;
    uint64_t d_mix = m->arch->attn_gate ? hparams_dim_max(hp, DIM_Q) : 0, d_gate = 0;
    for (uint32_t i = 0; i < hp->n_layer; i++) {
        bool is_conv = hp->layer[i].mixer == MIXER_CONV, is_delta = hp->layer[i].mixer == MIXER_DELTA;
        uint64_t d_in = is_conv ? hparams_dim(hp, DIM_3MODEL, i) : is_delta ? hparams_dim(hp, DIM_DELTA_QKV, i) : 0;
        uint64_t d_out = is_conv ? hp->d_model : is_delta ? hp->d_inner : 0;
        d_mix = d_in > d_mix ? d_in : d_mix;
        d_gate = d_out > d_gate ? d_out : d_gate;
    }
    if (d_mix == 0) return;
    add_row(plan, "mix", DTYPE_F32, LIFE_ENGINE, n, d_mix, 0, "inputs of short convolutions and delta rules; gates of attention");
    add_row(plan, "mix_gate", DTYPE_F32, LIFE_ENGINE, n, d_gate, 0, "their gates, then their outputs");
    add_row(plan, "mix_scalars", DTYPE_F32, LIFE_ENGINE, 2, n, hp->n_head_v, "decay and strength of every head");
    add_bytes(plan, "states", LIFE_ENGINE, 2 * state_bytes(hp), "a sequence's states and their saved copy");
}

slm_status plan_make(const struct slm_model *m, const struct plan_params *p, struct plan *plan, slm_err *err) {
    const struct hparams *hp = &m->hp;
    int32_t n_ctx = p->n_ctx, n_batch = p->n_batch, n_out = p->n_out, n_pool = p->n_pool ? p->n_pool : n_ctx;
    int n_threads = p->n_threads;
    memset(plan, 0, sizeof *plan);
    if (n_ctx < 1 || n_ctx > N_CTX_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "context \"%d\": must be 1 to %d", n_ctx, N_CTX_MAX);
    if (n_pool < n_ctx || n_pool > N_CTX_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "cache of \"%d\" positions: must be %d to %d", n_pool, n_ctx, N_CTX_MAX);
    if (n_batch < 1 || n_batch > N_BATCH_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "chunk \"%d\": must be 1 to %d", n_batch, N_BATCH_MAX);
    if (n_out < 1 || n_out > n_batch) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "logits rows \"%d\": must be 1 to the chunk of %d", n_out, n_batch);
    if (n_threads == 0) {
        struct cpu_info cpu;
        cpu_info_get(&cpu);
        n_threads = cpu.n_usable;
    }
    uint64_t n = (uint64_t)n_batch, d_q = hparams_dim_max(hp, DIM_Q), d_att = d_q > hp->d_inner ? d_q : hp->d_inner, d_kv = hparams_dim_max(hp, DIM_KV), n_head_kv = 0, n_part = 0;
    for (uint32_t i = 0; i < hp->n_layer; i++) {
        const struct layer_hparams *l = &hp->layer[i];
        uint64_t parts = compute_attention_parts(n_batch, l->n_head, n_ctx, l->d_head);
        n_head_kv = l->n_head_kv > n_head_kv ? l->n_head_kv : n_head_kv;
        n_part = parts > n_part ? parts : n_part;
    }
    plan->n_ctx = n_ctx;
    plan->n_batch = n_batch;
    plan->n_out = n_out;
    plan->n_threads = n_threads;
    plan->kv_type = p->kv_type;
    plan->n_page = n_pool / KV_PAGE_TOK + (n_pool % KV_PAGE_TOK != 0);

    uint64_t packed = model_pack_bytes(m);
    add_bytes(plan, "weights", LIFE_MODEL, m->weight_bytes - (packed < m->weight_bytes ? packed : 0), "mapped from the file, shared, read-only");
    add_bytes(plan, "panels", LIFE_MODEL, packed, "quantized matrices rearranged for the kernels; their pages of the file are given back");
    add_bytes(plan, "kv", LIFE_ENGINE, kv_page_bytes(hp, p->kv_type) * (uint64_t)plan->n_page, "keys and values, taken page by page");
    add_bytes(plan, "scratch", LIFE_ENGINE, compute_scratch_bytes(n_threads, (int64_t)plan_d_in_max(hp), n_batch), "unpacked weight tiles, one per thread; activations in 8 bits");
    add_row(plan, "x", DTYPE_F32, LIFE_ENGINE, n, hp->d_model, 0, "residual stream");
    add_row(plan, "xn", DTYPE_F32, LIFE_ENGINE, n, hp->d_model, 0, "normed input of a block");
    add_row(plan, "branch", DTYPE_F32, LIFE_ENGINE, n, hp->d_model, 0, "output of a block, before it joins x");
    add_row(plan, "q", DTYPE_F32, LIFE_ENGINE, n, d_q * (m->arch->attn_gate ? 2 : 1), 0, "queries");
    add_row(plan, "k", DTYPE_F32, LIFE_ENGINE, n, d_kv, 0, "keys before they enter the cache");
    add_row(plan, "v", DTYPE_F32, LIFE_ENGINE, n, d_kv, 0, "values before they enter the cache");
    add_row(plan, "att", DTYPE_F32, LIFE_ENGINE, n, d_att, 0, "attention output per head");
    add_row(plan, "gate", DTYPE_F32, LIFE_ENGINE, n, max_u64(max_u64(hp->d_ff, hp->d_ple), hp->d_ff_expert), 0, "feed-forward gate");
    add_row(plan, "up", DTYPE_F32, LIFE_ENGINE, n, max_u64(max_u64(hp->d_ff, hp->n_dense), max_u64(hp->d_ff_expert, hp->d_laurel)), 0, "feed-forward up");
    add_row(plan, "cos", DTYPE_F32, LIFE_ENGINE, 2, n, hparams_n_pair_max(hp), "rope cosines of the batch, full and windowed layers");
    add_row(plan, "sin", DTYPE_F32, LIFE_ENGINE, 2, n, hparams_n_pair_max(hp), "rope sines of the batch");
    add_row(plan, "q_scale", DTYPE_F32, LIFE_ENGINE, n, 1, 0, "scale of each position's queries");
    add_row(plan, "end", DTYPE_I32, LIFE_ENGINE, n, 1, 0, "end of what each position sees");
    add_row(plan, "visible", DTYPE_I32, LIFE_ENGINE, n, 2, 0, "what each position sees in the layer under way");
    add_bytes(plan, "jobs", LIFE_ENGINE, n * n_head_kv * sizeof(struct attn_job), "attention work list");
    add_mixer_rows(plan, m, n);
    if (hp->n_altup) {
        add_row(plan, "copies", DTYPE_F32, LIFE_ENGINE, hp->n_altup, n, hp->d_model, "copies of the residual stream");
        add_row(plan, "predicted", DTYPE_F32, LIFE_ENGINE, hp->n_altup, n, hp->d_model, "what a layer expects of them");
        add_row(plan, "altup_mode", DTYPE_F32, LIFE_ENGINE, n, hp->n_altup, 0, "how much of each a token asks for");
        add_row(plan, "altup_coef", DTYPE_F32, LIFE_ENGINE, n, hparams_dim(hp, DIM_ALTUP_2, 0), 0, "how they mix");
    }
    if (hp->n_expert) {
        add_row(plan, "moe_score", DTYPE_F32, LIFE_ENGINE, n, hp->n_expert, 0, "the router's scores");
        add_row(plan, "moe_weight", DTYPE_F32, LIFE_ENGINE, n, hp->n_expert_used, 0, "weights of the chosen experts");
        add_row(plan, "moe_id", DTYPE_I32, LIFE_ENGINE, n, hp->n_expert_used, 0, "the chosen experts");
        add_row(plan, "moe_in", DTYPE_F32, LIFE_ENGINE, n, hp->d_model, 0, "tokens of one expert");
        add_row(plan, "moe_out", DTYPE_F32, LIFE_ENGINE, n, hp->d_model, 0, "what it made of them");
    }
    if (m->global[W_PLE_EMBD].w.data) {
        add_row(plan, "ple", DTYPE_F32, LIFE_ENGINE, n, hp->n_layer, hp->d_ple, "per-layer embeddings");
        add_row(plan, "ple_in", DTYPE_F32, LIFE_ENGINE, n, hp->n_layer, hp->d_ple, "their table's rows, then one layer's part");
    }
    if (m->n_loras) {
        add_bytes(plan, "adapters", LIFE_MODEL, model_lora_bytes(m), "adapters beside the weights");
        add_bytes(plan, "lora_groups", LIFE_ENGINE, m->n_loras * sizeof(struct lora_group), "which of them the batch takes");
        add_bytes(plan, "lora_rows", LIFE_ENGINE, m->n_loras * n * sizeof(struct low_rank_row), "whose rows each adds to");
        if (hp->n_expert) add_bytes(plan, "lora_expert_rows", LIFE_ENGINE, n * sizeof(struct low_rank_row), "the same among an expert's tokens");
        add_row(plan, "lora_h", DTYPE_F32, LIFE_ENGINE, n, model_lora_rank_max(m), 0, "their narrow products");
    }
    if (m->arch->v_norm) add_row(plan, "ones", DTYPE_F32, LIFE_ENGINE, hparams_dim_max(hp, DIM_HEAD), 1, 0, "the weight of a norm without one");
    add_row(plan, "att_parts", DTYPE_F32, LIFE_ENGINE, n_part, 1, 0, "attention of a few tokens, split over a long context");
    add_row(plan, "logits", DTYPE_F32, LIFE_ENGINE, (uint64_t)n_out, hp->n_vocab, 0, "scores of the next token");
    for (size_t i = 0; i < plan->n_rows; i++) {
        plan->bytes += plan->rows[i].bytes;
        if (plan->rows[i].lifetime != LIFE_MODEL) plan->bytes_private += plan->rows[i].bytes;
    }
    return SLM_OK;
}

void plan_add_process(struct plan *plan) {
    SLM_ASSERT(plan->n_rows < PLAN_ROWS_MAX);
    memmove(plan->rows + 1, plan->rows, plan->n_rows * sizeof *plan->rows);
    plan->n_rows++;
    plan->rows[0] = (struct plan_row){.name = "process", .dtype = DTYPE_COUNT, .lifetime = LIFE_PROCESS, .bytes = cpu_resident_bytes(),
                                      .what = "held already: program, libraries, vocabulary"};
    plan->bytes += plan->rows[0].bytes;
}

uint64_t plan_d_in_max(const struct hparams *hp) {
    const uint64_t widths[] = {hp->d_model, hp->d_ff, hp->n_dense, hp->d_inner, hp->d_ff_expert, hp->d_ple, hp->d_laurel};
    uint64_t d = hparams_dim_max(hp, DIM_Q);
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) d = max_u64(d, widths[i]);
    return d;
}

const struct plan_row *plan_find(const struct plan *plan, const char *name) {
    for (size_t i = 0; i < plan->n_rows; i++)
        if (strcmp(plan->rows[i].name, name) == 0) return &plan->rows[i];
    return NULL;
}
