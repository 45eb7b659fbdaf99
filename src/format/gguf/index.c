/* index.c -- names to places: open addressing with linear probing.
 *
 * The hash is FNV-1a with a final mix, since the table takes its low bits. A file made to collide costs time,
 * not memory, and at most the square of the limits on counts. */
#include <stdlib.h>
#include <string.h>

#include "format/gguf/gguf_int.h"

#define N_SLOT_FIRST 64

static uint64_t hash_of(struct view v) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < v.len; i++) h = (h ^ (unsigned char)v.ptr[i]) * 0x100000001b3u;
    h ^= h >> 32;
    h *= 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static struct view name_at(struct gguf_records r, size_t place) {
    struct view v;
    memcpy(&v, (const char *)r.records + place * r.stride, sizeof v);
    return v;
}

size_t gguf_index_find(const struct gguf_index *x, struct gguf_records r, struct view name) {
    if (x->n_slot == 0) return GGUF_NONE;
    for (size_t i = hash_of(name) & (x->n_slot - 1);; i = (i + 1) & (x->n_slot - 1)) {
        if (x->slots[i] == 0) return GGUF_NONE;
        if (view_eq(name_at(r, x->slots[i] - 1), name)) return x->slots[i] - 1;
    }
}

static void put(uint32_t *slots, size_t n_slot, struct view name, size_t place) {
    size_t i = hash_of(name) & (n_slot - 1);
    while (slots[i] != 0) i = (i + 1) & (n_slot - 1);
    slots[i] = (uint32_t)(place + 1);
}

slm_status gguf_index_add(struct gguf_index *x, struct gguf_records r, size_t place, slm_err *err) {
    if (2 * (x->n_used + 1) > x->n_slot) {
        size_t n_slot = x->n_slot ? 2 * x->n_slot : N_SLOT_FIRST;
        void *slots = NULL;
        slm_status st = mem_alloc(&slots, n_slot, sizeof *x->slots, "name table", err);
        if (st != SLM_OK) return st;
        for (size_t i = 0; i < x->n_slot; i++)
            if (x->slots[i] != 0) put(slots, n_slot, name_at(r, x->slots[i] - 1), x->slots[i] - 1);
        free(x->slots);
        x->slots = slots;
        x->n_slot = n_slot;
    }
    put(x->slots, x->n_slot, name_at(r, place), place);
    x->n_used++;
    return SLM_OK;
}

void gguf_index_fini(struct gguf_index *x) {
    free(x->slots);
    *x = (struct gguf_index){0};
}
