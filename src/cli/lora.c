/* lora.c -- --lora FILE[=SCALE]. */
#include "cli/lora.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/show.h"

#define SCALE_MAX 1000.0f

slm_status lora_parse(const char *text, char path[4096], float *scale, slm_err *err) {
    const char *mark = strrchr(text, '='), *colon = strrchr(text, ':');
    char *end = NULL;
    size_t n = strlen(text);
    *scale = 1;
    if (colon && (!mark || colon > mark)) mark = colon;
    if (mark && mark[1] && access(text, F_OK) != 0) {
        float v = strtof(mark + 1, &end);
        if (*end == 0) {
            if (!isfinite(v) || fabsf(v) > SCALE_MAX)
                return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "adapter \"%s\": its scale must be a number from %g to %g", show_cstr(text).s, (double)-SCALE_MAX, (double)SCALE_MAX);
            *scale = v;
            n = (size_t)(mark - text);
        }
    }
    if (n == 0 || n >= 4096) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "adapter \"%s\": names no file", show_cstr(text).s);
    memcpy(path, text, n);
    path[n] = 0;
    return SLM_OK;
}

slm_status loras_add(struct slm_model *m, const struct option_texts *loras, slm_err *err) {
    slm_status st = SLM_OK;
    for (size_t i = 0; i < loras->n && st == SLM_OK; i++) {
        char path[4096];
        float scale;
        st = lora_parse(loras->v[i], path, &scale, err);
        if (st == SLM_OK) st = model_add_lora(m, path, scale, NULL, err);
    }
    return st;
}
