/* mask.c -- structured output over a real vocabulary: how long a schema takes to compile, and a mask to make.
 *
 * bench_mask VOCAB.gguf SUITE_FOLDER [BFCL_FOLDER]: schemas are those of the JSON-Schema-Test-Suite and the parameters of BFCL's
 * functions. Every valid instance (for BFCL: what random picks make) is followed token by token, and a whole mask made before each,
 * as if no pick were ever right. Times are the thread's own, in microseconds. Also: what was taken and refused wrongly. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/constrain.h"
#include "format/gguf.h"
#include "model/model.h"

#define WALK_TOKENS 40

struct times {
    double *v;
    size_t n, cap;
};

struct bench {
    const struct tok *tok;
    const struct constrain_vocab *vocab;
    struct times compile, mask, cold;
    size_t n_schema, n_compiled, n_noted, n_yes, n_yes_taken, n_no, n_no_taken, n_walk, n_walk_valid, n_walk_noted;
    bool is_verbose;
};

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static void add(struct times *t, double us) {
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 1024;
        t->v = realloc(t->v, t->cap * sizeof *t->v);
        if (!t->v) abort();
    }
    t->v[t->n++] = us;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void print(const char *name, struct times *t) {
    if (t->n == 0) return;
    qsort(t->v, t->n, sizeof *t->v, compare);
    printf("%-10s n %7zu  p50 %9.1f  p90 %9.1f  p99 %9.1f  p99.9 %9.1f  max %9.1f us\n", name, t->n, t->v[t->n / 2], t->v[t->n * 9 / 10], t->v[t->n * 99 / 100],
           t->v[t->n * 999 / 1000], t->v[t->n - 1]);
}

static void timed_mask(struct bench *b, struct constrain_run *run) {
    const uint32_t *bits;
    double t0 = now_us();
    (void)constrain_mask(run, -1, &bits, NULL);
    add(&b->mask, now_us() - t0);
}

/* Whether the automaton takes a value, as compact JSON in the tokenizer's own tokens. */
static bool follow(struct bench *b, struct constraint *c, const json_t *value) {
    struct constrain_run *run = NULL;
    struct tok_ids ids = {0};
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    bool ok = text && tok_encode(b->tok, view_of(text), 0, &ids, NULL) == SLM_OK && constrain_run_create(c, true, &run, NULL) == SLM_OK; /* SPM begins with a space that is no part of the text */
    for (size_t i = 0; ok && i < ids.n; i++) {
        timed_mask(b, run);
        ok = constrain_allows(run, ids.v[i], -1) && constrain_accept(run, ids.v[i], NULL) == SLM_OK;
    }
    ok = ok && constrain_may_end(run);
    constrain_run_destroy(run);
    tok_ids_fini(&ids);
    free(text);
    return ok;
}

static struct constraint *compile(struct bench *b, const json_t *schema, slm_err *err) {
    struct constraint *c = NULL;
    char *text = json_dumps(schema, JSON_COMPACT | JSON_ENCODE_ANY);
    struct constrain_spec spec = {.kind = CONSTRAIN_SCHEMA, .text = view_of(text ? text : "")};
    double t0 = now_us();
    slm_status st = constraint_create(&spec, b->vocab, &c, err);
    add(&b->compile, now_us() - t0);
    b->n_schema++;
    b->n_compiled += st == SLM_OK;
    if (c) b->n_noted += constraint_notes(c)->n > 0;
    if (b->is_verbose && b->compile.v[b->compile.n - 1] > 5000) printf("%.0f us: %.300s\n", b->compile.v[b->compile.n - 1], text);
    free(text);
    return c;
}

/* A text made by uniform picks among what is allowed, closed in time, and judged. */
static void random_walk(struct bench *b, struct constraint *c, uint64_t seed, int32_t extra) {
    struct constrain_run *run;
    struct rng rng;
    struct buf text;
    slm_err err;
    bool is_valid = false;
    uint32_t n_vocab = tok_n_vocab(b->tok);
    if (constrain_run_create(c, false, &run, NULL) != SLM_OK) return;
    rng_init(&rng, seed);
    buf_init(&text, 1u << 24);
    for (int32_t n_left = constrain_min_tokens(run) + extra; n_left > 0 && !constrain_is_done(run); n_left--) {
        const uint32_t *bits;
        if (extra == WALK_TOKENS) timed_mask(b, run);
        if (constrain_mask(run, n_left, &bits, &err) != SLM_OK) break;
        uint32_t id = (uint32_t)(rng_u64(&rng) % n_vocab);
        while (!(bits[id / 32] >> (id % 32) & 1)) id = (id + 1) % n_vocab;
        if (tok_is_end(b->tok, (int32_t)id) || constrain_accept(run, (int32_t)id, NULL) != SLM_OK) break;
        struct view piece = tok_piece(b->tok, (int32_t)id, false);
        buf_append(&text, piece.ptr, piece.len);
    }
    b->n_walk++;
    bool ok = constrain_may_end(run) && constraint_check(c, (struct view){text.data, text.len}, &is_valid, &err) == SLM_OK && is_valid;
    b->n_walk_valid += ok;
    b->n_walk_noted += !ok && constraint_notes(c)->n > 0;
    if (!ok && b->is_verbose && constraint_notes(c)->n == 0) printf("not valid: %.200s: %s\n", text.data, constrain_may_end(run) ? err.msg : "not complete");
    buf_fini(&text);
    constrain_run_destroy(run);
}

static void bench_suite_group(struct bench *b, const json_t *group, const char *draft) {
    slm_err err;
    size_t i;
    json_t *test, *schema = json_deep_copy(json_object_get(group, "schema"));
    if (json_is_object(schema) && !json_object_get(schema, "$schema") && strstr(draft, "draft7"))
        json_object_set_new(schema, "$schema", json_string("http://json-schema.org/draft-07/schema#"));
    struct constraint *c = compile(b, schema, &err);
    json_array_foreach(json_object_get(group, "tests"), i, test) {
        bool want = json_is_true(json_object_get(test, "valid"));
        if (!c) break;
        bool taken = follow(b, c, json_object_get(test, "data"));
        if (want) b->n_yes++, b->n_yes_taken += taken;
        else if (constraint_notes(c)->n == 0) {
            b->n_no++, b->n_no_taken += taken;
            if (taken && b->is_verbose) printf("taken wrongly: %s: %s\n", json_string_value(json_object_get(group, "description")), json_string_value(json_object_get(test, "description")));
        }
    }
    for (int32_t extra = 0; c && extra < 2; extra++) random_walk(b, c, (uint64_t)extra + 1, extra * 5);
    if (c) random_walk(b, c, 9, WALK_TOKENS);
    if (!c && b->is_verbose) printf("refused: %s: %s\n", json_string_value(json_object_get(group, "description")), err.msg);
    constraint_destroy(c);
    json_decref(schema);
}

static void bench_suite(struct bench *b, const char *folder, const char *draft) {
    char path[2048];
    json_error_t e;
    struct dirent *d;
    snprintf(path, sizeof path, "%s/tests/%s", folder, draft);
    DIR *dir = opendir(path);
    while (dir && (d = readdir(dir))) {
        size_t i;
        json_t *group;
        if (!strstr(d->d_name, ".json")) continue;
        snprintf(path, sizeof path, "%s/tests/%s/%s", folder, draft, d->d_name);
        json_t *groups = json_load_file(path, 0, &e);
        json_array_foreach(groups, i, group) bench_suite_group(b, group, draft);
        json_decref(groups);
    }
    if (dir) closedir(dir);
}

/* BFCL writes Python's names of types. */
static void fix_types(json_t *v) {
    static const char *const names[][2] = {{"dict", "object"}, {"float", "number"}, {"tuple", "array"}, {"any", ""}, {"list", "array"}, {"str", "string"}, {"int", "integer"}, {"bool", "boolean"}};
    const char *key;
    json_t *kid;
    size_t i;
    const char *type = json_string_value(json_object_get(v, "type"));
    for (i = 0; type && i < 8; i++) {
        if (strcmp(type, names[i][0]) != 0) continue;
        if (*names[i][1]) json_object_set_new(v, "type", json_string(names[i][1]));
        else json_object_del(v, "type");
        break;
    }
    json_object_foreach(v, key, kid) fix_types(kid);
    json_array_foreach(v, i, kid) fix_types(kid);
}

static void bench_bfcl(struct bench *b, const char *path) {
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t cap = 0;
    while (f && getline(&line, &cap, f) > 0) {
        size_t i;
        json_t *function, *row = json_loads(line, 0, NULL);
        json_array_foreach(json_object_get(row, "function"), i, function) {
            json_t *schema = json_object_get(function, "parameters");
            slm_err err;
            fix_types(schema);
            struct constraint *c = compile(b, schema, &err);
            if (c) random_walk(b, c, 3, 0);
            if (c) random_walk(b, c, 5, WALK_TOKENS);
            if (!c && b->is_verbose) printf("refused: %s\n", err.msg);
            constraint_destroy(c);
        }
        json_decref(row);
    }
    free(line);
    if (f) fclose(f);
}

static void report(struct bench *b, const char *name) {
    printf("%s: %zu schemas, %zu compiled, %zu of them with something only checked\n", name, b->n_schema, b->n_compiled, b->n_noted);
    print("compile", &b->compile);
    print("mask", &b->mask);
    if (b->n_yes) printf("valid instances taken: %zu of %zu; invalid taken where all is enforced: %zu of %zu\n", b->n_yes_taken, b->n_yes, b->n_no_taken, b->n_no);
    printf("random walks: %zu of %zu valid; of the others %zu had something only checked\n\n", b->n_walk_valid, b->n_walk, b->n_walk_noted);
    free(b->compile.v);
    free(b->mask.v);
    *b = (struct bench){.tok = b->tok, .vocab = b->vocab, .is_verbose = b->is_verbose};
}

int main(int argc, char **argv) {
    slm_err err;
    struct gguf *g = NULL;
    struct tok *tok = NULL;
    struct constrain_vocab *vocab = NULL;
    static const char *const bfcl[] = {"BFCL_v4_simple_python.json", "BFCL_v4_multiple.json", "BFCL_v4_live_simple.json"};
    if (argc < 3) {
        fprintf(stderr, "usage: bench_mask VOCAB.gguf SUITE_FOLDER [BFCL_FOLDER]\n");
        return 2;
    }
    slm_status st = gguf_open(argv[1], &g, &err);
    if (st == SLM_OK) st = model_read_tokenizer(g, &tok, &err);
    double t0 = now_us();
    if (st == SLM_OK) st = constrain_vocab_create(tok, &vocab, &err);
    if (st == SLM_OK) {
        struct bench b = {.tok = tok, .vocab = vocab, .is_verbose = argc > 4};
        printf("vocabulary of %u tokens as a trie: %.1f ms\n\n", tok_n_vocab(tok), (now_us() - t0) * 1e-3);
        bench_suite(&b, argv[2], "draft2020-12");
        bench_suite(&b, argv[2], "draft7");
        report(&b, "JSON-Schema-Test-Suite");
        for (size_t i = 0; argc > 3 && i < 3; i++) {
            char path[2048];
            snprintf(path, sizeof path, "%s/%s", argv[3], bfcl[i]);
            bench_bfcl(&b, path);
        }
        if (argc > 3) report(&b, "BFCL functions");
    } else {
        fprintf(stderr, "error: %s\n", err.msg);
    }
    constrain_vocab_destroy(vocab);
    tok_destroy(tok);
    gguf_close(g);
    return st == SLM_OK ? 0 : 1;
}
