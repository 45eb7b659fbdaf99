/* bench_run.c -- speeds of a model, measured, and what they would be at the machine's limits.
 *
 * Sequences are driven through model_forward directly, so that a batch is really decoded together. Tokens are arbitrary
 * ids: their values do not change the work. Depth is made of real tokens, computed once; between repetitions the sequences go
 * back to it, or, where a model's state cannot go back, are filled again outside of the measured time. */
#include "cli/bench_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"

static struct bench_sample sample_of(const double *v, int n) {
    struct bench_sample s = {0, 0};
    for (int i = 0; i < n; i++) s.mean += v[i] / n;
    for (int i = 0; i < n; i++) s.sd += (v[i] - s.mean) * (v[i] - s.mean) / (n > 1 ? n - 1 : 1);
    s.sd = sqrt(s.sd);
    return s;
}

/* One engine with n_batch sequences. */
struct rig {
    struct slm_session *s;
    struct kv_seq *seqs;   /* [n_batch] */
    int32_t n_batch, n_tok; /* n_tok: of the arrays below */
    int32_t *token, *pos;
    struct kv_seq **seq;
    bool *want;
};

static int32_t some_token(const struct rig *r, int32_t i) { return (int32_t)((uint32_t)i * 2654435761u % r->s->model->hp.n_vocab); }

static void rig_fini(struct rig *r) {
    for (int32_t i = 0; r->seqs && i < r->n_batch; i++) kv_seq_fini(r->s->kv, &r->seqs[i]);
    free(r->seqs);
    free(r->token);
    free(r->pos);
    free(r->seq);
    free(r->want);
    session_destroy(r->s);
    memset(r, 0, sizeof *r);
}

static int64_t pages_of(int64_t n_pos) { return (n_pos + KV_PAGE_TOK - 1) / KV_PAGE_TOK; }

static slm_status rig_init(struct rig *r, struct slm_model *m, const struct bench_params *p, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    memset(r, 0, sizeof *r);
    int64_t n_ctx = (int64_t)p->n_batch * pages_of((int64_t)p->n_depth + p->n_prompt + p->n_predict) * KV_PAGE_TOK;
    int32_t n_longest = p->n_depth > p->n_prompt ? p->n_depth : p->n_prompt, n_chunk = p->chunk < n_longest ? p->chunk : n_longest;
    r->n_batch = p->n_batch;
    r->n_tok = n_chunk > p->n_batch ? n_chunk : p->n_batch;
    if (n_ctx > INT32_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "batch \"%d\": %lld positions are too many", p->n_batch, (long long)n_ctx);
    struct session_params params = {.n_ctx = (int32_t)n_ctx, .n_chunk = r->n_tok, .n_out = p->n_batch, .n_threads = p->threads, .kv_type = p->kv_type};
    TRY(session_create(m, &params, &r->s, err));
    TRY(mem_alloc(&mem, (size_t)p->n_batch, sizeof *r->seqs, "sequences", err));
    r->seqs = mem;
    for (int32_t i = 0; i < p->n_batch; i++) r->seqs[i].lora = m->lora_default;
    TRY(mem_alloc(&mem, (size_t)r->n_tok, sizeof *r->token, "batch", err));
    r->token = mem;
    TRY(mem_alloc(&mem, (size_t)r->n_tok, sizeof *r->pos, "batch", err));
    r->pos = mem;
    TRY(mem_alloc(&mem, (size_t)r->n_tok, sizeof(struct kv_seq *), "batch", err));
    r->seq = mem;
    TRY(mem_alloc(&mem, (size_t)r->n_tok, sizeof *r->want, "batch", err));
    r->want = mem;
out:
    if (st != SLM_OK) rig_fini(r);
    return st;
}

static slm_status forward(struct rig *r, int32_t n_tok, slm_err *err) {
    struct batch b = {.n_tok = n_tok, .token = r->token, .pos = r->pos, .seq = r->seq, .want_logits = r->want};
    return model_forward(r->s->forward, r->s->kv, &b, r->s->cancel, r->s->logits, err);
}

/* Tokens [from, to) of sequence i, in chunks. */
static slm_status prefill(struct rig *r, int32_t i, int32_t from, int32_t to, slm_err *err) {
    slm_status st = kv_reserve(r->s->kv, &r->seqs[i], to, err);
    for (int32_t at = from; at < to && st == SLM_OK;) {
        int32_t n = to - at < r->n_tok ? to - at : r->n_tok;
        for (int32_t k = 0; k < n; k++) {
            r->token[k] = some_token(r, i + at + k);
            r->pos[k] = at + k;
            r->seq[k] = &r->seqs[i];
            r->want[k] = at + k == to - 1;
        }
        st = forward(r, n, err);
        at += n;
    }
    return st;
}

/* The prompts of all sequences, one after the other. */
static slm_status prefill_all(struct rig *r, int32_t from, int32_t to, slm_err *err) {
    slm_status st = SLM_OK;
    for (int32_t i = 0; i < r->n_batch && st == SLM_OK; i++) st = prefill(r, i, from, to, err);
    return st;
}

/* Every sequence at the same depth. */
static slm_status go_to_depth(struct rig *r, int32_t n_depth, slm_err *err) {
    slm_status st = SLM_OK;
    for (int32_t i = 0; i < r->n_batch && st == SLM_OK; i++) {
        int32_t n_left = r->seqs[i].n_pos > n_depth ? kv_truncate(r->s->kv, &r->seqs[i], n_depth) : r->seqs[i].n_pos;
        st = prefill(r, i, n_left, n_depth, err);
        kv_save(r->s->kv, &r->seqs[i]);
    }
    return st;
}

/* Steps from one length to another, each of one token of every sequence. */
static slm_status decode(struct rig *r, int32_t from, int32_t to, slm_err *err) {
    for (int32_t at = from; at < to; at++) {
        for (int32_t i = 0; i < r->n_batch; i++) {
            slm_status st = kv_reserve(r->s->kv, &r->seqs[i], at + 1, err);
            if (st != SLM_OK) return st;
            r->token[i] = some_token(r, i + at);
            r->pos[i] = at;
            r->seq[i] = &r->seqs[i];
            r->want[i] = true;
        }
        slm_status st = forward(r, r->n_batch, err);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

/* What a step reads, and what a token multiplies, of matrices. The embedding table is not among them, since a row of it is taken
 * (as the output head it is bound to a slot of its own). */
struct work {
    double bytes, n_f32, n_int8; /* weights multiplied as f32, as 8-bit codes */
};

/* share_read: of the bytes, for all sequences together; share_multiplied: of the weights, for one token. */
static void add_weight(struct work *w, const struct weight *x, double share_read, double share_multiplied) {
    if (!x->data) return;
    w->bytes += share_read * (double)x->d_out * (double)x->row_bytes;
    *(x->panels ? &w->n_int8 : &w->n_f32) += share_multiplied * (double)x->d_out * (double)x->d_in;
}

/* Of n_expert experts a token uses some; n_batch tokens that choose evenly and apart use this share of them all. */
static struct work work_of(const struct slm_model *m, int32_t n_batch, int32_t n_prompt) {
    struct work w = {0};
    double used = m->hp.n_expert ? (double)m->hp.n_expert_used / m->hp.n_expert : 0, read = 1 - pow(1 - used, n_batch);
    add_weight(&w, &model_slot(m, W_OUTPUT, 0)->w, 1, 1.0 / n_prompt); /* a prompt wants the logits of its last token */
    for (uint32_t i = 0; i < m->hp.n_layer; i++)
        for (int slot = W_LAYER_FIRST; slot < W_COUNT; slot++) {
            const struct bound *b = model_slot(m, (enum weight_slot)slot, i);
            add_weight(&w, &b->w, 1, 1);
            for (uint32_t e = 0; e < b->n_stack; e++) add_weight(&w, &b->stack[e], read, used);
        }
    w.bytes += (double)model_lora_bytes(m);
    w.n_f32 += (double)model_lora_bytes(m) / sizeof(float);
    return w;
}

/* Multiply-adds of attention for a token that sees n_pos positions. */
static double attention_work(const struct hparams *hp, double n_pos) {
    double n = 0;
    for (uint32_t i = 0; i < hp->n_layer; i++) {
        const struct layer_hparams *l = &hp->layer[i];
        if (l->mixer == MIXER_ATTENTION) n += 2.0 * l->n_head * l->d_head * (l->window && l->window < n_pos ? l->window : n_pos);
    }
    return n;
}

static void count_work(struct bench_result *x, const struct rig *r, const struct bench_params *p) {
    const struct slm_model *m = r->s->model;
    struct work w = work_of(m, p->n_batch, p->n_prompt);
    double kv_row = (double)kv_page_bytes(&m->hp, r->s->plan.kv_type) / KV_PAGE_TOK;
    double attention = attention_work(&m->hp, p->n_depth + 0.5 * p->n_prompt);
    bool is_int8 = kv_type_get(r->s->plan.kv_type)->is_rotated;
    x->bytes_per_token = w.bytes / p->n_batch + kv_row * (p->n_depth + p->n_prompt + 0.5 * p->n_predict); /* half-way through decoding */
    x->n_f32_per_token = w.n_f32 + (is_int8 ? 0 : attention);
    x->n_int8_per_token = w.n_int8 + (is_int8 ? attention : 0);
}

void bench_shares(struct bench_result *r, const struct measured *limit) {
    r->read_share = r->bytes_per_token * r->decode_tps.mean / limit->read_bytes_per_s;
    r->multiply_share = 2 * (r->n_f32_per_token / limit->f32_flop_per_s + r->n_int8_per_token / limit->int8_op_per_s) * r->prefill_tps.mean;
}

slm_status bench_measure(struct slm_model *m, const struct bench_params *p, const _Atomic bool *cancel, struct bench_result *out, slm_err *err) {
    slm_status st = SLM_OK;
    struct rig r;
    double prefill_tps[BENCH_REPEAT_MAX], decode_tps[BENCH_REPEAT_MAX];
    SLM_ASSERT(p->repeat >= 1 && p->repeat <= BENCH_REPEAT_MAX);
    TRY(rig_init(&r, m, p, err));
    r.s->cancel = cancel;
    TRY(prefill_all(&r, 0, 1, err)); /* brings the file into memory */
    TRY(decode(&r, 1, 2, err));
    for (int32_t i = 0; i < p->repeat; i++) {
        int32_t n_begin = p->n_depth + p->n_prompt;
        TRY(go_to_depth(&r, p->n_depth, err));
        double t0 = time_now_s();
        TRY(prefill_all(&r, p->n_depth, n_begin, err));
        double t1 = time_now_s();
        TRY(decode(&r, n_begin, n_begin + p->n_predict, err));
        double t2 = time_now_s();
        prefill_tps[i] = (double)p->n_batch * p->n_prompt / (t1 - t0);
        decode_tps[i] = (double)p->n_batch * p->n_predict / (t2 - t1);
    }
    *out = (struct bench_result){.n_batch = p->n_batch, .n_depth = p->n_depth, .prefill_tps = sample_of(prefill_tps, p->repeat),
                                 .decode_tps = sample_of(decode_tps, p->repeat)};
    count_work(out, &r, p);
out:
    rig_fini(&r);
    return st;
}
