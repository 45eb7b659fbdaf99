/* api_tasks.c -- narrow jobs over HTTP: a text gets its envelope, a list of texts {"results": [...]}.
 *
 * A job is plain code on the request's thread over its model's one session for jobs, which it has for a text at a time; each of its forwards takes its turn on
 * the engine thread (turn.h). What a list shares (a prompt's beginning, the labels' prior) is computed once for it. A text's own fault, in a list, is its
 * envelope's. */
#include "serve/api_tasks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/json.h"
#include "serve/chat.h"
#include "serve/turn.h"
#include "task/bind.h"
#include "task/classify.h"
#include "task/complete.h"
#include "task/extract.h"
#include "task/result.h"
#include "task/summarize.h"

#define STEP_TOKENS 32 /* of a prompt in one forward: answers under way wait for so many */

#define FIELD_INPUT {.name = "input", .types = JT_STRING | JT_ARRAY, .store = STORE_JSON, .offset = F(input), .is_required = true, .doc = "a text, or a list of texts"}
#define FIELD_PROMPT(names) {.name = "prompt", .types = JT_STRING, .store = STORE_TEXT, .offset = F(template), .doc = "the user's turn instead of the built-in one; " names " stand for what they say"}
#define FIELD_SYSTEM {.name = "system", .types = JT_STRING, .store = STORE_TEXT, .offset = F(instructions), .doc = "a system prompt"}
#define FIELD_GROUND(what) {.name = "ground", .types = JT_STRING, .store = STORE_TEXT, .offset = F(ground), .choices = "strict|off", .doc = what}

static const struct field classify_rows[] = {
    FIELD_MODEL, FIELD_INPUT,
    {.name = "labels", .types = JT_ARRAY, .store = STORE_JSON, .offset = F(labels), .is_required = true, .doc = "texts, or {\"label\", \"wording\"} where the model would write another text"},
    FIELD_PROMPT("{text} and {labels}"), FIELD_SYSTEM,
    {.name = "answer", .types = JT_STRING, .store = STORE_TEXT, .offset = F(answer_form), .doc = "what the model writes for a label, {label} in it"},
    {.name = "abstain", .types = JT_NUMBER, .store = STORE_F32, .offset = F(keep_min), .min = 0, .max = 1, .doc = "give up an answer of lower probability"},
    {.name = "top", .types = JT_INT, .store = STORE_I32, .offset = F(top_n), .min = 1, .max = 4096, .doc = "likeliest labels told; default 3"},
};
const struct field_table task_classify_fields = FIELDS(classify_rows);
static const struct field extract_rows[] = {
    FIELD_MODEL, FIELD_INPUT,
    {.name = "schema", .types = JT_OBJECT, .store = STORE_JSON, .offset = F(json_schema), .is_required = true, .doc = "JSON Schema of the answer"},
    FIELD_PROMPT("{text} and {schema}"), FIELD_SYSTEM, FIELD_GROUND("strict (default): free strings are copied from the text"),
    {.name = "field_min", .types = JT_NUMBER, .store = STORE_F32, .offset = F(keep_min), .min = 0, .max = 1, .doc = "a field of lower confidence becomes null, or absent, where the schema allows it"},
    {.name = "max_tokens", .types = JT_INT, .store = STORE_I32, .offset = F(n_max), .min = 1, .max = 65536, .doc = "tokens of an answer; default 512"},
};
const struct field_table task_extract_fields = FIELDS(extract_rows);
static const struct field summarize_rows[] = {
    FIELD_MODEL, FIELD_INPUT,
    {.name = "words", .types = JT_INT, .store = STORE_I32, .offset = F(n_max), .min = 5, .max = 5000, .doc = "at most; default 100"},
    FIELD_PROMPT("{text} and {words}"), FIELD_SYSTEM, FIELD_GROUND("strict (default): a sentence with a number, name or quotation that the text does not have is dropped"),
};
const struct field_table task_summarize_fields = FIELDS(summarize_rows);
static const struct field complete_rows[] = {
    FIELD_MODEL,
    {.name = "prefix", .types = JT_STRING, .store = STORE_TEXT, .offset = F(content), .is_required = true, .doc = "the text before the gap"},
    {.name = "suffix", .types = JT_STRING, .store = STORE_TEXT, .offset = F(suffix), .doc = "the text after it"},
    {.name = "until", .types = JT_STRING, .store = STORE_TEXT, .offset = F(until), .choices = "free|line|block", .doc = "where the gap's text ends"},
    {.name = "show_min", .types = JT_NUMBER, .store = STORE_F32, .offset = F(keep_min), .min = 0, .max = 1, .doc = "nothing where the tokens' mean probability is lower"},
    {.name = "max_tokens", .types = JT_INT, .store = STORE_I32, .offset = F(n_max), .min = 1, .max = 65536, .doc = "default 128"},
};
const struct field_table task_complete_fields = FIELDS(complete_rows);

/* ---- a job over its texts ---- */

struct task {
    struct call *c;
    struct served *model;
    const char *name;                                                /* of the job */
    slm_status (*open)(struct task *t, slm_err *err);                /* once; both have the turn */
    slm_status (*one)(struct task *t, struct view text, struct task_result *r, slm_err *err); /* each text */
    struct turn turn;
    struct classifier *classifier;
    struct extractor *extractor;
    const char **names, **wordings;
    char *schema;
    size_t n_label;
};

static double or_zero(float v) { return isnan(v) ? 0 : (double)v; }
static int32_t or_default(int32_t v, int32_t fallback) { return v == ABSENT_I32 ? fallback : v; }

/* Engine thread. */
static slm_status make_worker(void *user, struct slm_session **out, slm_err *err) {
    struct task *t = user;
    const struct sched_params *p = &t->c->server->config.models.sched;
    struct worker_params wp = {.n_ctx = p->n_ctx, .n_chunk = STEP_TOKENS, .n_threads = p->n_threads};
    slm_status st = t->model->worker ? SLM_OK : worker_create(t->model->model, &wp, &t->model->worker, err);
    if (st == SLM_OK) *out = t->model->worker->session;
    return st;
}

static slm_status enter(struct task *t) { return turn_enter(&t->turn, &t->model->work_line, make_worker, t); }

/* The model, and what all texts share. */
static slm_status open_task(struct task *t) {
    struct call *c = t->c;
    const struct gateway *g = c->server->gateway;
    bool is_tier = gateway_gate(g, c->r.model) != GATE_NONE;
    slm_status st = SLM_OK;
    turn_open(&t->turn, c, is_tier ? time_now_s() - http_seconds(c->x) + g->s->deadline_ms * 1e-3 : 0);
    TRY(use_model_bare(c, c->r.model, &t->model)); /* words and tokens of a job are its own fields: a manifest's num_predict is not about them */
    if (t->model->model->hp.bidirectional) return fault_set(&c->fault, SLM_E_UNSUPPORTED, "model", "model \"%s\": is an encoder and writes nothing", t->model->name);
    if (!t->open) return SLM_OK;
    TRY(enter(t));
    st = t->open(t, &c->fault.err);
    turn_leave(&t->turn);
out:
    return st;
}

static void close_task(struct task *t) {
    turn_close(&t->turn);
    classifier_destroy(t->classifier);
    extractor_destroy(t->extractor);
    free((void *)t->names);
    free((void *)t->wordings);
    free(t->schema);
    models_release(t->c->server->models, t->model);
}

static bool is_own_fault(slm_status st) { return st == SLM_E_LIMIT || st == SLM_E_USAGE || st == SLM_E_FORMAT || st == SLM_E_FAILED; }

/* One text to its envelope. */
static slm_status answer_text(struct task *t, const json_t *text, bool is_single, json_t **out) {
    struct call *c = t->c;
    struct task_result r;
    result_init(&r, t->name);
    r.model = t->model->name;
    double t0 = time_now_s();
    slm_status st = enter(t);
    bool has_begun = st == SLM_OK;
    if (has_begun) st = t->one(t, (struct view){json_string_value(text), json_string_length(text)}, &r, &c->fault.err);
    turn_leave(&t->turn);
    r.local_ms = 1e3 * (time_now_s() - t0);
    if (st != SLM_OK && has_begun && !is_single && is_own_fault(st) && c->fault.http_status != 504) {
        result_fini(&r);
        r.tier = RESULT_NONE;
        result_reason(&r, "failed");
        r.more = json_pack("{s:s}", "error", c->fault.err.msg);
        memset(&c->fault, 0, sizeof c->fault);
        st = SLM_OK;
    }
    c->n_prompt += r.local_in;
    c->n_generated += r.local_out;
    metric_add(&c->server->metrics, METRIC_PROMPT_TOKENS, (int64_t)r.local_in);
    metric_add(&c->server->metrics, METRIC_GENERATED_TOKENS, (int64_t)r.local_out);
    if (r.abstained) r.tier = RESULT_NONE;
    *out = st == SLM_OK ? result_json(&r) : NULL;
    result_fini(&r);
    return st;
}

static slm_status run_task(struct task *t) {
    struct call *c = t->c;
    slm_status st = SLM_OK;
    json_t *list = NULL, *o = NULL;
    size_t n = json_array_size(c->r.input);
    if (n > (size_t)c->server->limits.v[LIMIT_INPUTS]) {
        st = fault_set(&c->fault, SLM_E_LIMIT, "input", "field \"input\": %zu texts are more than %lld", n, (long long)c->server->limits.v[LIMIT_INPUTS]);
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        if (!json_is_string(json_array_get(c->r.input, i))) {
            st = fault_set(&c->fault, SLM_E_USAGE, "input", "field \"input\": element %zu is not a text", i);
            goto out;
        }
    TRY(open_task(t));
    if (json_is_string(c->r.input)) {
        TRY(answer_text(t, c->r.input, true, &o));
        st = reply_json(c, 200, o);
        goto out;
    }
    list = json_array();
    for (size_t i = 0; i < n; i++) {
        TRY(answer_text(t, json_array_get(c->r.input, i), false, &o));
        json_array_append_new(list, o);
    }
    st = reply_json(c, 200, json_pack("{s:O}", "results", list));
out:
    json_decref(list);
    close_task(t);
    return st;
}

/* ---- classify ---- */

static slm_status read_labels(struct task *t) {
    struct call *c = t->c;
    void *names = NULL, *wordings = NULL;
    size_t n = json_array_size(c->r.labels);
    slm_status st = mem_alloc(&names, n + 1, sizeof *t->names, "labels", &c->fault.err);
    t->names = names;
    if (st == SLM_OK) st = mem_alloc(&wordings, n + 1, sizeof *t->wordings, "labels", &c->fault.err);
    t->wordings = wordings;
    for (size_t i = 0; i < n && st == SLM_OK; i++) {
        const json_t *v = json_array_get(c->r.labels, i), *label = json_is_object(v) ? json_object_get(v, "label") : v, *wording = json_object_get(v, "wording");
        if (!json_is_string(label) || json_string_length(label) == 0 || (wording && !json_is_string(wording)))
            st = fault_set(&c->fault, SLM_E_USAGE, "labels", "field \"labels\": element %zu is neither a text nor {\"label\", \"wording\"}", i);
        t->names[i] = json_string_value(label);
        t->wordings[i] = wording ? json_string_value(wording) : NULL;
    }
    t->n_label = n;
    return st;
}

static slm_status open_classify(struct task *t, slm_err *err) {
    const struct request *r = &t->c->r;
    struct classifier_params p = {.worker = t->model->worker, .labels = t->names, .wordings = t->wordings, .n_label = t->n_label, .system = r->instructions, .form = r->template, .answer = r->answer_form};
    return classifier_create(&p, &t->classifier, err);
}

static json_t *top_json(const struct task *t, const float *probs, size_t n_top) {
    json_t *list = json_array();
    for (size_t k = 0, last = t->n_label; k < n_top && k < t->n_label; k++) {
        size_t best = t->n_label; /* the next below the last one told; ties in order of labels */
        for (size_t i = 0; i < t->n_label; i++) {
            bool below = last == t->n_label || probs[i] < probs[last] || (probs[i] == probs[last] && i > last);
            if (below && (best == t->n_label || probs[i] > probs[best])) best = i;
        }
        last = best;
        json_array_append_new(list, json_pack("{s:s, s:o}", "label", t->names[best], "p", json_f64((double)probs[best])));
    }
    return list;
}

static slm_status classify_one(struct task *t, struct view text, struct task_result *r, slm_err *err) {
    struct classification x;
    slm_status st = classifier_run(t->classifier, text, &x, err);
    if (st != SLM_OK) return st;
    const struct gguf *g = t->model->model->gguf;
    r->signals = x.signals;
    r->confidence = x.signals.v[SIGNAL_CONFIDENCE];
    r->local_in = x.n_token;
    r->has_bound = true;
    r->bound = (struct bound_to){bind_model(g), bind_tokenizer(g), classifier_identity(t->classifier)};
    r->more = json_pack("{s:o}", "top", top_json(t, x.probs, (size_t)or_default(t->c->r.top_n, 3)));
    r->abstained = r->confidence < or_zero(t->c->r.keep_min);
    if (r->abstained) result_reason(r, "confidence below abstain");
    else r->output = json_pack("{s:s}", "label", classifier_label(t->classifier, x.label));
    return SLM_OK;
}

slm_status task_classify(struct call *c) {
    struct task t = {.c = c, .name = "classify", .open = open_classify, .one = classify_one};
    slm_status st = read_labels(&t);
    if (st == SLM_OK) return run_task(&t);
    close_task(&t);
    return st;
}

/* ---- extract ---- */

static slm_status open_extract(struct task *t, slm_err *err) {
    const struct request *r = &t->c->r;
    struct extractor_params p = {.worker = t->model->worker, .schema = view_of(t->schema), .system = r->instructions, .form = r->template, .ungrounded = r->ground && strcmp(r->ground, "off") == 0,
                                 .n_max = or_default(r->n_max, 0), .field_min = or_zero(r->keep_min)};
    return extractor_create(&p, &t->extractor, err);
}

static slm_status extract_one(struct task *t, struct view text, struct task_result *r, slm_err *err) {
    struct extraction x;
    slm_status st = extractor_run(t->extractor, text, &x, err);
    if (st != SLM_OK) return st;
    const struct gguf *g = t->model->model->gguf;
    json_t *fields = json_array();
    for (size_t i = 0; i < x.n_field; i++)
        json_array_append_new(fields, json_pack("{s:s, s:o, s:o, s:b, s:b}", "path", x.fields[i].path, "confidence", json_f64(x.fields[i].confidence), "least", json_f64(x.fields[i].worst), "grounded", x.fields[i].is_grounded,
                                                "dropped", x.fields[i].dropped));
    r->has_schema = true;
    r->schema_valid = x.valid;
    r->signals = x.signals;
    r->confidence = x.signals.v[SIGNAL_CONFIDENCE];
    r->local_in = x.n_in;
    r->local_out = x.n_out;
    r->has_bound = true;
    r->bound = (struct bound_to){bind_model(g), bind_tokenizer(g), extractor_identity(t->extractor)};
    r->more = json_pack("{s:o}", "fields", fields);
    r->abstained = x.unsure;
    if (x.unsure) {
        result_reason(r, "a field below field_min that the schema needs");
        json_decref(x.value);
    } else r->output = x.value;
    return SLM_OK;
}

slm_status task_extract(struct call *c) {
    struct task t = {.c = c, .name = "extract", .open = open_extract, .one = extract_one, .schema = json_dumps(c->r.json_schema, JSON_COMPACT)};
    if (t.schema) return run_task(&t);
    return err_set(&c->fault.err, SLM_E_NOMEM, SLM_NOWHERE, "schema: out of memory");
}

/* ---- summarize, complete ---- */

static slm_status summarize_one(struct task *t, struct view text, struct task_result *r, slm_err *err) {
    const struct request *q = &t->c->r;
    struct buf out;
    struct summary s;
    struct summarize_params p = {.n_word = or_default(q->n_max, 100), .system = q->instructions, .form = q->template, .ungrounded = q->ground && strcmp(q->ground, "off") == 0};
    buf_init(&out, PROMPT_BYTES_MAX);
    slm_status st = summarize_run(t->model->worker, text, &p, &out, &s, err);
    if (st == SLM_OK) {
        r->signals = s.signals;
        if (isfinite(s.signals.v[SIGNAL_LOGPROB_MEAN])) r->confidence = exp(s.signals.v[SIGNAL_LOGPROB_MEAN]);
        r->local_in = s.n_in;
        r->local_out = s.n_out;
        r->abstained = out.len == 0;
        if (r->abstained) result_reason(r, "no sentence that the text bears out");
        else r->output = json_pack("{s:o}", "summary", json_of_bytes((struct view){out.data, out.len}));
        r->more = json_pack("{s:I, s:I, s:I, s:I}", "windows", (json_int_t)s.n_window, "dropped", (json_int_t)s.n_dropped, "words", (json_int_t)s.n_word, "words_source", (json_int_t)s.n_word_source);
    }
    buf_fini(&out);
    return st;
}

slm_status task_summarize(struct call *c) {
    struct task t = {.c = c, .name = "summarize", .one = summarize_one};
    return run_task(&t);
}

static slm_status complete_one(struct task *t, struct view text, struct task_result *r, slm_err *err) {
    const struct request *q = &t->c->r;
    struct buf out;
    struct completion x;
    (void)text;
    enum complete_shape shape = !q->until || *q->until == 'f' ? COMPLETE_FREE : *q->until == 'l' ? COMPLETE_LINE : COMPLETE_BLOCK;
    struct complete_params p = {.shape = shape, .n_max = or_default(q->n_max, 0), .show_min = or_zero(q->keep_min)};
    buf_init(&out, PROMPT_BYTES_MAX);
    slm_status st = complete_run(t->model->worker, view_of(q->content), view_of(q->suffix), &p, &out, &x, err);
    if (st == SLM_OK) {
        r->signals = x.signals;
        r->confidence = x.signals.v[SIGNAL_CONFIDENCE];
        r->local_in = x.n_in;
        r->local_out = x.n_out;
        r->abstained = x.suppressed;
        if (x.suppressed) result_reason(r, "mean probability below show_min");
        if (x.met_after) result_reason(r, "ended where the text after begins");
        r->output = json_pack("{s:o}", "text", json_of_bytes((struct view){out.data ? out.data : "", out.len}));
    }
    buf_fini(&out);
    return st;
}

slm_status task_complete(struct call *c) {
    struct task t = {.c = c, .name = "complete", .one = complete_one};
    json_t *nothing = json_string(""), *o = NULL;
    slm_status st = SLM_OK;
    TRY(open_task(&t));
    TRY(answer_text(&t, nothing, true, &o));
    st = reply_json(c, 200, o);
out:
    json_decref(nothing);
    close_task(&t);
    return st;
}
