/* manifest.c -- JSON to layers and back. What a layer of an unknown type holds is kept, so that a copy stays whole. */
#include "store/manifest.h"

#include <string.h>

#define SIZE_MAX_BYTES ((json_int_t)1 << 50)
#define ARENA_BYTES_MAX (4u << 20)
#define MEDIA_CONFIG "application/vnd.docker.container.image.v1+json"
#define MEDIA_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define ANNOTATION_TITLE "org.opencontainers.image.title"
#define ANNOTATION_SOURCE "org.opencontainers.image.source"

static const struct kind_row {
    const char *name, *media;
} kinds[] = {
    [LAYER_MODEL] = {"model", "application/vnd.ollama.image.model"},
    [LAYER_ADAPTER] = {"adapter", "application/vnd.ollama.image.adapter"},
    [LAYER_PROJECTOR] = {"projector", "application/vnd.ollama.image.projector"},
    [LAYER_TEMPLATE] = {"template", "application/vnd.ollama.image.template"},
    [LAYER_SYSTEM] = {"system", "application/vnd.ollama.image.system"},
    [LAYER_PARAMS] = {"params", "application/vnd.ollama.image.params"},
    [LAYER_MESSAGES] = {"messages", "application/vnd.ollama.image.messages"},
    [LAYER_LICENSE] = {"license", "application/vnd.ollama.image.license"},
    [LAYER_CONFIG] = {"config", MEDIA_CONFIG},
    [LAYER_OTHER] = {"other", "application/octet-stream"},
};
#define N_KINDS (sizeof kinds / sizeof kinds[0])

const char *layer_kind_name(enum layer_kind kind) { return kinds[kind].name; }

static enum layer_kind kind_of_media(const char *media) {
    for (size_t i = 0; i < N_KINDS; i++)
        if (strcmp(kinds[i].media, media) == 0) return (enum layer_kind)i;
    return LAYER_OTHER;
}

bool digest_is(const char *text) {
    if (strncmp(text, "sha256:", 7) != 0 || strlen(text) != DIGEST_MAX - 1) return false;
    return strspn(text + 7, "0123456789abcdef") == 64;
}

slm_status manifest_init(struct manifest *m, size_t n_max, slm_err *err) {
    memset(m, 0, sizeof *m);
    arena_init(&m->mem, ARENA_BYTES_MAX);
    if (n_max > MANIFEST_LAYERS_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "manifest: %zu layers, at most %d", n_max, MANIFEST_LAYERS_MAX);
    m->layers = arena_alloc(&m->mem, (n_max + 1) * sizeof *m->layers, 8);
    return m->layers ? SLM_OK : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "manifest: out of memory");
}

void manifest_fini(struct manifest *m) {
    arena_fini(&m->mem);
    memset(m, 0, sizeof *m);
}

slm_status manifest_add(struct manifest *m, enum layer_kind kind, const char *digest, uint64_t size, const char *title, slm_err *err) {
    struct layer *l = &m->layers[m->n_layers];
    if (!digest_is(digest)) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "manifest: digest \"%.80s\" is not \"sha256:\" and 64 hex digits", digest);
    *l = (struct layer){.kind = kind, .size = size};
    memcpy(l->digest, digest, DIGEST_MAX);
    if (title && !(l->title = arena_strdup(&m->mem, view_of(title)))) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "manifest: names longer than %u bytes", ARENA_BYTES_MAX);
    m->n_layers++;
    return SLM_OK;
}

static const char *annotation(const json_t *v, const char *key) { return json_string_value(json_object_get(json_object_get(v, "annotations"), key)); }

static slm_status parse_layer(const json_t *v, bool is_config, struct manifest *m, slm_err *err) {
    const char *media = json_string_value(json_object_get(v, "mediaType")), *digest = json_string_value(json_object_get(v, "digest"));
    const json_t *size = json_object_get(v, "size");
    if (!digest || !json_is_integer(size)) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "manifest: layer %zu has no digest or size", m->n_layers);
    json_int_t n = json_integer_value(size);
    if (n < 0 || n > SIZE_MAX_BYTES) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "manifest: layer %zu of %lld bytes", m->n_layers, (long long)n);
    enum layer_kind kind = is_config ? LAYER_CONFIG : media ? kind_of_media(media) : LAYER_OTHER;
    return manifest_add(m, kind, digest, (uint64_t)n, annotation(v, ANNOTATION_TITLE), err);
}

slm_status manifest_parse(struct view json, const char *what, struct manifest *m, slm_err *err) {
    slm_status st = SLM_OK;
    json_error_t e;
    json_t *root = json.len <= MANIFEST_BYTES_MAX ? json_loadb(json.ptr, json.len, JSON_REJECT_DUPLICATES, &e) : NULL;
    memset(m, 0, sizeof *m);
    if (json.len > MANIFEST_BYTES_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "manifest \"%.200s\": %zu bytes, at most %u", what, json.len, MANIFEST_BYTES_MAX);
    if (!json_is_object(root)) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "manifest \"%.200s\": no JSON object", what);
    if (json_object_get(root, "manifests")) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "manifest \"%.200s\": a list of manifests for platforms", what);
    const json_t *layers = json_object_get(root, "layers"), *config = json_object_get(root, "config");
    if (!json_is_array(layers)) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "manifest \"%.200s\": no layers", what);
    TRY(manifest_init(m, json_array_size(layers) + 1, err));
    if (json_is_object(config)) TRY(parse_layer(config, true, m, err));
    for (size_t i = 0; i < json_array_size(layers); i++) TRY(parse_layer(json_array_get(layers, i), false, m, err));
    const char *source = annotation(root, ANNOTATION_SOURCE);
    if (source) m->source = arena_strdup(&m->mem, view_of(source));
out:
    json_decref(root);
    if (st != SLM_OK) manifest_fini(m);
    return st;
}

static json_t *layer_json(const struct layer *l) {
    json_t *v = json_pack("{s:s, s:s, s:I}", "mediaType", kinds[l->kind].media, "digest", l->digest, "size", (json_int_t)l->size);
    if (v && l->title) json_object_set_new(v, "annotations", json_pack("{s:s}", ANNOTATION_TITLE, l->title));
    return v;
}

json_t *manifest_json(const struct manifest *m) {
    json_t *root = json_pack("{s:i, s:s}", "schemaVersion", 2, "mediaType", MEDIA_MANIFEST), *layers = json_array();
    for (size_t i = 0; root && layers && i < m->n_layers; i++) {
        json_t *l = layer_json(&m->layers[i]);
        bool ok = m->layers[i].kind == LAYER_CONFIG ? json_object_set_new(root, "config", l) == 0 : json_array_append_new(layers, l) == 0;
        if (ok) continue;
        json_decref(root);
        root = NULL;
    }
    if (root && m->source) json_object_set_new(root, "annotations", json_pack("{s:s}", ANNOTATION_SOURCE, m->source));
    if (!root || json_object_set_new(root, "layers", layers) != 0) {
        json_decref(root);
        return NULL;
    }
    return root;
}

const struct layer *manifest_find(const struct manifest *m, enum layer_kind kind) {
    for (size_t i = 0; i < m->n_layers; i++)
        if (m->layers[i].kind == kind) return &m->layers[i];
    return NULL;
}

uint64_t manifest_bytes(const struct manifest *m) {
    uint64_t n = 0;
    for (size_t i = 0; i < m->n_layers; i++) n += m->layers[i].size;
    return n;
}
