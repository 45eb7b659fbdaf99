/* keys.h -- who may use the server, and how much: keys, and the requests a key may make.
 *
 * Keys are kept as digests and compared in constant time. Any thread. */
#ifndef SLM_SERVE_KEYS_H
#define SLM_SERVE_KEYS_H

#include "base/mem.h"

#define KEYS_MAX 1024
#define KEY_NAME_BYTES 32

struct keys;
struct key; /* who asks; NULL: nobody was asked for a key */

slm_status keys_create(struct keys **out, slm_err *err);
void keys_destroy(struct keys *k);
/* keys_add -- one key without limits. Errors: USAGE (empty, shorter than 8 bytes), LIMIT. */
slm_status keys_add(struct keys *k, const char *key, const char *name, slm_err *err);
/* keys_read -- a file: a key a line, then perhaps name=NAME, per-minute=N, parallel=N; # begins a comment. Errors: IO, USAGE with the line. */
slm_status keys_read(struct keys *k, const char *path, slm_err *err);
size_t keys_n(const struct keys *k);

/* keys_find -- NULL: no such key. */
struct key *keys_find(struct keys *k, struct view given);
const char *key_name(const struct key *key); /* NULL gives "-" */
/* key_begin -- one request more; false: a limit is reached, *wait_s says when to try again. key_end follows a success. NULL is fine. */
bool key_begin(struct key *key, double now_s, int *wait_s);
void key_end(struct key *key);

#endif
