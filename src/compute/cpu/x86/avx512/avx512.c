/* avx512.c -- the AVX-512 twins (F, BW, DQ, VL): the kernels of cpu/vec/ in words of 16 floats. */
#include "compute/cpu/x86/avx512/vec_int.h"

#include "compute/cpu/vec/kernels_int.h"
#include "compute/cpu/x86/avx512/bvec_int.h"
#include "compute/cpu/vec/act_int.h"
#include "compute/cpu/vec/unpack_int.h"
#include "compute/cpu/x86/b16_int.h"

#include "compute/cpu/vec/decode_int.h"
#include "compute/overlay_int.h"

void ops_overlay_avx512(struct ops *o) {
    vec_overlay_kernels(o);
    vec_overlay_decode(o);
    o->act_quantize = vec_op_act_quantize;
    o->panel_unpack = vec_op_panel_unpack;
}
