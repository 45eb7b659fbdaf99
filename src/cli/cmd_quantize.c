/* cmd_quantize.c -- slm quantize: a model in smaller tensor types. */
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/nearest.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "engine/quantize.h"

#define PLAN_BYTES_MAX ((size_t)64 << 20)

struct quantize_values {
    struct common_values common;
    const char *in, *out, *type, *imatrix;
    struct option_texts tensors;
    int32_t threads;
    bool dry_run, requantize, json;
};

slm_status file_type_parse(const char *name, const struct file_type **type, slm_err *err) {
    const char *known[FILE_TYPE_COUNT];
    *type = file_type_by_name(name);
    if (*type) return SLM_OK;
    for (int i = 0; i < FILE_TYPE_COUNT; i++) known[i] = file_type_get((enum file_type_id)i)->name;
    const char *near = nearest_name(name, known, FILE_TYPE_COUNT);
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "type \"%s\": unknown", show_cstr(name).s);
    if (near && nearest_is_close(name, near)) err_hint(err, "did you mean \"%s\"? slm quantize --help lists all", near);
    else err_hint(err, "slm quantize --help lists the types; the usual one is Q4_K_M");
    return SLM_E_USAGE;
}

struct showing {
    struct progress bar;
    const struct quant_plan *plan;
};

static void show_tensor(void *user, size_t i_tensor, uint64_t bytes_done, uint64_t bytes_all) {
    struct showing *s = user;
    progress_show(&s->bar, (double)bytes_done / (double)bytes_all, show_view(s->plan->choices[i_tensor].tensor->name).s);
}

static double bits_per_weight(const struct quant_plan *plan) { return plan->n_elem ? 8 * (double)plan->bytes_to / (double)plan->n_elem : 0; }

static void put_plan(struct buf *out, const struct quant_plan *plan) {
    for (size_t i = 0; i < plan->n; i++) {
        const struct quant_choice *c = &plan->choices[i];
        buf_printf(out, "%-36s %-7s -> %-7s ", show_view(c->tensor->name).s, dtype_get(c->tensor->dtype)->name, dtype_get(c->to)->name);
        buf_put_bytes(out, c->bytes);
        if (c->is_fallback)
            buf_printf(out, "  (rows of %llu do not fit %s)", (unsigned long long)c->tensor->shape[c->tensor->n_dim - 1], dtype_get(c->wanted)->name);
        buf_puts(out, "\n");
    }
}

static json_t *plan_json(const struct quant_plan *plan) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < plan->n; i++) {
        const struct quant_choice *c = &plan->choices[i];
        json_array_append_new(list, json_pack("{s:o, s:s, s:s, s:I, s:b}", "name", json_text(c->tensor->name), "from", dtype_get(c->tensor->dtype)->name, "to",
                                              dtype_get(c->to)->name, "bytes", (json_int_t)c->bytes, "fallback", c->is_fallback));
    }
    return list;
}

/* Said once for all, as there may be hundreds. */
static void say_fallbacks(const struct quant_plan *plan) {
    size_t n = 0;
    const struct quant_choice *first = NULL;
    for (size_t i = 0; i < plan->n; i++) {
        if (!plan->choices[i].is_fallback) continue;
        if (!first) first = &plan->choices[i];
        n++;
    }
    if (n)
        say_note("%zu tensors have rows that %s does not divide (\"%s\": %llu); they get %s or the like; --dry-run lists them", n, dtype_get(first->wanted)->name,
                 show_view(first->tensor->name).s, (unsigned long long)first->tensor->shape[first->tensor->n_dim - 1], dtype_get(first->to)->name);
}

static slm_status print_result(const struct quantize_values *v, const struct quant_plan *plan, double seconds, slm_err *err) {
    if (v->json) {
        json_t *root = json_pack("{s:o, s:s, s:I, s:I, s:f, s:I, s:o}", "output", v->dry_run ? json_null() : json_text(view_of(v->out)), "type", plan->type->name,
                                 "bytes_from", (json_int_t)plan->bytes_from, "bytes_to", (json_int_t)plan->bytes_to, "bits_per_weight", bits_per_weight(plan),
                                 "n_weights", (json_int_t)plan->n_elem, "tensors", plan_json(plan));
        if (root && !v->dry_run) json_object_set_new(root, "seconds", json_real(seconds));
        return out_json(root, err);
    }
    struct buf out;
    buf_init(&out, PLAN_BYTES_MAX);
    if (v->dry_run) put_plan(&out, plan);
    buf_put_bytes(&out, plan->bytes_from);
    buf_puts(&out, " -> ");
    buf_put_bytes(&out, plan->bytes_to);
    buf_printf(&out, ", %.3f bits per weight", bits_per_weight(plan));
    if (!v->dry_run) buf_printf(&out, ", %.1f s", seconds);
    buf_puts(&out, v->dry_run ? "; nothing was written\n" : "\n");
    slm_status st = buf_status(&out, "plan", err);
    if (st == SLM_OK) out_buf(&out);
    buf_fini(&out);
    return st != SLM_OK ? st : out_status(err);
}

static slm_status run_quantize(const void *values, slm_err *err) {
    const struct quantize_values *v = values;
    slm_status st = SLM_OK;
    struct gguf *g = NULL;
    struct imatrix *im = NULL;
    struct quant_plan plan = {0};
    struct showing showing = {.plan = &plan};
    struct quant_params p = {.overrides = v->tensors.v, .n_overrides = v->tensors.n, .requantize = v->requantize, .n_threads = v->threads, .cancel = &interrupt_flag, .progress = show_tensor, .user = &showing};
    double t0 = time_now_s();
    progress_begin(&showing.bar);
    TRY(file_type_parse(v->type, &p.type, err));
    TRY(model_open_file(v->in, 0, &g, err));
    if (v->imatrix) TRY(imatrix_read(v->imatrix, &im, err));
    p.imatrix = im;
    TRY(quant_plan_make(g, &p, &plan, err));
    say_fallbacks(&plan);
    if (!v->dry_run) {
        interrupt_catch();
        TRY(quant_write(&plan, &p, NULL, 0, v->out, err));
    }
    progress_end(&showing.bar);
    TRY(print_result(v, &plan, time_now_s() - t0, err));
out:
    progress_end(&showing.bar);
    if (st == SLM_E_CANCELLED) err_clear(err);
    quant_plan_fini(&plan);
    imatrix_destroy(im);
    gguf_close(g);
    return st;
}

static const struct option options[] = {
    {.kind = OPT_FILE, .name = "imatrix", .value = "FILE", .offset = offsetof(struct quantize_values, imatrix), .since = "0.1",
     .help = "what slm imatrix measured: inputs that matter are kept best"},
    {.kind = OPT_TEXTS, .name = "tensor", .value = "REGEX=TYPE", .offset = offsetof(struct quantize_values, tensors), .since = "0.1",
     .help = "tensors whose name matches get this tensor type (f16, q8_0, q6_k, ...); the first that matches counts"},
    {.kind = OPT_FLAG, .name = "requantize", .offset = offsetof(struct quantize_values, requantize), .since = "0.1",
     .help = "take tensors that are quantized already; errors add up"},
    {.kind = OPT_FLAG, .name = "dry-run", .offset = offsetof(struct quantize_values, dry_run), .since = "0.1", .help = "show what every tensor would get and the size; write nothing"},
    OPTION_THREADS(struct quantize_values),
    OPTION_JSON(struct quantize_values),
};
static const struct option operands[] = {
    {.kind = OPT_FILE, .name = "IN", .flags = OPTION_REQUIRED, .offset = offsetof(struct quantize_values, in), .since = "0.1", .help = "the model: GGUF, best in F16, BF16 or F32, or a Hugging Face folder"},
    {.kind = OPT_FILE, .name = "OUT", .flags = OPTION_REQUIRED, .offset = offsetof(struct quantize_values, out), .since = "0.1",
     .help = "the file to write; it appears whole or not at all"},
    {.kind = OPT_TEXT, .name = "TYPE", .flags = OPTION_REQUIRED, .offset = offsetof(struct quantize_values, type), .since = "0.1", .help = "the file type, as Q4_K_M or Q8_0; the list is above"},
};
static const struct example examples[] = {
    {"slm quantize model-f16.gguf model-q4.gguf Q4_K_M", "the usual choice"},
    {"slm quantize model-f16.gguf model-q3.gguf IQ3_M --imatrix model.imatrix", "smaller, with measured importance"},
    {"slm quantize in.gguf out.gguf Q4_K_M --tensor 'ffn_down=q6_k' --dry-run", "one kind of tensor larger; only look"},
};
const struct command command_quantize = {
    .group = "shrink",
    .summary = "make a model smaller by fewer bits per weight",
    .description = "Writes the model with its matrices in smaller types; vectors become f32 and metadata is kept. Types, largest first: F32, F16, BF16, Q8_0, "
                   "Q6_K, Q5_K_M, Q5_K_S, Q5_1, Q5_0, Q4_K_M, Q4_K_S, Q4_1, Q4_0, IQ4_NL, IQ4_XS, MXFP4, Q3_K_L, Q3_K_M, Q3_K_S, IQ3_M, IQ3_S, IQ3_XS, IQ3_XXS, Q2_K, "
                   "Q2_K_S, IQ2_M, IQ2_S, IQ2_XS, IQ2_XXS, TQ2_0, TQ1_0, IQ1_M, IQ1_S. In the mixes (_M, _L, ...) tensors whose errors hurt most get more bits.\n\n"
                   "Scales are searched, so errors are smaller than by rounding; at 3 bits and below an imatrix is worth its time. A tensor whose rows a type does not "
                   "divide gets the nearest type that does.",
    .table = {"quantize", ROWS(options), ROWS(operands)},
    .values_bytes = sizeof(struct quantize_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .run = run_quantize,
};
