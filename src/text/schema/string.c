/* string.c -- strings: free ones of a length, or tables of patterns and formats, met together where several hold. */
#include <stdlib.h>
#include <string.h>

#include "text/schema/compile_int.h"

#define PATTERN_STATES_MAX 5000       /* of one pattern, and of several together */
#define COUNTED_MAX (1u << 20)        /* states times counts */

void put_json_string(struct buf *out, const char *text, size_t n) {
    static const char letters[] = "\b\t\n\f\r\"\\", names[] = "btnfr\"\\";
    for (size_t i = 0; i < n; i++) {
        const char *at = text[i] ? strchr(letters, text[i]) : NULL;
        if (at) buf_printf(out, "\\%c", names[at - letters]);
        else if ((unsigned char)text[i] < 0x20) buf_printf(out, "\\u%04x", (unsigned)(unsigned char)text[i]);
        else buf_putc(out, text[i]);
    }
}

/* \w without its underscore and such need nothing special: a pattern is searched for, a format is the whole. */
struct dfa *pattern_dfa(struct compile *c, const struct leaf *leaf, const char *keyword) {
    const char *text = json_string_value(json_object_get(leaf->node, keyword));
    bool is_format = strcmp(keyword, "format") == 0;
    struct dfa *d = NULL;
    slm_err err;
    if (is_format) {
        const struct schema_format *f = schema_format_find(text);
        if (!f) {
            compile_note(c, leaf->node, keyword, "not a format that is known: taken as an annotation");
            return NULL;
        }
        text = f->pattern;
    }
    slm_status st = regex_to_dfa(view_of(text), REGEX_JSON, !is_format, &d, &err);
    if (st == SLM_E_FORMAT) compile_fail(c, st, leaf->node, keyword, "%.150s", err.msg);
    else if (st != SLM_OK) compile_note(c, leaf->node, keyword, st == SLM_E_LIMIT ? "needs too large a table: only checked" : "has what a finite automaton cannot do: only checked");
    if (d && d->n_states > PATTERN_STATES_MAX) {
        compile_note(c, leaf->node, keyword, "needs too large a table: only checked");
        dfa_destroy(d);
        d = NULL;
    }
    return d;
}

/* The table of a keyword, made once for the same text; UINT32_MAX: not possible. */
static uint32_t known_dfa(struct compile *c, const struct leaf *leaf, const char *keyword) {
    const char *text = json_string_value(json_object_get(leaf->node, keyword));
    bool is_pattern = *keyword == 'p';
    for (size_t i = 0; i < c->n_dfas; i++)
        if (c->dfas[i].is_pattern == is_pattern && strcmp(c->dfas[i].text, text) == 0) return c->dfas[i].i_dfa;
    if (c->n_dfas == c->cap_dfas) {
        size_t cap = c->cap_dfas ? c->cap_dfas * 2 : 16;
        void *p = realloc(c->dfas, cap * sizeof *c->dfas);
        if (!p) {
            compile_fail(c, SLM_E_NOMEM, leaf->node, keyword, "no memory");
            return UINT32_MAX;
        }
        c->dfas = p;
        c->cap_dfas = cap;
    }
    struct dfa *d = pattern_dfa(c, leaf, keyword);
    if (!d || !compile_is_ok(c)) {
        dfa_destroy(d);
        return UINT32_MAX;
    }
    gram_dfa(c->g, d, 0, NODE_INF);
    if (!compile_is_ok(c)) return UINT32_MAX;
    c->dfas[c->n_dfas++] = (struct dfa_row){text, (uint32_t)c->g->n_dfas - 1, is_pattern};
    return (uint32_t)c->g->n_dfas - 1;
}

/* Two tables met; the result belongs to the graph. Not possible: the first alone, noted. */
static uint32_t meet(struct compile *c, uint32_t a, uint32_t b, const struct leaf *leaf, const char *keyword) {
    struct dfa *both = NULL;
    if (a == UINT32_MAX || b == UINT32_MAX || a == b) return a == UINT32_MAX ? b : a;
    if (dfa_combine(c->g->dfas[a], c->g->dfas[b], DFA_AND, &both, NULL) != SLM_OK || both->n_states > PATTERN_STATES_MAX) {
        dfa_destroy(both);
        compile_note(c, leaf->node, keyword, "needs too large a table together with others: only checked");
        return a;
    }
    gram_dfa(c->g, both, 0, NODE_INF);
    return compile_is_ok(c) ? (uint32_t)c->g->n_dfas - 1 : UINT32_MAX;
}

static uint32_t quoted(struct compile *c, uint32_t body) {
    uint32_t quote = gram_lit(c->g, VIEW("\""));
    return gram_seq(c->g, (uint32_t[]){quote, body, quote}, 3);
}

static const struct leaf *owner_of(const struct conj *k, const char *keyword) {
    for (size_t i = 0; i < k->n_leaf; i++)
        if (json_object_get(k->leaf[i].node, keyword)) return &k->leaf[i];
    return &k->leaf[0];
}

uint32_t string_node(struct compile *c, const struct conj *k) {
    uint32_t least = conj_least(k, "minLength"), most = conj_most(k, "maxLength"), i_dfa = UINT32_MAX;
    for (size_t i = 0; i < k->n_leaf && compile_is_ok(c); i++) {
        static const char *const keywords[] = {"format", "pattern"};
        for (int j = 0; j < 2; j++)
            if (json_object_get(k->leaf[i].node, keywords[j])) i_dfa = meet(c, i_dfa, known_dfa(c, &k->leaf[i], keywords[j]), &k->leaf[i], keywords[j]);
    }
    if (!compile_is_ok(c)) return 0;
    if (i_dfa == UINT32_MAX) return quoted(c, gram_json_body(c->g, least, most));
    const struct dfa *d = c->g->dfas[i_dfa];
    if (d->dist[0] == GRAM_COST_INF || least > most) return 0;
    uint32_t top = most == NODE_INF ? least : most;
    if ((uint64_t)d->n_states * ((uint64_t)top + 1) > COUNTED_MAX) {
        compile_note(c, owner_of(k, most == NODE_INF ? "minLength" : "maxLength")->node, most == NODE_INF ? "minLength" : "maxLength", "too long a count beside a pattern: only checked");
        least = 0;
        most = NODE_INF;
    }
    return quoted(c, gram_dfa_again(c->g, i_dfa, least, most));
}
