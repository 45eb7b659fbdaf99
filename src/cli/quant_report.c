/* quant_report.c -- a card of a quantized model: figures as metadata, a Markdown page, and a picture of what each tensor got. */
#include "cli/quant_report.h"

#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/show.h"
#include "base/svg.h"
#include "cli/term.h"

#define CARD_BYTES_MAX ((size_t)16 << 20)
#define WIDTH 720
#define HEIGHT 260
#define LEFT 40
#define BOTTOM 30

static double bits_per_weight(const struct quant_plan *plan) { return plan->n_elem ? 8 * (double)plan->bytes_to / (double)plan->n_elem : 0; }

size_t quant_report_notes(const struct quant_report *r, const struct quant_plan *plan, struct quant_note *notes) {
    size_t n = 0;
    notes[n++] = (struct quant_note){"slm.report.bits_per_weight", NULL, bits_per_weight(plan)};
    notes[n++] = (struct quant_note){"slm.report.tensor_bytes", NULL, (double)plan->bytes_to};
    notes[n++] = (struct quant_note){"slm.report.perplexity", NULL, r->score.perplexity};
    notes[n++] = (struct quant_note){"slm.report.base_perplexity", NULL, r->score.base_perplexity};
    notes[n++] = (struct quant_note){"slm.report.kl", NULL, r->score.kl};
    notes[n++] = (struct quant_note){"slm.report.top1_agreement", NULL, r->score.top1_agreement};
    notes[n++] = (struct quant_note){"slm.report.n_scored", NULL, (double)r->score.n_scored};
    notes[n++] = (struct quant_note){"slm.report.text", r->text, 0};
    if (r->budget) notes[n++] = (struct quant_note){"slm.report.budget", r->budget, 0};
    return n;
}

static slm_status write_card(const struct buf *card, const char *out, const char *ending, slm_err *err) {
    struct buf path;
    buf_init(&path, 65536);
    buf_printf(&path, "%s%s", out, ending);
    slm_status st = buf_status(&path, "path", err);
    if (st == SLM_OK) st = file_write(card, path.data, err);
    buf_fini(&path);
    return st;
}

static void put_page(struct buf *b, const struct quant_report *r, const struct quant_plan *plan, const char *svg) {
    buf_printf(b, "# %s\n\n| | |\n|---|---|\n| made from | %s |\n| type | %s |\n", show_path(gguf_path(plan->source)).s, show_cstr(r->model).s, plan->type->name);
    if (r->budget) buf_printf(b, "| budget | %s |\n", show_cstr(r->budget).s);
    buf_puts(b, "| size | ");
    buf_put_bytes(b, plan->bytes_to);
    buf_puts(b, ", from ");
    buf_put_bytes(b, plan->bytes_from);
    buf_printf(b, " |\n| bits per weight | %.3f |\n| perplexity | %.4f (original %.4f) |\n| KL divergence | %.6f nats |\n| same best token | %.2f %% |\n",
               bits_per_weight(plan), r->score.perplexity, r->score.base_perplexity, r->score.kl, 100 * r->score.top1_agreement);
    buf_printf(b, "| measured on | %llu predictions, %s |\n\n![bits of each tensor](%s)\n\n| tensor | type | bytes |\n|---|---|---|\n",
               (unsigned long long)r->score.n_scored, show_cstr(r->text).s, svg);
    for (size_t i = 0; i < plan->n; i++)
        buf_printf(b, "| %s | %s | %llu |\n", show_view(plan->choices[i].tensor->name).s, dtype_get(plan->choices[i].to)->name,
                   (unsigned long long)plan->choices[i].bytes);
}

/* A bar for each matrix, as high as its bits per weight (16 at most), in the file's order. */
static void put_picture(struct buf *b, const struct quant_plan *plan) {
    size_t n = 0, at = 0;
    double unit = (HEIGHT - BOTTOM - 10) / 16.0;
    for (size_t i = 0; i < plan->n; i++) n += plan->choices[i].tensor->n_dim > 1;
    svg_begin(b, WIDTH, HEIGHT);
    for (int bits = 0; bits <= 16; bits += 4) {
        double y = HEIGHT - BOTTOM - bits * unit;
        char label[16];
        snprintf(label, sizeof label, "%d", bits);
        svg_line(b, LEFT, y, WIDTH, y, "#ccc");
        svg_text(b, LEFT - 6, y + 4, SVG_END, label);
    }
    for (size_t i = 0; i < plan->n; i++) {
        const struct quant_choice *c = &plan->choices[i];
        if (c->tensor->n_dim < 2 || c->tensor->n_elem == 0) continue;
        double bits = 8 * (double)c->bytes / (double)c->tensor->n_elem, step = (double)(WIDTH - LEFT) / (double)n, shown = bits > 16 ? 16 : bits;
        svg_rect(b, LEFT + (double)at * step, HEIGHT - BOTTOM - shown * unit, step * 0.8, shown * unit, "#3572b0");
        at++;
    }
    svg_text(b, LEFT, HEIGHT - 10, SVG_START, "bits per weight of each matrix, in the order of the file");
    svg_end(b);
}

slm_status quant_report_write(const struct quant_report *r, const struct quant_plan *plan, const char *out, slm_err *err) {
    struct buf card;
    const char *slash = strrchr(out, '/');
    char svg[300];
    snprintf(svg, sizeof svg, "%.250s.svg", slash ? slash + 1 : out);
    buf_init(&card, CARD_BYTES_MAX);
    put_picture(&card, plan);
    slm_status st = write_card(&card, out, ".svg", err);
    buf_clear(&card);
    put_page(&card, r, plan, svg);
    if (st == SLM_OK) st = write_card(&card, out, ".md", err);
    buf_fini(&card);
    return st;
}
