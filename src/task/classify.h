/* classify.h -- a label for a text, with the probability of every label.
 *
 * By a fitted head (head.h), or by the model's own words: the exact probability of writing each label behind one prompt
 * (engine/label_tree.h), divided by what it is behind texts without content, so that a label which the model likes to write anyway has no
 * advantage. Nothing is drawn. */
#ifndef SLM_TASK_CLASSIFY_H
#define SLM_TASK_CLASSIFY_H

#include "task/head.h"
#include "task/signals.h"
#include "task/worker.h"

#define CLASSIFY_LISTED_MAX 64 /* more labels are not listed in the prompt */

struct classifier_params {
    struct worker *worker;        /* borrowed; NULL only with an ngram head */
    const struct head *head;      /* borrowed; NULL: by the model's own words */
    /* The rest without a head. */
    const char *const *labels;    /* [n_label] */
    const char *const *wordings;  /* [n_label] what the model would write; NULL, or an element NULL: the label itself */
    size_t n_label;
    const char *system, *form;    /* NULL: the row's */
    const char *answer;           /* "...{label}...": what stands around the wording; NULL: nothing */
    bool no_prior;                /* do not divide */
};
struct classifier;
/* Errors: USAGE (no labels, a form without {text}), UNSUPPORTED (labels with the same ids; an encoder without a head), those of the session. */
slm_status classifier_create(const struct classifier_params *p, struct classifier **out, slm_err *err);
void classifier_destroy(struct classifier *c);
size_t classifier_n_label(const struct classifier *c);
const char *classifier_label(const struct classifier *c, size_t i);
/* classifier_identity -- of prompt, template or none, labels and wordings, or of the head: what a certificate is bound to. */
uint64_t classifier_identity(const struct classifier *c);

struct classification {
    size_t label;
    const float *probs;   /* [n_label], the classifier's until the next text */
    struct signals signals;
    size_t n_token;
};
/* classifier_run -- Errors: LIMIT (text longer than the context), USAGE, FAILED (numbers of the model that are none), CANCELLED. */
slm_status classifier_run(struct classifier *c, struct view text, struct classification *out, slm_err *err);

#endif
