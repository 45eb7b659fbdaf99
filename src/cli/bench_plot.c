/* bench_plot.c -- the picture of slm bench: two charts, prefill and decode, a bar for each measurement, and over each bar a
 * line at what the machine's measured limit allows. */
#include <stdio.h>

#include "base/svg.h"
#include "cli/bench_run.h"

enum { WIDTH = 720, HEIGHT = 300, TOP = 44, BOTTOM = 44, LEFT = 46, GAP = 24, CHART = WIDTH / 2 - GAP / 2 };

/* One chart: values, and the limits beside them. */
struct chart {
    const char *title;
    double value[BENCH_ROWS_MAX], limit[BENCH_ROWS_MAX];
};

static double top_of(const struct chart *c, size_t n) {
    double top = 0;
    for (size_t i = 0; i < n; i++) {
        top = c->value[i] > top ? c->value[i] : top;
        top = c->limit[i] > top ? c->limit[i] : top;
    }
    return top > 0 ? top * 1.05 : 1;
}

static void put_axis(struct buf *b, double x, double top) {
    char label[32];
    double tick = svg_tick(top, 5), unit = (HEIGHT - TOP - BOTTOM) / top;
    for (double v = 0; v <= top; v += tick) {
        double y = HEIGHT - BOTTOM - v * unit;
        snprintf(label, sizeof label, "%g", v);
        svg_line(b, x + LEFT, y, x + CHART, y, "#ccc");
        svg_text(b, x + LEFT - 6, y + 4, SVG_END, label);
    }
}

static void put_chart(struct buf *b, double x, const struct chart *c, const struct bench_result *rows, size_t n) {
    double top = top_of(c, n), unit = (HEIGHT - TOP - BOTTOM) / top, step = (CHART - LEFT) / (double)n, floor_y = HEIGHT - BOTTOM;
    char label[64];
    svg_text(b, x + LEFT, TOP - 8, SVG_START, c->title);
    put_axis(b, x, top);
    for (size_t i = 0; i < n; i++) {
        double at = x + LEFT + (double)i * step, middle = at + step / 2, limit_y = floor_y - c->limit[i] * unit;
        svg_rect(b, at + step * 0.15, floor_y - c->value[i] * unit, step * 0.7, c->value[i] * unit, "#3572b0");
        svg_line(b, at + step * 0.05, limit_y, at + step * 0.95, limit_y, "#c0392b");
        snprintf(label, sizeof label, "%.4g", c->value[i]);
        svg_text(b, middle, floor_y - c->value[i] * unit - 4, SVG_MIDDLE, label);
        snprintf(label, sizeof label, "%d x %d", rows[i].n_batch, rows[i].n_depth);
        svg_text(b, middle, floor_y + 14, SVG_MIDDLE, label);
    }
}

void bench_plot(struct buf *b, const char *title, const struct bench_result *rows, size_t n_rows) {
    struct chart prefill = {.title = "prefill, tokens/s"}, decode = {.title = "decode, tokens/s"};
    for (size_t i = 0; i < n_rows; i++) {
        prefill.value[i] = rows[i].prefill_tps.mean;
        decode.value[i] = rows[i].decode_tps.mean;
        prefill.limit[i] = rows[i].multiply_share > 0 ? prefill.value[i] / rows[i].multiply_share : 0;
        decode.limit[i] = rows[i].read_share > 0 ? decode.value[i] / rows[i].read_share : 0;
    }
    svg_begin(b, WIDTH, HEIGHT);
    svg_text(b, LEFT, 16, SVG_START, title);
    put_chart(b, 0, &prefill, rows, n_rows);
    put_chart(b, CHART + GAP, &decode, rows, n_rows);
    svg_text(b, LEFT, HEIGHT - 10, SVG_START, "below each bar: sequences x tokens before the measurement; red: the machine's measured limit of multiplying, of reading");
    svg_end(b);
}
