/* kv.c -- pages of keys and values from one anonymous mapping.
 *
 * The mapping is made without reserve, so a pool for a long context costs address space, not memory, until a
 * page is written. Free pages are a stack of ids: the page last given back is the next one taken, while
 * its memory is warm. */
#include "model/kv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define N_STATE_MAX 1024 /* sequences of a model with states */

enum kv_type kv_type_auto(const struct slm_model *m) {
    if (m->hp.bidirectional) return KV_F32; /* one text, kept for one forward: nothing is saved by rounding */
    for (uint32_t i = 0; i < m->hp.n_layer; i++)
        for (int s = W_LAYER_FIRST; s < W_COUNT; s++) {
            const struct weight *w = &model_slot(m, (enum weight_slot)s, i)->w;
            if (w->data && w->dtype != DTYPE_F32) return KV_F16;
        }
    return KV_F32;
}

/* Where layer n begins in a page; n_layer: the page's size. */
static size_t layer_offset(const struct hparams *hp, enum kv_type type, uint32_t n) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        const struct layer_hparams *l = &hp->layer[i];
        if (l->i_kv == i) bytes += l->n_head_kv * (kv_page_k_bytes(type, l->d_head) + kv_page_v_bytes(type, l->d_head));
    }
    return bytes;
}

size_t kv_page_bytes(const struct hparams *hp, enum kv_type type) { return layer_offset(hp, type, hp->n_layer); }

slm_status kv_create(const struct hparams *hp, enum kv_type type, int32_t n_page, struct kv **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct kv *kv = NULL;
    void *p = NULL;
    size_t page_bytes = kv_page_bytes(hp, type), bytes;
    *out = NULL;
    for (uint32_t i = 0; i < hp->n_layer; i++)
        if (hp->layer[i].d_head > D_HEAD_MAX)
            return err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "heads of width \"%u\": at most %d are supported", hp->layer[i].d_head, D_HEAD_MAX);
    if (n_page < 1 || !size_mul(page_bytes, (size_t)n_page, &bytes))
        return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "kv cache of %d pages of %zu bytes: too large", n_page, page_bytes);
    TRY(mem_alloc(&p, 1, sizeof *kv, "kv cache", err));
    kv = p;
    *kv = (struct kv){.page_bytes = page_bytes, .bytes = bytes, .n_page = n_page, .n_free = n_page, .type = type, .hp = hp};
    TRY(mem_alloc(&p, hp->n_layer, sizeof *kv->layer_at, "kv layers", err));
    kv->layer_at = p;
    for (uint32_t i = 0; i < hp->n_layer; i++) kv->layer_at[i] = layer_offset(hp, type, i);
    TRY(mem_alloc(&p, (size_t)n_page, sizeof(int32_t), "kv page list", err));
    kv->free_ids = p;
    for (int32_t i = 0; i < n_page; i++) kv->free_ids[i] = n_page - 1 - i;
    TRY(mem_alloc(&p, (size_t)n_page, sizeof(int32_t), "kv page list", err));
    kv->n_holders = p;
    /* No layer of a model may attend: it then keeps states alone. */
    void *base = mmap(NULL, bytes ? bytes : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "kv cache of %zu bytes: out of memory", bytes);
    kv->base = base;
    if (state_bytes(hp)) TRY(state_create(hp, n_page < N_STATE_MAX ? n_page : N_STATE_MAX, &kv->states, err));
    *out = kv;
    return SLM_OK;
out:
    kv_destroy(kv);
    return st;
}

void kv_destroy(struct kv *kv) {
    if (!kv) return;
    if (kv->base) munmap(kv->base, kv->bytes ? kv->bytes : 1);
    free(kv->free_ids);
    free(kv->n_holders);
    free(kv->layer_at);
    state_destroy(kv->states);
    free(kv);
}

/* Room for n_page pages in a sequence's list. The pool's size bounds it, so one allocation serves it for good. */
static slm_status grow_list(const struct kv *kv, struct kv_seq *seq, int32_t n_page, slm_err *err) {
    if (n_page <= seq->cap_page) return SLM_OK;
    int32_t *grown = realloc(seq->pages, (size_t)kv->n_page * sizeof *grown);
    if (!grown) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "kv page table of %d: out of memory", kv->n_page);
    seq->pages = grown;
    seq->cap_page = kv->n_page;
    return SLM_OK;
}

void kv_hold(struct kv *kv, int32_t page) { kv->n_holders[page]++; }

void kv_drop(struct kv *kv, int32_t page) {
    SLM_ASSERT(kv->n_holders[page] > 0);
    if (--kv->n_holders[page] == 0) kv->free_ids[kv->n_free++] = page;
}

slm_status kv_share(struct kv *kv, struct kv_seq *seq, int32_t page, slm_err *err) {
    SLM_ASSERT(!kv->states && seq->n_pos == seq->n_page * KV_PAGE_TOK && kv->n_holders[page] > 0);
    slm_status st = grow_list(kv, seq, seq->n_page + 1, err);
    if (st != SLM_OK) return st;
    kv_hold(kv, page);
    seq->pages[seq->n_page++] = page;
    seq->n_pos += KV_PAGE_TOK;
    return SLM_OK;
}

void kv_swap(struct kv *kv, struct kv_seq *seq, int32_t i, int32_t page) {
    kv_hold(kv, page);
    kv_drop(kv, seq->pages[i]);
    seq->pages[i] = page;
}

slm_status kv_reserve(struct kv *kv, struct kv_seq *seq, int32_t n_pos, slm_err *err) {
    int32_t need = n_pos / KV_PAGE_TOK + (n_pos % KV_PAGE_TOK != 0);
    if (kv->states && seq->i_state == 0) {
        int32_t i_slot = state_take(kv->states);
        if (i_slot < 0) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "kv cache: more than %d sequences with states", N_STATE_MAX);
        seq->i_state = i_slot + 1;
    }
    if (need <= seq->n_page) return SLM_OK;
    if (need - seq->n_page > kv->n_free)
        return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "kv cache: %d positions need %d pages more, %d of %d are free", n_pos, need - seq->n_page,
                       kv->n_free, kv->n_page);
    slm_status st = grow_list(kv, seq, need, err);
    if (st != SLM_OK) return st;
    while (seq->n_page < need) {
        int32_t page = kv->free_ids[--kv->n_free];
        kv->n_holders[page] = 1;
        seq->pages[seq->n_page++] = page;
    }
    return SLM_OK;
}

/* A state stands at the positions it has seen, or goes back to its saved copy, or to the beginning. */
static int32_t truncate_state(struct kv *kv, struct kv_seq *seq, int32_t n_pos) {
    if (seq->n_saved > n_pos) seq->n_saved = 0;
    if (n_pos > 0 && n_pos == seq->n_state) return n_pos;
    if (seq->n_saved > 0) {
        state_restore(kv->states, seq->i_state - 1);
        return seq->n_state = seq->n_saved;
    }
    if (seq->i_state) state_give(kv->states, seq->i_state - 1);
    return seq->i_state = seq->n_state = 0;
}

int32_t kv_truncate(struct kv *kv, struct kv_seq *seq, int32_t n_pos) {
    if (kv->states) n_pos = truncate_state(kv, seq, n_pos < seq->n_pos ? n_pos : seq->n_pos);
    int32_t keep = n_pos / KV_PAGE_TOK + (n_pos % KV_PAGE_TOK != 0);
    while (seq->n_page > keep) kv_drop(kv, seq->pages[--seq->n_page]);
    if (seq->n_pos > n_pos) seq->n_pos = n_pos;
    return seq->n_pos;
}

void kv_save(struct kv *kv, struct kv_seq *seq) {
    if (!kv->states || seq->i_state == 0 || seq->n_state != seq->n_pos) return;
    state_save(kv->states, seq->i_state - 1);
    seq->n_saved = seq->n_state;
}

float *kv_state(const struct kv *kv, const struct kv_seq *seq, uint32_t i_layer) { return state_of(kv->states, seq->i_state - 1, i_layer); }

void kv_states_begin(struct kv *kv, struct kv_seq *const *seq, int32_t n) {
    for (int32_t i = 0; i < n && kv->states; i++) seq[i]->n_state = STATE_LOST;
}

void kv_states_end(struct kv *kv, struct kv_seq *const *seq, int32_t n) {
    for (int32_t i = 0; i < n && kv->states; i++) seq[i]->n_state = seq[i]->n_pos;
}

void kv_seq_fini(struct kv *kv, struct kv_seq *seq) {
    if (kv) kv_truncate(kv, seq, 0);
    free(seq->pages);
    memset(seq, 0, sizeof *seq);
}

/* Where a head's keys, and values, begin in a page. */
static size_t keys_at(const struct kv *kv, uint32_t i_layer, uint32_t i_head) {
    return kv->layer_at[i_layer] + i_head * kv_page_k_bytes(kv->type, kv->hp->layer[i_layer].d_head);
}

static size_t values_at(const struct kv *kv, uint32_t i_layer, uint32_t i_head) {
    const struct layer_hparams *l = &kv->hp->layer[i_layer];
    return keys_at(kv, i_layer, l->n_head_kv) + i_head * kv_page_v_bytes(kv->type, l->d_head);
}

void *kv_keys(const struct kv *kv, int32_t page, uint32_t i_layer, uint32_t i_head) {
    return kv->base + (size_t)page * kv->page_bytes + keys_at(kv, i_layer, i_head);
}

void *kv_values(const struct kv *kv, int32_t page, uint32_t i_layer, uint32_t i_head) {
    return kv->base + (size_t)page * kv->page_bytes + values_at(kv, i_layer, i_head);
}

struct attn_kv kv_attn(const struct kv *kv, const struct kv_seq *seq, uint32_t i_layer, uint32_t i_head) {
    return (struct attn_kv){
        .base = kv->base,
        .pages = seq->pages,
        .page_bytes = kv->page_bytes,
        .k_offset = keys_at(kv, i_layer, i_head),
        .v_offset = values_at(kv, i_layer, i_head),
        .type = kv->type,
    };
}
