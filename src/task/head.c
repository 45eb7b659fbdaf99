/* head.c -- fitting and scoring. head_file.c keeps them. */
#include "task/head.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/show.h"
#include "base/util.h"
#include "task/bind.h"

#define HELD_SHARE_LEAST 0.1
#define HELD_ROWS_WANTED 50.0 /* fewer tell no kind from another */
#define NGRAM_DROPOUT 0.3f

static const char *const kind_names[HEAD_KIND_COUNT] = {"ngram", "centroid", "linear"};

const char *head_kind_name(enum head_kind k) { return kind_names[k]; }

bool head_kind_by_name(const char *name, enum head_kind *out) {
    for (int i = 0; i < HEAD_KIND_COUNT; i++)
        if (strcmp(kind_names[i], name) == 0) {
            *out = (enum head_kind)i;
            return true;
        }
    return false;
}

bool head_needs_model(enum head_kind k) { return k != HEAD_NGRAM; }

void head_fini(struct head *h) {
    for (uint32_t i = 0; h->labels && i < h->n_label; i++) free(h->labels[i]);
    free(h->labels);
    free(h->form);
    ngram_table_fini(&h->table);
    free(h->mean);
    free(h->scale);
    free(h->whiten);
    softmax_fini(&h->softmax);
    *h = (struct head){0};
}

void head_scratch_init(struct head_scratch *s) {
    *s = (struct head_scratch){0};
    ngram_row_init(&s->row);
}

void head_scratch_fini(struct head_scratch *s) {
    ngram_row_fini(&s->row);
    free(s->z);
    *s = (struct head_scratch){0};
}

static slm_status alloc_f32(float **out, size_t n, slm_err *err) {
    void *mem = NULL;
    slm_status st = mem_alloc(&mem, n ? n : 1, sizeof **out, "head", err);
    *out = mem;
    return st;
}

/* ---- states: centre, scale or whiten ---- */

static void to_z(const struct head *h, const float *state, float *z) {
    const size_t d = h->d;
    for (size_t i = 0; i < d; i++) z[i] = (state[i] - h->mean[i]) * h->scale[i];
    if (!h->whiten) return;
    for (size_t i = d; i-- > 0;) { /* from the last row, so that z is overwritten in place */
        double sum = 0;
        for (size_t k = 0; k <= i; k++) sum += (double)h->whiten[i * d + k] * (double)z[k];
        z[i] = (float)sum;
    }
}

/* Mean and standard deviation of each dimension over the rows that are used. */
static slm_status fit_scale(struct head *h, const struct head_rows *r, const bool *held, slm_err *err) {
    const size_t d = r->d;
    slm_status st = alloc_f32(&h->mean, d, err);
    if (st == SLM_OK) st = alloc_f32(&h->scale, d, err);
    if (st != SLM_OK) return st;
    h->d = r->d;
    for (size_t k = 0; k < d; k++) {
        double sum = 0, squares = 0, n = 0;
        for (size_t i = 0; i < r->n; i++)
            if (!held[i]) sum += (double)r->states[i * d + k], n += 1;
        for (size_t i = 0; i < r->n; i++)
            if (!held[i]) squares += ((double)r->states[i * d + k] - sum / n) * ((double)r->states[i * d + k] - sum / n);
        h->mean[k] = (float)(sum / n);
        h->scale[k] = squares > 0 ? (float)(1 / sqrt(squares / n)) : 0;
    }
    return SLM_OK;
}

/* What is done of a long fit; asked between pieces of about d * d products. */
struct work {
    const struct head_params *p;
    double done, all; /* products */
};

static slm_status work_on(struct work *w, double n_product, slm_err *err) {
    w->done += n_product;
    if (w->p->progress) w->p->progress(w->p->user, w->done / w->all);
    return w->p->cancel && *w->p->cancel ? err_set(err, SLM_E_CANCELLED, SLM_NOWHERE, "interrupted") : SLM_OK;
}

/* a [d, d], symmetric and positive: its lower Cholesky factor, then that factor's inverse, in place. 2 d^3 / 3 products. */
static slm_status cholesky_inverse(double *a, size_t d, struct work *w, slm_err *err) {
    slm_status st = SLM_OK;
    for (size_t j = 0; j < d; j++) {
        double diagonal = a[j * d + j];
        for (size_t k = 0; k < j; k++) diagonal -= a[j * d + k] * a[j * d + k];
        a[j * d + j] = sqrt(diagonal > 1e-12 ? diagonal : 1e-12);
        for (size_t i = j + 1; i < d; i++) {
            double sum = a[i * d + j];
            for (size_t k = 0; k < j; k++) sum -= a[i * d + k] * a[j * d + k];
            a[i * d + j] = sum / a[j * d + j];
        }
        TRY(work_on(w, (double)j * (double)(d - j), err));
    }
    for (size_t j = 0; j < d; j++) { /* column j of the inverse, from above */
        a[j * d + j] = 1 / a[j * d + j];
        for (size_t i = j + 1; i < d; i++) {
            double sum = 0;
            for (size_t k = j; k < i; k++) sum -= a[i * d + k] * a[k * d + j];
            a[i * d + j] = sum / a[i * d + i]; /* row i's diagonal is inverted only when its own column comes */
        }
        TRY(work_on(w, (double)(d - j) * (double)(d - j) / 2, err));
    }
out:
    return st;
}

/* Means of labels in z, over the rows that are used: sums [n_label, d]; count [n_label]. z [d] is room. */
static size_t fit_means(const struct head *h, const struct head_rows *r, const bool *held, float *z, float *sums, double *count) {
    const size_t d = r->d;
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (held[i]) continue;
        to_z(h, r->states + i * d, z);
        for (size_t k = 0; k < d; k++) sums[r->labels[i] * d + k] += z[k];
        count[r->labels[i]] += 1;
        n++;
    }
    for (size_t c = 0; c < r->n_label; c++)
        for (size_t k = 0; k < d; k++) sums[c * d + k] = count[c] > 0 ? (float)((double)sums[c * d + k] / count[c]) : 0;
    return n;
}

/* The covariance within labels (of all rows, while there are fewer rows than dimensions), shrunk to the diagonal by as much as it is uncertain: the lower
 * triangle of cov [d, d]. */
static slm_status fit_covariance(const struct head *h, const struct head_rows *r, const bool *held, size_t n, const float *means, float *z, double *cov, struct work *w, slm_err *err) {
    const size_t d = r->d;
    slm_status st = SLM_OK;
    bool within = n >= d + r->n_label;
    for (size_t i = 0; i < r->n; i++) {
        if (held[i]) continue;
        to_z(h, r->states + i * d, z);
        for (size_t k = 0; within && k < d; k++) z[k] -= means[r->labels[i] * d + k];
        for (size_t a = 0; a < d; a++)
            for (size_t b = 0; b <= a; b++) cov[a * d + b] += (double)z[a] * (double)z[b];
        TRY(work_on(w, (double)d * (double)d / 2, err));
    }
    double freedom = (double)(within ? n - r->n_label : n), shrink = (double)d / ((double)d + freedom), trace = 0;
    for (size_t a = 0; a < d; a++) trace += cov[a * d + a] / freedom / (double)d;
    for (size_t a = 0; a < d; a++)
        for (size_t b = 0; b <= a; b++) cov[a * d + b] = (1 - shrink) * cov[a * d + b] / freedom + (a == b ? shrink * trace + 1e-9 : 0);
out:
    return st;
}

static slm_status fit_centroids(struct head *h, const struct head_rows *r, const struct head_params *p, const bool *held, slm_err *err) {
    const size_t d = r->d;
    const double square = (double)d * (double)d;
    slm_status st = SLM_OK;
    void *mem = NULL;
    double *cov = NULL, *count = NULL;
    float *z = NULL, *means = NULL;
    struct work w = {.p = p, .all = square / 2 * ((double)r->n + r->n_label) + square * (double)d * 2 / 3};
    h->softmax = (struct softmax){.n_feature = r->d, .n_label = r->n_label};
    TRY(alloc_f32(&h->softmax.weight, d * r->n_label, err));
    TRY(alloc_f32(&h->softmax.bias, r->n_label, err));
    TRY(alloc_f32(&z, d, err));
    TRY(alloc_f32(&means, (size_t)r->n_label * d, err));
    TRY(mem_alloc(&mem, r->n_label, sizeof *count, "head", err));
    count = mem;
    TRY(mem_alloc(&mem, d * d, sizeof *cov, "head", err));
    cov = mem;
    size_t n = fit_means(h, r, held, z, means, count);
    TRY(fit_covariance(h, r, held, n, means, z, cov, &w, err));
    TRY(cholesky_inverse(cov, d, &w, err));
    TRY(alloc_f32(&h->whiten, d * d, err));
    for (size_t a = 0; a < d; a++)
        for (size_t b = 0; b <= a; b++) h->whiten[a * d + b] = (float)cov[a * d + b];
    for (size_t c = 0; c < r->n_label; c++) { /* nearest mean as a product: -|z - m|^2 / 2 without |z|^2 / 2 */
        double squares = 0;
        for (size_t i = 0; i < d; i++) {
            double sum = 0;
            for (size_t k = 0; k <= i; k++) sum += cov[i * d + k] * (double)means[c * d + k];
            h->softmax.weight[i * r->n_label + c] = (float)sum;
            squares += sum * sum;
        }
        h->softmax.bias[c] = count[c] > 0 ? (float)(-squares / 2) : -1e30f; /* no row: never nearest */
        TRY(work_on(&w, square / 2, err));
    }
out:
    free(z);
    free(means);
    free(count);
    free(cov);
    return st;
}

/* ---- one fit over the rows that are not held out ---- */

static slm_status fit_linear(struct head *h, const struct head_rows *r, const struct head_params *p, const bool *held, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    float *z = NULL;
    struct feature_row *rows = NULL;
    uint32_t *labels = NULL;
    size_t n = 0;
    TRY(alloc_f32(&z, r->n * r->d, err));
    TRY(mem_alloc(&mem, r->n + 1, sizeof *rows, "head", err));
    rows = mem;
    TRY(mem_alloc(&mem, r->n + 1, sizeof *labels, "head", err));
    labels = mem;
    float norm = 1 / sqrtf((float)r->d);
    for (size_t i = 0; i < r->n; i++) {
        if (held[i]) continue;
        to_z(h, r->states + i * r->d, z + n * r->d);
        rows[n] = (struct feature_row){NULL, z + n * r->d, r->d};
        for (size_t k = 0; k < r->d; k++) z[n * r->d + k] *= norm;
        labels[n++] = r->labels[i];
    }
    struct softmax_params sp = {.n_epoch = p->n_epoch, .seed = p->seed, .cancel = p->cancel, .progress = p->progress, .user = p->user};
    TRY(softmax_train(rows, labels, n, r->d, r->n_label, &sp, &h->softmax, err));
    for (size_t i = 0; i < (size_t)r->d * r->n_label; i++) h->softmax.weight[i] *= norm;
out:
    free(z);
    free(rows);
    free(labels);
    return st;
}

static slm_status fit_ngram(struct head *h, const struct head_rows *r, const struct head_params *p, const bool *held, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    struct ngram_row row;
    struct feature_row *rows = NULL;
    uint32_t *labels = NULL;
    struct arena arena;
    size_t n = 0;
    ngram_row_init(&row);
    arena_init(&arena, (size_t)16 << 30);
    TRY(mem_alloc(&mem, r->n + 1, sizeof *rows, "head", err));
    rows = mem;
    TRY(mem_alloc(&mem, r->n + 1, sizeof *labels, "head", err));
    labels = mem;
    for (size_t i = 0; i < r->n; i++)
        if (!held[i]) {
            TRY(ngram_learn(&h->table, &row, r->texts[i], err));
            n++;
        }
    ngram_learn_end(&h->table, n);
    n = 0;
    for (size_t i = 0; i < r->n; i++) {
        if (held[i]) continue;
        TRY(ngram_features(&h->table, &row, r->texts[i], err));
        uint32_t *index = arena_alloc(&arena, (row.n + 1) * sizeof *index, sizeof *index);
        float *value = index ? arena_alloc(&arena, (row.n + 1) * sizeof *value, sizeof *value) : NULL;
        if (!value) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "features of %zu rows: out of memory", r->n);
        if (row.n) memcpy(index, row.index, row.n * sizeof *index), memcpy(value, row.value, row.n * sizeof *value);
        rows[n] = (struct feature_row){index, value, row.n};
        labels[n++] = r->labels[i];
    }
    struct softmax_params sp = {.n_epoch = p->n_epoch, .dropout = NGRAM_DROPOUT, .seed = p->seed, .cancel = p->cancel, .progress = p->progress, .user = p->user};
    TRY(softmax_train(rows, labels, n, h->table.n_feature, r->n_label, &sp, &h->softmax, err));
out:
    ngram_row_fini(&row);
    arena_fini(&arena);
    free(rows);
    free(labels);
    return st;
}

static slm_status fit_once(struct head *h, const struct head_rows *r, const struct head_params *p, const bool *held, slm_err *err) {
    *h = (struct head){.kind = p->kind, .temper = 1};
    if (p->kind == HEAD_NGRAM) return fit_ngram(h, r, p, held, err);
    slm_status st = fit_scale(h, r, held, err);
    if (st != SLM_OK) return st;
    return p->kind == HEAD_LINEAR ? fit_linear(h, r, p, held, err) : fit_centroids(h, r, p, held, err);
}

/* ---- scoring ---- */

static slm_status logits_of(const struct head *h, struct head_scratch *s, struct view text, const float *state, float *out, double *novelty, slm_err *err) {
    *novelty = 0;
    if (h->kind == HEAD_NGRAM) {
        slm_status st = ngram_features(&h->table, &s->row, text, err);
        if (st != SLM_OK) return st;
        softmax_logits(&h->softmax, &(struct feature_row){s->row.index, s->row.value, s->row.n}, out);
        *novelty = 1 - s->row.known;
        return SLM_OK;
    }
    if (!s->z) {
        slm_status st = alloc_f32(&s->z, h->d, err);
        if (st != SLM_OK) return st;
    }
    to_z(h, state, s->z);
    softmax_logits(&h->softmax, &(struct feature_row){NULL, s->z, h->d}, out);
    *novelty = (double)NAN;
    if (h->kind != HEAD_CENTROID) return SLM_OK;
    double squares = 0, best = -INFINITY;
    for (size_t i = 0; i < h->d; i++) squares += (double)s->z[i] * (double)s->z[i];
    for (uint32_t k = 0; k < h->n_label; k++)
        if ((double)out[k] > best) best = (double)out[k];
    *novelty = (squares - 2 * best) / (double)h->d;
    return SLM_OK;
}

slm_status head_score(const struct head *h, struct head_scratch *s, struct view text, const float *state, float *probs, double *novelty, slm_err *err) {
    slm_status st = logits_of(h, s, text, state, probs, novelty, err);
    for (uint32_t k = 0; k < h->n_label && st == SLM_OK; k++)
        if (!isfinite(probs[k]))
            st = err_set(err, SLM_E_FAILED, SLM_NOWHERE, "head: the score of label \"%s\" is no finite number: the model's state of the text is none, or far from all that the head has seen", show_cstr(h->labels[k]).s);
    if (st == SLM_OK) softmax_probs(probs, h->n_label, h->temper);
    return st;
}

/* ---- the whole fit ---- */

static double held_share(const struct head_rows *r, const struct head_params *p) {
    if (p->held_share > 0) return (double)p->held_share;
    double share = HELD_ROWS_WANTED / (double)(r->n + 1);
    return share > 0.5 ? 0.5 : share > HELD_SHARE_LEAST ? share : HELD_SHARE_LEAST;
}

/* Rows kept aside: a share, but of each label's rows never the last that is used. */
static size_t choose_held(const struct head_rows *r, const struct head_params *p, uint32_t *left, bool *held) {
    struct rng rng;
    size_t n = 0;
    const double share = held_share(r, p);
    rng_init(&rng, p->seed + 1);
    for (size_t i = 0; i < r->n; i++) left[r->labels[i]]++;
    for (size_t i = 0; i < r->n; i++) {
        held[i] = rng_f64(&rng) < share && left[r->labels[i]] > 1;
        if (held[i]) left[r->labels[i]]--, n++;
    }
    return n;
}

/* Accuracy and temperature of a head on the rows that it has not seen. */
static slm_status judge_held(struct head *h, const struct head_rows *r, const bool *held, size_t n_held, slm_err *err) {
    slm_status st = SLM_OK;
    struct head_scratch scratch;
    float *logits = NULL;
    uint32_t *labels = NULL;
    void *mem = NULL;
    double novelty;
    size_t n = 0, n_right = 0;
    head_scratch_init(&scratch);
    TRY(alloc_f32(&logits, n_held * h->n_label, err));
    TRY(mem_alloc(&mem, n_held + 1, sizeof *labels, "head", err));
    labels = mem;
    for (size_t i = 0; i < r->n; i++) {
        if (!held[i]) continue;
        float *v = logits + n * h->n_label;
        TRY(logits_of(h, &scratch, r->texts ? r->texts[i] : (struct view){0}, r->states ? r->states + i * r->d : NULL, v, &novelty, err));
        uint32_t best = 0;
        for (uint32_t k = 1; k < h->n_label; k++)
            if (v[k] > v[best]) best = k;
        n_right += best == r->labels[i];
        labels[n++] = r->labels[i];
    }
    h->temper = softmax_temper(logits, labels, n, h->n_label);
    h->accuracy = (double)n_right / (double)n;
out:
    head_scratch_fini(&scratch);
    free(logits);
    free(labels);
    return st;
}

static slm_status copy_names(struct head *h, const struct head_rows *r, slm_err *err) {
    void *mem = NULL;
    slm_status st = mem_alloc(&mem, r->n_label, sizeof *h->labels, "labels", err);
    if (st != SLM_OK) return st;
    h->labels = mem;
    h->n_label = r->n_label;
    h->form = strdup("");
    for (uint32_t i = 0; i < r->n_label; i++)
        if (!(h->labels[i] = strdup(r->names[i]))) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "labels: out of memory");
    return h->form ? SLM_OK : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "labels: out of memory");
}

/* Twice: once without the held rows, for temperature and accuracy, then with all. */
slm_status head_fit(const struct head_rows *r, const struct head_params *p, struct head *out, slm_err *err) {
    slm_status st = SLM_OK;
    void *held_mem = NULL, *left_mem = NULL;
    double temper = 1, accuracy = 0;
    size_t n_held = 0;
    *out = (struct head){0};
    if (r->n_label < 2) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "rows to fit: %u label, at least two are needed", r->n_label);
    SLM_ASSERT(p->kind == HEAD_NGRAM ? r->texts != NULL : r->states != NULL && r->d > 0);
    TRY(mem_alloc(&held_mem, r->n + 1, sizeof(bool), "head", err));
    TRY(mem_alloc(&left_mem, r->n_label, sizeof(uint32_t), "head", err));
    n_held = choose_held(r, p, left_mem, held_mem);
    if (n_held > 0) {
        TRY(fit_once(out, r, p, held_mem, err));
        out->n_label = r->n_label;
        TRY(judge_held(out, r, held_mem, n_held, err));
        temper = out->temper;
        accuracy = out->accuracy;
        out->n_label = 0;
        head_fini(out);
        memset(held_mem, 0, r->n * sizeof(bool));
    }
    TRY(fit_once(out, r, p, held_mem, err));
    out->temper = temper;
    out->accuracy = accuracy;
    out->n_row = r->n;
    out->n_held = n_held;
    TRY(copy_names(out, r, err));
out:
    free(held_mem);
    free(left_mem);
    if (st != SLM_OK) head_fini(out);
    return st;
}

slm_status head_check(const struct head *h, const struct gguf *g, slm_err *err) {
    if (!head_needs_model(h->kind)) return SLM_OK;
    if (!g) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "head \"%s\": needs the model that it was fitted on", head_kind_name(h->kind));
        err_hint(err, "name it with -m");
        return SLM_E_USAGE;
    }
    if (bind_model(g) == h->model && bind_tokenizer(g) == h->tokenizer) return SLM_OK;
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "head \"%s\": was fitted on another model, or another quantization of it", head_kind_name(h->kind));
    err_hint(err, "fit it again with slm fit -m and this model");
    return SLM_E_USAGE;
}
