/* test_attention.c -- attention against the textbook; rows alone and in company; threads and cuts; what q8 and q4 cost. */
#include "ops_attention.h"

typedef void (*isa_fn)(const struct ops *o, struct rng *rng);

static void for_each_isa(isa_fn fn) {
    size_t n;
    const struct ops_isa *isa = ops_isa_rows(&n);
    for (size_t i = 0; i < n; i++) {
        struct ops o;
        if (ops_build(&o, isa[i].name, NULL) != SLM_OK) continue;
        struct rng rng;
        rng_init(&rng, 42);
        print_message("%s\n", isa[i].name);
        fn(&o, &rng);
        data_free();
    }
}

/* Two passes over plain keys and values [n_pos, d], all in double. */
static void textbook(double *out, const float *q, const float *k, const float *v, int64_t first, int64_t end, int64_t d, double scale) {
    double *score = data_bytes((size_t)(end - first + 1) * sizeof *score, 0), max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < d; i++) out[i] = 0;
    for (int64_t pos = first; pos < end; pos++) {
        double dot = 0;
        for (int64_t i = 0; i < d; i++) dot += (double)q[i] * (double)k[pos * d + i];
        score[pos - first] = dot * scale;
        max = fmax(max, score[pos - first]);
    }
    for (int64_t pos = first; pos < end; pos++) sum += score[pos - first] = exp(score[pos - first] - max);
    for (int64_t pos = first; pos < end; pos++)
        for (int64_t i = 0; i < d; i++) out[i] += score[pos - first] / sum * (double)v[pos * d + i];
}

/* Keys with a few elements that are always large, as models have, and a first token that draws most attention. */
static void model_like(struct rng *rng, float *k, float *v, const float *q, int64_t n_pos, int64_t d) {
    for (int64_t i = 0; i < n_pos * d; i++) {
        k[i] = rng_normal(rng) + (i % d == 5 || i % d == d - 3 ? 12.0f : 0.0f);
        v[i] = rng_normal(rng) * (i < d ? 0.02f : 1.0f);
    }
    double q2 = 0;
    for (int64_t i = 0; i < d; i++) q2 += (double)q[i] * (double)q[i];
    for (int64_t i = 0; i < d; i++) k[i] = q[i] * (float)(8 * sqrt((double)d) / q2); /* the sink: a score of 8 */
}

/* The result over each cache type is the textbook's, up to the rounding of what is kept. */
static void textbook_in(const struct ops *o, struct rng *rng) {
    static const struct {
        double plain, model; /* root mean square of the error, relative to the result's; data of either kind */
    } most[KV_TYPE_COUNT] = {{2e-6, 2e-6}, {1e-3, 3e-3}, {0.02, 0.06}, {0.25, 0.5}};
    enum { N_POS = 333, N_ROW = 8 };
    static const int64_t d_heads[] = {64, 128, 80};
    for (size_t s = 0; s < 2 * COUNT(d_heads) * KV_TYPE_COUNT; s++) {
        enum kv_type type = (enum kv_type)(s % KV_TYPE_COUNT);
        int64_t d = d_heads[s / KV_TYPE_COUNT / 2];
        bool is_model = s / KV_TYPE_COUNT % 2;
        float *k = data_normal(rng, N_POS * d, 1), *v = data_normal(rng, N_POS * d, 1), *out = data_floats(d);
        double *want = data_bytes((size_t)d * sizeof *want, 0), error = 0, size = 0;
        struct cache cache = cache_empty(type, N_POS, d);
        for (int r = 0; r < N_ROW; r++) {
            float *q = data_normal(rng, d, 2);
            if (is_model) model_like(rng, k, v, q, N_POS, d);
            for (int64_t pos = 0; pos < N_POS; pos++) cache_put(o, &cache, pos, k + pos * d, v + pos * d);
            struct attn_params params = {1 / sqrtf((float)d), 0};
            struct attn_row row = {q, out, is_model ? 0 : 3, N_POS - r, NULL};
            o->attention(&row, 1, &cache.kv, d, &params);
            textbook(want, q, k, v, row.pos_first, row.pos_end, d, (double)params.scale);
            for (int64_t i = 0; i < d; i++) {
                error += ((double)out[i] - want[i]) * ((double)out[i] - want[i]);
                size += want[i] * want[i];
            }
        }
        double share = sqrt(error / size);
        print_message("  %s, width %d, %s: off by %.2g of the result\n", kv_type_get(type)->name, (int)d, is_model ? "model-like" : "normal", share);
        assert_true(share < (is_model ? most[type].model : most[type].plain));
        data_free();
    }
}

/* Rows together against each alone, and against the same cache in other pages' places. */
static void company_in(const struct ops *o, struct rng *rng) {
    static const int64_t d_heads[] = {64, 80, 100, 3};
    enum { N_ROW = 23, N_POS = 600 };
    for (size_t s = 0; s < KV_TYPE_COUNT * COUNT(d_heads); s++) {
        int64_t d = d_heads[s / KV_TYPE_COUNT];
        struct cache cache = cache_make(rng, (enum kv_type)(s % KV_TYPE_COUNT), N_POS, d);
        const struct attn_params params = {0.125f, s % 5 ? 0 : 10.0f};
        float *q = data_normal(rng, N_ROW * d, 1), *whole = data_floats(N_ROW * d), *alone = data_floats(N_ROW * d);
        struct attn_row rows[N_ROW];
        for (int32_t r = 0; r < N_ROW; r++)
            rows[r] = (struct attn_row){q + r * d, whole + r * d, r % 7 ? 0 : 40 + 20 * r, r < 5 ? N_POS : N_POS - r / 3, r % 2 ? &attn_sinks[r % 3] : NULL};
        o->attention(rows, N_ROW, &cache.kv, d, &params);
        for (int64_t r = 0; r < N_ROW; r++) {
            rows[r].out = alone + r * d;
            o->attention(&rows[r], 1, &cache.kv, d, &params);
        }
        expect_same("row alone", alone, whole, N_ROW * d);

        /* The same positions in a larger pool, pages in another order. */
        uint8_t *pool = data_bytes(cache.kv.page_bytes * (size_t)(cache.n_page + 2), 0);
        int32_t ids[16];
        assert_true(cache.n_page <= (int64_t)COUNT(ids));
        for (int64_t p = 0; p < cache.n_page; p++) {
            ids[p] = (int32_t)((p + 1) % cache.n_page + 2);
            memcpy(pool + (size_t)ids[p] * cache.kv.page_bytes, cache.pool + (size_t)cache.ids[p] * cache.kv.page_bytes,
                   cache.kv.page_bytes);
        }
        cache.kv.base = pool;
        cache.kv.pages = ids;
        o->attention(rows, N_ROW, &cache.kv, d, &params);
        expect_same("other pages", alone, whole, N_ROW * d);
        data_free();
    }
}

/* Tokens of a sequence as one job or as many, on any number of threads, cut at spans or not. */
static void jobs_in(const struct ops *o, struct rng *rng) {
    enum { N_GROUP = 3, N_HEAD_KV = 2, N_POS = 1300, N_TOK = 11, D = 32, LD = N_GROUP * N_HEAD_KV * D };
    static const int32_t windows[] = {N_POS, 700, 5};
    for (int w = 0; w < 3 * KV_TYPE_COUNT; w++) {
        struct cache cache[N_HEAD_KV];
        struct attn_range visible[N_TOK];
        struct attn_params params = {0.2f, 0};
        const uint64_t n_part = compute_attention_parts(N_TOK, N_GROUP * N_HEAD_KV, N_POS, D);
        float *q = data_normal(rng, N_TOK * LD, 1), *first = data_floats(N_TOK * LD), *next = data_floats(N_TOK * LD);
        float *parts = data_floats((int64_t)n_part);
        for (int h = 0; h < N_HEAD_KV; h++) cache[h] = cache_make(rng, (enum kv_type)(w % KV_TYPE_COUNT), N_POS, D);
        for (int32_t i = 0; i < N_TOK; i++) {
            int32_t end = N_POS - N_TOK + i + 1, window = windows[w / KV_TYPE_COUNT];
            visible[i] = (struct attn_range){end > window ? end - window : 0, end};
        }
        for (int run = 0; run < 8; run++) {
            static const int n_threads[] = {1, 1, 2, 2, 3, 5, 5, 2}, toks[] = {N_TOK, 1, N_TOK, 4, 1, N_TOK, 3, 6};
            struct compute c;
            struct attn_job jobs[N_TOK * N_HEAD_KV];
            int64_t n_job = 0;
            for (int h = 0; h < N_HEAD_KV; h++)
                for (int32_t i = 0; i < N_TOK; i += toks[run]) {
                    int64_t at = i * LD + h * N_GROUP * D;
                    jobs[n_job++] = (struct attn_job){cache[h].kv, q + at, (run ? next : first) + at, LD, visible + i, NULL,
                                                      N_TOK - i < toks[run] ? N_TOK - i : toks[run]};
                }
            assert_int_equal(compute_init(&c, n_threads[run], D, N_TOK, NULL), SLM_OK);
            c.ops = *o;
            compute_attention(&c, jobs, n_job, N_GROUP, D, &params, parts, run == 7 ? 0 : n_part);
            if (run > 0) expect_same("jobs", next, first, N_TOK * LD);
            compute_fini(&c);
        }
        data_free();
    }
}

/* What is stored comes back within half a level, and types have their names. */
static void test_types(void **state) {
    enum kv_type type;
    struct ops ref;
    struct rng rng;
    (void)state;
    rng_init(&rng, 3);
    assert_int_equal(ops_build(&ref, "ref", NULL), SLM_OK);
    for (int t = 0; t < KV_TYPE_COUNT; t++) {
        assert_true(kv_type_by_name(kv_type_get((enum kv_type)t)->name, &type));
        assert_int_equal(type, t);
        for (int64_t d = 1; d <= 40; d += 13) {
            struct cache c = cache_empty(type, 64, d);
            float *k = data_normal(&rng, d, 1), *v = data_normal(&rng, d, 1);
            double k2 = 0, v2 = 0, kept_k2 = 0, kept_v2 = 0;
            cache_put(&ref, &c, 17, k, v);
            for (int64_t i = 0; i < d; i++) {
                k2 += (double)k[i] * (double)k[i], v2 += (double)v[i] * (double)v[i];
                kept_k2 += pow(cache_at(&c, false, 17, i), 2), kept_v2 += pow(cache_at(&c, true, 17, i), 2);
            }
            double most = type == KV_Q4 ? 0.15 : 0.01; /* a rotation keeps the length */
            expect_near("length of a key", d, (float)sqrt(kept_k2 / k2), 1, most);
            expect_near("length of a value", d, (float)sqrt(kept_v2 / v2), 1, most);
        }
        data_free();
    }
    assert_false(kv_type_by_name("q3", &type));
}

static void test_textbook(void **state) {
    (void)state;
    for_each_isa(textbook_in);
}

static void test_company(void **state) {
    (void)state;
    for_each_isa(company_in);
}

static void test_jobs(void **state) {
    (void)state;
    for_each_isa(jobs_in);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_textbook),
        cmocka_unit_test(test_company),
        cmocka_unit_test(test_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
