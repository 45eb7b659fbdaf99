/* Quantized types against ggml's bytes: decoding is bit-exact, encoding is nearer than ggml's.
 *
 * quants/source.f32 is [4, 512]; <type>.bin is what ggml made of it, <type>.f32 what ggml reads from that;
 * errors.tsv has ggml's relative errors (of its ways with and without importance the better one; and under the weights
 * of importance_of, given to both); random.tsv has a hash of what ggml reads from random blocks. Those files were
 * made with llama.cpp's ggml. errors_stories.tsv has the same errors on trained weights: the matrices of stories260K, one after the
 * other, as rows of 256. */
#include <inttypes.h>
#include <math.h>

#include "format/dtype.h"
#include "format/gguf.h"
#include "test.h"

#define N_ELEM 2048
#define N_PLAIN 8 /* types without blocks, which quants/ has not: f32 f16 bf16 f64 i8 i16 i32 i64 */

static float source[N_ELEM];

static void read_exactly(const char *name, void *dst, size_t n) {
    char path[256];
    snprintf(path, sizeof path, "golden/quants/%s", name);
    FILE *f = fopen(test_data(path), "rb");
    if (!f) fail_msg("%s: missing", path);
    assert_int_equal(fread(dst, 1, n, f), n);
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
}

static float importance_of(int j) { return (float)(1 + (j % 512 * (j % 512) * 31 + j % 512 * 17) % 97) / 16; }

static double relative_error_of(const float *x, const float *from, const float *importance, int n) {
    double error = 0, norm = 0;
    for (int i = 0; i < n; i++) {
        double w = importance ? (double)importance[i] : 1;
        error += w * ((double)x[i] - from[i]) * ((double)x[i] - from[i]);
        norm += w * (double)from[i] * from[i];
    }
    return sqrt(error / norm);
}
static double relative_rms_error(const float *x, const float *importance) { return relative_error_of(x, source, importance, N_ELEM); }

struct row {
    char name[16];
    uint32_t id, block, bytes;
    double peer_error;
};

static bool next_row(FILE *f, struct row *r) {
    char line[128];
    if (!fgets(line, sizeof line, f)) return false;
    assert_int_equal(sscanf(line, "%15s %u %u %u %lf", r->name, &r->id, &r->block, &r->bytes, &r->peer_error), 5);
    return true;
}

static FILE *open_index(void) {
    FILE *f = fopen(test_data("golden/quants/index.tsv"), "r");
    char heading[128];
    assert_non_null(f);
    assert_non_null(fgets(heading, sizeof heading, f));
    return f;
}

static void test_rows_match_index(void **state) {
    (void)state;
    FILE *f = open_index();
    struct row r;
    while (next_row(f, &r)) {
        assert_non_null(dtype_gguf_name(r.id));
        assert_string_equal(dtype_gguf_name(r.id), r.name);
        const struct dtype_desc *d = dtype_by_name(r.name);
        assert_non_null(d);
        assert_int_equal(d->gguf_id, r.id);
        assert_int_equal(d->block_elems, r.block);
        assert_int_equal(d->block_bytes, r.bytes);
    }
    fclose(f);
}

static void test_decode_is_bit_exact(void **state) {
    (void)state;
    static float want[N_ELEM], got[N_ELEM];
    static uint8_t bytes[N_ELEM * 4 + 1];
    FILE *f = open_index();
    struct row r;
    int n_type = 0;
    while (next_row(f, &r)) {
        const struct dtype_desc *d = dtype_by_name(r.name);
        char name[32];
        uint64_t n_bytes;
        assert_true(dtype_row_bytes(d->id, N_ELEM, &n_bytes));
        snprintf(name, sizeof name, "%s.bin", r.name);
        read_exactly(name, bytes + 1, n_bytes); /* odd address: blocks need no alignment */
        snprintf(name, sizeof name, "%s.f32", r.name);
        read_exactly(name, want, sizeof want);
        d->to_f32(got, bytes + 1, N_ELEM);
        if (memcmp(got, want, sizeof want) != 0) fail_msg("%s: decoded values differ from ggml's", r.name);
        n_type++;
    }
    fclose(f);
    assert_int_equal(n_type, DTYPE_COUNT - N_PLAIN);
}

/* splitmix64 (Steele, Lea and Flood 2014). */
static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* Encoders leave out bit patterns, and a small file leaves out grid points. Here are all of both: bytes of random
 * 64-bit numbers, seeded by the type's GGUF id; hashed by FNV-1a over whole floats, every NaN as 7fc00000. */
static void test_decode_random_blocks(void **state) {
    (void)state;
    FILE *f = fopen(test_data("golden/quants/random.tsv"), "r");
    char line[128], name[16];
    int n_block, n_type = 0;
    uint64_t want;
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    while (fgets(line, sizeof line, f)) {
        assert_int_equal(sscanf(line, "%15s %d %" SCNx64, name, &n_block, &want), 3);
        const struct dtype_desc *d = dtype_by_name(name);
        assert_non_null(d);
        uint64_t seed = d->gguf_id, number = 0, hash = 0xcbf29ce484222325u;
        uint8_t block[256];
        float x[256];
        for (size_t at = 0; at < (size_t)n_block * d->block_bytes; at++) {
            if (at % 8 == 0) number = next_random(&seed);
            block[at % d->block_bytes] = (uint8_t)(number >> at % 8 * 8);
            if ((at + 1) % d->block_bytes != 0) continue;
            d->to_f32(x, block, d->block_elems);
            for (uint32_t i = 0; i < d->block_elems; i++) {
                uint32_t bits;
                memcpy(&bits, &x[i], sizeof bits);
                hash = (hash ^ (isnan(x[i]) ? 0x7fc00000u : bits)) * 0x100000001b3u;
            }
        }
        if (hash != want) fail_msg("%s: hash is %016" PRIx64 ", ggml's is %016" PRIx64, name, hash, want);
        n_type++;
    }
    fclose(f);
    assert_int_equal(n_type, DTYPE_COUNT - N_PLAIN);
}

/* ggml has no reading of these as floats; C's own conversions are the reference. */
static void test_decode_numbers(void **state) {
    (void)state;
    static const int64_t whole[] = {0,      1,        -1,        127,       -128,      32767,
                                    -32768, 16777217, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    static const enum dtype types[] = {DTYPE_I8, DTYPE_I16, DTYPE_I32, DTYPE_I64};
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        const struct dtype_desc *d = dtype_get(types[t]);
        int n_bit = 8 * (int)d->block_bytes;
        for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
            if (whole[i] != (int64_t)((uint64_t)whole[i] << (64 - n_bit)) >> (64 - n_bit)) continue;
            uint8_t bytes[9];
            float x;
            memcpy(bytes + 1, &whole[i], sizeof whole[i]);
            d->to_f32(&x, bytes + 1, 1);
            assert_true(x == (float)whole[i]);
        }
        assert_null(d->from_f32);
    }
    static const double doubles[] = {0.1, -0.0, 1e300, -1e300, 1e-50, 0x1.000001p0, 0x1.000003p0, INFINITY};
    static const float want[] = {0.1f, -0.0f, INFINITY, -INFINITY, 0, 1, 0x1.000004p0f, INFINITY};
    uint8_t bytes[sizeof doubles + 1];
    float x[8];
    memcpy(bytes + 1, doubles, sizeof doubles);
    dtype_get(DTYPE_F64)->to_f32(x, bytes + 1, 8);
    assert_memory_equal(x, want, sizeof want);
}

#define TRAINED_MAX 300000

/* n elements there and back, a multiple of 256. */
static double encode_error(const struct dtype_desc *d, const float *x, const float *importance, int n) {
    static uint8_t bytes[TRAINED_MAX * 2];
    static float y[TRAINED_MAX];
    assert_true(n <= TRAINED_MAX && d->block_elems > 1);
    d->from_f32(bytes, x, n, importance);
    d->to_f32(y, bytes, n);
    return relative_error_of(y, x, importance, n);
}

/* Every type that encodes, on x and weighted by importance, against ggml's errors of the same elements in a table; n a multiple of 256. */
static void assert_nearer(const char *table, const float *x, const float *importance, int n) {
    char line[128], name[16];
    double peer[2];
    int n_type = 0;
    FILE *f = fopen(test_data(table), "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    for (; fgets(line, sizeof line, f); n_type++) {
        assert_int_equal(sscanf(line, "%15s %lf %lf", name, &peer[0], &peer[1]), 3);
        const struct dtype_desc *d = dtype_by_name(name);
        assert_non_null(d);
        for (int is_weighted = 0; is_weighted < 2; is_weighted++) {
            double error = encode_error(d, x, is_weighted ? importance : NULL, n);
            print_message("%-8s %-8s relative rms error %.6f, ggml %.6f\n", name, is_weighted ? "weighted" : "plain", error, peer[is_weighted]);
            assert_true(error <= peer[is_weighted]);
        }
    }
    fclose(f);
    assert_int_equal(n_type, DTYPE_COUNT - N_PLAIN);
}

static void test_encode_is_nearer(void **state) {
    (void)state;
    static float importance[N_ELEM];
    for (int j = 0; j < N_ELEM; j++) importance[j] = importance_of(j);
    assert_nearer("golden/quants/errors.tsv", source, importance, N_ELEM);
}

/* The matrices of a model in f32, rows of 256 of which importance knows the columns; returns how many elements. */
static int load_trained(const char *path, float *x, float *importance) {
    struct gguf *g;
    slm_err err;
    int n = 0;
    assert_int_equal(gguf_open(path, &g, &err), SLM_OK);
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        if (t->n_dim < 2) continue;
        assert_int_equal(t->dtype, DTYPE_F32);
        assert_true(n + (int)t->n_elem <= TRAINED_MAX && t->n_elem % 256 == 0);
        memcpy(x + n, t->data, t->n_bytes);
        n += (int)t->n_elem;
    }
    for (int i = 0; i < n; i++) importance[i] = importance_of(i % 256);
    gguf_close(g);
    return n;
}

/* What is compared is from_f32; the command then makes rows of few bits longer on purpose, which costs error (format/quant/row.c). */
static void test_encode_is_nearer_on_trained_weights(void **state) {
    (void)state;
    static float x[TRAINED_MAX], importance[TRAINED_MAX];
    const char *path = test_shared("data/models/stories260K.gguf");
    if (!path) {
        print_message("skipped: needs shared file data/models/stories260K.gguf\n");
        skip();
    }
    int n = load_trained(path, x, importance);
    assert_nearer("golden/quants/errors_stories.tsv", x, importance, n);
}

/* Weights must matter: with all of it on half the columns, those come out nearer than without weights. */
static void test_encode_heeds_importance(void **state) {
    (void)state;
    static float importance[N_ELEM];
    for (int j = 0; j < N_ELEM; j++) importance[j] = j % 512 < 256 ? 1 : j % 3 == 0 ? 100 : 0.01f;
    for (int t = 0; t < DTYPE_COUNT; t++) {
        const struct dtype_desc *d = dtype_get((enum dtype)t);
        if (!d->from_f32 || d->block_elems == 1 || d->id == DTYPE_Q8_0) continue;
        static uint8_t bytes[N_ELEM * 4];
        static float got[N_ELEM];
        double with = encode_error(d, source, importance, N_ELEM);
        d->from_f32(bytes, source, N_ELEM, NULL);
        d->to_f32(got, bytes, N_ELEM);
        if (!(with < relative_rms_error(got, importance))) fail_msg("%s: weights do not help", d->name);
    }
}

/* Weights that mean nothing are as none; some that are 0 lose no group. */
static void test_encode_odd_importance(void **state) {
    (void)state;
    static const float odd[] = {0, -1, NAN, INFINITY, 1e-45f, 3e38f};
    for (int t = 0; t < DTYPE_COUNT; t++) {
        const struct dtype_desc *d = dtype_get((enum dtype)t);
        if (!d->from_f32) continue;
        float w[256], y[256];
        uint8_t bytes[2048], plain[2048];
        memset(plain, 0, sizeof plain);
        d->from_f32(plain, source, 256, NULL);
        for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
            for (int i = 0; i < 256; i++) w[i] = odd[k];
            d->from_f32(bytes, source, 256, w);
            d->to_f32(y, bytes, 256);
            for (int i = 0; i < 256; i++) assert_true(isfinite(y[i]));
            if (odd[k] == 0) assert_memory_equal(bytes, plain, 256 / d->block_elems * d->block_bytes);
        }
    }
}

/* Encoding what was decoded changes little, and neither zeros, huge, tiny nor odd values break an encoder. */
static void test_encode_odd_values(void **state) {
    (void)state;
    static const float peaks[] = {0, 1e-45f, 1e-38f, 1e-7f, 1, 65504, 1e9f, 3.4e38f, -3.4e38f};
    float x[256], y[256];
    uint8_t bytes[2048];
    for (int t = 0; t < DTYPE_COUNT; t++) {
        const struct dtype_desc *d = dtype_get((enum dtype)t);
        if (!d->from_f32) continue;
        for (size_t p = 0; p < sizeof peaks / sizeof *peaks; p++) {
            for (int i = 0; i < 256; i++) x[i] = i % 7 == 0 ? peaks[p] : peaks[p] * ((float)(i * 37 % 101) / 50.5f - 1);
            d->from_f32(bytes, x, 256, NULL);
            d->to_f32(y, bytes, 256);
            for (int i = 0; i < 256; i++) {
                if (!isfinite(y[i]))
                    fail_msg("%s: peak %g gives a value that is not finite", d->name, (double)peaks[p]);
                if (p == 0) assert_true(y[i] == 0);
            }
        }
        x[3] = NAN;
        x[4] = INFINITY;
        x[5] = -INFINITY;
        d->from_f32(bytes, x, 256, NULL); /* any answer, no undefined behaviour */
    }
}

/* Values are 1 to 2 of one sign, so that half the levels of most types lie idle; root of the mean squared error. */
static double one_sided_error_max(const struct dtype_desc *d) {
    double bits = 8.0 * d->block_bytes / d->block_elems;
    return bits < 3 ? 0.5 : bits < 4 || d->id == DTYPE_MXFP4 ? 0.2 : 0.06;
}

static void test_one_sided_values(void **state) {
    (void)state;
    for (int t = 0; t < DTYPE_COUNT; t++) {
        const struct dtype_desc *d = dtype_get((enum dtype)t);
        if (!d->from_f32) continue;
        for (int sign = -1; sign <= 1; sign += 2) {
            float x[256], y[256];
            uint8_t bytes[2048];
            for (int i = 0; i < 256; i++) x[i] = (float)sign * (1 + (float)i / 256);
            d->from_f32(bytes, x, 256, NULL);
            d->to_f32(y, bytes, 256);
            double error = 0;
            for (int i = 0; i < 256; i++) error += ((double)y[i] - (double)x[i]) * ((double)y[i] - (double)x[i]);
            error = sqrt(error / 256);
            if (!(error <= one_sided_error_max(d))) fail_msg("%s: error is %g", d->name, error);
        }
    }
}

static void test_half_all_values(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        uint32_t e = h >> 10 & 31, m = h & 1023;
        float f = f16_to_f32((uint16_t)h), want = e ? ldexpf((float)(m | 1024), (int)e - 25) : ldexpf((float)m, -24);
        if (e == 31) {
            assert_true(m ? isnan(f) : isinf(f));
            assert_true(m ? (f32_to_f16(f) & 0x7fff) > 0x7c00 : f32_to_f16(f) == h);
        } else {
            assert_true(f == (h & 0x8000 ? -want : want));
            assert_int_equal(!!signbit(f), h >> 15);
            assert_int_equal(f32_to_f16(f), h);
        }
        float b = bf16_to_f32((uint16_t)h);
        assert_true(isnan(b) ? isnan(bf16_to_f32(f32_to_bf16(b))) : f32_to_bf16(b) == h);
    }
}

/* Between neighbours: below the middle goes down, above goes up, the middle to the even one. */
static void test_half_rounding(void **state) {
    (void)state;
    for (uint16_t h = 0; h < 0x7c00; h++) {
        float lo = f16_to_f32(h), hi = h == 0x7bff ? 65536.0f : f16_to_f32((uint16_t)(h + 1)), mid = (lo + hi) / 2;
        uint16_t even = (uint16_t)(h % 2 ? h + 1 : h);
        assert_int_equal(f32_to_f16(mid), even);
        assert_int_equal(f32_to_f16(nextafterf(mid, 0)), h);
        assert_int_equal(f32_to_f16(nextafterf(mid, INFINITY)), h + 1);
        assert_int_equal(f32_to_f16(-mid), even | 0x8000);
    }
    assert_int_equal(f32_to_f16(1e30f), 0x7c00);
    assert_int_equal(f32_to_f16(0x1p-26f), 0);
    assert_int_equal(f32_to_bf16(1.00390625f), 0x3f80); /* tie to even */
    assert_int_equal(f32_to_bf16(1.01171875f), 0x3f82); /* tie to even, upward */
}

static void test_names(void **state) {
    (void)state;
    for (int t = 0; t < DTYPE_COUNT; t++) {
        const struct dtype_desc *d = dtype_get((enum dtype)t);
        assert_int_equal(d->id, t);
        assert_ptr_equal(dtype_by_name(d->name), d);
        assert_ptr_equal(dtype_by_gguf_id(d->gguf_id), d);
        assert_string_equal(dtype_gguf_name(d->gguf_id), d->name);
    }
    assert_ptr_equal(dtype_by_name("Q4_K"), dtype_get(DTYPE_Q4_K));
    assert_null(dtype_by_name("q4"));
    assert_null(dtype_by_name(""));
    assert_null(dtype_by_gguf_id(15)); /* only ever a step of a computation, never in files */
    assert_string_equal(dtype_gguf_name(15), "q8_k");
    assert_null(dtype_gguf_name(4));
    assert_null(dtype_gguf_name(UINT32_MAX));
}

static void test_row_bytes(void **state) {
    (void)state;
    uint64_t bytes = 7;
    assert_true(dtype_row_bytes(DTYPE_Q4_K, 512, &bytes));
    assert_int_equal(bytes, 288);
    assert_false(dtype_row_bytes(DTYPE_Q4_K, 257, &bytes));
    assert_false(dtype_row_bytes(DTYPE_F32, UINT64_MAX / 2, &bytes));
    assert_int_equal(bytes, 288);
}

int main(void) {
    read_exactly("source.f32", source, sizeof source);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_match_index),
        cmocka_unit_test(test_decode_is_bit_exact),
        cmocka_unit_test(test_decode_random_blocks),
        cmocka_unit_test(test_decode_numbers),
        cmocka_unit_test(test_encode_is_nearer),
        cmocka_unit_test(test_encode_is_nearer_on_trained_weights),
        cmocka_unit_test(test_encode_heeds_importance),
        cmocka_unit_test(test_encode_odd_importance),
        cmocka_unit_test(test_encode_odd_values),
        cmocka_unit_test(test_one_sided_values),
        cmocka_unit_test(test_half_all_values),
        cmocka_unit_test(test_half_rounding),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_row_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
