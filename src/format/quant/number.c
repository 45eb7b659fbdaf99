/* number.c -- whole numbers and doubles, one to an element: nearest float, ties to even; doubles too large for a float
 * become infinite.
 *
 * Whole numbers cannot be written from floats: without a scale they are indices and counts, no place for weights. */
#include "format/quant/quant_int.h"

#define TO_F32(name, type)                                                                                             \
    static void name(float *dst, const void *src, int64_t n) {                                                         \
        const uint8_t *s = src;                                                                                        \
        for (int64_t i = 0; i < n; i++, s += sizeof(type)) {                                                           \
            type v;                                                                                                    \
            memcpy(&v, s, sizeof v);                                                                                   \
            dst[i] = (float)v;                                                                                         \
        }                                                                                                              \
    }
TO_F32(i8_to_f32, int8_t)
TO_F32(i16_to_f32, int16_t)
TO_F32(i32_to_f32, int32_t)
TO_F32(i64_to_f32, int64_t)
TO_F32(f64_to_f32, double)
#undef TO_F32

static void f64_from_f32(void *dst, const float *src, int64_t n, const float *importance) {
    (void)importance;
    uint8_t *d = dst;
    for (int64_t i = 0; i < n; i++) {
        double v = (double)src[i];
        memcpy(d + 8 * i, &v, sizeof v);
    }
}

const struct dtype_desc dtype_i8 = {
    .id = DTYPE_I8,
    .name = "i8",
    .gguf_id = 24,
    .block_elems = 1,
    .block_bytes = 1,
    .to_f32 = i8_to_f32,
};

const struct dtype_desc dtype_i16 = {
    .id = DTYPE_I16,
    .name = "i16",
    .gguf_id = 25,
    .block_elems = 1,
    .block_bytes = 2,
    .to_f32 = i16_to_f32,
};

const struct dtype_desc dtype_i32 = {
    .id = DTYPE_I32,
    .name = "i32",
    .gguf_id = 26,
    .block_elems = 1,
    .block_bytes = 4,
    .to_f32 = i32_to_f32,
};

const struct dtype_desc dtype_i64 = {
    .id = DTYPE_I64,
    .name = "i64",
    .gguf_id = 27,
    .block_elems = 1,
    .block_bytes = 8,
    .to_f32 = i64_to_f32,
};

const struct dtype_desc dtype_f64 = {
    .id = DTYPE_F64,
    .name = "f64",
    .gguf_id = 28,
    .block_elems = 1,
    .block_bytes = 8,
    .to_f32 = f64_to_f32,
    .from_f32 = f64_from_f32,
};
