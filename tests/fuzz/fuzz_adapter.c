/* Any bytes as an adapter of a small model: merging either succeeds, and then the result can be walked as any file, or says in one printable line
 * why not; and so does running it beside the model, which takes the same files but those of embeddings and with values that are not finite. */
#include "fault/gguf_raw.h"
#include "test.h"
#include "engine/session.h"
#include "train/adapter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct gguf *base_model(void) {
    static struct gguf *base;
    slm_err err;
    if (!base && gguf_open(test_data("golden/logits/llama.gguf"), &base, &err) != SLM_OK) abort();
    return base;
}

static void check_words(slm_status st, const slm_err *err) {
    if ((st != SLM_E_FORMAT && st != SLM_E_UNSUPPORTED && st != SLM_E_LIMIT) || err->code != st) abort();
    for (const char *p = err->msg; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) abort();
}

static slm_status run_beside(const struct gguf *adapter, slm_err *err) {
    static const int32_t ids[] = {1, 5, 7};
    struct slm_model *m;
    struct slm_session *s;
    if (model_open(test_data("golden/logits/llama.gguf"), 0, &m, NULL) != SLM_OK) abort();
    slm_status st = model_add_lora_open(m, adapter, 1, NULL, err);
    if (st == SLM_OK && session_create(m, &(struct session_params){.n_ctx = 8, .n_chunk = 8, .n_threads = 1, .kv_type = KV_F32}, &s, NULL) == SLM_OK) {
        if (session_feed(s, ids, 3, NULL, NULL) != SLM_OK) abort();
        session_destroy(s);
    }
    model_close(m);
    return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct gguf *adapter = NULL, *merged = NULL;
    slm_err err = {0}, err_beside = {0};
    if (gguf_open_memory(data, size, "fuzz.gguf", &adapter, &err) != SLM_OK) return 0;
    slm_status st = adapter_merge_open(base_model(), adapter, 1, 1, &merged, &err), beside = run_beside(adapter, &err_beside);
    gguf_close(adapter);
    if (st == SLM_OK) walk_gguf(merged);
    else if (merged || (beside == SLM_OK && !strstr(err.msg, "not finite"))) abort(); /* a sum beyond a float shows beside the model only in its scores */
    else check_words(st, &err);
    if (beside != SLM_OK) check_words(beside, &err_beside);
    gguf_close(merged);
    return 0;
}
