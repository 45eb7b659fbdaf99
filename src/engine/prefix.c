/* prefix.c -- one entry for each page of the pool, chained in a hash table by (page before, tokens).
 *
 * A page in use keeps the pages before it in use, and an entry with entries after it is not evicted; so `before` of an entry never
 * turns into a page that says something else. The search for the oldest entry walks all pages: some thousands, and only when
 * the pool is full. */
#include "engine/prefix.h"

#include <stdlib.h>
#include <string.h>

#define NONE (-1)
enum { N_ROOTS = 64 }; /* mixes of adapters that have pages */

/* Root i is `before` PREFIX_ROOT - 1 - i; PREFIX_ROOT itself is without adapters. */
struct root {
    struct lora_mix mix;
    int32_t n_after; /* entries whose before this is */
};

struct entry {
    uint64_t used;   /* when it was matched or added last */
    int32_t before;  /* page, or a root */
    int32_t n_after; /* entries whose before this is */
    int32_t next;    /* in its bucket; NONE */
    bool is_known;
};

struct prefix {
    struct kv *kv;
    struct entry *entries; /* [kv->n_page] */
    int32_t *ids;          /* [kv->n_page, KV_PAGE_TOK] */
    int32_t *buckets;      /* [n_bucket], a power of two */
    size_t n_bucket;
    struct root *roots;    /* [N_ROOTS] */
    uint64_t now;
};

slm_status prefix_create(struct kv *kv, struct prefix **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct prefix *p = NULL;
    void *mem;
    size_t n_page = (size_t)kv->n_page;
    *out = NULL;
    SLM_ASSERT(!kv->states);
    TRY(mem_alloc(&mem, 1, sizeof *p, "prefix cache", err));
    p = mem;
    p->kv = kv;
    for (p->n_bucket = 1; p->n_bucket < n_page; p->n_bucket *= 2) {}
    TRY(mem_alloc(&mem, n_page, sizeof *p->entries, "prefix cache", err));
    p->entries = mem;
    TRY(mem_alloc(&mem, n_page, KV_PAGE_TOK * sizeof *p->ids, "prefix cache", err));
    p->ids = mem;
    TRY(mem_alloc(&mem, p->n_bucket, sizeof *p->buckets, "prefix cache", err));
    p->buckets = mem;
    TRY(mem_alloc(&mem, N_ROOTS, sizeof *p->roots, "prefix cache", err));
    p->roots = mem;
    for (size_t i = 0; i < p->n_bucket; i++) p->buckets[i] = NONE;
    *out = p;
    return SLM_OK;
out:
    prefix_destroy(p);
    return st;
}

void prefix_destroy(struct prefix *p) {
    if (!p) return;
    for (int32_t i = 0; p->entries && i < p->kv->n_page; i++)
        if (p->entries[i].is_known) kv_drop(p->kv, i);
    free(p->entries);
    free(p->ids);
    free(p->buckets);
    free(p->roots);
    free(p);
}

static int32_t *bucket_of(const struct prefix *p, int32_t before, const int32_t *ids) {
    uint64_t h = hash_bytes(hash_bytes(HASH_START, &before, sizeof before), ids, KV_PAGE_TOK * sizeof *ids);
    return &p->buckets[(h ^ h >> 32) & (p->n_bucket - 1)];
}

static const int32_t *ids_of(const struct prefix *p, int32_t page) { return p->ids + (size_t)page * KV_PAGE_TOK; }

static int32_t find(const struct prefix *p, int32_t before, const int32_t *ids) {
    int32_t page = *bucket_of(p, before, ids);
    while (page != NONE && (p->entries[page].before != before || memcmp(ids_of(p, page), ids, KV_PAGE_TOK * sizeof *ids) != 0))
        page = p->entries[page].next;
    return page;
}

int32_t prefix_root(struct prefix *p, const struct lora_mix *mix) {
    int32_t spare = NONE;
    if (lora_mix_is_none(mix)) return PREFIX_ROOT;
    for (int32_t i = 0; i < N_ROOTS; i++) {
        if (p->roots[i].n_after == 0) spare = i;
        else if (lora_mix_equal(&p->roots[i].mix, mix)) return PREFIX_ROOT - 1 - i;
    }
    if (spare == NONE) return PREFIX_NO_ROOT;
    p->roots[spare].mix = *mix;
    return PREFIX_ROOT - 1 - spare;
}

/* What counts the entries after `before`; NULL: nobody does. */
static int32_t *n_after(struct prefix *p, int32_t before) {
    if (before >= 0) return &p->entries[before].n_after;
    return before == PREFIX_ROOT ? NULL : &p->roots[PREFIX_ROOT - 1 - before].n_after;
}

int32_t prefix_match(struct prefix *p, int32_t before, const int32_t *ids) {
    int32_t page = find(p, before, ids);
    if (page != NONE) p->entries[page].used = ++p->now;
    return page;
}

int32_t prefix_add(struct prefix *p, int32_t before, const int32_t *ids, int32_t page) {
    struct entry *e = &p->entries[page];
    int32_t same = find(p, before, ids);
    SLM_ASSERT(before < 0 || p->entries[before].is_known);
    if (same != NONE) return same;
    SLM_ASSERT(!e->is_known);
    int32_t *bucket = bucket_of(p, before, ids);
    *e = (struct entry){.used = ++p->now, .before = before, .next = *bucket, .is_known = true};
    memcpy(p->ids + (size_t)page * KV_PAGE_TOK, ids, KV_PAGE_TOK * sizeof *ids);
    *bucket = page;
    if (n_after(p, before)) ++*n_after(p, before);
    kv_hold(p->kv, page);
    return page;
}

/* Known, at the end of its chain, and held by nobody else. */
static bool is_idle_end(const struct prefix *p, int32_t page) {
    return p->entries[page].is_known && p->entries[page].n_after == 0 && p->kv->n_holders[page] == 1;
}

static void forget(struct prefix *p, int32_t page) {
    struct entry *e = &p->entries[page];
    int32_t *link = bucket_of(p, e->before, ids_of(p, page));
    while (*link != page) link = &p->entries[*link].next;
    *link = e->next;
    if (n_after(p, e->before)) --*n_after(p, e->before);
    e->is_known = false;
    kv_drop(p->kv, page);
}

void prefix_evict(struct prefix *p, int32_t n_page) {
    while (p->kv->n_free < n_page) {
        int32_t oldest = NONE;
        for (int32_t i = 0; i < p->kv->n_page; i++)
            if (is_idle_end(p, i) && (oldest == NONE || p->entries[i].used < p->entries[oldest].used)) oldest = i;
        if (oldest == NONE) return;
        forget(p, oldest);
    }
}

int32_t prefix_n_idle(const struct prefix *p) {
    int32_t n = 0;
    for (int32_t i = 0; i < p->kv->n_page; i++) n += p->entries[i].is_known && p->kv->n_holders[i] == 1;
    return n;
}
