/* sort.c -- stable sort by keys, with Python's `<` and nothing else.
 *
 * Short lists are sorted as CPython sorts them (one run, then binary insertion), comparison by comparison: values that cannot be
 * compared then fail on the same pair, which the message names. Longer ones are merged. */
#include "text/jinja/jinja_int.h"

struct pair {
    struct jval *item, *key;
};

static void merge(struct jinja *J, struct pair *v, struct pair *tmp, size_t n) {
    if (n < 2) return;
    size_t half = n / 2, a = 0, b = half, out = 0;
    merge(J, v, tmp, half);
    merge(J, v + half, tmp, n - half);
    while (a < half && b < n) tmp[out++] = jv_compare(J, CMP_LT, v[b].key, v[a].key) ? v[b++] : v[a++];
    while (a < half) tmp[out++] = v[a++];
    while (b < n) tmp[out++] = v[b++];
    memcpy(v, tmp, n * sizeof *v);
}

static void reverse_all(struct pair *v, size_t n) {
    for (size_t i = 0; i + 1 < n - i; i++) {
        struct pair t = v[i];
        v[i] = v[n - 1 - i];
        v[n - 1 - i] = t;
    }
}

#define INSERTION_MAX 64

static size_t first_run(struct jinja *J, struct pair *v, size_t n) {
    size_t run = 2;
    if (n < 2) return n;
    bool descending = jv_compare(J, CMP_LT, v[1].key, v[0].key);
    while (run < n && jv_compare(J, CMP_LT, v[run].key, v[run - 1].key) == descending) run++;
    if (descending) reverse_all(v, run);
    return run;
}

static void insert_all(struct jinja *J, struct pair *v, size_t n) {
    for (size_t start = first_run(J, v, n); start < n; start++) {
        struct pair pivot = v[start];
        size_t low = 0, high = start;
        while (low < high) {
            size_t mid = low + (high - low) / 2;
            if (jv_compare(J, CMP_LT, pivot.key, v[mid].key)) high = mid;
            else low = mid + 1;
        }
        memmove(v + low + 1, v + low, (start - low) * sizeof *v);
        v[low] = pivot;
    }
}

/* Reversed, equal items keep their order: Python reverses, sorts, reverses. */
void jv_sort(struct jinja *J, struct jval **v, struct jval **keys, size_t n, bool reverse) {
    struct pair *pairs = j_alloc(J, n, sizeof *pairs), *tmp = j_alloc(J, n, sizeof *tmp);
    for (size_t i = 0; i < n; i++) pairs[i] = (struct pair){v[i], keys[i]};
    if (reverse && n) reverse_all(pairs, n);
    if (n < INSERTION_MAX) insert_all(J, pairs, n);
    else merge(J, pairs, tmp, n);
    if (reverse && n) reverse_all(pairs, n);
    for (size_t i = 0; i < n; i++) v[i] = pairs[i].item;
}
