/* outlet.h -- a generation's text on its way out: tokens become bytes, and bytes leave when they are whole UTF-8 characters
 * that cannot be the beginning of a stop string. Single thread. */
#ifndef SLM_ENGINE_OUTLET_H
#define SLM_ENGINE_OUTLET_H

#include "engine/stop.h"
#include "text/tok.h"

struct outlet {
    struct detok detok;
    struct stop stop;
    struct buf piece; /* a token's characters */
    struct buf text;  /* what is ready; valid until the next push */
    int i_stop;       /* which stop string was met; -1: none */
};

/* stops [n_stops] are borrowed. strip_first: the first piece loses its SPM space, for a text that nothing precedes.
 * Errors: those of stop_init; o then needs no outlet_fini (which would do no harm). */
slm_status outlet_init(struct outlet *o, const struct tok *t, const struct view *stops, size_t n_stops, bool strip_first, slm_err *err);
void outlet_fini(struct outlet *o);

/* outlet_push -- one more token; *stopped: a stop string was met, o->text ends before it. Errors: LIMIT, NOMEM. */
slm_status outlet_push(struct outlet *o, int32_t id, bool *stopped, slm_err *err);
/* outlet_finish -- the end without a stop string: what was held comes out (a character never completed as U+FFFD, which
 * may itself complete a stop string). */
slm_status outlet_finish(struct outlet *o, bool *stopped, slm_err *err);

#endif
