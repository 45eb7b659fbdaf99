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

/* Of a group's rows those that expert e was chosen for, numbered as the expert's tokens are. */
static int64_t rows_of_expert(const struct forward *f, const struct lora_group *g, uint32_t e, int64_t n_tok, struct low_rank_row *out) {
    int64_t n_used = f->m->hp.n_expert_used, n = 0;
    int32_t k = g->first, row = 0;
    for (int64_t i = 0; i < n_tok * n_used; i++) { /* a token's experts differ */
        if (f->moe_id[i] != (int32_t)e) continue;
        while (k < g->first + g->n && f->lora_rows[k].row < i / n_used) k++;
        if (k < g->first + g->n && f->lora_rows[k].row == i / n_used) out[n++] = (struct low_rank_row){row, f->lora_rows[k].scale};
        row++;
    }
    return n;
}

void forward_lora_add_expert(struct forward *f, int n_slots, float *const y[], const enum weight_slot slots[], uint32_t e, uint32_t i_layer, const float *x, int64_t n_tok) {
    for (uint32_t k = 0; k < f->n_lora_groups; k++) {
        const struct lora_group *g = &f->lora_groups[k];
        int64_t n = rows_of_expert(f, g, e, n_tok, f->lora_expert_rows);
        for (int i = 0; i < n_slots && n > 0; i++) {
            const struct lora_part *part = lora_part_of(g->lora, slots[i], i_layer);
            struct low_rank p = part->p;
            if (p.r == 0) continue;
            p.a += (int64_t)e * p.r * p.d_in;
            p.b += (int64_t)e * p.r * p.ldb;
            compute_low_rank(f->c, y[i], p.d_out, &p, (float)part->scale, x, p.d_in, f->lora_expert_rows, n, f->lora_h);
        }
    }
}
