/* eval_stats.c -- two results of one task side by side. */
#include <stdlib.h>

#include "base/stats.h"
#include "base/util.h"
#include "train/eval.h"

slm_status eval_compare(const struct eval_result *a, const struct eval_result *b, struct eval_pair *out, slm_err *err) {
    *out = (struct eval_pair){.n_both = 0};
    SLM_ASSERT(a->n == b->n && a->kind == b->kind);
    void *mem = NULL;
    slm_status st = mem_alloc(&mem, 2 * a->n + 1, sizeof(double), "comparing", err);
    if (st != SLM_OK) return st;
    double *x = mem, *w = x + a->n;
    for (size_t i = 0; i < a->n; i++) {
        bool p = a->items[i].right, q = b->items[i].right;
        *(p && q ? &out->n_both : p ? &out->n_first : q ? &out->n_second : &out->n_none) += 1;
        bool same = a->items[i].text && b->items[i].text ? view_eq(view_of(a->items[i].text), view_of(b->items[i].text)) : a->items[i].got == b->items[i].got;
        out->n_same += same;
        x[i] = (double)p - (double)q;
        w[i] = 1;
    }
    out->p = stats_mcnemar(out->n_first, out->n_second);
    st = stats_bootstrap(x, w, a->n, &out->difference, err);
    free(mem);
    return st;
}
