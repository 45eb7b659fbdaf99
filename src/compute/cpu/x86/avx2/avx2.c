/* avx2.c -- the AVX2 twins (with FMA and F16C): the kernels of cpu/vec/ in words of 8 floats. */
#include "compute/cpu/x86/avx2/vec_int.h"

#include "compute/cpu/vec/kernels_int.h"
#include "compute/cpu/x86/avx2/bvec_int.h"
#include "compute/cpu/x86/avx2/dot_int.h"
#include "compute/cpu/vec/act_int.h"
#include "compute/cpu/vec/unpack_int.h"
#include "compute/cpu/x86/b16_int.h"

#include "compute/cpu/vec/decode_int.h"
#include "compute/overlay_int.h"

void ops_overlay_avx2(struct ops *o) {
    vec_overlay_kernels(o);
    vec_overlay_decode(o);
    o->act_quantize = vec_op_act_quantize;
    o->panel_unpack = vec_op_panel_unpack;
    o->panel_dot = avx2_panel_dot;
}
