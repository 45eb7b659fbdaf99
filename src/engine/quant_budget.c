/* quant_budget.c -- a type for every tensor under a budget, from measured sensitivity.
 *
 * Small errors of weights act on the divergence as a square, and those of different tensors nearly add. So each tensor is rounded
 * alone, to the type nearest four bits, and the divergence that follows is measured; other types are judged by the ratio of their
 * squared errors on a sample of rows. What remains is to choose one type per tensor with the least sum under a bound on bytes:
 * types off the lower convex hull of (bytes, cost) are never chosen, and the cheapest step along the hulls is taken until the
 * bytes are spent (the Lagrangian of the problem; off the optimum by one step at most). For a bound on the divergence the same
 * steps are taken until the sum is low enough, then the whole is measured, on text that had no part in the choice, and the sum
 * corrected until the upper end of that measure's interval meets the bound. */
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/show.h"
#include "engine/quant_probe_int.h"

#define ROWS_SAMPLED 96
#define TRIES_MAX 9     /* of whole plans, under a bound on the divergence */
#define NOTES_BYTES 1024 /* metadata that a report adds */

static const enum dtype candidates[] = {
    DTYPE_IQ1_S, DTYPE_IQ1_M, DTYPE_IQ2_XXS, DTYPE_IQ2_XS, DTYPE_IQ2_S, DTYPE_Q2_K, DTYPE_IQ3_XXS, DTYPE_IQ3_S, DTYPE_Q3_K, DTYPE_MXFP4, DTYPE_IQ4_XS,
    DTYPE_IQ4_NL, DTYPE_Q4_0, DTYPE_Q4_K, DTYPE_Q4_1, DTYPE_Q5_0, DTYPE_Q5_K, DTYPE_Q5_1, DTYPE_Q6_K, DTYPE_Q8_0, DTYPE_F16,
};
#define N_CANDIDATES (sizeof candidates / sizeof *candidates)

/* One tensor's types on the hull, by bytes. */
struct step {
    enum dtype to;
    uint64_t bytes;
    double cost; /* predicted divergence when only this tensor has the type */
};
struct ladder {
    size_t i_choice;
    struct step steps[N_CANDIDATES];
    size_t n, at;
};

slm_status quant_budget_parse(const char *text, struct quant_budget *b, slm_err *err) {
    static const struct {
        const char *unit;
        enum budget_kind kind;
        double factor;
    } units[] = {{"bpw", BUDGET_BPW, 1},     {"B", BUDGET_BYTES, 1},        {"kB", BUDGET_BYTES, 1e3},     {"MB", BUDGET_BYTES, 1e6},
                 {"GB", BUDGET_BYTES, 1e9},  {"KiB", BUDGET_BYTES, 1024.0}, {"MiB", BUDGET_BYTES, 1048576.0}, {"GiB", BUDGET_BYTES, 1073741824.0}};
    char *end = NULL;
    bool is_kl = strncasecmp(text, "kl<=", 4) == 0;
    const char *number = is_kl ? text + 4 : text;
    double v = isdigit((unsigned char)*number) || *number == '.' ? strtod(number, &end) : 0;
    if (end && v > 0 && v < 1e15) {
        if (is_kl && !*end) {
            *b = (struct quant_budget){BUDGET_KL, v};
            return SLM_OK;
        }
        for (size_t i = 0; !is_kl && i < sizeof units / sizeof units[0]; i++)
            if (strcasecmp(end, units[i].unit) == 0) {
                b->kind = units[i].kind;
                b->value = v * units[i].factor;
                return SLM_OK;
            }
    }
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "budget \"%s\": not understood", show_cstr(text).s);
    err_hint(err, "give 4.5bpw, 1.2GB, 700MiB or kl<=0.02");
    return SLM_E_USAGE;
}

/* Squared error of outputs with errors carried, on tiles of rows spread over the tensor. x [CARRY_ROWS, d_in]. */
static double sampled_carried_error(const struct gguf_tensor *t, enum dtype to, const struct input_weights *w, float *x, uint8_t *q, void *scratch) {
    uint64_t d_in = t->shape[t->n_dim - 1], n_row = t->n_elem / d_in, n = n_row < ROWS_SAMPLED ? n_row : ROWS_SAMPLED;
    double error = 0;
    for (uint64_t i = 0; i < n; i += CARRY_ROWS) {
        int n_tile = n - i < CARRY_ROWS ? (int)(n - i) : CARRY_ROWS;
        for (int r = 0; r < n_tile; r++)
            dtype_get(t->dtype)->to_f32(x + (uint64_t)r * d_in, t->data + (i + (uint64_t)r) * n_row / n * (t->n_bytes / n_row), (int64_t)d_in);
        error += carry_encode(w->carry, dtype_get(to), x, n_tile, w->importance, q, scratch);
    }
    return error;
}

/* Weighted squared error of a type, relative, on rows spread over the tensor. */
static double sampled_error(const struct gguf_tensor *t, enum dtype to, const float *importance, float *x, float *y, uint8_t *q) {
    uint64_t d_in = t->shape[t->n_dim - 1], n_row = t->n_elem / d_in, n = n_row < ROWS_SAMPLED ? n_row : ROWS_SAMPLED;
    uint64_t per_matrix = t->n_dim > 1 ? t->shape[t->n_dim - 2] : 1;
    double error = 0, norm = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t row = i * n_row / n;
        const float *w = importance ? importance + row / per_matrix * d_in : NULL;
        dtype_get(t->dtype)->to_f32(x, t->data + row * (t->n_bytes / n_row), (int64_t)d_in);
        dtype_get(to)->from_f32(q, x, (int64_t)d_in, w);
        dtype_get(to)->to_f32(y, q, (int64_t)d_in);
        for (uint64_t j = 0; j < d_in; j++) {
            double weight = w ? (double)w[j] : 1, off = (double)x[j] - (double)y[j];
            error += weight * off * off;
            norm += weight * (double)x[j] * (double)x[j];
        }
    }
    return norm > 0 ? error / norm : 0;
}

static int by_bytes(const void *a, const void *b) {
    const struct step *x = a, *y = b;
    return x->bytes != y->bytes ? (x->bytes > y->bytes) - (x->bytes < y->bytes) : (x->cost > y->cost) - (x->cost < y->cost);
}

/* Keeps the lower convex hull, by falling cost per byte. */
static void keep_hull(struct ladder *l) {
    size_t n = 0;
    qsort(l->steps, l->n, sizeof *l->steps, by_bytes);
    for (size_t i = 0; i < l->n; i++) {
        struct step s = l->steps[i];
        if (n > 0 && s.cost >= l->steps[n - 1].cost) continue;
        while (n > 1) {
            const struct step *a = &l->steps[n - 2], *b = &l->steps[n - 1];
            double slope_ab = (a->cost - b->cost) / (double)(b->bytes - a->bytes), slope_bs = (b->cost - s.cost) / (double)(s.bytes - b->bytes);
            if (slope_bs < slope_ab) break;
            n--;
        }
        l->steps[n++] = s;
    }
    l->n = n;
}

/* Divergence of rounding tensor t alone, and from it the costs of all types that fit its rows. */
static slm_status make_ladder(struct quant_probe *p, const struct gguf_tensor *t, const struct quant_params *params, struct ladder *l, slm_err *err) {
    slm_status st = SLM_OK;
    uint64_t d_in = t->shape[t->n_dim - 1], bytes;
    struct input_weights weights = {0};
    float *x = NULL;
    void *scratch = NULL;
    double errors[N_CANDIDATES], probe_error = 0;
    enum dtype probe = DTYPE_COUNT;
    struct quant_score score;
    uint8_t *copy = NULL;
    void *mem = NULL;
    TRY(input_weights_get(params->imatrix, t, DTYPE_COUNT, &weights, err));
    size_t n_row = weights.carry ? CARRY_ROWS : 1;
    TRY(mem_alloc(&mem, 3 * n_row * (size_t)d_in, sizeof(float), "sampled rows", err));
    x = mem;
    if (weights.carry) {
        TRY(mem_alloc(&mem, 1, carry_scratch_bytes(dtype_get(DTYPE_F32), (uint32_t)d_in), "sampled rows", err));
        scratch = mem;
    }
    l->n = 0;
    for (size_t i = 0; i < N_CANDIDATES; i++) {
        if (!dtype_row_bytes(candidates[i], d_in, &bytes) || bytes * 8 > 32 * d_in) continue;
        errors[l->n] = weights.carry ? sampled_carried_error(t, candidates[i], &weights, x, (uint8_t *)(x + 2 * n_row * d_in), scratch)
                                     : sampled_error(t, candidates[i], weights.importance, x, x + d_in, (uint8_t *)(x + 2 * d_in));
        l->steps[l->n] = (struct step){candidates[i], bytes * (t->n_elem / d_in), 0};
        /* The nearest to four bits, from below where there is one. */
        if (probe == DTYPE_COUNT || bytes * 8 <= 5 * d_in) {
            probe = candidates[i];
            probe_error = errors[l->n];
        }
        l->n++;
    }
    TRY(quant_probe_swap(p, t, probe, params, &copy, err));
    st = quant_probe_run(p, false, &score, err);
    quant_probe_restore(p, t, probe, copy);
    if (st != SLM_OK) goto out;
    for (size_t i = 0; i < l->n; i++) l->steps[i].cost = probe_error > 0 ? (score.kl > 0 ? score.kl : 0) * errors[i] / probe_error : 0;
    keep_hull(l);
out:
    input_weights_fini(&weights);
    free(x);
    free(scratch);
    return st;
}

/* The ladder whose next step takes off most cost per byte and costs at most bytes_max; n: none. */
static size_t best_ladder(const struct ladder *ladders, size_t n, uint64_t bytes_max) {
    size_t best = n;
    double best_rate = -1;
    for (size_t i = 0; i < n; i++) {
        const struct ladder *l = &ladders[i];
        if (l->at + 1 >= l->n) continue;
        const struct step *now = &l->steps[l->at], *next = now + 1;
        double rate = (now->cost - next->cost) / (double)(next->bytes - now->bytes);
        if (next->bytes - now->bytes <= bytes_max && rate > best_rate) {
            best_rate = rate;
            best = i;
        }
    }
    return best;
}

/* From the bottom, until the bytes are spent, the cost is low enough or steps_max are taken. Returns the steps; cost: what is left. */
static size_t climb(struct ladder *ladders, size_t n, uint64_t bytes_free, double cost_max, size_t steps_max, double *cost_left) {
    double cost = 0;
    size_t n_step = 0;
    for (size_t i = 0; i < n; i++) {
        ladders[i].at = 0;
        cost += ladders[i].steps[0].cost;
    }
    for (; cost > cost_max && n_step < steps_max; n_step++) {
        size_t i = best_ladder(ladders, n, bytes_free);
        if (i == n) break;
        struct ladder *l = &ladders[i];
        bytes_free -= l->steps[l->at + 1].bytes - l->steps[l->at].bytes;
        cost -= l->steps[l->at].cost - l->steps[l->at + 1].cost;
        l->at++;
    }
    *cost_left = cost;
    return n_step;
}

static void apply(struct quant_plan *plan, const struct ladder *ladders, size_t n) {
    for (size_t i = 0; i < n; i++) quant_choice_set(plan, ladders[i].i_choice, ladders[i].steps[ladders[i].at].to);
}

/* Bytes that matrices may take. The file's metadata count when the budget is of the file. */
static double bytes_allowed(const struct quant_plan *plan, const struct quant_budget *b) {
    if (b->kind == BUDGET_BPW) return b->value * (double)plan->n_elem / 8;
    return b->value - (double)(gguf_file_bytes(plan->source) - plan->bytes_from) - NOTES_BYTES;
}

/* The fewest steps whose measured divergence meets the bound. Steps always come in the same order, so there is one number to find:
 * between steps known to fail and to do, tried where the predicted cost says, and when that has not closed in, in the middle. */
static slm_status fit_divergence(struct quant_probe *p, struct quant_plan *plan, const struct quant_params *params, struct ladder *ladders, size_t n, double kl_max,
                                 slm_err *err) {
    double target = kl_max, cost;
    size_t n_fail = 0, n_do = climb(ladders, n, UINT64_MAX, 0, SIZE_MAX, &cost), at; /* n_fail: below this many steps it fails */
    for (int t = 0; t < TRIES_MAX && n_fail < n_do; t++) {
        struct quant_score score;
        at = t < 4 ? climb(ladders, n, UINT64_MAX, target, SIZE_MAX, &cost) : (n_fail + n_do) / 2;
        at = at < n_fail ? n_fail : at >= n_do ? n_do - 1 : at;
        climb(ladders, n, UINT64_MAX, 0, at, &cost);
        apply(plan, ladders, n);
        slm_status st = quant_probe_plan(p, plan, params, &score, err);
        if (st != SLM_OK) return st;
        if (score.kl_upper <= kl_max) n_do = at;
        else n_fail = at + 1;
        if (score.kl_upper <= kl_max && score.kl_upper > 0.98 * kl_max) break;
        double ratio = score.kl_upper > 0 ? kl_max / score.kl_upper : 2;
        target = cost * (ratio < 0.2 ? 0.2 : ratio > 5 ? 5 : ratio) * 0.99;
    }
    climb(ladders, n, UINT64_MAX, 0, n_do, &cost);
    apply(plan, ladders, n);
    return SLM_OK;
}

slm_status quant_budget_fit(struct quant_probe *p, struct quant_plan *plan, const struct quant_params *params, const struct quant_budget *b, slm_err *err) {
    slm_status st = SLM_OK;
    struct ladder *ladders = NULL;
    size_t n = 0;
    void *mem = NULL;
    TRY(mem_alloc(&mem, plan->n + 1, sizeof *ladders, "ladders", err));
    ladders = mem;
    for (size_t i = 0; i < plan->n; i++) {
        const struct quant_choice *c = &plan->choices[i];
        if (c->is_kept || c->is_fixed || c->tensor->n_dim < 2) continue;
        ladders[n].i_choice = i;
        TRY(make_ladder(p, c->tensor, params, &ladders[n], err));
        if (ladders[n].n > 0) n++;
        if (params->progress) params->progress(params->user, i, (uint64_t)i + 1, (uint64_t)plan->n);
    }
    apply(plan, ladders, n);
    if (b->kind == BUDGET_KL) {
        TRY(fit_divergence(p, plan, params, ladders, n, b->value, err));
    } else {
        double allowed = bytes_allowed(plan, b);
        if ((double)plan->bytes_to > allowed)
            FAIL(SLM_E_USAGE, SLM_NOWHERE, "budget: the smallest types take %llu bytes, %.3f bits per weight", (unsigned long long)plan->bytes_to,
                 8 * (double)plan->bytes_to / (double)plan->n_elem);
        double cost;
        climb(ladders, n, (uint64_t)(allowed - (double)plan->bytes_to), 0, SIZE_MAX, &cost);
        apply(plan, ladders, n);
    }
out:
    free(ladders);
    return st;
}
