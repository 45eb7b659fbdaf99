/* lora_forward.c -- adapters in a batch: which rows take which adapter, and what each adds to a product.
 *
 * Rows are listed adapter by adapter, in the order of the adapters' numbers, once for a batch: an adapter's matrices are read once for all its rows, and a
 * row's sum has one order, whoever else is in the batch. */
#include "model/forward_int.h"
#include "model/lora_int.h"

void forward_lora_begin(struct forward *f, const struct batch *b, const bool *which) {
    int32_t n_all = 0;
    f->n_lora_groups = 0;
    for (uint32_t k = 0; k < f->n_loras; k++) {
        struct lora_group *g = &f->lora_groups[f->n_lora_groups];
        *g = (struct lora_group){f->m->loras[k], n_all, 0};
        for (int32_t i = 0, row = 0; i < b->n_tok; i++) {
            if (which && !which[i]) continue;
            float scale = b->seq[i]->lora ? b->seq[i]->lora->scale[k] : 0;
            if (scale != 0) f->lora_rows[n_all++] = (struct low_rank_row){row, scale};
            row++;
        }
        g->n = n_all - g->first;
        f->n_lora_groups += g->n > 0;
    }
}

void forward_lora_end(struct forward *f) { f->n_lora_groups = 0; }

void forward_lora_add(struct forward *f, float *y, enum weight_slot slot, uint32_t i_layer, const float *x) {
    for (uint32_t k = 0; k < f->n_lora_groups; k++) {
        const struct lora_group *g = &f->lora_groups[k];
        const struct lora_part *part = lora_part_of(g->lora, slot, i_layer);
        if (part->p.r) compute_low_rank(f->c, y, part->p.d_out, &part->p, (float)part->scale, x, part->p.d_in, f->lora_rows + g->first, g->n, f->lora_h);
    }
}
