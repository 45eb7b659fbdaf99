/* util.h -- environment table, log, trace, random numbers, UTF-8: small services every room uses. */
#ifndef SLM_BASE_UTIL_H
#define SLM_BASE_UTIL_H

#include "base/mem.h"

/* Environment: the only getenv. One row each, printed by `slm help environment`. */
enum env_id {
    ENV_SLM_CPU, ENV_SLM_MATMUL, ENV_SLM_CACHE, ENV_SLM_CACHE_MAX, ENV_SLM_STORE, ENV_SLM_MODELS, ENV_XDG_CACHE_HOME, ENV_XDG_DATA_HOME, ENV_SLM_LOG, ENV_SLM_TRACE,
    ENV_SLM_NOW, ENV_NO_COLOR, ENV_TERM, ENV_HOME, ENV_SLM_KEY, ENV_LISTEN_PID, ENV_LISTEN_FDS, ENV_NOTIFY_SOCKET, ENV_HF_TOKEN, ENV_HF_ENDPOINT,
    ENV_HF_HOME, ENV_OLLAMA_MODELS, ENV_OMPI_COMM_WORLD_SIZE, ENV_COUNT,
};
struct env_row {
    const char *name, *values, *what;
};
const struct env_row *env_rows(void);  /* ENV_COUNT rows */
const char *env_get(enum env_id id);   /* NULL when unset or empty */
const char *env_get_named(const char *name); /* a variable that a user's file names: where a key is kept */

/* Log: talk for people, to stderr. Level from SLM_LOG (error|warn|info|debug), default warn. */
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
void log_set_level(enum log_level level);
void log_print(enum log_level level, const char *fmt, ...) SLM_PRINTF(2, 3);

/* Trace: named spans with times, to stderr as text (--trace or SLM_TRACE=1) or to a file of JSON
 * lines (SLM_TRACE=path). Off: a span costs one test of a flag. Spans nest. Any thread. */
slm_status trace_open(const char *where, slm_err *err); /* "1" is stderr */
void trace_close(void);
double trace_begin(void);                                /* 0 when off */
void trace_end(double t0, const char *step, const char *detail_fmt, ...) SLM_PRINTF(3, 4);

/* xoshiro256** (Blackman, Vigna 2018) seeded by splitmix64. Same seed, same numbers, everywhere. */
struct rng {
    uint64_t s[4];
};
void rng_init(struct rng *r, uint64_t seed);
uint64_t rng_u64(struct rng *r);
double rng_f64(struct rng *r); /* [0, 1), 53 bits */
float rng_normal(struct rng *r);

/* UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF).
 * utf8_decode: length 1..4 of the character at s and its code point; 0 when the bytes are invalid or
 * cut short. utf8_encode: length written to out. */
int utf8_decode(const char *s, size_t n, uint32_t *cp);
int utf8_encode(uint32_t cp, char out[4]);
/* utf8_prefix -- how many of the bytes s[0..n), n > 0, are a correct beginning of one character, and its full length (0: none
 * begins here). Equal: a whole character; less: the maximal subpart that one U+FFFD stands for (Unicode 15, 3.9), at least 1. */
size_t utf8_prefix(const char *s, size_t n, int *full);
/* utf8_pending -- how many bytes at the end of s[0..n) begin a character that may still be completed
 * (0..3): what a streaming printer must hold back. */
size_t utf8_pending(const char *s, size_t n);

#endif
