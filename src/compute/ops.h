/* ops.h -- one table of function pointers: every operation of the forward pass.
 *
 * cpu/ref/ fills every slot in readable C; each ISA folder then overlays the slots it has, in rising
 * order, and stops where the CPU lacks its features. A slot's twins agree with ref within the
 * tolerance that its row in tests/ops states, and every slot is deterministic: an output element
 * depends on its own inputs only, never on how many rows, columns or tokens the call had.
 *
 * Kernels cannot fail: shapes were checked when the plan was made. Shapes are row-major, slowest first.
 * All activations are f32. No slot allocates; scratch comes from the caller. */
#ifndef SLM_COMPUTE_OPS_H
#define SLM_COMPUTE_OPS_H

#include "compute/kv_page.h"
#include "compute/pack.h"
#include "format/dtype.h"

/* A weight matrix [d_out, d_in]; rows of row_bytes; borrowed from the model's mapping. */
struct weight {
    const uint8_t *data;
    enum dtype dtype;
    int64_t d_out, d_in;
    int64_t row_bytes;
    const uint8_t *panels; /* the same matrix packed (pack.h), or NULL: products then decode `data` to f32 */
};

/* Rows of f16 or bf16 as they lie in the file, of any alignment. */
struct half_weight {
    const uint8_t *data;
    int64_t row_bytes, d_in;
    bool is_bf16;
};
enum { HALF_FEW = 12 };

/* Paged keys and values of one layer and one KV head, as attention reads them. Page p holds positions
 * [p * KV_PAGE_TOK, (p + 1) * KV_PAGE_TOK), laid out as kv_page.h says. */
struct attn_kv {
    const uint8_t *base;            /* of the page pool */
    const int32_t *pages;           /* ids of the sequence's pages */
    size_t page_bytes, k_offset, v_offset;
    enum kv_type type;
};
static inline const uint8_t *attn_k_page(const struct attn_kv *kv, int64_t p) {
    return kv->base + (size_t)kv->pages[p] * kv->page_bytes + kv->k_offset;
}
static inline const uint8_t *attn_v_page(const struct attn_kv *kv, int64_t p) {
    return kv->base + (size_t)kv->pages[p] * kv->page_bytes + kv->v_offset;
}

/* One query row attends to positions [pos_first, pos_end). */
struct attn_row {
    const float *q;   /* [d_head], already rotated by position */
    float *out;       /* [d_head]; attention_part: [d_head + ATTN_PART_EXTRA] */
    int32_t pos_first, pos_end;
    const float *sink; /* a score that takes its share of the weight and gives nothing; NULL: none */
};

/* Attention takes positions in spans that begin at multiples of ATTN_SPAN and joins the spans' results in order. A
 * part is one span's: [d_head] the sum of weight * value, then the reference (log2) that weights are relative to, then
 * the sum of weights. */
enum { ATTN_SPAN = 512, ATTN_PART_EXTRA = 2, D_HEAD_MAX = 4096 };

struct attn_params {
    float scale;      /* of scores */
    float softcap;    /* scaled scores become c * tanh(score / c); 0: off */
};

/* Slots by name, so that doctor, tests and the name table walk them: X(slot). to_f32 is walked by dtype. ref fills all but those that some
 * ISAs do not have (OPS_LIST). */
#define OPS_REF_LIST(X)                                                                                \
    X(matmul_f32) X(add_bias) X(rms_norm) X(layer_norm) X(add) X(scale) X(softcap)                 \
    X(silu_mul) X(sigmoid_mul) X(gelu) X(gelu_mul) X(gelu_erf) X(gelu_erf_mul)                                    \
    X(rope_adjacent) X(rope_halves) X(kv_store) X(attention) X(attention_part) X(attention_join) X(softmax) X(conv_step) X(delta_step) X(rank_add)    \
    X(act_quantize) X(panel_unpack) X(panel_dot)
#define OPS_LIST(X) OPS_REF_LIST(X) X(panel_few) X(matmul_half)
enum ops_slot {
#define X(slot) OPS_SLOT_##slot,
    OPS_LIST(X)
#undef X
    OPS_SLOT_to_f32, /* + dtype */
    OPS_SLOT_COUNT = OPS_SLOT_to_f32 + DTYPE_COUNT
};
const char *ops_slot_name(int i_slot); /* "matmul_f32", "to_f32.q4_k" */

struct ops {
    const char *name[OPS_SLOT_COUNT]; /* ISA that filled each slot; for doctor and tests */

    /* dst[n] = block decode of src; n a multiple of the type's block. Bit-equal in every ISA. */
    void (*to_f32[DTYPE_COUNT])(float *dst, const void *src, int64_t n);

    /* y[i * ldy + r] = sum_k x[i * ldx + k] * w[r * ldw + k]  for i < n_tok, r < n_row, k < d_in */
    void (*matmul_f32)(float *y, int64_t ldy, const float *w, int64_t ldw, const float *x, int64_t ldx,
                       int64_t n_tok, int64_t n_row, int64_t d_in);

    /* y[i, :] = x[i, :] / sqrt(mean(x[i, :]^2) + eps) * w ; y may be x */
    void (*rms_norm)(float *y, const float *x, const float *w, int64_t n_row, int64_t d, float eps);

    /* y[i, :] = (x[i, :] - mean) / sqrt(variance + eps) * w + b ; b may be NULL, y may be x */
    void (*layer_norm)(float *y, const float *x, const float *w, const float *b, int64_t n_row, int64_t d, float eps);

    /* x[n] += s * y[n], the product rounded before the sum */
    void (*add)(float *x, const float *y, float s, int64_t n);

    /* y[n_row, d] += b[d] in every row */
    void (*add_bias)(float *y, const float *b, int64_t n_row, int64_t d);

    /* x[n] *= s */
    void (*scale)(float *x, float s, int64_t n);

    /* x[n] = cap * tanh(x[n] / cap), cap > 0 */
    void (*softcap)(float *x, float cap, int64_t n);

    /* gate[n] = silu(gate[n]) * up[n], silu(a) = a / (1 + exp(-a)) */
    void (*silu_mul)(float *gate, const float *up, int64_t n);

    /* x[n] *= 1 / (1 + exp(-gate[n])) */
    void (*sigmoid_mul)(float *x, const float *gate, int64_t n);

    /* x[n] = gelu(x[n]), gate[n] = gelu(gate[n]) * up[n]: the tanh form 0.5 a (1 + tanh(sqrt(2/pi) (a + 0.044715 a^3))),
     * and with the exact Gaussian error function 0.5 a (1 + erf(a / sqrt(2))) */
    void (*gelu)(float *x, int64_t n);
    void (*gelu_mul)(float *gate, const float *up, int64_t n);
    void (*gelu_erf)(float *x, int64_t n);
    void (*gelu_erf_mul)(float *gate, const float *up, int64_t n);

    /* Rotate n_head heads of one token in place: x[n_head, d_head]; the first 2 * n_pair elements of each
     * head turn by the angle whose cosine and sine are cs[n_pair], sn[n_pair]. adjacent: pairs (2i, 2i+1);
     * halves: pairs (i, i + n_pair). Source: Su et al. 2021; both layouts as in GGUF files. */
    void (*rope_adjacent)(float *x, int64_t n_head, int64_t d_head, int64_t n_pair, const float *cs, const float *sn);
    void (*rope_halves)(float *x, int64_t n_head, int64_t d_head, int64_t n_pair, const float *cs, const float *sn);

    /* Writes token i_tok of a page: k[d_head] and v[d_head] to one head's keys and values (kv_page.h), rotated and rounded
     * as the type asks. Rounds to nearest even; a row of q8 or q4 that is not finite gives a scale that is not a number.
     * Bit-equal in every ISA. */
    void (*kv_store)(void *keys, void *values, enum kv_type type, int64_t i_tok, const float *k, const float *v, int64_t d_head);

    /* out[r] = softmax(cap(scale * q[r] . K)) . V over the row's positions, by online softmax page by page (Milakov and
     * Gimelshein 2018), so that memory does not grow with the context. Over q8 and q4 the products are of integers: a
     * query is rounded to 255 levels of its largest element, the weights of a page (probability times the value's scale) to
     * 255 levels of the largest among them. An empty range gives zeros.
     * attention_part: one span of it, [pos_first, pos_end) not empty and inside one span. attention_join: the row's
     * n_part parts [n_part, d_head + ATTN_PART_EXTRA], in order; bit-equal to attention of the whole range. */
    void (*attention)(const struct attn_row *rows, int64_t n_row, const struct attn_kv *kv, int64_t d_head,
                      const struct attn_params *params);
    void (*attention_part)(const struct attn_row *rows, int64_t n_row, const struct attn_kv *kv, int64_t d_head,
                           const struct attn_params *params);
    void (*attention_join)(float *out, const float *parts, int64_t n_part, const float *sink, enum kv_type type, int64_t d_head);

    /* x[n] = softmax(x[n]) in place, maximum subtracted first. Used by the sampler and log-probabilities. */
    void (*softmax)(float *x, int64_t n);

    /* One step of a depthwise causal convolution of k taps: y[c] = sum_j w[c, j] * x_j[c] for c < n_ch, where x_{k-1} is x and the
     * others are the inputs before it, oldest first, in hist[k - 1, ld]; then hist moves on by x. y may be x. */
    void (*conv_step)(float *y, float *hist, int64_t ld, const float *x, const float *w, int64_t n_ch, int64_t k);

    /* One step of the gated delta rule on a head's state s[d_k, d_v]:
     * s *= decay; lack = beta * (v - k . s); s += k x lack; y[d_v] = q . s. y overlaps nothing. */
    void (*delta_step)(float *y, float *s, const float *q, const float *k, const float *v, float decay, float beta, int64_t d_k, int64_t d_v);

    /* y[n] += sum_k h[k] * b[k, i] for k < r, b[r, ldb]: the second half of a low-rank product. The sum first, over k in order. */
    void (*rank_add)(float *y, const float *b, int64_t ldb, const float *h, int64_t r, int64_t n);

    /* q[n], groups[n / 32] = activations x[n] in 8 bits: for each 32, scale = max |x| / 127, q = x / scale to the nearest.
     * n a multiple of 32. Bit-equal in every ISA. */
    void (*act_quantize)(int8_t *q, struct act_group *groups, const float *x, int64_t n);

    /* A packed block of n_k elements made ready for panel_dot: pointers into buf, or into src where nothing is to be done. */
    void (*panel_unpack)(struct panel *out, struct panel_buf *buf, const struct pack_desc *p, const uint8_t *src, int64_t n_k);

    /* y[t * ldy + r] (+)= sum over the block of act[t] * weight[r], for t < n_tok, r < PANEL_ROWS; first: y is written, else
     * added to. a points at the block's first element. The order of roundings is that of cpu/ref/panel.c: bit-equal in
     * every ISA, and for every n_tok. */
    void (*panel_dot)(float *y, int64_t ldy, const struct panel *p, const struct acts *a, int64_t n_tok, bool first);

    /* y[t * ldy + r] = a whole panel [PANEL_ROWS, d_in] times n_tok <= PANEL_FEW tokens, from the packed bytes: bit-equal to panel_unpack and
     * panel_dot block by block. NULL where an ISA has nothing better than those. */
    void (*panel_few)(float *y, int64_t ldy, const struct pack_desc *p, const uint8_t *panel, const struct acts_few *a);

    /* matmul_f32 of n_row rows of halves, for n_tok <= HALF_FEW: bit-equal to to_f32 and matmul_f32 of the same ISA. NULL: no better than those. */
    void (*matmul_half)(float *y, int64_t ldy, const struct half_weight *w, const float *x, int64_t ldx, int64_t n_tok, int64_t n_row);
};

/* One row per ISA, weakest first: the overlay and the CPU features that it needs. */
struct ops_isa {
    const char *name;  /* "ref", "avx2", "avx512": values of SLM_CPU */
    uint32_t features; /* CPU_* bits, all needed */
    void (*overlay)(struct ops *o); /* NULL: not built for this target */
};
const struct ops_isa *ops_isa_rows(size_t *n_rows);
bool ops_isa_usable(const struct ops_isa *isa); /* built for this target, and this CPU has what it needs */
/* ops_build -- table with every overlay up to and including isa_name that this CPU has; NULL means the
 * best. Errors: USAGE (unknown name, listed in the hint), UNSUPPORTED (this CPU lacks it). */
slm_status ops_build(struct ops *o, const char *isa_name, slm_err *err);

#endif
