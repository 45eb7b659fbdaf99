/* ple.c -- per-layer embeddings: every layer gets its own small vector for each token, from a table of its own and from the
 * token's embedding, and adds it to the stream through a gate. Source: Gemma 3n and Gemma 4, the authors' model code. */
#include <math.h>
#include <string.h>

#include "model/forward_int.h"

bool forward_has_ple(const struct forward *f) { return f->m->global[W_PLE_EMBD].w.data != NULL; }

void forward_ple_begin(struct forward *f, const struct batch *b) {
    const struct hparams *hp = &f->m->hp;
    int64_t n = b->n_tok, d = hp->d_ple, n_row = n * hp->n_layer, all = n_row * d;
    if (!forward_has_ple(f)) return;
    compute_get_rows(f->c, f->ple_in, &f->m->global[W_PLE_EMBD].w, b->token, n);
    compute_scale(f->c, f->ple_in, (float)sqrt((double)d), all);
    forward_linear(f, f->ple, W_PLE_PROJ, 0, f->x, n);
    compute_scale(f->c, f->ple, (float)(1 / sqrt((double)hp->d_model)), all);
    forward_norm(f, f->ple, W_PLE_PROJ_NORM, 0, f->ple, n_row, d);
    compute_add(f->c, f->ple, f->ple_in, 1, all);
    compute_scale(f->c, f->ple, (float)M_SQRT1_2, all);
}

/* branch = the layer's own vectors, gated by what x says, widened and normed. */
void forward_ple(struct forward *f, int64_t n, uint32_t i_layer, const float *x, float *out) {
    const struct hparams *hp = &f->m->hp;
    size_t d = hp->d_ple, n_layer = hp->n_layer;
    forward_linear(f, f->gate, W_PLE_GATE, i_layer, x, n);
    for (size_t t = 0; t < (size_t)n; t++) memcpy(f->ple_in + t * d, f->ple + (t * n_layer + i_layer) * d, d * sizeof(float));
    compute_act_mul(f->c, f->m->arch->act, f->gate, f->ple_in, n * (int64_t)d);
    forward_linear(f, out, W_PLE_OUT, i_layer, f->gate, n);
    forward_norm(f, out, W_PLE_POST_NORM, i_layer, out, n, hp->d_model);
}
