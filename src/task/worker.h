/* worker.h -- a model at work on small jobs: one session, its chat template, prompts as ids. Single thread. */
#ifndef SLM_TASK_WORKER_H
#define SLM_TASK_WORKER_H

#include "engine/embed.h"
#include "task/prompts.h"
#include "task/signals.h"
#include "text/chat_template.h"

struct worker {
    struct slm_model *model;      /* borrowed */
    struct slm_session *session;  /* owned */
    struct chat_template *tmpl;   /* owned; NULL: prompts are plain text */
    struct constrain_vocab *vocab; /* owned; made when first needed, worker_vocab */
};
struct worker_params {
    int32_t n_ctx;      /* 0: the model's own, at most 8192 */
    int32_t n_chunk;    /* prompt tokens of one forward; 0: as session_params */
    int n_threads;      /* 0: all */
    bool raw;           /* no chat template */
    const _Atomic bool *cancel;
};
/* Errors: those of session_create and chat_template_create. */
slm_status worker_create(struct slm_model *m, const struct worker_params *p, struct worker **out, slm_err *err);
void worker_destroy(struct worker *w);

/* worker_prompt -- ids of a job: system (NULL: none) and the user's turn, up to where the answer begins; without a template the texts one after the
 * other, then opening. Control tokens written in the texts stay text. ids is overwritten. Errors: USAGE (not UTF-8), LIMIT, those of templates. */
slm_status worker_prompt(const struct worker *w, const char *system, struct view user, const char *opening, struct tok_ids *ids, slm_err *err);

/* worker_answer_ids -- the ids of an answer as they follow a prompt of this worker. Appends. Without a template a label follows the
 * opening's space. Errors: those of tok_encode. */
slm_status worker_answer_ids(const struct worker *w, struct view answer, struct tok_ids *ids, slm_err *err);

/* worker_state -- the state of a text under a form: out [d_model]. n_token: how many ids it had. Errors: LIMIT (longer than the context). */
slm_status worker_state(struct worker *w, const char *form, struct view text, enum pooling pooling, float *out, size_t *n_token, slm_err *err);

/* worker_write -- the likeliest continuation of ids, greedily, up to n_max tokens, an end token or a stop string [n_stop]. out is appended to, whole
 * characters only. signals: of its tokens. *n_out: their number.
 * is_done (may be NULL) is asked after each piece of text; true ends it.
 * Errors: those of session_generate. */
struct writing {
    const struct view *stops;
    size_t n_stop;
    int32_t n_max;
    bool strip_first;  /* drop the space that begins an SPM text */
    bool (*is_done)(void *user, struct view so_far);
    void *user;
};
slm_status worker_write(struct worker *w, const struct tok_ids *ids, const struct writing *p, struct buf *out, struct signals *signals, size_t *n_out, slm_err *err);

slm_status worker_vocab(struct worker *w, slm_err *err);

#endif
