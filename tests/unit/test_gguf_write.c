/* The GGUF writer: bytes exactly as the format says, what the reader gives back, and no file left after a failure. */
#include <dirent.h>
#include <sys/stat.h>

#include "fault/gguf_raw.h"
#include "test.h"

static char folder[256];
static slm_err err;

#define OK(call)                                                  \
    do {                                                          \
        if ((call) != SLM_OK) fail_msg("%s: %s", #call, err.msg); \
    } while (0)

static const char *in_folder(const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "%s/slm-gguf-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    (void)state;
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.') unlink(in_folder(e->d_name));
    closedir(dir);
    return rmdir(folder);
}

static int n_files(void) {
    int n = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));) n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    closedir(dir);
    return n;
}

/* Tensor i of size n: bytes i, i + 1, ... ; user holds how the source misbehaves. */
struct source {
    const uint64_t *n_bytes;
    int64_t extra;      /* bytes more or fewer than due, at tensor `bad` */
    size_t bad;
    slm_status fails;   /* at tensor `bad` */
};

static slm_status give(void *user, size_t i, gguf_emit emit, void *sink, slm_err *e) {
    const struct source *s = user;
    uint64_t n = s->n_bytes[i];
    if (i == s->bad && s->fails) return err_set(e, s->fails, SLM_NOWHERE, "the source fails");
    if (i == s->bad) n = (uint64_t)((int64_t)n + s->extra);
    for (uint64_t k = 0; k < n; k++) { /* byte by byte: runs of any length are fine */
        uint8_t b = (uint8_t)(i + k);
        slm_status st = emit(sink, &b, 1, e);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

static struct gguf_writer *new_writer(void) {
    struct gguf_writer *w;
    OK(gguf_writer_create(&w, &err));
    return w;
}

static void test_bytes_of_a_small_file(void **state) {
    (void)state;
    struct gguf_writer *w = new_writer();
    const int16_t shorts[] = {-1, 2, 300};
    const struct view words[] = {VIEW("a"), VIEW(""), VIEW("ccc")};
    OK(gguf_put_string(w, "general.architecture", VIEW("tiny"), &err));
    OK(gguf_put_u32(w, "a.u32", 7, &err));
    OK(gguf_put_u64(w, "a.u64", 1ull << 40, &err));
    OK(gguf_put_f32(w, "a.f32", 1.5f, &err));
    OK(gguf_put_bool(w, "a.bool", true, &err));
    OK(gguf_put_array(w, "a.shorts", GGUF_I16, shorts, 3, &err));
    OK(gguf_put_strings(w, "a.words", words, 3, &err));
    OK(gguf_add_tensor(w, "one", DTYPE_F32, 2, (const uint64_t[]){2, 3}, &err));
    OK(gguf_add_tensor(w, "two", DTYPE_Q8_0, 1, (const uint64_t[]){32}, &err));
    struct source s = {.n_bytes = (const uint64_t[]){24, 34}, .bad = SIZE_MAX};
    OK(gguf_write(w, in_folder("small.gguf"), give, &s, &err));
    gguf_writer_destroy(w);

    static struct raw r;
    raw_head(&r, 3, 2, 7);
    raw_key_string(&r, "general.architecture", "tiny");
    raw_key_u32(&r, "a.u32", 7);
    raw_key(&r, "a.u64", GGUF_U64);
    raw_u64(&r, 1ull << 40);
    raw_key(&r, "a.f32", GGUF_F32);
    raw_f32(&r, 1.5f);
    raw_key(&r, "a.bool", GGUF_BOOL);
    raw_u8(&r, 1);
    raw_key_array(&r, "a.shorts", GGUF_I16, 3);
    raw_put(&r, shorts, sizeof shorts);
    raw_key_array(&r, "a.words", GGUF_STRING, 3);
    raw_string(&r, "a");
    raw_string(&r, "");
    raw_string(&r, "ccc");
    raw_tensor(&r, "one", 2, (const uint64_t[]){3, 2}, 0, 0);
    raw_tensor(&r, "two", 1, (const uint64_t[]){32}, 8, 32);
    raw_pad(&r, 32);
    for (int k = 0; k < 24; k++) raw_u8(&r, (uint8_t)k);
    raw_pad(&r, 32);
    for (int k = 0; k < 34; k++) raw_u8(&r, (uint8_t)(1 + k));
    raw_pad(&r, 32);

    static uint8_t got[4096];
    FILE *f = fopen(in_folder("small.gguf"), "rb");
    assert_non_null(f);
    assert_int_equal(fread(got, 1, sizeof got, f), r.n);
    fclose(f);
    assert_memory_equal(got, r.bytes, r.n);
}

static void write_sample(const char *path) {
    struct gguf_writer *w = new_writer();
    const uint32_t numbers[] = {1, 2, 3, 4};
    const struct view words[] = {VIEW("x"), VIEW("yy")};
    OK(gguf_put_string(w, "general.architecture", VIEW("tiny"), &err));
    OK(gguf_put_u64(w, "general.alignment", 64, &err));
    OK(gguf_put_u32(w, "split.no", 0, &err));
    OK(gguf_put_array(w, "a.numbers", GGUF_U32, numbers, 4, &err));
    OK(gguf_put_array(w, "a.none", GGUF_F64, NULL, 0, &err));
    OK(gguf_put_strings(w, "a.words", words, 2, &err));
    OK(gguf_put_bool(w, "a.no", false, &err));
    OK(gguf_add_tensor(w, "k", DTYPE_Q4_K, 2, (const uint64_t[]){3, 256}, &err));
    OK(gguf_add_tensor(w, "f", DTYPE_F32, 3, (const uint64_t[]){2, 3, 5}, &err));
    OK(gguf_add_tensor(w, "h", DTYPE_F16, 4, (const uint64_t[]){1, 2, 1, 7}, &err));
    struct source s = {.n_bytes = (const uint64_t[]){432, 120, 28}, .bad = SIZE_MAX};
    OK(gguf_write(w, path, give, &s, &err));
    gguf_writer_destroy(w);
}

static slm_status give_from_reader(void *user, size_t i, gguf_emit emit, void *sink, slm_err *e) {
    const struct gguf_tensor *t = gguf_tensor_at(user, i);
    return emit(sink, t->data, t->n_bytes, e);
}

static void test_copy_reads_back_equal(void **state) {
    (void)state;
    struct gguf *a, *b;
    char copy[512];
    write_sample(in_folder("a.gguf"));
    OK(gguf_open(in_folder("a.gguf"), &a, &err));
    assert_int_equal(gguf_n_kv(a), 7);
    assert_int_equal(gguf_n_tensor(a), 3);
    struct gguf_writer *w = new_writer();
    OK(gguf_put_u32(w, "a.no", 1, &err)); /* is replaced */
    for (size_t i = 0; i < gguf_n_kv(a); i++) OK(gguf_put_kv(w, gguf_kv_at(a, i), &err));
    for (size_t i = 0; i < gguf_n_tensor(a); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(a, i);
        char name[GGUF_NAME_BYTES_MAX + 1];
        snprintf(name, sizeof name, "%.*s", VIEW_ARG(t->name));
        OK(gguf_add_tensor(w, name, t->dtype, t->n_dim, t->shape, &err));
    }
    snprintf(copy, sizeof copy, "%s", in_folder("b.gguf"));
    OK(gguf_write(w, copy, give_from_reader, a, &err));
    gguf_writer_destroy(w);
    OK(gguf_open(copy, &b, &err));
    assert_int_equal(gguf_n_kv(b), 6); /* split.no is left out: the copy is whole */
    assert_null(gguf_find(b, "split.no"));
    for (size_t i = 0; i < gguf_n_kv(a); i++) {
        const struct gguf_kv *x = gguf_kv_at(a, i), *y;
        char key[64];
        snprintf(key, sizeof key, "%.*s", VIEW_ARG(x->key));
        if (strcmp(key, "split.no") == 0) continue;
        y = gguf_find(b, key);
        assert_non_null(y);
        assert_int_equal(x->type, y->type);
        assert_int_equal(x->elem_type, y->elem_type);
        assert_int_equal(x->n_elem, y->n_elem);
        assert_true(view_eq(x->data, y->data));
    }
    for (size_t i = 0; i < 3; i++) {
        const struct gguf_tensor *x = gguf_tensor_at(a, i), *y = gguf_tensor_at(b, i);
        assert_true(view_eq(x->name, y->name));
        assert_memory_equal(x->shape, y->shape, sizeof x->shape);
        assert_int_equal(x->dtype, y->dtype);
        assert_int_equal(y->offset % 64, 0);
        assert_int_equal(x->n_bytes, y->n_bytes);
        assert_memory_equal(x->data, y->data, x->n_bytes);
        for (uint64_t k = 0; k < y->n_bytes; k++) assert_int_equal(y->data[k], (uint8_t)(i + k));
    }
    walk_gguf(b);
    gguf_close(a);
    gguf_close(b);
}

static void test_typed_values(void **state) {
    (void)state;
    struct gguf_writer *w = new_writer();
    struct gguf *g;
    const int8_t same[] = {9, 9, 9}, differ[] = {9, 8};
    const int32_t negative = -5;
    const double pi = 3.25;
    OK(gguf_put_u64(w, "u64", UINT64_MAX, &err));
    OK(gguf_put_array(w, "same", GGUF_I8, same, 3, &err));
    OK(gguf_put_array(w, "differ", GGUF_I8, differ, 2, &err));
    OK(gguf_put_array(w, "negative", GGUF_I32, &negative, 1, &err));
    OK(gguf_put_array(w, "none", GGUF_I32, NULL, 0, &err));
    OK(gguf_put_array(w, "f64", GGUF_F64, &pi, 1, &err));
    OK(gguf_put_f32(w, "f32", 2.5f, &err));
    OK(gguf_put_bool(w, "bool", true, &err));
    OK(gguf_put_string(w, "string", VIEW("abc"), &err));
    OK(gguf_write(w, in_folder("values.gguf"), give, NULL, &err));
    gguf_writer_destroy(w);
    OK(gguf_open(in_folder("values.gguf"), &g, &err));

    uint64_t u;
    double f;
    bool b;
    struct view v;
    OK(gguf_get_u64(g, "u64", &u, &err));
    assert_true(u == UINT64_MAX);
    OK(gguf_get_u64(g, "same", &u, &err));
    assert_int_equal(u, 9);
    OK(gguf_get_f64(g, "same", &f, &err));
    assert_true(f == 9);
    OK(gguf_get_f64(g, "negative", &f, &err));
    assert_true(f == -5);
    OK(gguf_get_f64(g, "f64", &f, &err));
    assert_true(f == 3.25);
    OK(gguf_get_f64(g, "f32", &f, &err));
    assert_true(f == 2.5);
    OK(gguf_get_bool(g, "bool", &b, &err));
    assert_true(b);
    OK(gguf_get_string(g, "string", &v, &err));
    assert_true(view_eq(v, VIEW("abc")));
    assert_int_equal(gguf_kv_i64(gguf_find(g, "u64"), 0), INT64_MAX);
    assert_int_equal(gguf_kv_i64(gguf_find(g, "negative"), 0), -5);
    assert_int_equal(gguf_kv_i64(gguf_find(g, "differ"), 1), 8);
    assert_int_equal(gguf_kv_i64(gguf_find(g, "f64"), 0), 3);

    assert_int_equal(gguf_get_u64(g, "absent", &u, &err), SLM_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "values.gguf\": key \"absent\": missing"));
    assert_int_equal(gguf_get_u64(g, "negative", &u, &err), SLM_E_FORMAT);
    assert_int_equal(gguf_get_u64(g, "differ", &u, &err), SLM_E_UNSUPPORTED);
    assert_int_equal(gguf_get_u64(g, "none", &u, &err), SLM_E_FORMAT);
    assert_int_equal(gguf_get_u64(g, "f32", &u, &err), SLM_E_FORMAT);
    assert_int_equal(err.where, gguf_find(g, "f32")->offset);
    assert_int_equal(gguf_get_u64(g, "bool", &u, &err), SLM_E_FORMAT);
    assert_int_equal(gguf_get_u64(g, "string", &u, NULL), SLM_E_FORMAT);
    assert_int_equal(gguf_get_bool(g, "u64", &b, &err), SLM_E_FORMAT);
    assert_int_equal(gguf_get_string(g, "same", &v, &err), SLM_E_FORMAT);
    assert_non_null(strstr(err.msg, "key \"same\": type is array of i8, a string is needed"));
    gguf_close(g);
}

static void test_refused_metadata(void **state) {
    (void)state;
    struct gguf_writer *w = new_writer();
    const uint64_t row[] = {2, 64}, odd[] = {2, 33}, zero[] = {0, 32}, huge[] = {1ull << 40, 1ull << 40};
    const uint8_t two = 2;
    char name[80];
    memset(name, 'n', sizeof name);
    name[65] = 0;
    OK(gguf_add_tensor(w, "t", DTYPE_Q8_0, 2, row, &err));
    assert_int_equal(gguf_add_tensor(w, "t", DTYPE_F32, 1, row, &err), SLM_E_FORMAT);
    assert_string_equal(err.msg, "tensor \"t\": added twice");
    assert_int_equal(gguf_add_tensor(w, "odd", DTYPE_Q8_0, 2, odd, &err), SLM_E_FORMAT);
    assert_int_equal(gguf_add_tensor(w, "zero", DTYPE_F32, 2, zero, &err), SLM_E_FORMAT);
    assert_int_equal(gguf_add_tensor(w, "huge", DTYPE_F32, 2, huge, &err), SLM_E_FORMAT);
    assert_int_equal(gguf_add_tensor(w, "", DTYPE_F32, 2, row, &err), SLM_E_FORMAT);
    assert_int_equal(gguf_add_tensor(w, name, DTYPE_F32, 2, row, &err), SLM_E_FORMAT);
    name[64] = 0;
    OK(gguf_add_tensor(w, name, DTYPE_F32, 2, row, &err));
    assert_int_equal(gguf_add_tensor(w, "d", DTYPE_F32, 0, row, &err), SLM_E_FORMAT);
    assert_int_equal(gguf_add_tensor(w, "d", DTYPE_F32, 5, row, &err), SLM_E_FORMAT);
    assert_int_equal(gguf_put_u32(w, "", 1, &err), SLM_E_FORMAT);
    assert_int_equal(gguf_put_u32(w, "general.alignment", 24, &err), SLM_E_FORMAT);
    assert_int_equal(gguf_put_f32(w, "general.alignment", 32, &err), SLM_E_FORMAT);
    assert_int_equal(gguf_put_array(w, "b", GGUF_BOOL, &two, 1, &err), SLM_E_FORMAT);
    assert_int_equal(gguf_put_array(w, "s", GGUF_STRING, &two, 1, &err), SLM_E_FORMAT);
    assert_int_equal(gguf_put_array(w, "b", GGUF_U8, &two, (size_t)GGUF_ARRAY_MAX + 1, &err), SLM_E_LIMIT);
    gguf_writer_destroy(w);
    gguf_writer_destroy(NULL);
}

static void test_failures_leave_no_file(void **state) {
    (void)state;
    static const struct {
        int64_t extra;
        slm_status fails, expected;
        const char *message;
    } cases[] = {
        {-1, SLM_OK, SLM_E_FAILED, "tensor \"b\": its source gives 1 bytes too few"},
        {1, SLM_OK, SLM_E_FAILED, "tensor \"b\": its source gives more than 64 bytes"},
        {0, SLM_E_CANCELLED, SLM_E_CANCELLED, "the source fails"},
    };
    struct gguf_writer *w = new_writer();
    OK(gguf_add_tensor(w, "a", DTYPE_F32, 1, (const uint64_t[]){5}, &err));
    OK(gguf_add_tensor(w, "b", DTYPE_F16, 1, (const uint64_t[]){32}, &err));
    int before = n_files();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct source s = {(const uint64_t[]){20, 64}, cases[i].extra, 1, cases[i].fails};
        assert_int_equal(gguf_write(w, in_folder("never.gguf"), give, &s, &err), cases[i].expected);
        assert_non_null(strstr(err.msg, cases[i].message));
        assert_int_equal(n_files(), before);
    }
    struct source s = {.n_bytes = (const uint64_t[]){20, 64}, .bad = SIZE_MAX};
    assert_int_equal(gguf_write(w, in_folder("missing/never.gguf"), give, &s, &err), SLM_E_IO);
    assert_int_equal(n_files(), before);
    OK(gguf_write(w, in_folder("now.gguf"), give, &s, &err)); /* the writer can be used again */
    assert_int_equal(n_files(), before + 1);
    /* A failure over an existing file leaves that file as it was. */
    struct stat old, new;
    assert_int_equal(stat(in_folder("now.gguf"), &old), 0);
    struct source bad = {(const uint64_t[]){20, 64}, 1, 1, SLM_OK};
    assert_int_equal(gguf_write(w, in_folder("now.gguf"), give, &bad, &err), SLM_E_FAILED);
    assert_int_equal(stat(in_folder("now.gguf"), &new), 0);
    assert_int_equal(old.st_ino, new.st_ino);
    gguf_writer_destroy(w);
}

/* Thousands of names: every one is found again, and none that is not there. */
static void test_many_names(void **state) {
    (void)state;
    enum { N = 3000 };
    struct gguf_writer *w = new_writer();
    struct gguf *g;
    static uint64_t n_bytes[N];
    char name[32];
    for (uint32_t i = 0; i < N; i++) {
        snprintf(name, sizeof name, "blk.%u.weight", i);
        OK(gguf_put_u32(w, name, i, &err));
        OK(gguf_add_tensor(w, name, DTYPE_F32, 1, (const uint64_t[]){1 + i % 9}, &err));
        n_bytes[i] = 4 * (1 + i % 9);
    }
    struct source s = {.n_bytes = n_bytes, .bad = SIZE_MAX};
    OK(gguf_write(w, in_folder("many.gguf"), give, &s, &err));
    gguf_writer_destroy(w);
    OK(gguf_open(in_folder("many.gguf"), &g, &err));
    for (uint32_t i = 0; i < N; i++) {
        snprintf(name, sizeof name, "blk.%u.weight", i);
        assert_ptr_equal(gguf_find_tensor(g, name), gguf_tensor_at(g, i));
        assert_ptr_equal(gguf_find(g, name), gguf_kv_at(g, i));
        snprintf(name, sizeof name, "blk.%u.bias", i);
        assert_null(gguf_find_tensor(g, name));
        assert_null(gguf_find(g, name));
    }
    gguf_close(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_of_a_small_file), cmocka_unit_test(test_copy_reads_back_equal),
        cmocka_unit_test(test_typed_values),          cmocka_unit_test(test_refused_metadata),
        cmocka_unit_test(test_failures_leave_no_file), cmocka_unit_test(test_many_names),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
