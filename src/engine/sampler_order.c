/* sampler_order.c -- candidates from best to worst, but only as far as somebody looks.
 *
 * A vocabulary has 150,000 rows and a pick looks at a few dozen, so the order is lazy. A short prefix comes
 * from one scan with a bounded heap: about n comparisons, n log k for the worst input. When a long one is
 * wanted (a flat distribution, a huge top-k) everything is radix sorted in linear time. Neither allocates,
 * neither has a slow input, and since ranks are unique both give the same order. */
#include "engine/sampler_int.h"

#include <string.h>

enum {
    FIRST_BLOCK = 256,    /* rows that cands_nth orders at first */
    HEAP_SHARE = 16,      /* a prefix of more than n / 16 rows is no longer worth a heap */
    DIGIT_BITS = 11,      /* six passes would cover the 64 bits of a rank; passes with one digit are skipped */
    N_DIGITS = 1 << DIGIT_BITS,
};

uint64_t cand_rank(float key, int32_t id) {
    uint32_t bits;
    key += 0.0f; /* -0 becomes 0 */
    memcpy(&bits, &key, sizeof bits);
    /* IEEE 754 bits as an unsigned number rise with positive floats and fall with negative ones. */
    uint32_t rising = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (uint64_t)~rising << 32 | (uint32_t)id;
}

static void sift_down(struct cand *heap, size_t n, size_t i) {
    struct cand moving = heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= n) break;
        if (child + 1 < n && heap[child + 1].rank > heap[child].rank) child++;
        if (heap[child].rank <= moving.rank) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moving;
}

static void swap_rows(struct cand *a, struct cand *b) {
    struct cand t = *a;
    *a = *b;
    *b = t;
}

/* The k best rows to the front, in order. The heap has the worst of the k at its root. */
static void order_by_heap(struct cand *rows, size_t n, size_t k) {
    for (size_t i = k / 2; i-- > 0;) sift_down(rows, k, i);
    for (size_t i = k; i < n; i++) {
        if (rows[i].rank < rows[0].rank) {
            swap_rows(&rows[i], &rows[0]);
            sift_down(rows, k, 0);
        }
    }
    for (size_t last = k; last-- > 1;) {
        swap_rows(&rows[0], &rows[last]);
        sift_down(rows, last, 0);
    }
}

/* Least significant digit first; every pass is stable. */
static void order_by_radix(struct cands *c) {
    for (unsigned shift = 0; shift < 64; shift += DIGIT_BITS) {
        size_t start[N_DIGITS] = {0};
        for (size_t i = 0; i < c->n; i++) start[c->rows[i].rank >> shift & (N_DIGITS - 1)]++;
        if (start[c->rows[0].rank >> shift & (N_DIGITS - 1)] == c->n) continue;
        size_t sum = 0;
        for (size_t d = 0; d < N_DIGITS; d++) {
            size_t count = start[d];
            start[d] = sum;
            sum += count;
        }
        for (size_t i = 0; i < c->n; i++) c->spare[start[c->rows[i].rank >> shift & (N_DIGITS - 1)]++] = c->rows[i];
        struct cand *t = c->rows;
        c->rows = c->spare;
        c->spare = t;
    }
}

void cands_order(struct cands *c, size_t n_wanted) {
    if (n_wanted > c->n) n_wanted = c->n;
    if (n_wanted <= c->n_ordered) return;
    if (n_wanted <= FIRST_BLOCK || n_wanted <= c->n / HEAP_SHARE) {
        order_by_heap(c->rows, c->n, n_wanted);
        c->n_ordered = n_wanted;
    } else {
        order_by_radix(c);
        c->n_ordered = c->n;
    }
}

const struct cand *cands_nth(struct cands *c, size_t i) {
    if (i >= c->n_ordered) cands_order(c, i < FIRST_BLOCK ? FIRST_BLOCK : c->n);
    return &c->rows[i];
}

double cand_weight(const struct cands *c, const struct cand *row) {
    return exp(((double)row->logit - c->logit_max) / c->temperature);
}

double cands_total(const struct cands *c) {
    double total = 0;
    for (size_t i = 0; i < c->n; i++) total += cand_weight(c, &c->rows[i]);
    return total;
}
