/* session.h -- one timeline of one model: prompt, decode, generate.
 *
 * The caller always passes the full token prefix; the session reuses what its KV cache already holds.
 * A session belongs to one thread at a time. */
#ifndef SLM_ENGINE_SESSION_H
#define SLM_ENGINE_SESSION_H

#include "engine/constrain.h"
#include "engine/sampler.h"
#include "engine/speculate.h"
#include "engine/stop.h"
#include "model/forward.h"
#include "model/lora.h"

#define KV_TYPE_AUTO (-1)

struct session_params {
    int32_t n_ctx;     /* 0: the model's training context, lowered so that the plan fits in half of available memory */
    int32_t n_chunk;   /* prompt tokens per forward; 0: 512 */
    int n_threads;     /* 0: cpu_info.n_usable */
    int32_t n_out;     /* rows of logits of one forward; 0: 1. More makes session_logits_all faster */
    int kv_type;       /* enum kv_type, or KV_TYPE_AUTO */
};

/* Where forwards are run: run calls fn(arg) once, on whatever thread, and returns what it returned when it has; or an error of its own, and fn was not called.
 * A session of a server shares the processor so with what else runs there, forward by forward. */
typedef slm_status (*session_step)(void *arg, slm_err *err);
struct session_host {
    slm_status (*run)(void *user, session_step fn, void *arg, slm_err *err); /* NULL: on the caller's thread */
    void *user;
};

struct slm_session {
    struct slm_model *model;   /* borrowed */
    struct compute compute;
    struct plan plan;
    struct kv *kv;
    struct kv_seq seq;
    struct forward *forward;
    struct tok_ids timeline;   /* what the cache holds */
    float *logits;             /* [plan.n_out, n_vocab]; row 0 is the last position's after session_feed */
    int32_t *batch_pos;        /* [plan.n_batch] each: the arrays of the batch under way */
    struct kv_seq **batch_seq;
    bool *batch_want;
    struct lora_mix lora;      /* session_set_lora's */
    const _Atomic bool *cancel; /* borrowed; NULL: never */
    struct session_host host;
};

/* session_plan -- the plan that session_create would use; for inspect --plan. */
slm_status session_plan(const struct slm_model *m, const struct session_params *p, struct plan *plan, slm_err *err);
slm_status session_create(struct slm_model *m, const struct session_params *p, struct slm_session **out, slm_err *err);
void session_destroy(struct slm_session *s);
/* session_set_lora -- how much of the model's adapters is added from now on; NULL: the model's default, which a new session has. Other adapters
 * than before empty the timeline. */
void session_set_lora(struct slm_session *s, const struct lora_mix *mix);

/* session_feed -- make the timeline equal ids[0..n): the common prefix is kept, the rest computed in chunks;
 * afterwards s->logits are those after the last id. n >= 1.
 * n_cached (may be NULL): how many positions were reused.
 * Errors: LIMIT (n > n_ctx: message has both counts), CANCELLED (timeline holds whole chunks done so far;
 * of a model with states what was saved, or nothing). */
slm_status session_feed(struct slm_session *s, const int32_t *ids, size_t n, size_t *n_cached, slm_err *err);
/* session_run -- a step as the host wants it; all forwards of a session go through it. */
slm_status session_run(struct slm_session *s, session_step fn, void *arg, slm_err *err);
/* session_forget -- empty the timeline. */
void session_forget(struct slm_session *s);
/* session_append -- one more token; afterwards s->logits are those after it. Errors as session_feed. */
slm_status session_append(struct slm_session *s, int32_t id, slm_err *err);

/* session_append_all -- n tokens, at most plan.n_out and plan.n_batch; afterwards s->logits has a row after each. Errors as
 * session_feed; the timeline is as before on error. session_truncate -- forget all but the first n positions. */
slm_status session_append_all(struct slm_session *s, const int32_t *ids, size_t n, slm_err *err);
void session_truncate(struct slm_session *s, size_t n);

/* session_logits_all -- logits of every position of ids as rows to `row` (in order); for `slm logits` and perplexity. */
typedef slm_status (*session_row)(void *user, size_t i_pos, const float *logits, slm_err *err);
slm_status session_logits_all(struct slm_session *s, const int32_t *ids, size_t n, session_row row, void *user, slm_err *err);
/* session_logits_from -- the same for positions from `first` on; what comes before is run without the head. */
slm_status session_logits_from(struct slm_session *s, const int32_t *ids, size_t n, size_t first, session_row row, void *user, slm_err *err);

/* session_rows_at_once -- rows of logits worth asking for at once: n_max, or what 64 MiB hold. */
int32_t session_rows_at_once(const struct slm_model *m, int32_t n_max);

enum finish { FINISH_EOS, FINISH_STOP, FINISH_LENGTH, FINISH_CONTEXT, FINISH_CALLBACK, FINISH_CANCELLED };
const char *finish_name(enum finish f);

struct generate_params {
    const struct sampler_params *sampling;
    int32_t n_max;                 /* tokens to generate at most; -1: until the context is full */
    const struct view *stops;      /* [n_stops] */
    size_t n_stops;
    bool ignore_eos;
    bool strip_first;              /* first piece loses its SPM space: off when continuing text */
    bool render_special;           /* control tokens in the text by their names: the output parser's marks */
    struct constraint *constraint; /* what the text is held to (constrain.h), borrowed; NULL: nothing */
    struct speculate_params speculate; /* zeroed: off. The session's n_out (speculate_rows) bounds the guesses */
    slm_on_text on_text;           /* may be NULL */
    bool (*on_token)(void *user, int32_t id, const float *logits); /* may be NULL; false stops */
    void *user;
};
struct generate_result {
    bool is_closed;                /* n_max or the context made the constraint close the text */
    struct tok_ids ids;            /* generated, end token not included; caller frees with tok_ids_fini */
    enum finish finish;
    size_t n_prompt, n_cached;
    double prefill_s, decode_s;
    struct speculate_stats speculate;
};
/* session_append_run -- n tokens, at most plan.n_batch, that are not in question; afterwards s->logits are those after the last. */
slm_status session_append_run(struct slm_session *s, const int32_t *ids, size_t n, slm_err *err);

/* session_generate -- continue prompt ids. With a constraint, tokens that are the only way on are not asked of the model, and
 * run together (unless on_token wants their logits); a text that is complete ends, FINISH_EOS. Errors also: LIMIT (what the
 * constraint needs at least does not fit), FAILED (the model's numbers are none). result is valid (and must be freed) on success only; CANCELLED is a
 * success with FINISH_CANCELLED. */
slm_status session_generate(struct slm_session *s, const int32_t *prompt, size_t n_prompt, const struct generate_params *p,
                            struct generate_result *result, slm_err *err);

#endif
