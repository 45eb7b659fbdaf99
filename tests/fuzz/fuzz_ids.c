/* fuzz_ids.c -- any text as a list of ids: refused, or every id is below the size of the vocabulary. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_VOCAB 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tok_ids ids;
    slm_err err;
    if (size < 1 || size > 4096) return 0;
    char *text = malloc(size + 1);
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    if (text[0] != '{') text[0] = '['; /* anything else would be the name of a file */
    slm_status st = input_ids(text, N_VOCAB, &ids, &err);
    for (size_t i = 0; i < ids.n; i++) {
        if (st == SLM_OK && ids.v[i] >= 0 && ids.v[i] < N_VOCAB) continue;
        fprintf(stderr, "fuzz_ids: %s\n", st == SLM_OK ? "an id out of range" : "ids after a failure");
        abort();
    }
    tok_ids_fini(&ids);
    free(text);
    return 0;
}
