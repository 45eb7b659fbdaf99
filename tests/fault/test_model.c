/* Models that are valid GGUF files but not valid models: each is refused with the tensor or key named. */
#include "test.h"

#include "format/gguf.h"
#include "model/model.h"

/* A tiny llama written by our own writer, with one thing wrong. */
struct fault {
    const char *name;
    const char *drop_key, *drop_tensor;  /* leave out */
    const char *set_key;                 /* u32 value instead of, or besides, the right one */
    uint32_t set_value;
    const char *reshape;                 /* tensor that gets one row more */
    const char *extra_tensor;
    const char *arch;                    /* instead of llama */
    const char *hints;                   /* part of the hint */
    slm_status want;
    const char *says;                    /* part of the message */
};

static const struct fault faults[] = {
    {.name = "nothing wrong", .want = SLM_OK},
    {.name = "no architecture", .drop_key = "general.architecture", .want = SLM_E_FORMAT, .says = "general.architecture"},
    {.name = "unknown architecture", .arch = "qwen3x", .want = SLM_E_UNSUPPORTED, .says = "architecture \"qwen3x\" is not supported", .hints = "\"qwen3\""},
    {.name = "no layers key", .drop_key = "llama.block_count", .want = SLM_E_FORMAT, .says = "llama.block_count"},
    {.name = "no tokens", .drop_key = "tokenizer.ggml.tokens", .want = SLM_E_FORMAT, .says = "tokenizer.ggml.tokens"},
    {.name = "no tokenizer family", .drop_key = "tokenizer.ggml.model", .want = SLM_E_FORMAT, .says = "tokenizer.ggml.model"},
    {.name = "missing matrix", .drop_tensor = "blk.1.ffn_up.weight", .want = SLM_E_FORMAT, .says = "blk.1.ffn_up.weight"},
    {.name = "missing norm", .drop_tensor = "output_norm.weight", .want = SLM_E_FORMAT, .says = "output_norm.weight"},
    {.name = "missing embedding", .drop_tensor = "token_embd.weight", .want = SLM_E_FORMAT, .says = "token_embd.weight"},
    {.name = "wrong matrix", .reshape = "blk.0.attn_q.weight", .want = SLM_E_FORMAT, .says = "\"blk.0.attn_q.weight\" is [33, 32]"},
    {.name = "wrong vector", .reshape = "blk.0.attn_norm.weight", .want = SLM_E_FORMAT, .says = "\"blk.0.attn_norm.weight\" is [33]"},
    {.name = "unknown tensor", .extra_tensor = "blk.0.attn_q_norm.weight", .want = SLM_E_UNSUPPORTED, .says = "blk.0.attn_q_norm.weight"},
    {.name = "zero layers", .set_key = "llama.block_count", .set_value = 0, .want = SLM_E_FORMAT, .says = "llama.block_count"},
    {.name = "absurd layers", .set_key = "llama.block_count", .set_value = 4000000000u, .want = SLM_E_FORMAT, .says = "llama.block_count"},
    {.name = "more layers than tensors", .set_key = "llama.block_count", .set_value = 1000, .want = SLM_E_FORMAT, .says = "blk.2."},
    {.name = "heads do not divide", .set_key = "llama.attention.head_count", .set_value = 3, .want = SLM_E_FORMAT, .says = "multiple"},
    {.name = "kv heads do not divide", .set_key = "llama.attention.head_count_kv", .set_value = 3, .want = SLM_E_FORMAT, .says = "multiple"},
    {.name = "odd rotation", .set_key = "llama.rope.dimension_count", .set_value = 5, .want = SLM_E_FORMAT, .says = "rotated"},
    {.name = "rotation past the head", .set_key = "llama.rope.dimension_count", .set_value = 64, .want = SLM_E_FORMAT, .says = "rotated"},
    {.name = "bos past the vocabulary", .set_key = "tokenizer.ggml.bos_token_id", .set_value = 512, .want = SLM_E_FORMAT, .says = "bos_token_id"},
    {.name = "experts", .set_key = "llama.expert_count", .set_value = 8, .want = SLM_E_FORMAT, .says = "0 of 8 experts"},
};

static const struct { const char *key; uint32_t value; } keys[] = {
    {"llama.block_count", 2}, {"llama.embedding_length", 32}, {"llama.feed_forward_length", 48}, {"llama.attention.head_count", 4},
    {"llama.attention.head_count_kv", 2}, {"llama.context_length", 64}, {"tokenizer.ggml.bos_token_id", 1},
};
static const struct { const char *name; uint64_t rows, cols; } tensors[] = {
    {"token_embd.weight", 300, 32}, {"output_norm.weight", 0, 32},
    {"blk.0.attn_norm.weight", 0, 32}, {"blk.0.attn_q.weight", 32, 32}, {"blk.0.attn_k.weight", 16, 32}, {"blk.0.attn_v.weight", 16, 32},
    {"blk.0.attn_output.weight", 32, 32}, {"blk.0.ffn_norm.weight", 0, 32}, {"blk.0.ffn_gate.weight", 48, 32}, {"blk.0.ffn_up.weight", 48, 32},
    {"blk.0.ffn_down.weight", 32, 48},
    {"blk.1.attn_norm.weight", 0, 32}, {"blk.1.attn_q.weight", 32, 32}, {"blk.1.attn_k.weight", 16, 32}, {"blk.1.attn_v.weight", 16, 32},
    {"blk.1.attn_output.weight", 32, 32}, {"blk.1.ffn_norm.weight", 0, 32}, {"blk.1.ffn_gate.weight", 48, 32}, {"blk.1.ffn_up.weight", 48, 32},
    {"blk.1.ffn_down.weight", 32, 48},
};
#define N_ROWS(a) (sizeof(a) / sizeof((a)[0]))

static bool same(const char *a, const char *b) { return a && strcmp(a, b) == 0; }

static void put_vocabulary(struct gguf_writer *w, const struct fault *f, slm_err *err) {
    static char text[300][8];
    struct view pieces[300];
    float scores[300] = {0};
    int32_t types[300];
    for (int i = 0; i < 300; i++) {
        snprintf(text[i], sizeof text[i], i < 3 ? "<s%d>" : i < 259 ? "<0x%02X>" : "w%d", i < 3 ? i : i < 259 ? i - 3 : i);
        pieces[i] = view_of(text[i]);
        types[i] = i == 0 ? TOK_UNKNOWN : i < 3 ? TOK_CONTROL : i < 259 ? TOK_BYTE : TOK_NORMAL;
    }
    if (!same(f->drop_key, "tokenizer.ggml.model")) assert_int_equal(gguf_put_string(w, "tokenizer.ggml.model", VIEW("llama"), err), SLM_OK);
    if (!same(f->drop_key, "tokenizer.ggml.tokens")) assert_int_equal(gguf_put_strings(w, "tokenizer.ggml.tokens", pieces, 300, err), SLM_OK);
    assert_int_equal(gguf_put_array(w, "tokenizer.ggml.scores", GGUF_F32, scores, 300, err), SLM_OK);
    assert_int_equal(gguf_put_array(w, "tokenizer.ggml.token_type", GGUF_I32, types, 300, err), SLM_OK);
}

static void add_tensor(struct gguf_writer *w, const char *name, uint64_t rows, uint64_t cols, slm_err *err) {
    uint64_t matrix[2] = {rows, cols};
    assert_int_equal(gguf_add_tensor(w, name, DTYPE_F32, rows ? 2 : 1, rows ? matrix : &cols, err), SLM_OK);
}

struct sizes {
    uint64_t n_bytes[N_ROWS(tensors) + 1];
    size_t n;
};

static slm_status give_zeros(void *user, size_t i, gguf_emit emit, void *sink, slm_err *err) {
    static const char zeros[64 * 1024];
    const struct sizes *s = user;
    return emit(sink, zeros, s->n_bytes[i], err);
}

static void write_model(const struct fault *f, const char *path) {
    struct gguf_writer *w;
    slm_err err;
    struct sizes sizes = {.n = 0};
    assert_int_equal(gguf_writer_create(&w, &err), SLM_OK);
    if (!same(f->drop_key, "general.architecture")) assert_int_equal(gguf_put_string(w, "general.architecture", view_of(f->arch ? f->arch : "llama"), &err), SLM_OK);
    for (size_t i = 0; i < N_ROWS(keys); i++)
        if (!same(f->drop_key, keys[i].key) && !same(f->set_key, keys[i].key)) assert_int_equal(gguf_put_u32(w, keys[i].key, keys[i].value, &err), SLM_OK);
    if (f->set_key) assert_int_equal(gguf_put_u32(w, f->set_key, f->set_value, &err), SLM_OK);
    assert_int_equal(gguf_put_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-5f, &err), SLM_OK);
    put_vocabulary(w, f, &err);
    for (size_t i = 0; i < N_ROWS(tensors); i++) {
        if (same(f->drop_tensor, tensors[i].name)) continue;
        uint64_t rows = tensors[i].rows, cols = tensors[i].cols;
        if (same(f->reshape, tensors[i].name)) *(rows ? &rows : &cols) += 1;
        add_tensor(w, tensors[i].name, rows, cols, &err);
        sizes.n_bytes[sizes.n++] = (rows ? rows : 1) * cols * sizeof(float);
    }
    if (f->extra_tensor) {
        add_tensor(w, f->extra_tensor, 0, 32, &err);
        sizes.n_bytes[sizes.n++] = 32 * sizeof(float);
    }
    assert_int_equal(gguf_write(w, path, give_zeros, &sizes, &err), SLM_OK);
    gguf_writer_destroy(w);
}

static void test_faults(void **state) {
    char path[] = "/tmp/slm-test-model-XXXXXX";
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < N_ROWS(faults); i++) {
        struct slm_model *m;
        slm_err err;
        err_clear(&err);
        write_model(&faults[i], path);
        slm_status st = model_open(path, 0, &m, &err);
        if (st != faults[i].want || (faults[i].says && !strstr(err.msg, faults[i].says))) fail_msg("%s: status %d, message: %s", faults[i].name, st, err.msg);
        if (faults[i].hints && !strstr(err.hint, faults[i].hints)) fail_msg("%s: hint: %s", faults[i].name, err.hint);
        if (st != SLM_OK) {
            assert_null(m);
            assert_null(strchr(err.msg, '\n'));
            assert_non_null(strstr(err.msg, path));
        }
        model_close(m);
    }
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_faults)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
