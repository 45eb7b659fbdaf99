/* kern.c -- which table of kernels this CPU gets. */
#include "train/kern.h"

#include "base/cpu.h"
#include "base/util.h"
#include "train/isa/isa_int.h"

static const struct {
    const struct kern *kern;
    uint32_t features;
} rows[] = { /* best first */
#if defined(__x86_64__) && !defined(SLM_TRAIN_DOUBLE)
    {&kern_avx512, CPU_AVX2 | CPU_AVX512},
    {&kern_avx2, CPU_AVX2},
#endif
    {&kern_base, 0},
};

const struct kern *kern_get(void) {
    const char *wanted = env_get(ENV_SLM_CPU);
    size_t n = sizeof rows / sizeof rows[0], first = 0;
    if (wanted && strcmp(wanted, "ref") == 0) first = n - 1;
    else if (wanted && strncmp(wanted, "avx512", 6) != 0 && n > 1) first = 1;
    for (size_t i = first; i < n; i++)
        if ((cpu_features() & rows[i].features) == rows[i].features) return rows[i].kern;
    return &kern_base;
}
