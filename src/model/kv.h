/* kv.h -- paged KV cache: one pool of pages, any number of sequences.
 *
 * A page holds KV_PAGE_TOK positions of every layer: for each layer [2 (K, V), n_head_kv, KV_PAGE_TOK, d_head] in
 * the cache's type. The pool's address space is reserved at creation and becomes memory only when a page is first
 * written. A sequence is a list of page ids. Engine thread only. */
#ifndef SLM_MODEL_KV_H
#define SLM_MODEL_KV_H

#include "model/state.h"

#define KV_PAGE_TOK 64

#define STATE_LOST (-1)

struct kv_seq {
    int32_t *pages;  /* [n_page] ids in the pool */
    int32_t n_page, cap_page;
    int32_t n_pos;   /* positions written */
    /* of a model with states: */
    int32_t i_state; /* slot + 1; 0: none yet */
    int32_t n_state; /* positions that the state has seen; STATE_LOST: a forward broke off */
    int32_t n_saved; /* those of its saved copy; 0: there is none */
};

struct kv {
    uint8_t *base;
    size_t page_bytes, bytes; /* bytes: the whole reserved pool */
    int32_t n_page, n_free;
    int32_t *free_ids;        /* stack */
    enum dtype dtype;         /* DTYPE_F32 or DTYPE_F16 */
    const struct hparams *hp; /* borrowed: the layers' widths */
    size_t *layer_at;         /* [n_layer] where a layer begins in a page */
    struct state_pool *states; /* NULL: no layer needs one */
};

/* kv_dtype_auto -- F32 for a model whose matrices are F32, else F16: the cache is as exact as the weights. */
enum dtype kv_dtype_auto(const struct slm_model *m);
size_t kv_page_bytes(const struct hparams *hp, enum dtype dtype);
slm_status kv_create(const struct hparams *hp, enum dtype dtype, int32_t n_page, struct kv **out, slm_err *err);
void kv_destroy(struct kv *kv);

/* kv_reserve -- pages so that positions [0, n_pos) of seq can be written. Errors: LIMIT (pool empty), NOMEM;
 * seq unchanged on error. */
slm_status kv_reserve(struct kv *kv, struct kv_seq *seq, int32_t n_pos, slm_err *err);
/* kv_truncate -- forget positions from n_pos on; whole pages go back to the pool. n_pos 0 frees all. Returns the positions
 * that are left: n_pos, or fewer (those of the saved state, or none) when a state would have to go back. */
int32_t kv_truncate(struct kv *kv, struct kv_seq *seq, int32_t n_pos);
/* kv_save -- keep a copy of the state, so that kv_truncate can come back to these positions. Without states: nothing. */
void kv_save(struct kv *kv, struct kv_seq *seq);

/* The state of a layer (state.h) as it stands; advanced by one forward between kv_states_begin and _end. */
float *kv_state(const struct kv *kv, const struct kv_seq *seq, uint32_t i_layer);
void kv_states_begin(struct kv *kv, struct kv_seq *const *seq, int32_t n);
void kv_states_end(struct kv *kv, struct kv_seq *const *seq, int32_t n);
void kv_seq_fini(struct kv *kv, struct kv_seq *seq);

/* kv_attn -- what attention reads of one layer and KV head of a sequence; valid until its pages change. */
struct attn_kv kv_attn(const struct kv *kv, const struct kv_seq *seq, uint32_t i_layer, uint32_t i_head);

/* Row [d_head] of position pos; is_v: 0 K, 1 V. */
void *kv_row(const struct kv *kv, int32_t page, uint32_t i_layer, int is_v, uint32_t i_head, int32_t pos);

#endif
