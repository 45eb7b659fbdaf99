/* Any bytes as a folder's config.json: either metadata of a known architecture comes of it, or one printable line that names the
 * file. */
#include <stdlib.h>
#include <string.h>

#include "model/hf/hf_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const void *const no_bytes[64];
    struct hf *h = NULL;
    struct gguf *g = NULL;
    slm_err err = {0};
    if (hf_create("fuzz", &h, &err) != SLM_OK) abort();
    slm_status st = hf_config_parse(h, (const char *)data, size, &err);
    if (st == SLM_OK) st = hf_config_choose(h, &err);
    if (st == SLM_OK) st = hf_put_keys(h, &err);
    if (st == SLM_OK) {
        if (h->n_output > 64 || gguf_view(h->w, "fuzz", no_bytes, NULL, NULL, &g, &err) != SLM_OK) abort();
        if (!gguf_find(g, "general.architecture") || h->n_layer == 0 || h->n_layer > 1024 || h->n_head == 0 || h->d_head == 0) abort();
        gguf_close(g);
    } else {
        if ((st != SLM_E_FORMAT && st != SLM_E_UNSUPPORTED && st != SLM_E_LIMIT) || err.code != st || !strstr(err.msg, "fuzz/config.json")) abort();
        for (const char *p = err.msg; *p; p++)
            if ((unsigned char)*p < 0x20 || *p == 0x7f) abort();
    }
    hf_close(h);
    return 0;
}
