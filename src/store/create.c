/* create.c -- the layers of a new manifest: first those that hold the model, then texts, the base's where the recipe has none.
 *
 * A file is hashed and linked (a hard link, or a symbolic one to another disk), so making a model of a file takes no space. */
#include "store/create.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/show.h"
#include "base/util.h"
#include "engine/quantize.h"
#include "model/hf.h"
#include "store/make_int.h"
#include "store/pull.h"

#define TEXT_BYTES_MAX (4u << 20)

struct creating {
    struct store *s;
    const struct recipe *r;
    const struct create_options *o;
    struct manifest base; /* the model of the store that it is made from; else empty */
    struct manifest *m;
};

static bool is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* The path that the recipe means; "" when it may name none, or there is nothing. */
static void path_of_text(const struct creating *c, const char *text, char out[4096]) {
    int n = -1;
    out[0] = 0;
    if (!c->o->folder) return;
    if (*text == '/') n = snprintf(out, 4096, "%s", text);
    else if (text[0] == '~' && text[1] == '/' && env_get(ENV_HOME)) n = snprintf(out, 4096, "%s%s", env_get(ENV_HOME), text + 1);
    else n = snprintf(out, 4096, "%s/%s", c->o->folder, text);
    if (n < 0 || n >= 4096 || access(out, F_OK) != 0) out[0] = 0;
}

static slm_status link_file(struct creating *c, const char *path, enum layer_kind kind, const char *title, slm_err *err) {
    char digest[DIGEST_MAX];
    struct stat info;
    slm_status st = SLM_OK;
    TRY(store_hash(path, digest, c->o->cancel, err));
    if (stat(path, &info) != 0) FAIL(SLM_E_IO, SLM_NOWHERE, "\"%s\": %s", show_path(path).s, strerror(errno));
    store_keep(c->s, digest);
    if (!store_has_blob(c->s, digest, (uint64_t)info.st_size)) TRY(store_link(c->s, path, digest, err));
    TRY(manifest_add(c->m, kind, digest, (uint64_t)info.st_size, title, err));
out:
    return st;
}

/* All shards of a split file, with names that say which is which: the user's own may be none that a manifest takes. One whole file has none. */
static slm_status link_shards(struct creating *c, const char *first, slm_err *err) {
    unsigned n_shards;
    size_t n = strlen(first), n_tail = strlen("-00001-of-00001.gguf");
    if (n <= n_tail || sscanf(first + n - n_tail, "-00001-of-%5u.gguf", &n_shards) != 1 || n_shards < 2) return link_file(c, first, LAYER_MODEL, NULL, err);
    if (n_shards > MANIFEST_LAYERS_MAX / 2) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "\"%s\": %u shards, at most %d", show_path(first).s, n_shards, MANIFEST_LAYERS_MAX / 2);
    for (unsigned i = 1; i <= n_shards; i++) {
        char path[4096], title[64];
        snprintf(path, sizeof path, "%.*s-%05u-of-%05u.gguf", (int)(n - n_tail), first, i, n_shards);
        snprintf(title, sizeof title, "model-%05u-of-%05u.gguf", i, n_shards);
        slm_status st = link_file(c, path, LAYER_MODEL, title, err);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

/* A GGUF file or a folder: looked into before it becomes anybody's model. */
static slm_status take_path(struct creating *c, const char *path, slm_err *err) {
    char digest[DIGEST_MAX];
    uint64_t size = 0;
    struct view kind;
    struct gguf *g = NULL;
    slm_status st = SLM_OK;
    if (is_folder(path)) {
        TRY(make_from_folder(c->s, path, c->o->type, c->o, digest, &size, err));
        return manifest_add(c->m, LAYER_MODEL, digest, size, NULL, err);
    }
    TRY(gguf_open(path, &g, err));
    if (gguf_get_string(g, "general.type", &kind, NULL) == SLM_OK && view_eq(kind, VIEW("adapter"))) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "\"%s\": it is an adapter", show_path(path).s);
        err_hint(err, "FROM names the model, ADAPTER what is added to it");
        st = SLM_E_USAGE;
    } else if (c->o->type) {
        TRY(make_quantized(c->s, g, c->o->type, c->o, digest, &size, err));
        st = manifest_add(c->m, LAYER_MODEL, digest, size, NULL, err);
    } else st = link_shards(c, path, err);
out:
    gguf_close(g);
    return st;
}

/* A model of the store: its layers as they are, or its weights quantized. */
static slm_status take_name(struct creating *c, const char *text, slm_err *err) {
    struct model_name name;
    struct pulled p = {.hold_fd = -1};
    slm_status st = SLM_OK;
    TRY(c->o->folder ? name_parse(text, &name, err) : name_parse_remote(text, &name, err));
    if (name.kind == NAME_FILE) {
        err_set(err, SLM_E_NOT_FOUND, SLM_NOWHERE, "FROM \"%s\": there is no such file", show_cstr(text).s);
        st = SLM_E_NOT_FOUND;
        goto out;
    }
    TRY(store_read(c->s, &name, &c->base, err));
    if (c->o->type) {
        TRY(store_use(c->s, &name, &(struct use_options){.cancel = c->o->cancel, .progress = c->o->progress, .user = c->o->user}, &p, err));
        TRY(take_path(c, p.path, err));
    }
    for (size_t i = 0; i < c->base.n_layers; i++) {
        const struct layer *l = &c->base.layers[i];
        bool is_weights = l->kind == LAYER_MODEL || l->kind == LAYER_ADAPTER;
        if (is_weights ? !c->o->type : l->kind == LAYER_PROJECTOR) TRY(manifest_add(c->m, l->kind, l->digest, l->size, l->title, err));
    }
out:
    pulled_fini(&p);
    return st;
}

static slm_status blob_size(const struct store *s, const char *digest, uint64_t *size, slm_err *err) {
    struct stat info;
    if (!digest_is(digest)) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "digest \"%.80s\": is not \"sha256:\" and 64 hex digits", digest);
    char *path = store_blob_path(s, digest);
    bool has = path && stat(path, &info) == 0;
    free(path);
    if (!has) return err_set(err, SLM_E_NOT_FOUND, SLM_NOWHERE, "blob \"%s\": is not here", digest);
    *size = (uint64_t)info.st_size;
    return SLM_OK;
}

/* Files that a request has sent before: {name: digest}. */
static slm_status take_files(struct creating *c, slm_err *err) {
    struct manifest files = {0};
    char *folder = NULL, path[4096], first[512] = "";
    const char *title;
    json_t *v;
    bool is_gguf = false;
    slm_status st = SLM_OK;
    TRY(manifest_init(&files, json_object_size(c->r->files), err));
    json_object_foreach(c->r->files, title, v) {
        uint64_t size;
        size_t n = strlen(title);
        if (!json_is_string(v) || !title_is_safe(title)) FAIL(SLM_E_USAGE, SLM_NOWHERE, "file \"%s\": must be a plain name with a digest", show_cstr(title).s);
        TRY(blob_size(c->s, json_string_value(v), &size, err));
        TRY(manifest_add(&files, LAYER_OTHER, json_string_value(v), size, title, err));
        if (n <= 5 || strcmp(title + n - 5, ".gguf") != 0) continue;
        is_gguf = true;
        if (!first[0] || strcmp(title, first) < 0) text_copy(first, sizeof first, title);
    }
    TRY(view_make(c->s, &files, LAYER_OTHER, &folder, err));
    snprintf(path, sizeof path, "%s/%s", folder, first);
    TRY(take_path(c, is_gguf ? path : folder, err));
out:
    free(folder);
    manifest_fini(&files);
    return st;
}

static slm_status take_adapter(struct creating *c, const char *text, slm_err *err) {
    char path[4096];
    uint64_t size;
    struct view type;
    struct gguf *g = NULL;
    slm_status st = SLM_OK;
    char *blob = NULL;
    bool is_digest = digest_is(text);
    if (is_digest) {
        TRY(blob_size(c->s, text, &size, err));
        blob = store_blob_path(c->s, text);
        if (!blob) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "adapter: out of memory");
    } else path_of_text(c, text, path);
    if (!is_digest && !path[0]) FAIL(SLM_E_NOT_FOUND, SLM_NOWHERE, "ADAPTER \"%s\": there is no such file", show_cstr(text).s);
    if (!is_digest && is_folder(path)) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "ADAPTER \"%s\": a folder; adapters are GGUF files here", show_cstr(text).s);
    TRY(gguf_open(is_digest ? blob : path, &g, err));
    if (gguf_get_string(g, "general.type", &type, NULL) != SLM_OK || !view_eq(type, VIEW("adapter"))) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "ADAPTER \"%s\": it is no adapter", show_cstr(text).s);
    if (is_digest) st = manifest_add(c->m, LAYER_ADAPTER, text, size, NULL, err);
    else st = link_file(c, path, LAYER_ADAPTER, NULL, err);
out:
    gguf_close(g);
    free(blob);
    return st;
}

static slm_status read_layer(const struct store *s, const struct layer *l, struct buf *out, slm_err *err) {
    char *path = store_blob_path(s, l->digest);
    buf_clear(out);
    slm_status st = path ? file_read(out, path, err) : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "layer: out of memory");
    free(path);
    return st;
}

static slm_status add_text(struct creating *c, enum layer_kind kind, struct view text, slm_err *err) {
    char digest[DIGEST_MAX];
    slm_status st = store_add(c->s, text, digest, err);
    return st == SLM_OK ? manifest_add(c->m, kind, digest, text.len, NULL, err) : st;
}

#define OWN_TITLE "TEMPLATE"

bool create_is_own(const struct layer *l) { return l->title && strcmp(l->title, OWN_TITLE) == 0; }

static slm_status add_own_template(struct creating *c, struct view text, slm_err *err) {
    char digest[DIGEST_MAX];
    slm_status st = store_add(c->s, text, digest, err);
    return st == SLM_OK ? manifest_add(c->m, LAYER_TEMPLATE, digest, text.len, OWN_TITLE, err) : st;
}

static slm_status add_json(struct creating *c, enum layer_kind kind, const json_t *v, slm_err *err) {
    char *text = json_dumps(v, JSON_COMPACT);
    slm_status st = text ? add_text(c, kind, view_of(text), err) : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "layer: out of memory");
    free(text);
    return st;
}

static slm_status keep_base(struct creating *c, enum layer_kind kind, slm_err *err) {
    slm_status st = SLM_OK;
    for (size_t i = 0; i < c->base.n_layers && st == SLM_OK; i++) {
        const struct layer *l = &c->base.layers[i];
        if (l->kind == kind) st = manifest_add(c->m, kind, l->digest, l->size, l->title, err);
    }
    return st;
}

/* The base's parameters, and over them the recipe's. */
static slm_status add_params(struct creating *c, slm_err *err) {
    slm_status st = SLM_OK;
    const struct layer *l = manifest_find(&c->base, LAYER_PARAMS);
    json_t *all = NULL;
    json_error_t e;
    struct buf text;
    buf_init(&text, TEXT_BYTES_MAX);
    if (json_object_size(c->r->params) == 0) TRY(keep_base(c, LAYER_PARAMS, err));
    else {
        if (l) TRY(read_layer(c->s, l, &text, err));
        all = text.len ? json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &e) : json_object();
        if (!json_is_object(all)) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "parameters of the base: no JSON object");
        json_object_update(all, c->r->params);
        TRY(add_json(c, LAYER_PARAMS, all, err));
    }
out:
    json_decref(all);
    buf_fini(&text);
    return st;
}

static slm_status add_texts(struct creating *c, slm_err *err) {
    slm_status st = SLM_OK;
    const struct recipe *r = c->r;
    TRY(r->template ? add_own_template(c, view_of(r->template), err) : keep_base(c, LAYER_TEMPLATE, err));
    TRY(r->system ? add_text(c, LAYER_SYSTEM, view_of(r->system), err) : keep_base(c, LAYER_SYSTEM, err));
    TRY(add_params(c, err));
    TRY(json_array_size(r->messages) ? add_json(c, LAYER_MESSAGES, r->messages, err) : keep_base(c, LAYER_MESSAGES, err));
    TRY(keep_base(c, LAYER_LICENSE, err));
    for (size_t i = 0; i < json_array_size(r->licenses); i++) {
        const json_t *v = json_array_get(r->licenses, i);
        TRY(add_text(c, LAYER_LICENSE, (struct view){json_string_value(v), json_string_length(v)}, err));
    }
out:
    return st;
}

/* What other programs read beside the layers: docs/store.md. */
static slm_status add_config(struct creating *c, slm_err *err) {
    slm_status st = SLM_OK;
    const struct layer *model = manifest_find(c->m, LAYER_MODEL);
    char *path = model ? store_blob_path(c->s, model->digest) : NULL;
    struct gguf *g = NULL;
    struct view family = VIEW("");
    uint64_t number;
    json_t *config = NULL, *ids = json_array();
    if (!path) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "what it is made from holds no model");
    if (c->m->layers[0].title == NULL) TRY(gguf_open(path, &g, err)); /* one file: it says what it is */
    const struct file_type *type = g && gguf_get_u64(g, "general.file_type", &number, NULL) == SLM_OK ? file_type_by_gguf_id(number) : NULL;
    if (g) gguf_get_string(g, "general.architecture", &family, NULL);
    for (size_t i = 0; i < c->m->n_layers; i++) json_array_append_new(ids, json_string(c->m->layers[i].digest));
    json_t *name = json_stringn(family.ptr, family.len);
    config = json_pack("{s:s, s:O*, s:[O*], s:s, s:s, s:s, s:{s:s, s:O}}", "model_format", "gguf", "model_family", name, "model_families", name, "file_type", type ? type->name : "unknown",
                       "architecture", "amd64", "os", "linux", "rootfs", "type", "layers", "diff_ids", ids);
    json_decref(name);
    if (!config) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "config: out of memory");
    TRY(add_json(c, LAYER_CONFIG, config, err));
out:
    json_decref(config);
    json_decref(ids);
    gguf_close(g);
    free(path);
    return st;
}

static slm_status take_model(struct creating *c, slm_err *err) {
    char path[4096];
    if (json_object_size(c->r->files)) return take_files(c, err);
    if (!c->r->from) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "nothing says what the model is made from");
    path_of_text(c, c->r->from, path);
    return path[0] ? take_path(c, path, err) : take_name(c, c->r->from, err);
}

slm_status create_model(struct store *s, const struct model_name *name, const struct recipe *r, const struct create_options *o, struct manifest *m, slm_err *err) {
    struct creating c = {.s = s, .r = r, .o = o, .m = m};
    slm_status st = SLM_OK;
    memset(m, 0, sizeof *m);
    if (name->kind == NAME_FILE || name->kind == NAME_URL) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "\"%s\": no name for a model", show_cstr(name->url).s);
    TRY(manifest_init(m, MANIFEST_LAYERS_MAX, err));
    TRY(take_model(&c, err));
    if (json_array_size(r->adapters) > ADAPTERS_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "%zu adapters, at most %d", json_array_size(r->adapters), ADAPTERS_MAX);
    for (size_t i = 0; i < json_array_size(r->adapters); i++) TRY(take_adapter(&c, json_string_value(json_array_get(r->adapters, i)), err));
    TRY(add_texts(&c, err));
    TRY(add_config(&c, err));
    TRY(store_commit(s, name, m, err));
out:
    manifest_fini(&c.base);
    if (st != SLM_OK) manifest_fini(m);
    return st;
}

/* A pulled model may have parameters of other engines: they are told, not taken. */
static slm_status read_params(const json_t *root, struct recipe *r, slm_err *err) {
    const char *name;
    json_t *v;
    if (!json_is_object(root)) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "parameters of the model: no JSON object");
    json_object_foreach((json_t *)(uintptr_t)root, name, v) {
        if (!recipe_has_param(name)) json_array_append_new(r->left_out, json_string(name));
        else if (recipe_set_param(r, name, v, err) != SLM_OK) return err_wrap(err, SLM_E_FORMAT, "parameters of the model");
    }
    return SLM_OK;
}

static slm_status read_recipe_layer(const struct store *s, const struct layer *l, struct buf *text, struct recipe *r, slm_err *err) {
    json_error_t e;
    struct view v;
    slm_status st = read_layer(s, l, text, err);
    if (st != SLM_OK) return st;
    v = (struct view){text->len ? text->data : "", text->len};
    json_t *root = l->kind == LAYER_PARAMS || l->kind == LAYER_MESSAGES ? json_loadb(v.ptr, v.len, JSON_REJECT_DUPLICATES, &e) : NULL;
    switch (l->kind) {
    case LAYER_SYSTEM: r->system = arena_strdup(&r->mem, v); break;
    case LAYER_TEMPLATE:
        r->template = arena_strdup(&r->mem, v);
        r->has_own_template = create_is_own(l);
        break;
    case LAYER_LICENSE: json_array_append_new(r->licenses, json_stringn(v.ptr, v.len)); break;
    case LAYER_PARAMS: st = read_params(root, r, err); break;
    case LAYER_MESSAGES:
        for (size_t i = 0; i < json_array_size(root) && st == SLM_OK; i++) {
            const json_t *m = json_array_get(root, i), *content = json_object_get(m, "content");
            const char *role = json_string_value(json_object_get(m, "role"));
            st = role && json_is_string(content) ? recipe_add_message(r, role, (struct view){json_string_value(content), json_string_length(content)}, err)
                                                 : err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "message %zu of the model: no role and content", i);
        }
        break;
    default: break;
    }
    json_decref(root);
    return st;
}

slm_status create_recipe(const struct store *s, const struct manifest *m, struct recipe *r, slm_err *err) {
    struct buf text;
    slm_status st = SLM_OK;
    const struct layer *model = manifest_find(m, LAYER_MODEL);
    char *path = model ? store_blob_path(s, model->digest) : NULL;
    buf_init(&text, TEXT_BYTES_MAX);
    TRY(recipe_init(r, err));
    if (path) r->from = arena_strdup(&r->mem, view_of(path));
    for (size_t i = 0; i < m->n_layers; i++) {
        enum layer_kind kind = m->layers[i].kind;
        if (kind == LAYER_ADAPTER) json_array_append_new(r->adapters, json_string(m->layers[i].digest));
        else if (kind == LAYER_SYSTEM || kind == LAYER_TEMPLATE || kind == LAYER_LICENSE || kind == LAYER_PARAMS || kind == LAYER_MESSAGES)
            TRY(read_recipe_layer(s, &m->layers[i], &text, r, err));
    }
out:
    free(path);
    buf_fini(&text);
    if (st != SLM_OK) recipe_fini(r);
    return st;
}
