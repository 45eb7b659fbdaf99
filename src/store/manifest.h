/* manifest.h -- which blobs make a model: an OCI image manifest with the layer types of the Ollama registry. */
#ifndef SLM_STORE_MANIFEST_H
#define SLM_STORE_MANIFEST_H

#include <jansson.h>

#include "base/mem.h"

#define MANIFEST_BYTES_MAX (1u << 20)
#define MANIFEST_LAYERS_MAX 512
#define DIGEST_MAX 72 /* "sha256:", 64 digits, NUL */

/* What a layer is; its media type is a row in manifest.c. */
#define ADAPTERS_MAX 8 /* of one model */

enum layer_kind { LAYER_MODEL, LAYER_ADAPTER, LAYER_PROJECTOR, LAYER_TEMPLATE, LAYER_SYSTEM, LAYER_PARAMS, LAYER_MESSAGES, LAYER_LICENSE, LAYER_CONFIG, LAYER_OTHER };
const char *layer_kind_name(enum layer_kind kind); /* "model" */

struct layer {
    enum layer_kind kind;
    char digest[DIGEST_MAX]; /* "sha256:<64 hex>" */
    uint64_t size;
    char *title;             /* the file's name at its source; NULL: none. Into the manifest's arena */
};

struct manifest {
    struct layer *layers;    /* [n_layers]: the config first when there is one */
    size_t n_layers;
    char *source;            /* where it came from: a URL. NULL: unknown */
    struct arena mem;
};

bool digest_is(const char *text); /* "sha256:" and 64 lower-case hex digits */

/* manifest_init -- empty, room for n_max layers. Errors: LIMIT, NOMEM. */
slm_status manifest_init(struct manifest *m, size_t n_max, slm_err *err);
slm_status manifest_add(struct manifest *m, enum layer_kind kind, const char *digest, uint64_t size, const char *title, slm_err *err);
/* manifest_parse -- hostile JSON. Errors: FORMAT (what and where), LIMIT, UNSUPPORTED (a list of manifests). m is empty on failure. */
slm_status manifest_parse(struct view json, const char *what, struct manifest *m, slm_err *err);
json_t *manifest_json(const struct manifest *m); /* a new reference; NULL without memory */
void manifest_fini(struct manifest *m);

const struct layer *manifest_find(const struct manifest *m, enum layer_kind kind); /* the first; NULL: none */
uint64_t manifest_bytes(const struct manifest *m);

#endif
