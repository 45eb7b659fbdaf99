/* ops_data.h -- random data and comparisons for the tests of the ops table.
 *
 * Every array is its own allocation of the exact size, so that AddressSanitizer sees a kernel that reads or writes one
 * element too many; floats start 4 bytes off any larger alignment, as rows in a model file may. */
#ifndef SLM_TESTS_OPS_DATA_H
#define SLM_TESTS_OPS_DATA_H

#include <math.h>

#include "base/cpu.h"
#include "base/util.h"
#include "compute/compute.h"
#include "test.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Allocations of the running test, freed by data_free. */
static void *data_blocks[4096];
static size_t n_data_blocks;

static inline void *data_bytes(size_t n, size_t offset) {
    assert_true(n_data_blocks < COUNT(data_blocks));
    uint8_t *p = malloc(n + offset);
    assert_non_null(p);
    data_blocks[n_data_blocks++] = p;
    return p + offset;
}

static inline void data_free(void) {
    while (n_data_blocks) free(data_blocks[--n_data_blocks]);
}

static inline float *data_floats(int64_t n) {
    return data_bytes((size_t)n * sizeof(float), sizeof(float));
}

static inline float *data_normal(struct rng *rng, int64_t n, float scale) {
    float *x = data_floats(n);
    for (int64_t i = 0; i < n; i++) x[i] = rng_normal(rng) * scale;
    return x;
}

/* Mostly normal numbers with zeros, subnormals and large magnitudes (up to `large`) strewn in. */
static inline float *data_extreme(struct rng *rng, int64_t n, float large) {
    static const float special[] = {0.0f, -0.0f, 1e-40f, -1e-45f, 1e-38f, 1.0f, -1.0f};
    float *x = data_normal(rng, n, 1);
    for (int64_t i = 0; i < n; i++) {
        uint64_t pick = rng_u64(rng) % 32;
        if (pick < COUNT(special)) x[i] = special[pick];
        if (pick == 30) x[i] = large * (float)(2 * rng_f64(rng) - 1);
        if (pick == 31) x[i] = rng_u64(rng) % 2 ? large : -large;
    }
    return x;
}

static inline float *data_copy(const float *x, int64_t n) {
    float *y = data_floats(n);
    if (n) memcpy(y, x, (size_t)n * sizeof *y);
    return y;
}

static inline uint8_t *data_random_bytes(struct rng *rng, size_t n, size_t offset) {
    uint8_t *b = data_bytes(n, offset);
    for (size_t i = 0; i < n; i++) b[i] = (uint8_t)rng_u64(rng);
    return b;
}

/* A block whose numbers are of moderate size, by trying: scales may stand anywhere in a block, or in pieces. */
static inline void data_fill_block(struct rng *rng, const struct dtype_desc *desc, uint8_t *block) {
    float x[256], peak;
    assert_true(desc->block_elems <= COUNT(x));
    do {
        for (uint32_t i = 0; i < desc->block_bytes; i++) block[i] = (uint8_t)rng_u64(rng);
        desc->to_f32(x, block, desc->block_elems);
        peak = 0;
        for (uint32_t i = 0; i < desc->block_elems; i++) peak = fmaxf(peak, isfinite(x[i]) ? fabsf(x[i]) : INFINITY);
    } while (peak > 1e3f);
}

/* n elements of a type: encoded normal numbers; where there is no encoder random blocks, or small whole numbers. */
static inline uint8_t *data_encoded(struct rng *rng, enum dtype type, int64_t n, size_t offset) {
    const struct dtype_desc *desc = dtype_get(type);
    uint64_t n_bytes;
    assert_true(dtype_row_bytes(type, (uint64_t)n, &n_bytes));
    uint8_t *data = data_bytes((size_t)n_bytes, offset);
    if (desc->from_f32) {
        desc->from_f32(data, data_normal(rng, n, 1), n, NULL);
        return data;
    }
    for (uint8_t *block = data; block < data + n_bytes; block += desc->block_bytes) {
        int64_t whole = (int64_t)(rng_u64(rng) % 201) - 100;
        if (desc->block_elems == 1)
            memcpy(block, &whole, desc->block_bytes);
        else
            data_fill_block(rng, desc, block);
    }
    return data;
}

static inline struct weight data_weight(struct rng *rng, enum dtype type, int64_t d_out, int64_t d_in, size_t offset) {
    uint64_t row_bytes;
    assert_true(dtype_row_bytes(type, (uint64_t)d_in, &row_bytes));
    return (struct weight){
        .data = data_encoded(rng, type, d_out * d_in, offset), .dtype = type, .d_out = d_out, .d_in = d_in, .row_bytes = (int64_t)row_bytes};
}

/* w with its panels as well, where its type and width have them. */
static inline struct weight data_packed(struct weight w) {
    if (!pack_fits(w.dtype, w.d_in)) return w;
    const struct pack_desc *p = pack_get(w.dtype);
    uint8_t *panels = data_bytes(pack_bytes(p, w.d_out, w.d_in) + 64, 0);
    panels += (64 - (uintptr_t)panels % 64) % 64;
    for (int64_t r = 0; r < w.d_out; r += PANEL_ROWS)
        pack_panel(p, panels + (size_t)(r / PANEL_ROWS) * pack_panel_bytes(p, w.d_in), w.data + r * w.row_bytes, w.row_bytes,
                   w.d_out - r < PANEL_ROWS ? w.d_out - r : PANEL_ROWS, w.d_in);
    w.panels = panels;
    return w;
}

static inline uint32_t bits_of(float f) {
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    return b;
}

/* Which payload a NaN carries is the processor's choice; everything else must match to the bit. */
static inline bool same_bits(float a, float b) {
    return bits_of(a) == bits_of(b) || (isnan(a) && isnan(b));
}

static inline void expect_same(const char *what, const float *a, const float *b, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (!same_bits(a[i], b[i]))
            fail_msg("%s: element %lld is %a, expected %a", what, (long long)i, (double)a[i], (double)b[i]);
    }
}

static inline void expect_near(const char *what, int64_t i, float got, float want, double tolerance) {
    if (isnan(got) && isnan(want)) return;
    if (got == want) return; /* infinities as well */
    double off = fabs((double)got - (double)want);
    if (!(off <= tolerance)) {
        fail_msg("%s: element %lld is %.9g, expected %.9g: off by %.3g, allowed %.3g", what, (long long)i, (double)got,
                 (double)want, off, tolerance);
    }
}

/* Keys and values of one head in shuffled pages of a pool; what lies in no position is not a number where the type has such. */
struct cache {
    struct attn_kv kv;
    uint8_t *pool;
    int32_t *ids;
    int64_t n_page, n_pos, d_head;
};

/* An empty one; k_scale widens some elements of keys, as models do. */
static inline struct cache cache_empty(enum kv_type type, int64_t n_pos, int64_t d_head) {
    struct cache c = {.n_page = (n_pos + KV_PAGE_TOK - 1) / KV_PAGE_TOK, .n_pos = n_pos, .d_head = d_head};
    size_t k_bytes = kv_page_k_bytes(type, d_head), v_bytes = kv_page_v_bytes(type, d_head);
    c.pool = data_bytes((k_bytes + v_bytes) * (size_t)c.n_page, 0);
    memset(c.pool, 0xff, (k_bytes + v_bytes) * (size_t)c.n_page);
    c.ids = data_bytes((size_t)c.n_page * sizeof *c.ids, 0);
    for (int64_t p = 0; p < c.n_page; p++) c.ids[p] = (int32_t)(c.n_page - 1 - p);
    c.kv = (struct attn_kv){.base = c.pool, .pages = c.ids, .page_bytes = k_bytes + v_bytes, .v_offset = k_bytes, .type = type};
    return c;
}

static inline void cache_put(const struct ops *o, const struct cache *c, int64_t pos, const float *k, const float *v) {
    int64_t p = pos / KV_PAGE_TOK;
    o->kv_store((uint8_t *)(uintptr_t)attn_k_page(&c->kv, p), (uint8_t *)(uintptr_t)attn_v_page(&c->kv, p), c->kv.type,
                pos % KV_PAGE_TOK, k, v, c->d_head);
}

/* Normal numbers; now and then a row of zeros, and values of another size. */
static inline struct cache cache_make(struct rng *rng, enum kv_type type, int64_t n_pos, int64_t d_head) {
    struct cache c = cache_empty(type, n_pos, d_head);
    struct ops ref;
    assert_int_equal(ops_build(&ref, "ref", NULL), SLM_OK);
    for (int64_t pos = 0; pos < n_pos; pos++) {
        float v_scale = rng_u64(rng) % 8 ? 1 : 0.01f;
        float *k = data_normal(rng, d_head, 1), *v = data_normal(rng, d_head, rng_u64(rng) % 16 ? v_scale : 0);
        cache_put(&ref, &c, pos, k, v);
        free((uint8_t *)v - sizeof(float)); /* thousands of rows: not left to data_free */
        free((uint8_t *)k - sizeof(float));
        n_data_blocks -= 2;
    }
    return c;
}

/* Element i of the key or value of a position, in the basis it is kept in. */
static inline double cache_at(const struct cache *c, bool is_v, int64_t pos, int64_t i) {
    float row[D_HEAD_MAX];
    int64_t p = pos / KV_PAGE_TOK;
    if (is_v) kv_page_read_v(row, attn_v_page(&c->kv, p), c->kv.type, pos % KV_PAGE_TOK, c->d_head);
    else kv_page_read_k(row, attn_k_page(&c->kv, p), c->kv.type, pos % KV_PAGE_TOK, c->d_head);
    return (double)row[i];
}

#endif
