/* perplexity.h -- how well a model predicts a text, and how near its predictions are to another model's.
 *
 * Windows are counted as llama.cpp counts them, so figures compare: the text's tokens (BOS first where the model has one) in
 * chunks of n_ctx, the rest left out; BOS stands in the place of each chunk's first token; scored are the predictions of tokens
 * n_ctx / 2 + 1 .. n_ctx - 1 of each chunk.
 *
 * Saved log-probabilities, little endian:
 *   "SLMLOGP1"; u32 n_vocab, n_ctx, n_chunk, 0; i32 tokens [n_chunk, n_ctx]; then for every scored position
 *   f32 lo, f32 step, u16 q [n_vocab]: the natural log-probability of token v is lo + step * q[v], at most step / 2 off. */
#ifndef SLM_ENGINE_PERPLEXITY_H
#define SLM_ENGINE_PERPLEXITY_H

#include "base/file.h"
#include "base/stats.h"
#include "engine/session.h"

struct perplexity_params {
    struct session_params session;  /* n_ctx: tokens of a chunk, at least 4 */
    uint32_t n_chunk_max;           /* 0: the whole text */
    const char *base_path;          /* saved log-probabilities to compare with; NULL: none */
    const char *save_path;          /* where to save ours; NULL: nowhere */
    const _Atomic bool *cancel;
    /* After every chunk, with the perplexity so far; NULL: none. */
    void (*progress)(void *user, uint32_t i_chunk, uint32_t n_chunk, double perplexity);
    void *user;
};

/* Intervals are of means, from the spread over scored positions. */
struct perplexity_result {
    uint32_t n_chunk, n_ctx;
    uint64_t n_token, n_scored, n_scored_bytes; /* of the text; predictions; bytes of the predicted tokens */
    struct estimate perplexity;
    double nll_mean;              /* nats a token */
    double bits_per_byte;
    bool has_base;
    double base_perplexity;
    struct estimate kl;           /* mean of KL(base || this), nats */
    double kl_median, kl_p90, kl_p99, kl_max;
    struct estimate top1_agreement; /* share of positions where both like the same token best */
};

/* perplexity_measure -- Errors: USAGE (text shorter than a chunk; the base is of other tokens), FORMAT (a file of log-probabilities that
 * is damaged), IO, LIMIT, NOMEM, CANCELLED (nothing is saved). */
slm_status perplexity_measure(struct slm_model *m, const struct perplexity_params *p, struct view text, struct perplexity_result *r, slm_err *err);

/* Saved log-probabilities, mapped and checked. */
struct logp_file {
    struct file_map map;
    uint32_t n_vocab, n_ctx, n_chunk;
};
slm_status logp_open(struct logp_file *f, const char *path, slm_err *err);
void logp_close(struct logp_file *f);
static inline uint32_t logp_n_scored(uint32_t n_ctx) { return n_ctx - 1 - n_ctx / 2; } /* of a chunk */
int32_t logp_token(const struct logp_file *f, uint64_t i);
/* logp_row -- log-probabilities [n_vocab] of scored position i (i < n_chunk * logp_n_scored). */
void logp_row(const struct logp_file *f, uint64_t i, float *out);

#endif
