/* gold.c -- the table of gold answers, and which of them the mock gets wrong.
 *
 * Each question gets a rank from its own seeded draw and its hardness, mixed by the correlation; the lowest ranks, as many as the accuracy
 * says, are answered wrongly. So the accuracy over the table is exact, and the same question always gets the same answer. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/show.h"
#include "base/util.h"
#include "serve/mock/mock_int.h"

#define GOLD_BYTES_MAX ((size_t)1 << 30)

struct item {
    char *input, *gold;
    const char *said;
    double rank;
};
struct gold {
    struct item *v; /* [n], by input */
    size_t n, cap;
};

static int by_input(const void *a, const void *b) { return strcmp(((const struct item *)a)->input, ((const struct item *)b)->input); }
static int by_rank(const void *a, const void *b) {
    double x = (*(struct item *const *)a)->rank, y = (*(struct item *const *)b)->rank;
    return x < y ? -1 : x > y;
}

static char *trimmed(const char *s) {
    while (*s == ' ' || *s == '\n' || *s == '\t' || *s == '\r') s++;
    size_t n = strlen(s);
    while (n && strchr(" \n\t\r", s[n - 1])) n--;
    return strndup(s, n);
}

static slm_status add_line(struct gold *g, const struct mock_config *c, struct view line, size_t i_line, slm_err *err) {
    slm_status st = SLM_OK;
    struct rng rng;
    json_t *v = json_loadb(line.ptr, line.len, 0, NULL);
    const char *input = json_string_value(json_object_get(v, "input")), *gold = json_string_value(json_object_get(v, "gold"));
    double hard = json_number_value(json_object_get(v, "hard"));
    if (!input || !gold) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": line %zu has no \"input\" and \"gold\"", show_path(c->gold).s, i_line);
    if (g->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 256;
        struct item *grown = realloc(g->v, cap * sizeof *grown);
        if (!grown) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "gold answers: no memory");
        g->v = grown;
        g->cap = cap;
    }
    rng_init(&rng, c->seed ^ hash_bytes(HASH_START, input, strlen(input)));
    struct item *item = &g->v[g->n];
    *item = (struct item){.input = trimmed(input), .gold = strdup(gold), .rank = (1 - c->correlation) * rng_f64(&rng) + c->correlation * (1 - hard)};
    if (item->input && item->gold) g->n++;
    else st = err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "gold answers: no memory");
out:
    json_decref(v);
    return st;
}

/* The wrong answer: the next question's that differs. */
static const char *wrong_for(const struct gold *g, size_t i) {
    for (size_t k = 1; k < g->n; k++) {
        const char *other = g->v[(i + k) % g->n].gold;
        if (strcmp(other, g->v[i].gold) != 0) return other;
    }
    return "something else";
}

static slm_status choose(struct gold *g, double accuracy, slm_err *err) {
    struct item **order = malloc((g->n ? g->n : 1) * sizeof *order);
    size_t n_wrong = (size_t)((1 - accuracy) * (double)g->n + 0.5);
    if (!order) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "gold answers: no memory");
    for (size_t i = 0; i < g->n; i++) order[i] = &g->v[i];
    qsort(order, g->n, sizeof *order, by_rank);
    for (size_t i = 0; i < g->n; i++) order[i]->said = i < n_wrong ? wrong_for(g, (size_t)(order[i] - g->v)) : order[i]->gold;
    free(order);
    return SLM_OK;
}

slm_status gold_read(const struct mock_config *c, struct gold **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct buf text;
    struct gold *g = calloc(1, sizeof *g);
    *out = NULL;
    buf_init(&text, GOLD_BYTES_MAX);
    if (!g) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "gold answers: no memory");
    if (c->gold) TRY(file_read(&text, c->gold, err));
    size_t i_line = 1;
    for (size_t at = 0; at < text.len; i_line++) {
        const char *p = text.data + at, *nl = memchr(p, '\n', text.len - at);
        size_t n = nl ? (size_t)(nl - p) : text.len - at;
        at += n + 1;
        if (n) TRY(add_line(g, c, (struct view){p, n}, i_line, err));
    }
    if (g->n) qsort(g->v, g->n, sizeof *g->v, by_input);
    TRY(choose(g, c->accuracy, err));
    *out = g;
    g = NULL;
out:
    gold_free(g);
    buf_fini(&text);
    return st;
}

const char *gold_find(const struct gold *g, const char *question) {
    struct item key = {.input = trimmed(question)}, *found = key.input && g->n ? bsearch(&key, g->v, g->n, sizeof key, by_input) : NULL;
    free(key.input);
    return found ? found->said : NULL;
}

void gold_free(struct gold *g) {
    if (!g) return;
    for (size_t i = 0; i < g->n; i++) {
        free(g->v[i].input);
        free(g->v[i].gold);
    }
    free(g->v);
    free(g);
}
