/* push.c -- the OCI distribution protocol: HEAD a blob; where it is not, POST for a place and PUT it there; the manifest last.
 * A place is taken only on the registry's own host: nobody else is sent the model. */
#include "store/push.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/http.h"
#include "store/remote_int.h"

#define TYPE_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"

struct pushing {
    struct store *s;
    const struct push_options *o;
    const struct layer *layer;
    char base[512]; /* scheme://host/v2/space/model */
    size_t n_origin; /* of it, scheme://host */
};

static slm_status explain(slm_status st, const struct http_head *head, slm_err *err) {
    if (st != SLM_OK && (head->status == 401 || head->status == 403)) err_hint(err, "the registry asks for a login, which slm does not have; push to one that does not, or put a proxy with the login before it");
    return st;
}

static void on_sent(void *user, uint64_t n) {
    const struct pushing *p = user;
    if (p->o->progress) p->o->progress(p->o->user, p->layer, n < p->layer->size ? n : p->layer->size);
}

/* Where the registry wants the blob, with the digest added. */
static slm_status place_of(const struct pushing *p, const char *location, char out[4096], slm_err *err) {
    bool is_relative = location[0] == '/' && location[1] != '/';
    bool is_own = is_relative || (strncmp(location, p->base, p->n_origin) == 0 && location[p->n_origin] == '/');
    if (!*location) return err_set(err, SLM_E_NETWORK, SLM_NOWHERE, "\"%s\": the registry gives no place for a blob", p->base);
    if (!is_own) return err_set(err, SLM_E_NETWORK, SLM_NOWHERE, "\"%s\": the registry sends uploads to another host, \"%.200s\"", p->base, location);
    int n = snprintf(out, 4096, "%.*s%s%sdigest=%s", is_relative ? (int)p->n_origin : 0, p->base, location, strchr(location, '?') ? "&" : "?", p->layer->digest);
    return n > 0 && n < 4096 ? SLM_OK : err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "\"%s\": the place for a blob is longer than 4096 bytes", p->base);
}

static slm_status push_layer(struct pushing *p, slm_err *err) {
    char url[4096], place[4096];
    struct http_head head;
    slm_err quiet;
    slm_status st = SLM_OK;
    char *path = store_blob_path(p->s, p->layer->digest);
    if (!path) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "push: out of memory");
    if (!store_has_blob(p->s, p->layer->digest, p->layer->size)) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "blob %.19s...: is missing or of another size", p->layer->digest);
    snprintf(url, sizeof url, "%s/blobs/%s", p->base, p->layer->digest);
    struct http_ask look = {.method = "HEAD", .url = url, .cancel = p->o->cancel};
    st = http_ask(&look, &head, NULL, &quiet);
    if (st == SLM_OK) on_sent(p, p->layer->size);
    if (st != SLM_E_NOT_FOUND) {
        if (st != SLM_OK && err) *err = quiet;
        explain(st, &head, err);
        goto out;
    }
    snprintf(url, sizeof url, "%s/blobs/uploads/", p->base);
    struct http_ask begin = {.method = "POST", .url = url, .body = VIEW(""), .cancel = p->o->cancel};
    TRY(explain(http_ask(&begin, &head, NULL, err), &head, err));
    TRY(place_of(p, head.location, place, err));
    struct http_ask send = {.method = "PUT", .url = place, .type = "application/octet-stream", .file = path, .file_bytes = p->layer->size, .cancel = p->o->cancel, .progress = on_sent, .user = p};
    TRY(explain(http_ask(&send, &head, NULL, err), &head, err));
    on_sent(p, p->layer->size);
out:
    free(path);
    return st;
}

static slm_status push_manifest(struct pushing *p, const struct model_name *name, const struct manifest *m, slm_err *err) {
    char url[1024];
    struct http_head head;
    json_t *v = manifest_json(m);
    char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;
    slm_status st = SLM_OK;
    json_decref(v);
    if (!text) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "push: out of memory");
    snprintf(url, sizeof url, "%s/manifests/%s", p->base, name->tag);
    struct http_ask put = {.method = "PUT", .url = url, .type = TYPE_MANIFEST, .body = view_of(text), .cancel = p->o->cancel};
    st = explain(http_ask(&put, &head, NULL, err), &head, err);
    free(text);
    return st;
}

slm_status push_model(struct store *s, const struct model_name *given, const struct push_options *o, slm_err *err) {
    struct pushing p = {.s = s, .o = o};
    struct model_name name = *given;
    struct manifest m = {0};
    slm_status st = SLM_OK;
    if (name.kind != NAME_OLLAMA) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "only names of a registry can be pushed");
        err_hint(err, "slm cp NAME HOST/SPACE/MODEL:TAG gives it one");
        return SLM_E_USAGE;
    }
    TRY(store_read(s, &name, &m, err));
    p.n_origin = (size_t)snprintf(p.base, sizeof p.base, "%s://%s", remote_is_loopback(name.host) ? "http" : "https", name.host);
    snprintf(p.base + p.n_origin, sizeof p.base - p.n_origin, "/v2/%s/%s", name.space, name.model);
    for (size_t i = 0; i < m.n_layers; i++) {
        p.layer = &m.layers[i];
        TRY(push_layer(&p, err));
    }
    TRY(push_manifest(&p, &name, &m, err));
out:
    manifest_fini(&m);
    return st;
}
