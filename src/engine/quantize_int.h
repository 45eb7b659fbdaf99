/* quantize_int.h -- the choice of types, between file_type.c (what the mixes are) and quant_plan.c (applying them). */
#ifndef SLM_ENGINE_QUANTIZE_INT_H
#define SLM_ENGINE_QUANTIZE_INT_H

#include "engine/quantize.h"

enum tensor_role {
    ROLE_OTHER, /* a matrix without rules of its own */
    ROLE_EMBD, ROLE_OUTPUT,
    ROLE_ATTN_Q, ROLE_ATTN_K, ROLE_ATTN_V, ROLE_ATTN_QKV, ROLE_ATTN_OUT,
    ROLE_FFN_GATE, ROLE_FFN_UP, ROLE_FFN_DOWN,
    ROLE_KEPT, /* never quantized */
    ROLE_COUNT
};

/* What the rules look at. */
struct tensor_place {
    enum tensor_role role;
    uint32_t i_layer, n_layer;
    uint32_t n_group;   /* query heads to a key head */
    bool is_tied;       /* token_embd serves as the output too */
    bool has_imatrix;
};

/* tensor_role_of -- by name; i_layer is written for "blk.N." names. */
enum tensor_role tensor_role_of(struct view name, uint32_t *i_layer);
/* file_type_choose -- what the mix gives a matrix at this place, whatever its rows. */
enum dtype file_type_choose(const struct file_type *type, const struct tensor_place *place);
/* dtype_that_fits -- d, or the nearest type whose blocks divide rows of d_in. */
enum dtype dtype_that_fits(enum dtype d, uint64_t d_in);

#endif
