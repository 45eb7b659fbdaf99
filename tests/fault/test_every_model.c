/* Every tiny model, damaged in every single place: each tensor left out, given a row more, made a vector; each key left out or
 * set to numbers that no model has. Such a file is refused with its name and one line, or it is a model that runs; never a
 * crash, an endless loop or a read outside (the sanitizers watch). */
#include "test.h"

#include <jansson.h>

#include "engine/embed.h"
#include "format/gguf.h"

#define DIR "golden/models/"

enum damage { NOTHING, DROP, GROW, FLATTEN };
struct change {
    enum damage tensor, key; /* of tensor or key number at; the other is NOTHING */
    size_t at;
    uint32_t value;          /* of a key that is not dropped */
};

struct copy {
    const struct gguf *from;
    const struct change *c;
};

static bool is_changed(const struct change *c, enum damage d, size_t i) { return c->tensor == d && c->at == i; }

static slm_status give_tensor(void *user, size_t i, gguf_emit emit, void *sink, slm_err *err) {
    static const char zeros[1 << 16];
    const struct copy *copy = user;
    if (copy->c->tensor == DROP && i >= copy->c->at) i++;
    const struct gguf_tensor *t = gguf_tensor_at(copy->from, i);
    slm_status st = emit(sink, t->data, t->n_bytes, err);
    if (st == SLM_OK && is_changed(copy->c, GROW, i)) st = emit(sink, zeros, t->n_bytes / t->shape[0], err);
    return st;
}

static void write_damaged(const struct gguf *g, const struct change *c, const char *path) {
    struct gguf_writer *w;
    slm_err err;
    assert_int_equal(gguf_writer_create(&w, &err), SLM_OK);
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);
        char key[128];
        snprintf(key, sizeof key, "%.*s", (int)kv->key.len, kv->key.ptr);
        if (c->key == NOTHING || c->at != i) assert_int_equal(gguf_put_kv(w, kv, &err), SLM_OK);
        else if (c->key == GROW) assert_int_equal(gguf_put_u32(w, key, c->value, &err), SLM_OK);
    }
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        uint64_t shape[GGUF_N_DIM_MAX] = {t->shape[0], t->shape[1], t->shape[2], t->shape[3]};
        uint32_t n_dim = t->n_dim;
        char name[GGUF_NAME_BYTES_MAX + 1];
        if (is_changed(c, DROP, i)) continue;
        if (is_changed(c, GROW, i)) shape[0]++;
        if (is_changed(c, FLATTEN, i)) n_dim = 1, shape[0] = t->n_elem;
        snprintf(name, sizeof name, "%.*s", (int)t->name.len, t->name.ptr);
        assert_int_equal(gguf_add_tensor(w, name, t->dtype, n_dim, shape, &err), SLM_OK);
    }
    struct copy copy = {g, c};
    if (gguf_write(w, path, give_tensor, &copy, &err) != SLM_OK) fail_msg("%s", err.msg);
    gguf_writer_destroy(w);
}

/* It opened, so it must run. */
static void run_model(struct slm_model *m) {
    static const int32_t ids[] = {1, 5, 7, 100};
    struct slm_session *s;
    slm_err err;
    struct session_params p = {.n_ctx = 8, .n_chunk = 8, .n_threads = 1, .kv_type = KV_TYPE_AUTO};
    if (session_create(m, &p, &s, &err) != SLM_OK) return;
    if (m->hp.n_vocab > 100) {
        float *out = calloc(4 * (size_t)m->hp.d_model + m->hp.n_label, sizeof *out);
        struct embed_params e = {.pooling = POOLING_NONE};
        (void)session_embed(s, ids, 4, &e, out, &err);
        (void)session_feed(s, ids, 4, NULL, &err);
        free(out);
    }
    session_destroy(s);
}

static size_t n_tried, n_refused;

static void try_change(const struct gguf *g, const struct change *c, const char *path, const char *name) {
    struct slm_model *m;
    slm_err err;
    err_clear(&err);
    write_damaged(g, c, path);
    slm_status st = model_open(path, 0, &m, &err);
    n_tried++;
    if (st == SLM_OK) {
        run_model(m);
        model_close(m);
        return;
    }
    n_refused++;
    assert_null(m);
    if (!strstr(err.msg, path) || strchr(err.msg, '\n')) fail_msg("%s, %s %zu: message \"%s\"", name, c->tensor ? "tensor" : "key", c->at, err.msg);
}

static void check_model(const char *name, const char *path) {
    static const uint32_t values[] = {0, 1, 3, 64, 4096, 1000000007, UINT32_MAX};
    char file[128];
    struct gguf *g;
    slm_err err;
    snprintf(file, sizeof file, DIR "%s.gguf", name);
    assert_int_equal(gguf_open(test_data(file), &g, &err), SLM_OK);
    for (size_t i = 0; i < gguf_n_tensor(g); i++)
        for (int d = DROP; d <= FLATTEN; d++) try_change(g, &(struct change){.tensor = (enum damage)d, .at = i}, path, name);
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        try_change(g, &(struct change){.key = DROP, .at = i}, path, name);
        if (gguf_kv_at(g, i)->key.len >= 10 && memcmp(gguf_kv_at(g, i)->key.ptr, "tokenizer.", 10) == 0) continue;
        for (size_t k = 0; k < sizeof values / sizeof values[0]; k++)
            try_change(g, &(struct change){.key = GROW, .at = i, .value = values[k]}, path, name);
    }
    gguf_close(g);
}

static void test_damage(void **state) {
    char path[64]; /* in memory where that can be: every file is synced to its disk */
    snprintf(path, sizeof path, "%s/slm-test-damaged-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    int fd = mkstemp(path);
    json_t *root = json_load_file(test_data(DIR "manifest.json"), 0, NULL);
    static const char *const lists[] = {"cases", "embed_cases"};
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    for (size_t l = 0; l < 2; l++) {
        const json_t *cases = json_object_get(root, lists[l]);
        for (size_t i = 0; i < json_array_size(cases); i++) check_model(json_string_value(json_array_get(cases, i)), path);
    }
    json_decref(root);
    unlink(path);
    printf("%zu files, %zu refused\n", n_tried, n_refused);
    assert_true(n_refused > n_tried / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_damage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
