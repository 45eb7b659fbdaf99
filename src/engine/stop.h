/* stop.h -- stop strings over streamed text: text that could be the start of a stop string is held back
 * until it is decided; the stop string itself never comes out.
 *
 * The match that is complete first wins; of several complete at the same byte, the longest. So what comes out
 * does not depend on how the text was cut into pieces. Single thread. */
#ifndef SLM_ENGINE_STOP_H
#define SLM_ENGINE_STOP_H

#include "base/mem.h"

#define STOP_N_MAX 64
#define STOP_BYTES_MAX 4096

struct stop {
    struct view strings[STOP_N_MAX]; /* borrowed */
    int n;
    uint16_t n_matched[STOP_N_MAX];  /* bytes of each string that the text so far ends with */
    uint16_t *border[STOP_N_MAX];    /* [len] each, into borders */
    uint16_t *borders;
    struct buf held;                 /* the longest of those ends; shorter than the longest string */
};
/* On failure s needs no stop_fini (which would do no harm).
 * Errors: LIMIT (too many, too long), USAGE (an empty stop string), NOMEM. */
slm_status stop_init(struct stop *s, const struct view *strings, size_t n, slm_err *err);
void stop_fini(struct stop *s);
/* stop_push -- add text; what may be shown is appended to out. True: a stop string was met; out then ends
 * just before it, the rest of text is dropped, and s is as after stop_init. *i_matched (may be NULL): which
 * (the first of equal strings). Allocates nothing but what out needs; linear in text. */
bool stop_push(struct stop *s, struct view text, struct buf *out, int *i_matched);
/* stop_finish -- the end without a match: what was held comes out. */
void stop_finish(struct stop *s, struct buf *out);

#endif
