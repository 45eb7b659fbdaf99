/* Embeddings of tiny random models against a float64 reference: states of the tokens, then every pooling. The cases are those
 * that golden/models/manifest.json names. Threads, chunks (of decoders) and what was embedded before do not change a bit. */
#include "test.h"

#include <math.h>

#include <jansson.h>

#include "engine/embed.h"

#define DIR "golden/models/"
#define TOLERANCE 1e-4

static int32_t *ids;
static size_t n_tok, stride;

static struct slm_model *open_case(const char *name) {
    char file[128];
    struct slm_model *m;
    slm_err err;
    snprintf(file, sizeof file, DIR "%s.gguf", name);
    if (model_open(test_data(file), 0, &m, &err) != SLM_OK) fail_msg("%s", err.msg);
    return m;
}

static struct slm_session *open_session(struct slm_model *m, int n_threads, int32_t n_chunk) {
    struct slm_session *s;
    slm_err err;
    struct session_params p = embed_session_params(m, (int32_t)n_tok, n_threads);
    if (!m->hp.bidirectional) p.n_chunk = n_chunk, p.kv_type = KV_F32;
    assert_int_equal(session_create(m, &p, &s, &err), SLM_OK);
    return s;
}

static float *embed(struct slm_session *s, enum pooling pooling, bool normalize, size_t *n) {
    slm_err err;
    struct embed_params p = {.pooling = (int)pooling, .normalize = normalize};
    *n = pooling == POOLING_NONE ? n_tok * s->model->hp.d_model : model_pooled_size(s->model, pooling);
    float *out = malloc(*n * sizeof *out);
    if (session_embed(s, ids, n_tok, &p, out, &err) != SLM_OK) fail_msg("%s", err.msg);
    return out;
}

static void check_values(FILE *f, const char *name, enum pooling pooling, const float *got, size_t n) {
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        float want;
        assert_int_equal(fread(&want, sizeof want, 1, f), 1);
        worst = fmax(worst, fabs((double)got[i] - (double)want));
    }
    if (!(worst <= TOLERANCE)) fail_msg("%s, %s: %g from the reference", name, pooling_name(pooling), worst);
}

static void check_case(const char *name) {
    char file[128];
    struct slm_model *m = open_case(name);
    struct slm_session *s = open_session(m, 1, 0), *other = open_session(m, 3, 7);
    size_t d = m->hp.d_model, n;
    snprintf(file, sizeof file, DIR "%s.embeddings.f32", name);
    FILE *f = fopen(test_data(file), "rb");
    assert_non_null(f);
    for (int p = 0; p < N_POOLINGS; p++) {
        if (p == POOLING_RANK && m->hp.n_label == 0) continue;
        float *got = embed(s, (enum pooling)p, false, &n), *again = embed(other, (enum pooling)p, false, &n);
        assert_memory_equal(got, again, n * sizeof *got);
        if (p != POOLING_NONE) check_values(f, name, (enum pooling)p, got, n);
        else
            for (size_t i = 0; i < n_tok; i += stride) check_values(f, name, POOLING_NONE, got + i * d, d);
        free(got);
        free(again);
    }
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
    session_destroy(s);
    session_destroy(other);
    model_close(m);
}

static void test_cases(void **state) {
    size_t n_isa;
    const struct ops_isa *isa = ops_isa_rows(&n_isa);
    json_t *root = json_load_file(test_data(DIR "manifest.json"), 0, NULL);
    const json_t *tokens = json_object_get(root, "tokens"), *cases = json_object_get(root, "embed_cases");
    (void)state;
    n_tok = json_array_size(tokens);
    stride = (size_t)json_integer_value(json_object_get(root, "stride"));
    ids = malloc(n_tok * sizeof *ids);
    for (size_t i = 0; i < n_tok; i++) ids[i] = (int32_t)json_integer_value(json_array_get(tokens, i));
    assert_true(json_array_size(cases) > 0);
    for (size_t k = 0; k < n_isa; k++) {
        struct ops ops;
        slm_err err;
        if (ops_build(&ops, isa[k].name, &err) != SLM_OK) continue;
        setenv("SLM_CPU", isa[k].name, 1);
        for (size_t i = 0; i < json_array_size(cases); i++) check_case(json_string_value(json_array_get(cases, i)));
    }
    unsetenv("SLM_CPU");
    json_decref(root);
}

static void test_normalize(void **state) {
    struct slm_model *m = open_case("nomic-bert");
    struct slm_session *s = open_session(m, 1, 0);
    double squares = 0;
    size_t n;
    (void)state;
    float *v = embed(s, POOLING_MEAN, true, &n);
    for (size_t i = 0; i < n; i++) squares += (double)v[i] * (double)v[i];
    assert_true(fabs(squares - 1) < 1e-6);
    free(v);
    session_destroy(s);
    model_close(m);
}

static void test_refusals(void **state) {
    struct slm_model *m = open_case("bert");
    struct slm_session *s = open_session(m, 1, 0);
    struct embed_params p = {.pooling = POOLING_RANK};
    int32_t many[128] = {0};
    float out[256];
    slm_err err;
    (void)state;
    assert_int_equal(session_embed(s, ids, n_tok, &p, out, &err), SLM_E_UNSUPPORTED); /* no classification head */
    p.pooling = POOLING_MODEL;
    assert_int_equal(session_embed(s, many, 0, &p, out, &err), SLM_E_USAGE);
    assert_int_equal(session_embed(s, many, n_tok + 1, &p, out, &err), SLM_E_LIMIT);
    assert_non_null(strstr(err.msg, "81 tokens"));
    assert_int_equal(session_feed(s, ids, 4, NULL, &err), SLM_E_USAGE); /* an encoder has no next token */
    assert_non_null(strstr(err.msg, "no output head"));
    session_destroy(s);
    struct session_params sp = embed_session_params(m, 4000, 1); /* past the position table: a text that needs it is refused */
    assert_int_equal(session_create(m, &sp, &s, &err), SLM_OK);
    assert_int_equal(session_embed(s, many, 97, &p, out, &err), SLM_E_LIMIT);
    session_destroy(s);
    model_close(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_normalize), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
