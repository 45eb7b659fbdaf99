/* ref_int.h -- the reference twins: one readable C function for every slot of struct ops.
 *
 * They are the truth that tests/ops holds the fast twins against, so every sum runs in double and is rounded once. */
#ifndef SLM_COMPUTE_CPU_REF_INT_H
#define SLM_COMPUTE_CPU_REF_INT_H

#include "compute/ops.h"

void ref_matmul_f32(float *y, int64_t ldy, const float *w, int64_t ldw, const float *x, int64_t ldx, int64_t n_tok,
                    int64_t n_row, int64_t d_in);
void ref_rms_norm(float *y, const float *x, const float *w, int64_t n_row, int64_t d, float eps);
void ref_layer_norm(float *y, const float *x, const float *w, const float *b, int64_t n_row, int64_t d, float eps);
void ref_add(float *x, const float *y, float s, int64_t n);
void ref_add_bias(float *y, const float *b, int64_t n_row, int64_t d);
void ref_scale(float *x, float s, int64_t n);
void ref_softcap(float *x, float cap, int64_t n);
void ref_gelu(float *x, int64_t n);
void ref_gelu_mul(float *gate, const float *up, int64_t n);
void ref_gelu_erf(float *x, int64_t n);
void ref_gelu_erf_mul(float *gate, const float *up, int64_t n);
void ref_silu_mul(float *gate, const float *up, int64_t n);
void ref_rope_adjacent(float *x, int64_t n_head, int64_t d_head, int64_t n_pair, const float *cs, const float *sn);
void ref_rope_halves(float *x, int64_t n_head, int64_t d_head, int64_t n_pair, const float *cs, const float *sn);
void ref_kv_store(void *keys, void *values, enum kv_type type, int64_t i_tok, const float *k, const float *v, int64_t d_head);
void ref_attention(const struct attn_row *rows, int64_t n_row, const struct attn_kv *kv, int64_t d_head,
                   const struct attn_params *params);
void ref_attention_part(const struct attn_row *rows, int64_t n_row, const struct attn_kv *kv, int64_t d_head,
                        const struct attn_params *params);
void ref_attention_join(float *out, const float *parts, int64_t n_part, const float *sink, enum kv_type type, int64_t d_head);
void ref_softmax(float *x, int64_t n);
void ref_sigmoid_mul(float *x, const float *gate, int64_t n);
void ref_conv_step(float *y, float *hist, int64_t ld, const float *x, const float *w, int64_t n_ch, int64_t k);
void ref_delta_step(float *y, float *s, const float *q, const float *k, const float *v, float decay, float beta, int64_t d_k, int64_t d_v);
void ref_rank_add(float *y, const float *b, int64_t ldb, const float *h, int64_t r, int64_t n);
void ref_act_quantize(int8_t *q, struct act_group *groups, const float *x, int64_t n);
void ref_panel_unpack(struct panel *out, struct panel_buf *buf, const struct pack_desc *p, const uint8_t *src, int64_t n_k);
void ref_panel_dot(float *y, int64_t ldy, const struct panel *p, const struct acts *a, int64_t n_tok, bool first);

#endif
