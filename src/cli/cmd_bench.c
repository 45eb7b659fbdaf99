/* cmd_bench.c -- slm bench: tokens per second of prefill and decode, beside what the machine could do.
 *
 * Sequences are driven through model_forward directly, so that a batch is really decoded together. Tokens are arbitrary
 * ids: their values do not change the work. Speeds are means over the repetitions, with their deviation; the limits
 * (bytes read and multiply-adds a second) are measured in the same process, on as many threads, afterwards. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/cpu.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "compute/measure.h"
#include "engine/session.h"

#define REPEAT_MAX 100
#define BATCH_MAX 256

struct bench_values {
    struct common_values common;
    const char *model;
    int32_t n_prompt, n_predict, repeat, threads, chunk, kv;
    struct option_ints batches;
    bool json;
};

struct sample {
    double mean, sd;
};

/* One row of the report. */
struct result {
    int32_t n_batch;
    struct sample prefill_tps, decode_tps;
    double bytes_per_token, read_share, multiply_share;
};

static struct sample sample_of(const double *v, int n) {
    struct sample s = {0, 0};
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

static int32_t pages_of(int32_t n_pos) { return (n_pos + KV_PAGE_TOK - 1) / KV_PAGE_TOK; }

static slm_status rig_init(struct rig *r, struct slm_model *m, const struct bench_values *v, int32_t n_batch, slm_err *err) {
    slm_status st = SLM_OK;
    void *p = NULL;
    memset(r, 0, sizeof *r);
    int64_t n_ctx = (int64_t)n_batch * pages_of(v->n_prompt + v->n_predict) * KV_PAGE_TOK;
    int32_t n_chunk = v->chunk < v->n_prompt ? v->chunk : v->n_prompt;
    r->n_batch = n_batch;
    r->n_tok = n_chunk > n_batch ? n_chunk : n_batch;
    if (n_ctx > INT32_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "batch \"%d\": %lld positions are too many", n_batch, (long long)n_ctx);
    struct session_params params = {.n_ctx = (int32_t)n_ctx, .n_chunk = r->n_tok, .n_out = n_batch, .n_threads = v->threads, .kv_type = kv_type_of_choice(v->kv)};
    TRY(session_create(m, &params, &r->s, err));
    r->s->cancel = &interrupt_flag;
    TRY(mem_alloc(&p, (size_t)n_batch, sizeof *r->seqs, "sequences", err));
    r->seqs = p;
    TRY(mem_alloc(&p, (size_t)r->n_tok, sizeof *r->token, "batch", err));
    r->token = p;
    TRY(mem_alloc(&p, (size_t)r->n_tok, sizeof *r->pos, "batch", err));
    r->pos = p;
    TRY(mem_alloc(&p, (size_t)r->n_tok, sizeof(struct kv_seq *), "batch", err));
    r->seq = p;
    TRY(mem_alloc(&p, (size_t)r->n_tok, sizeof *r->want, "batch", err));
    r->want = p;
out:
    if (st != SLM_OK) rig_fini(r);
    return st;
}

static slm_status forward(struct rig *r, int32_t n_tok, slm_err *err) {
    struct batch b = {.n_tok = n_tok, .token = r->token, .pos = r->pos, .seq = r->seq, .want_logits = r->want};
    return model_forward(r->s->forward, r->s->kv, &b, r->s->cancel, r->s->logits, err);
}

/* The prompts of all sequences, one after the other, in chunks. */
static slm_status prefill(struct rig *r, int32_t n_prompt, slm_err *err) {
    for (int32_t i = 0; i < r->n_batch; i++) {
        slm_status st = kv_reserve(r->s->kv, &r->seqs[i], n_prompt, err);
        for (int32_t at = 0; at < n_prompt && st == SLM_OK;) {
            int32_t n = n_prompt - at < r->n_tok ? n_prompt - at : r->n_tok;
            for (int32_t k = 0; k < n; k++) {
                r->token[k] = some_token(r, i + at + k);
                r->pos[k] = at + k;
                r->seq[k] = &r->seqs[i];
                r->want[k] = at + k == n_prompt - 1;
            }
            st = forward(r, n, err);
            at += n;
        }
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

/* n_predict steps, each of one token of every sequence. */
static slm_status decode(struct rig *r, int32_t n_prompt, int32_t n_predict, slm_err *err) {
    for (int32_t at = n_prompt; at < n_prompt + n_predict; at++) {
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

/* The matrices that every step reads and multiplies with: all but the embedding table, of which only a row is taken (as the
 * output head it is bound to a slot of its own). */
struct work {
    double bytes, n_f32, n_int8; /* weights multiplied as f32, as 8-bit codes */
};

static void add_work(struct work *w, const struct weight *x) {
    double n = (double)x->d_out * (double)x->d_in;
    if (!x->data) return;
    w->bytes += (double)x->d_out * (double)x->row_bytes;
    *(x->panels ? &w->n_int8 : &w->n_f32) += n;
}

static struct work work_of(const struct slm_model *m) {
    struct work w = {0};
    add_work(&w, &model_slot(m, W_OUTPUT, 0)->w);
    for (uint32_t i = 0; i < m->hp.n_layer; i++)
        for (int slot = W_LAYER_FIRST; slot < W_COUNT; slot++) add_work(&w, &model_slot(m, (enum weight_slot)slot, i)->w);
    return w;
}

/* The weights once for all sequences, and of each its keys and values, half-way through. */
static double bytes_per_token(const struct rig *r, const struct bench_values *v) {
    const struct slm_model *m = r->s->model;
    double kv_row = (double)kv_page_bytes(&m->hp, r->s->plan.kv_type) / KV_PAGE_TOK;
    return work_of(m).bytes / r->n_batch + kv_row * (v->n_prompt + 0.5 * v->n_predict);
}

static void derive_shares(struct result *x, const struct slm_model *m, const struct measured *limit) {
    x->read_share = x->bytes_per_token * x->decode_tps.mean / limit->read_bytes_per_s;
    struct work w = work_of(m);
    x->multiply_share = 2 * (w.n_f32 / limit->f32_flop_per_s + w.n_int8 / limit->int8_op_per_s) * x->prefill_tps.mean;
}

static slm_status measure_batch(struct slm_model *m, const struct bench_values *v, int32_t n_batch, struct result *x, slm_err *err) {
    slm_status st = SLM_OK;
    struct rig r;
    double prefill_tps[REPEAT_MAX], decode_tps[REPEAT_MAX];
    TRY(rig_init(&r, m, v, n_batch, err));
    for (int32_t i = -1; i < v->repeat; i++) { /* -1: a first pass that brings the file into memory */
        int32_t n_prompt = i < 0 ? 1 : v->n_prompt, n_predict = i < 0 ? 1 : v->n_predict;
        double t0 = time_now_s();
        TRY(prefill(&r, n_prompt, err));
        double t1 = time_now_s();
        TRY(decode(&r, n_prompt, n_predict, err));
        double t2 = time_now_s();
        if (i >= 0) {
            prefill_tps[i] = (double)n_batch * v->n_prompt / (t1 - t0);
            decode_tps[i] = (double)n_batch * v->n_predict / (t2 - t1);
        }
        for (int32_t k = 0; k < n_batch; k++) kv_truncate(r.s->kv, &r.seqs[k], 0);
    }
    *x = (struct result){.n_batch = n_batch, .prefill_tps = sample_of(prefill_tps, v->repeat), .decode_tps = sample_of(decode_tps, v->repeat),
                         .bytes_per_token = bytes_per_token(&r, v)};
out:
    rig_fini(&r);
    return st;
}

static uint64_t peak_memory_bytes(void) {
    struct rusage use;
    return getrusage(RUSAGE_SELF, &use) == 0 ? (uint64_t)use.ru_maxrss * 1024 : 0;
}

/* What is known of the run beside the rows. */
struct report {
    const struct bench_values *v;
    const struct slm_model *m;
    struct measured limit;
    double load_ms;
    uint64_t peak_memory_bytes; /* before the machine's limits were measured, which takes memory too */
    int n_threads;
    struct result rows[OPTION_INTS_MAX];
    size_t n_rows;
};

static json_t *row_json(const struct result *x) {
    return json_pack("{s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "batch", x->n_batch, "prefill_tps", x->prefill_tps.mean, "prefill_tps_sd",
                     x->prefill_tps.sd, "decode_tps", x->decode_tps.mean, "decode_tps_sd", x->decode_tps.sd, "bytes_per_token", x->bytes_per_token,
                     "read_share", x->read_share, "multiply_share", x->multiply_share);
}

static slm_status print_json(const struct report *r, slm_err *err) {
    json_t *rows = json_array();
    for (size_t i = 0; rows && i < r->n_rows; i++) json_array_append_new(rows, row_json(&r->rows[i]));
    return out_json(json_pack("{s:o, s:s, s:I, s:I, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:I, s:f, s:f, s:f, s:o}", "model", json_text(view_of(r->v->model)),
                              "architecture", r->m->arch->name, "n_weights", (json_int_t)r->m->n_param, "weight_bytes", (json_int_t)r->m->weight_bytes,
                              "threads", r->n_threads, "n_prompt", r->v->n_prompt, "n_predict", r->v->n_predict, "repeat", r->v->repeat, "load_ms", r->load_ms,
                              "prefill_tps", r->rows[0].prefill_tps.mean, "decode_tps", r->rows[0].decode_tps.mean, "bytes_per_token",
                              r->rows[0].bytes_per_token, "peak_memory_bytes", (json_int_t)r->peak_memory_bytes, "machine_read_bytes_per_s",
                              r->limit.read_bytes_per_s, "machine_f32_flop_per_s", r->limit.f32_flop_per_s, "machine_int8_op_per_s", r->limit.int8_op_per_s,
                              "results", rows),
                    err);
}

static slm_status print_text(const struct report *r, slm_err *err) {
    struct buf out;
    buf_init(&out, 1 << 20);
    buf_printf(&out, "model    \"%s\", %s, %.1f M weights, ", show_path(r->v->model).s, r->m->arch->name, (double)r->m->n_param * 1e-6);
    buf_put_bytes(&out, r->m->weight_bytes);
    buf_printf(&out, "\nmachine  %d threads: reads %.1f GB/s, multiplies %.1f GFLOP/s in f32, %.1f GOP/s in int8\nload     %.1f ms; peak memory ",
               r->n_threads, r->limit.read_bytes_per_s * 1e-9, r->limit.f32_flop_per_s * 1e-9, r->limit.int8_op_per_s * 1e-9, r->load_ms);
    buf_put_bytes(&out, r->peak_memory_bytes);
    buf_printf(&out, "\n\nprompts of %d tokens, then %d steps, %d times:\n", r->v->n_prompt, r->v->n_predict, r->v->repeat);
    buf_puts(&out, "batch      prefill t/s   of multiply       decode t/s   of reading   bytes/token\n");
    for (size_t i = 0; i < r->n_rows; i++) {
        const struct result *x = &r->rows[i];
        struct buf bytes;
        buf_init(&bytes, 64);
        buf_put_bytes(&bytes, (uint64_t)x->bytes_per_token);
        buf_printf(&out, "%5d %9.1f +-%5.1f %11.1f%% %9.1f +-%5.1f %10.1f%% %13s\n", x->n_batch, x->prefill_tps.mean, x->prefill_tps.sd,
                   100 * x->multiply_share, x->decode_tps.mean, x->decode_tps.sd, 100 * x->read_share, bytes.data);
        buf_fini(&bytes);
    }
    out_buf(&out);
    buf_fini(&out);
    return out_status(err);
}

static slm_status run_bench(const void *values, slm_err *err) {
    const struct bench_values *v = values;
    slm_status st = SLM_OK;
    struct slm_model *model = NULL;
    struct compute compute = {0};
    struct slm_session *first = NULL;
    struct report report = {.v = v};
    double t0 = time_now_s();
    TRY(model_open(v->model, 0, &model, err));
    struct session_params p = {.n_ctx = KV_PAGE_TOK, .n_threads = v->threads, .kv_type = kv_type_of_choice(v->kv)};
    TRY(session_create(model, &p, &first, err));
    report.load_ms = (time_now_s() - t0) * 1e3;
    session_destroy(first);
    report.m = model;
    interrupt_catch();
    for (size_t i = 0; i < v->batches.n; i++) {
        TRY(measure_batch(model, v, v->batches.v[i], &report.rows[report.n_rows], err));
        report.n_rows++;
    }
    report.peak_memory_bytes = peak_memory_bytes();
    TRY(compute_init(&compute, v->threads, (int64_t)plan_d_in_max(&model->hp), 1, err));
    report.n_threads = pool_n_threads(compute.pool);
    TRY(measure_machine(&compute, &report.limit, err));
    for (size_t i = 0; i < report.n_rows; i++) derive_shares(&report.rows[i], model, &report.limit);
    st = v->json ? print_json(&report, err) : print_text(&report, err);
out:
    if (st == SLM_E_CANCELLED) err_clear(err);
    compute_fini(&compute);
    model_close(model);
    return st;
}

static const struct option options[] = {
    OPTION_MODEL(struct bench_values),
    {.kind = OPT_INT, .letter = 'p', .name = "prompt", .value = "N", .fallback = "512", .min = 1, .max = 1 << 20,
     .offset = offsetof(struct bench_values, n_prompt), .since = "0.1", .help = "tokens of each prompt"},
    {.kind = OPT_INT, .letter = 'n', .name = "predict", .value = "N", .fallback = "128", .min = 1, .max = 1 << 20,
     .offset = offsetof(struct bench_values, n_predict), .since = "0.1", .help = "decoding steps after it"},
    {.kind = OPT_INTS, .letter = 'b', .name = "batch", .value = "N,N", .fallback = "1", .min = 1, .max = BATCH_MAX,
     .offset = offsetof(struct bench_values, batches), .since = "0.1", .help = "sequences decoded together; one measurement for each number"},
    {.kind = OPT_INT, .letter = 'r', .name = "repeat", .value = "N", .fallback = "3", .min = 1, .max = REPEAT_MAX,
     .offset = offsetof(struct bench_values, repeat), .since = "0.1", .help = "times that each measurement is made"},
    OPTION_JSON(struct bench_values),
    OPTION_SECTION("engine"),
    OPTION_THREADS(struct bench_values),
    OPTION_CHUNK(struct bench_values),
    OPTION_KV(struct bench_values),
};
static const struct example examples[] = {
    {"slm bench -m model.gguf", "speed of a 512-token prompt and of 128 tokens after it"},
    {"slm bench -m model.gguf -b 1,4,8 --json", "one, four and eight sequences at once, as JSON"},
};
const struct command command_bench = {
    .group = "measure",
    .summary = "measure a model's speed beside the machine's limits",
    .description =
        "Measures tokens per second of prefill (reading a prompt) and decode (one token after the other), load time and peak memory. The shares "
        "tell how near they come to what the machine was measured to do: prefill is bound by multiplying, decode by reading the weights once "
        "for each step. A model that fits the caches can pass 100% of the reading.\n\n"
        "JSON: prefill_tps and decode_tps are those of the first batch size; results has a row for each.",
    .table = {"bench", ROWS(options), NULL, 0},
    .values_bytes = sizeof(struct bench_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .is_common = true,
    .run = run_bench,
};
