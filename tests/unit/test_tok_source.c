/* Authors' tokenizer files: what each structure becomes, what is refused and by which name, and what the files of a folder add. */
#include "tok_vocab.h"

#include <sys/stat.h>

#include "text/tok_source.h"

#define BYTE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}"
#define BPE(options) "\"model\":{\"type\":\"BPE\"," options "\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"abc\":4},\"merges\":[\"a b\",[\"ab\",\"c\"]]}"
#define CL100K "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+"
#define SPLIT(pattern) "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" pattern "\"},\"behavior\":\"Isolated\",\"invert\":false}"
#define SEQUENCE(members, parts) "{\"type\":\"Sequence\",\"" members "\":[" parts "]}"

struct json_case {
    const char *json, *pre, *pattern; /* pattern: the first one, when no row has them */
    bool ignore_merges, nfc;
};
static const struct json_case byte_level[] = {
    {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}," BPE("") "}", "gpt-2", NULL, false, false},
    {"{\"pre_tokenizer\":" SEQUENCE("pretokenizers", SPLIT(CL100K) "," BYTE_LEVEL) "," BPE("\"ignore_merges\":true,") "}", "llama-bpe", NULL, false, false},
    {"{\"pre_tokenizer\":" SEQUENCE("pretokenizers", SPLIT(CL100K) "," BYTE_LEVEL) "," BPE("") "}", "dbrx", NULL, false, false},
    {"{\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}," BPE("") "}", "olmo", NULL, false, false},
    {"{\"pre_tokenizer\":" SEQUENCE("pretokenizers", "{\"type\":\"Digits\",\"individual_digits\":true},{\"type\":\"ByteLevel\",\"add_prefix_space\":false}")
     "," BPE("") "}", "smollm", NULL, false, false},
    {"{\"normalizer\":" SEQUENCE("normalizers", "{\"type\":\"NFC\"}") ",\"pre_tokenizer\":" SEQUENCE("pretokenizers", SPLIT("[a-z]+") "," BYTE_LEVEL)
     "," BPE("\"ignore_merges\":true,") "}", "default", "[a-z]+", true, true},
    {"{\"pre_tokenizer\":" SEQUENCE("pretokenizers", "{\"type\":\"Split\",\"pattern\":{\"String\":\"a.b\"},\"behavior\":\"Isolated\"}," BYTE_LEVEL) "," BPE("") "}",
     "default", "a\\.b", false, false},
};

static void test_byte_level(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof byte_level / sizeof byte_level[0]; i++) {
        const struct json_case *c = &byte_level[i];
        struct tok_source s;
        struct tok *t;
        slm_err err;
        if (tok_source_read_json(&s, view_of(c->json), view_of(""), &err) != SLM_OK) fail_msg("case %zu: %s", i, err.msg);
        assert_string_equal(s.config.family, "gpt2");
        assert_string_equal(s.config.pre, c->pre);
        if (c->pattern) assert_string_equal(s.config.patterns[0], c->pattern);
        else assert_null(s.config.patterns);
        assert_int_equal(s.config.ignore_merges, c->ignore_merges);
        assert_int_equal(s.config.nfc, c->nfc);
        assert_int_equal(tok_create(&s.config, &t, &err), SLM_OK);
        assert_string_equal(ids_text(t, "abcab", 0), "4 3");
        tok_source_close(&s);
        tok_destroy(t);
    }
}

#define MARK "\xe2\x96\x81"
#define MARKED_BPE                                                                                                          \
    "\"decoder\":{\"type\":\"ByteFallback\"},\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"unk_token\":\"<unk>\","   \
    "\"vocab\":{\"<unk>\":0,\"<0x0A>\":1,\"a\":2,\"b\":3,\"" MARK "\":4,\"ab\":5,\"" MARK "ab\":6,\"" MARK "a\":7}"

static void test_marked_spaces(void **state) {
    static const char merges_all[] = ",\"merges\":[\"a b\",\"" MARK " ab\",\"" MARK "a b\",\"" MARK " a\"]}}";
    static const char merges_some[] = ",\"merges\":[\"" MARK " a\",\"a b\",\"" MARK "a b\"]}}";
    static const char prepend[] = "{\"normalizer\":" SEQUENCE("normalizers", "{\"type\":\"Prepend\",\"prepend\":\"" MARK "\"},"
        "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" MARK "\"}") "," MARKED_BPE;
    static const char replace[] = "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"" MARK "\"}," MARKED_BPE;
    struct tok_source s;
    struct tok *t;
    slm_err err;
    char json[2048];
    (void)state;
    snprintf(json, sizeof json, "%s%s", prepend, merges_all);
    if (tok_source_read_json(&s, view_of(json), view_of(""), &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_string_equal(s.config.family, "llama");
    assert_true(s.config.add_space_prefix);
    assert_int_equal(s.config.types[0], TOK_UNKNOWN);
    assert_int_equal(s.config.types[1], TOK_BYTE);
    assert_int_equal(s.config.unk, 0);
    assert_true(s.config.scores[5] > s.config.scores[6] && s.config.scores[6] > s.config.scores[7]);
    assert_int_equal(tok_create(&s.config, &t, &err), SLM_OK);
    assert_string_equal(ids_text(t, "ab a\n", 0), "6 7 1");
    tok_destroy(t);
    tok_source_close(&s);
    /* Merges that scores cannot say: a cut is missing. They stay, and a space before them is refused. */
    snprintf(json, sizeof json, "%s%s", replace, merges_some);
    assert_int_equal(tok_source_read_json(&s, view_of(json), view_of(""), &err), SLM_OK);
    assert_string_equal(s.config.family, "gemma4");
    assert_int_equal(s.config.n_merges, 3);
    assert_int_equal(tok_create(&s.config, &t, &err), SLM_OK);
    assert_string_equal(ids_text(t, " ab", 0), "6");
    tok_destroy(t);
    tok_source_close(&s);
    snprintf(json, sizeof json, "%s%s", prepend, merges_some);
    assert_int_equal(tok_source_read_json(&s, view_of(json), view_of(""), &err), SLM_E_UNSUPPORTED);
}

static void test_wordpiece_unigram(void **state) {
    static const char bert[] = "{\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":true},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
        "\"added_tokens\":[{\"id\":0,\"content\":\"[UNK]\",\"special\":true}],"
        "\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\",\"vocab\":{\"[UNK]\":0,\"un\":1,\"##do\":2,\"!\":3}}}";
    static const char unigram[] = "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"" MARK "\",\"prepend_scheme\":\"first\"},"
        "\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"" MARK "\",-2],[\"a\",-3],[\"" MARK "a\",-4],[\"aa\",-4.5]]}}";
    struct tok_source s;
    struct tok *t;
    slm_err err;
    (void)state;
    if (tok_source_read_json(&s, view_of(bert), view_of(""), &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_int_equal(tok_create(&s.config, &t, &err), SLM_OK);
    assert_string_equal(ids_text(t, "UNDO! \xc3\xbcndo redo", 0), "1 2 3 1 2 0");
    tok_destroy(t);
    tok_source_close(&s);
    if (tok_source_read_json(&s, view_of(unigram), view_of(""), &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_true(s.config.prefix_first_only && s.config.prefix_unless_space);
    assert_int_equal(tok_create(&s.config, &t, &err), SLM_OK);
    assert_string_equal(ids_text(t, "aa", 0), "1 4"); /* -2 - 4.5 is better than -4 - 3 */
    assert_string_equal(ids_text(t, " aza", 0), "3 0 2");
    tok_destroy(t);
    tok_source_close(&s);
}

/* Every refusal names what it refuses. */
static void test_refusals(void **state) {
    static const struct {
        const char *json, *named;
        slm_status st;
    } cases[] = {
        {"{", "line 1", SLM_E_FORMAT},
        {"[]", "object", SLM_E_FORMAT},
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{}}}", "\"WordLevel\"", SLM_E_UNSUPPORTED},
        {"{\"pre_tokenizer\":" BYTE_LEVEL ",\"normalizer\":{\"type\":\"NFKD\"}," BPE("") "}", "\"NFKD\"", SLM_E_UNSUPPORTED},
        {"{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true}," BPE("") "}", "\"add_prefix_space\"", SLM_E_UNSUPPORTED},
        {"{\"pre_tokenizer\":" SEQUENCE("pretokenizers", "{\"type\":\"UnicodeScripts\"}," BYTE_LEVEL) "," BPE("") "}", "\"UnicodeScripts\"", SLM_E_UNSUPPORTED},
        {"{\"pre_tokenizer\":" SEQUENCE("pretokenizers", BYTE_LEVEL ",{\"type\":\"Digits\"}") "," BPE("") "}", "after ByteLevel", SLM_E_UNSUPPORTED},
        {"{\"pre_tokenizer\":" BYTE_LEVEL "," BPE("\"dropout\":0.1,") "}", "\"dropout\"", SLM_E_UNSUPPORTED},
        {"{\"pre_tokenizer\":" BYTE_LEVEL ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":5000000},\"merges\":[]}}", "\"a\"", SLM_E_FORMAT},
        {"{\"pre_tokenizer\":" BYTE_LEVEL ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", "\"a\"", SLM_E_FORMAT},
        {"{\"pre_tokenizer\":" BYTE_LEVEL ",\"added_tokens\":[{\"id\":9,\"content\":\"x\",\"single_word\":true}]," BPE("") "}", "\"single_word\"", SLM_E_UNSUPPORTED},
        {"{\"pre_tokenizer\":" BYTE_LEVEL ",\"added_tokens\":[{\"id\":9}]," BPE("") "}", "no content", SLM_E_FORMAT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tok_source s;
        slm_err err;
        slm_status st = tok_source_read_json(&s, view_of(cases[i].json), view_of(""), &err);
        if (st != cases[i].st || !strstr(err.msg, cases[i].named)) fail_msg("case %zu: status %d, \"%s\"", i, (int)st, err.msg);
        assert_int_equal(s.n_templates, 0);
    }
}

/* SentencePiece */

static void put_bytes(struct buf *b, unsigned field, struct view v) {
    assert_true(v.len < 128);
    buf_putc(b, (char)(field << 3 | 2));
    buf_putc(b, (char)v.len);
    buf_append(b, v.ptr, v.len);
}

static void put_spm_piece(struct buf *b, const char *text, float score, int type) {
    struct buf piece;
    buf_init(&piece, 1000);
    put_bytes(&piece, 1, view_of(text));
    buf_putc(&piece, 2 << 3 | 5);
    buf_append(&piece, &score, 4);
    if (type != TOK_NORMAL) buf_putc(&piece, 3 << 3), buf_putc(&piece, (char)type);
    put_bytes(b, 1, (struct view){piece.data, piece.len});
    buf_fini(&piece);
}

static void make_spm(struct buf *b) {
    put_spm_piece(b, "<unk>", 0, TOK_UNKNOWN);
    put_spm_piece(b, "<s>", 0, TOK_CONTROL);
    put_spm_piece(b, "</s>", 0, TOK_CONTROL);
    put_spm_piece(b, "<0x0A>", 0, TOK_BYTE);
    put_spm_piece(b, MARK "a", -1, TOK_NORMAL);
    put_spm_piece(b, MARK, -2, TOK_NORMAL);
    put_spm_piece(b, "a", -3, TOK_NORMAL);
    put_bytes(b, 2, (struct view){"\x18\x02", 2});     /* model_type BPE */
    put_bytes(b, 3, (struct view){"\x18\x01\x20\x00", 4}); /* add_dummy_prefix, spaces are not squeezed */
}

static void test_spm(void **state) {
    struct tok_source s;
    struct tok *t;
    struct buf model;
    slm_err err;
    (void)state;
    buf_init(&model, 4096);
    make_spm(&model);
    if (tok_source_read_spm(&s, (struct view){model.data, model.len}, &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_string_equal(s.config.family, "llama");
    assert_int_equal(s.config.n_vocab, 7);
    assert_int_equal(s.config.bos, 1);
    assert_int_equal(s.config.eos, 2);
    assert_int_equal(s.config.pad, TOK_NONE);
    assert_false(s.config.remove_extra_whitespaces);
    assert_int_equal(tok_create(&s.config, &t, &err), SLM_OK);
    assert_string_equal(ids_text(t, "a  a\n", 0), "4 5 4 3");
    tok_destroy(t);
    tok_source_close(&s);
    for (size_t n = 0; n < model.len; n++) { /* cut anywhere: refused or read, never more */
        if (tok_source_read_spm(&s, (struct view){model.data, n}, &err) == SLM_OK) tok_source_close(&s);
        else assert_true(err.code == SLM_E_FORMAT);
    }
    buf_fini(&model);
}

/* A folder */

static void write_file(const char *dir, const char *name, struct view text) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text.ptr, 1, text.len, f), text.len);
    fclose(f);
}

static void remove_folder(const char *dir) {
    static const char *const names[] = {"tokenizer.json", "tokenizer.model", "tokenizer_config.json", "generation_config.json", "chat_template.jinja", "special_tokens_map.json"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    assert_int_equal(rmdir(dir), 0);
}

static void test_folder(void **state) {
    char dir[] = "/tmp/slm-tok-XXXXXX";
    struct tok_source s;
    slm_err err;
    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(tok_source_open(&s, dir, 0, &err), SLM_E_FORMAT);
    write_file(dir, "tokenizer.json", view_of("{\"pre_tokenizer\":" BYTE_LEVEL ",\"added_tokens\":[{\"id\":5,\"content\":\"<|end|>\",\"special\":false},"
        "{\"id\":6,\"content\":\"<x>\",\"special\":false,\"rstrip\":true},{\"id\":7,\"content\":\"<s>\",\"special\":true}],"
        "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}},{\"Sequence\":{\"id\":\"A\"}}]}," BPE("") "}"));
    write_file(dir, "tokenizer_config.json", view_of("{\"bos_token\":{\"content\":\"<s>\"},\"eos_token\":null,"
        "\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"T\"},{\"name\":\"default\",\"template\":\"D\"}]}"));
    write_file(dir, "special_tokens_map.json", view_of("{\"pad_token\":\"<x>\",\"bos_token\":\"a\"}"));
    write_file(dir, "generation_config.json", view_of("{\"eos_token_id\":[5,7,5,99]}"));
    if (tok_source_open(&s, dir, 10, &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_int_equal(s.config.n_vocab, 10);
    assert_int_equal(s.config.types[5], TOK_CONTROL); /* by its looks */
    assert_int_equal(s.config.types[6], TOK_USER_DEFINED);
    assert_int_equal(s.config.types[9], TOK_UNUSED);
    assert_true(view_eq(s.config.pieces[9], view_of("[PAD9]")));
    assert_int_equal(s.config.strips[6], TOK_RSTRIP);
    assert_int_equal(s.config.bos, 7);
    assert_int_equal(s.config.pad, 6);
    assert_int_equal(s.config.eos, 5);
    assert_true(s.config.add_bos && !s.config.add_eos);
    assert_int_equal(s.n_ends, 2);
    assert_int_equal(s.n_templates, 2);
    assert_string_equal(s.templates[0].name, "default");
    assert_string_equal(s.templates[0].text, "D");
    tok_source_close(&s);
    write_file(dir, "chat_template.jinja", view_of("J"));
    assert_int_equal(tok_source_open(&s, dir, 0, &err), SLM_OK);
    assert_string_equal(s.templates[0].text, "J");
    tok_source_close(&s);
    write_file(dir, "generation_config.json", view_of("{]"));
    assert_int_equal(tok_source_open(&s, dir, 0, &err), SLM_E_FORMAT);
    assert_non_null(strstr(err.msg, "generation_config.json"));
    remove_folder(dir);
}

static void test_folder_spm(void **state) {
    char dir[] = "/tmp/slm-tok-XXXXXX";
    struct tok_source s;
    struct buf model;
    slm_err err;
    (void)state;
    assert_non_null(mkdtemp(dir));
    buf_init(&model, 4096);
    make_spm(&model);
    write_file(dir, "tokenizer.model", (struct view){model.data, model.len});
    write_file(dir, "tokenizer_config.json", view_of("{\"add_bos_token\":false,\"eos_token\":\"<end>\",\"added_tokens_decoder\":"
        "{\"8\":{\"content\":\"<end>\",\"special\":true},\"6\":{\"content\":\"a\",\"special\":false}}}"));
    if (tok_source_open(&s, dir, 0, &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_int_equal(s.config.n_vocab, 9);
    assert_int_equal(s.config.eos, 8);
    assert_int_equal(s.config.types[6], TOK_USER_DEFINED);
    assert_int_equal(s.config.types[7], TOK_UNUSED);
    assert_false(s.config.add_bos);
    tok_source_close(&s);
    /* With tokenizer.json of the same pieces, the model's scores stand. */
    write_file(dir, "tokenizer.json", view_of("{\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{\"<unk>\":0,\"<s>\":1,\"</s>\":2,\"<0x0A>\":3,\""
        MARK "a\":4,\"" MARK "\":5,\"a\":6},\"merges\":[\"" MARK " a\"]},\"added_tokens\":[{\"id\":1,\"content\":\"<s>\",\"special\":true}]}"));
    if (tok_source_open(&s, dir, 0, &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_true(s.config.scores[6] < -2.5f && s.config.scores[6] > -3.5f);
    assert_int_equal(s.config.types[2], TOK_CONTROL);
    assert_int_equal(s.config.types[0], TOK_UNKNOWN);
    tok_source_close(&s);
    buf_fini(&model);
    remove_folder(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_byte_level), cmocka_unit_test(test_marked_spaces), cmocka_unit_test(test_wordpiece_unigram),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_spm), cmocka_unit_test(test_folder), cmocka_unit_test(test_folder_spm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
