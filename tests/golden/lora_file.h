/* lora_file.h -- adapters for tests: random halves for chosen matrices of a base, written as llama.cpp writes them. */
#ifndef SLM_TESTS_LORA_FILE_H
#define SLM_TESTS_LORA_FILE_H

#include "base/util.h"
#include "format/gguf.h"
#include "test.h"

enum { LORA_TENSORS_MAX = 512 };

struct lora_tensor {
    char name[GGUF_NAME_BYTES_MAX + 32];
    uint64_t rows, cols, n_stack; /* n_stack 0: one matrix */
};
/* What a test may bend before it is written. */
struct lora_file {
    const char *arch, *type;
    float alpha;
    struct lora_tensor t[LORA_TENSORS_MAX];
    size_t n;
    uint64_t seed;
    float size; /* of the elements */
};

static inline void lora_file_add(struct lora_file *l, const char *base, const char *suffix, uint64_t rows, uint64_t cols) {
    assert_true(l->n < LORA_TENSORS_MAX);
    struct lora_tensor *t = &l->t[l->n++];
    snprintf(t->name, sizeof t->name, "%s%s", base, suffix);
    t->rows = rows;
    t->cols = cols;
}

static inline slm_status lora_file_emit(void *user, size_t i, gguf_emit emit, void *sink, slm_err *err) {
    const struct lora_file *l = user;
    struct rng rng;
    slm_status st = SLM_OK;
    rng_init(&rng, l->seed * 1000 + i);
    for (uint64_t k = 0; k < l->t[i].rows * l->t[i].cols * (l->t[i].n_stack ? l->t[i].n_stack : 1) && st == SLM_OK; k++) {
        float v = l->size * rng_normal(&rng);
        st = emit(sink, &v, sizeof v, err);
    }
    return st;
}

static inline void lora_file_write(const struct lora_file *l, const char *path) {
    struct gguf_writer *w;
    slm_err err;
    assert_int_equal(gguf_writer_create(&w, &err), SLM_OK);
    assert_int_equal(gguf_put_string(w, "general.type", VIEW("adapter"), &err), SLM_OK);
    assert_int_equal(gguf_put_string(w, "general.architecture", view_of(l->arch), &err), SLM_OK);
    if (l->type) assert_int_equal(gguf_put_string(w, "adapter.type", view_of(l->type), &err), SLM_OK);
    assert_int_equal(gguf_put_f32(w, "adapter.lora.alpha", l->alpha, &err), SLM_OK);
    for (size_t i = 0; i < l->n; i++) {
        const struct lora_tensor *t = &l->t[i];
        const uint64_t shape[] = {t->n_stack, t->rows, t->cols};
        assert_int_equal(gguf_add_tensor(w, t->name, DTYPE_F32, t->n_stack ? 3 : 2, t->n_stack ? shape : shape + 1, &err), SLM_OK);
    }
    if (gguf_write(w, path, lora_file_emit, (void *)(uintptr_t)l, &err) != SLM_OK) fail_msg("%s", err.msg);
    gguf_writer_destroy(w);
}

/* Every matrix of the base that is multiplied, with ranks that differ. */
static inline void lora_file_of(struct lora_file *l, const struct gguf *base, const char *arch, uint64_t seed) {
    static const char *const left_out[] = {"token_embd", "position_embd", "token_types", "per_layer_token_embd", "conv.weight", "conv1d.weight", ".bias", "cls", "dense_"};
    *l = (struct lora_file){.arch = arch, .type = "lora", .alpha = 12, .seed = seed, .size = 0.1f};
    for (size_t i = 0; i < gguf_n_tensor(base); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(base, i);
        char name[GGUF_NAME_BYTES_MAX + 1];
        bool is_stack = t->n_dim == 3 && strncmp(t->name.ptr, "altup", 5) != 0, is_out = t->n_dim != 2 && !is_stack;
        snprintf(name, sizeof name, "%.*s", (int)t->name.len, t->name.ptr);
        for (size_t k = 0; k < sizeof left_out / sizeof left_out[0]; k++) is_out |= strstr(name, left_out[k]) != NULL;
        if (is_out) continue;
        uint64_t r = 1 + (seed * 5 + i * 3) % 19;
        lora_file_add(l, name, ".lora_a", r, t->shape[t->n_dim - 1]);
        lora_file_add(l, name, ".lora_b", t->shape[t->n_dim - 2], r);
        if (is_stack) l->t[l->n - 1].n_stack = l->t[l->n - 2].n_stack = t->shape[0];
    }
}

/* A fresh file's name. */
static inline void lora_file_path(char path[64]) {
    snprintf(path, 64, "%s/slm-test-lora-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
}

#endif
