/* prefix.h -- which pages of the KV cache hold which tokens, so that a prompt that begins like an earlier one does not compute it again.
 *
 * Pages form chains from position 0: a page is known by its tokens and the page before it, so a match is exact and never
 * rests on a hash alone. Known pages are held (kv_hold) until they are evicted, least recently used ends of chains first.
 * Engine thread only. Source: Zheng et al. 2024 (SGLang's radix cache), over pages instead of single tokens. */
#ifndef SLM_ENGINE_PREFIX_H
#define SLM_ENGINE_PREFIX_H

#include "model/kv.h"
#include "model/lora.h"

#define PREFIX_ROOT (-1)        /* what stands before the first page, without adapters */
#define PREFIX_NO_ROOT INT32_MIN /* of prefix_root */

struct prefix;

/* kv is borrowed and must not keep states. Errors: NOMEM. */
slm_status prefix_create(struct kv *kv, struct prefix **out, slm_err *err);
void prefix_destroy(struct prefix *p); /* drops every page */

/* prefix_root -- what stands before the first page of a sequence with these adapters (NULL: none), so that nobody meets pages that other adapters made.
 * Asked for again at each use: one that no page hangs from may mean others next time. PREFIX_NO_ROOT: too many at once, this one is not remembered. */
int32_t prefix_root(struct prefix *p, const struct lora_mix *mix);
/* prefix_match -- the known page with these KV_PAGE_TOK tokens after page `before` (or a root); -1: none. */
int32_t prefix_match(struct prefix *p, int32_t before, const int32_t *ids);
/* prefix_add -- page, full, holds these tokens after `before`, which is known. The page that is known to say this: `page`, or another that
 * was there before, which the caller had better use instead (kv_swap): what they hold is equal to the bit. */
int32_t prefix_add(struct prefix *p, int32_t before, const int32_t *ids, int32_t page);
/* prefix_evict -- forget pages that no sequence holds until n_page are free or none is left. */
void prefix_evict(struct prefix *p, int32_t n_page);
/* prefix_n_idle -- pages that prefix_evict could free. */
int32_t prefix_n_idle(const struct prefix *p);

#endif
