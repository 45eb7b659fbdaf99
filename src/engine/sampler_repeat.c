/* sampler_repeat.c -- the stages that look back: repeat, presence and frequency penalties, and DRY.
 *
 * The penalties read a tally that accept keeps up to date, so a pick costs one step per distinct token in
 * the window, however long it is. DRY needs, for every earlier place, how long the text ending there agrees
 * with the text ending now: on the reversed window that is the Z-function, which is linear in the window.
 * A pick allocates nothing: what it writes grows together with the history, in accept. */
#include "engine/sampler_int.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

enum { HISTORY_CAP_MIN = 256 };

bool repeat_penalties_active(const struct sampler_params *p) {
    return p->penalty_last_n != 0 &&
           (p->repeat_penalty != 1.0f || p->presence_penalty != 0.0f || p->frequency_penalty != 0.0f);
}

bool repeat_dry_active(const struct sampler_params *p) {
    return p->dry_multiplier != 0.0f && p->dry_last_n != 0;
}

/* A last_n as a length; -1 is the whole context. */
static size_t window_of(int32_t last_n) {
    return last_n < 0 ? SIZE_MAX : (size_t)last_n;
}

slm_status repeat_init(struct sampler *s, const struct sampler_params *p, slm_err *err) {
    slm_status st = SLM_OK;
    const size_t n_vocab = s->n_vocab;
    if (repeat_penalties_active(p)) {
        s->history.n_keep = window_of(p->penalty_last_n);
        TRY(mem_alloc((void **)&s->tally.count, n_vocab, sizeof *s->tally.count, "penalty table", err));
        TRY(mem_alloc((void **)&s->tally.slot, n_vocab, sizeof *s->tally.slot, "penalty table", err));
        TRY(mem_alloc((void **)&s->tally.ids, n_vocab, sizeof *s->tally.ids, "penalty table", err));
    }
    if (repeat_dry_active(p)) {
        size_t window = window_of(p->dry_last_n);
        if (window > s->history.n_keep) s->history.n_keep = window;
        TRY(mem_alloc((void **)&s->dry.longest, n_vocab, sizeof *s->dry.longest, "dry table", err));
        TRY(mem_alloc((void **)&s->dry.is_breaker, n_vocab, sizeof *s->dry.is_breaker, "dry table", err));
        for (int32_t i = 0; i < p->n_dry_breakers; i++) s->dry.is_breaker[p->dry_breakers[i]] = true;
    }
out:
    return st; /* what was made is freed by repeat_fini */
}

void repeat_fini(struct sampler *s) {
    free(s->history.ids);
    free(s->tally.count);
    free(s->tally.slot);
    free(s->tally.ids);
    free(s->dry.match);
    free(s->dry.longest);
    free(s->dry.is_breaker);
}

/* Room for one more id, in the history and in what DRY writes beside it. */
static slm_status history_reserve(struct sampler *s, slm_err *err) {
    slm_status st = SLM_OK;
    struct history *h = &s->history;
    int32_t *ids = NULL;
    size_t *match = NULL;
    if (h->n < h->cap) return SLM_OK;
    if (h->cap > 0 && h->n / 2 >= h->n_keep) {
        memmove(h->ids, h->ids + (h->n - h->n_keep), h->n_keep * sizeof *h->ids);
        h->n = h->n_keep;
        return SLM_OK;
    }
    size_t cap = HISTORY_CAP_MIN;
    if (h->cap > 0 && !size_mul(h->cap, 2, &cap)) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "sampler history: out of memory");
    TRY(mem_alloc((void **)&ids, cap, sizeof *ids, "sampler history", err));
    if (s->dry.longest) TRY(mem_alloc((void **)&match, cap, sizeof *match, "sampler history", err));
    if (h->n > 0) memcpy(ids, h->ids, h->n * sizeof *ids);
    free(h->ids);
    free(s->dry.match);
    h->ids = ids;
    s->dry.match = match;
    h->cap = cap;
    ids = NULL;
out:
    free(ids);
    return st;
}

static void tally_add(struct tally *t, int32_t id) {
    if (t->count[id]++ > 0) return;
    t->slot[id] = (int32_t)t->n_ids;
    t->ids[t->n_ids++] = id;
}

static void tally_remove(struct tally *t, int32_t id) {
    if (--t->count[id] > 0) return;
    int32_t last = t->ids[--t->n_ids];
    t->ids[t->slot[id]] = last;
    t->slot[last] = t->slot[id];
}

slm_status repeat_accept(struct sampler *s, int32_t id, slm_err *err) {
    slm_status st = SLM_OK;
    struct history *h = &s->history;
    if (h->n_keep == 0) return SLM_OK;
    TRY(history_reserve(s, err));
    h->ids[h->n++] = id;
    if (s->tally.count) {
        const size_t window = window_of(s->params.penalty_last_n);
        tally_add(&s->tally, id);
        if (h->n > window) tally_remove(&s->tally, h->ids[h->n - 1 - window]);
    }
out:
    return st;
}

void repeat_apply_penalties(struct sampler *s) {
    const struct sampler_params *p = &s->params;
    for (size_t i = 0; i < s->tally.n_ids; i++) {
        const int32_t id = s->tally.ids[i];
        float logit = s->cands.rows[id].logit;
        logit = logit > 0 ? logit / p->repeat_penalty : logit * p->repeat_penalty;
        logit -= (float)s->tally.count[id] * p->frequency_penalty + p->presence_penalty;
        s->cands.rows[id].logit = logit;
    }
}

/* match[j], j >= 1: how many tokens before and at place n - 1 - j agree with those before and at the last
 * place. The Z-function of the window read backwards; [left, right) is the agreement that ends farthest. */
static void match_lengths(const int32_t *window, size_t n, size_t *match) {
    size_t left = 0, right = 0;
    for (size_t j = 1; j < n; j++) {
        size_t len = 0;
        if (j < right) {
            len = match[j - left];
            if (len > right - j) len = right - j;
        }
        while (j + len < n && window[n - 1 - len] == window[n - 1 - j - len]) len++;
        match[j] = len;
        if (j + len > right) {
            left = j;
            right = j + len;
        }
    }
}

/* A penalty too large for a float is cut to the largest: it makes a token hopeless, but only a bias bans. */
static float dry_penalised(const struct sampler_params *p, float logit, size_t n_match) {
    if (!(logit > -INFINITY)) return logit;
    double exponent = (double)n_match - (double)p->dry_allowed_length;
    double penalty = fmin((double)p->dry_multiplier * pow((double)p->dry_base, exponent), (double)FLT_MAX);
    return (float)fmax((double)logit - penalty, -(double)FLT_MAX);
}

void repeat_apply_dry(struct sampler *s) {
    const struct sampler_params *p = &s->params;
    const size_t max = window_of(p->dry_last_n);
    const size_t n = s->history.n < max ? s->history.n : max;
    if (n == 0) return;
    const int32_t *window = s->history.ids + (s->history.n - n);
    struct dry *d = &s->dry;
    size_t n_open = 0; /* tokens since the last breaker: no match reaches over it */
    while (n_open < n && !d->is_breaker[window[n - 1 - n_open]]) n_open++;
    if (n_open == 0) return;
    match_lengths(window, n, d->match);
    const size_t allowed = p->dry_allowed_length > 1 ? (size_t)p->dry_allowed_length : 1;
    for (size_t j = 1; j < n; j++) {
        const int32_t next = window[n - j]; /* what followed then */
        size_t len = d->match[j] < n_open ? d->match[j] : n_open;
        if (len < allowed || d->is_breaker[next]) continue;
        if (len > INT32_MAX) len = INT32_MAX;
        if ((int32_t)len > d->longest[next]) d->longest[next] = (int32_t)len;
    }
    for (size_t j = 1; j < n; j++) {
        const int32_t next = window[n - j];
        if (d->longest[next] == 0) continue;
        struct cand *row = &s->cands.rows[next];
        row->logit = dry_penalised(p, row->logit, (size_t)d->longest[next]);
        d->longest[next] = 0;
    }
}
