/* ref.c -- fills every slot of the ops table with the reference twins.
 *
 * Decoding has no twin of its own here: the reference of to_f32 is the dtype's descriptor row. */
#include "compute/cpu/ref/ref_int.h"
#include "compute/overlay_int.h"

void ops_overlay_ref(struct ops *o) {
    for (int i = 0; i < DTYPE_COUNT; i++) {
        o->to_f32[i] = dtype_get((enum dtype)i)->to_f32;
    }
#define X(slot) o->slot = ref_##slot;
    OPS_REF_LIST(X)
#undef X
}
