/* Any bytes as a safetensors file, and as the index of a folder: either succeeds, and then everything in it can be used, or
 * fails with a message of one printable line. */
#include "fault/st_raw.h"
#include "format/safetensors/st_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_failure(slm_status st, const slm_err *err) {
    if ((st != SLM_E_FORMAT && st != SLM_E_UNSUPPORTED) || err->code != st) abort();
    if (strncmp(err->msg, "\"fuzz\": ", 8) != 0) abort();
    for (const char *p = err->msg; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct safetensors *s = NULL;
    struct st_index x;
    slm_err err = {0};
    slm_status st = safetensors_open_memory(data, size, "fuzz", &s, &err);
    if (st == SLM_OK) walk_safetensors(s);
    else check_failure(st, &err);
    if (st != SLM_OK && s) abort();
    safetensors_close(s);
    st = st_index_parse(&x, (const char *)data, size, "fuzz", &err);
    if (st != SLM_OK) check_failure(st, &err);
    for (size_t i = 0; st == SLM_OK && i < x.n_tensor; i++)
        if (x.i_shard[i] >= x.n_shard || strlen(x.names[i].ptr) != x.names[i].len || strchr(x.shards[x.i_shard[i]], '/')) abort();
    st_index_fini(&x);
    return 0;
}
