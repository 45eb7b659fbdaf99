/* cmd_run.c -- slm run: continue a prompt once, or hand over to the interactive session (chat.c). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/json.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/dialog.h"
#include "cli/input.h"
#include "cli/lora.h"
#include "cli/named.h"
#include "cli/rows.h"
#include "cli/run.h"
#include "cli/said.h"
#include "cli/term.h"
#include "train/adapter.h"

static const struct option options[] = {
    OPTION_MODEL_THAT_IS(struct run_values, OPTION_OBEYED),
    OPTION_ADAPTER(struct run_values),
    LORA_ROWS(struct run_values),
    {.kind = OPT_TEXT, .letter = 'p', .name = "prompt", .value = "TEXT", .offset = offsetof(struct run_values, prompt), .since = "0.1",
     .bars = "file|PROMPT", .help = "the prompt; without it: --file, else what is piped in, else an interactive session"},
    {.kind = OPT_FILE, .letter = 'f', .name = "file", .value = "FILE", .offset = offsetof(struct run_values, file), .since = "0.1",
     .bars = "PROMPT", .help = "read the prompt from FILE; - is standard input"},
    {.kind = OPT_INT, .letter = 'n', .name = "predict", .value = "N", .fallback = "-1", .min = -1, .max = 1 << 24,
     .offset = offsetof(struct run_values, n_predict), .since = "0.1", .flags = OPTION_SETTABLE,
     .help = "generate at most N tokens; -1: until the model ends or the context is full"},
    {.kind = OPT_TEXT, .name = "system", .value = "TEXT", .offset = offsetof(struct run_values, system), .since = "0.1",
     .help = "what the model is told before the conversation; without a chat template it simply comes first"},
    {.kind = OPT_FLAG, .name = "raw", .offset = offsetof(struct run_values, raw), .since = "0.1",
     .bars = "template", .help = "continue the prompt as it is, without the model's chat template"},
    {.kind = OPT_FILE, .name = "messages", .value = "FILE", .offset = offsetof(struct run_values, messages), .since = "0.1",
     .help = "a conversation that comes before the prompt: a JSON list of {\"role\", \"content\"}, as /save writes it"},
    {.kind = OPT_FILE, .name = "template", .value = "FILE", .offset = offsetof(struct run_values, template), .since = "0.1",
     .help = "chat template (Jinja, or Go's language as Ollama has it) instead of the model's own"},
    {.kind = OPT_TEXTS, .name = "stop", .value = "TEXT", .offset = offsetof(struct run_values, stops), .since = "0.1", .flags = OPTION_SETTABLE,
     .help = "end before TEXT would be printed"},
    {.kind = OPT_FLAG, .name = "ignore-eos", .offset = offsetof(struct run_values, ignore_eos), .since = "0.1", .flags = OPTION_SETTABLE,
     .help = "go on when the model would end"},
    OPTION_SECTION("sampling"),
    SAMPLING_ROWS(struct run_values),
    OPTION_SECTION("structure"),
    STRUCTURE_ROWS(struct run_values),
    OPTION_SECTION("output"),
    {.kind = OPT_FLAG, .name = "ids", .offset = offsetof(struct run_values, ids), .since = "0.1",
     .bars = "json", .help = "print the generated token ids as a JSON array instead of text"},
    {.kind = OPT_FLAG, .name = "json", .offset = offsetof(struct run_values, json), .since = "0.1",
     .help = "print one JSON object: ids, text, reasoning, tool_calls, finish, counts, seed, timings, structure"},
    OPTION_SECTION("engine"),
    OPTION_THREADS(struct run_values),
    OPTION_CTX(struct run_values),
    OPTION_CHUNK(struct run_values),
    OPTION_KV(struct run_values),
    OPTION_SECTION("speculation"),
    {.kind = OPT_CHOICE, .name = "speculate", .value = "KIND", .fallback = "auto", .choices = "off|auto|ngram|draft",
     .offset = offsetof(struct run_values, speculate), .since = "0.1", .flags = OPTION_SETTABLE,
     .help = "guess tokens and check several in one pass; the text is the same, and what does not pay rests. ngram: from the text so "
             "far; draft: by --draft; auto: by --draft when there is one, else from the text"},
    {.kind = OPT_FILE, .name = "draft", .value = "MODEL", .flags = OPTION_NAMED, .offset = offsetof(struct run_values, draft), .since = "0.1",
     .help = "a smaller model with the same vocabulary, to guess tokens"},
    {.kind = OPT_INT, .name = "draft-n", .value = "N", .fallback = "8", .min = 1, .max = SPECULATE_GUESSES_MAX,
     .offset = offsetof(struct run_values, n_draft), .since = "0.1", .help = "guesses of one pass at most"},
};
static const struct option operands[] = {
    {.kind = OPT_FILE, .name = "MODEL", .offset = offsetof(struct run_values, model_word), .since = "0.1", .help = "the same as --model; without either: tales, which comes with slm"},
    {.kind = OPT_TEXT, .name = "PROMPT", .offset = offsetof(struct run_values, prompt_word), .since = "0.1", .help = "the same as --prompt; with spaces in it, it may stand alone"},
};
const struct option_table run_table = {"run", ROWS(options), ROWS(operands)};

slm_status run_encode(const struct slm_model *m, struct view text, bool is_start, struct tok_ids *ids, slm_err *err) {
    unsigned flags = TOK_PARSE_SPECIAL | (is_start && tok_config_of(m->tok)->add_bos ? TOK_ADD_BOS : 0u);
    return tok_encode(m->tok, text, flags, ids, err);
}

static bool on_text(void *user, const char *text, size_t n) { return said_push(user, (struct view){text, n}); }

static struct speculate_params speculate_params(const struct run_values *v) {
    static const enum speculate_kind kinds[] = {SPECULATE_OFF, SPECULATE_AUTO, SPECULATE_NGRAM, SPECULATE_DRAFT};
    return (struct speculate_params){kinds[v->speculate], v->n_draft, v->draft_session};
}

slm_status run_generate(struct slm_session *s, const struct run_values *v, const struct dialog *d, struct said *said,
                        struct run_answer *answer, slm_err *err) {
    struct sampler_params sampling = sampling_params(&v->sampling);
    struct view stops[OPTION_TEXTS_MAX];
    bool is_held = v->held && v->held->constraint, strip_first = d->chat != NULL;
    for (size_t i = 0; i < v->stops.n; i++) stops[i] = view_of(v->stops.v[i]);
    struct generate_params p = {.sampling = &sampling, .n_max = v->n_predict, .stops = stops, .n_stops = v->stops.n, .ignore_eos = v->ignore_eos,
                                .strip_first = strip_first, .render_special = strip_first && !is_held, .constraint = is_held ? v->held->constraint : NULL,
                                .speculate = speculate_params(v), .on_text = on_text, .user = said};
    *answer = (struct run_answer){.seed = sampling.seed};
    slm_status st = said_begin(said, is_held ? NULL : d->chat, /* what is held is shown as it is */ (struct view){d->prompt_tail, d->n_prompt_tail}, err);
    if (st != SLM_OK) return st;
    interrupt_catch();
    s->cancel = &interrupt_flag;
    st = session_generate(s, d->ids.v, d->ids.n, &p, &answer->result, err);
    interrupt_release();
    if (st == SLM_OK && is_held && answer->result.finish != FINISH_CANCELLED)
        answer->verdict = structure_judge(v->held, s->model->tok, &answer->result.ids, strip_first, answer->result.is_closed, &answer->report, &answer->why);
    if (st == SLM_OK) st = said_end(said, err);
    if (st == SLM_OK) st = out_status(err);
    return st;
}

static double per_s(size_t n, double s) { return s > 0 ? (double)n / s : 0; }

/* The first generated token comes out of the prefill; decoding made the others. */
static size_t n_decoded(const struct generate_result *r) { return r->ids.n > 0 ? r->ids.n - 1 : 0; }

void run_say_stats(const struct run_answer *a) {
    const struct generate_result *r = &a->result;
    bool colored = term_has_color(STDERR_FILENO);
    fprintf(stderr, "%sprompt %zu tokens (%zu reused), %.1f tokens/s; generated %zu tokens, %.1f tokens/s; ended by %s; seed %llu%s\n",
            colored ? "\033[2m" : "", r->n_prompt, r->n_cached, per_s(r->n_prompt - r->n_cached, r->prefill_s), r->ids.n,
            per_s(n_decoded(r), r->decode_s), finish_name(r->finish), (unsigned long long)a->seed, colored ? "\033[0m" : "");
    const struct speculate_stats *sp = &r->speculate;
    if (sp->n_pass)
        fprintf(stderr, "%s%zu of %zu guesses kept in %zu passes, %.2f s saved%s\n", colored ? "\033[2m" : "", sp->n_accepted, sp->n_drafted,
                sp->n_pass, sp->saved_s, colored ? "\033[0m" : "");
}

static json_t *ids_json(const struct tok_ids *ids) {
    json_t *array = json_array();
    for (size_t i = 0; array && i < ids->n; i++) json_array_append_new(array, json_integer(ids->v[i]));
    return array;
}

static slm_status print_json(const struct run_answer *a, const struct said *said, double load_s, slm_err *err) {
    const struct generate_result *r = &a->result;
    json_t *timings = json_pack("{s:o, s:o, s:o, s:o, s:o}", "load_ms", json_f64(load_s * 1e3), "prefill_ms", json_f64(r->prefill_s * 1e3), "decode_ms", json_f64(r->decode_s * 1e3),
                                "prefill_tps", json_f64(per_s(r->n_prompt - r->n_cached, r->prefill_s)), "decode_tps", json_f64(per_s(n_decoded(r), r->decode_s)));
    const struct speculate_stats *sp = &r->speculate;
    json_t *speculation = json_pack("{s:I, s:I, s:I, s:o}", "n_pass", (json_int_t)sp->n_pass, "n_drafted", (json_int_t)sp->n_drafted, "n_accepted",
                                    (json_int_t)sp->n_accepted, "saved_ms", json_f64(sp->saved_s * 1e3));
    json_t *reasoning = said->reasoning.len ? json_text((struct view){said->reasoning.data, said->reasoning.len}) : NULL;
    return out_json(json_pack("{s:o, s:o, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o*, s:O*, s:O*}", "ids", ids_json(&r->ids), "text",
                              json_text((struct view){said->text.data, said->text.len}), "finish", finish_name(r->finish), "n_prompt", (json_int_t)r->n_prompt,
                              "n_cached", (json_int_t)r->n_cached, "n_generated", (json_int_t)r->ids.n, "seed", (json_int_t)a->seed, "timings", timings, "speculation",
                              speculation, "reasoning", reasoning, "tool_calls", said->calls, "structure", a->report),
                    err);
}

static slm_status print_ids(const struct tok_ids *ids, slm_err *err) {
    out_puts("[");
    for (size_t i = 0; i < ids->n; i++) out_printf("%s%d", i ? "," : "", ids->v[i]);
    out_puts("]\n");
    return out_status(err);
}

static slm_status run_once(struct slm_session *s, const struct chat_template *chat, const struct run_values *v, struct view prompt, double load_s,
                           slm_err *err) {
    slm_status st = SLM_OK;
    struct dialog dialog;
    struct run_answer answer = {0};
    struct said said;
    bool is_streamed = !v->json && !v->ids;
    said_init(&said, is_streamed);
    dialog_init(&dialog, s->model, chat);
    TRY(dialog_begin(&dialog, v->system, v->messages, err));
    TRY(dialog_add_text(&dialog, ROLE_USER, prompt, err));
    TRY(run_generate(s, v, &dialog, &said, &answer, err));
    if (v->json) TRY(print_json(&answer, &said, load_s, err));
    else if (v->ids) TRY(print_ids(&answer.result.ids, err));
    else out_puts("\n");
    TRY(out_status(err));
    fflush(stdout);
    if (v->common.verbose || (is_streamed && term_is_tty(STDERR_FILENO))) run_say_stats(&answer);
    if (answer.result.finish == FINISH_CANCELLED) st = SLM_E_CANCELLED;
    else if ((st = answer.verdict) != SLM_OK) *err = answer.why;
out:
    json_decref(answer.report);
    tok_ids_fini(&answer.result.ids);
    dialog_fini(&dialog);
    said_fini(&said);
    return st;
}

/* The chat template, the user's or the model's, compiled; NULL when the prompt is to be continued as it is. */
static slm_status open_template(const struct slm_model *m, const struct run_values *v, struct chat_template **chat, slm_err *err) {
    struct chat_template_source source = {.text = m->chat_template, .text_tools = m->chat_template_tools, .tok = m->tok};
    struct buf own;
    slm_status st = SLM_OK;
    *chat = NULL;
    buf_init(&own, JINJA_SOURCE_BYTES_MAX);
    if (v->raw) goto out;
    if (v->template) {
        TRY(file_read(&own, v->template, err));
        source.text = (struct view){own.data, own.len};
        source.text_tools = VIEW("");
    }
    if (!source.text.len) {
        if (!v->is_shipped) say_note("\"%s\" has no chat template: the prompt is continued as it is (--raw says so)", show_path(v->model).s);
        goto out;
    }
    st = chat_template_create(&source, chat, err);
    if (st != SLM_OK) {
        err_wrap(err, st, "\"%s\"", show_path(v->template ? v->template : v->model).s);
        err_hint(err, "--raw continues the prompt as it is");
    }
out:
    buf_fini(&own);
    return st;
}

/* One line of what was loaded and how it will run. */
static void say_loaded(const struct slm_session *s, double load_s) {
    const struct plan *p = &s->plan;
    struct buf bytes;
    buf_init(&bytes, 64);
    buf_put_bytes(&bytes, s->model->weight_bytes);
    fprintf(stderr, "%s, %.1f M weights, %s, loaded in %.0f ms; context %d, KV cache %s, %d threads, %s kernels\n", s->model->arch->name,
            (double)s->model->n_param * 1e-6, bytes.data, load_s * 1e3, p->n_ctx, kv_type_get(p->kv_type)->name, pool_n_threads(s->compute.pool),
            s->compute.ops.name[OPS_SLOT_matmul_f32]);
    buf_fini(&bytes);
}

/* No name of a model has a space in it: such a word is the prompt of a model that needs no name. */
static bool is_prompt(const char *word) { return strpbrk(word, " \t\n") && access(word, F_OK) != 0; }

/* Words without a dash are the model and the prompt. */
static slm_status take_words(void *values, slm_err *err) {
    struct run_values *v = values;
    if (v->model_word && !v->prompt_word && !v->prompt && is_prompt(v->model_word)) {
        v->prompt_word = v->model_word;
        v->model_word = NULL;
    }
    if (v->model && v->model_word) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "argument \"%s\": --model names the model already", show_cstr(v->model_word).s);
        err_hint(err, "a prompt is given with -p TEXT");
        return SLM_E_USAGE;
    }
    if (v->prompt && v->prompt_word) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "argument \"%s\": --prompt is given too", show_cstr(v->prompt_word).s);
    if (v->model_word) v->model = v->model_word;
    if (v->prompt_word) v->prompt = v->prompt_word;
    v->is_shipped = !v->model;
    return v->model ? SLM_OK : named_default(&v->model, err);
}

static slm_status read_prompt(const struct run_values *v, struct buf *prompt, bool *is_interactive, slm_err *err) {
    *is_interactive = !v->prompt && !v->file && term_is_tty(STDIN_FILENO);
    if (v->prompt && v->file) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"--file\": \"--prompt\" is given too");
    if (v->json && v->ids) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"--ids\": \"--json\" is given too, and holds them");
    if (!*is_interactive) return input_text(v->prompt, v->file, prompt, err);
    if (v->json || v->ids) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"%s\": an interactive session does not have it", v->json ? "--json" : "--ids");
        err_hint(err, "give a prompt with -p TEXT or -f FILE");
        return SLM_E_USAGE;
    }
    return SLM_OK;
}

/* The draft model with a session as long as the target's. */
static slm_status open_draft(const struct run_values *v, int32_t n_ctx, struct slm_model **model, struct slm_session **session, slm_err *err) {
    slm_status st = SLM_OK;
    if (!v->draft) return SLM_OK;
    TRY(model_open(v->draft, 0, model, err));
    struct session_params p = {.n_ctx = n_ctx, .n_chunk = v->chunk, .n_threads = v->threads, .kv_type = kv_type_of_choice(v->kv)};
    if (p.n_chunk > n_ctx) p.n_chunk = n_ctx;
    TRY(session_create(*model, &p, session, err));
out:
    return st;
}

static slm_status run(const void *values, slm_err *err) {
    struct run_values own = *(const struct run_values *)values;
    const struct run_values *v = &own;
    slm_status st = SLM_OK;
    struct slm_model *model = NULL, *draft = NULL;
    struct slm_session *session = NULL;
    struct chat_template *chat = NULL;
    struct structure structure = {0};
    struct buf prompt;
    bool is_interactive;
    double t0 = time_now_s();
    buf_init(&prompt, TOK_TEXT_BYTES_MAX);
    TRY(read_prompt(v, &prompt, &is_interactive, err));
    t0 = time_now_s();
    TRY(adapter_open(v->model, v->adapter, v->threads, &model, err));
    TRY(loras_add(model, &v->loras, err));
    TRY(structure_open(&v->structure, model->tok, &structure, err));
    own.held = &structure;
    if (!v->raw && !v->template) named_lend_template(v->model, model);
    TRY(open_template(model, v, &chat, err));
    struct session_params p = {.n_ctx = v->ctx, .n_chunk = v->chunk, .n_threads = v->threads, .kv_type = kv_type_of_choice(v->kv)};
    struct speculate_params guesses = speculate_params(v);
    p.n_out = speculate_rows(&guesses, v->chunk);
    TRY(session_create(model, &p, &session, err));
    TRY(open_draft(v, session->plan.n_ctx, &draft, &own.draft_session, err));
    if (v->common.verbose) say_loaded(session, time_now_s() - t0);
    if (is_interactive) TRY(run_chat(session, chat, v, err));
    else TRY(run_once(session, chat, v, (struct view){prompt.data, prompt.len}, time_now_s() - t0, err));
out:
    session_destroy(session);
    session_destroy(own.draft_session);
    model_close(draft);
    chat_template_destroy(chat);
    structure_close(&structure);
    model_close(model);
    buf_fini(&prompt);
    return st;
}

int kv_type_of_choice(int32_t choice) {
    static const int types[] = {KV_TYPE_AUTO, KV_F16, KV_Q8, KV_Q4, KV_F32};
    return types[choice];
}

static const struct example examples[] = {
    {"slm run \"Once upon a time\"", "the small model that comes with slm goes on"},
    {"slm run -m model.gguf", "an interactive session"},
    {"slm run llama3.2:1b \"Why is the sky blue?\"", "a model by name, fetched when it is not here yet"},
    {"slm run -m model.gguf -p \"Once upon a time\" -n 100", "continue a prompt by at most 100 tokens"},
    {"slm run -m model.gguf --temp 0 --raw --ids -p \"2 + 2 =\"", "the likeliest continuation, as token ids"},
    {"slm run -m model.gguf --schema person.json -p \"Ada, 36\"", "JSON that satisfies a schema, whatever the model is"},
    {"slm run -m model.gguf --choice yes --choice no -p \"Is water wet?\"", "one of two answers"},
    {"cat letter.txt | slm run -m model.gguf --json", "a prompt from a pipe, the answer with counts and times as JSON"},
};
const struct command command_run = {
    .group = "use a model",
    .summary = "continue a prompt, or talk with a model",
    .description =
        "Reads a prompt, generates tokens and prints their text as it comes. With no prompt on a terminal an interactive session begins; "
        "/help in it lists what it can do.\n\n"
        "With the model's chat template its reasoning and tool calls are told from the answer: on a terminal reasoning is dimmed and a call is a "
        "line of its own; otherwise standard output gets the answer and the calls, one JSON object to a line, and standard error the reasoning. "
        "--raw shows what the model writes as it is.\n\n"
        "--schema, --regex, --grammar and --choice hold the answer: only tokens that lead to such an answer are ever taken, and with -n it is closed in "
        "time. A finished answer is also judged by an independent check; one that fails it is an error.\n\n"
        "The same seed, model and options give the same text at any number of threads and any --chunk.\n\n"
        "Ctrl-C stops the generation, prints what there is and exits with 130; a second one ends the program at once. One line "
        "of counts and speeds goes to standard error when it is a terminal, or with --verbose.",
    .table = {"run", ROWS(options), ROWS(operands)},
    .values_bytes = sizeof(struct run_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .is_common = true,
    .pulls = true,
    .words = take_words,
    .run = run,
};
