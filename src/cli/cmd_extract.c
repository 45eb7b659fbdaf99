/* cmd_extract.c -- slm extract: texts to JSON of a schema. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/term.h"
#include "cli/working.h"
#include "task/bind.h"
#include "task/extract.h"

#define SCHEMA_BYTES_MAX (4u << 20)

struct extract_values {
    struct common_values common;
    struct working_values working;
    struct jobs_values jobs;
    const char *schema;
    int32_t n_max, ground;
    float field_min, abstain;
};

struct extracting {
    const struct extract_values *v;
    struct extractor *extractor;
    const char *model;
};

static json_t *fields_json(const struct extraction *x) {
    json_t *list = json_array();
    for (size_t i = 0; i < x->n_field; i++) {
        const struct extracted_field *f = &x->fields[i];
        json_array_append_new(list, json_pack("{s:o, s:o, s:o, s:b, s:b}", "path", json_text(view_of(f->path)), "confidence", json_f64(f->confidence), "least", json_f64(f->worst), "grounded", f->is_grounded, "dropped",
                                              f->dropped));
    }
    return list;
}

static slm_status extract_one(void *user, const struct job *job, struct task_result *r, struct buf *plain, bool *right, slm_err *err) {
    const struct extracting *e = user;
    struct extraction x;
    r->model = e->model;
    r->has_schema = true;
    slm_status st = extractor_run(e->extractor, job->text, &x, err);
    if (st != SLM_OK) return st;
    r->schema_valid = x.valid;
    r->output = x.value;
    r->signals = x.signals;
    r->confidence = x.signals.v[SIGNAL_CONFIDENCE];
    r->local_in = x.n_in;
    r->local_out = x.n_out;
    r->more = json_pack("{s:o}", "fields", fields_json(&x));
    json_t *want = job->label ? json_loads(job->label, JSON_DECODE_ANY, NULL) : NULL;
    *right = want && json_equal(want, r->output);
    json_decref(want);
    if (x.unsure) result_reason(r, "a field below --field-min that the schema needs");
    if (r->confidence < (double)e->v->abstain) result_reason(r, "confidence below --abstain");
    r->abstained = r->n_reason > 0;
    char *text = json_dumps(r->output, JSON_COMPACT | JSON_ENCODE_ANY);
    buf_puts(plain, r->abstained ? "null" : text ? text : "null");
    free(text);
    if (r->abstained) {
        r->tier = RESULT_NONE;
        json_decref(r->output);
        r->output = NULL;
    }
    return SLM_OK;
}

static slm_status run_extract(const void *values, slm_err *err) {
    const struct extract_values *v = values;
    slm_status st = SLM_OK;
    struct working w = {0};
    struct buf schema;
    struct extracting e = {.v = v};
    if (v->working.show_prompt) return working_show(&v->working, "extract", err);
    buf_init(&schema, SCHEMA_BYTES_MAX);
    if (v->schema[strspn(v->schema, " \n\t")] == '{') buf_puts(&schema, v->schema);
    else TRY(file_read(&schema, v->schema, err));
    TRY(buf_status(&schema, "schema", err));
    TRY(working_open(&v->working, &w, err));
    struct extractor_params p = {.worker = w.worker, .schema = {schema.data ? schema.data : "", schema.len}, .system = v->working.system, .form = v->working.form,
                                 .ungrounded = v->ground == 1, .n_max = v->n_max, .field_min = (double)v->field_min};
    TRY(extractor_create(&p, &e.extractor, err));
    e.model = w.name;
    struct bound_to bound = {bind_model(w.model->gguf), bind_tokenizer(w.model->gguf), extractor_identity(e.extractor)};
    TRY(jobs_run(&v->jobs, "extract", &bound, extract_one, &e, err));
out:
    extractor_destroy(e.extractor);
    working_close(&w);
    buf_fini(&schema);
    return st;
}

static const struct option extract_options[] = {
    WORKING_MODEL_ROW(struct extract_values),
    {.kind = OPT_TEXT, .name = "schema", .value = "FILE|JSON", .flags = OPTION_REQUIRED, .offset = offsetof(struct extract_values, schema), .since = "0.1",
     .help = "the JSON Schema of the answer, a file or text that begins with {"},
    {.kind = OPT_CHOICE, .name = "ground", .value = "HOW", .fallback = "strict", .choices = "strict|off", .offset = offsetof(struct extract_values, ground), .since = "0.1",
     .help = "strict: strings that the schema leaves free (no enum, const, format, pattern; not \"x-ground\": false) can only be copied from the text, whole words of it"},
    JOBS_ROWS(struct extract_values),
    JOBS_CAL_ROW(struct extract_values),
    {.kind = OPT_INT, .letter = 'n', .name = "predict", .value = "N", .fallback = "512", .min = 1, .max = 65536, .offset = offsetof(struct extract_values, n_max), .since = "0.1",
     .help = "tokens of an answer at most; it is closed in time"},
    {.kind = OPT_FLOAT, .name = "field-min", .value = "P", .fallback = "0", .min = 0, .max = 1, .offset = offsetof(struct extract_values, field_min), .since = "0.1",
     .help = "a field of lower confidence becomes null, or is left out, where the schema allows it; else the answer is given up"},
    {.kind = OPT_FLOAT, .name = "abstain", .value = "P", .fallback = "0", .min = 0, .max = 1, .offset = offsetof(struct extract_values, abstain), .since = "0.1",
     .help = "give up an answer of lower confidence (exit code 7 of a single text)"},
    WORKING_ROWS(struct extract_values, "{text} and {schema}"),
};
static const struct option extract_operands[] = {JOBS_OPERANDS(struct extract_values)};
static const struct example extract_examples[] = {
    {"slm extract -m model.gguf --schema person.json \"Ada Lovelace, born 1815\"", "JSON that is valid, with names that stand in the text"},
    {"slm extract -m model.gguf --schema order.json -f mails.jsonl -o orders.jsonl", "a batch; run again, it goes on where it stopped"},
};
const struct command command_extract = {
    .group = "narrow jobs",
    .summary = "take what texts say into JSON",
    .description = "Prints for each text JSON that satisfies the schema. The likeliest token is taken among those that the schema allows and, for strings that are to be copied, that the text "
                   "contains from the beginning of a word on. --json has the confidence of each field: the product of its tokens' probabilities, each among what the schema allows less what the "
                   "text refused before it.\n\n"
                   "Rows with \"label\" (JSON as text) are also judged: equal as JSON.",
    .table = {"extract", ROWS(extract_options), ROWS(extract_operands)},
    .values_bytes = sizeof(struct extract_values),
    .examples = extract_examples,
    .n_examples = sizeof extract_examples / sizeof extract_examples[0],
    .run = run_extract,
};
