/* Any bytes as a head: either refused with a message of one printable line, or one that scores a text. */
#include <stdlib.h>
#include <string.h>

#include "task/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct head h;
    struct head_scratch s;
    slm_err err = {0};
    double novelty;
    if (head_open_memory(data, size, &h, &err) != SLM_OK) {
        for (const char *m = err.msg; *m; m++)
            if ((unsigned char)*m < 0x20 || *m == 0x7f) abort();
        return 0;
    }
    float *probs = malloc(h.n_label * sizeof *probs), *state = calloc((size_t)h.d + 1, sizeof *state);
    head_scratch_init(&s);
    if (!probs || !state || head_score(&h, &s, VIEW("a text of words"), state, probs, &novelty, &err) != SLM_OK) abort();
    head_scratch_fini(&s);
    free(probs);
    free(state);
    head_fini(&h);
    return 0;
}
