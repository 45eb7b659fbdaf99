/* ngram.c -- words and runs of characters, hashed.
 *
 * Words and characters each get half of a row's squared length, whatever their number is: else a text's characters, ten times as many,
 * would drown its words. */
#include "task/ngram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/util.h"

#define N_RUN_MIN 3
#define N_RUN_MAX 5
#define WORD_CHARS_MAX 64 /* longer words give their first characters */

void ngram_table_fini(struct ngram_table *t) {
    free(t->hash);
    free(t->weight);
    free(t->place);
    *t = (struct ngram_table){0};
}

void ngram_row_init(struct ngram_row *r) {
    *r = (struct ngram_row){0};
    buf_init(&r->folded, 4 * (size_t)NGRAM_TEXT_BYTES_MAX);
}

void ngram_row_fini(struct ngram_row *r) {
    free(r->index);
    free(r->value);
    free(r->hashes);
    buf_fini(&r->folded);
    *r = (struct ngram_row){0};
}

/* ---- table ---- */

static uint32_t mix(uint32_t h) { /* neighbouring hashes to far places */
    h ^= h >> 16;
    h *= 0x7feb352du;
    return h ^ h >> 15;
}

/* Where hash stands or would stand; t->n_place > n_feature. */
static uint32_t find_place(const struct ngram_table *t, uint32_t hash) {
    uint32_t at = mix(hash) & (t->n_place - 1);
    while (t->place[at] && t->hash[t->place[at] - 1] != hash) at = (at + 1) & (t->n_place - 1);
    return at;
}

static slm_status make_places(struct ngram_table *t, uint32_t n_place, slm_err *err) {
    void *mem = NULL;
    slm_status st = mem_alloc(&mem, n_place, sizeof *t->place, "features", err);
    if (st != SLM_OK) return st;
    free(t->place);
    t->place = mem;
    t->n_place = n_place;
    for (uint32_t i = 0; i < t->n_feature; i++) {
        uint32_t at = find_place(t, t->hash[i]);
        if (t->place[at]) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "head: feature %u is there twice", i);
        t->place[at] = i + 1;
    }
    return SLM_OK;
}

slm_status ngram_table_index(struct ngram_table *t, slm_err *err) {
    uint32_t n = 1024;
    if (t->n_feature > NGRAM_N_FEATURE_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "head: %u features, the limit is %u", t->n_feature, NGRAM_N_FEATURE_MAX);
    while (n < 2 * t->n_feature) n *= 2;
    return make_places(t, n, err);
}

static slm_status table_add(struct ngram_table *t, uint32_t hash, slm_err *err) {
    slm_status st = SLM_OK;
    if (2 * (t->n_feature + 1) > t->n_place) {
        if (t->n_feature >= NGRAM_N_FEATURE_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "head: more than %u features in the rows", NGRAM_N_FEATURE_MAX);
        st = make_places(t, t->n_place ? 2 * t->n_place : 1024, err);
        if (st != SLM_OK) return st;
    }
    uint32_t at = find_place(t, hash);
    if (!t->place[at]) {
        if (t->n_feature == t->cap) {
            uint32_t cap = t->cap ? 2 * t->cap : 1024;
            uint32_t *h = realloc(t->hash, cap * sizeof *h);
            if (h) t->hash = h;
            float *w = h ? realloc(t->weight, cap * sizeof *w) : NULL;
            if (!w) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "features: out of memory");
            t->weight = w;
            t->cap = cap;
        }
        t->hash[t->n_feature] = hash;
        t->weight[t->n_feature] = 0;
        t->place[at] = ++t->n_feature;
    }
    t->weight[t->place[at] - 1] += 1; /* rows that have it, until learn_end */
    return SLM_OK;
}

/* ---- text to hashes ---- */

static slm_status push_hash(struct ngram_row *r, uint64_t h, slm_err *err) {
    if (r->n_hash == r->cap_hash) {
        size_t cap = r->cap_hash ? 2 * r->cap_hash : 256;
        uint32_t *v = realloc(r->hashes, cap * sizeof *v);
        if (!v) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "features: out of memory");
        r->hashes = v;
        r->cap_hash = cap;
    }
    r->hashes[r->n_hash++] = (uint32_t)(h ^ h >> 32);
    return SLM_OK;
}

static bool is_word(int32_t c) {
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU: case UTF8PROC_CATEGORY_LL: case UTF8PROC_CATEGORY_LT: case UTF8PROC_CATEGORY_LM: case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN: case UTF8PROC_CATEGORY_MC: case UTF8PROC_CATEGORY_ME: case UTF8PROC_CATEGORY_ND: case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return true;
    default: return c == '\'' || c == '_';
    }
}

static bool is_space(int32_t c) {
    utf8proc_category_t k = utf8proc_category(c);
    return c < 0x20 || k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP;
}

/* Words of text in lower case, each between single spaces: " how much is it ? ". */
static slm_status fold(struct ngram_row *r, struct view text, slm_err *err) {
    bool in_word = false;
    buf_clear(&r->folded);
    if (text.len > NGRAM_TEXT_BYTES_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "text of %zu bytes: the limit of a head is %u", text.len, NGRAM_TEXT_BYTES_MAX);
    buf_putc(&r->folded, ' ');
    for (size_t i = 0; i < text.len;) {
        uint32_t c = 0;
        char out[4];
        int n = utf8_decode(text.ptr + i, text.len - i, &c);
        if (n == 0) c = 0xfffd, n = 1;
        i += (size_t)n;
        if (c == 0x2019) c = '\'';
        bool word = is_word((int32_t)c);
        if (in_word && !word) buf_putc(&r->folded, ' ');
        in_word = word;
        if (!word && is_space((int32_t)c)) continue;
        buf_append(&r->folded, out, (size_t)utf8_encode((uint32_t)utf8proc_tolower((int32_t)c), out));
        if (!word) buf_putc(&r->folded, ' ');
    }
    if (in_word) buf_putc(&r->folded, ' ');
    return buf_status(&r->folded, "a text", err);
}

#define KIND_WORD 1u
#define KIND_PAIR 2u
#define KIND_RUN 3u

static uint64_t hash_kind(unsigned kind, const char *s, size_t n) { return hash_bytes(HASH_START ^ kind, s, n); }

/* Runs of characters of " word ", spaces included. */
static slm_status word_runs(struct ngram_row *r, const char *s, size_t n, slm_err *err) {
    size_t start[WORD_CHARS_MAX + 3], n_char = 0;
    slm_status st = SLM_OK;
    for (size_t i = 0; i < n && n_char < WORD_CHARS_MAX + 2; n_char++) {
        uint32_t c;
        start[n_char] = i;
        int k = utf8_decode(s + i, n - i, &c);
        i += k ? (size_t)k : 1;
        start[n_char + 1] = i;
    }
    for (size_t len = N_RUN_MIN; len <= N_RUN_MAX; len++)
        for (size_t i = 0; i + len <= n_char && st == SLM_OK; i++) st = push_hash(r, hash_kind(KIND_RUN, s + start[i], start[i + len] - start[i]), err);
    return st;
}

static slm_status hash_text(struct ngram_row *r, struct view text, slm_err *err) {
    slm_status st = fold(r, text, err);
    const char *s = r->folded.data;
    size_t last = SIZE_MAX, len = r->folded.len;
    r->n_hash = 0;
    for (size_t at = 0; st == SLM_OK && at + 1 < len;) { /* at: a space before a word */
        const char *end = memchr(s + at + 1, ' ', len - at - 1);
        size_t next = (size_t)(end - s);
        st = push_hash(r, hash_kind(KIND_WORD, s + at, next - at), err);
        if (st == SLM_OK) st = push_hash(r, hash_kind(KIND_PAIR, s + (last == SIZE_MAX ? at : last), next - (last == SIZE_MAX ? at : last)), err);
        last = at;
        at = next;
    }
    r->n_word_hash = r->n_hash;
    for (size_t at = 0; st == SLM_OK && at + 1 < len;) {
        size_t next = (size_t)((const char *)memchr(s + at + 1, ' ', len - at - 1) - s);
        st = word_runs(r, s + at, next + 1 - at, err);
        at = next;
    }
    return st;
}

static int by_number(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Sorted, each once. */
static size_t unique(uint32_t *v, size_t n) {
    size_t k = 0;
    qsort(v, n, sizeof *v, by_number);
    for (size_t i = 0; i < n; i++)
        if (k == 0 || v[k - 1] != v[i]) v[k++] = v[i];
    return k;
}

static void unique_both(struct ngram_row *r) {
    size_t n_run = r->n_hash - r->n_word_hash, n_word = unique(r->hashes, r->n_word_hash);
    n_run = unique(r->hashes + r->n_word_hash, n_run);
    memmove(r->hashes + n_word, r->hashes + r->n_word_hash, n_run * sizeof *r->hashes);
    r->n_word_hash = n_word;
    r->n_hash = n_word + n_run;
}

slm_status ngram_learn(struct ngram_table *t, struct ngram_row *r, struct view text, slm_err *err) {
    slm_status st = hash_text(r, text, err);
    if (st != SLM_OK) return st;
    unique_both(r);
    for (size_t i = 0; i < r->n_hash && st == SLM_OK; i++) st = table_add(t, r->hashes[i], err);
    return st;
}

void ngram_learn_end(struct ngram_table *t, size_t n_row) {
    for (uint32_t i = 0; i < t->n_feature; i++) t->weight[i] = (float)log(((double)n_row + 1) / ((double)t->weight[i] + 0.5));
}

/* The known among hashes [from, to) as features; their squared length becomes half. */
static void take_known(const struct ngram_table *t, struct ngram_row *r, size_t from, size_t to) {
    size_t first = r->n;
    double squares = 0;
    for (size_t i = from; i < to; i++) {
        uint32_t place = t->n_place ? t->place[find_place(t, r->hashes[i])] : 0;
        if (!place) continue;
        r->index[r->n] = place - 1;
        r->value[r->n++] = t->weight[place - 1];
        squares += (double)t->weight[place - 1] * (double)t->weight[place - 1];
    }
    for (size_t i = first; i < r->n; i++) r->value[i] = squares > 0 ? (float)((double)r->value[i] * sqrt(0.5 / squares)) : 0;
}

slm_status ngram_features(const struct ngram_table *t, struct ngram_row *r, struct view text, slm_err *err) {
    slm_status st = hash_text(r, text, err);
    if (st != SLM_OK) return st;
    unique_both(r);
    if (r->cap < r->n_hash) {
        uint32_t *index = realloc(r->index, r->n_hash * sizeof *index);
        if (index) r->index = index;
        float *value = index ? realloc(r->value, r->n_hash * sizeof *value) : NULL;
        if (!value) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "features: out of memory");
        r->value = value;
        r->cap = r->n_hash;
    }
    r->n = 0;
    take_known(t, r, 0, r->n_word_hash);
    take_known(t, r, r->n_word_hash, r->n_hash);
    r->known = r->n_hash ? (double)r->n / (double)r->n_hash : 0;
    return SLM_OK;
}
