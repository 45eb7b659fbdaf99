/* cmd_quantize.c -- slm quantize: a model in smaller tensor types. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/json.h"
#include "base/nearest.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/progress.h"
#include "cli/quant_report.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "engine/quantize.h"

#define PLAN_BYTES_MAX ((size_t)64 << 20)
#define PROBE_CTX 512
#define PROBE_CHUNKS_MAX 32
#define PROBE_CHUNKS_MIN 4
#define PROBE_FIT_CHUNKS 8
#define PROBE_BYTES ((uint64_t)512 << 20) /* of predictions kept */
#define CALIBRATION_CTX 512
#define CALIBRATION_CHUNKS 128
#define OWN_CHUNKS 8    /* that the model writes for --calibrate-self, a token at a time */
#define DRAWN_CHUNKS 12 /* of pieces drawn from its vocabulary, beside them */
#define DRAWN_KNEE 60
#define OWN_TEXT "what the model itself writes"

struct quantize_values {
    struct common_values common;
    const char *in, *out, *type, *imatrix, *calibrate, *budget, *file;
    struct option_texts tensors;
    int32_t threads;
    bool dry_run, requantize, report, no_carry, calibrate_self, json;
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

/* Measured on trained models: files of 2 and 3 bits whose errors are carried diverge half as much. */
static void say_uncalibrated(const struct quant_params *p) {
    const struct dtype_desc *base = dtype_get(p->type->base);
    if (!p->imatrix && 2 * 8 * base->block_bytes < 7 * base->block_elems)
        say_note("%s without knowing the inputs loses about twice what it could: --calibrate TEXT, or --calibrate-self where there is none", p->type->name);
}

static slm_status print_result(const struct quantize_values *v, const struct quant_plan *plan, const struct quant_score *score, double seconds,
                               slm_err *err) {
    if (v->json) {
        json_t *root = json_pack("{s:o, s:s, s:I, s:I, s:o, s:I, s:o}", "output", v->dry_run ? json_null() : json_text(view_of(v->out)), "type", plan->type->name,
                                 "bytes_from", (json_int_t)plan->bytes_from, "bytes_to", (json_int_t)plan->bytes_to, "bits_per_weight", json_f64(bits_per_weight(plan)),
                                 "n_weights", (json_int_t)plan->n_elem, "tensors", plan_json(plan));
        if (root && !v->dry_run) json_object_set_new(root, "seconds", json_f64(seconds));
        if (root && score)
            json_object_set_new(root, "score", json_pack("{s:o, s:o, s:o, s:o, s:o, s:I}", "kl", json_f64(score->kl), "kl_upper", json_f64(score->kl_upper), "top1_agreement", json_f64(score->top1_agreement), "perplexity",
                                                         json_f64(score->perplexity), "base_perplexity", json_f64(score->base_perplexity), "n_scored", (json_int_t)score->n_scored));
        return out_json(root, err);
    }
    struct buf out;
    buf_init(&out, PLAN_BYTES_MAX);
    if (v->dry_run || v->budget) put_plan(&out, plan);
    if (score)
        buf_printf(&out, "KL divergence %.6f (95 %%: at most %.6f), same best token %.2f %%, perplexity %.4f (original %.4f), on %llu predictions\n", score->kl, score->kl_upper, 100 * score->top1_agreement,
                   score->perplexity, score->base_perplexity, (unsigned long long)score->n_scored);
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

/* Runs of n_ctx tokens spread over a text, BOS first. */
static slm_status tokens_of_text(struct slm_model *m, const char *path, int32_t first, uint32_t n_ctx, uint32_t *n_chunk, struct tok_ids *ids, slm_err *err) {
    slm_status st = SLM_OK;
    struct buf text;
    struct tok_ids all = {0};
    buf_init(&text, INPUT_BYTES_MAX);
    TRY(input_text(NULL, path, &text, err));
    TRY(tok_encode(m->tok, (struct view){text.data, text.len}, 0, &all, err));
    if (all.n < n_ctx) FAIL(SLM_E_USAGE, SLM_NOWHERE, "text of %zu tokens: shorter than the %u that a probe takes", all.n, n_ctx);
    if (all.n / n_ctx < *n_chunk) *n_chunk = (uint32_t)(all.n / n_ctx);
    for (uint32_t c = 0; c < *n_chunk; c++) {
        size_t at = (size_t)c * (all.n - n_ctx) / (*n_chunk > 1 ? *n_chunk - 1 : 1);
        TRY(tok_ids_push(ids, first, err));
        for (uint32_t i = 1; i < n_ctx; i++) TRY(tok_ids_push(ids, all.v[at + i], err));
    }
out:
    tok_ids_fini(&all);
    buf_fini(&text);
    return st;
}

/* What the model itself writes: where there is no text, the nearest thing to one that it knows. */
static slm_status tokens_of_model(struct slm_model *m, int n_threads, int32_t first, uint32_t n_ctx, uint32_t n_chunk, struct tok_ids *ids, slm_err *err) {
    slm_status st = SLM_OK;
    struct slm_session *session = NULL;
    struct sampler_params sampling;
    struct session_params sp = {.n_ctx = (int32_t)n_ctx, .n_threads = n_threads, .kv_type = KV_TYPE_AUTO};
    sampler_params_init(&sampling);
    sampling.temperature = 1;
    TRY(session_create(m, &sp, &session, err));
    session->cancel = &interrupt_flag;
    for (uint32_t c = 0; c < n_chunk; c++) {
        struct generate_result r;
        struct generate_params g = {.sampling = &sampling, .n_max = (int32_t)n_ctx - 1, .ignore_eos = true};
        sampling.seed = c + 1;
        TRY(session_generate(session, &first, 1, &g, &r, err));
        if (r.finish == FINISH_CANCELLED) st = err_set(err, SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
        if (st == SLM_OK) st = tok_ids_push(ids, first, err);
        for (uint32_t i = 0; i + 1 < n_ctx && st == SLM_OK; i++) st = tok_ids_push(ids, i < r.ids.n ? r.ids.v[i] : first, err);
        tok_ids_fini(&r.ids);
        if (st != SLM_OK) goto out;
    }
out:
    session_destroy(session);
    return st;
}

static bool is_text(struct view v) {
    uint32_t cp;
    int n = 1;
    for (size_t i = 0; i < v.len && n > 0; i += (size_t)n) n = utf8_decode(v.ptr + i, v.len - i, &cp);
    return n > 0;
}

/* Pieces as words come in a text: with chance 1 / (id + knee), as the ids of a vocabulary rise with rarity (Zipf's law). */
static void put_drawn_pieces(const struct tok *t, uint32_t n, struct buf *text) {
    struct rng rng;
    double range = ((double)tok_n_vocab(t) + DRAWN_KNEE) / DRAWN_KNEE;
    rng_init(&rng, 1);
    for (uint32_t i = 8 * n; i > 0 && n > 0; i--) { /* some vocabularies are mostly bytes and controls */
        int32_t id = (int32_t)(DRAWN_KNEE * (pow(range, rng_f64(&rng)) - 1));
        if (id >= (int32_t)tok_n_vocab(t) || tok_type_of(t, id) != TOK_NORMAL) continue;
        struct view piece = tok_piece(t, id, false);
        if (!is_text(piece)) continue;
        buf_append(text, piece.ptr, piece.len);
        n--;
    }
}

/* What a text would show of how inputs go together, without one: what the model writes is like what it learnt, and drawn pieces are like what it has not
 * met. Either alone gained less (tales as IQ2_XS, beside ggml's: 0.73, 0.71; both 0.63; a text 0.57). */
static slm_status text_of_model(struct slm_model *m, int n_threads, uint32_t n_ctx, uint32_t n_chunk, struct buf *text, slm_err *err) {
    struct tok_ids ids = {0};
    struct detok d;
    int32_t bos = tok_config_of(m->tok)->bos;
    slm_status st = tokens_of_model(m, n_threads, bos != TOK_NONE ? bos : 0, n_ctx, n_chunk, &ids, err);
    for (uint32_t c = 0; c < n_chunk && st == SLM_OK; c++) {
        detok_init(&d, m->tok, true, false);
        for (uint32_t i = 1; i < n_ctx; i++) detok_push(&d, ids.v[(size_t)c * n_ctx + i], text);
        detok_finish(&d, text);
        buf_puts(text, "\n");
    }
    tok_ids_fini(&ids);
    put_drawn_pieces(m->tok, DRAWN_CHUNKS * n_ctx, text);
    return st == SLM_OK ? buf_status(text, "text of the model", err) : st;
}

/* general.file_type of a mix of our own: the type that holds most bytes. */
static const struct file_type *main_type(const struct quant_plan *plan) {
    uint64_t bytes[DTYPE_COUNT] = {0};
    int best = DTYPE_F16;
    for (size_t i = 0; i < plan->n; i++) bytes[plan->choices[i].to] += plan->choices[i].bytes;
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (bytes[i] > bytes[best] && file_type_of_dtype((enum dtype)i)) best = i;
    return file_type_of_dtype((enum dtype)best);
}

static uint32_t probe_chunks(const struct slm_model *m) {
    uint64_t n = PROBE_BYTES / ((uint64_t)PROBE_CTX / 2 * m->hp.n_vocab * sizeof(float));
    return n > PROBE_CHUNKS_MAX ? PROBE_CHUNKS_MAX : n < PROBE_CHUNKS_MIN ? PROBE_CHUNKS_MIN : (uint32_t)n;
}

/* The budget's choice of types, and the figures of a report. */
static slm_status probe_and_fit(const struct quantize_values *v, struct slm_model *m, struct quant_plan *plan, struct quant_params *p,
                                struct quant_score *score, slm_err *err) {
    slm_status st = SLM_OK;
    struct quant_budget budget;
    struct quant_probe *probe = NULL;
    struct tok_ids ids = {0};
    uint32_t n_ctx = m->hp.n_ctx_train < PROBE_CTX ? m->hp.n_ctx_train : PROBE_CTX, n_chunk = probe_chunks(m);
    int32_t bos = tok_config_of(m->tok)->bos, first = bos != TOK_NONE ? bos : 0;
    if (v->budget) TRY(quant_budget_parse(v->budget, &budget, err));
    if (v->file) TRY(tokens_of_text(m, v->file, first, n_ctx, &n_chunk, &ids, err));
    else {
        say_note("no --file: measured on " OWN_TEXT);
        TRY(tokens_of_model(m, v->threads, first, n_ctx, n_chunk, &ids, err));
    }
    TRY(quant_probe_create(m, ids.v, n_chunk, PROBE_FIT_CHUNKS, n_ctx, v->threads, &interrupt_flag, &probe, err));
    if (v->budget) {
        TRY(quant_budget_fit(probe, plan, p, &budget, err));
        plan->type = main_type(plan);
    }
    TRY(quant_probe_plan(probe, plan, p, score, err));
out:
    quant_probe_destroy(probe);
    tok_ids_fini(&ids);
    return st;
}

/* Importance from a file, or measured here on a text; with how inputs go together, so that errors are carried. */
static slm_status get_imatrix(const struct quantize_values *v, struct slm_model *m, struct imatrix **im, slm_err *err) {
    slm_status st = SLM_OK;
    struct buf text;
    struct imatrix_params p = {.dataset = v->calibrate_self ? OWN_TEXT : v->calibrate, .n_chunk_max = CALIBRATION_CHUNKS, .hessian = !v->no_carry, .cancel = &interrupt_flag};
    buf_init(&text, INPUT_BYTES_MAX);
    if (v->imatrix) {
        TRY(imatrix_read(v->imatrix, im, err));
    } else {
        uint32_t n_ctx = m->hp.n_ctx_train < CALIBRATION_CTX ? m->hp.n_ctx_train : CALIBRATION_CTX;
        p.session = (struct session_params){.n_ctx = (int32_t)n_ctx, .n_threads = v->threads, .kv_type = KV_TYPE_AUTO};
        if (v->calibrate_self) TRY(text_of_model(m, v->threads, n_ctx, OWN_CHUNKS, &text, err));
        else TRY(input_text(NULL, v->calibrate, &text, err));
        TRY(imatrix_measure(m, &p, (struct view){text.data, text.len}, im, err));
    }
    (*im)->no_carry = v->no_carry;
out:
    buf_fini(&text);
    return st;
}

static slm_status check_usage(const struct quantize_values *v, struct quant_params *p, slm_err *err) {
    struct quant_budget budget;
    if (v->budget) {
        p->type = file_type_get(FILE_TYPE_F16); /* until the budget has chosen */
        return quant_budget_parse(v->budget, &budget, err);
    }
    if (v->type) return file_type_parse(v->type, &p->type, err);
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "type: missing");
    err_hint(err, "give a TYPE such as Q4_K_M, or --budget");
    return SLM_E_USAGE;
}

static slm_status run_quantize(const void *values, slm_err *err) {
    const struct quantize_values *v = values;
    slm_status st = SLM_OK;
    struct gguf *g = NULL, *source;
    struct slm_model *model = NULL;
    struct imatrix *im = NULL;
    struct quant_plan plan = {0};
    struct showing showing = {.plan = &plan};
    struct quant_report report = {.model = v->in, .text = v->file ? v->file : OWN_TEXT, .budget = v->budget};
    struct quant_note notes[QUANT_NOTES_MAX];
    size_t n_notes = 0;
    struct quant_params p = {.overrides = v->tensors.v, .n_overrides = v->tensors.n, .requantize = v->requantize, .n_threads = v->threads, .cancel = &interrupt_flag, .progress = show_tensor, .user = &showing};
    double t0 = time_now_s();
    progress_begin(&showing.bar);
    TRY(check_usage(v, &p, err));
    TRY(model_open_file(v->in, 0, &g, err));
    if (!v->dry_run) TRY(file_check_output(v->out, err)); /* before the work, not after it */
    interrupt_catch();
    if (v->budget || v->report || v->calibrate || v->calibrate_self) {
        source = g;
        g = NULL; /* the model's now, also on failure */
        TRY(model_bind(source, 0, &model, err));
    } else {
        source = g;
    }
    if (v->imatrix || v->calibrate || v->calibrate_self) TRY(get_imatrix(v, model, &im, err));
    p.imatrix = im;
    TRY(quant_plan_make(source, &p, &plan, err));
    if (!v->budget) {
        say_fallbacks(&plan);
        say_uncalibrated(&p);
    }
    if (v->budget || v->report) {
        TRY(probe_and_fit(v, model, &plan, &p, &report.score, err));
        if (v->report) n_notes = quant_report_notes(&report, &plan, notes);
    }
    if (!v->dry_run) TRY(quant_write(&plan, &p, notes, n_notes, v->out, err));
    if (v->report && !v->dry_run) TRY(quant_report_write(&report, &plan, v->out, err));
    progress_end(&showing.bar);
    TRY(print_result(v, &plan, v->budget || v->report ? &report.score : NULL, time_now_s() - t0, err));
out:
    progress_end(&showing.bar);
    if (st == SLM_E_CANCELLED) err_clear(err);
    quant_plan_fini(&plan);
    imatrix_destroy(im);
    model_close(model);
    gguf_close(g);
    return st;
}

static const struct option options[] = {
    {.kind = OPT_FILE, .name = "imatrix", .value = "FILE", .offset = offsetof(struct quantize_values, imatrix), .since = "0.1",
     .help = "what slm imatrix measured: inputs that matter are kept best"},
    {.kind = OPT_FILE, .name = "calibrate", .value = "TEXT", .offset = offsetof(struct quantize_values, calibrate), .since = "0.1",
     .bars = "imatrix", .help = "measure the inputs on this text first, and how they go together: rounding errors are then carried from column to column"},
    {.kind = OPT_FLAG, .name = "calibrate-self", .offset = offsetof(struct quantize_values, calibrate_self), .since = "0.1",
     .bars = "imatrix|calibrate", .help = "the same where there is no text: on what the model writes and on pieces of its vocabulary"},
    {.kind = OPT_FLAG, .name = "no-carry", .offset = offsetof(struct quantize_values, no_carry), .since = "0.1",
     .needs = "calibrate|calibrate-self|imatrix", .help = "round every block for itself even where it is known how inputs go together"},
    {.kind = OPT_TEXT, .name = "budget", .value = "BUDGET", .offset = offsetof(struct quantize_values, budget), .since = "0.1",
     .bars = "TYPE", .help = "instead of TYPE: 4.5bpw, 1.2GB or kl<=0.02; every tensor is tried alone, and each gets the type that serves the whole best"},
    {.kind = OPT_FILE, .letter = 'f', .name = "file", .value = "TEXT", .offset = offsetof(struct quantize_values, file), .since = "0.1",
     .needs = "budget|report", .help = "the text that --budget and --report measure on; without it the model writes one"},
    {.kind = OPT_FLAG, .name = "report", .offset = offsetof(struct quantize_values, report), .since = "0.1",
     .help = "measure the result, put the figures into the file's metadata and write OUT.md and OUT.svg"},
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
    {.kind = OPT_FILE, .name = "OUT", .flags = OPTION_REQUIRED | OPTION_WRITTEN, .offset = offsetof(struct quantize_values, out), .since = "0.1",
     .help = "the file to write; it appears whole or not at all"},
    {.kind = OPT_TEXT, .name = "TYPE", .offset = offsetof(struct quantize_values, type), .since = "0.1", .help = "the file type, as Q4_K_M or Q8_0; the list is above; not with --budget"},
};
static const struct example examples[] = {
    {"slm quantize model-f16.gguf model-q4.gguf Q4_K_M", "the usual choice"},
    {"slm quantize model-f16.gguf model-q2.gguf Q2_K --calibrate text.txt", "few bits, rounded by how inputs go together on a text"},
    {"slm quantize model-f16.gguf model-q3.gguf IQ3_M --imatrix model.imatrix", "smaller, with measured importance"},
    {"slm quantize model-f16.gguf out.gguf --budget 4.5bpw -f text.txt --report", "the best mix of that size"},
    {"slm quantize in.gguf out.gguf Q4_K_M --tensor 'ffn_down=q6_k' --dry-run", "one kind of tensor larger; only look"},
};
const struct command command_quantize = {
    .group = "shrink",
    .summary = "make a model smaller by fewer bits per weight",
    .description = "Writes the model with its matrices in smaller types; vectors become f32 and metadata is kept. Types, largest first: F32, F16, BF16, Q8_0, "
                   "Q6_K, Q5_K_M, Q5_K_S, Q5_1, Q5_0, Q4_K_M, Q4_K_S, Q4_1, Q4_0, IQ4_NL, IQ4_XS, MXFP4, Q3_K_L, Q3_K_M, Q3_K_S, IQ3_M, IQ3_S, IQ3_XS, IQ3_XXS, Q2_K, "
                   "Q2_K_S, IQ2_M, IQ2_S, IQ2_XS, IQ2_XXS, TQ2_0, TQ1_0, IQ1_M, IQ1_S. In the mixes (_M, _L, ...) tensors whose errors hurt most get more bits.\n\n"
                   "Scales are searched, so errors are smaller than by rounding. With --calibrate, or an imatrix made with --hessian, rounding errors are carried from "
                   "column to column, which halves what a type costs; at 4 bits and below that is worth its time. --calibrate-self needs no text for it and gains most of that. A tensor whose rows a type does not "
                   "divide gets the nearest type that does.",
    .table = {"quantize", ROWS(options), ROWS(operands)},
    .values_bytes = sizeof(struct quantize_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .run = run_quantize,
};
