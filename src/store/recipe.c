/* recipe.c -- parameters by rows, messages, and what is common to Modelfiles and requests. */
#include "store/recipe.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/show.h"

#define RECIPE_BYTES_MAX (4u << 20)

enum param_kind { PARAM_INT, PARAM_FLOAT, PARAM_BOOL, PARAM_TEXTS };
static const struct param_row {
    const char *name;
    enum param_kind kind;
} params[] = {
    {"temperature", PARAM_FLOAT}, {"top_k", PARAM_INT}, {"top_p", PARAM_FLOAT}, {"min_p", PARAM_FLOAT}, {"typical_p", PARAM_FLOAT},
    {"repeat_penalty", PARAM_FLOAT}, {"repeat_last_n", PARAM_INT}, {"presence_penalty", PARAM_FLOAT}, {"frequency_penalty", PARAM_FLOAT},
    {"seed", PARAM_INT}, {"stop", PARAM_TEXTS}, {"num_predict", PARAM_INT}, {"num_ctx", PARAM_INT},
    /* of Ollama's engine; they do not change what is said */
    {"num_thread", PARAM_INT}, {"num_keep", PARAM_INT}, {"num_batch", PARAM_INT}, {"num_gpu", PARAM_INT}, {"main_gpu", PARAM_INT},
    {"use_mmap", PARAM_BOOL}, {"use_mlock", PARAM_BOOL}, {"low_vram", PARAM_BOOL}, {"numa", PARAM_BOOL}, {"f16_kv", PARAM_BOOL}, {"draft_num_predict", PARAM_INT},
};
#define N_PARAMS (sizeof params / sizeof params[0])
static const char *const kind_names[] = {"a whole number", "a number", "true or false", "a text"};

slm_status recipe_init(struct recipe *r, slm_err *err) {
    *r = (struct recipe){.params = json_object(), .messages = json_array(), .licenses = json_array(), .adapters = json_array(), .left_out = json_array()};
    arena_init(&r->mem, RECIPE_BYTES_MAX);
    return r->params && r->messages && r->licenses && r->adapters && r->left_out ? SLM_OK : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "recipe: out of memory");
}

void recipe_fini(struct recipe *r) {
    json_decref(r->params);
    json_decref(r->messages);
    json_decref(r->licenses);
    json_decref(r->adapters);
    json_decref(r->left_out);
    json_decref(r->files);
    arena_fini(&r->mem);
    *r = (struct recipe){0};
}

static const struct param_row *find_param(const char *name) {
    for (size_t i = 0; i < N_PARAMS; i++)
        if (strcmp(params[i].name, name) == 0) return &params[i];
    return NULL;
}

bool recipe_has_param(const char *name) { return find_param(name) != NULL; }

static slm_status refuse_param(const char *name, slm_err *err) {
    const char *names[N_PARAMS];
    for (size_t i = 0; i < N_PARAMS; i++) names[i] = params[i].name;
    const char *best = nearest_name(name, names, N_PARAMS);
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "parameter \"%s\": there is no such parameter here", show_cstr(name).s);
    if (nearest_is_close(name, best)) err_hint(err, "did you mean \"%s\"?", best);
    return SLM_E_USAGE;
}

/* A text as a value of the kind; NULL: it is none. */
static json_t *value_of_text(enum param_kind kind, const char *text) {
    char *end;
    errno = 0;
    if (kind == PARAM_TEXTS) return json_string(text);
    if (kind == PARAM_BOOL) return strcmp(text, "true") == 0 ? json_true() : strcmp(text, "false") == 0 ? json_false() : NULL;
    if (!*text || strchr(" \t\n\r\v\f", *text)) return NULL;
    if (kind == PARAM_INT) {
        long long i = strtoll(text, &end, 10);
        return *end || errno ? NULL : json_integer(i);
    }
    double d = strtod(text, &end);
    return *end || !isfinite(d) || strpbrk(text, "xXpP") ? NULL : json_real(d);
}

/* A new reference to what v is as one of the kind; NULL: it is none. */
static json_t *value_of_json(enum param_kind kind, const json_t *v) {
    if (json_is_string(v)) return value_of_text(kind, json_string_value(v));
    bool ok = (kind == PARAM_INT && json_is_integer(v)) || (kind == PARAM_FLOAT && json_is_number(v)) || (kind == PARAM_BOOL && json_is_boolean(v));
    return ok ? json_incref((json_t *)(uintptr_t)v) : NULL;
}

slm_status recipe_set_param(struct recipe *r, const char *name, const json_t *v, slm_err *err) {
    const struct param_row *row = find_param(name);
    if (!row) return refuse_param(name, err);
    if (row->kind == PARAM_TEXTS && json_is_array(v)) {
        slm_status st = SLM_OK;
        for (size_t i = 0; i < json_array_size(v) && st == SLM_OK; i++) {
            const json_t *item = json_array_get(v, i);
            st = json_is_string(item) ? recipe_set_param(r, name, item, err) : err_set(err, SLM_E_USAGE, SLM_NOWHERE, "parameter \"%s\": an element is no text", name);
        }
        return st;
    }
    json_t *value = value_of_json(row->kind, v);
    if (!value) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "parameter \"%s\": must be %s", name, kind_names[row->kind]);
    bool ok;
    if (row->kind == PARAM_TEXTS) {
        if (!json_object_get(r->params, name)) json_object_set_new(r->params, name, json_array());
        ok = json_array_append_new(json_object_get(r->params, name), value) == 0;
    } else ok = json_object_set_new(r->params, name, value) == 0;
    return ok ? SLM_OK : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "recipe: out of memory");
}

slm_status recipe_add_message(struct recipe *r, const char *role, struct view content, slm_err *err) {
    static const char *const roles[] = {"system", "user", "assistant"};
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        if (strcmp(role, roles[i]) != 0) continue;
        json_t *m = json_pack("{s:s, s:o}", "role", role, "content", json_stringn(content.ptr, content.len));
        return m && json_array_append_new(r->messages, m) == 0 ? SLM_OK : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "recipe: out of memory");
    }
    return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "role \"%s\": must be system, user or assistant", show_cstr(role).s);
}
