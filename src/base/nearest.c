/* nearest.c -- the distance in three rolling rows of the classic table; names are short, so a stack of
 * NEAREST_BYTES_MAX columns is enough and nothing is allocated. */
#include "base/nearest.h"

#include <ctype.h>
#include <string.h>

static size_t min3(size_t a, size_t b, size_t c) {
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

static int lower_at(const char *s, size_t i) { return tolower((unsigned char)s[i]); }

size_t nearest_distance(const char *a, const char *b) {
    size_t na = strnlen(a, NEAREST_BYTES_MAX), nb = strnlen(b, NEAREST_BYTES_MAX);
    size_t rows[3][NEAREST_BYTES_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= nb; j++) last[j] = j;
    for (size_t i = 1; i <= na; i++) {
        now[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t differ = lower_at(a, i - 1) != lower_at(b, j - 1);
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + differ);
            if (i > 1 && j > 1 && lower_at(a, i - 1) == lower_at(b, j - 2) && lower_at(a, i - 2) == lower_at(b, j - 1) &&
                before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
        size_t *t = before;
        before = last;
        last = now;
        now = t;
    }
    return last[nb];
}

const char *nearest_name(const char *name, const char *const *names, size_t n_names) {
    const char *best = NULL;
    size_t best_distance = (size_t)-1;
    for (size_t i = 0; i < n_names; i++) {
        size_t d = nearest_distance(name, names[i]);
        if (d < best_distance) {
            best_distance = d;
            best = names[i];
        }
    }
    return best;
}

int nearest_is_close(const char *name, const char *candidate) {
    size_t n = strnlen(name, NEAREST_BYTES_MAX), m = strnlen(candidate, NEAREST_BYTES_MAX);
    return nearest_distance(name, candidate) * 3 <= (n > m ? n : m) + 1;
}
