/* Any bytes as a GGUF file: opening either succeeds, and then everything in it can be used, or fails with a message
 * of one printable line. */
#include "fault/gguf_raw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct gguf *g = NULL;
    slm_err err = {0};
    slm_status st = gguf_open_memory(data, size, "fuzz.gguf", &g, &err);
    if (st == SLM_OK) {
        walk_gguf(g);
        gguf_close(g);
        return 0;
    }
    if (g || (st != SLM_E_FORMAT && st != SLM_E_UNSUPPORTED) || err.code != st) abort();
    if (strncmp(err.msg, "\"fuzz.gguf\": ", 13) != 0) abort();
    for (const char *p = err.msg; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) abort();
    return 0;
}
