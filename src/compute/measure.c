/* measure.c -- the machine's limits as a program meets them: bytes read and multiply-adds a second, all threads at once.
 *
 * The best round counts: others may use the machine, and a limit is what it can do. Data sheets are not asked, since a
 * virtual machine's share and a quota are nowhere written. */
#include "compute/measure.h"

#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "compute/pack.h"

enum {
    ROUNDS = 5,
    RUN_BYTES = 1 << 20,                     /* one item of reading */
    READ_BYTES_MIN = 128 << 20,
    READ_BYTES_MAX = 1 << 30,
    N_TOK = 6, N_ROW = 8, D_IN = 512,        /* 28 KiB of operands: within a first-level cache of 32 */
    N_TOK_INT8 = 8,                          /* a panel block has 16 KiB of codes */
    CALLS_PER_ITEM = 200, ITEMS_PER_THREAD = 16,
};

struct reading {
    const uint64_t *words;
    volatile uint64_t sink; /* so that the sums are needed */
};

/* Eight sums, so that additions do not wait for each other. */
static void read_items(void *ctx, int64_t begin, int64_t end, int i_thread) {
    struct reading *r = ctx;
    const uint64_t *p = r->words + begin * (RUN_BYTES / 8), *stop = r->words + end * (RUN_BYTES / 8);
    uint64_t sum[8] = {0};
    (void)i_thread;
    for (; p < stop; p += 8)
        for (int i = 0; i < 8; i++) sum[i] += p[i];
    for (int i = 1; i < 8; i++) sum[0] += sum[i];
    if (sum[0] == 1) r->sink = sum[0]; /* memory is zeros: never, but the compiler cannot know */
}

static slm_status measure_read(struct compute *c, double *bytes_per_s, slm_err *err) {
    struct cpu_info cpu;
    struct reading r = {0};
    void *p;
    cpu_info_get(&cpu);
    uint64_t bytes = cpu.l3_bytes * 4;
    if (bytes < READ_BYTES_MIN) bytes = READ_BYTES_MIN;
    if (bytes > READ_BYTES_MAX) bytes = READ_BYTES_MAX;
    while (bytes > RUN_BYTES && cpu.mem_available_bytes && bytes > cpu.mem_available_bytes / 4) bytes /= 2;
    bytes -= bytes % RUN_BYTES;
    slm_status st = mem_alloc(&p, (size_t)bytes, 1, "memory to read", err);
    if (st != SLM_OK) return st;
    r.words = p;
    for (int i = 0; i < ROUNDS; i++) {
        double t0 = time_now_s();
        pool_run(c->pool, (int64_t)(bytes / RUN_BYTES), 1, read_items, &r);
        double rate = (double)bytes / (time_now_s() - t0);
        if (rate > *bytes_per_s) *bytes_per_s = rate;
    }
    free(p);
    return SLM_OK;
}

struct multiplying {
    const struct ops *ops;
    uint8_t *operands; /* operand_bytes for each thread, a multiple of a cache line */
    size_t operand_bytes;
};

struct f32_operands {
    float x[N_TOK * D_IN], w[N_ROW * D_IN], y[N_TOK * N_ROW];
};

static void f32_items(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct multiplying *m = ctx;
    struct f32_operands *o = (struct f32_operands *)(void *)(m->operands + (size_t)i_thread * m->operand_bytes);
    for (int64_t i = begin; i < end; i++)
        for (int k = 0; k < CALLS_PER_ITEM; k++) m->ops->matmul_f32(o->y, N_ROW, o->w, D_IN, o->x, D_IN, N_TOK, N_ROW, D_IN);
}

struct int8_operands {
    struct panel_buf buf;
    uint8_t packed[2 * PANEL_K * PANEL_ROWS]; /* zeros are a block of any type */
    int8_t q[N_TOK_INT8 * PANEL_K];
    struct act_group groups[N_TOK_INT8 * PANEL_K / ACT_GROUP];
    float y[N_TOK_INT8 * PANEL_ROWS];
};

/* q8_0 has the plainest codes: unpacking, done once, is no part of what is measured. */
static void int8_items(void *ctx, int64_t begin, int64_t end, int i_thread) {
    const struct multiplying *m = ctx;
    struct int8_operands *o = (struct int8_operands *)(void *)(m->operands + (size_t)i_thread * m->operand_bytes);
    struct acts acts = {o->q, o->groups, PANEL_K, PANEL_K / ACT_GROUP};
    struct panel panel;
    m->ops->panel_unpack(&panel, &o->buf, pack_get(DTYPE_Q8_0), o->packed, PANEL_K);
    for (int64_t i = begin; i < end; i++)
        for (int k = 0; k < CALLS_PER_ITEM; k++) m->ops->panel_dot(o->y, PANEL_ROWS, &panel, &acts, N_TOK_INT8, k == 0);
}

/* ops_per_call: of one of the CALLS_PER_ITEM. */
static slm_status measure_multiply(struct compute *c, pool_fn items, size_t operand_bytes, double ops_per_call, double *per_s, slm_err *err) {
    int n_threads = pool_n_threads(c->pool);
    struct multiplying m = {.ops = &c->ops, .operand_bytes = (operand_bytes + 63) / 64 * 64};
    void *p;
    slm_status st = mem_alloc(&p, (size_t)n_threads, m.operand_bytes, "operands", err);
    if (st != SLM_OK) return st;
    m.operands = p;
    int64_t n_items = (int64_t)n_threads * ITEMS_PER_THREAD;
    for (int i = 0; i < ROUNDS; i++) {
        double t0 = time_now_s();
        pool_run(c->pool, n_items, 1, items, &m);
        double rate = ops_per_call * CALLS_PER_ITEM * (double)n_items / (time_now_s() - t0);
        if (rate > *per_s) *per_s = rate;
    }
    free(p);
    return SLM_OK;
}

slm_status measure_machine(struct compute *c, struct measured *out, slm_err *err) {
    memset(out, 0, sizeof *out);
    slm_status st = measure_read(c, &out->read_bytes_per_s, err);
    if (st == SLM_OK) st = measure_multiply(c, f32_items, sizeof(struct f32_operands), 2.0 * N_TOK * N_ROW * D_IN, &out->f32_flop_per_s, err);
    if (st == SLM_OK)
        st = measure_multiply(c, int8_items, sizeof(struct int8_operands), 2.0 * N_TOK_INT8 * PANEL_ROWS * PANEL_K, &out->int8_op_per_s, err);
    if (st != SLM_OK) memset(out, 0, sizeof *out);
    return st;
}
