/* data_source.c -- a dataset as the steps of training: an order for each epoch, steps of a given number of tokens, cut into micro-batches.
 *
 * The order is a shuffle by (seed, epoch). A step takes sequences while they fit, at least one, and goes on into the next epoch; which
 * it takes does not depend on how it is cut. So a place is two numbers: the epoch, and how many of its sequences are given. */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "train/data_int.h"
#include "train/kd_cache.h"

/* The arrays of one micro-batch; they grow and stay. */
struct micro {
    struct train_batch batch;
    struct train_teacher teacher;
    int32_t *token, *seq_begin, *target, *row;
    float *weight;
    int32_t cap_tok, cap_seq;
    int32_t *id;
    float *logit, *log_sum;
    int32_t cap_row;
};

struct source {
    struct dataset *d;
    struct data_source_params p;
    int i_temperature;
    uint32_t *side;   /* sequences of our side, in file order */
    uint32_t *order;  /* of the epoch under way */
    uint64_t n, epoch, at, n_step;
    struct micro *micros;
    struct train_batch *batches; /* what next returns */
    int n_micro, cap_micro;
};

static void make_order(struct source *s) {
    struct rng r;
    memcpy(s->order, s->side, s->n * sizeof *s->order);
    if (s->p.in_order) return;
    rng_init(&r, s->p.seed ^ (s->epoch + 1) * 0x9e3779b97f4a7c15u);
    for (uint64_t i = s->n; i > 1; i--) {
        uint64_t k = rng_u64(&r) % i;
        uint32_t t = s->order[i - 1];
        s->order[i - 1] = s->order[k];
        s->order[k] = t;
    }
}

/* Filling a micro-batch */

static slm_status resize(void *array, size_t n, size_t size, slm_err *err) {
    void *p = realloc(*(void **)array, n * size);
    if (!p) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "a batch: out of memory");
    *(void **)array = p;
    return SLM_OK;
}

static slm_status micro_reserve(struct micro *m, int32_t n_tok, int32_t n_seq, slm_err *err) {
    slm_status st = SLM_OK;
    if (n_tok > m->cap_tok) {
        size_t cap = (size_t)n_tok + (size_t)n_tok / 2;
        m->cap_tok = 0;
        TRY(resize(&m->token, cap, sizeof *m->token, err));
        TRY(resize(&m->target, cap, sizeof *m->target, err));
        TRY(resize(&m->row, cap, sizeof *m->row, err));
        TRY(resize(&m->weight, cap, sizeof *m->weight, err));
        m->cap_tok = (int32_t)cap;
    }
    if (n_seq > m->cap_seq) {
        size_t cap = (size_t)n_seq * 2;
        m->cap_seq = 0;
        TRY(resize(&m->seq_begin, cap + 1, sizeof *m->seq_begin, err));
        m->cap_seq = (int32_t)cap;
    }
out:
    return st;
}

static slm_status micro_reserve_rows(struct micro *m, int32_t n_row, uint32_t k, slm_err *err) {
    slm_status st = SLM_OK;
    if (n_row <= m->cap_row) return st;
    size_t cap = (size_t)n_row + (size_t)n_row / 2;
    m->cap_row = 0;
    TRY(resize(&m->id, cap * k, sizeof *m->id, err));
    TRY(resize(&m->logit, cap * k, sizeof *m->logit, err));
    TRY(resize(&m->log_sum, cap, sizeof *m->log_sum, err));
    m->cap_row = (int32_t)cap;
out:
    return st;
}

static slm_status add_teacher_row(struct source *s, struct micro *m, int32_t i_tok, uint64_t r, bool keep_target, slm_err *err) {
    const struct kd_cache *c = s->p.teacher;
    int32_t i = m->teacher.n_row;
    slm_status st = micro_reserve_rows(m, i + 1, c->h.k, err);
    if (st != SLM_OK) return st;
    m->log_sum[i] = kd_cache_row(c, r, s->i_temperature, m->id + (size_t)i * c->h.k, m->logit + (size_t)i * c->h.k);
    m->row[i_tok] = i;
    m->teacher.n_row++;
    if (!keep_target) m->target[i_tok] = TRAIN_NO_TARGET;
    return SLM_OK;
}

/* Tokens of a prompt that this epoch does not show. What is learnt, and special tokens, stay. */
static void drop_tokens(const struct source *s, const struct data_seq *q, uint64_t i_seq, int32_t *token) {
    const struct tok *tok = dataset_tok(s->d);
    const struct tok_config *c = tok_config_of(tok);
    const uint64_t key[] = {s->p.seed, s->epoch, i_seq};
    int32_t blank = c->eos != TOK_NONE ? c->eos : c->bos != TOK_NONE ? c->bos : 0;
    struct rng r;
    rng_init(&r, hash_bytes(HASH_START, key, sizeof key));
    for (int32_t i = 0; i < q->n; i++) {
        bool drop = rng_f64(&r) < (double)s->p.token_dropout; /* drawn for every place */
        if (drop && !(q->stored[i] & DATA_LOSS_BIT) && tok_type_of(tok, token[i]) == TOK_NORMAL) token[i] = blank;
    }
}

static slm_status micro_add(struct source *s, struct micro *m, const struct data_seq *q, slm_err *err) {
    int32_t at = m->batch.n_tok;
    uint64_t r = q->i_loss;
    bool keep_target = s->p.kd.keep_targets && !(s->p.kd.answers_path && strcmp(s->p.kd.answers_path, q->path) == 0);
    slm_status st = micro_reserve(m, at + q->n, m->batch.n_seq + 1, err);
    for (int32_t i = 0; st == SLM_OK && i < q->n; i++) {
        uint32_t next = q->stored[i + 1];
        m->token[at + i] = (int32_t)(q->stored[i] & ~DATA_LOSS_BIT);
        m->target[at + i] = next & DATA_LOSS_BIT ? (int32_t)(next & ~DATA_LOSS_BIT) : TRAIN_NO_TARGET;
        m->weight[at + i] = q->weight;
        m->row[at + i] = -1;
        if (next & DATA_LOSS_BIT && s->p.teacher) st = add_teacher_row(s, m, at + i, r++, keep_target, err);
    }
    if (st != SLM_OK) return st;
    if (s->p.token_dropout > 0) drop_tokens(s, q, s->order[s->at], m->token + at);
    m->seq_begin[m->batch.n_seq++] = at;
    m->batch.n_tok = at + q->n;
    m->seq_begin[m->batch.n_seq] = m->batch.n_tok;
    return SLM_OK;
}

static void micro_close(const struct source *s, struct micro *m, struct train_batch *out) {
    m->batch.token = m->token;
    m->batch.seq_begin = m->seq_begin;
    m->batch.target = m->target;
    m->batch.weight = m->weight;
    if (s->p.teacher) {
        m->teacher.k = (int32_t)s->p.teacher->h.k;
        m->teacher.tail = s->p.kd.tail;
        m->teacher.temperature = s->p.kd.temperature;
        m->teacher.alpha = s->p.kd.alpha;
        m->teacher.beta = s->p.kd.beta;
        m->teacher.row = m->row;
        m->teacher.id = m->id;
        m->teacher.logit = m->logit;
        m->teacher.log_sum = m->log_sum;
        if (m->teacher.n_row) m->batch.teacher = &m->teacher;
    }
    *out = m->batch;
}

static slm_status next_micro(struct source *s, struct micro **out, slm_err *err) {
    slm_status st = SLM_OK;
    if (s->n_micro == s->cap_micro) {
        int cap = s->cap_micro ? s->cap_micro * 2 : 4;
        TRY(resize(&s->micros, (size_t)cap, sizeof *s->micros, err));
        memset(s->micros + s->cap_micro, 0, (size_t)(cap - s->cap_micro) * sizeof *s->micros);
        TRY(resize(&s->batches, (size_t)cap, sizeof *s->batches, err));
        s->cap_micro = cap;
    }
    *out = &s->micros[s->n_micro++];
    memset(&(*out)->batch, 0, sizeof (*out)->batch);
    memset(&(*out)->teacher, 0, sizeof (*out)->teacher);
out:
    return st;
}

/* The interface */

static slm_status source_next(void *ctx, int64_t batch_tokens, int32_t micro_tokens, const struct train_batch **micro, int *n_micro, slm_err *err) {
    struct source *s = ctx;
    struct micro *m = NULL;
    int64_t total = 0;
    slm_status st = SLM_OK;
    *micro = NULL;
    *n_micro = s->n_micro = 0;
    for (;;) {
        if (s->at == s->n) {
            if (s->p.once) break;
            s->at = 0;
            s->epoch++;
            make_order(s);
        }
        struct data_seq q = dataset_seq(s->d, s->order[s->at]);
        if (total > 0 && total + q.n > batch_tokens) break;
        if (q.n > micro_tokens)
            return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "%s:%llu: a sequence of %d tokens, micro-batches hold %d", q.path, (unsigned long long)q.line, q.n, micro_tokens);
        if (!m || m->batch.n_tok + q.n > micro_tokens) TRY(next_micro(s, &m, err));
        TRY(micro_add(s, m, &q, err));
        total += q.n;
        s->at++;
    }
    for (int i = 0; i < s->n_micro; i++) micro_close(s, &s->micros[i], &s->batches[i]);
    *micro = s->batches;
    *n_micro = s->n_micro;
    s->n_step += s->n_micro > 0;
out:
    return st;
}

static void source_tell(void *ctx, struct train_cursor *out) {
    const struct source *s = ctx;
    *out = (struct train_cursor){.epoch = s->epoch, .at = s->at, .seed = s->p.seed, .n_step = s->n_step};
}

static slm_status source_seek(void *ctx, const struct train_cursor *to, slm_err *err) {
    struct source *s = ctx;
    if (to->at > s->n) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "a place in the data: sequence %llu of %llu", (unsigned long long)to->at, (unsigned long long)s->n);
    s->p.seed = to->seed;
    s->epoch = to->epoch;
    s->at = to->at;
    s->n_step = to->n_step;
    make_order(s);
    return SLM_OK;
}

/* A step has something to learn: sequences without a loss (their loss tokens in other windows) are left out. */
static void fill_side(struct source *s, struct train_source *out) {
    for (uint64_t i = 0; i < dataset_n_seq(s->d); i++) {
        struct data_seq q = dataset_seq(s->d, i);
        if ((s->p.side != DATA_ALL && q.side != s->p.side) || q.n_loss == 0 || !(q.weight > 0)) continue;
        s->side[s->n++] = (uint32_t)i;
        out->epoch_tokens += q.n;
        if (q.n > out->seq_tokens_max) out->seq_tokens_max = q.n;
    }
}

slm_status dataset_source(struct dataset *d, const struct data_source_params *p, struct train_source *out, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem;
    memset(out, 0, sizeof *out);
    struct source *s = calloc(1, sizeof *s);
    if (!s) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "data: out of memory");
    s->d = d;
    s->p = *p;
    if (p->teacher) {
        TRY(kd_cache_check(p->teacher, d, 0, 0, err));
        s->i_temperature = kd_cache_temperature(p->teacher, p->kd.temperature);
        if (s->i_temperature < 0) FAIL(SLM_E_USAGE, SLM_NOWHERE, "temperature %g: the cache of the teacher's logits was made for others", (double)p->kd.temperature);
    }
    TRY(mem_alloc(&mem, dataset_n_seq(d) + 1, sizeof *s->side, "order of the data", err));
    s->side = mem;
    TRY(mem_alloc(&mem, dataset_n_seq(d) + 1, sizeof *s->order, "order of the data", err));
    s->order = mem;
    fill_side(s, out);
    if (s->n == 0) FAIL(SLM_E_USAGE, SLM_NOWHERE, "data: no row for %s", p->side == DATA_VAL ? "validation" : "training");
    make_order(s);
    out->next = source_next;
    out->tell = source_tell;
    out->seek = source_seek;
    out->identity = hash_bytes(dataset_identity(d), &p->side, sizeof p->side);
    if (p->token_dropout > 0) out->identity = hash_bytes(out->identity, &p->token_dropout, sizeof p->token_dropout);
    if (p->teacher) out->identity = hash_bytes(out->identity, &p->teacher->h.teacher_identity, sizeof p->teacher->h.teacher_identity);
    out->ctx = s;
    s = NULL;
out:
    if (s) {
        free(s->side);
        free(s->order);
        free(s);
        memset(out, 0, sizeof *out);
    }
    return st;
}

void data_source_destroy(struct train_source *out) {
    struct source *s = out->ctx;
    if (!s) return;
    for (int i = 0; i < s->cap_micro; i++) {
        struct micro *m = &s->micros[i];
        free(m->token);
        free(m->seq_begin);
        free(m->target);
        free(m->row);
        free(m->weight);
        free(m->id);
        free(m->logit);
        free(m->log_sum);
    }
    free(s->micros);
    free(s->batches);
    free(s->side);
    free(s->order);
    free(s);
    memset(out, 0, sizeof *out);
}
