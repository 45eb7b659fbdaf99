/* settings.c -- parameters and system prompt of a pulled model, by the names that Modelfiles have. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/show.h"
#include "base/util.h"
#include "cli/named.h"
#include "cli/term.h"
#include "store/create.h"
#include "text/gotmpl/gotmpl.h"

#define LAYER_BYTES_MAX (1u << 20)

static const struct param_row {
    const char *param, *option; /* option NULL: known, and without effect on what is said */
} rows[] = {
    {"temperature", "temp"}, {"top_k", "top-k"}, {"top_p", "top-p"}, {"min_p", "min-p"}, {"typical_p", "typical"},
    {"repeat_penalty", "repeat-penalty"}, {"repeat_last_n", "repeat-last-n"}, {"presence_penalty", "presence-penalty"},
    {"frequency_penalty", "frequency-penalty"}, {"seed", "seed"}, {"stop", "stop"}, {"num_predict", "predict"}, {"num_ctx", "ctx"},
    {"num_thread", "threads"}, {"num_keep", NULL}, {"num_batch", NULL}, {"num_gpu", NULL}, {"use_mmap", NULL}, {"main_gpu", NULL},
};

static const struct param_row *find_row(const char *param) {
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].param, param) == 0) return &rows[i];
    return NULL;
}

/* Where an option stands in the table and among what was given; NULL: the command has none. */
static const struct option *find_option(const struct option_table *t, const char *name, size_t *at) {
    const struct option *o = option_find(t, name, strlen(name));
    for (*at = 0; o && option_at(t, *at) != o;) ++*at;
    return o;
}

/* One value as a user would type it. */
static slm_status assign(const struct option *o, const char *param, const json_t *v, void *values, slm_err *err) {
    char number[64];
    const char *text = json_string_value(v);
    if (json_is_integer(v)) snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
    else if (json_is_real(v)) snprintf(number, sizeof number, "%.9g", json_real_value(v));
    else if (!text) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "parameter \"%s\" of the model: neither number nor text", show_cstr(param).s);
    slm_status st = option_assign(o, text ? text : number, values, err);
    return st == SLM_OK ? st : err_wrap(err, SLM_E_FORMAT, "parameter \"%s\" of the model", show_cstr(param).s);
}

static slm_status apply_param(const struct option_table *t, const char *param, const json_t *v, void *values, struct buf *unused, slm_err *err) {
    const struct common_values *common = values;
    const struct param_row *row = find_row(param);
    size_t at;
    if (row && !row->option) return SLM_OK;
    const struct option *o = row ? find_option(t, row->option, &at) : NULL;
    if (!o) {
        buf_printf(unused, "%s%s", unused->len ? ", " : "", show_cstr(param).s);
        return SLM_OK;
    }
    if (common->given[at]) return SLM_OK;
    if (!json_is_array(v)) return assign(o, param, v, values, err);
    slm_status st = SLM_OK;
    for (size_t i = 0; i < json_array_size(v) && st == SLM_OK; i++) st = assign(o, param, json_array_get(v, i), values, err);
    return st;
}

static slm_status read_layer(const struct store *s, const struct manifest *m, enum layer_kind kind, struct buf *out, slm_err *err) {
    const struct layer *l = manifest_find(m, kind);
    buf_init(out, LAYER_BYTES_MAX);
    if (!l) return SLM_OK;
    char *path = store_blob_path(s, l->digest);
    slm_status st = path ? file_read(out, path, err) : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "settings: out of memory");
    free(path);
    return st;
}

static slm_status apply_params(const struct store *s, const struct manifest *m, const struct option_table *t, void *values, struct settings *kept, slm_err *err) {
    struct buf text, unused;
    json_error_t e;
    const char *param;
    json_t *v;
    buf_init(&unused, 4096);
    slm_status st = read_layer(s, m, LAYER_PARAMS, &text, err);
    if (st == SLM_OK && text.len && !(kept->params = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &e)))
        st = err_set(err, SLM_E_FORMAT, (uint64_t)e.position, "parameters of the model: %s", show_cstr(e.text).s);
    if (st == SLM_OK) json_object_foreach(kept->params, param, v) {
        st = apply_param(t, param, v, values, &unused, err);
        if (st != SLM_OK) break;
    }
    if (st == SLM_OK && unused.len) say_note("parameters of the model that are not used here: %s", unused.data);
    buf_fini(&text);
    buf_fini(&unused);
    return st;
}

/* An option that takes a file gets the layer's blob. */
static slm_status apply_file(const struct store *s, const struct manifest *m, enum layer_kind kind, const struct option_table *t, const char *option, void *values, char **path, slm_err *err) {
    const struct common_values *common = values;
    const struct layer *l = manifest_find(m, kind);
    size_t at;
    const struct option *o = find_option(t, option, &at);
    if (!l || !o || common->given[at]) return SLM_OK;
    *path = store_blob_path(s, l->digest);
    return *path ? option_assign(o, *path, values, err) : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "settings: out of memory");
}

/* Templates of Ollama's registry are in Go's language; the model's own file mostly has the same one in Jinja. */
static slm_status apply_template(const struct store *s, const struct manifest *m, const struct option_table *t, void *values, struct settings *kept, slm_err *err) {
    struct buf text;
    slm_status st = read_layer(s, m, LAYER_TEMPLATE, &text, err);
    struct view v = {text.data, text.len};
    bool waits = st == SLM_OK && text.len && gotmpl_is(v) && (gotmpl_is_bare(v) || !create_is_own(manifest_find(m, LAYER_TEMPLATE)));
    if (waits) log_print(LOG_INFO, "the template in Go's language is used where the model's file has none"); /* named_lend_template */
    else if (st == SLM_OK && text.len) st = apply_file(s, m, LAYER_TEMPLATE, t, "template", values, &kept->template, err);
    buf_fini(&text);
    return st;
}

slm_status settings_go_template(const struct store *s, const struct manifest *m, struct buf *out, slm_err *err) {
    slm_status st = read_layer(s, m, LAYER_TEMPLATE, out, err);
    struct view v = {out->data, out->len};
    if (st == SLM_OK && out->len && (!gotmpl_is(v) || gotmpl_is_bare(v))) buf_fini(out);
    return st;
}

slm_status settings_apply(const struct store *s, const struct manifest *m, const struct option_table *t, void *values, struct settings *kept, slm_err *err) {
    const struct common_values *common = values;
    size_t at, at_raw;
    *kept = (struct settings){0};
    slm_status st = apply_params(s, m, t, values, kept, err);
    if (st == SLM_OK) st = read_layer(s, m, LAYER_SYSTEM, &kept->system, err);
    const struct option *o = find_option(t, "system", &at);
    if (st != SLM_OK || (find_option(t, "raw", &at_raw) && common->given[at_raw])) return st; /* the prompt as it is */
    if (kept->system.len && o && !common->given[at]) st = option_assign(o, kept->system.data, values, err);
    if (st == SLM_OK) st = apply_template(s, m, t, values, kept, err);
    if (st == SLM_OK) st = apply_file(s, m, LAYER_MESSAGES, t, "messages", values, &kept->messages, err);
    return st;
}

void settings_fini(struct settings *kept) {
    json_decref(kept->params);
    buf_fini(&kept->system);
    free(kept->template);
    free(kept->messages);
    *kept = (struct settings){0};
}
