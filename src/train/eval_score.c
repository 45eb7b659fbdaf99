/* eval_score.c -- exact log-probabilities of given answers: all labels as a tree of ids, or a few choices.
 *
 * The tree is walked depth first on one timeline, so what labels share is computed once, and the prompt always. A partial sum only falls,
 * so a branch that is PRUNE_NATS below the best whole label cannot win, and what it could add to the sum of all is below 1e-10. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/eval_int.h"

#define PRUNE_NATS 30.0

struct label_node {
    int32_t id, label;      /* label: ends here, or -1 */
    int32_t child, sibling; /* places, -1: none */
};
struct label_tree {
    struct label_node *nodes;
    size_t n, cap;
    bool with_end;          /* the token behind a label counts */
    int32_t end;
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

static slm_status add_label(struct label_tree *t, const struct tok_ids *ids, size_t from, int32_t label, slm_err *err) {
    int32_t at = 0;
    for (size_t i = from; i < ids->n; i++) {
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

/* All labels as the row's prompt is continued by them; the same for every row, since a template's opening of an answer is. */
static slm_status make_tree(struct eval_run_state *s, const struct data_row *row, slm_err *err) {
    slm_status st = SLM_OK;
    struct tok_ids ids = {0};
    int32_t root;
    const struct tok_config *c = tok_config_of(s->encode.tok);
    struct label_tree *t = s->tree = calloc(1, sizeof *t);
    if (!t) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "labels: out of memory");
    TRY(add_node(t, TOK_NONE, &root, err));
    for (size_t i = 0; i < s->task->n_labels; i++) {
        ids.n = 0;
        TRY(data_encode_answer(&s->encode, row, view_of(s->task->labels[i]), &ids, err));
        st = add_label(t, &ids, 0, (int32_t)i, err);
        if (st != SLM_OK) {
            err_wrap(err, st, "label \"%.60s\"", s->task->labels[i]);
            goto out;
        }
    }
    for (size_t i = 0; i < t->n; i++) t->with_end |= t->nodes[i].label >= 0 && t->nodes[i].child >= 0;
    t->end = row->shape == DATA_SHAPE_CHAT && c->eot != TOK_NONE ? c->eot : c->eos;
    if (t->with_end && t->end == TOK_NONE) st = err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "a label begins another and the vocabulary has no token that ends a text");
out:
    tok_ids_fini(&ids);
    return st;
}

/* Scores of the labels below node `at`, whose ids are s->path; sum: its own log-probability. */
static slm_status walk(struct eval_run_state *s, int32_t at, double sum, double *best, slm_err *err) {
    const struct label_tree *t = s->tree;
    const struct label_node *node = &t->nodes[at];
    if (sum < *best - PRUNE_NATS) return SLM_OK;
    bool ends = node->label >= 0 && !t->with_end;
    if (ends) s->score[node->label] = sum;
    if (ends && sum > *best) *best = sum;
    if (node->child < 0 && !(node->label >= 0 && t->with_end)) return SLM_OK;
    slm_status st = session_feed(s->session, s->path.v, s->path.n, NULL, err);
    if (st != SLM_OK) return st;
    const float *logits = s->session->logits;
    double all = log_sum_exp(logits, s->session->model->hp.n_vocab);
    if (node->label >= 0 && t->with_end) {
        s->score[node->label] = sum + (double)logits[t->end] - all;
        if (s->score[node->label] > *best) *best = s->score[node->label];
    }
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
        if (t->nodes[k].label >= 0 && t->nodes[k].child < 0 && !t->with_end) st = walk(s, k, v, best, err);
    }
    n_child = 0;
    for (int32_t k = node->child; k >= 0 && st == SLM_OK; k = t->nodes[k].sibling) {
        double v = sums[n_child++];
        if (t->nodes[k].label >= 0 && t->nodes[k].child < 0 && !t->with_end) continue;
        st = tok_ids_push(&s->path, t->nodes[k].id, err);
        if (st == SLM_OK) st = walk(s, k, v, best, err);
        s->path.n--;
    }
    free(sums);
    return st;
}

/* A row to classify in the words of prompt_form. */
static slm_status form_row(struct eval_run_state *s, const struct data_row *row, struct data_row *out, slm_err *err) {
    const char *form = s->p->prompt_form, *at = strstr(form, "{text}");
    *out = *row;
    if (!at) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "prompt \"%.100s\": \"{text}\" is not in it", form);
    buf_clear(&s->form);
    buf_append(&s->form, form, (size_t)(at - form));
    buf_append(&s->form, row->text.ptr, row->text.len);
    buf_puts(&s->form, at + 6);
    out->shape = DATA_SHAPE_PAIR;
    out->prompt = (struct view){s->form.data, s->form.len};
    out->completion = row->label;
    return buf_status(&s->form, "a prompt", err);
}

slm_status eval_classify_row(struct eval_run_state *s, const struct data_row *given, struct eval_item *item, slm_err *err) {
    slm_status st = SLM_OK;
    struct data_row row = *given;
    double best = -INFINITY, sum = 0;
    if (s->p->prompt_form) TRY(form_row(s, given, &row, err));
    if (!s->tree) TRY(make_tree(s, &row, err));
    TRY(data_encode_prompt(&s->encode, &row, &s->path, err));
    for (size_t i = 0; i < s->task->n_labels; i++) s->score[i] = -INFINITY;
    TRY(walk(s, 0, 0, &best, err));
    for (size_t i = 0; i < s->task->n_labels; i++) {
        if (s->score[i] > s->score[item->got]) item->got = (int32_t)i;
        sum += exp(s->score[i] - best);
    }
    item->confidence = (float)(1 / sum);
    item->right = item->got == item->want;
out:
    return st;
}

/* Choices */

/* log p(ids[from..n) | ids[0..from)); the prompt stays on the timeline. */
static slm_status continuation(struct slm_session *s, const int32_t *ids, size_t from, size_t n, double *sum, slm_err *err) {
    const uint32_t n_vocab = s->model->hp.n_vocab;
    slm_status st = session_feed(s, ids, from, NULL, err);
    if (st != SLM_OK) return st;
    *sum = (double)s->logits[ids[from]] - log_sum_exp(s->logits, n_vocab);
    for (size_t i = from, n_rows; i + 1 < n && st == SLM_OK; i += n_rows) {
        n_rows = n - 1 - i < (size_t)s->plan.n_out ? n - 1 - i : (size_t)s->plan.n_out;
        st = session_append_all(s, ids + i, n_rows, err);
        for (size_t j = 0; j < n_rows && st == SLM_OK; j++) {
            const float *logits = s->logits + j * n_vocab;
            *sum += (double)logits[ids[i + j + 1]] - log_sum_exp(logits, n_vocab);
        }
    }
    return st;
}

slm_status eval_choice_row(struct eval_run_state *s, const struct data_row *row, struct eval_item *item, slm_err *err) {
    slm_status st = SLM_OK;
    size_t n_prompt, i, norm = 0;
    double best = -INFINITY, best_norm = -INFINITY;
    json_t *choice;
    TRY(data_encode_prompt(&s->encode, row, &s->path, err));
    n_prompt = s->path.n;
    item->want = (int32_t)row->i_answer;
    if (n_prompt == 0) {
        st = row_fault(row->path, row->line, err, "an empty prompt, and the vocabulary has no token that begins a text");
        goto out;
    }
    json_array_foreach(row->choices, i, choice) {
        struct view v = {json_string_value(choice), json_string_length(choice)};
        s->path.n = n_prompt;
        TRY(data_encode_answer(&s->encode, row, v, &s->path, err));
        if (s->path.n == n_prompt) {
            st = row_fault(row->path, row->line, err, "choice %zu has no tokens", i);
            goto out;
        }
        double sum;
        TRY(continuation(s->session, s->path.v, n_prompt, s->path.n, &sum, err));
        if (sum > best) best = sum, item->got = (int32_t)i;
        if (sum / (double)v.len > best_norm) best_norm = sum / (double)v.len, norm = i;
    }
    item->right = item->got == item->want;
    item->right_norm = norm == row->i_answer;
out:
    return st;
}
