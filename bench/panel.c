/* panel.c -- products of packed panels on one thread: whole-number operations a second beside the instruction's own rate, for every type and
 * number of tokens, and how fast matrices are packed. Time is the thread's own CPU time, so that others on the machine disturb less.
 *
 * Usage: bench_panel [ISA [TYPE]]. One CSV line each: what,isa,shape,value,unit,share. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "base/util.h"
#include "compute/compute.h"

enum { D_IN = 2048, D_OUT = 1024, TOKS = 512, ROUNDS = 5 };
#define ROUND_S 0.05

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *bytes(size_t n) {
    void *p;
    if (mem_alloc(&p, n, 1, "operands", NULL) != SLM_OK) {
        fprintf(stderr, "error: memory \"%zu bytes\": none left\n", n);
        exit(4);
    }
    return p;
}

/* Calls a second, the best round. */
static double rate(void (*fn)(void *ctx), void *ctx) {
    double best = 0;
    fn(ctx);
    for (int i = 0; i < ROUNDS; i++) {
        int64_t n = 0;
        double begin = cpu_s(), now;
        do {
            fn(ctx);
            n++;
            now = cpu_s();
        } while (now - begin < ROUND_S);
        if ((double)n / (now - begin) > best) best = (double)n / (now - begin);
    }
    return best;
}

struct call {
    struct compute *c;
    struct weight w;
    float *x, *y;
    int64_t n_tok;
    struct panel_buf *buf;
    uint8_t *panels;
};

static void call_matmul(void *ctx) {
    struct call *m = ctx;
    compute_matmul(m->c, m->y, D_OUT, &m->w, m->x, D_IN, m->n_tok);
}

static void call_unpack(void *ctx) {
    struct call *m = ctx;
    struct panel p;
    const struct pack_desc *desc = pack_get(m->w.dtype);
    for (int i = 0; i < 8; i++) m->c->ops.panel_unpack(&p, m->buf, desc, m->panels + (size_t)i * pack_block_bytes(desc, PANEL_K), PANEL_K);
}

/* One block in the first-level cache, three tokens: what the tile itself does. */
static void call_dot(void *ctx) {
    struct call *m = ctx;
    struct panel p = {.desc = pack_get(m->w.dtype), .codes = m->buf->codes, .scale = m->buf->scale, .min = m->buf->min, .n_k = PANEL_K};
    struct acts a = {(const int8_t *)m->c->acts, (const struct act_group *)(const void *)m->c->acts, PANEL_K, PANEL_K / ACT_GROUP};
    for (int i = 0; i < 64; i++) m->c->ops.panel_dot(m->y, PANEL_ROWS, &p, &a, m->n_tok, false);
}

static void call_pack(void *ctx) {
    struct call *m = ctx;
    const struct pack_desc *p = pack_get(m->w.dtype);
    for (int64_t r = 0; r < D_OUT; r += PANEL_ROWS)
        pack_panel(p, m->panels + (size_t)(r / PANEL_ROWS) * pack_panel_bytes(p, D_IN), m->w.data + r * m->w.row_bytes, m->w.row_bytes, PANEL_ROWS, D_IN);
}

static void bench_type(struct compute *c, const char *isa, enum dtype type) {
    static const int64_t n_toks[] = {1, 2, 3, 4, 6, 8, 16, 64, TOKS};
    const struct pack_desc *p = pack_get(type);
    const char *name = dtype_get(type)->name;
    uint64_t row_bytes;
    if (!dtype_row_bytes(type, D_IN, &row_bytes)) return;
    size_t n_bytes = (size_t)row_bytes * D_OUT;
    struct call m = {.c = c, .buf = bytes(sizeof *m.buf), .panels = bytes(pack_bytes(p, D_OUT, D_IN)), .x = bytes(TOKS * D_IN * sizeof(float)),
                     .y = bytes(TOKS * D_OUT * sizeof(float))};
    uint8_t *data = bytes(n_bytes);
    for (size_t i = 0; i < n_bytes; i++) data[i] = (uint8_t)(i * 7 % 61);
    for (int64_t i = 0; i < TOKS * D_IN; i++) m.x[i] = (float)(i % 13) * 0.125f - 0.75f;
    m.w = (struct weight){.data = data, .dtype = type, .d_out = D_OUT, .d_in = D_IN, .row_bytes = (int64_t)row_bytes};
    printf("pack,%s,%s,%.2f,GB/s,\n", isa, name, rate(call_pack, &m) * (double)n_bytes * 1e-9);
    m.w.panels = m.panels;
    double per_call = 8 * (double)pack_block_bytes(p, PANEL_K);
    printf("unpack,%s,%s,%.2f,GB/s,\n", isa, name, rate(call_unpack, &m) * per_call * 1e-9);
    for (m.n_tok = 1; m.n_tok <= 12; m.n_tok += m.n_tok < 3 ? 1 : 9)
        printf("dot,%s,%s %lld,%.1f,GOP/s,\n", isa, name, (long long)m.n_tok, rate(call_dot, &m) * 64 * 2 * PANEL_ROWS * PANEL_K * (double)m.n_tok * 1e-9);
    for (size_t i = 0; i < sizeof n_toks / sizeof *n_toks; i++) {
        m.n_tok = n_toks[i];
        double calls = rate(call_matmul, &m);
        printf("matmul,%s,%s %lld,%.1f,GOP/s,(%.2f GB/s of weights)\n", isa, name, (long long)m.n_tok, calls * 2.0 * D_IN * D_OUT * (double)m.n_tok * 1e-9,
               calls * (double)n_bytes * 1e-9);
    }
    free(m.buf);
    free(m.panels);
    free(m.x);
    free(m.y);
    free(data);
}

int main(int argc, char **argv) {
    size_t n;
    const struct ops_isa *isa = ops_isa_rows(&n);
    printf("what,isa,shape,value,unit,share\n");
    for (size_t i = 1; i < n; i++) {
        struct compute c;
        if (argc > 1 && strcmp(argv[1], isa[i].name) != 0) continue;
        if (compute_init(&c, 1, D_IN, TOKS, NULL) != SLM_OK) return 1;
        if (ops_build(&c.ops, isa[i].name, NULL) == SLM_OK) {
            for (int t = 0; t < DTYPE_COUNT; t++)
                if (pack_get((enum dtype)t) && (argc < 3 || strcmp(argv[2], dtype_get((enum dtype)t)->name) == 0)) bench_type(&c, isa[i].name, (enum dtype)t);
        }
        compute_fini(&c);
    }
    return 0;
}
