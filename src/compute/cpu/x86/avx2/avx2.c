/* avx2.c -- the AVX2 twins (with FMA and F16C): the kernels of cpu/vec/ in words of 8 floats. */
#include "compute/cpu/x86/avx2/vec_int.h"

#include "compute/cpu/vec/kernels_int.h"
#include "compute/cpu/x86/decode_int.h"
#include "compute/overlay_int.h"

void ops_overlay_avx2(struct ops *o) {
    vec_overlay_kernels(o);
    vec_overlay_decode(o);
}
