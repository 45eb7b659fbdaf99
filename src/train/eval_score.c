/* eval_score.c -- exact log-probabilities of given answers: all labels as a tree of ids (engine/label_tree.h), or a few choices. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/eval_int.h"

#define PRUNE_NATS 30.0

/* All labels as the row's prompt is continued by them; the same for every row, since a template's opening of an answer is. */
static slm_status make_tree(struct eval_run_state *s, const struct data_row *row, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    struct tok_ids *ids = NULL;
    const size_t n = s->task->n_labels;
    const struct tok_config *c = tok_config_of(s->encode.tok);
    TRY(mem_alloc(&mem, n, sizeof *ids, "labels", err));
    ids = mem;
    for (size_t i = 0; i < n; i++) TRY(data_encode_answer(&s->encode, row, view_of(s->task->labels[i]), &ids[i], err));
    st = label_tree_create(ids, (const char *const *)s->task->labels, n, row->shape == DATA_SHAPE_CHAT && c->eot != TOK_NONE ? c->eot : c->eos, &s->tree, err);
out:
    for (size_t i = 0; ids && i < n; i++) tok_ids_fini(&ids[i]);
    free(ids);
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
    TRY(label_tree_score(s->tree, s->session, &s->path, NULL, PRUNE_NATS, s->score, &best, err));
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
