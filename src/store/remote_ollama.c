/* remote_ollama.c -- a registry as Ollama has it: /v2/<space>/<model>/manifests/<tag> and /blobs/<digest>. */
#include <stdio.h>
#include <string.h>

#include "store/http.h"
#include "store/remote_int.h"

#define ACCEPT "application/vnd.docker.distribution.manifest.v2+json"

bool remote_is_loopback(const char *host) {
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0;
}

slm_status remote_ollama(const struct model_name *name, const struct remote_options *o, struct remote *r, slm_err *err) {
    char url[1024];
    struct buf b;
    struct manifest m = {0};
    const char *scheme = remote_is_loopback(name->host) ? "http" : "https";
    slm_status st = SLM_OK;
    buf_init(&b, MANIFEST_BYTES_MAX);
    snprintf(url, sizeof url, "%s://%s/v2/%s/%s/manifests/%s", scheme, name->host, name->space, name->model, name->tag);
    TRY(http_get(url, NULL, ACCEPT, o->cancel, &b, err));
    TRY(manifest_parse((struct view){b.data, b.len}, url, &m, err));
    TRY(remote_room(r, m.n_layers, err));
    for (size_t i = 0; i < m.n_layers; i++) {
        const struct layer *l = &m.layers[i];
        TRY(remote_add(r, l->kind, l->digest, l->size, l->title, err, "%s://%s/v2/%s/%s/blobs/%s", scheme, name->host, name->space, name->model, l->digest));
    }
    if (!manifest_find(&m, LAYER_MODEL)) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%s\": it has no layer with a model", url);
out:
    manifest_fini(&m);
    buf_fini(&b);
    return st;
}
