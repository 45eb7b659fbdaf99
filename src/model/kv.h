/* kv.h -- paged KV cache: one pool of pages, any number of sequences.
 *
 * A page holds KV_PAGE_TOK positions of every layer: for each layer the keys of each of its KV heads, then their values,
 * laid out as compute/kv_page.h says for the cache's type. The pool's address space is reserved at creation and becomes memory only when a page is first
 * written. A sequence is a list of page ids. A full page may be held by several sequences, and by whoever remembers prefixes: nobody
 * writes to it then, and it is free when the last one drops it. Engine thread only. */
#ifndef SLM_MODEL_KV_H
#define SLM_MODEL_KV_H

#include "model/state.h"

struct lora_mix;

#define STATE_LOST (-1)

struct kv_seq {
    int32_t *pages;  /* [n_page] ids in the pool */
    int32_t n_page, cap_page;
    int32_t n_pos;   /* positions written */
    const struct lora_mix *lora; /* borrowed: the adapters (lora.h) that its keys and values are made with; NULL: none. Changed only while n_pos is 0 */
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
    int32_t *n_holders;       /* [n_page] */
    enum kv_type type;
    const struct hparams *hp; /* borrowed: the layers' widths */
    size_t *layer_at;         /* [n_layer] where a layer begins in a page */
    struct state_pool *states; /* NULL: no layer needs one */
};

/* kv_type_auto -- F32 for a model whose matrices are F32, else F16: the cache is as exact as the weights. */
enum kv_type kv_type_auto(const struct slm_model *m);
size_t kv_page_bytes(const struct hparams *hp, enum kv_type type);
/* Errors: UNSUPPORTED (heads wider than D_HEAD_MAX), LIMIT, NOMEM. */
slm_status kv_create(const struct hparams *hp, enum kv_type type, int32_t n_page, struct kv **out, slm_err *err);
void kv_destroy(struct kv *kv);

/* kv_reserve -- pages so that positions [0, n_pos) of seq can be written. Errors: LIMIT (pool empty), NOMEM;
 * seq unchanged on error. */
slm_status kv_reserve(struct kv *kv, struct kv_seq *seq, int32_t n_pos, slm_err *err);
/* kv_share -- a page that another sequence filled becomes the next page of seq, whose positions fill whole pages. Not for models with
 * states. Errors: NOMEM; seq unchanged. */
slm_status kv_share(struct kv *kv, struct kv_seq *seq, int32_t page, slm_err *err);
/* kv_swap -- page i of seq, full, becomes `page`, which holds the same. */
void kv_swap(struct kv *kv, struct kv_seq *seq, int32_t i, int32_t page);
/* kv_hold, kv_drop -- one holder more, or less: the last one frees the page. */
void kv_hold(struct kv *kv, int32_t page);
void kv_drop(struct kv *kv, int32_t page);
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

/* One head's keys, and values, in a page: what ops.kv_store writes to. */
void *kv_keys(const struct kv *kv, int32_t page, uint32_t i_layer, uint32_t i_head);
void *kv_values(const struct kv *kv, int32_t page, uint32_t i_layer, uint32_t i_head);

#endif
