/* fitting.h -- rows with labels to the best head; what slm fit and slm classify --examples share. */
#ifndef SLM_CLI_FITTING_H
#define SLM_CLI_FITTING_H

#include "task/classify.h"

struct fit_rows {
    struct arena arena;
    struct view *texts;     /* [n] */
    uint32_t *labels;       /* [n] */
    const char **names;     /* [n_label], in order */
    size_t n, cap;
    uint32_t n_label;
};
/* Errors: those of the reader (train/data.h); FORMAT (a row without a label). */
slm_status fit_rows_read(const char *path, struct fit_rows *out, slm_err *err);
void fit_rows_fini(struct fit_rows *r);

#define FIT_METHODS "auto|ngram|centroid|linear"
struct fit_wish {
    int32_t method;         /* place in FIT_METHODS */
    int32_t pooling;        /* 0 auto, 1 last, 2 mean */
    const char *form;       /* NULL: the row's */
    uint32_t n_epoch;
    uint64_t seed;
    float held_share;
    bool show;              /* progress on standard error */
};
struct fit_trial {
    enum head_kind kind;
    enum pooling pooling;
    double accuracy;
    bool is_kept;
};
struct fitted {
    struct head head;
    struct fit_trial trials[8];
    size_t n_trial;
};
/* fit_best -- worker NULL: ngram only. Freed with fitted_fini. Errors: USAGE (a method that needs a model without one), those of head_fit. */
slm_status fit_best(struct worker *w, const struct fit_rows *rows, const struct fit_wish *wish, struct fitted *out, slm_err *err);
void fitted_fini(struct fitted *f);

#endif
