/* privacy_int.h -- what counting (privacy.c) and replacing (redact.c) share: they must look at the same. */
#ifndef SLM_TIER_PRIVACY_INT_H
#define SLM_TIER_PRIVACY_INT_H

#include "tier/privacy.h"

#define FOUND_MAX 4096 /* in one text; with more it is all of it one find */

/* privacy_scan_named -- as privacy_scan, of a value as it stands behind a key; key empty: of the text alone. */
size_t privacy_scan_named(const struct privacy *p, struct view key, struct view text, struct found *out, size_t n_max);
/* privacy_is_free_below -- what the client names itself, keys and numbers too, hangs below this key; all others are the APIs' own. */
bool privacy_is_free_below(const char *key);
/* privacy_number_text -- a number as it goes out; new. NULL: no memory. */
json_t *privacy_number_text(const json_t *v);
#endif
