/* cache.h -- answers that were paid for, by the whole request: an exact match or none. In memory, least recently used first out. Any thread. */
#ifndef SLM_TIER_CACHE_H
#define SLM_TIER_CACHE_H

#include "tier/wire.h"

#define CACHE_KEY_BYTES 32

struct answer_cache;
/* s->entries 0: *out is NULL, which every function takes as an empty cache. Errors: NOMEM. */
slm_status answer_cache_create(const struct cache_settings *s, struct answer_cache **out, slm_err *err);
void answer_cache_destroy(struct answer_cache *c);

struct part { /* of an answer, as output_event */
    enum output_kind kind;
    char *text;
    size_t n;
};
struct kept_answer {
    struct part *v; /* [n] */
    size_t n, cap;
    enum wire_end end;
    uint64_t n_in, n_out;
    char model[128];
};
slm_status kept_add(struct kept_answer *k, enum output_kind kind, struct view text); /* neighbours of text are joined. Errors: NOMEM */
void kept_fini(struct kept_answer *k);

/* answer_cache_key -- of all that the answer depends on, and of the client's key: what one client paid for, another does not see. False: no memory. */
bool answer_cache_key(const struct ask *a, const char *client, uint8_t out[CACHE_KEY_BYTES]);
/* answer_cache_get -- a copy; false: not there, or too old. */
bool answer_cache_get(struct answer_cache *c, const uint8_t key[CACHE_KEY_BYTES], struct kept_answer *out);
/* answer_cache_put -- takes what k holds. */
void answer_cache_put(struct answer_cache *c, const uint8_t key[CACHE_KEY_BYTES], struct kept_answer *k);
#endif
