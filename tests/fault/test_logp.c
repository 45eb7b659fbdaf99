/* Files of saved log-probabilities and importance matrices that are damaged: every byte of the header, every length. */
#include <math.h>

#include "engine/imatrix.h"
#include "engine/perplexity.h"
#include "test.h"

#define N_VOCAB 5
#define N_CTX 8
#define N_CHUNK 2
#define N_ROW (N_CHUNK * (N_CTX - 1 - N_CTX / 2))

static char path[] = "/tmp/slm-test-logp-XXXXXX";

static size_t make(uint8_t *bytes) {
    uint32_t head[4] = {N_VOCAB, N_CTX, N_CHUNK, 0};
    size_t n = 0;
    memcpy(bytes, "SLMLOGP1", 8);
    memcpy(bytes + 8, head, sizeof head);
    n = 24;
    for (int32_t i = 0; i < N_CTX * N_CHUNK; i++, n += 4) memcpy(bytes + n, &i, 4);
    for (int r = 0; r < N_ROW; r++) {
        float lo_step[2] = {-9, 0.5f};
        memcpy(bytes + n, lo_step, sizeof lo_step);
        n += sizeof lo_step;
        for (uint16_t v = 0; v < N_VOCAB; v++, n += 2) memcpy(bytes + n, &v, 2);
    }
    return n;
}

static void put(const uint8_t *bytes, size_t n) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

/* Open, and read everything when that is allowed. */
static slm_status try_all(void) {
    struct logp_file f;
    slm_err err;
    slm_status st = logp_open(&f, path, &err);
    if (st != SLM_OK) {
        assert_int_equal(st, SLM_E_FORMAT);
        assert_null(f.map.data);
        assert_non_null(strstr(err.msg, "slm-test-logp"));
        return st;
    }
    float *row = malloc(f.n_vocab * sizeof *row);
    for (uint64_t i = 0; i < (uint64_t)f.n_chunk * logp_n_scored(f.n_ctx); i++) logp_row(&f, i, row);
    for (uint64_t i = 0; i < (uint64_t)f.n_chunk * f.n_ctx; i++) (void)logp_token(&f, i);
    free(row);
    logp_close(&f);
    return SLM_OK;
}

static void test_logp_damaged(void **state) {
    (void)state;
    uint8_t bytes[1024];
    size_t n = make(bytes);
    put(bytes, n);
    assert_int_equal(try_all(), SLM_OK);
    for (size_t i = 0; i < n; i++) {
        put(bytes, i);
        assert_int_equal(try_all(), SLM_E_FORMAT);
    }
    put(bytes, n + 1);
    assert_int_equal(try_all(), SLM_E_FORMAT);
    static const uint8_t odd[] = {0, 1, 4, 0x7f, 0x80, 0xff};
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof odd; k++) {
            uint8_t old = bytes[i];
            bytes[i] = odd[k];
            put(bytes, n);
            slm_status st = try_all();
            if (i < 24 && odd[k] != old) assert_int_equal(st, SLM_E_FORMAT);
            bytes[i] = old;
        }
}

static void test_logp_values(void **state) {
    (void)state;
    uint8_t bytes[1024];
    struct logp_file f;
    float row[N_VOCAB];
    put(bytes, make(bytes));
    assert_int_equal(logp_open(&f, path, NULL), SLM_OK);
    logp_row(&f, N_ROW - 1, row);
    for (int v = 0; v < N_VOCAB; v++) assert_true(row[v] == -9 + 0.5f * (float)v);
    assert_int_equal(logp_token(&f, N_CTX * N_CHUNK - 1), N_CTX * N_CHUNK - 1);
    logp_close(&f);
}

/* One entry [1, 4] with `sums` and one count. */
static slm_status put_floats(void *user, size_t i, gguf_emit emit, void *sink, slm_err *err) {
    return i == 0 ? emit(sink, user, 4 * sizeof(float), err) : emit(sink, (float[]){2}, sizeof(float), err);
}

static slm_status read_imatrix(const float sums[4], const char *type, bool has_counts, uint64_t n_count, float **importance) {
    struct gguf_writer *w;
    struct imatrix *im = NULL;
    slm_err err;
    assert_int_equal(gguf_writer_create(&w, &err), SLM_OK);
    assert_int_equal(gguf_put_string(w, "general.type", view_of(type), &err), SLM_OK);
    assert_int_equal(gguf_put_u32(w, "imatrix.chunk_count", 3, &err), SLM_OK);
    assert_int_equal(gguf_put_u32(w, "imatrix.chunk_size", 64, &err), SLM_OK);
    assert_int_equal(gguf_add_tensor(w, "a.weight.in_sum2", DTYPE_F32, 2, (uint64_t[]){1, 4}, &err), SLM_OK);
    if (has_counts) assert_int_equal(gguf_add_tensor(w, "a.weight.counts", DTYPE_F32, 2, (uint64_t[]){n_count, 1}, &err), SLM_OK);
    float copy[4];
    memcpy(copy, sums, sizeof copy);
    assert_int_equal(gguf_write(w, path, put_floats, copy, &err), SLM_OK);
    gguf_writer_destroy(w);
    slm_status st = imatrix_read(path, &im, &err);
    if (st == SLM_OK) {
        struct gguf_tensor t = {.name = VIEW("a.weight"), .dtype = DTYPE_F32, .n_dim = 2, .shape = {7, 4, 1, 1}, .n_elem = 28};
        struct input_weights weights;
        assert_int_equal(input_weights_get(im, &t, DTYPE_F32, &weights, &err), SLM_OK);
        *importance = weights.importance;
        t.name = VIEW("a.weigh");
        assert_int_equal(input_weights_get(im, &t, DTYPE_F32, &weights, &err), SLM_OK);
        assert_null(weights.importance);
        t.name = VIEW("a.weight");
        t.shape[1] = 5;
        assert_int_equal(input_weights_get(im, &t, DTYPE_F32, &weights, &err), SLM_E_FORMAT);
    } else {
        assert_null(im);
    }
    imatrix_destroy(im);
    return st;
}

static void test_imatrix_damaged(void **state) {
    (void)state;
    static const float good[4] = {2, 4, 6, 0}, negative[4] = {1, -1, 1, 1}, infinite[4] = {1, 1, INFINITY, 1}, nan_[4] = {NAN, 1, 1, 1};
    float *v = NULL;
    assert_int_equal(read_imatrix(good, "imatrix", true, 1, &v), SLM_OK);
    assert_true(v[0] == 1 && v[1] == 2 && v[2] == 3 && v[3] == 0);
    free(v);
    assert_int_equal(read_imatrix(good, "model", true, 1, &v), SLM_E_FORMAT);
    assert_int_equal(read_imatrix(good, "imatrix", false, 1, &v), SLM_E_FORMAT);
    assert_int_equal(read_imatrix(negative, "imatrix", true, 1, &v), SLM_E_FORMAT);
    assert_int_equal(read_imatrix(infinite, "imatrix", true, 1, &v), SLM_E_FORMAT);
    assert_int_equal(read_imatrix(nan_, "imatrix", true, 1, &v), SLM_E_FORMAT);
}

int main(void) {
    int fd = mkstemp(path);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logp_damaged),
        cmocka_unit_test(test_logp_values),
        cmocka_unit_test(test_imatrix_damaged),
    };
    close(fd);
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return n_failed;
}
