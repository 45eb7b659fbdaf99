/* Broken, cut, hostile and absurd safetensors files and indexes: each fails with its class of error and one clear line.
 *
 * `test_fault_safetensors --seeds DIR` writes the files of this test as seeds for fuzz_safetensors. */
#include <sys/stat.h>

#include "fault/st_raw.h"
#include "test.h"

static slm_err err;

/* Exactly the bytes, so that a sanitizer sees every step past the end. */
static slm_status open_exactly(const uint8_t *bytes, size_t n, uint64_t *sum) {
    struct safetensors *s = NULL;
    uint8_t *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    if (n) memcpy(copy, bytes, n);
    err = (slm_err){0};
    slm_status st = safetensors_open_memory(copy, n, "m.safetensors", &s, &err);
    if (st == SLM_OK) *sum += walk_safetensors(s);
    else assert_null(s);
    safetensors_close(s);
    free(copy);
    return st;
}

static void assert_one_line(const char *file) {
    assert_non_null(strstr(err.msg, file));
    for (const char *p = err.msg; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) fail_msg("control character in message: %s", err.msg);
    assert_int_not_equal(err.msg[strlen(err.msg) - 1], '.');
}

#define T(name, dtype, shape, from, to) "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" from "," to "]}"
#define SAMPLE "{\"__metadata__\":{\"format\":\"pt\"}," T("b", "F32", "[2,3]", "16", "40") "," T("a", "BF16", "[8]", "0", "16") "," T("none", "F16", "[0,4]", "16", "16") "," T("one", "I64", "[]", "40", "48") "}   "
#define ANYWHERE SLM_NOWHERE

static const struct st_case {
    const char *name, *json;
    size_t n_body;
    slm_status want;
    const char *says;
    uint64_t where; /* ANYWHERE: not looked at */
} cases[] = {
    {"sample", SAMPLE, 48, SLM_OK, NULL, ANYWHERE},
    {"no-tensors", "{}", 0, SLM_OK, NULL, ANYWHERE},
    {"every-type", "{" T("a", "F8_E4M3", "[2]", "0", "2") "," T("b", "BOOL", "[2]", "2", "4") "," T("c", "U64", "[1]", "4", "12") "," T("d", "F4", "[4]", "12", "14") "," T("e", "C64", "[1]", "14", "22") "}", 22, SLM_OK, NULL, ANYWHERE},
    {"no-json", "{\"a\":", 0, SLM_E_FORMAT, "no JSON", ANYWHERE},
    {"not-object", "[1]", 0, SLM_E_FORMAT, "does not begin with \"{\"", 8},
    {"space-first", " {}", 0, SLM_E_FORMAT, "does not begin with \"{\"", 8},
    {"empty-header", "", 4, SLM_E_FORMAT, "does not begin with \"{\"", 8},
    {"two-objects", "{}{}", 0, SLM_E_FORMAT, "no JSON", ANYWHERE},
    {"name-twice", "{" T("a", "F32", "[1]", "0", "4") "," T("a", "F32", "[1]", "4", "8") "}", 8, SLM_E_FORMAT, "duplicate", ANYWHERE},
    {"key-twice", "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, SLM_E_FORMAT, "duplicate", ANYWHERE},
    {"not-utf8", "{\"\xff\xfe\":{}}", 0, SLM_E_FORMAT, "no JSON", ANYWHERE},
    {"nul-in-name", "{\"a\\u0000b\":{}}", 0, SLM_E_FORMAT, "no JSON", ANYWHERE},
    {"name-empty", "{" T("", "F32", "[1]", "0", "4") "}", 4, SLM_E_FORMAT, "length of its name", ANYWHERE},
    {"hostile-name", "{\"\\u001b[2J\\n\":7}", 0, SLM_E_FORMAT, "tensor \"\\x1b[2J\\x0a\": its entry is no object", 8},
    {"entry-number", "{\"a\":7}", 0, SLM_E_FORMAT, "tensor \"a\": its entry is no object", 9},
    {"entry-extra", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"scale\":2}}", 4, SLM_E_FORMAT, "key \"scale\" is unknown", 9},
    {"no-dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, SLM_E_FORMAT, "\"dtype\" is missing", 9},
    {"dtype-unknown", "{" T("a", "F7", "[1]", "0", "4") "}", 4, SLM_E_UNSUPPORTED, "dtype \"F7\" is unknown", 9},
    {"dtype-lower", "{" T("a", "f32", "[1]", "0", "4") "}", 4, SLM_E_UNSUPPORTED, "dtype \"f32\" is unknown", 9},
    {"no-shape", "{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, SLM_E_FORMAT, "\"shape\" is missing", 9},
    {"dim-negative", "{" T("a", "F32", "[-1]", "0", "4") "}", 4, SLM_E_FORMAT, "dimension 0 is no whole number", 9},
    {"dim-real", "{" T("a", "F32", "[1.0]", "0", "4") "}", 4, SLM_E_FORMAT, "dimension 0 is no whole number", 9},
    {"nine-dims", "{" T("a", "F32", "[1,1,1,1,1,1,1,1,1]", "0", "4") "}", 4, SLM_E_UNSUPPORTED, "9 dimensions", 9},
    {"elements-overflow", "{" T("a", "F32", "[4294967296,4294967296,2]", "0", "4") "}", 4, SLM_E_FORMAT, "number of elements overflows", 9},
    {"bytes-overflow", "{" T("a", "F64", "[2305843009213693952]", "0", "4") "}", 4, SLM_E_FORMAT, "whole number of bytes", 9},
    {"half-byte", "{" T("a", "F4", "[3]", "0", "2") "}", 2, SLM_E_FORMAT, "whole number of bytes", 9},
    {"dim-too-large", "{" T("a", "F32", "[99999999999999999999]", "0", "4") "}", 4, SLM_E_FORMAT, "no JSON", ANYWHERE},
    {"no-offsets", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, SLM_E_FORMAT, "\"data_offsets\" is missing", 9},
    {"one-offset", "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, SLM_E_FORMAT, "\"data_offsets\" is missing", 9},
    {"offsets-turned", "{" T("a", "F32", "[1]", "4", "0") "}", 4, SLM_E_FORMAT, "bytes 4 to 0", 9},
    {"offset-negative", "{" T("a", "F32", "[1]", "-4", "0") "}", 4, SLM_E_FORMAT, "bytes -4 to 0", 9},
    {"past-end", "{" T("a", "F32", "[2]", "0", "8") "}", 4, SLM_E_FORMAT, "bytes 0 to 8 pass the 4", 9},
    {"offset-huge", "{" T("a", "F32", "[1]", "9223372036854775803", "9223372036854775807") "}", 4, SLM_E_FORMAT, "pass the 4", 9},
    {"shape-too-small", "{" T("a", "F32", "[1]", "0", "8") "}", 8, SLM_E_FORMAT, "needs 4 bytes of F32, its offsets give 8", 9},
    {"overlap", "{" T("a", "F32", "[2]", "0", "8") "," T("b", "F32", "[2]", "4", "12") "}", 12, SLM_E_FORMAT, "tensor \"b\": overlaps tensor \"a\"", ANYWHERE},
    {"same-bytes", "{" T("a", "F32", "[2]", "0", "8") "," T("b", "F32", "[2]", "0", "8") "}", 8, SLM_E_FORMAT, "overlaps tensor", ANYWHERE},
    {"hole", "{" T("a", "F32", "[1]", "0", "4") "," T("b", "F32", "[1]", "8", "12") "}", 12, SLM_E_FORMAT, "4 bytes before tensor \"b\" belong to no tensor", ANYWHERE},
    {"hole-first", "{" T("a", "F32", "[1]", "4", "8") "}", 8, SLM_E_FORMAT, "4 bytes before tensor \"a\"", ANYWHERE},
    {"bytes-left", "{" T("a", "F32", "[1]", "0", "4") "}", 6, SLM_E_FORMAT, "2 bytes at the end belong to no tensor", ANYWHERE},
    {"metadata-number", "{\"__metadata__\":7}", 0, SLM_E_FORMAT, "\"__metadata__\" is no object", 9},
    {"metadata-value", "{\"__metadata__\":{\"a\":1}}", 0, SLM_E_FORMAT, "the value of \"a\" is no string", 9},
};
#define N_CASES (sizeof cases / sizeof cases[0])

static void test_named_cases(void **state) {
    static struct st_raw r;
    uint64_t sum = 0;
    (void)state;
    for (size_t i = 0; i < N_CASES; i++) {
        const struct st_case *c = &cases[i];
        st_raw_put(&r, c->json, c->n_body);
        slm_status st = open_exactly(r.bytes, r.n, &sum);
        if (st != c->want || (c->says && !strstr(err.msg, c->says))) fail_msg("%s: status %d: %s", c->name, st, err.msg);
        if (st == SLM_OK) continue;
        assert_one_line("m.safetensors");
        if (c->where != ANYWHERE && err.where != c->where) fail_msg("%s: offset %llu", c->name, (unsigned long long)err.where);
        if (err.where > r.n) fail_msg("%s: offset %llu is outside the file", c->name, (unsigned long long)err.where);
    }
}

static void test_sample_opens(void **state) {
    static struct st_raw r;
    struct safetensors *s;
    (void)state;
    st_raw_put(&r, SAMPLE, 48);
    assert_int_equal(safetensors_open_memory(r.bytes, r.n, "m.safetensors", &s, &err), SLM_OK);
    assert_int_equal(safetensors_n_tensor(s), 4);
    const struct st_tensor *b = safetensors_find(s, "b"), *one = safetensors_find(s, "one"), *none = safetensors_find(s, "none");
    assert_int_equal(b->n_dim, 2);
    assert_int_equal(b->shape[0], 2);
    assert_int_equal(b->shape[1], 3);
    assert_int_equal(b->type->dtype, DTYPE_F32);
    assert_ptr_equal(b->data, r.bytes + b->offset);
    assert_int_equal(b->offset, r.n - 48 + 16);
    assert_int_equal(one->n_dim, 0);
    assert_int_equal(one->n_elem, 1);
    assert_int_equal(none->n_elem, 0);
    assert_null(safetensors_find(s, "__metadata__"));
    assert_string_equal(safetensors_path_of(s, b), "m.safetensors");
    safetensors_close(s);
}

static void test_cut_at_every_length(void **state) {
    static struct st_raw r;
    uint64_t sum = 0;
    (void)state;
    st_raw_put(&r, SAMPLE, 48);
    for (size_t n = 0; n < r.n; n++) {
        assert_int_equal(open_exactly(r.bytes, n, &sum), SLM_E_FORMAT);
        assert_one_line("m.safetensors");
        assert_true(err.where <= n);
    }
}

static void test_every_byte_changed(void **state) {
    static struct st_raw r;
    uint64_t sum = 0, n_open = 0;
    (void)state;
    st_raw_put(&r, SAMPLE, 48);
    for (size_t i = 0; i < r.n; i++) {
        uint8_t old = r.bytes[i];
        const uint8_t values[] = {0, 0xff, 0x7f, 0x80, '"', '{', '9', (uint8_t)(old ^ 1), (uint8_t)(old + 1), (uint8_t)(old - 1), '\n', 0x1b};
        for (size_t k = 0; k < sizeof values; k++) {
            r.bytes[i] = values[k];
            slm_status st = open_exactly(r.bytes, r.n, &sum);
            if (st == SLM_OK) n_open++;
            else if (st != SLM_E_FORMAT && st != SLM_E_UNSUPPORTED) fail_msg("byte %zu: status %d: %s", i, st, err.msg);
            else assert_one_line("m.safetensors");
        }
        r.bytes[i] = old;
    }
    assert_true(n_open > 0 && sum > 0);
}

static void test_lengths(void **state) {
    static const struct { const char *bytes; size_t n; slm_status want; const char *says; } rows[] = {
        {"", 0, SLM_E_FORMAT, "it is empty"},
        {"\2\0\0", 3, SLM_E_FORMAT, "cannot hold a header's length"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, SLM_E_FORMAT, "cut short: its header has 18446744073709551615 bytes"},
        {"\3\0\0\0\0\0\0\0{}", 10, SLM_E_FORMAT, "cut short: its header has 3 bytes, 2 are left"},
        {"version https://git-lfs.github.com/spec/v1\noid", 46, SLM_E_FORMAT, "a Git LFS pointer"},
        {"GGUF\3\0\0\0\0\0\0\0\0\0\0\0", 16, SLM_E_FORMAT, "a GGUF file"},
        {"<!DOCTYPE html><html>", 21, SLM_E_FORMAT, "a web page"},
        {"PK\3\4aaaaaaaaaa", 14, SLM_E_FORMAT, "zip archive"},
    };
    uint64_t sum = 0;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(open_exactly((const uint8_t *)rows[i].bytes, rows[i].n, &sum), rows[i].want);
        if (!strstr(err.msg, rows[i].says)) fail_msg("%s", err.msg);
        assert_one_line("m.safetensors");
        assert_int_equal(err.where, 0);
    }
    /* A header as long as it says, but past our limit. */
    size_t n = ST_HEADER_BYTES_MAX + 9;
    uint8_t *big = calloc(1, n);
    uint64_t length = ST_HEADER_BYTES_MAX + 1;
    assert_non_null(big);
    memcpy(big, &length, sizeof length);
    assert_int_equal(open_exactly(big, n, &sum), SLM_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "the limit is"));
    free(big);
}

/* A deep nest must end in an error, not in the stack's end. */
static void test_deep_nest(void **state) {
    static struct st_raw r;
    static char json[60000];
    uint64_t sum = 0;
    (void)state;
    memset(json, '[', sizeof json - 1);
    memcpy(json, "{\"a\":", 5);
    st_raw_put(&r, json, 0);
    assert_int_equal(open_exactly(r.bytes, r.n, &sum), SLM_E_FORMAT);
    assert_one_line("m.safetensors");
}

/* Folders */

static char folder[256] = "/tmp/slm-test-st-XXXXXX";

static const char *in_folder(const char *name) {
    static char ring[4][512];
    static int next;
    char *path = ring[next++ % 4];
    snprintf(path, sizeof ring[0], "%s/%s", folder, name);
    return path;
}

static void save(const char *name, const void *bytes, size_t n) {
    FILE *f = fopen(in_folder(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static void save_shard(const char *name, const char *json, size_t n_body) {
    static struct st_raw r;
    st_raw_put(&r, json, n_body);
    save(name, r.bytes, r.n);
}

static void save_index(const char *json) { save("model.safetensors.index.json", json, strlen(json)); }

static void save_two(void) {
    save_shard("model-00001-of-00002.safetensors", "{" T("a", "F32", "[1]", "0", "4") "}", 4);
    save_shard("model-00002-of-00002.safetensors", "{" T("b", "F16", "[2]", "0", "4") "," T("c", "F16", "[2]", "4", "8") "}", 8);
    save_index("{\"metadata\":{\"total_size\":12},\"weight_map\":{\"a\":\"model-00001-of-00002.safetensors\","
               "\"b\":\"model-00002-of-00002.safetensors\",\"c\":\"model-00002-of-00002.safetensors\"}}");
}

static void expect(slm_status want, const char *says) {
    struct safetensors *s;
    err = (slm_err){0};
    slm_status st = safetensors_open_folder(folder, &s, &err);
    if (st != want || !strstr(err.msg, says)) fail_msg("status %d: %s", st, err.msg);
    assert_null(s);
    assert_one_line("slm-test-st-");
}

static void test_shards_open_as_one(void **state) {
    struct safetensors *s;
    (void)state;
    save_two();
    if (safetensors_open_folder(folder, &s, &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_int_equal(safetensors_n_tensor(s), 3);
    assert_int_equal(safetensors_find(s, "c")->i_shard, 1);
    assert_non_null(strstr(safetensors_path_of(s, safetensors_find(s, "b")), "00002-of"));
    walk_safetensors(s);
    safetensors_close(s);
}

static void test_broken_folders(void **state) {
    struct safetensors *s;
    (void)state;
    save_two();
    save_shard("model-00002-of-00002.safetensors", "{" T("b", "F16", "[2]", "0", "4") "}", 4);
    expect(SLM_E_FORMAT, "tensor \"c\" is not in \"model-00002-of-00002.safetensors\"");
    save_shard("model-00002-of-00002.safetensors", "{" T("a", "F16", "[2]", "0", "4") "}", 4);
    expect(SLM_E_FORMAT, "tensor \"a\": is in an earlier shard too");
    unlink(in_folder("model-00002-of-00002.safetensors"));
    expect(SLM_E_FORMAT, "shard 2 of 2");

    save_index("{\"weight_map\":");
    expect(SLM_E_FORMAT, "no JSON");
    save_index("[]");
    expect(SLM_E_FORMAT, "\"weight_map\" is missing");
    save_index("{\"weight_map\":{}}");
    expect(SLM_E_FORMAT, "\"weight_map\" is missing, no object or empty");
    save_index("{\"weight_map\":{\"a\":7}}");
    expect(SLM_E_FORMAT, "the file of tensor \"a\" is no string");
    static const char *const outside[] = {"../model.safetensors", "/etc/passwd", "sub/m.safetensors", "..", ".hidden.safetensors", "m.bin", "",
                                          "a\\\\b.safetensors", ".safetensors", "a\\nb.safetensors"};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        char json[256];
        snprintf(json, sizeof json, "{\"weight_map\":{\"a\":\"%s\"}}", outside[i]);
        save_index(json);
        expect(SLM_E_FORMAT, "a plain name ending in \".safetensors\" is needed");
    }
    unlink(in_folder("model.safetensors.index.json"));
    expect(SLM_E_NOT_FOUND, "neither \"model.safetensors\" nor");
    save("pytorch_model.bin", "x", 1);
    expect(SLM_E_NOT_FOUND, "neither \"model.safetensors\" nor");
    assert_non_null(strstr(err.hint, "pickle"));

    save_shard("model.safetensors", "{" T("a", "F32", "[1]", "0", "4") "}", 4);
    assert_int_equal(safetensors_open_folder(folder, &s, &err), SLM_OK);
    safetensors_close(s);
    assert_int_equal(safetensors_open(in_folder("model.safetensors"), &s, &err), SLM_OK);
    safetensors_close(s);
    assert_int_equal(safetensors_open(in_folder("missing.safetensors"), &s, &err), SLM_E_IO);
    assert_null(s);
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
    char command[600];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static int write_seeds(const char *dir) {
    static struct st_raw r;
    snprintf(folder, sizeof folder, "%s", dir);
    for (size_t i = 0; i < N_CASES; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s.safetensors", cases[i].name);
        st_raw_put(&r, cases[i].json, cases[i].n_body);
        save(name, r.bytes, r.n);
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--seeds") == 0) return write_seeds(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample_opens), cmocka_unit_test(test_named_cases),        cmocka_unit_test(test_cut_at_every_length),
        cmocka_unit_test(test_every_byte_changed), cmocka_unit_test(test_lengths),      cmocka_unit_test(test_deep_nest),
        cmocka_unit_test(test_shards_open_as_one), cmocka_unit_test(test_broken_folders),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
