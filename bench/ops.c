/* ops.c -- how fast each ISA's slots are, on one thread, beside what the CPU can do.
 *
 * The peak is measured, not read from a data sheet: the best matmul_f32 on operands that fit the first-level cache is
 * memory-free multiply-adds in practice, so shares of it tell what blocking and decoding cost. Output: one CSV line for
 * each measurement, `what,isa,shape,value,unit,share`, so that two runs can be compared line by line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cpu.h"
#include "compute/compute.h"

#define MEASURE_S 0.15 /* of each of the ROUNDS, best of which counts */
#define ROUNDS 3

static float *floats(int64_t n) {
    float *p = aligned_alloc(64, ((size_t)n * sizeof *p + 63) / 64 * 64);
    if (!p) {
        fprintf(stderr, "error: memory \"%lld floats\": none left\n", (long long)n);
        exit(4);
    }
    for (int64_t i = 0; i < n; i++) p[i] = (float)(i % 13) * 0.125f - 0.75f;
    return p;
}

/* Seconds of processor time of this thread: others may use the machine. */
static double cpu_now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Calls of fn(ctx) per second, the best round. */
static double rate(void (*fn)(void *ctx), void *ctx) {
    double best = 0;
    fn(ctx);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t n = 0;
        double begin = cpu_now_s(), now;
        do {
            fn(ctx);
            n++;
            now = cpu_now_s();
        } while (now - begin < MEASURE_S);
        if ((double)n / (now - begin) > best) best = (double)n / (now - begin);
    }
    return best;
}

struct matmul_call {
    const struct ops *o;
    float *y, *w, *x;
    int64_t n_tok, n_row, d;
    int repeat;
};

static void call_matmul(void *ctx) {
    struct matmul_call *m = ctx;
    for (int i = 0; i < m->repeat; i++)
        m->o->matmul_f32(m->y, m->n_row, m->w, m->d, m->x, m->d, m->n_tok, m->n_row, m->d);
}

static double matmul_gflops(const struct ops *o, int64_t n_tok, int64_t n_row, int64_t d) {
    struct matmul_call m = {o, floats(n_tok * n_row), floats(n_row * d), floats(n_tok * d), n_tok, n_row, d, 1};
    double flop = 2 * (double)n_tok * (double)n_row * (double)d;
    m.repeat = 1 + (int)(1e6 / flop);
    double gflops = rate(call_matmul, &m) * flop * m.repeat * 1e-9;
    free(m.y);
    free(m.w);
    free(m.x);
    return gflops;
}

static void bench_matmul(const struct ops *o, const char *isa) {
    static const int64_t shapes[][3] = {{1, 32, 1024},   {2, 32, 1024},   {4, 32, 1024},   {8, 32, 1024},
                                        {32, 32, 288},   {32, 32, 1024},  {32, 32, 2048},  {32, 16, 4096},
                                        {128, 32, 1024}, {128, 32, 2048}, {512, 64, 1024}, {512, 16, 4096},
                                        {512, 8, 11008}};
    double peak = matmul_gflops(o, 6, 4, 1024);
    printf("matmul_f32,%s,in L1,%.1f,GFLOP/s,1.00\n", isa, peak);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        double got = matmul_gflops(o, shapes[s][0], shapes[s][1], shapes[s][2]);
        printf("matmul_f32,%s,%lldx%lldx%lld,%.1f,GFLOP/s,%.2f\n", isa, (long long)shapes[s][0],
               (long long)shapes[s][1], (long long)shapes[s][2], got, got / peak);
    }
}

struct decode_call {
    const struct ops *o;
    enum dtype type;
    float *dst;
    const void *src;
    int64_t n;
};

static void call_decode(void *ctx) {
    struct decode_call *c = ctx;
    for (int i = 0; i < 16; i++) c->o->to_f32[c->type](c->dst, c->src, c->n);
}

/* Rows that stay in the second-level cache with what they decode to. */
static void bench_decode(const struct ops *o, const char *isa) {
    enum { N = 32 * 1024 };
    float *dst = floats(N), *src = floats(2 * N); /* the widest element has eight bytes */
    for (int t = 0; t < DTYPE_COUNT; t++) {
        const struct dtype_desc *desc = dtype_get((enum dtype)t);
        struct decode_call c = {o, (enum dtype)t, dst, src, N};
        double elems = rate(call_decode, &c) * 16 * N;
        double bytes = elems / desc->block_elems * desc->block_bytes;
        printf("to_f32,%s,%s,%.2f,GB/s read (%.2f G elements/s),\n", isa, desc->name, bytes * 1e-9, elems * 1e-9);
    }
    free(dst);
    free(src);
}

struct row_call {
    const struct ops *o;
    float *a, *b;
    int64_t n;
};

static void call_rms_norm(void *ctx) {
    struct row_call *c = ctx;
    for (int i = 0; i < 64; i++) c->o->rms_norm(c->a, c->b, c->b, 1, c->n, 1e-5f);
}

static void call_silu(void *ctx) {
    struct row_call *c = ctx;
    for (int i = 0; i < 64; i++) c->o->silu_mul(c->a, c->b, c->n);
}

static void call_softmax(void *ctx) {
    struct row_call *c = ctx;
    for (int i = 0; i < 64; i++) c->o->softmax(c->a, c->n);
}

static void bench_rows(const struct ops *o, const char *isa) {
    struct row_call c = {o, floats(4096), floats(4096), 4096};
    printf("rms_norm,%s,4096,%.2f,G elements/s,\n", isa, rate(call_rms_norm, &c) * 64 * 4096 * 1e-9);
    printf("silu_mul,%s,4096,%.2f,G elements/s,\n", isa, rate(call_silu, &c) * 64 * 4096 * 1e-9);
    printf("softmax,%s,4096,%.2f,G elements/s,\n", isa, rate(call_softmax, &c) * 64 * 4096 * 1e-9);
    free(c.a);
    free(c.b);
}

struct attn_call {
    const struct ops *o;
    struct attn_row rows[64];
    struct attn_kv kv;
    int64_t n_row, d;
};

static void call_attention(void *ctx) {
    struct attn_call *c = ctx;
    c->o->attention(c->rows, c->n_row, &c->kv, c->d, &(struct attn_params){.scale = 0.125f});
}

/* A block of a prompt (16 tokens of 4 query heads) and a step of decoding (4 heads), at a depth of 8192. */
static void bench_attention(const struct ops *o, const char *isa) {
    enum { N_POS = 8192, N_PAGE = N_POS / KV_PAGE_TOK };
    static const int64_t widths[] = {64, 128};
    for (int s = 0; s < 2 * KV_TYPE_COUNT; s++) {
        enum kv_type type = (enum kv_type)(s / 2);
        int64_t d = widths[s % 2];
        size_t k_bytes = kv_page_k_bytes(type, d), v_bytes = kv_page_v_bytes(type, d);
        float *pool = floats((int64_t)(k_bytes + v_bytes) / 4 * N_PAGE), *q = floats(64 * d + N_POS), *out = floats(64 * d);
        int32_t pages[N_PAGE];
        struct attn_call c = {.o = o, .d = d};
        c.kv = (struct attn_kv){(const uint8_t *)pool, pages, k_bytes + v_bytes, 0, k_bytes, type};
        for (int i = 0; i < N_PAGE; i++) pages[i] = i;
        for (int64_t pos = 0; pos < N_POS; pos++) {
            uint8_t *page = (uint8_t *)pool + (size_t)(pos / KV_PAGE_TOK) * c.kv.page_bytes;
            o->kv_store(page, page + k_bytes, type, pos % KV_PAGE_TOK, q + pos % 1024, q + pos % 1000, d);
        }
        for (int r = 0; r < 64; r++) c.rows[r] = (struct attn_row){q + r * d, out + r * d, 0, N_POS, NULL};
        for (c.n_row = 64; c.n_row >= 4; c.n_row -= 60) {
            double gflops = rate(call_attention, &c) * (double)c.n_row * 4 * (double)(N_POS * d) * 1e-9;
            printf("attention,%s,%dx%dx%d %s,%.1f,GOP/s,\n", isa, (int)c.n_row, N_POS, (int)d, kv_type_get(type)->name, gflops);
        }
        free(pool);
        free(q);
        free(out);
    }
}

int main(int argc, char **argv) {
    size_t n;
    const struct ops_isa *isa = ops_isa_rows(&n);
    printf("what,isa,shape,value,unit,share\n");
    for (size_t i = 0; i < n; i++) {
        struct ops o;
        if (argc > 1 && strcmp(argv[1], isa[i].name) != 0) continue;
        if (ops_build(&o, isa[i].name, NULL) != SLM_OK) continue;
        bench_matmul(&o, isa[i].name);
        bench_decode(&o, isa[i].name);
        bench_rows(&o, isa[i].name);
        bench_attention(&o, isa[i].name);
    }
    return 0;
}
