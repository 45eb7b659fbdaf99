/* eval_int.h -- what the files of evaluation share. */
#ifndef SLM_TRAIN_EVAL_INT_H
#define SLM_TRAIN_EVAL_INT_H

#include "engine/label_tree.h"
#include "train/data_int.h"
#include "train/eval.h"

struct eval_row {
    json_t *object;
    uint64_t line;
    int32_t label; /* CLASSIFY */
};
struct eval_task {
    char *path;
    enum eval_kind kind;
    enum data_format format;
    struct eval_row *rows;
    size_t n, cap;
    char **labels;
    size_t n_labels;
};

/* One run: a session and the memory that rows share. */
struct eval_run_state {
    const struct eval_task *task;
    const struct eval_params *p;
    struct data_encode_params encode;
    struct slm_session *session, *other;
    struct tok_ids path;
    struct label_tree *tree;
    double *score;               /* [n_label or choices] */
    struct data_tokens tokens;
    struct buf form;             /* a prompt made of prompt_form */
};
/* The functions of kinds: one row into item. */
slm_status eval_classify_row(struct eval_run_state *s, const struct data_row *row, struct eval_item *item, slm_err *err);
slm_status eval_choice_row(struct eval_run_state *s, const struct data_row *row, struct eval_item *item, slm_err *err);
slm_status eval_generate_row(struct eval_run_state *s, const struct data_row *row, struct eval_item *item, slm_err *err);
slm_status eval_text_row(struct eval_run_state *s, const struct data_row *row, struct eval_item *item, slm_err *err);

/* eval_read_labels -- a label a line, kept in order of names. */
slm_status eval_read_labels(struct eval_task *t, const char *path, slm_err *err);
int32_t eval_find_label(const struct eval_task *t, struct view label); /* -1: none */
slm_status eval_open_state(struct eval_run_state *s, struct slm_model *m, slm_err *err); /* task and p are set */
void eval_close_state(struct eval_run_state *s);

#endif
