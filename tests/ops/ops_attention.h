/* ops_attention.h -- checks of the cache's writer and of attention against ref, for tests/ops. */
#ifndef SLM_TESTS_OPS_ATTENTION_H
#define SLM_TESTS_OPS_ATTENTION_H

#include "ops_data.h"

/* One rounding of a float, relative. */
#define EPS 6.0e-8

static const float attn_sinks[] = {0.5f, 6, -40};

struct attn_shape {
    int64_t n_row, n_pos, d_head;
    float q_scale, softcap;
};
static const struct attn_shape attn_shapes[] = {
    {1, 1, 64, 1, 0},   {4, 2, 16, 1, 0},    {5, 63, 64, 1, 30},  {3, 64, 80, 1, 0},  {2, 65, 128, 1, 0}, {7, 130, 100, 1, 0},
    {1, 200, 7, 1, 0},  {8, 257, 64, 1, 20}, {4, 300, 32, 1, 0},  {6, 100, 1, 1, 0},  {4, 150, 96, 40, 0}, {3, 90, 257, 5, 0},
    {9, 700, 64, 1, 0}, {2, 513, 36, 3, 5},  {70, 70, 64, 1, 0},  {3, 1100, 12, 1, 0},
};

/* Rows with ranges of their own, some shared with the row before, some empty. */
static inline struct attn_row *attn_rows_make(struct rng *rng, const struct attn_shape *shape, float *q, float *out) {
    struct attn_row *rows = data_bytes((size_t)shape->n_row * sizeof *rows, 0);
    for (int64_t r = 0; r < shape->n_row; r++) {
        int32_t end = (int32_t)(shape->n_pos - (int64_t)(rng_u64(rng) % 3) * (r % 2));
        int32_t first = rng_u64(rng) % 4 ? 0 : (int32_t)(rng_u64(rng) % (uint64_t)shape->n_pos);
        rows[r] = (struct attn_row){q + r * shape->d_head, out + r * shape->d_head, first, end < first ? first : end, r % 4 == 1 ? &attn_sinks[r % 3] : NULL};
        if (r % 3 == 2) {
            rows[r].pos_first = rows[r - 1].pos_first;
            rows[r].pos_end = rows[r - 1].pos_end;
        }
    }
    return rows;
}

/* What a row's result may be off. Scores differ by roundings of their sums, over q8 and q4 (exact sums) of their products;
 * there a weight may also round to the next of its 255 levels: by a share of the largest value for each, of either sign. */
static inline double attn_tolerance(const struct cache *cache, const struct attn_row *row, double scale) {
    double score_size = 0, v_max = 0;
    int64_t n_pos = row->pos_end - row->pos_first, d = cache->d_head;
    const bool rounded = kv_type_get(cache->kv.type)->is_rotated;
    for (int64_t pos = row->pos_first; pos < row->pos_end; pos++) {
        double size = 0, v2 = 0;
        for (int64_t i = 0; i < d; i++) {
            double v = cache_at(cache, true, pos, i);
            size += fabs((double)row->q[i] * cache_at(cache, false, pos, i)) * scale;
            v2 += v * v;
        }
        score_size = fmax(score_size, size);
        v_max = fmax(v_max, sqrt(v2)); /* as a norm: the rotated basis has larger elements */
    }
    double score_error = ((double)d + 8) * EPS * score_size;
    return (2 * score_error + ((double)n_pos + 16) * EPS + (rounded ? 2.0 / 255 / sqrt((double)d) : 0)) * v_max;
}

static inline void check_attention(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    (void)i_slot;
    for (size_t s = 0; s < KV_TYPE_COUNT * COUNT(attn_shapes); s++) {
        const struct attn_shape *shape = &attn_shapes[s / KV_TYPE_COUNT];
        int64_t n_q = shape->n_row * shape->d_head;
        struct cache cache = cache_make(rng, (enum kv_type)(s % KV_TYPE_COUNT), shape->n_pos, shape->d_head);
        float *q = data_normal(rng, n_q, shape->q_scale), *got = data_floats(n_q), *want = data_floats(n_q);
        struct attn_params params = {1 / sqrtf((float)shape->d_head), shape->softcap};
        struct attn_row *rows = attn_rows_make(rng, shape, q, got);
        fast->attention(rows, shape->n_row, &cache.kv, shape->d_head, &params);
        for (int64_t r = 0; r < shape->n_row; r++) rows[r].out = want + r * shape->d_head;
        ref->attention(rows, shape->n_row, &cache.kv, shape->d_head, &params);
        for (int64_t r = 0; r < shape->n_row; r++) {
            double tolerance = attn_tolerance(&cache, &rows[r], (double)params.scale);
            for (int64_t i = r * shape->d_head; i < (r + 1) * shape->d_head; i++)
                expect_near(kv_type_get(cache.kv.type)->name, i, got[i], want[i], tolerance);
        }
        data_free();
    }
}

/* Every span of a range by attention_part, then attention_join. */
static inline void attn_by_parts(const struct ops *o, const struct attn_row *row, const struct cache *cache,
                                 const struct attn_params *params) {
    int64_t d = cache->d_head, n = 0;
    float *parts = data_floats((row->pos_end / ATTN_SPAN + 2) * (d + ATTN_PART_EXTRA));
    for (int32_t pos = row->pos_first; pos < row->pos_end; n++) {
        int32_t end = (pos / ATTN_SPAN + 1) * ATTN_SPAN < row->pos_end ? (pos / ATTN_SPAN + 1) * ATTN_SPAN : row->pos_end;
        struct attn_row part = {row->q, parts + n * (d + ATTN_PART_EXTRA), pos, end, NULL};
        o->attention_part(&part, 1, &cache->kv, d, params);
        pos = end;
    }
    o->attention_join(row->out, parts, n, row->sink, cache->kv.type, d);
}

/* Parts that are joined are what attention gives, to the bit, and attention was compared with ref. */
static inline void check_attention_part(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    (void)i_slot;
    (void)ref;
    for (size_t s = 0; s < KV_TYPE_COUNT * COUNT(attn_shapes); s++) {
        const struct attn_shape *shape = &attn_shapes[s / KV_TYPE_COUNT];
        int64_t n_q = shape->n_row * shape->d_head;
        struct cache cache = cache_make(rng, (enum kv_type)(s % KV_TYPE_COUNT), shape->n_pos, shape->d_head);
        float *q = data_normal(rng, n_q, shape->q_scale), *got = data_floats(n_q), *want = data_floats(n_q);
        struct attn_params params = {1 / sqrtf((float)shape->d_head), shape->softcap};
        struct attn_row *rows = attn_rows_make(rng, shape, q, want);
        fast->attention(rows, shape->n_row, &cache.kv, shape->d_head, &params);
        for (int64_t r = 0; r < shape->n_row; r++) {
            rows[r].out = got + r * shape->d_head;
            attn_by_parts(fast, &rows[r], &cache, &params);
        }
        expect_same("attention by parts", got, want, n_q);
        data_free();
    }
}

static inline void check_attention_join(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    (void)i_slot;
    for (int64_t d = 1; d <= 70; d += 3) {
        int64_t n_part = d % 5, size = d + ATTN_PART_EXTRA;
        enum kv_type type = (enum kv_type)(d % KV_TYPE_COUNT);
        float *parts = data_normal(rng, n_part * size, 1), *got = data_floats(d), *want = data_floats(d);
        for (int64_t p = 0; p < n_part; p++) parts[p * size + d + 1] = 1 + fabsf(parts[p * size + d + 1]);
        const float *sink = d % 2 ? &attn_sinks[d % 3] : NULL;
        fast->attention_join(got, parts, n_part, sink, type, d);
        ref->attention_join(want, parts, n_part, sink, type, d);
        for (int64_t i = 0; i < d; i++) expect_near("attention_join", i, got[i], want[i], 4 * EPS * (double)(n_part + 8) * 4);
        data_free();
    }
}

/* Two tokens of one page, all types: every byte as ref writes it, and no other byte. */
static inline void check_kv_store(const struct ops *ref, const struct ops *fast, int i_slot, struct rng *rng) {
    static const int64_t widths[] = {1, 2, 3, 7, 8, 12, 16, 17, 33, 64, 80, 100, 128, 257};
    static const float sizes[] = {1, 7e4f, 1e-6f, 1e-30f, 1e-44f, 3e38f};
    (void)i_slot;
    for (size_t s = 0; s < COUNT(widths) * COUNT(sizes) * KV_TYPE_COUNT; s++) {
        enum kv_type type = (enum kv_type)(s % KV_TYPE_COUNT);
        float size = sizes[s / KV_TYPE_COUNT % COUNT(sizes)];
        int64_t d = widths[s / KV_TYPE_COUNT / COUNT(sizes)];
        size_t k_bytes = kv_page_k_bytes(type, d), v_bytes = kv_page_v_bytes(type, d);
        uint8_t *k[2], *v[2];
        for (int i = 0; i < 2; i++) {
            memset(k[i] = data_bytes(k_bytes, 0), 0x5a, k_bytes);
            memset(v[i] = data_bytes(v_bytes, 0), 0x5a, v_bytes);
        }
        for (int t = 0; t < 3; t++) {
            float *key = data_extreme(rng, d, size), *value = data_extreme(rng, d, size);
            int64_t i_tok = (int64_t)(rng_u64(rng) % KV_PAGE_TOK);
            if (t == 2) key[d / 2] = value[d / 2] = s % 3 ? INFINITY : NAN;
            ref->kv_store(k[0], v[0], type, i_tok, key, value, d);
            fast->kv_store(k[1], v[1], type, i_tok, key, value, d);
        }
        assert_memory_equal(k[0], k[1], k_bytes);
        assert_memory_equal(v[0], v[1], v_bytes);
        data_free();
    }
}

/* All halves, as numbers and back, and floats on both sides of every rounding boundary. */
static inline void check_kv_store_halves(const struct ops *fast) {
    static uint16_t keys[KV_PAGE_TOK * 4], values[KV_PAGE_TOK * 4];
    for (uint32_t h = 0; h < 0x7c00; h++) {
        float at = f16_to_f32((uint16_t)h), next = f16_to_f32((uint16_t)(h + 1));
        float mid = h == 0x7bff ? 65520.0f : (at + next) / 2;
        float x[4] = {at, nextafterf(mid, 0), mid, nextafterf(mid, INFINITY)};
        fast->kv_store(keys, values, KV_F16, 3, x, x, 4);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(keys[i * KV_PAGE_TOK + 3], f32_to_f16(x[i]));
            assert_int_equal(values[3 * 4 + i], f32_to_f16(x[i]));
        }
    }
}

#endif
