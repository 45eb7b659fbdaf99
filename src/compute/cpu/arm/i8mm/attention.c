/* attention.c -- attention again, with the instruction that sums four products of bytes (usdot): for the q8 and q4 caches. */
#include "compute/cpu/arm/neon/vec_int.h"

#include "compute/ops.h"

#include "compute/cpu/vec/exp_int.h"
#include "compute/cpu/vec/attn_float_int.h"
#include "compute/cpu/vec/attn_level_int.h"
#include "compute/cpu/vec/attention_int.h"
#include "compute/overlay_int.h"

void ops_overlay_i8mm_attention(struct ops *o) {
    o->attention = vec_op_attention;
    o->attention_part = vec_op_attention_part;
    o->attention_join = vec_op_attention_join;
}
