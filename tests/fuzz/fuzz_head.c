/* Any bytes as a head: either refused with a message of one printable line, or one that scores a text: probabilities, or such a message where its weights
 * leave the range of floats. */
#include <stdlib.h>
#include <string.h>

#include "task/head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_words(const slm_err *err) {
    if (!err->msg[0]) abort();
    for (const char *m = err->msg; *m; m++)
        if ((unsigned char)*m < 0x20 || *m == 0x7f) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct head h;
    struct head_scratch s;
    slm_err err = {0};
    double novelty;
    if (head_open_memory(data, size, &h, &err) != SLM_OK) {
        check_words(&err);
        return 0;
    }
    float *probs = malloc(h.n_label * sizeof *probs), *state = calloc((size_t)h.d + 1, sizeof *state);
    head_scratch_init(&s);
    if (!probs || !state) abort();
    if (head_score(&h, &s, VIEW("a text of words"), state, probs, &novelty, &err) != SLM_OK) check_words(&err);
    else
        for (uint32_t i = 0; i < h.n_label; i++)
            if (!(probs[i] >= 0 && probs[i] <= 1.001f)) abort();
    head_scratch_fini(&s);
    free(probs);
    free(state);
    head_fini(&h);
    return 0;
}
