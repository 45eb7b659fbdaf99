/* live_teacher.c -- steps whose sequences a running teacher judges; some are written by the student first. */
#include "train/live_teacher.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "engine/session.h"
#include "train/kd_cache.h"

/* One micro-batch of our own: the inner one's, with sequences replaced and a teacher. Grows to the largest that came. */
struct lived {
    struct train_batch b;
    struct train_teacher te;
    int32_t cap_tok;
    int32_t *token, *target, *begin, *row, *id;
    float *weight, *logit, *log_sum;
    bool *is_written; /* by the student: the teacher is all that it learns from there */
};

struct live {
    struct live_teacher_params p;
    struct slm_session *teacher;
    struct lived *micro;
    struct train_batch *batches;
    int n_micro_cap;
    struct lived *at; /* under way: row callback */
    int32_t first;    /* of the sequence under way, in the batch */
};

static slm_status grow(void **p, size_t n, size_t size, slm_err *err) {
    void *q = realloc(*p, n * size);
    if (!q) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "teacher's predictions: out of memory");
    *p = q;
    return SLM_OK;
}

static slm_status reserve(struct lived *m, int32_t n_tok, uint32_t k, slm_err *err) {
    slm_status st = SLM_OK;
    size_t n = (size_t)n_tok;
    if (n_tok <= m->cap_tok) return SLM_OK;
    TRY(grow((void **)&m->token, n, sizeof *m->token, err));
    TRY(grow((void **)&m->target, n, sizeof *m->target, err));
    TRY(grow((void **)&m->begin, n + 1, sizeof *m->begin, err));
    TRY(grow((void **)&m->row, n, sizeof *m->row, err));
    TRY(grow((void **)&m->weight, n, sizeof *m->weight, err));
    TRY(grow((void **)&m->is_written, n, sizeof *m->is_written, err));
    TRY(grow((void **)&m->id, n * k, sizeof *m->id, err));
    TRY(grow((void **)&m->logit, n * k, sizeof *m->logit, err));
    TRY(grow((void **)&m->log_sum, n, sizeof *m->log_sum, err));
    m->cap_tok = n_tok;
out:
    return st;
}

/* ---- what the student writes ---- */

/* The sequence's prompt from `from` is in m already, with its last token's place at n_prompt - 1; its continuation follows. */
static slm_status write_on(struct live *l, struct slm_session *student, struct lived *m, int32_t first, int32_t n_prompt, int32_t n_max, uint64_t seed, slm_err *err) {
    struct sampler_params sampling;
    struct generate_result r;
    sampler_params_init(&sampling);
    sampling.temperature = l->p.sample_temp;
    sampling.seed = seed;
    struct generate_params g = {.sampling = &sampling, .n_max = n_max};
    slm_status st = session_generate(student, m->token + first, (size_t)n_prompt, &g, &r, err);
    if (st != SLM_OK) return st;
    int32_t n = (int32_t)r.ids.n, eos = tok_config_of(l->p.teacher->tok)->eos;
    for (int32_t i = 0; i < n_prompt; i++) m->target[first + i] = TRAIN_NO_TARGET;
    for (int32_t i = 0; i <= n; i++) { /* the i-th written token is the target of the one before it; an end is written too */
        int32_t id = i < n ? r.ids.v[i] : r.finish == FINISH_EOS && eos >= 0 ? eos : TRAIN_NO_TARGET;
        m->target[first + n_prompt - 1 + i] = id;
        m->weight[first + n_prompt - 1 + i] = 1;
        m->is_written[first + n_prompt - 1 + i] = true;
        if (i < n && i + 1 <= n_max) m->token[first + n_prompt + i] = r.ids.v[i];
    }
    m->b.n_tok = first + n_prompt + n;
    tok_ids_fini(&r.ids);
    return SLM_OK;
}

static uint64_t mixed(uint64_t seed, uint64_t step, uint64_t place) {
    const uint64_t parts[] = {seed, step, place};
    return hash_bytes(HASH_START, parts, sizeof parts);
}

/* Sequence s of `from` goes into m, as it is or with the student's continuation. */
static slm_status copy_seq(struct live *l, struct slm_session *student, const struct train_batch *from, int32_t s, struct lived *m, uint64_t seed, slm_err *err) {
    int32_t at = from->seq_begin[s], n = from->seq_begin[s + 1] - at, first = m->b.n_tok, n_prompt = 0;
    struct rng rng;
    m->begin[s] = first;
    memcpy(m->token + first, from->token + at, (size_t)n * sizeof *m->token);
    memcpy(m->target + first, from->target + at, (size_t)n * sizeof *m->target);
    for (int32_t i = 0; i < n; i++) {
        m->weight[first + i] = from->weight ? from->weight[at + i] : 1;
        m->is_written[first + i] = false;
    }
    m->b.n_tok += n;
    rng_init(&rng, seed);
    while (n_prompt < n && from->target[at + n_prompt] < 0) n_prompt++;
    n_prompt++; /* the token whose target is the first with a loss */
    if (!student || n_prompt >= n || rng_f64(&rng) >= (double)l->p.on_policy) return SLM_OK;
    return write_on(l, student, m, first, n_prompt, n - n_prompt, rng_u64(&rng), err);
}

/* ---- what the teacher thinks of it ---- */

static slm_status keep_row(void *user, size_t i_pos, const float *logits, slm_err *err) {
    struct live *l = user;
    struct lived *m = l->at;
    int32_t i = l->first + (int32_t)i_pos, r = m->te.n_row;
    uint32_t k = l->p.k;
    if (m->target[i] < 0) return SLM_OK;
    for (uint32_t j = 0; j < l->p.n_vocab; j++)
        if (!isfinite(logits[j])) return err_set(err, SLM_E_FAILED, SLM_NOWHERE, "the teacher's logit of id %u is no finite number", j);
    kd_pick_best(logits, NULL, l->p.n_vocab, k, (uint32_t *)(m->id + (size_t)r * k), m->logit + (size_t)r * k);
    m->log_sum[r] = kd_log_sum(logits, NULL, l->p.n_vocab, m->logit[(size_t)r * k], l->p.kd.temperature);
    m->row[i] = r;
    m->te.n_row++;
    if (!l->p.kd.keep_targets || m->is_written[i]) m->target[i] = TRAIN_NO_TARGET;
    return SLM_OK;
}

static slm_status judge(struct live *l, struct lived *m, slm_err *err) {
    m->te.n_row = 0;
    for (int32_t i = 0; i < m->b.n_tok; i++) m->row[i] = -1;
    for (int32_t s = 0; s < m->b.n_seq; s++) {
        int32_t at = m->begin[s], n = m->begin[s + 1] - at, first = 0;
        while (first < n && m->target[at + first] < 0) first++;
        if (first == n) continue;
        l->at = m;
        l->first = at;
        slm_status st = session_logits_from(l->teacher, m->token + at, (size_t)n, (size_t)first, keep_row, l, err);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

/* ---- the source ---- */

static slm_status live_one(struct live *l, struct slm_session *student, const struct train_batch *from, struct lived *m, uint64_t step, uint64_t place, slm_err *err) {
    slm_status st = SLM_OK;
    TRY(reserve(m, from->n_tok, l->p.k, err));
    m->b = (struct train_batch){.n_seq = from->n_seq};
    for (int32_t s = 0; s < from->n_seq; s++) TRY(copy_seq(l, student, from, s, m, mixed(l->p.seed, step, place + (uint64_t)s), err));
    m->begin[from->n_seq] = m->b.n_tok;
    m->te = (struct train_teacher){.k = (int32_t)l->p.k, .tail = l->p.kd.tail, .temperature = l->p.kd.temperature, .alpha = l->p.kd.alpha, .beta = l->p.kd.beta};
    TRY(judge(l, m, err));
    m->te.row = m->row;
    m->te.id = m->id;
    m->te.logit = m->logit;
    m->te.log_sum = m->log_sum;
    m->b.token = m->token;
    m->b.target = m->target;
    m->b.weight = m->weight;
    m->b.seq_begin = m->begin;
    m->b.teacher = &m->te;
out:
    return st;
}

static slm_status next(void *ctx, int64_t batch_tokens, int32_t micro_tokens, const struct train_batch **micro, int *n_micro, slm_err *err) {
    struct live *l = ctx;
    slm_status st = SLM_OK;
    struct slm_session *student = NULL;
    struct train_cursor cursor;
    const struct train_batch *from;
    uint64_t place = 0;
    int n;
    l->p.inner->tell(l->p.inner->ctx, &cursor);
    TRY(l->p.inner->next(l->p.inner->ctx, batch_tokens, micro_tokens, &from, &n, err));
    if (n > l->n_micro_cap) {
        TRY(grow((void **)&l->micro, (size_t)n, sizeof *l->micro, err));
        memset(l->micro + l->n_micro_cap, 0, (size_t)(n - l->n_micro_cap) * sizeof *l->micro);
        l->n_micro_cap = n;
        TRY(grow((void **)&l->batches, (size_t)n, sizeof *l->batches, err));
    }
    if (l->p.on_policy > 0) { /* a session of its own for each step: the weights are others than in the last */
        struct session_params sp = {.n_ctx = l->p.inner->seq_tokens_max + 1, .n_threads = l->p.n_threads, .kv_type = KV_TYPE_AUTO};
        TRY(session_create(trainee_model(l->p.student), &sp, &student, err));
        student->cancel = l->p.cancel;
    }
    for (int i = 0; i < n; i++) {
        TRY(live_one(l, student, &from[i], &l->micro[i], cursor.n_step, place, err));
        place += (uint64_t)from[i].n_seq;
        l->batches[i] = l->micro[i].b;
    }
    *micro = l->batches;
    *n_micro = n;
out:
    session_destroy(student);
    return st;
}

static void tell(void *ctx, struct train_cursor *out) {
    const struct live *l = ctx;
    l->p.inner->tell(l->p.inner->ctx, out);
}
static slm_status seek(void *ctx, const struct train_cursor *to, slm_err *err) {
    const struct live *l = ctx;
    return l->p.inner->seek(l->p.inner->ctx, to, err);
}

slm_status live_teacher_create(const struct live_teacher_params *p, struct train_source *out, slm_err *err) {
    slm_status st = SLM_OK;
    struct live *l = NULL;
    void *mem = NULL;
    *out = (struct train_source){0};
    if (p->k < 1 || p->k > TRAIN_TOP_K_MAX || p->k > p->n_vocab) FAIL(SLM_E_USAGE, SLM_NOWHERE, "top-k %u: must be 1 to %d and within the vocabulary", p->k, TRAIN_TOP_K_MAX);
    if (!(p->kd.temperature > 0)) FAIL(SLM_E_USAGE, SLM_NOWHERE, "temperature %g: must be above 0", (double)p->kd.temperature);
    if ((uint32_t)p->inner->seq_tokens_max > p->teacher->hp.n_ctx_train)
        FAIL(SLM_E_USAGE, SLM_NOWHERE, "sequences of %d tokens: the teacher's context has %u", p->inner->seq_tokens_max, p->teacher->hp.n_ctx_train);
    if (p->on_policy > 0 && (!p->student || trainee_params_of(p->student)->lora.r))
        FAIL(SLM_E_USAGE, SLM_NOWHERE, "on-policy: a student that trains by adapters cannot write for its teacher");
    TRY(mem_alloc(&mem, 1, sizeof *l, "teacher", err));
    l = mem;
    l->p = *p;
    int32_t n_ctx = p->inner->seq_tokens_max + 1;
    struct session_params sp = {.n_ctx = n_ctx, .n_threads = p->n_threads, .kv_type = KV_TYPE_AUTO, .n_out = session_rows_at_once(p->teacher, n_ctx < 64 ? n_ctx : 64)};
    TRY(session_create(p->teacher, &sp, &l->teacher, err));
    l->teacher->cancel = p->cancel;
    *out = (struct train_source){.ctx = l, .next = next, .tell = tell, .seek = seek, .epoch_tokens = p->inner->epoch_tokens, .seq_tokens_max = p->inner->seq_tokens_max};
    const double own[] = {p->k, (double)p->kd.temperature, (double)p->kd.alpha, (double)p->kd.beta, p->kd.tail, p->kd.keep_targets, (double)p->on_policy, (double)p->sample_temp};
    const uint64_t who[] = {p->inner->identity, gguf_identity(p->teacher->gguf), p->seed};
    out->identity = hash_bytes(hash_bytes(HASH_START, own, sizeof own), who, sizeof who);
    return SLM_OK;
out:
    free(l);
    return st;
}

void live_teacher_destroy(struct train_source *s) {
    struct live *l = s->ctx;
    if (!l) return;
    for (int i = 0; i < l->n_micro_cap; i++) {
        struct lived *m = &l->micro[i];
        void *const parts[] = {m->token, m->target, m->begin, m->row, m->id, m->weight, m->logit, m->log_sum, m->is_written};
        for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) free(parts[k]);
    }
    free(l->micro);
    free(l->batches);
    session_destroy(l->teacher);
    free(l);
    *s = (struct train_source){0};
}
