/* run_plot.c -- the picture of a run, from its log: loss of the steps, of the evaluations, the learning rate. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/file.h"
#include "base/svg.h"
#include "train/run.h"

enum { WIDTH = 720, HEIGHT = 360, TOP = 36, BOTTOM = 40, LEFT = 56, RIGHT = 24 };
#define LOG_BYTES_MAX ((size_t)256 << 20)

struct series {
    double x[2048], y[2048];
    size_t n, every, seen; /* when full, every second point goes and only every second comes */
};

static void series_add(struct series *s, double x, double y) {
    if (s->every == 0) s->every = 1;
    if (!isfinite(y) || s->seen++ % s->every) return;
    if (s->n == sizeof s->x / sizeof s->x[0]) {
        for (size_t i = 0; i < s->n / 2; i++) {
            s->x[i] = s->x[2 * i];
            s->y[i] = s->y[2 * i];
        }
        s->n /= 2;
        s->every *= 2;
    }
    s->x[s->n] = x;
    s->y[s->n++] = y;
}

static void read_log(const struct buf *log, struct series *loss, struct series *eval) {
    for (char *line = log->data, *end; line && (end = strchr(line, '\n')) != NULL; line = end + 1) {
        json_t *row = json_loadb(line, (size_t)(end - line), 0, NULL);
        const json_t *l = json_object_get(row, "loss"), *e = json_object_get(row, "eval_loss");
        double step = (double)json_integer_value(json_object_get(row, "step"));
        if (l) series_add(loss, step, json_number_value(l));
        if (e) series_add(eval, step, json_number_value(e));
        json_decref(row);
    }
}

struct frame {
    double x0, x1, y0, y1;
};
static void widen(struct frame *f, const struct series *s) {
    for (size_t i = 0; i < s->n; i++) {
        f->x1 = fmax(f->x1, s->x[i]);
        f->y0 = fmin(f->y0, s->y[i]);
        f->y1 = fmax(f->y1, s->y[i]);
    }
}
static double to_x(const struct frame *f, double x) { return LEFT + (WIDTH - LEFT - RIGHT) * (x - f->x0) / (f->x1 - f->x0); }
static double to_y(const struct frame *f, double y) { return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - f->y0) / (f->y1 - f->y0); }

static void put_series(struct buf *b, const struct frame *f, const struct series *s, const char *colour, bool dots) {
    for (size_t i = 0; i + 1 < s->n; i++) svg_line(b, to_x(f, s->x[i]), to_y(f, s->y[i]), to_x(f, s->x[i + 1]), to_y(f, s->y[i + 1]), colour);
    for (size_t i = 0; dots && i < s->n; i++) svg_rect(b, to_x(f, s->x[i]) - 2, to_y(f, s->y[i]) - 2, 4, 4, colour);
}

static void put_axes(struct buf *b, const struct frame *f) {
    char label[32];
    double tick = svg_tick(f->y1 - f->y0, 6);
    for (double v = ceil(f->y0 / tick) * tick; v <= f->y1; v += tick) {
        svg_line(b, LEFT, to_y(f, v), WIDTH - RIGHT, to_y(f, v), "#dddddd");
        snprintf(label, sizeof label, "%g", v);
        svg_text(b, LEFT - 6, to_y(f, v) + 4, SVG_END, label);
    }
    tick = svg_tick(f->x1 - f->x0, 6);
    for (double v = ceil(f->x0 / tick) * tick; v <= f->x1; v += tick) {
        snprintf(label, sizeof label, "%g", v);
        svg_text(b, to_x(f, v), HEIGHT - BOTTOM + 18, SVG_MIDDLE, label);
    }
    svg_text(b, WIDTH / 2.0, HEIGHT - 6, SVG_MIDDLE, "step");
}

slm_status run_plot(const char *log_path, const char *svg_path, slm_err *err) {
    slm_status st = SLM_OK;
    struct buf log, svg;
    struct file_out out = {0};
    struct series *loss = calloc(1, sizeof *loss), *eval = calloc(1, sizeof *eval);
    buf_init(&log, LOG_BYTES_MAX);
    buf_init(&svg, 8 << 20);
    if (!loss || !eval) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "picture of the run: out of memory");
    TRY(file_read(&log, log_path, err));
    read_log(&log, loss, eval);
    struct frame f = {1, 2, INFINITY, -INFINITY};
    widen(&f, loss);
    widen(&f, eval);
    if (!(f.y1 > f.y0)) f = (struct frame){f.x0, f.x1, 0, 1};
    svg_begin(&svg, WIDTH, HEIGHT);
    put_axes(&svg, &f);
    put_series(&svg, &f, loss, "#4477aa", false);
    put_series(&svg, &f, eval, "#cc6644", true);
    svg_text(&svg, LEFT, 20, SVG_START, eval->n ? "loss of the steps (blue) and of evaluations (red), nats" : "loss of the steps, nats");
    svg_end(&svg);
    TRY(buf_status(&svg, "picture of the run", err));
    TRY(file_out_open(&out, svg_path, err));
    fwrite(svg.data, 1, svg.len, out.stream);
    TRY(file_out_commit(&out, err));
out:
    file_out_discard(&out);
    buf_fini(&log);
    buf_fini(&svg);
    free(loss);
    free(eval);
    return st;
}
