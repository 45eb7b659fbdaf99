/* jinja.c -- compile and render: where an error of the interpreter lands. */
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "text/jinja/jinja_int.h"

struct jinja_template {
    struct arena arena;
    struct view source;
    struct view *names;
    size_t n_names;
    struct jprogram program;
};

bool j_guarded(struct jinja *J, void (*job)(struct jinja *J, void *arg), void *arg) {
    if (setjmp(J->jmp)) return false;
    job(J, arg);
    return true;
}

void j_fault_init(struct jinja_fault *fault) {
    if (!fault) return;
    *fault = (struct jinja_fault){.class_name = ""};
    buf_init(&fault->message, 64u << 20);
}

void j_fault_note(const struct jinja *J, struct jinja_fault *fault) {
    if (!fault) return;
    fault->class_name = jexc_rows[J->exc].name;
    fault->raised = J->exc == JX_TEMPLATE;
    fault->line = J->line;
    buf_clear(&fault->message);
    buf_puts(&fault->message, J->message);
}

static slm_status fault_fill(const struct jinja *J, struct jinja_fault *fault, slm_err *err) {
    const struct jexc_row *row = &jexc_rows[J->exc];
    j_fault_note(J, fault);
    if (J->exc == JX_TEMPLATE) return err_set(err, row->status, SLM_NOWHERE, "%s", J->message);
    return err_set(err, row->status, SLM_NOWHERE, "template line %d: %s: %s", J->line, row->name, J->message);
}

void jinja_fault_fini(struct jinja_fault *f) { buf_fini(&f->message); }

/* Compiling */

static void compile_job(struct jinja *J, void *arg) {
    struct jinja_template *t = arg;
    t->source.ptr = js_copy(J, t->source)->u.s.ptr;
    t->program.body = parse_template(J, t->source, &t->program.blocks);
    scope_bind(J, &t->program);
}

#define COMPILE_STEPS_MAX (50u << 20)
#define COMPILE_DEPTH_MAX 600

slm_status jinja_compile(struct view source, struct jinja_template **out, struct jinja_fault *fault, slm_err *err) {
    slm_status st = SLM_OK;
    struct jinja_template *t = NULL;
    struct jinja *J = NULL;
    *out = NULL;
    j_fault_init(fault);
    if (source.len > JINJA_SOURCE_BYTES_MAX)
        return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "template \"%zu bytes\": at most %u", source.len, JINJA_SOURCE_BYTES_MAX);
    TRY(mem_alloc((void **)&t, 1, sizeof *t, "template", err));
    arena_init(&t->arena, JINJA_COMPILE_BYTES_MAX);
    TRY(mem_alloc((void **)&J, 1, sizeof *J, "template", err));
    t->source = source;
    J->arena = &t->arena;
    J->steps_max = COMPILE_STEPS_MAX;
    J->depth_max = COMPILE_DEPTH_MAX;
    J->line = 1;
    if (!j_guarded(J, compile_job, t)) {
        st = fault_fill(J, fault, err);
        goto out;
    }
    t->names = J->names;
    t->n_names = J->n_names;
    *out = t;
    t = NULL;
out:
    free(J);
    jinja_destroy(t);
    return st;
}

void jinja_destroy(struct jinja_template *t) {
    if (!t) return;
    arena_fini(&t->arena);
    free(t);
}

bool jinja_mentions(const struct jinja_template *t, const char *bytes) { return js_find(t->source, view_of(bytes), 0) != SIZE_MAX; }

/* Rendering */

static struct jval *from_json(struct jinja *J, const json_t *json, bool trusted) {
    struct jval *v;
    j_enter(J);
    switch (json_typeof(json)) {
    case JSON_NULL: v = &jv_none; break;
    case JSON_TRUE: v = &jv_true; break;
    case JSON_FALSE: v = &jv_false; break;
    case JSON_INTEGER: v = jv_int(J, json_integer_value(json)); break;
    case JSON_REAL: v = jv_float(J, json_real_value(json)); break;
    case JSON_STRING: {
        struct view text = {json_string_value(json), json_string_length(json)};
        v = trusted ? js_new(J, text) : js_input(J, text);
        break;
    }
    case JSON_ARRAY:
        v = jv_list(J, json_array_size(json));
        for (size_t i = 0; i < v->u.l.n; i++) v->u.l.v[i] = from_json(J, json_array_get(json, i), trusted);
        break;
    default: {
        const char *key;
        json_t *item;
        v = jv_dict(J);
        json_object_foreach((json_t *)json, key, item) {
            struct jval *name = trusted ? js_new(J, view_of(key)) : js_input(J, view_of(key));
            jd_set(J, &v->u.d, name, from_json(J, item, trusted));
        }
    }
    }
    j_leave(J);
    return v;
}

static bool is_trusted(const char *name) { /* the model's own strings: bos_token, eos_token, ... */
    size_t n = strlen(name);
    return n >= 6 && strcmp(name + n - 6, "_token") == 0;
}

struct render {
    const struct jinja_template *t;
    const json_t *input;
    struct jsb text;
};

static void render_job(struct jinja *J, void *arg) {
    struct render *r = arg;
    size_t n;
    const char *key;
    json_t *item;
    const struct jfunc_row *rows = jinja_globals(&n);
    J->globals = jv_dict(J);
    for (size_t i = 0; i < n; i++) jd_set(J, &J->globals->u.d, js_lit(J, rows[i].name), jv_func(J, &rows[i]));
    json_object_foreach((json_t *)r->input, key, item) jd_set(J, &J->globals->u.d, js_new(J, view_of(key)), from_json(J, item, is_trusted(key)));
    J->out = &r->text;
    ex_program(J, &r->t->program);
}

slm_status j_clock(struct tm *now, slm_err *err) {
    const char *fixed = env_get(ENV_SLM_NOW);
    time_t seconds = time(NULL);
    *now = (struct tm){.tm_isdst = -1};
    if (!fixed) {
        localtime_r(&seconds, now);
        return SLM_OK;
    }
    const char *end = strptime(fixed, "%Y-%m-%dT%H:%M:%S", now);
    if (!end || *end) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "SLM_NOW \"%.60s\": not a time", fixed);
        err_hint(err, "write it as 2026-07-04T09:05:00");
        return SLM_E_USAGE;
    }
    struct tm whole = *now;
    timegm(&whole); /* day of the week and of the year */
    now->tm_wday = whole.tm_wday;
    now->tm_yday = whole.tm_yday;
    return SLM_OK;
}

slm_status j_result(const struct jsb *text, struct jinja_result *out, slm_err *err) {
    slm_status st = SLM_OK;
    buf_append(&out->text, text->ptr, text->len);
    TRY(buf_status(&out->text, "rendered template", err));
    TRY(mem_alloc((void **)&out->spans, text->n_spans + 1, sizeof *out->spans, "spans of a rendered template", err));
    for (size_t i = 0; i < text->n_spans; i++) out->spans[i] = (struct jinja_span){text->spans[i].start, text->spans[i].end};
    out->n_spans = text->n_spans;
out:
    return st;
}

slm_status jinja_render(const struct jinja_template *t, const json_t *input, const struct jlimits *limits, struct jinja_result *out,
                        struct jinja_fault *fault, slm_err *err) {
    slm_status st = SLM_OK;
    struct jlimits most = limits ? *limits : JINJA_LIMITS_DEFAULT;
    struct arena arena;
    struct jinja *J = NULL;
    struct render r = {.t = t, .input = input};
    *out = (struct jinja_result){0};
    buf_init(&out->text, most.bytes);
    j_fault_init(fault);
    arena_init(&arena, most.bytes);
    if (!json_is_object(input)) FAIL(SLM_E_USAGE, SLM_NOWHERE, "template input: not a JSON object");
    TRY(mem_alloc((void **)&J, 1, sizeof *J, "template", err));
    J->arena = &arena;
    J->steps_max = most.steps;
    J->depth_max = most.depth;
    J->names = t->names;
    J->n_names = t->n_names;
    J->line = 1;
    TRY(j_clock(&J->now, err));
    if (j_guarded(J, render_job, &r)) st = j_result(&r.text, out, err);
    else st = fault_fill(J, fault, err);
out:
    if (st != SLM_OK) jinja_result_fini(out);
    free(J);
    arena_fini(&arena);
    return st;
}

void jinja_result_fini(struct jinja_result *r) {
    buf_fini(&r->text);
    free(r->spans);
    *r = (struct jinja_result){0};
}
