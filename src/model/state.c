/* state.c -- slots of recurrent state. */
#include "model/state.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/util.h"

struct state_pool {
    uint8_t *base;
    size_t bytes, slot_bytes; /* slot_bytes: of one copy; a slot has two */
    int32_t n_slot, n_free;
    int32_t *free_ids; /* stack */
    size_t *layer_at;  /* [n_layer] in floats */
};

static size_t n_channel(const struct hparams *hp, uint32_t i_layer) {
    switch (hp->layer[i_layer].mixer) {
    case MIXER_CONV: return hp->d_model;
    case MIXER_DELTA: return hparams_dim(hp, DIM_DELTA_QKV, i_layer);
    default: return 0;
    }
}

size_t state_conv_floats(const struct hparams *hp, uint32_t i_layer) { return n_channel(hp, i_layer) * (hp->conv_kernel ? hp->conv_kernel - 1 : 0); }

static size_t state_delta_floats(const struct hparams *hp, uint32_t i_layer) {
    return hp->layer[i_layer].mixer == MIXER_DELTA ? (size_t)hp->d_state * hp->d_inner : 0;
}

static size_t floats_before(const struct hparams *hp, uint32_t n) {
    size_t sum = 0;
    for (uint32_t i = 0; i < n; i++) sum += (state_conv_floats(hp, i) + state_delta_floats(hp, i) + 15) / 16 * 16; /* whole cache lines */
    return sum;
}

size_t state_bytes(const struct hparams *hp) { return floats_before(hp, hp->n_layer) * sizeof(float); }

slm_status state_create(const struct hparams *hp, int32_t n_slot, struct state_pool **out, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    struct state_pool *p = NULL;
    size_t slot_bytes = state_bytes(hp), bytes;
    *out = NULL;
    if (!size_mul(slot_bytes, 2 * (size_t)n_slot, &bytes)) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "states of %zu bytes: too large", slot_bytes);
    TRY(mem_alloc(&mem, 1, sizeof *p, "states", err));
    p = mem;
    *p = (struct state_pool){.bytes = bytes, .slot_bytes = slot_bytes, .n_slot = n_slot, .n_free = n_slot};
    TRY(mem_alloc(&mem, (size_t)n_slot, sizeof *p->free_ids, "state slots", err));
    p->free_ids = mem;
    for (int32_t i = 0; i < n_slot; i++) p->free_ids[i] = n_slot - 1 - i;
    TRY(mem_alloc(&mem, hp->n_layer, sizeof *p->layer_at, "state layers", err));
    p->layer_at = mem;
    for (uint32_t i = 0; i < hp->n_layer; i++) p->layer_at[i] = floats_before(hp, i);
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "states of %zu bytes: out of memory", bytes);
    p->base = base;
    *out = p;
    return SLM_OK;
out:
    state_destroy(p);
    return st;
}

void state_destroy(struct state_pool *p) {
    if (!p) return;
    if (p->base) munmap(p->base, p->bytes);
    free(p->free_ids);
    free(p->layer_at);
    free(p);
}

static uint8_t *copy_at(const struct state_pool *p, int32_t i_slot, int i_copy) {
    return p->base + (2 * (size_t)i_slot + (size_t)i_copy) * p->slot_bytes;
}

int32_t state_take(struct state_pool *p) {
    if (p->n_free == 0) return -1;
    int32_t i_slot = p->free_ids[--p->n_free];
    memset(copy_at(p, i_slot, 0), 0, p->slot_bytes);
    return i_slot;
}

void state_give(struct state_pool *p, int32_t i_slot) {
    SLM_ASSERT(i_slot >= 0 && i_slot < p->n_slot && p->n_free < p->n_slot);
    p->free_ids[p->n_free++] = i_slot;
}

float *state_of(const struct state_pool *p, int32_t i_slot, uint32_t i_layer) {
    return (float *)(void *)copy_at(p, i_slot, 0) + p->layer_at[i_layer];
}

void state_save(struct state_pool *p, int32_t i_slot) { memcpy(copy_at(p, i_slot, 1), copy_at(p, i_slot, 0), p->slot_bytes); }

void state_restore(struct state_pool *p, int32_t i_slot) { memcpy(copy_at(p, i_slot, 0), copy_at(p, i_slot, 1), p->slot_bytes); }
