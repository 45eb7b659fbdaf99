/* summarize.h -- fewer words that say nothing the text does not.
 *
 * By a model: windows of the text that fit its context are summarized one by one, the summaries joined and, while there are several, summarized
 * again; no text is left out unsaid. Each sentence is then held against the whole text (ground.h); what is not grounded is dropped. Extractive,
 * without a model: whole sentences, those that share most with the rest (weights of words over sentences, as LexRank's degree; Erkan and Radev
 * 2004), in their order. */
#ifndef SLM_TASK_SUMMARIZE_H
#define SLM_TASK_SUMMARIZE_H

#include "task/ground.h"
#include "task/worker.h"

#define SUMMARIZE_N_SENTENCE_MAX 20000
#define SUMMARIZE_N_WINDOW_MAX 4096

struct summarize_params {
    int32_t n_word;            /* at most, of the summary */
    const char *system, *form; /* NULL: the row's */
    bool ungrounded;           /* keep sentences that are not grounded */
};
struct summary {
    uint64_t n_window, n_dropped; /* windows of the first round; sentences that were not grounded */
    size_t n_in, n_out, n_word, n_word_source;
    struct signals signals;
};
/* summarize_run -- appended to out; empty when no sentence was grounded. Errors: USAGE (an empty text), LIMIT, those of worker_write. */
slm_status summarize_run(struct worker *w, struct view text, const struct summarize_params *p, struct buf *out, struct summary *s, slm_err *err);
slm_status summarize_extract(struct view text, int32_t n_word, struct buf *out, struct summary *s, slm_err *err);

#endif
