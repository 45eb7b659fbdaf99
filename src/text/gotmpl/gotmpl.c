/* gotmpl.c -- compile and render: where an error of the interpreter lands; and how a template of this language is told from one in Jinja. */
#include <stdlib.h>

#include "base/util.h"
#include "text/gotmpl/gotmpl_int.h"

struct gotmpl {
    struct arena arena;
    struct view source;
    struct gprogram program;
};

/* Telling */

static bool begins_with_word(const char *p, const char *end, const char *word) {
    size_t n = strlen(word);
    return (size_t)(end - p) >= n && memcmp(p, word, n) == 0 && (p + n == end || strchr(" \t\n}-", p[n]));
}

bool gotmpl_is(struct view source) {
    static const char *const words[] = {"if", "range", "with", "end", "else", "block", "define", "template", "and", "or", "eq", "not"};
    const char *end = source.ptr + source.len;
    bool is_go = false;
    for (const char *p = source.ptr; source.len && p + 1 < end; p++) {
        if (p[0] != '{' || (p[1] != '{' && p[1] != '%')) continue;
        if (p[1] == '%') return false;
        for (p += 2; p < end && (*p == '-' || *p == ' ' || *p == '\t' || *p == '\n');) p++;
        if (p == end) break;
        is_go |= *p == '.' || *p == '$' || *p == '/';
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) is_go |= begins_with_word(p, end, words[i]);
    }
    return is_go;
}

bool gotmpl_is_bare(struct view source) {
    char said[16];
    size_t n = 0;
    for (size_t i = 0; i < source.len; i++) {
        if (strchr(" \t\r\n-", source.ptr[i])) continue; /* spaces, and marks that trim them */
        if (n == sizeof said) return false;
        said[n++] = source.ptr[i];
    }
    return view_eq((struct view){said, n}, VIEW("{{.Prompt}}"));
}

/* Errors */

static slm_status fault_fill(const struct jinja *J, struct jinja_fault *fault, slm_err *err) {
    j_fault_note(J, fault);
    return err_set(err, jexc_rows[J->exc].status, SLM_NOWHERE, "template line %d: %s", J->line, J->message);
}

/* Compiling */

static void compile_job(struct jinja *J, void *arg) {
    struct gotmpl *t = arg;
    t->source.ptr = js_copy(J, t->source)->u.s.ptr;
    for (size_t at = 0; at < t->source.len;) {
        uint32_t cp;
        int n = utf8_decode(t->source.ptr + at, t->source.len - at, &cp);
        if (n == 0) j_raise(J, JX_SYNTAX, "not UTF-8");
        J->line += cp == '\n';
        at += (size_t)n;
    }
    gp_parse(J, t->source, &t->program);
}

#define COMPILE_BYTES_MAX (256u << 20)
#define COMPILE_STEPS_MAX (50u << 20)

slm_status gotmpl_compile(struct view source, struct gotmpl **out, struct jinja_fault *fault, slm_err *err) {
    slm_status st = SLM_OK;
    struct gotmpl *t = NULL;
    struct jinja *J = NULL;
    *out = NULL;
    j_fault_init(fault);
    if (source.len > GOTMPL_SOURCE_BYTES_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "template \"%zu bytes\": at most %u", source.len, GOTMPL_SOURCE_BYTES_MAX);
    TRY(mem_alloc((void **)&t, 1, sizeof *t, "template", err));
    arena_init(&t->arena, COMPILE_BYTES_MAX);
    TRY(mem_alloc((void **)&J, 1, sizeof *J, "template", err));
    t->source = source;
    J->arena = &t->arena;
    J->steps_max = COMPILE_STEPS_MAX;
    J->depth_max = GOTMPL_DEPTH_MAX;
    J->line = 1;
    if (!j_guarded(J, compile_job, t)) {
        st = fault_fill(J, fault, err);
        goto out;
    }
    *out = t;
    t = NULL;
out:
    free(J);
    gotmpl_destroy(t);
    return st;
}

void gotmpl_destroy(struct gotmpl *t) {
    if (!t) return;
    arena_fini(&t->arena);
    free(t);
}

bool gotmpl_mentions(const struct gotmpl *t, const char *bytes) { return js_find(t->source, view_of(bytes), 0) != SIZE_MAX; }

/* Rendering */

struct render {
    const struct gotmpl *t;
    const json_t *input;
    struct jsb text;
};

static void render_job(struct jinja *J, void *arg) {
    struct render *r = arg;
    struct grun run = {.J = J, .program = &r->t->program, .cut = SIZE_MAX};
    J->out = &r->text;
    gd_render(&run, r->input);
}

slm_status gotmpl_render(const struct gotmpl *t, const json_t *input, const struct jlimits *limits, struct jinja_result *out, struct jinja_fault *fault, slm_err *err) {
    slm_status st = SLM_OK;
    struct jlimits most = limits ? *limits : GOTMPL_LIMITS_DEFAULT;
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
