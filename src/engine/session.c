/* session.c -- one timeline: the KV cache's content, the tokens it stands for, the logits after them.
 *
 * Invariant: timeline.n == seq.n_pos, and the cache holds exactly the timeline's tokens. A feed keeps the
 * longest common prefix with what is asked, forgets the rest, and computes what is new in chunks; an
 * interrupted feed leaves whole chunks, never half of one. */
#include "engine/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/util.h"

#define N_CHUNK_DEFAULT 512

static slm_status plan_for(const struct slm_model *m, const struct session_params *p, int32_t n_ctx, struct plan *plan, slm_err *err) {
    enum kv_type kv_type = p->kv_type == KV_TYPE_AUTO ? kv_type_auto(m) : (enum kv_type)p->kv_type;
    int32_t n_chunk = p->n_chunk ? p->n_chunk : N_CHUNK_DEFAULT;
    if (p->n_chunk == 0 && n_chunk > n_ctx) n_chunk = n_ctx;
    struct plan_params pp = {
        .n_ctx = n_ctx, .n_batch = n_chunk, .n_out = p->n_out ? p->n_out : 1, .n_threads = p->n_threads, .kv_type = kv_type,
    };
    return plan_make(m, &pp, plan, err);
}

slm_status session_plan(const struct slm_model *m, const struct session_params *p, struct plan *plan, slm_err *err) {
    struct cpu_info cpu;
    cpu_info_get(&cpu);
    int32_t n_ctx = p->n_ctx ? p->n_ctx : (int32_t)m->hp.n_ctx_train;
    slm_status st = plan_for(m, p, n_ctx, plan, err);
    /* A default context may shrink to what half of the free memory holds; an asked one is refused with numbers. */
    while (st == SLM_OK && p->n_ctx == 0 && plan->bytes_private > cpu.mem_available_bytes / 2 && n_ctx > KV_PAGE_TOK) {
        n_ctx /= 2;
        st = plan_for(m, p, n_ctx, plan, err);
    }
    if (st != SLM_OK) return st;
    if (cpu.mem_available_bytes && plan->bytes_private > cpu.mem_available_bytes) {
        st = err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "a context of %d needs %llu MiB, %llu MiB are free", n_ctx,
                     (unsigned long long)(plan->bytes_private >> 20), (unsigned long long)(cpu.mem_available_bytes >> 20));
        err_hint(err, "use a smaller --ctx");
    }
    return st;
}

slm_status session_create(struct slm_model *m, const struct session_params *p, struct slm_session **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct slm_session *s = NULL;
    void *mem = NULL;
    *out = NULL;
    TRY(mem_alloc(&mem, 1, sizeof *s, "session", err));
    s = mem;
    s->model = m;
    s->seq.lora = m->lora_default;
    TRY(session_plan(m, p, &s->plan, err));
    TRY(model_pack(m, s->plan.n_threads, err));
    TRY(compute_init(&s->compute, s->plan.n_threads, (int64_t)plan_d_in_max(&m->hp), s->plan.n_batch, err));
    TRY(kv_create(&m->hp, s->plan.kv_type, s->plan.n_page, &s->kv, err));
    TRY(forward_create(m, &s->plan, &s->compute, &s->forward, err));
    TRY(mem_alloc(&mem, plan_find(&s->plan, "logits")->bytes, 1, "logits", err));
    s->logits = mem;
    size_t n_batch = (size_t)s->plan.n_batch;
    TRY(mem_alloc(&mem, n_batch, sizeof *s->batch_pos, "batch", err));
    s->batch_pos = mem;
    TRY(mem_alloc(&mem, n_batch, sizeof *s->batch_seq, "batch", err));
    s->batch_seq = mem;
    TRY(mem_alloc(&mem, n_batch, sizeof *s->batch_want, "batch", err));
    s->batch_want = mem;
    *out = s;
    return SLM_OK;
out:
    session_destroy(s);
    return st;
}

void session_destroy(struct slm_session *s) {
    if (!s) return;
    kv_seq_fini(s->kv, &s->seq);
    forward_destroy(s->forward);
    kv_destroy(s->kv);
    compute_fini(&s->compute);
    tok_ids_fini(&s->timeline);
    free(s->batch_pos);
    free(s->batch_seq);
    free(s->batch_want);
    free(s->logits);
    free(s);
}

/* Forget positions from n on, and those before it that a state cannot come back to. */
static void truncate_to(struct slm_session *s, size_t n) { s->timeline.n = (size_t)kv_truncate(s->kv, &s->seq, (int32_t)n); }

void session_set_lora(struct slm_session *s, const struct lora_mix *mix) {
    if (!mix) mix = s->model->lora_default;
    if (lora_mix_equal(s->seq.lora, mix)) return;
    truncate_to(s, 0);
    if (mix) s->lora = *mix;
    s->seq.lora = mix ? &s->lora : NULL;
}

void session_forget(struct slm_session *s) { truncate_to(s, 0); }

slm_status session_run(struct slm_session *s, session_step fn, void *arg, slm_err *err) { return s->host.run ? s->host.run(s->host.user, fn, arg, err) : fn(arg, err); }

struct step {
    struct slm_session *s;
    struct batch batch;
};

static slm_status run_step(void *arg, slm_err *err) {
    struct step *x = arg;
    return model_forward(x->s->forward, x->s->kv, &x->batch, x->s->cancel, x->s->logits, err);
}

/* One forward of n <= n_batch tokens at the end of the timeline; logits of the last n_out of them. */
static slm_status append_chunk(struct slm_session *s, const int32_t *ids, size_t n, size_t n_out, slm_err *err) {
    size_t n_before = s->timeline.n;
    slm_status st = SLM_OK;
    TRY(kv_reserve(s->kv, &s->seq, (int32_t)(n_before + n), err));
    for (size_t i = 0; i < n; i++) {
        s->batch_pos[i] = (int32_t)(n_before + i);
        s->batch_seq[i] = &s->seq;
        s->batch_want[i] = i >= n - n_out;
        TRY(tok_ids_push(&s->timeline, ids[i], err));
    }
    struct step step = {s, {.n_tok = (int32_t)n, .token = ids, .pos = s->batch_pos, .seq = s->batch_seq, .want_logits = s->batch_want}};
    TRY(session_run(s, run_step, &step, err));
    return SLM_OK;
out:
    truncate_to(s, n_before);
    return st;
}

static slm_status check_fits(const struct slm_session *s, size_t n, slm_err *err) {
    if (n <= (size_t)s->plan.n_ctx) return SLM_OK;
    err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "prompt of %zu tokens: does not fit a context of %d", n, s->plan.n_ctx);
    err_hint(err, "use a larger --ctx (the model was made for %u)", s->model->hp.n_ctx_train);
    return SLM_E_LIMIT;
}

slm_status session_feed(struct slm_session *s, const int32_t *ids, size_t n, size_t *n_cached, slm_err *err) {
    size_t n_same = 0;
    slm_status st = check_fits(s, n, err);
    if (st != SLM_OK) return st;
    if (n == 0) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "the prompt has no tokens");
    /* The last token is always computed: its logits are what the caller wants. */
    while (n_same < s->timeline.n && n_same < n - 1 && s->timeline.v[n_same] == ids[n_same]) n_same++;
    truncate_to(s, n_same);
    n_same = s->timeline.n;
    if (n_cached) *n_cached = n_same;
    for (size_t i = n_same; i < n;) {
        size_t n_left = s->kv->states && i < n - 1 ? n - 1 - i : n - i; /* a state is saved before the last token */
        size_t n_chunk = n_left < (size_t)s->plan.n_batch ? n_left : (size_t)s->plan.n_batch;
        if (i == n - 1) kv_save(s->kv, &s->seq);
        st = append_chunk(s, ids + i, n_chunk, i + n_chunk == n, err);
        if (st != SLM_OK) return st;
        i += n_chunk;
    }
    return SLM_OK;
}

slm_status session_append(struct slm_session *s, int32_t id, slm_err *err) {
    slm_status st = check_fits(s, s->timeline.n + 1, err);
    return st != SLM_OK ? st : append_chunk(s, &id, 1, 1, err);
}

slm_status session_append_all(struct slm_session *s, const int32_t *ids, size_t n, slm_err *err) {
    SLM_ASSERT(n >= 1 && n <= (size_t)s->plan.n_out && n <= (size_t)s->plan.n_batch);
    slm_status st = check_fits(s, s->timeline.n + n, err);
    return st != SLM_OK ? st : append_chunk(s, ids, n, n, err);
}

slm_status session_append_run(struct slm_session *s, const int32_t *ids, size_t n, slm_err *err) {
    SLM_ASSERT(n >= 1 && n <= (size_t)s->plan.n_batch);
    slm_status st = check_fits(s, s->timeline.n + n, err);
    return st != SLM_OK ? st : append_chunk(s, ids, n, 1, err);
}

void session_truncate(struct slm_session *s, size_t n) {
    if (n < s->timeline.n) truncate_to(s, n);
}

slm_status session_logits_from(struct slm_session *s, const int32_t *ids, size_t n, size_t first, session_row row, void *user, slm_err *err) {
    slm_status st = check_fits(s, n, err);
    if (st != SLM_OK) return st;
    truncate_to(s, 0);
    for (size_t i = 0; i < n;) {
        size_t end = i < first ? first : n, n_max = (size_t)(i < first ? s->plan.n_batch : s->plan.n_out);
        size_t n_chunk = end - i < n_max ? end - i : n_max, n_out = i < first ? 0 : n_chunk;
        st = append_chunk(s, ids + i, n_chunk, n_out, err);
        for (size_t j = 0; j < n_out && st == SLM_OK; j++) st = row(user, i + j, s->logits + j * s->model->hp.n_vocab, err);
        if (st != SLM_OK) return st;
        i += n_chunk;
    }
    return SLM_OK;
}

slm_status session_logits_all(struct slm_session *s, const int32_t *ids, size_t n, session_row row, void *user, slm_err *err) {
    return session_logits_from(s, ids, n, 0, row, user, err);
}

#define ROWS_BYTES_MAX (64u << 20)

int32_t session_rows_at_once(const struct slm_model *m, int32_t n_max) {
    uint64_t n = ROWS_BYTES_MAX / sizeof(float) / m->hp.n_vocab;
    int32_t n_pass = n_max < 512 ? n_max : 512;
    return n < 1 ? 1 : n < (uint64_t)n_pass ? (int32_t)n : n_pass;
}
