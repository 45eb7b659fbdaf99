/* label_tree.c -- many answers on one timeline.
 *
 * The tree is walked depth first, so what labels share is computed once, and the prompt always. A partial sum only falls, so a branch
 * that is far below the best whole label, whatever its prior, cannot win. */
#include "engine/label_tree.h"

#include <math.h>
#include <stdlib.h>

struct label_node {
    int32_t id, label;      /* label: ends here, or -1 */
    int32_t child, sibling; /* places, -1: none */
};
struct label_tree {
    struct label_node *nodes;
    size_t n, cap, n_label;
    bool with_end;          /* the token behind a label counts */
    int32_t end;
};

/* One walk. */
struct walk {
    const struct label_tree *t;
    struct slm_session *session;
    struct tok_ids *path;
    const double *prior;
    double prior_min, prune;
    double *score, *best;
};

void label_tree_destroy(struct label_tree *t) {
    if (t) free(t->nodes);
    free(t);
}

double log_sum_exp(const float *logits, uint32_t n) {
    float max = logits[0];
    double sum = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > max) max = logits[i];
    for (uint32_t i = 0; i < n; i++) sum += exp((double)logits[i] - (double)max);
    return (double)max + log(sum);
}

static slm_status add_node(struct label_tree *t, int32_t id, int32_t *out, slm_err *err) {
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 256;
        struct label_node *q = realloc(t->nodes, cap * sizeof *q);
        if (!q) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "labels: out of memory");
        t->nodes = q;
        t->cap = cap;
    }
    t->nodes[t->n] = (struct label_node){id, -1, -1, -1};
    *out = (int32_t)t->n++;
    return SLM_OK;
}

static slm_status add_label(struct label_tree *t, const struct tok_ids *ids, int32_t label, slm_err *err) {
    int32_t at = 0;
    for (size_t i = 0; i < ids->n; i++) {
        int32_t k = t->nodes[at].child, last = -1;
        for (; k >= 0 && t->nodes[k].id != ids->v[i]; k = t->nodes[k].sibling) last = k;
        if (k < 0) {
            slm_status st = add_node(t, ids->v[i], &k, err);
            if (st != SLM_OK) return st;
            *(last < 0 ? &t->nodes[at].child : &t->nodes[last].sibling) = k;
        }
        at = k;
    }
    if (at == 0 || t->nodes[at].label >= 0) return err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "two labels have the same tokens, or one has none");
    t->nodes[at].label = label;
    return SLM_OK;
}

slm_status label_tree_create(const struct tok_ids *labels, const char *const *names, size_t n, int32_t end, struct label_tree **out, slm_err *err) {
    slm_status st = SLM_OK;
    int32_t root;
    struct label_tree *t = *out = calloc(1, sizeof *t);
    if (!t) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "labels: out of memory");
    TRY(add_node(t, TOK_NONE, &root, err));
    for (size_t i = 0; i < n; i++) {
        st = add_label(t, &labels[i], (int32_t)i, err);
        if (st != SLM_OK) {
            err_wrap(err, st, "label \"%.60s\"", names[i]);
            goto out;
        }
    }
    t->n_label = n;
    t->end = end;
    for (size_t i = 0; i < t->n; i++) t->with_end |= t->nodes[i].label >= 0 && t->nodes[i].child >= 0;
    if (t->with_end && end == TOK_NONE) st = err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "a label begins another and the vocabulary has no token that ends a text");
out:
    if (st != SLM_OK) {
        label_tree_destroy(t);
        *out = NULL;
    }
    return st;
}

static void set_score(const struct walk *w, int32_t label, double sum) {
    double v = w->score[label] = sum - (w->prior ? w->prior[label] : 0);
    if (v > *w->best) *w->best = v;
}

/* Scores of the labels below node `at`, whose ids are the path; sum: its own log-probability. */
static slm_status walk_node(const struct walk *w, int32_t at, double sum, slm_err *err) {
    const struct label_tree *t = w->t;
    const struct label_node *node = &t->nodes[at];
    if (sum - w->prior_min < *w->best - w->prune) return SLM_OK;
    if (node->label >= 0 && !t->with_end) set_score(w, node->label, sum);
    if (node->child < 0 && !(node->label >= 0 && t->with_end)) return SLM_OK;
    slm_status st = session_feed(w->session, w->path->v, w->path->n, NULL, err);
    if (st != SLM_OK) return st;
    const float *logits = w->session->logits;
    double all = log_sum_exp(logits, w->session->model->hp.n_vocab);
    if (node->label >= 0 && t->with_end) set_score(w, node->label, sum + (double)logits[t->end] - all);
    /* The children's sums first: walking them moves the timeline and its logits. */
    size_t n_child = 0;
    for (int32_t k = node->child; k >= 0; k = t->nodes[k].sibling) n_child++;
    double *sums = malloc((n_child + 1) * sizeof *sums);
    if (!sums) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "labels: out of memory");
    n_child = 0;
    for (int32_t k = node->child; k >= 0; k = t->nodes[k].sibling) sums[n_child++] = sum + (double)logits[t->nodes[k].id] - all;
    n_child = 0;
    for (int32_t k = node->child; k >= 0 && st == SLM_OK; k = t->nodes[k].sibling) { /* leaves are scores already, and set the bar */
        double v = sums[n_child++];
        if (t->nodes[k].label >= 0 && t->nodes[k].child < 0 && !t->with_end) st = walk_node(w, k, v, err);
    }
    n_child = 0;
    for (int32_t k = node->child; k >= 0 && st == SLM_OK; k = t->nodes[k].sibling) {
        double v = sums[n_child++];
        if (t->nodes[k].label >= 0 && t->nodes[k].child < 0 && !t->with_end) continue;
        if ((st = tok_ids_push(w->path, t->nodes[k].id, err)) != SLM_OK) break;
        st = walk_node(w, k, v, err);
        w->path->n--;
    }
    free(sums);
    return st;
}

slm_status label_tree_score(const struct label_tree *t, struct slm_session *s, struct tok_ids *prompt, const double *prior, double prune, double *score,
                            double *best, slm_err *err) {
    struct walk w = {.t = t, .session = s, .path = prompt, .prior = prior, .prune = prune, .score = score, .best = best};
    for (size_t i = 0; i < t->n_label; i++) {
        score[i] = -INFINITY;
        if (prior && prior[i] < w.prior_min) w.prior_min = prior[i];
    }
    *best = -INFINITY;
    return walk_node(&w, 0, 0, err);
}
