/* act_int.h -- activations to 8 bits. The definition is in cpu/ref/panel.c; the folder's bvec_int.h has the two steps. */
#ifndef SLM_COMPUTE_CPU_VEC_ACT_INT_H
#define SLM_COMPUTE_CPU_VEC_ACT_INT_H

#include <math.h>
#include <string.h>

#include "compute/pack.h"

#define ACT_AMAX_MIN 0x1p-100f

static void vec_op_act_quantize(int8_t *q, struct act_group *groups, const float *x, int64_t n) {
    for (int64_t i = 0; i < n / ACT_GROUP; i++, x += ACT_GROUP, q += ACT_GROUP, groups++) {
        uint32_t bits = act_amax_bits(x);
        float amax;
        memcpy(&amax, &bits, sizeof amax);
        if (!(amax >= ACT_AMAX_MIN) || bits >= 0x7f800000) { /* zeros, or not finite */
            memset(q, 0, ACT_GROUP);
            *groups = (struct act_group){.scale = bits >= 0x7f800000 ? NAN : 0};
            groups->scaled_sum = groups->scale;
            continue;
        }
        groups->scale = amax / 127;
        act_round(q, groups->minus_sum, x, 127 / amax);
        groups->scaled_sum = groups->scale * (float)-(groups->minus_sum[0] + groups->minus_sum[1]);
    }
}

#endif
