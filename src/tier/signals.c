/* signals.c -- means, quantiles, repetition.
 *
 * The quantile is the better judge of long answers: a mean hides one bad place among many sure ones (Gupta et al. 2024, "Language model cascades: token-level
 * uncertainty and beyond"). */
#include "tier/signals.h"

#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 2048 /* the last ones are looked at */
#define SLOTS 8192

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

/* The value that a tenth of them are below: the ceil(n / 10)-th smallest. */
static double quantile10(const float *logp, size_t n) {
    float *v = malloc(n * sizeof *v);
    if (!v) return logp[0];
    memcpy(v, logp, n * sizeof *v);
    qsort(v, n, sizeof *v, by_value);
    double q = (double)v[(n + 9) / 10 - 1];
    free(v);
    return q;
}

/* The share of words that follow the same four words as somewhere before. */
static double repeats(struct view text) {
    uint64_t words[WORDS_MAX], *seen = calloc(SLOTS, sizeof *seen);
    size_t n = 0, n_again = 0;
    for (size_t i = 0; i < text.len;) {
        while (i < text.len && (unsigned char)text.ptr[i] <= ' ') i++;
        size_t at = i;
        while (i < text.len && (unsigned char)text.ptr[i] > ' ') i++;
        if (i > at) words[n++ % WORDS_MAX] = hash_bytes(HASH_START, text.ptr + at, i - at);
    }
    size_t begin = n > WORDS_MAX ? n - WORDS_MAX : 0;
    for (size_t i = begin + 4; seen && i < n; i++) {
        uint64_t h = HASH_START;
        for (size_t k = i - 4; k <= i; k++) h = hash_bytes(h, &words[k % WORDS_MAX], sizeof words[0]);
        h |= 1; /* 0: an empty slot */
        size_t slot = h % SLOTS;
        while (seen[slot] && seen[slot] != h) slot = (slot + 1) % SLOTS;
        n_again += seen[slot] == h;
        seen[slot] = h;
    }
    free(seen);
    return n - begin > 4 ? (double)n_again / (double)(n - begin - 4) : 0;
}

void signals_read(const float *logp, size_t n, struct view text, struct facts *f) {
    double sum = 0, least = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)logp[i];
        if (i == 0 || (double)logp[i] < least) least = (double)logp[i];
    }
    f->v[FACT_OUT_TOKENS] = (double)n;
    f->v[FACT_MEAN_LOGPROB] = n ? sum / (double)n : 0;
    f->v[FACT_MIN_LOGPROB] = least;
    f->v[FACT_Q10_LOGPROB] = n ? quantile10(logp, n) : 0;
    f->v[FACT_FIRST_LOGPROB] = n ? (double)logp[0] : 0;
    f->v[FACT_REPEATS] = repeats(text);
}
