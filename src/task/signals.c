/* signals.c -- the table. */
#include "task/signals.h"

static const struct {
    const char *name, *what;
} rows[SIGNAL_COUNT] = {
#define X(ID, name, what) {#name, what},
    SIGNAL_LIST(X)
#undef X
};

const char *signal_name(enum signal s) { return rows[s].name; }
const char *signal_what(enum signal s) { return rows[s].what; }

bool signal_by_name(struct view name, enum signal *out) {
    for (int i = 0; i < SIGNAL_COUNT; i++)
        if (view_eq(name, view_of(rows[i].name))) {
            *out = (enum signal)i;
            return true;
        }
    return false;
}

bool signals_any(const struct signals *s) {
    for (int i = 0; i < SIGNAL_COUNT; i++)
        if (isfinite(s->v[i])) return true;
    return false;
}

void signals_init(struct signals *s) {
    for (int i = 0; i < SIGNAL_COUNT; i++) s->v[i] = (double)NAN;
}
