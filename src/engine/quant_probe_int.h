/* quant_probe_int.h -- trying one tensor, between quant_probe.c and quant_budget.c. */
#ifndef SLM_ENGINE_QUANT_PROBE_INT_H
#define SLM_ENGINE_QUANT_PROBE_INT_H

#include "engine/quantize.h"

struct quant_probe {
    struct slm_model *m; /* borrowed */
    struct slm_session *session;
    int32_t *tokens;     /* [n_chunk, n_ctx] */
    uint32_t n_chunk, n_fit, n_ctx;
    float *base;         /* [n_chunk, predictions that count, n_vocab] log-probabilities of the model as it is */
    float *row;          /* [n_vocab] */
};

/* quant_probe_swap -- the model reads tensor t from a copy in type `to` until quant_probe_restore, which frees the copy. */
slm_status quant_probe_swap(struct quant_probe *p, const struct gguf_tensor *t, enum dtype to, const struct quant_params *params, uint8_t **copy, slm_err *err);
void quant_probe_restore(struct quant_probe *p, const struct gguf_tensor *t, enum dtype to, uint8_t *copy);
/* quant_probe_run -- the divergence of the model as its weights are now, on the chunks that judge or on those that serve the choice. */
slm_status quant_probe_run(struct quant_probe *p, bool is_judging, struct quant_score *score, slm_err *err);

#endif
