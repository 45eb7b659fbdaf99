/* cmd_bench.c -- slm bench: tokens per second of prefill and decode, beside what the machine could do.
 *
 * Speeds are means over the repetitions, with their deviation; the limits (bytes read and multiply-adds a second) are
 * measured in the same process, on as many threads, afterwards. */
#include <string.h>
#include <sys/resource.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/json.h"
#include "base/show.h"
#include "cli/bench_run.h"
#include "cli/commands.h"
#include "cli/lora.h"
#include "cli/rows.h"
#include "cli/term.h"

#define BATCH_MAX 256

struct bench_values {
    struct common_values common;
    const char *model, *plot;
    int32_t n_prompt, n_predict, repeat, threads, chunk, kv;
    struct option_ints batches, depths;
    struct option_texts loras;
    bool json;
};

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
    const char *kv_name;
    struct bench_result rows[BENCH_ROWS_MAX];
    size_t n_rows;
};

static json_t *row_json(const struct bench_result *x) {
    return json_pack("{s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "batch", x->n_batch, "depth", x->n_depth, "prefill_tps", json_f64(x->prefill_tps.mean), "prefill_tps_sd",
                     json_f64(x->prefill_tps.sd), "decode_tps", json_f64(x->decode_tps.mean), "decode_tps_sd", json_f64(x->decode_tps.sd), "bytes_per_token", json_f64(x->bytes_per_token),
                     "read_share", json_f64(x->read_share), "multiply_share", json_f64(x->multiply_share));
}

static slm_status print_json(const struct report *r, slm_err *err) {
    json_t *rows = json_array();
    for (size_t i = 0; rows && i < r->n_rows; i++) json_array_append_new(rows, row_json(&r->rows[i]));
    return out_json(json_pack("{s:o, s:s, s:I, s:I, s:s, s:i, s:i, s:i, s:i, s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:o, s:o}", "model", json_text(view_of(r->v->model)),
                              "architecture", r->m->arch->name, "n_weights", (json_int_t)r->m->n_param, "weight_bytes", (json_int_t)r->m->weight_bytes,
                              "kv", r->kv_name, "threads", r->n_threads, "n_prompt", r->v->n_prompt, "n_predict", r->v->n_predict, "repeat", r->v->repeat, "load_ms", json_f64(r->load_ms),
                              "prefill_tps", json_f64(r->rows[0].prefill_tps.mean), "decode_tps", json_f64(r->rows[0].decode_tps.mean), "bytes_per_token",
                              json_f64(r->rows[0].bytes_per_token), "peak_memory_bytes", (json_int_t)r->peak_memory_bytes, "machine_read_bytes_per_s",
                              json_f64(r->limit.read_bytes_per_s), "machine_f32_flop_per_s", json_f64(r->limit.f32_flop_per_s), "machine_int8_op_per_s", json_f64(r->limit.int8_op_per_s),
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
    buf_printf(&out, "\n\nprompts of %d tokens, then %d steps, %d times; cache in %s:\n", r->v->n_prompt, r->v->n_predict, r->v->repeat, r->kv_name);
    buf_puts(&out, "batch  depth      prefill t/s   of multiply       decode t/s   of reading   bytes/token\n");
    for (size_t i = 0; i < r->n_rows; i++) {
        const struct bench_result *x = &r->rows[i];
        struct buf bytes;
        buf_init(&bytes, 64);
        buf_put_bytes(&bytes, (uint64_t)x->bytes_per_token);
        buf_printf(&out, "%5d %6d %9.1f +-%5.1f %11.1f%% %9.1f +-%5.1f %10.1f%% %13s\n", x->n_batch, x->n_depth, x->prefill_tps.mean, x->prefill_tps.sd,
                   100 * x->multiply_share, x->decode_tps.mean, x->decode_tps.sd, 100 * x->read_share, bytes.data);
        buf_fini(&bytes);
    }
    out_buf(&out);
    buf_fini(&out);
    return out_status(err);
}

static slm_status write_plot(const struct report *r, slm_err *err) {
    struct buf title, svg;
    buf_init(&title, 4096);
    buf_init(&svg, 1 << 20);
    buf_printf(&title, "%s, %d threads, prompts of %d, %d steps, cache in %s", show_path(r->v->model).s, r->n_threads, r->v->n_prompt, r->v->n_predict, r->kv_name);
    slm_status st = buf_status(&title, "title", err);
    if (st == SLM_OK) {
        bench_plot(&svg, title.data, r->rows, r->n_rows);
        st = file_write(&svg, r->v->plot, err);
    }
    buf_fini(&title);
    buf_fini(&svg);
    return st;
}

/* Every depth with every batch size. */
static slm_status measure_rows(struct report *r, struct slm_model *m, slm_err *err) {
    const struct bench_values *v = r->v;
    for (size_t d = 0; d < v->depths.n; d++)
        for (size_t i = 0; i < v->batches.n; i++) {
            struct bench_params p = {.n_batch = v->batches.v[i], .n_depth = v->depths.v[d], .n_prompt = v->n_prompt, .n_predict = v->n_predict,
                                     .repeat = v->repeat, .chunk = v->chunk, .threads = v->threads, .kv_type = kv_type_of_choice(v->kv)};
            slm_status st = bench_measure(m, &p, &interrupt_flag, &r->rows[r->n_rows], err);
            if (st != SLM_OK) return st;
            r->n_rows++;
        }
    return SLM_OK;
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
    TRY(loras_add(model, &v->loras, err));
    struct session_params p = {.n_ctx = KV_PAGE_TOK, .n_threads = v->threads, .kv_type = kv_type_of_choice(v->kv)};
    TRY(session_create(model, &p, &first, err));
    report.load_ms = (time_now_s() - t0) * 1e3;
    report.kv_name = kv_type_get(first->plan.kv_type)->name;
    session_destroy(first);
    report.m = model;
    interrupt_catch();
    TRY(measure_rows(&report, model, err));
    report.peak_memory_bytes = peak_memory_bytes();
    TRY(compute_init(&compute, v->threads, (int64_t)plan_d_in_max(&model->hp), 1, err));
    report.n_threads = pool_n_threads(compute.pool);
    TRY(measure_machine(&compute, &report.limit, err));
    for (size_t i = 0; i < report.n_rows; i++) bench_shares(&report.rows[i], &report.limit);
    TRY(v->json ? print_json(&report, err) : print_text(&report, err));
    if (v->plot) st = write_plot(&report, err);
out:
    if (st == SLM_E_CANCELLED) err_clear(err);
    compute_fini(&compute);
    model_close(model);
    return st;
}

static const struct option options[] = {
    OPTION_MODEL(struct bench_values),
    LORA_ROWS(struct bench_values),
    {.kind = OPT_INT, .letter = 'p', .name = "prompt", .value = "N", .fallback = "512", .min = 1, .max = 1 << 20,
     .offset = offsetof(struct bench_values, n_prompt), .since = "0.1", .help = "tokens of each prompt"},
    {.kind = OPT_INT, .letter = 'n', .name = "predict", .value = "N", .fallback = "128", .min = 1, .max = 1 << 20,
     .offset = offsetof(struct bench_values, n_predict), .since = "0.1", .help = "decoding steps after it"},
    {.kind = OPT_INTS, .letter = 'b', .name = "batch", .value = "N,N", .fallback = "1", .min = 1, .max = BATCH_MAX,
     .offset = offsetof(struct bench_values, batches), .since = "0.1", .help = "sequences decoded together; one measurement for each number"},
    {.kind = OPT_INTS, .letter = 'd', .name = "depth", .value = "N,N", .fallback = "0", .min = 0, .max = 1 << 20,
     .offset = offsetof(struct bench_values, depths), .since = "0.1",
     .help = "tokens that each sequence holds before its prompt; one measurement for each number and each batch"},
    {.kind = OPT_INT, .letter = 'r', .name = "repeat", .value = "N", .fallback = "3", .min = 1, .max = BENCH_REPEAT_MAX,
     .offset = offsetof(struct bench_values, repeat), .since = "0.1", .help = "times that each measurement is made"},
    {.kind = OPT_FILE, .name = "plot", .value = "FILE", .flags = OPTION_WRITTEN, .offset = offsetof(struct bench_values, plot), .since = "0.1",
     .help = "also write the results as a picture (SVG), with the machine's limits in it"},
    OPTION_JSON(struct bench_values),
    OPTION_SECTION("engine"),
    OPTION_THREADS(struct bench_values),
    OPTION_CHUNK(struct bench_values),
    OPTION_KV(struct bench_values),
};
static const struct example examples[] = {
    {"slm bench -m model.gguf", "speed of a 512-token prompt and of 128 tokens after it"},
    {"slm bench -m model.gguf -b 1,4,8 --json", "one, four and eight sequences at once, as JSON"},
    {"slm bench -m model.gguf -d 0,2048,8192 --kv q8 --plot speed.svg", "how speed falls with the length of what was said before, as a picture too"},
};
const struct command command_bench = {
    .group = "measure",
    .summary = "measure a model's speed beside the machine's limits",
    .description =
        "Measures tokens per second of prefill (reading a prompt) and decode (one token after the other), load time and peak memory. The shares "
        "tell how near they come to what the machine was measured to do: prefill is bound by multiplying, decode by reading the weights once "
        "for each step. A model that fits the caches can pass 100% of the reading. "
        "Products of packed weights, and of a cache in q8 or q4, are held against the machine's rate of 8-bit multiplying, the others against "
        "that of f32.\n\n"
        "JSON: prefill_tps and decode_tps are those of the first row; results has a row for each.",
    .table = {"bench", ROWS(options), NULL, 0},
    .values_bytes = sizeof(struct bench_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .is_common = true,
    .run = run_bench,
};
