/* cache.h -- answers that were paid for, by the whole request. In memory, least recently used first out. Any thread.
 *
 * A request that is the same has the same key. Where the settings allow it, one that only asks the same has the answer too: all but its last message, the user's, is the same to
 * the byte, and that message says the same in other words (near.h). */
#ifndef SLM_TIER_CACHE_H
#define SLM_TIER_CACHE_H

#include "tier/near.h"
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

/* The last message, the user's, apart from all the rest. */
struct question {
    uint8_t rest[CACHE_KEY_BYTES];
    float sketch[NEAR_N];
    char *form; /* near_form */
};
/* answer_cache_question -- new. NULL: the settings want none, the last message is no user's text, or it is like no other. */
struct question *answer_cache_question(const struct answer_cache *c, const struct ask *a, const char *client);
void question_free(struct question *q);

/* answer_cache_key -- of all that the answer depends on, and of the client's key: what one client paid for, another does not see. False: no memory. */
bool answer_cache_key(const struct ask *a, const char *client, uint8_t out[CACHE_KEY_BYTES]);
/* answer_cache_get -- a copy; false: not there, or too old. */
bool answer_cache_get(struct answer_cache *c, const uint8_t key[CACHE_KEY_BYTES], struct kept_answer *out);
/* answer_cache_get_near -- of the answers to what asks the same, the one whose question looks most like q (NULL: none does); *similarity. */
bool answer_cache_get_near(struct answer_cache *c, const struct question *q, struct kept_answer *out, double *similarity);
/* answer_cache_put -- takes what k holds, and *q, which becomes NULL. */
void answer_cache_put(struct answer_cache *c, const uint8_t key[CACHE_KEY_BYTES], struct question **q, struct kept_answer *k);
#endif
