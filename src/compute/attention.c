/* attention.c -- splits attention over the pool.
 *
 * A prompt has many jobs, each a block of tokens and a KV head: one job is one call of the slot. A step of decoding has as
 * many as KV heads; when that is too few for the threads and the context is long, jobs are cut at the slot's spans
 * (ATTN_SPAN positions) as well, and the parts joined in order. The slot itself joins its spans in the same way,
 * so whether a job was cut changes no bit. */
#include "compute/compute.h"

enum {
    ROWS_PER_CALL = 64,      /* of the slot */
    JOBS_PER_THREAD = 4,     /* fewer are cut */
    SPLIT_TOKS_MAX = 16,     /* tokens of a batch that the parts' buffer is sized for: decoding and drafts */
};

struct attn_ctx {
    struct compute *c;
    const struct attn_job *jobs;
    int64_t n_group, d_head;
    const struct attn_params *params;
    float *parts;        /* [n_job, n_row, n_span, d_head + ATTN_PART_EXTRA] */
    int64_t n_span;      /* of a job at most */
    int64_t n_row;       /* of a job at most */
};

int32_t compute_attention_toks(int64_t n_group) { return n_group >= ROWS_PER_CALL ? 1 : (int32_t)(ROWS_PER_CALL / n_group); }

uint64_t compute_attention_parts(int64_t n_tok, int64_t n_head, int64_t n_ctx, int64_t d_head) {
    uint64_t n_row = (uint64_t)(n_tok < SPLIT_TOKS_MAX ? n_tok : SPLIT_TOKS_MAX) * (uint64_t)n_head;
    return n_row * (uint64_t)(n_ctx / ATTN_SPAN + 2) * (uint64_t)(d_head + ATTN_PART_EXTRA);
}

static int64_t job_first_span(const struct attn_job *job) {
    int32_t first = INT32_MAX;
    for (int32_t i = 0; i < job->n_tok; i++) first = job->visible[i].first < first ? job->visible[i].first : first;
    return first / ATTN_SPAN;
}

static int64_t job_spans(const struct attn_job *job) {
    int32_t end = 1;
    for (int32_t i = 0; i < job->n_tok; i++) end = job->visible[i].end > end ? job->visible[i].end : end;
    return (end - 1) / ATTN_SPAN - job_first_span(job) + 1;
}

static struct attn_row job_row(const struct attn_ctx *a, const struct attn_job *job, int64_t r) {
    int64_t i = r / a->n_group, at = i * job->ld + r % a->n_group * a->d_head;
    const float *sink = job->sinks ? job->sinks + r % a->n_group : NULL;
    return (struct attn_row){job->q + at, job->out + at, job->visible[i].first, job->visible[i].end, sink};
}

static void whole_jobs(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct attn_ctx *a = ctx;
    (void)i_thread;
    for (int64_t j = begin; j < end; j++) {
        const struct attn_job *job = &a->jobs[j];
        struct attn_row rows[ROWS_PER_CALL];
        for (int64_t r = 0, n_row = job->n_tok * a->n_group; r < n_row;) {
            int64_t n = 0;
            while (n < ROWS_PER_CALL && r < n_row) rows[n++] = job_row(a, job, r++);
            a->c->ops.attention(rows, n, &job->kv, a->d_head, a->params);
        }
    }
}

static float *part_at(const struct attn_ctx *a, int64_t j, int64_t r, int64_t s) {
    return a->parts + ((j * a->n_row + r) * a->n_span + s) * (a->d_head + ATTN_PART_EXTRA);
}

/* Items [n_job, n_span]: one span of one job. */
static void job_spans_run(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct attn_ctx *a = ctx;
    (void)i_thread;
    for (int64_t item = begin; item < end; item++) {
        int64_t j = item / a->n_span, s = item % a->n_span;
        const struct attn_job *job = &a->jobs[j];
        int32_t span = (int32_t)((job_first_span(job) + s) * ATTN_SPAN);
        struct attn_row rows[ROWS_PER_CALL];
        for (int64_t r = 0, n_row = job->n_tok * a->n_group; r < n_row;) {
            int64_t n = 0;
            for (; n < ROWS_PER_CALL && r < n_row; r++) {
                struct attn_row row = job_row(a, job, r);
                if (row.pos_first < span) row.pos_first = span;
                if (row.pos_end > span + ATTN_SPAN) row.pos_end = span + ATTN_SPAN;
                row.out = part_at(a, j, r, s);
                if (row.pos_first < row.pos_end) rows[n++] = row;
            }
            if (n) a->c->ops.attention_part(rows, n, &job->kv, a->d_head, a->params);
        }
    }
}

/* Items [n_job, n_row]: one row's parts, from the first span that it sees. */
static void join_rows(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct attn_ctx *a = ctx;
    (void)i_thread;
    for (int64_t item = begin; item < end; item++) {
        int64_t j = item / a->n_row, r = item % a->n_row;
        const struct attn_job *job = &a->jobs[j];
        if (r >= job->n_tok * a->n_group) continue;
        struct attn_row row = job_row(a, job, r);
        int64_t first = row.pos_first / ATTN_SPAN, last = (row.pos_end - 1) / ATTN_SPAN;
        a->c->ops.attention_join(row.out, part_at(a, j, r, first - job_first_span(job)), last - first + 1, row.sink, job->kv.type, a->d_head);
    }
}

void compute_attention(struct compute *c, const struct attn_job *jobs, int64_t n_job, int64_t n_group, int64_t d_head,
                       const struct attn_params *params, float *parts, uint64_t n_part_floats) {
    struct attn_ctx a = {.c = c, .jobs = jobs, .n_group = n_group, .d_head = d_head, .params = params, .parts = parts};
    int n_threads = pool_n_threads(c->pool);
    for (int64_t j = 0; j < n_job; j++) {
        if (job_spans(&jobs[j]) > a.n_span) a.n_span = job_spans(&jobs[j]);
        if (jobs[j].n_tok * n_group > a.n_row) a.n_row = jobs[j].n_tok * n_group;
    }
    uint64_t need = (uint64_t)n_job * (uint64_t)a.n_row * (uint64_t)a.n_span * (uint64_t)(d_head + ATTN_PART_EXTRA);
    if (n_threads == 1 || n_job >= JOBS_PER_THREAD * n_threads || a.n_span < 2 || need > n_part_floats) {
        pool_run(c->pool, n_job, 1, whole_jobs, &a);
        return;
    }
    pool_run(c->pool, n_job * a.n_span, 1, job_spans_run, &a);
    pool_run(c->pool, n_job * a.n_row, a.n_row, join_rows, &a);
}
