/* calls.c -- tool calls as their family writes them, around arguments that are each tool's schema. */
#include <stdlib.h>
#include <string.h>

#include "text/schema/compile_int.h"

struct calls {
    const json_t *names;
    const struct call_form *form;
    const char *close;
    bool only_one;
};

static uint32_t blanks(struct compile *c, char of) {
    struct byteset set = {{0}};
    if (of == ' ') return c->space;
    byteset_add(&set, ' ', ' ');
    byteset_add(&set, '\n', '\n');
    return gram_rep(c->g, gram_set(c->g, &set), 0, CALL_FORM_BLANKS_MAX);
}

/* A piece of the form: text between places for blanks. */
static uint32_t piece(struct compile *c, const char *text) {
    uint32_t kids[64];
    size_t n = 0;
    while (*text && n < 64) {
        size_t len = strcspn(text, " \n");
        kids[n++] = len ? gram_lit(c->g, (struct view){text, len}) : blanks(c, *text);
        text += len ? len : 1;
    }
    return gram_seq(c->g, kids, n);
}

/* Arguments: an object, and what the tool's schema says. */
static uint32_t arguments(struct compile *c, size_t i) {
    struct conj *k = conj_new(c);
    json_t *object = compile_keep(c, json_pack("{s:s}", "type", "object"));
    uint32_t node = 0;
    if (k && object) conj_add(c, k, object, "");
    if (k && object) conj_add(c, k, json_array_get(json_object_get(c->s->root, "anyOf"), i), "");
    if (k && compile_is_ok(c)) node = conj_node(c, k);
    free(k);
    return node;
}

static uint32_t one_call(struct compile *c, const struct calls *of) {
    size_t n = json_array_size(of->names);
    uint32_t *ways = calloc(n + 1, sizeof *ways), between = piece(c, of->form->between);
    for (size_t i = 0; ways && i < n && compile_is_ok(c); i++) {
        const json_t *name = json_array_get(of->names, i);
        ways[i] = gram_seq(c->g, (uint32_t[]){gram_lit(c->g, (struct view){json_string_value(name), json_string_length(name)}), between, arguments(c, i)}, 3);
    }
    if (!ways) compile_fail(c, SLM_E_NOMEM, NULL, "", "no memory");
    uint32_t any = compile_is_ok(c) ? gram_alt(c->g, ways, n) : 0;
    free(ways);
    return gram_seq(c->g, (uint32_t[]){piece(c, of->form->before), any, piece(c, of->form->after)}, 3);
}

static uint32_t all_calls(struct compile *c, const void *user) {
    const struct calls *of = user;
    uint32_t call = one_call(c, of), calls = call;
    if (of->form->separator && !of->only_one) {
        uint32_t more = gram_seq(c->g, (uint32_t[]){piece(c, of->form->separator), call}, 2);
        calls = gram_seq(c->g, (uint32_t[]){call, gram_rep(c->g, more, 0, NODE_INF)}, 2);
    }
    return compile_is_ok(c) ? gram_seq(c->g, (uint32_t[]){piece(c, of->form->open), calls, piece(c, of->close)}, 3) : 0;
}

slm_status gram_from_calls(struct schema *s, const json_t *names, const struct call_form *form, const char *close, bool only_one, struct gram **out, struct schema_notes *notes, slm_err *err) {
    struct calls of = {names, form, close, only_one};
    return compile_run(s, all_calls, &of, out, notes, err);
}
