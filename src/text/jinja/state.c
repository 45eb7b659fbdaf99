/* state.c -- errors, memory, bounds and names of the interpreter. */
#include <stdarg.h>
#include <stdio.h>

#include "text/jinja/jinja_int.h"

const struct jexc_row jexc_rows[JX_COUNT] = {
    [JX_TEMPLATE] = {"TemplateError", SLM_E_FAILED},
    [JX_SYNTAX] = {"TemplateSyntaxError", SLM_E_FORMAT},
    [JX_ASSERTION] = {"TemplateAssertionError", SLM_E_FORMAT},
    [JX_UNDEFINED] = {"UndefinedError", SLM_E_FAILED},
    [JX_RUNTIME] = {"TemplateRuntimeError", SLM_E_FAILED},
    [JX_SECURITY] = {"SecurityError", SLM_E_FAILED},
    [JX_FILTER_ARG] = {"FilterArgumentError", SLM_E_FAILED},
    [JX_TYPE] = {"TypeError", SLM_E_FAILED},
    [JX_VALUE] = {"ValueError", SLM_E_FAILED},
    [JX_KEY] = {"KeyError", SLM_E_FAILED},
    [JX_INDEX] = {"IndexError", SLM_E_FAILED},
    [JX_ATTRIBUTE] = {"AttributeError", SLM_E_FAILED},
    [JX_ZERO_DIV] = {"ZeroDivisionError", SLM_E_FAILED},
    [JX_OVERFLOW] = {"OverflowError", SLM_E_FAILED},
    [JX_RECURSION] = {"RecursionError", SLM_E_LIMIT},
    [JX_ASSERT] = {"AssertionError", SLM_E_FAILED},
    [JX_PYTHON_RUNTIME] = {"RuntimeError", SLM_E_FAILED},
    [JX_PYTHON_SYNTAX] = {"SyntaxError", SLM_E_FORMAT},
    [JX_ENCODE] = {"UnicodeEncodeError", SLM_E_FAILED},
    [JX_LIMIT] = {"LimitError", SLM_E_LIMIT},
    [JX_UNSUPPORTED] = {"UnsupportedError", SLM_E_UNSUPPORTED},
    [JX_NOMEM] = {"MemoryError", SLM_E_NOMEM},
};

#define MESSAGE_BYTES_MAX 4096 /* of messages made here; raise_exception's own may be longer */

static _Noreturn void leave(struct jinja *J, enum jexc exc, const char *message) {
    J->exc = exc;
    J->message = message;
    longjmp(J->jmp, 1);
}

static const char *format_message(struct jinja *J, const char *fmt, va_list args) {
    static const char plain[] = "no memory for the message";
    char text[MESSAGE_BYTES_MAX];
    int n = vsnprintf(text, sizeof text, fmt, args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    J->arena->bytes_max += MESSAGE_BYTES_MAX + 64; /* the last allocation of a render that failed */
    char *copy = arena_strdup(J->arena, (struct view){text, len});
    return copy ? copy : plain;
}

_Noreturn void j_raise(struct jinja *J, enum jexc exc, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    const char *message = format_message(J, fmt, args);
    va_end(args);
    leave(J, exc, message);
}

_Noreturn void j_raise_line(struct jinja *J, int line, enum jexc exc, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    const char *message = format_message(J, fmt, args);
    va_end(args);
    J->line = line;
    leave(J, exc, message);
}

_Noreturn void j_raise_str(struct jinja *J, enum jexc exc, const struct jsb *message) {
    J->arena->bytes_max += message->len + 64;
    char *copy = arena_strdup(J->arena, (struct view){message->ptr, message->len});
    leave(J, exc, copy ? copy : "no memory for the message");
}

void *j_alloc(struct jinja *J, size_t n, size_t size) {
    size_t bytes;
    void *p = size_mul(n, size, &bytes) ? arena_alloc(J->arena, bytes, 8) : NULL;
    if (!p) {
        if (!size_mul(n, size, &bytes) || bytes > J->arena->bytes_max - J->arena->bytes_used)
            j_raise(J, JX_LIMIT, "more than %zu bytes of memory", J->arena->bytes_max);
        leave(J, JX_NOMEM, "out of memory");
    }
    return p;
}

void *j_grow(struct jinja *J, void *v, size_t n, size_t *cap, size_t size) {
    if (n < *cap) return v;
    size_t more = *cap ? *cap * 2 : 4;
    void *wider = j_alloc(J, more, size);
    if (n) memcpy(wider, v, n * size);
    *cap = more;
    return wider;
}

void j_step(struct jinja *J, size_t n) {
    if (n > J->steps_max - J->steps) j_raise(J, JX_LIMIT, "more than %zu steps: does the template ever end?", J->steps_max);
    J->steps += n;
}

void j_enter(struct jinja *J) {
    if (++J->depth > J->depth_max) j_raise(J, JX_RECURSION, "maximum recursion depth exceeded");
}

void j_leave(struct jinja *J) { J->depth--; }

bool j_attempt(struct jinja *J, enum jexc exc, void (*job)(struct jinja *J, void *arg), void *arg) {
    jmp_buf outer;
    const int depth = J->depth;
    struct jsb *const out = J->out;
    const bool autoescape = J->autoescape;
    memcpy(&outer, &J->jmp, sizeof outer);
    bool failed = setjmp(J->jmp) != 0;
    if (!failed) job(J, arg);
    memcpy(&J->jmp, &outer, sizeof outer);
    if (failed && J->exc != exc) longjmp(J->jmp, 1);
    if (failed) {
        J->depth = depth;
        J->out = out;
        J->autoescape = autoescape;
    }
    return !failed;
}

/* Names: open addressing over the numbers of names, at most half full. */

static uint32_t hash_name(struct view v) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < v.len; i++) h = (h ^ (unsigned char)v.ptr[i]) * 16777619u;
    return h;
}

static void place_name(struct jinja *J, size_t id) {
    size_t i = hash_name(J->names[id]) & (J->n_names_index - 1);
    while (J->names_index[i]) i = (i + 1) & (J->n_names_index - 1);
    J->names_index[i] = (uint32_t)id + 1;
}

int j_intern(struct jinja *J, struct view name) {
    for (size_t i = J->n_names_index ? hash_name(name) & (J->n_names_index - 1) : 0; J->n_names_index && J->names_index[i];
         i = (i + 1) & (J->n_names_index - 1))
        if (view_eq(J->names[J->names_index[i] - 1], name)) return (int)J->names_index[i] - 1;
    J->names = j_grow(J, J->names, J->n_names, &J->cap_names, sizeof *J->names);
    J->names[J->n_names] = name;
    if (++J->n_names * 2 > J->n_names_index) {
        J->n_names_index = J->n_names_index ? J->n_names_index * 2 : 64;
        J->names_index = j_alloc(J, J->n_names_index, sizeof *J->names_index);
        for (size_t id = 0; id < J->n_names; id++) place_name(J, id);
    } else {
        place_name(J, J->n_names - 1);
    }
    return (int)J->n_names - 1;
}
