/* head.h -- classifiers fitted to rows with labels, in seconds, and kept in a file.
 *
 *   ngram     words and runs of characters (ngram.h), logistic regression; no model at all
 *   linear    the state of a model's last token, or the mean of all, scaled; logistic regression
 *   centroid  the same states, whitened by the covariance within labels; the nearest mean (linear discriminant analysis). Few rows
 *             are enough, and the distance to the nearest mean tells what is like nothing seen
 *
 * Probabilities are tempered on rows that were held out. A head file is a GGUF file with keys "slm.head.*": everything of it is
 * checked on reading. It carries what it was made with (bind.h): a model head refuses another model. */
#ifndef SLM_TASK_HEAD_H
#define SLM_TASK_HEAD_H

#include "engine/embed.h"
#include "task/ngram.h"

enum head_kind { HEAD_NGRAM, HEAD_CENTROID, HEAD_LINEAR, HEAD_KIND_COUNT };
const char *head_kind_name(enum head_kind k);
bool head_kind_by_name(const char *name, enum head_kind *out);
bool head_needs_model(enum head_kind k);

struct head {
    enum head_kind kind;
    char **labels;         /* [n_label], in order of names */
    uint32_t n_label;
    uint64_t model, tokenizer; /* bind.h; 0 for ngram */
    char *form;            /* "...{text}...": what the model reads; "" for ngram */
    enum pooling pooling;  /* POOLING_LAST or POOLING_MEAN */
    struct ngram_table table;
    uint32_t d;            /* of states */
    float *mean, *scale;   /* [d] */
    float *whiten;         /* [d, d], lower triangle; centroid only */
    struct softmax softmax;
    double temper;
    double accuracy;       /* on held-out rows when it was fitted */
    uint64_t n_row, n_held;
};

/* Rows to fit. states [n, d] for the kinds that need a model. */
struct head_rows {
    const struct view *texts;  /* [n] */
    const float *states;
    uint32_t d;
    const uint32_t *labels;    /* [n], below n_label */
    size_t n;
    const char *const *names;  /* [n_label] */
    uint32_t n_label;
};
struct head_params {
    enum head_kind kind;
    uint32_t n_epoch;          /* 0: by the number of rows */
    float held_share;          /* of rows kept aside for temperature and accuracy, then used as well; 0: a tenth, of few rows up to half. Each label keeps one row */
    uint64_t seed;
    const _Atomic bool *cancel;
    void (*progress)(void *user, double share);
    void *user;
};
/* head_fit -- model, tokenizer, form and pooling are the caller's to fill. Freed with head_fini.
 * Errors: USAGE (fewer than two labels), LIMIT, NOMEM, CANCELLED. */
slm_status head_fit(const struct head_rows *rows, const struct head_params *p, struct head *out, slm_err *err);
void head_fini(struct head *h);

/* What is used again from text to text. */
struct head_scratch {
    struct ngram_row row;
    float *z;          /* [d] */
};
void head_scratch_init(struct head_scratch *s);
void head_scratch_fini(struct head_scratch *s);
/* head_score -- probs [n_label]. text for ngram, state [d] for the others. novelty: of ngram the share of features never seen, of centroid the
 * distance to the nearest mean in units of its own expectation, of linear NaN: not known.
 * Errors: LIMIT, NOMEM, FAILED (a state, or what the head makes of it, that is no finite number). */
slm_status head_score(const struct head *h, struct head_scratch *s, struct view text, const float *state, float *probs, double *novelty, slm_err *err);

/* Files. head_open: errors IO, FORMAT, LIMIT, UNSUPPORTED (a version of the format past this one). */
slm_status head_write(const struct head *h, const char *path, slm_err *err);
slm_status head_open(const char *path, struct head *out, slm_err *err);
slm_status head_open_memory(const void *bytes, size_t n, struct head *out, slm_err *err);
/* head_check -- a model that the head was not made with is refused. g may be NULL where none is needed. Errors: USAGE. */
slm_status head_check(const struct head *h, const struct gguf *g, slm_err *err);

#endif
