/* Any bytes as a certificate: either refused with a message of one printable line, or one that can judge and be written again. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "task/cal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct cal c;
    struct signals s;
    slm_err err = {0};
    double p;
    if (cal_parse((struct view){size ? (const char *)data : "", size}, &c, &err) != SLM_OK) {
        for (const char *m = err.msg; *m; m++)
            if ((unsigned char)*m < 0x20 || *m == 0x7f) abort();
        return 0;
    }
    for (int i = 0; i < SIGNAL_COUNT; i++) s.v[i] = 0.5;
    if (cal_judge(&c, &s, &p) && !c.result.certified) abort();
    if (!isnan(p) && !(p >= 0 && p <= 1)) abort();
    if (cal_check(&c, c.task, c.bound, &err) != SLM_OK) abort();
    return 0;
}
