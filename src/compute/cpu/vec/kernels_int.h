/* kernels_int.h -- the fast twins, written once in vector words and compiled in each ISA folder.
 *
 * Include it after the folder's vec_int.h, which defines `vec` (VEC_N floats) and the words. Everything is static, so
 * each folder has its own copy with its own instructions. The register blocks (VEC_MATMUL_TOKS, VEC_ATTN_ROWS) are the
 * folder's as well. */
#ifndef SLM_COMPUTE_CPU_VEC_KERNELS_INT_H
#define SLM_COMPUTE_CPU_VEC_KERNELS_INT_H

#include "compute/ops.h"

#include "compute/cpu/vec/exp_int.h"
#include "compute/cpu/vec/plain_int.h"
#include "compute/cpu/vec/gate_int.h"
#include "compute/cpu/vec/matmul_int.h"
#include "compute/cpu/vec/matmul_half_int.h"
#include "compute/cpu/vec/delta_int.h"
#include "compute/cpu/vec/rank_int.h"
#include "compute/cpu/vec/kv_store_int.h"
#include "compute/cpu/vec/attn_float_int.h"
#include "compute/cpu/vec/attn_level_int.h"
#include "compute/cpu/vec/attention_int.h"

/* All slots but conv_step, which is small, and the exact GELU, which only small encoders use. */
static void vec_overlay_kernels(struct ops *o) {
    o->matmul_f32 = vec_op_matmul_f32;
    o->matmul_half = vec_op_matmul_half;
    o->rms_norm = vec_op_rms_norm;
    o->layer_norm = vec_op_layer_norm;
    o->add = vec_op_add;
    o->add_bias = vec_op_add_bias;
    o->scale = vec_op_scale;
    o->softcap = vec_op_softcap;
    o->gelu = vec_op_gelu;
    o->gelu_mul = vec_op_gelu_mul;
    o->silu_mul = vec_op_silu_mul;
    o->sigmoid_mul = vec_op_sigmoid_mul;
    o->delta_step = vec_op_delta_step;
    o->rank_add = vec_op_rank_add;
    o->rope_adjacent = vec_op_rope_adjacent;
    o->rope_halves = vec_op_rope_halves;
    o->kv_store = vec_op_kv_store;
    o->attention = vec_op_attention;
    o->attention_part = vec_op_attention_part;
    o->attention_join = vec_op_attention_join;
    o->softmax = vec_op_softmax;
}

#endif
