/* Texts to ids as llama.cpp gives them, for every vocabulary of ../shared and both ways to read special pieces; back to text; and
 * the cases where the authors' tokenizer.json says otherwise, which are followed and named here. */
#include "test.h"

#include <jansson.h>
#include <utf8proc.h>

#include "model/model.h"

static const char *const vocabs[] = {"gpt-2.gguf", "llama-bpe.gguf", "llama-spm.gguf", "phi-3.gguf", "qwen2.gguf", "bert-bge.gguf"};

/* The authors normalise to NFC first; llama.cpp does not. Such a text must give the ids of its NFC. */
static const char *const nfc_vocabs[] = {"qwen2.gguf"};
#define N_NFC_CASES 19

/* Single cases, with the ids of the authors' library; no column: both. Qwen: llama.cpp takes </s> for an end of turn by its looks; to the
 * authors it is an ordinary piece that merging never reaches. */
struct exception {
    const char *file, *column, *text;
    int32_t ids[64];
    size_t n;
};
static const struct exception exceptions[] = {
    {"qwen2.gguf", "ids_special", "<s> </s> <|im_start|>user<|im_end|> <|endoftext|>",
     {44047, 29, 690, 82, 29, 220, 151644, 872, 151645, 220, 151643}, 11},
    /* BERT: only marks that take no place (Mn) are accents, llama.cpp drops vowel signs (Mc) and jamo too; words past 100 characters are unknown. */
    {"bert-bge.gguf", NULL, "العربية עברית हिन्दी",
     {1270, 23673, 29830, 17149, 29816, 14498, 19433, 1259, 29789, 29811, 29796, 29813, 1339, 29877, 29863, 29861, 29878}, 17},
    {"bert-bge.gguf", NULL, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
     {100}, 1},
    {"bert-bge.gguf", NULL, "Tiếng Việt ṣ̣ 가나다 한",
     {5495, 3070, 19710, 1055, 1455, 30006, 29992, 30006, 29993, 30006, 1469, 30006, 30021}, 13},
    {"bert-bge.gguf", NULL, "'0&)FU0ओ;hz$L仝_🍣ЂS\"بhKBPLwd🌊a;ǔ@K1{1-TोK仁乲B",
     {1005, 1014, 1004, 1007, 100, 1025, 22100, 1002, 1048, 100, 1035, 100, 1000, 100, 1025, 1057, 1030, 1047, 2487, 1063, 1015, 1011, 1056, 29879, 2243, 1758, 100, 1038}, 28},
    {"bert-bge.gguf", NULL, "\n1 љBǓfड़0 亦 'bB  q 3书3 ,Ʌ\tdf🎄  ॉ\n\t dgh.",
     {1015, 1215, 8569, 2546, 29857, 2692, 100, 1005, 22861, 1053, 1017, 100, 1017, 1010, 1134, 100, 100, 1040, 5603, 1012}, 20},
    {"bert-bge.gguf", NULL, "۠أ乮🌥ڕژ2ॢ३ڣॠٓऎज़цڅګ仮e🌃؏ۏۆٮٰڦŏ仆Ã؅ऊ1िُŒुऺكआ🍡亻ऻ॔М٭hआ\nłशेऔȄƞؑऋپ乶gؗ",
     {1270, 100, 100, 1761, 100, 100, 100, 1757, 100, 100, 1044, 29848, 100, 100, 1043}, 15},
    {"bert-bge.gguf", NULL, " क़ءॸغ6乺 🌬ऐा%ڷ؋ڝڅڠ؀ڛऋ件۳ोख़९ं🌇ڈۖbسجиي؜ض乔ोCڣ🍷🍀ۏټॗ؟cْۧضुऻ中ड़जųڙѓ۴ۗ",
     {100, 100, 100, 1003, 100, 100, 100, 100, 100, 100, 100, 1746, 100}, 13},
};

static struct tok *open_vocab(const char *file) {
    char name[128];
    struct gguf *g;
    struct tok *t;
    slm_err err;
    snprintf(name, sizeof name, "data/vocab/%s", file);
    assert_int_equal(gguf_open(test_need_shared(name), &g, &err), SLM_OK);
    if (model_read_tokenizer(g, &t, &err) != SLM_OK) fail_msg("%s: %s", file, err.msg);
    gguf_close(g);
    return t;
}

static bool same_ids(const json_t *want, const struct tok_ids *got) {
    if (json_array_size(want) != got->n) return false;
    for (size_t i = 0; i < got->n; i++)
        if (json_integer_value(json_array_get(want, i)) != got->v[i]) return false;
    return true;
}

static void print_ids(const char *file, const char *text, const char *what, const struct tok *t, const json_t *want, const struct tok_ids *got) {
    printf("%s, %s: \"%s\"\n  want", file, what, text);
    for (size_t i = 0; i < json_array_size(want); i++) {
        int32_t id = (int32_t)json_integer_value(json_array_get(want, i));
        struct view v = tok_piece(t, id, true);
        printf(" %d[%.*s]", id, VIEW_ARG(v));
    }
    printf("\n  got ");
    for (size_t i = 0; i < got->n; i++) {
        struct view v = tok_piece(t, got->v[i], true);
        printf(" %d[%.*s]", got->v[i], VIEW_ARG(v));
    }
    printf("\n");
}

static bool is_exception(const char *file, const char *column, const char *text, const struct tok_ids *got) {
    for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++) {
        const struct exception *e = &exceptions[i];
        if (strcmp(e->file, file) == 0 && (!e->column || strcmp(e->column, column) == 0) && strcmp(e->text, text) == 0)
            return got->n == e->n && memcmp(got->v, e->ids, e->n * sizeof e->ids[0]) == 0;
    }
    return false;
}

/* Is this vocabulary one that normalises, the text not in NFC, and are the ids those of its NFC? */
static bool is_nfc_case(const struct tok *t, const char *file, const char *text, unsigned flags, const struct tok_ids *got) {
    struct tok_ids ids = {0};
    bool same = false;
    for (size_t i = 0; i < sizeof nfc_vocabs / sizeof nfc_vocabs[0]; i++) {
        if (strcmp(nfc_vocabs[i], file) != 0) continue;
        char *nfc = (char *)utf8proc_NFC((const utf8proc_uint8_t *)text);
        if (strcmp(nfc, text) != 0) {
            assert_int_equal(tok_encode(t, view_of(nfc), flags, &ids, NULL), SLM_OK);
            same = ids.n == got->n && memcmp(ids.v, got->v, ids.n * sizeof *ids.v) == 0;
        }
        free(nfc);
    }
    tok_ids_fini(&ids);
    return same;
}

struct tally {
    int n_bad, n_nfc, n_exceptions;
};

static void check_column(const struct tok *t, const char *file, const json_t *c, const char *column, unsigned flags, struct tally *tally) {
    struct tok_ids ids = {0};
    const json_t *want = json_object_get(c, column);
    const char *text = json_string_value(json_object_get(c, "text"));
    assert_int_equal(tok_encode(t, view_of(text), flags, &ids, NULL), SLM_OK);
    if (same_ids(want, &ids)) goto out;
    if (is_exception(file, column, text, &ids)) tally->n_exceptions++;
    else if (is_nfc_case(t, file, text, flags, &ids)) tally->n_nfc++;
    else {
        tally->n_bad++;
        print_ids(file, text, column, t, want, &ids);
    }
out:
    tok_ids_fini(&ids);
}

/* Back to text, pushed id by id (BERT keeps neither case nor spaces). */
static void check_text(const struct tok *t, const char *text) {
    struct tok_ids ids = {0};
    struct detok d;
    struct buf out;
    char *nfc = (char *)utf8proc_NFC((const utf8proc_uint8_t *)text);
    bool lower_one = strstr(text, "\xe2\x96\x81") && strcmp(tok_config_of(t)->family, "llama") == 0; /* becomes a space for good */
    assert_int_equal(tok_encode(t, view_of(text), 0, &ids, NULL), SLM_OK);
    buf_init(&out, 4096);
    buf_puts(&out, "");
    detok_init(&d, t, true, true);
    for (size_t i = 0; i < ids.n; i++) detok_push(&d, ids.v[i], &out);
    detok_finish(&d, &out);
    if (!lower_one && strcmp(out.data, text) != 0) assert_string_equal(out.data, nfc);
    buf_fini(&out);
    free(nfc);
    tok_ids_fini(&ids);
}

static void check_vocab(const json_t *golden, const char *file, struct tally *tally) {
    struct tok *t = open_vocab(file);
    const json_t *cases = json_object_get(golden, file);
    assert_true(json_array_size(cases) > 100);
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *c = json_array_get(cases, i);
        check_column(t, file, c, "ids", 0, tally);
        check_column(t, file, c, "ids_special", TOK_PARSE_SPECIAL, tally);
        if (strcmp(tok_config_of(t)->family, "bert") != 0) check_text(t, json_string_value(json_object_get(c, "text")));
    }
    tok_destroy(t);
}

static void test_vocabs(void **state) {
    json_t *golden = json_load_file(test_need_shared("golden/tokenizers/cases.json"), 0, NULL);
    struct tally tally = {0};
    (void)state;
    assert_non_null(golden);
    for (size_t i = 0; i < sizeof vocabs / sizeof vocabs[0]; i++) check_vocab(golden, vocabs[i], &tally);
    json_decref(golden);
    assert_int_equal(tally.n_bad, 0);
    assert_int_equal(tally.n_nfc, 2 * N_NFC_CASES);
    assert_int_equal(tally.n_exceptions, 1 + 2 * 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vocabs)};
    test_need_shared("golden/tokenizers/cases.json");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
