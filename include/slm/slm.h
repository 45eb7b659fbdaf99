/* slm.h -- the public C API of libslm: run a small language model from C.
 *
 *     slm_err err;
 *     slm_model *model = NULL;
 *     slm_session *session = NULL;
 *     slm_sampling sampling = slm_sampling_default();
 *     if (slm_model_open("model.gguf", &model, &err) ||
 *         slm_session_create(model, NULL, &session, &err) ||
 *         slm_session_generate(session, "Once upon a time", 64, &sampling, on_text, NULL, &err))
 *         fprintf(stderr, "error: %s\n", err.msg);
 *     slm_session_destroy(session);
 *     slm_model_close(model);
 *
 * Threads: a model is read-only and may be shared; a session belongs to one thread at a time.
 * Errors: every function that can fail returns an slm_status and fills *err (which may be NULL);
 * on failure every output pointer is set to NULL. Close and destroy accept NULL. */
#ifndef SLM_SLM_H
#define SLM_SLM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLM_VERSION "0.1.0"

/* One table (src/base/status.c) maps each code to its name, exit code and HTTP status. */
typedef enum slm_status {
    SLM_OK = 0,
    SLM_E_FAILED = 1,       /* the job itself failed */
    SLM_E_USAGE = 2,        /* the caller's arguments */
    SLM_E_FORMAT = 3,       /* a file breaks its format */
    SLM_E_UNSUPPORTED = 4,  /* a valid file or request asks for what is not there */
    SLM_E_NOMEM = 5,        /* the system has no memory left */
    SLM_E_LIMIT = 6,        /* a named limit would be passed */
    SLM_E_DEVICE = 7,
    SLM_E_NETWORK = 8,
    SLM_E_NEEDS_FRONTIER = 9, /* only the frontier tier could answer and none is allowed */
    SLM_E_IO = 10,          /* the system could not open, read or write */
    SLM_E_NOT_FOUND = 11,
    SLM_E_BUSY = 12,        /* a bounded queue is full: try again */
    SLM_E_CANCELLED = 13,   /* interrupted by the user */
} slm_status;

#define SLM_NOWHERE UINT64_MAX

/* What went wrong. msg reads: what "value": why -- lower case, one line, no full stop. */
typedef struct slm_err {
    slm_status code;
    uint64_t where;  /* byte offset in the input, or SLM_NOWHERE */
    char msg[480];
    char hint[240];  /* what to do about it; may be empty */
} slm_err;

typedef struct slm_model slm_model;
typedef struct slm_session slm_session;

/* slm_model_open -- map a GGUF file (first shard of a split file) and bind its weights.
 * The file stays mapped until slm_model_close; weights are not copied. */
slm_status slm_model_open(const char *path, slm_model **model, slm_err *err);
void slm_model_close(slm_model *model);

/* slm_model_add_adapter -- a LoRA adapter (GGUF) that runs beside the weights in every session made from now on, times scale (1: as trained); several add
 * up. Before the model's first session. The file is read whole. */
slm_status slm_model_add_adapter(slm_model *model, const char *path, float scale, slm_err *err);

/* Tokens. Counts are numbers of ids. Returned arrays and strings are freed with slm_free. */
slm_status slm_tokenize(const slm_model *model, const char *text, size_t n_bytes, bool parse_special,
                        bool add_bos, int32_t **ids, size_t *n_ids, slm_err *err);
slm_status slm_detokenize(const slm_model *model, const int32_t *ids, size_t n_ids, char **text,
                          size_t *n_bytes, slm_err *err);
void slm_free(void *p);

typedef struct slm_session_options {
    int32_t n_ctx;     /* positions; 0: the model's own limit, lowered to what memory allows */
    int32_t n_threads; /* 0: the CPUs this process may use (affinity and cgroup quota) */
    int32_t n_chunk;   /* prompt tokens per forward; 0: 512 */
} slm_session_options;

slm_status slm_session_create(slm_model *model, const slm_session_options *options,
                              slm_session **session, slm_err *err);
void slm_session_destroy(slm_session *session);

typedef struct slm_sampling {
    float temperature; /* 0: greedy */
    int32_t top_k;     /* 0: off */
    float top_p;       /* 1: off */
    float min_p;       /* 0: off */
    uint64_t seed;
} slm_sampling;

slm_sampling slm_sampling_default(void);

/* Called with each piece of whole UTF-8 text; return false to stop. */
typedef bool (*slm_on_text)(void *user, const char *text, size_t n_bytes);

/* slm_session_generate -- continue `prompt` (no chat template) by at most n_max tokens. A session
 * keeps its timeline: a prompt that begins like the last one reuses the common prefix. */
slm_status slm_session_generate(slm_session *session, const char *prompt, int32_t n_max,
                                const slm_sampling *sampling, slm_on_text on_text, void *user,
                                slm_err *err);

#ifdef __cplusplus
}
#endif
#endif
