/* overlay_int.h -- the overlay of each ISA folder; ops.c lists those that this target has. */
#ifndef SLM_COMPUTE_OVERLAY_INT_H
#define SLM_COMPUTE_OVERLAY_INT_H

#include "compute/ops.h"

void ops_overlay_ref(struct ops *o);
void ops_overlay_avx2(struct ops *o);
void ops_overlay_avxvnni(struct ops *o);
void ops_overlay_avx512(struct ops *o);
void ops_overlay_avx512vnni(struct ops *o);
void ops_overlay_avx512vnni_attention(struct ops *o); /* called by it, as is the next */
void ops_overlay_avx512vnni_panel_few(struct ops *o);
void ops_overlay_neon(struct ops *o);
void ops_overlay_dotprod(struct ops *o);
void ops_overlay_dotprod_attention(struct ops *o); /* called by it */
void ops_overlay_i8mm(struct ops *o);
void ops_overlay_i8mm_attention(struct ops *o);

#endif
