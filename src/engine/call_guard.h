/* call_guard.h -- a model may call tools or not; once it has begun to, what it writes is a call.
 *
 * While no call is under way a guard lets everything come, but for a mark that begins a call and cannot be followed by one: with bytes behind it
 * that no call has, with too few tokens left for the shortest call, or after the only call that may be. From the mark on every token is held
 * to the tools' grammar (constrain.h, CONSTRAIN_CALLS), to the end of the call; then the model is free again. Where a call begins and ends is
 * what the parser of the model's output says (text/output_parser.h), so what is held is what will be told.
 *
 * Of forms that begin like other answers (call_form.is_late) it is a call from the end of a tool's name on; what goes another way
 * before that is left alone.
 *
 * Made on any thread and handed over; used by one thread at a time. */
#ifndef SLM_ENGINE_CALL_GUARD_H
#define SLM_ENGINE_CALL_GUARD_H

#include "engine/constrain.h"
#include "text/output_parser.h"

struct call_guard;
struct call_guard_spec {
    const struct output_format *format;
    const struct call_form *form;   /* of the format; not NULL */
    const json_t *tools;            /* borrowed until the guard is destroyed */
    struct view prompt;             /* as output_options; read by create only */
    bool only_one, strip_first;
};
/* call_guard_create -- vocab is borrowed and must outlive the guard. Errors: those of constraint_create; NOMEM. */
slm_status call_guard_create(const struct call_guard_spec *spec, const struct constrain_vocab *vocab, struct call_guard **out, slm_err *err);
void call_guard_destroy(struct call_guard *g);
const struct schema_notes *call_guard_notes(const struct call_guard *g); /* as constraint_notes */

/* call_guard_pick -- sampler_pick under the guard. n_left as constrain_pick. Errors: those of constrain_pick. */
slm_status call_guard_pick(struct call_guard *g, struct sampler *sampler, const float *logits, int32_t n_left, int32_t *id, slm_err *err);
/* call_guard_accept -- the token was generated; not for one that ends the output. Errors: those of constrain_accept. */
slm_status call_guard_accept(struct call_guard *g, int32_t id, slm_err *err);
bool call_guard_is_over(const struct call_guard *g); /* a call of a form that ends with the output is complete */

#endif
