/* Any bytes as an adapter of a small model: merging either succeeds, and then the result can be walked as any file, or says in one printable line
 * why not. */
#include "fault/gguf_raw.h"
#include "test.h"
#include "train/adapter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct gguf *base_model(void) {
    static struct gguf *base;
    slm_err err;
    if (!base && gguf_open(test_data("golden/logits/llama.gguf"), &base, &err) != SLM_OK) abort();
    return base;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct gguf *adapter = NULL, *merged = NULL;
    slm_err err = {0};
    if (gguf_open_memory(data, size, "fuzz.gguf", &adapter, &err) != SLM_OK) return 0;
    slm_status st = adapter_merge_open(base_model(), adapter, 1, 1, &merged, &err);
    gguf_close(adapter);
    if (st == SLM_OK) walk_gguf(merged);
    else if (merged || (st != SLM_E_FORMAT && st != SLM_E_UNSUPPORTED) || err.code != st) abort();
    for (const char *p = err.msg; st != SLM_OK && *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) abort();
    gguf_close(merged);
    return 0;
}
