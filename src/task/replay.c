/* replay.c -- curves of quality over the share that is sent up. A curve is n + 1 points, straight between them. */
#include "task/replay.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

struct step {
    double key, gain, cost; /* sent up in order of key */
};
struct point {
    double share, quality, cost;
};

static int by_key(const void *a, const void *b) {
    const struct step *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

/* Steps of equal key become their mean, so ties are neither lucky nor unlucky. */
static void make_curve(struct step *s, size_t n, double quality, double cost, struct point *out) {
    qsort(s, n, sizeof *s, by_key);
    out[0] = (struct point){0, quality, cost};
    for (size_t i = 0; i < n;) {
        size_t end = i;
        double gain = 0, price = 0;
        for (; end < n && s[end].key == s[i].key; end++) gain += s[end].gain, price += s[end].cost;
        for (size_t k = i; k < end; k++) {
            out[k + 1] = (struct point){(double)(k + 1) / (double)n, out[k].quality + gain / (double)(end - i) / (double)n, out[k].cost + price / (double)(end - i) / (double)n};
        }
        i = end;
    }
}

/* The least share where the curve reaches a quality; 1 when only the end does. */
static double share_at(const struct point *p, size_t n, double quality) {
    if (isnan(quality)) return quality;
    if (p[0].quality >= quality) return 0;
    for (size_t i = 1; i <= n; i++) {
        if (p[i].quality < quality) continue;
        double rise = p[i].quality - p[i - 1].quality;
        return p[i - 1].share + (rise > 0 ? (quality - p[i - 1].quality) / rise : 1) * (p[i].share - p[i - 1].share);
    }
    return 1;
}

/* Upper hull of the points by cost, then what lies under it with quality never falling. Costs rise along the curve or the figure is not asked. */
static double area_of_hull(const struct point *p, size_t n, size_t *hull) {
    size_t m = 0;
    double area = 0, width = p[n].cost - p[0].cost;
    if (!(width > 0)) return (double)NAN;
    for (size_t i = 0; i <= n; i++) {
        while (m >= 2) {
            const struct point *a = &p[hull[m - 2]], *b = &p[hull[m - 1]];
            if ((b->quality - a->quality) * (p[i].cost - a->cost) > (p[i].quality - a->quality) * (b->cost - a->cost)) break;
            m--;
        }
        hull[m++] = i;
    }
    double level = p[hull[0]].quality;
    for (size_t k = 1; k < m; k++) {
        const struct point *a = &p[hull[k - 1]], *b = &p[hull[k]];
        double from = a->quality > level ? a->quality : level, to = b->quality > from ? b->quality : from;
        area += (from + to) / 2 * (b->cost - a->cost);
        level = to;
    }
    return area / width;
}

static struct replay_line line_of(const struct point *p, size_t n, double local, double frontier, size_t *room) {
    struct replay_line l;
    double gap = frontier > local ? frontier - local : (double)NAN, area = 0;
    for (size_t i = 1; i <= n; i++) area += (p[i].quality + p[i - 1].quality) / 2 * (p[i].share - p[i - 1].share);
    l.apgr = (area - local) / gap;
    l.cpt50 = share_at(p, n, local + 0.5 * gap - 1e-12);
    l.cpt80 = share_at(p, n, local + 0.8 * gap - 1e-12);
    l.cpt95 = share_at(p, n, local + 0.95 * gap - 1e-12);
    l.share95 = share_at(p, n, 0.95 * frontier - 1e-12);
    l.aiq = area_of_hull(p, n, room);
    return l;
}

static slm_status summarize(const struct replay_row *rows, size_t n, struct replay_result *out, slm_err *err) {
    size_t n_scored = 0;
    *out = (struct replay_result){.n = n};
    if (n == 0) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "replay: no rows");
    for (size_t i = 0; i < n; i++) {
        bool l = rows[i].local >= 0.5, f = rows[i].frontier >= 0.5;
        *(l && f ? &out->n_both : l ? &out->n_local_only : f ? &out->n_frontier_only : &out->n_neither) += 1;
        out->local += rows[i].local / (double)n;
        out->frontier += rows[i].frontier / (double)n;
        n_scored += isnan(rows[i].score) ? 0 : 1;
    }
    if (n_scored && n_scored < n) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "replay: %zu of %zu rows have a score; all or none", n_scored, n);
    out->has_score = n_scored > 0;
    return SLM_OK;
}

enum kind { RANDOM, ORACLE, SCORED };

slm_status replay_run(const struct replay_row *rows, size_t n, struct replay_result *out, slm_err *err) {
    slm_status st = summarize(rows, n, out, err);
    void *mem = NULL;
    struct step *steps = NULL;
    struct point *points = NULL;
    size_t *room = NULL;
    double cost = 0;
    if (st != SLM_OK) return st;
    TRY(mem_alloc(&mem, n, sizeof *steps, "replay", err));
    steps = mem;
    TRY(mem_alloc(&mem, n + 1, sizeof *points, "replay", err));
    points = mem;
    TRY(mem_alloc(&mem, n + 1, sizeof *room, "replay", err));
    room = mem;
    for (size_t i = 0; i < n; i++) cost += rows[i].cost_local / (double)n;
    struct replay_line *const lines[] = {&out->random, &out->oracle, &out->scored};
    for (int kind = RANDOM; kind <= (out->has_score ? SCORED : ORACLE); kind++) {
        for (size_t i = 0; i < n; i++) {
            double gain = rows[i].frontier - rows[i].local;
            steps[i] = (struct step){kind == RANDOM ? 0 : kind == ORACLE ? -gain : rows[i].score, gain, rows[i].cost_frontier - rows[i].cost_local};
        }
        make_curve(steps, n, out->local, cost, points);
        *lines[kind] = line_of(points, n, out->local, out->frontier, room);
    }
out:
    free(steps);
    free(points);
    free(room);
    return st;
}
