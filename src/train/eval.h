/* eval.h -- how good a model is at a task, with intervals, and whether another is better.
 *
 * A task is a file of rows (data.h); its kind is seen by the rows' format unless one is named:
 *   classify    the label that the model finds likeliest of all labels. Scores are exact: log p(label | prompt), the sum over the label's
 *               tokens of a walk through the tree of all labels on one KV cache. When a label's tokens begin another's, the
 *               end token counts too. No division by length, so that it is the probability of writing this label
 *   choice      the likeliest choice, by the sum (accuracy) and by the sum / bytes of the choice (accuracy_norm, as lm-eval counts)
 *   generate    greedy text up to n_max tokens against the answer: equal after trimming white space (accuracy), token F1, and where
 *               the answer is JSON: share that parses, equal as values, F1 over the object's members
 *   perplexity  of the tokens that training would learn; bits per byte
 *   agreement   the same tokens: share where both models like the same token best, KL(other || model)
 * Intervals are 95 %: Wilson for shares, bootstrap over rows (1,000 draws, seed 1) for the rest. With a second model: McNemar's exact
 * test on the rows that one has right and the other wrong. */
#ifndef SLM_TRAIN_EVAL_H
#define SLM_TRAIN_EVAL_H

#include "base/stats.h"
#include "engine/perplexity.h"
#include "train/data.h"

#define EVAL_N_ROW_MAX (4u << 20)
#define EVAL_N_LABEL_MAX 4096

enum eval_kind { EVAL_AUTO, EVAL_CLASSIFY, EVAL_CHOICE, EVAL_GENERATE, EVAL_PERPLEXITY, EVAL_AGREEMENT };
const char *eval_kind_name(enum eval_kind k);

/* ---- tasks ---- */

struct eval_task;
struct eval_task_params {
    const char *path;
    enum data_format format;
    enum eval_kind kind;
    uint64_t n_max;              /* rows; 0: all */
    const char *labels_path;     /* a label a line; NULL: those of the file */
};
/* Errors: those of the reader; USAGE (no row, rows of several kinds), LIMIT; FORMAT (a label that is not in the list). */
slm_status eval_task_open(const struct eval_task_params *p, struct eval_task **out, slm_err *err);
void eval_task_close(struct eval_task *t);
enum eval_kind eval_task_kind(const struct eval_task *t);
size_t eval_task_n_label(const struct eval_task *t);
const char *eval_task_label(const struct eval_task *t, size_t i); /* in order of names */

/* What a model did with one row. */
struct eval_item {
    uint64_t line;
    int32_t want, got;      /* label or choice */
    bool right, right_norm; /* right_norm: of choices by bytes */
    float confidence;       /* of classify: p(got) among the labels */
    double f1, json_f1;
    bool json_asked, json_valid, json_equal;
    double nll, kl;         /* sums over the row's tokens, nats */
    uint32_t n_token, n_byte, n_same;
    char *text;             /* of generate; owned */
};
struct eval_class {
    uint64_t n_want, n_got, n_right;
    double precision, recall, f1;
};
struct eval_result {
    enum eval_kind kind;
    size_t n;
    struct eval_item *items;     /* [n] */
    struct estimate accuracy, accuracy_norm, f1, json_valid, json_equal, json_f1, macro_f1, perplexity, bits_per_byte, agreement, kl;
    double ece;                  /* expected calibration error, 10 bins */
    uint64_t n_json, n_token;
    struct eval_class *classes;  /* [n_label] of classify */
    double seconds;
};
void eval_result_fini(struct eval_result *r);

struct eval_params {
    struct session_params session;
    const struct chat_template *tmpl; /* of the model; NULL: none */
    const char *system;
    const char *prompt_form;     /* "...{text}...": rows to classify as plain text instead of a chat; NULL: as a chat */
    int32_t n_max;               /* tokens to generate */
    struct slm_model *other;     /* AGREEMENT: compared with; borrowed */
    const _Atomic bool *cancel;
    void (*progress)(void *user, size_t i, size_t n);
    void *user;
};
/* eval_run -- out is freed with eval_result_fini. Errors: those of sessions and encoders; USAGE (agreement without another model);
 * UNSUPPORTED (vocabulary mismatch). */
slm_status eval_run(struct slm_model *m, const struct eval_task *t, const struct eval_params *p, struct eval_result *out, slm_err *err);

/* Two results of the same task. */
struct eval_pair {
    uint64_t n_both, n_first, n_second, n_none; /* rows right */
    uint64_t n_same;                            /* same label, choice or text */
    double p;                                   /* McNemar */
    struct estimate difference;                 /* accuracy of first - second */
};
slm_status eval_compare(const struct eval_result *a, const struct eval_result *b, struct eval_pair *out, slm_err *err);

#endif
