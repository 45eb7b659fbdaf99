/* complete.h -- the text of a gap: what stands between a text before and a text after, or behind a text.
 *
 * The likeliest text, cut where it stops being the gap's: at the end of its line, at the end of its block (a bracket that it did not open closes,
 * or indentation falls below its first line's), and where it begins to repeat the text after. A text that the model is not sure of is not
 * shown: nothing is better than a wrong line. */
#ifndef SLM_TASK_COMPLETE_H
#define SLM_TASK_COMPLETE_H

#include "task/worker.h"

enum complete_shape { COMPLETE_FREE, COMPLETE_LINE, COMPLETE_BLOCK };
struct complete_params {
    enum complete_shape shape;
    int32_t n_max;    /* tokens; 0: 128 */
    double show_min;  /* mean probability of its tokens below which nothing is shown */
};
struct completion {
    struct signals signals;
    size_t n_in, n_out;
    bool suppressed;  /* below show_min: the text is not to be shown */
    bool met_after;   /* it ended where the text after begins */
};
/* complete_run -- text is appended to out (empty when suppressed). after empty: the text goes on behind before, by any model.
 * Errors: UNSUPPORTED (after is given and the vocabulary has no tokens for gaps), LIMIT (before and after do not fit), those of worker_write. */
slm_status complete_run(struct worker *w, struct view before, struct view after, const struct complete_params *p, struct buf *out, struct completion *c, slm_err *err);

/* complete_cut -- how many bytes of text belong to the gap. *closed (may be NULL): more text would not change that. */
size_t complete_cut(struct view before, struct view after, enum complete_shape shape, struct view text, bool *closed, bool *met_after);

#endif
