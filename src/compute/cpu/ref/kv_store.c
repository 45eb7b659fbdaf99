/* kv_store.c -- writes a key or value row into the cache's type. */
#include <string.h>

#include "compute/cpu/ref/ref_int.h"

void ref_kv_store_f32(void *dst, const float *src, int64_t n) {
    memcpy(dst, src, (size_t)n * sizeof *src);
}

void ref_kv_store_f16(void *dst, const float *src, int64_t n) {
    uint16_t *h = dst;
    for (int64_t i = 0; i < n; i++) h[i] = f32_to_f16(src[i]);
}
