/* Broken, cut, hostile and absurd GGUF files: each fails with its class of error and one clear line, none crashes.
 *
 * `test_fault_gguf --seeds DIR` writes the files of this test that are small as seeds for fuzz_gguf. */
#include <dirent.h>

#include "fault/gguf_raw.h"
#include "test.h"

#define ANYWHERE (UINT64_MAX - 1)

static slm_err err;

/* The bytes in memory of exactly their size, so that a sanitizer sees every step past the end. */
static slm_status open_exactly(const uint8_t *bytes, size_t n, uint64_t *sum) {
    struct gguf *g = NULL;
    uint8_t *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    if (n) memcpy(copy, bytes, n);
    err = (slm_err){0};
    slm_status st = gguf_open_memory(copy, n, "m.gguf", &g, &err);
    if (st == SLM_OK)
        *sum += walk_gguf(g);
    else
        assert_null(g);
    gguf_close(g);
    free(copy);
    return st;
}

static void assert_one_line(const char *file) {
    assert_non_null(strstr(err.msg, file));
    for (const char *p = err.msg; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) fail_msg("control character in message: %s", err.msg);
    assert_int_not_equal(err.msg[strlen(err.msg) - 1], '.');
}

/* A small file with one of everything. */
static void put_sample(struct raw *r, uint32_t version) {
    raw_head(r, version, 4, 10);
    raw_key_string(r, "general.architecture", "tiny");
    raw_key_u32(r, "general.alignment", 32);
    raw_key(r, "k.u8", GGUF_U8);
    raw_u8(r, 200);
    raw_key(r, "k.i64", GGUF_I64);
    raw_u64(r, (uint64_t)-3);
    raw_key(r, "k.f32", GGUF_F32);
    raw_f32(r, 0.5f);
    raw_key(r, "k.bool", GGUF_BOOL);
    raw_u8(r, 1);
    raw_key_array(r, "k.words", GGUF_STRING, 3);
    raw_string(r, "a");
    raw_string(r, "");
    raw_string(r, "\xe2\x96\x81the");
    raw_key_array(r, "k.u16s", GGUF_U16, 3);
    raw_put(r, "\1\0\2\0\3\0", 6);
    raw_key_array(r, "k.bools", GGUF_BOOL, 2);
    raw_put(r, "\0\1", 2);
    raw_key_array(r, "k.none", GGUF_F64, 0);
    raw_tensor(r, "f32", 2, (const uint64_t[]){3, 2}, 0, 0);
    raw_tensor(r, "q8", 1, (const uint64_t[]){64}, 8, 32);
    raw_tensor(r, "q4k", 3, (const uint64_t[]){256, 1, 1}, 12, 128);
    raw_tensor(r, "bf16", 4, (const uint64_t[]){1, 2, 3, 1}, 30, 288);
    raw_pad(r, 32);
    for (int i = 0; i < 300; i++) raw_u8(r, (uint8_t)(i * 7));
}

static void test_sample_opens(void **state) {
    (void)state;
    static struct raw r;
    uint64_t sum = 0;
    for (uint32_t version = 2; version <= 3; version++) {
        put_sample(&r, version);
        if (open_exactly(r.bytes, r.n, &sum) != SLM_OK) fail_msg("%s", err.msg);
    }
    struct gguf *g;
    assert_int_equal(gguf_open_memory(r.bytes, r.n, "m.gguf", &g, &err), SLM_OK);
    const struct gguf_tensor *t = gguf_find_tensor(g, "f32");
    assert_int_equal(t->shape[0], 2);
    assert_int_equal(t->shape[1], 3);
    assert_int_equal(t->shape[2], 1);
    assert_ptr_equal(t->data, r.bytes + t->offset);
    assert_int_equal(gguf_kv_i64(gguf_find(g, "k.i64"), 0), -3);
    struct view words[3];
    gguf_kv_strings(gguf_find(g, "k.words"), words);
    assert_true(view_eq(words[2], VIEW("\xe2\x96\x81the")));
    assert_int_equal(words[1].len, 0);
    gguf_close(g);
}

static void test_cut_at_every_length(void **state) {
    (void)state;
    static struct raw r;
    uint64_t sum = 0;
    put_sample(&r, 3);
    for (size_t n = 0; n < r.n; n++) {
        assert_int_equal(open_exactly(r.bytes, n, &sum), SLM_E_FORMAT);
        assert_one_line("m.gguf");
        assert_true(err.where <= n);
    }
}

static void test_every_byte_changed(void **state) {
    (void)state;
    static struct raw r;
    uint64_t sum = 0, n_open = 0;
    put_sample(&r, 3);
    for (size_t i = 0; i < r.n; i++) {
        uint8_t old = r.bytes[i];
        const uint8_t values[] = {
            0,    0xff, 0x7f, 0x80, (uint8_t)(old ^ 1), (uint8_t)(old ^ 4), (uint8_t)(old + 1), (uint8_t)(old - 1),
            '\n', 0x1b};
        for (size_t k = 0; k < sizeof values; k++) {
            r.bytes[i] = values[k];
            slm_status st = open_exactly(r.bytes, r.n, &sum);
            if (st == SLM_OK) {
                n_open++;
                continue;
            }
            if (st != SLM_E_FORMAT && st != SLM_E_UNSUPPORTED) fail_msg("byte %zu: status %d: %s", i, st, err.msg);
            assert_one_line("m.gguf");
        }
        r.bytes[i] = old;
    }
    assert_true(n_open > 300 * 10); /* tensor bytes may be anything */
    assert_int_not_equal(sum, 0);
}

/* Named cases. `make` writes the bytes. */
static void make_empty(struct raw *r) { r->n = 0; }
static void make_text(struct raw *r) { raw_bytes(r, "hello, world: this is no model at all"); }
static void make_zip(struct raw *r) { raw_put(r, "PK\3\4aaaaaaaaaaaaaaaa", 20); }
static void make_safetensors(struct raw *r) {
    raw_u64(r, 40);
    raw_bytes(r, "{\"__metadata__\":{\"format\":\"pt\"}}       ");
}
static void make_html(struct raw *r) { raw_bytes(r, "<!DOCTYPE html><html><title>404</title></html>"); }
static void make_lfs(struct raw *r) { raw_bytes(r, "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"); }
static void make_ggjt(struct raw *r) { raw_put(r, "tjgg\3\0\0\0aaaaaaaaaaaaaaaa", 24); }
static void make_version_1(struct raw *r) { put_sample(r, 1); }
static void make_version_4(struct raw *r) { put_sample(r, 4); }
static void make_big_endian(struct raw *r) { put_sample(r, 0x03000000); }
static void make_many_tensors(struct raw *r) { raw_head(r, 3, UINT64_MAX, 0); }
static void make_many_keys(struct raw *r) {
    raw_head(r, 3, 0, 1ull << 60);
    raw_key_u32(r, "a", 1);
}
static void make_keys_over_limit(struct raw *r) {
    raw_head(r, 3, 0, GGUF_N_KV_MAX + 1);
    for (int i = 0; i <= GGUF_N_KV_MAX; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%d", i);
        raw_key(r, key, GGUF_U8);
        raw_u8(r, 0);
    }
}
static void make_key_past_end(struct raw *r) {
    raw_head(r, 3, 0, 1);
    raw_u64(r, UINT64_MAX);
    raw_bytes(r, "abcdefgh");
}
static void make_key_too_long(struct raw *r) {
    raw_head(r, 3, 0, 1);
    raw_u64(r, GGUF_KEY_BYTES_MAX + 1);
    for (int i = 0; i <= GGUF_KEY_BYTES_MAX + 20; i++) raw_u8(r, 'k');
}
static void make_key_empty(struct raw *r) {
    raw_head(r, 3, 0, 1);
    raw_key_u32(r, "", 1);
}
static void make_key_twice(struct raw *r) {
    raw_head(r, 3, 0, 2);
    raw_key_u32(r, "a.b", 1);
    raw_key_u32(r, "a.b", 2);
}
static void make_key_hostile(struct raw *r) {
    raw_head(r, 3, 0, 1);
    raw_key(r, "\x1b[31m\n\r\"\\\x7f\xff\xe2\x80\xae\xc3\xa9", 13);
    raw_u32(r, 1);
}
static void make_string_past_end(struct raw *r) {
    raw_head(r, 3, 0, 1);
    raw_key(r, "s", GGUF_STRING);
    raw_u64(r, 1ull << 63);
    raw_bytes(r, "abc");
}
static void make_value_type(struct raw *r) {
    raw_head(r, 3, 0, 1);
    raw_key(r, "a", 13);
    raw_u64(r, 1);
}
static void make_array_type(struct raw *r) {
    raw_head(r, 3, 0, 1);
    raw_key_array(r, "a", 99, 1);
    raw_u64(r, 1);
}
static void make_array_nested(struct raw *r) {
    raw_head(r, 3, 0, 1);
    raw_key_array(r, "a", GGUF_ARRAY, 1);
    raw_u32(r, GGUF_U8);
    raw_u64(r, 0);
}
static void make_array_huge(struct raw *r) {
    raw_head(r, 3, 0, 1);
    raw_key_array(r, "a", GGUF_U64, 1ull << 61); /* times 8 is 0 in 64 bits */
    raw_u64(r, 1);
}
static void make_array_string_past_end(struct raw *r) {
    raw_head(r, 3, 0, 1);
    raw_key_array(r, "words", GGUF_STRING, 2);
    raw_string(r, "fine");
    raw_u64(r, 1000);
}
static void make_array_strings_too_few(struct raw *r) {
    raw_head(r, 3, 0, 1);
    raw_key_array(r, "words", GGUF_STRING, 3);
    raw_string(r, "0123456789abcdef");
    raw_string(r, "x");
}
static void make_bool(struct raw *r) {
    raw_head(r, 3, 0, 1);
    raw_key(r, "b", GGUF_BOOL);
    raw_u8(r, 2);
}
static void make_bools(struct raw *r) {
    raw_head(r, 3, 0, 1);
    raw_key_array(r, "b", GGUF_BOOL, 3);
    raw_put(r, "\0\1\xff", 3);
}

/* One tensor and room for `n_data` bytes. */
static void make_one(struct raw *r, const char *name, uint32_t n_dim, const uint64_t *dims, uint32_t type,
                     uint64_t offset, int n_data) {
    raw_head(r, 3, 1, 0);
    raw_tensor(r, name, n_dim, dims, type, offset);
    raw_pad(r, 32);
    for (int i = 0; i < n_data; i++) raw_u8(r, 1);
}
static void make_no_dims(struct raw *r) { make_one(r, "t", 0, NULL, 0, 0, 64); }
static void make_five_dims(struct raw *r) { make_one(r, "t", 5, (const uint64_t[]){1, 1, 1, 1, 1}, 0, 0, 64); }
static void make_many_dims(struct raw *r) {
    make_one(r, "t", 1, (const uint64_t[]){1}, 0, 0, 64);
    memset(r->bytes + 24 + 9, 0xff, 4);
}
static void make_zero_dim(struct raw *r) { make_one(r, "t", 2, (const uint64_t[]){4, 0}, 0, 0, 64); }
static void make_dims_overflow(struct raw *r) {
    make_one(r, "t", 2, (const uint64_t[]){1ull << 32, 1ull << 32}, 0, 0, 64);
}
static void make_dims_negative(struct raw *r) { make_one(r, "t", 1, (const uint64_t[]){UINT64_MAX}, 0, 0, 64); }
static void make_bytes_overflow(struct raw *r) { make_one(r, "t", 1, (const uint64_t[]){INT64_MAX}, 0, 0, 64); }
static void make_row_odd(struct raw *r) { make_one(r, "t", 2, (const uint64_t[]){16, 2}, 8, 0, 64); }
static void make_type_known(struct raw *r) { make_one(r, "x", 1, (const uint64_t[]){256}, 15, 0, 128); }
static void make_type_unknown(struct raw *r) { make_one(r, "x", 1, (const uint64_t[]){256}, 4321, 0, 128); }
static void make_offset_odd(struct raw *r) { make_one(r, "t", 1, (const uint64_t[]){4}, 0, 8, 64); }
static void make_offset_past_end(struct raw *r) { make_one(r, "t", 1, (const uint64_t[]){16}, 0, 32, 64); }
static void make_offset_huge(struct raw *r) { make_one(r, "t", 1, (const uint64_t[]){16}, 0, UINT64_MAX - 31, 64); }
static void make_data_short(struct raw *r) { make_one(r, "t", 1, (const uint64_t[]){17}, 0, 0, 67); }
static void make_no_data(struct raw *r) {
    raw_head(r, 3, 1, 0);
    raw_tensor(r, "t", 1, (const uint64_t[]){1}, 0, 0);
}
static void make_name_empty(struct raw *r) { make_one(r, "", 1, (const uint64_t[]){4}, 0, 0, 64); }
static void make_name_long(struct raw *r) {
    char name[GGUF_NAME_BYTES_MAX + 2];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = 0;
    make_one(r, name, 1, (const uint64_t[]){4}, 0, 0, 64);
}

static void make_two(struct raw *r, const char *a, uint64_t offset_a, const char *b, uint64_t offset_b) {
    raw_head(r, 3, 2, 0);
    raw_tensor(r, a, 1, (const uint64_t[]){16}, 0, offset_a);
    raw_tensor(r, b, 1, (const uint64_t[]){16}, 0, offset_b);
    raw_pad(r, 32);
    for (int i = 0; i < 192; i++) raw_u8(r, 1);
}
static void make_tensor_twice(struct raw *r) { make_two(r, "t", 0, "t", 64); }
static void make_overlap(struct raw *r) { make_two(r, "a", 64, "b", 32); }
static void make_overlap_same(struct raw *r) { make_two(r, "a", 64, "b", 64); }

static void make_alignment(struct raw *r, uint32_t a) {
    raw_head(r, 3, 0, 1);
    raw_key_u32(r, "general.alignment", a);
}
static void make_alignment_0(struct raw *r) { make_alignment(r, 0); }
static void make_alignment_24(struct raw *r) { make_alignment(r, 24); }
static void make_alignment_4(struct raw *r) { make_alignment(r, 4); }
static void make_alignment_huge(struct raw *r) { make_alignment(r, 1u << 31); }
static void make_alignment_string(struct raw *r) {
    raw_head(r, 3, 0, 1);
    raw_key_string(r, "general.alignment", "32");
}
static void make_split_first(struct raw *r) {
    raw_head(r, 3, 0, 2);
    raw_key_u32(r, "split.no", 0);
    raw_key_u32(r, "split.count", 3);
}
static void make_split_second(struct raw *r) {
    raw_head(r, 3, 0, 2);
    raw_key_u32(r, "split.no", 1);
    raw_key_u32(r, "split.count", 3);
}
static void make_split_many(struct raw *r) {
    raw_head(r, 3, 0, 2);
    raw_key_u32(r, "split.no", 0);
    raw_key_u32(r, "split.count", UINT32_MAX);
}

#define F SLM_E_FORMAT
#define U SLM_E_UNSUPPORTED
static const struct {
    const char *name;
    void (*make)(struct raw *r);
    slm_status expected;
    uint64_t where;
    const char *message; /* part of it */
} cases[] = {
    {"empty", make_empty, F, 0, "not a GGUF file: it is empty"},
    {"text", make_text, F, 0, "not a GGUF file: it does not begin with \"GGUF\""},
    {"zip", make_zip, F, 0, "it looks like a zip archive"},
    {"safetensors", make_safetensors, F, 0, "it looks like a safetensors file"},
    {"html", make_html, F, 0, "it looks like an HTML page"},
    {"lfs", make_lfs, F, 0, "it looks like a Git LFS pointer"},
    {"ggjt", make_ggjt, F, 0, "it looks like an old GGJT file"},
    {"version-1", make_version_1, U, 4, "GGUF version 1 is not supported: only 2 and 3 are"},
    {"version-4", make_version_4, U, 4, "GGUF version 4 is not supported"},
    {"big-endian", make_big_endian, U, 4, "a big-endian GGUF file"},
    {"many-tensors", make_many_tensors, F, 8, "claims 18446744073709551615 tensors, more than its 24 bytes can hold"},
    {"many-keys", make_many_keys, F, 16, "claims 1152921504606846976 keys"},
    {"keys-over-limit", make_keys_over_limit, U, 16, "has 65537 keys: the limit is 65536"},
    {"key-past-end", make_key_past_end, F, 32, "key 0: cut short: 18446744073709551615 bytes are needed, 8 are left"},
    {"key-too-long", make_key_too_long, U, 24, "key 0: string of 65536 bytes: the limit is 65535"},
    {"key-empty", make_key_empty, F, 24, "key 0: its name is empty"},
    {"key-twice", make_key_twice, F, 43, "key \"a.b\": appears twice"},
    {"key-hostile", make_key_hostile, F, ANYWHERE,
     "key \"\\x1b[31m\\x0a\\x0d\\\"\\\\\\x7f\\xff\\xe2\\x80\\xae\xc3\xa9\": value type 13"},
    {"string-past-end", make_string_past_end, F, 45, "key \"s\": cut short"},
    {"value-type", make_value_type, F, 33, "key \"a\": value type 13 is unknown"},
    {"array-type", make_array_type, F, 37, "key \"a\": value type 99 is unknown"},
    {"array-nested", make_array_nested, U, 37, "key \"a\": arrays of arrays are not supported"},
    {"array-huge", make_array_huge, F, 41, "key \"a\": array of 2305843009213693952 elements passes the end"},
    {"array-string-past-end", make_array_string_past_end, F, ANYWHERE, "key \"words\": string 1 of 2 passes the end"},
    {"array-strings-too-few", make_array_strings_too_few, F, ANYWHERE, "key \"words\": string 2 of 3 passes the end"},
    {"bool", make_bool, F, 37, "key \"b\": bool value 2 is neither 0 nor 1"},
    {"bools", make_bools, F, 51, "key \"b\": bool value 255 is neither 0 nor 1"},
    {"no-dims", make_no_dims, F, 33, "tensor \"t\": 0 dimensions"},
    {"five-dims", make_five_dims, U, 33, "tensor \"t\": 5 dimensions: 1 to 4 are supported"},
    {"many-dims", make_many_dims, U, 33, "tensor \"t\": 4294967295 dimensions"},
    {"zero-dim", make_zero_dim, F, 45, "tensor \"t\": dimension 1 of 0: a tensor has no empty dimensions"},
    {"dims-overflow", make_dims_overflow, F, 45,
     "tensor \"t\": dimension 1 of 4294967296: the number of elements overflows"},
    {"dims-negative", make_dims_negative, F, 37, "the number of elements overflows"},
    {"bytes-overflow", make_bytes_overflow, F, 45, "tensor \"t\": the number of bytes overflows"},
    {"row-odd", make_row_odd, F, 53, "tensor \"t\": rows of 16 elements are no multiple of the 32 in a block of q8_0"},
    {"type-known", make_type_known, U, 45, "tensor \"x\": type \"q8_k\" (15) is not supported"},
    {"type-unknown", make_type_unknown, U, 45, "tensor \"x\": type 4321 is unknown"},
    {"offset-odd", make_offset_odd, F, ANYWHERE, "tensor \"t\": offset 8 is not aligned to 32"},
    {"offset-past-end", make_offset_past_end, F, ANYWHERE,
     "tensor \"t\": its 64 bytes at offset 32 pass the end of the file"},
    {"offset-huge", make_offset_huge, F, ANYWHERE,
     "tensor \"t\": its 64 bytes at offset 18446744073709551584 pass the end"},
    {"data-short", make_data_short, F, ANYWHERE, "tensor \"t\": its 68 bytes at offset 0 pass the end of the file"},
    {"no-data", make_no_data, F, ANYWHERE, "tensor \"t\": its 4 bytes at offset 0 pass the end of the file"},
    {"name-empty", make_name_empty, F, 24, "tensor 0: its name is empty"},
    {"name-long", make_name_long, U, 24, "tensor 0: string of 65 bytes: the limit is 64"},
    {"tensor-twice", make_tensor_twice, F, 57, "tensor \"t\": appears twice"},
    {"overlap", make_overlap, F, ANYWHERE, "tensor \"a\": overlaps tensor \"b\""},
    {"overlap-same", make_overlap_same, F, ANYWHERE, "overlaps tensor"},
    {"alignment-0", make_alignment_0, F, 53, "key \"general.alignment\": 0 is not a power of two from 8 to 65536"},
    {"alignment-24", make_alignment_24, F, 53, "key \"general.alignment\": 24 is not"},
    {"alignment-4", make_alignment_4, F, 53, "key \"general.alignment\": 4 is not"},
    {"alignment-huge", make_alignment_huge, F, 53, "key \"general.alignment\": 2147483648 is not"},
    {"alignment-string", make_alignment_string, F, ANYWHERE,
     "key \"general.alignment\": type is string, an integer is needed"},
    {"split-first", make_split_first, U, ANYWHERE, "one of 3 shards: shards are opened from files only"},
    {"split-second", make_split_second, U, ANYWHERE, "shard 2 of 3, not the first"},
    {"split-many", make_split_many, U, ANYWHERE, "4294967295 shards: the limit is 1024"},
};

static void test_named_cases(void **state) {
    (void)state;
    static struct raw r;
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        r.n = 0;
        cases[i].make(&r);
        slm_status st = open_exactly(r.bytes, r.n, &sum);
        if (st != cases[i].expected || !strstr(err.msg, cases[i].message))
            fail_msg("%s: status %d, message: %s", cases[i].name, st, err.msg);
        if (cases[i].where != ANYWHERE && err.where != cases[i].where)
            fail_msg("%s: at %llu, not %llu", cases[i].name, (unsigned long long)err.where,
                     (unsigned long long)cases[i].where);
        assert_one_line("\"m.gguf\": ");
        assert_int_equal(err.code, st);
        struct gguf *g;
        assert_int_equal(gguf_open_memory(r.bytes, r.n, "m.gguf", &g, NULL), st); /* an err is not needed */
    }
}

/* Long hostile names everywhere still give a whole, bounded line. */
static void test_long_names_in_messages(void **state) {
    (void)state;
    static struct raw r;
    char path[2000], key[5000];
    struct gguf *g;
    memset(path, 1, sizeof path);
    memset(key, '\n', sizeof key);
    path[sizeof path - 1] = key[sizeof key - 1] = 0;
    raw_head(&r, 3, 0, 1);
    raw_key(&r, key, 99);
    raw_u64(&r, 0);
    assert_int_equal(gguf_open_memory(r.bytes, r.n, path, &g, &err), SLM_E_FORMAT);
    assert_one_line("...\": key \"\\x0a");
    assert_non_null(strstr(err.msg, "value type 99 is unknown"));
}

/* Files in a folder, for shards. */
static char folder[256];

static const char *in_folder(const char *name) {
    static char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "%s/slm-fault-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
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

static void save(const char *name, const struct raw *r) {
    FILE *f = fopen(in_folder(name), "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(r->bytes, 1, r->n, f), r->n);
    assert_int_equal(fclose(f), 0);
}

/* A shard with one tensor, whose four floats are all `value`. */
static void save_shard(const char *file, uint32_t no, uint32_t count, uint32_t n_tensor, const char *tensor,
                       float value) {
    static struct raw r;
    raw_head(&r, 3, 1, 3);
    raw_key_u32(&r, "split.no", no);
    raw_key_u32(&r, "split.count", count);
    raw_key_u32(&r, "split.tensors.count", n_tensor);
    raw_tensor(&r, tensor, 1, (const uint64_t[]){4}, 0, 0);
    raw_pad(&r, 32);
    for (int i = 0; i < 4; i++) raw_f32(&r, value);
    save(file, &r);
}

static void save_three(uint32_t n_tensor) {
    save_shard("m-00001-of-00003.gguf", 0, 3, n_tensor, "a", 1);
    save_shard("m-00002-of-00003.gguf", 1, 3, n_tensor, "b", 2);
    save_shard("m-00003-of-00003.gguf", 2, 3, n_tensor, "c", 3);
}

static void expect(const char *file, slm_status expected, const char *message) {
    struct gguf *g = NULL;
    err = (slm_err){0};
    slm_status st = gguf_open(in_folder(file), &g, &err);
    if (st != expected || !strstr(err.msg, message)) fail_msg("%s: status %d, message: %s", file, st, err.msg);
    assert_null(g);
    assert_one_line(".gguf\"");
}

static void test_shards_open_as_one(void **state) {
    (void)state;
    struct gguf *g;
    save_three(3);
    if (gguf_open(in_folder("m-00001-of-00003.gguf"), &g, &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_int_equal(gguf_n_tensor(g), 3);
    assert_int_equal(gguf_n_kv(g), 3);
    const char *names[] = {"a", "b", "c"};
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < 3; i++) {
        const struct gguf_tensor *t = gguf_find_tensor(g, names[i]);
        assert_non_null(t);
        assert_int_equal(t->i_shard, i);
        for (int k = 0; k < 4; k++) {
            float v;
            memcpy(&v, t->data + 4 * k, sizeof v);
            assert_true(v == (float)(i + 1));
        }
        bytes += t->offset + t->n_bytes;
    }
    assert_int_equal(gguf_file_bytes(g), bytes);
    walk_gguf(g);
    gguf_close(g);
}

static void test_broken_shards(void **state) {
    (void)state;
    save_three(3);
    expect("m-00002-of-00003.gguf", SLM_E_UNSUPPORTED, "shard 2 of 3, not the first");
    assert_string_equal(err.hint, "open the first shard, \"...-00001-of-00003.gguf\"");

    save_three(4);
    expect("m-00001-of-00003.gguf", SLM_E_FORMAT, "the shards have 3 tensors, not 4");

    save_three(3);
    save_shard("m-00002-of-00003.gguf", 2, 3, 3, "b", 2);
    expect("m-00001-of-00003.gguf", SLM_E_FORMAT, "says that it is shard 3 of 3, not 2 of 3");
    save_shard("m-00002-of-00003.gguf", 1, 4, 3, "b", 2);
    expect("m-00001-of-00003.gguf", SLM_E_FORMAT, "says that it is shard 2 of 4, not 2 of 3");
    save_shard("m-00002-of-00003.gguf", 1, 3, 3, "a", 2);
    expect("m-00001-of-00003.gguf", SLM_E_FORMAT, "tensor \"a\": is in an earlier shard too");

    save_three(3);
    static struct raw r;
    r.n = 0;
    raw_bytes(&r, "GGUF");
    save("m-00003-of-00003.gguf", &r);
    expect("m-00001-of-00003.gguf", SLM_E_FORMAT, "m-00003-of-00003.gguf\": header: cut short");

    unlink(in_folder("m-00003-of-00003.gguf"));
    expect("m-00001-of-00003.gguf", SLM_E_IO, "shard 3 of 3: ");
    assert_non_null(strstr(err.msg, "m-00003-of-00003.gguf"));

    save_shard("other.gguf", 0, 3, 3, "a", 1);
    expect("other.gguf", SLM_E_UNSUPPORTED, "its name does not end in \"-00001-of-00003.gguf\"");
    expect("missing.gguf", SLM_E_IO, "missing.gguf");

    save_shard("one.gguf", 0, 1, 1, "a", 1); /* split in one is whole */
    struct gguf *g;
    assert_int_equal(gguf_open(in_folder("one.gguf"), &g, &err), SLM_OK);
    gguf_close(g);
}

/* A real-sized vocabulary opens in one pass; the bound is loose, a quadratic one would take minutes. */
static void test_large_vocabulary(void **state) {
    (void)state;
    enum { N_WORD = 280000 };
    size_t cap = 8 << 20;
    struct raw *head = calloc(1, sizeof *head);
    uint8_t *file = malloc(cap);
    struct view *words = calloc(N_WORD, sizeof *words);
    assert_true(head && file && words);
    raw_head(head, 3, 0, 1);
    raw_key_array(head, "tokenizer.ggml.merges", GGUF_STRING, N_WORD);
    memcpy(file, head->bytes, head->n);
    size_t n = head->n;
    for (uint32_t i = 0; i < N_WORD; i++) {
        uint64_t len = 3 + i % 20;
        memcpy(file + n, &len, sizeof len);
        memset(file + n + 8, 'a' + (int)(i % 26), len);
        n += 8 + len;
    }
    assert_true(n <= cap);
    struct gguf *g;
    assert_int_equal(gguf_open_memory(file, n, "m.gguf", &g, &err), SLM_OK);
    gguf_kv_strings(gguf_find(g, "tokenizer.ggml.merges"), words);
    for (uint32_t i = 0; i < N_WORD; i++) {
        assert_true(words[i].len == 3 + i % 20);
        assert_true(words[i].ptr[0] == 'a' + (char)(i % 26));
    }
    gguf_close(g);
    free(words);
    free(file);
    free(head);
}

static int write_seeds(const char *dir) {
    static struct raw r;
    snprintf(folder, sizeof folder, "%s", dir);
    put_sample(&r, 3);
    save("sample.gguf", &r);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[64];
        r.n = 0;
        cases[i].make(&r);
        if (r.n > 4096) continue;
        snprintf(name, sizeof name, "%s.gguf", cases[i].name);
        save(name, &r);
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--seeds") == 0) return write_seeds(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sample_opens),           cmocka_unit_test(test_cut_at_every_length),
        cmocka_unit_test(test_every_byte_changed),     cmocka_unit_test(test_named_cases),
        cmocka_unit_test(test_long_names_in_messages), cmocka_unit_test(test_shards_open_as_one),
        cmocka_unit_test(test_broken_shards),          cmocka_unit_test(test_large_vocabulary),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
