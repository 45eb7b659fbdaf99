/* Tokenizers over vocabularies small enough to check by hand; merging against a plain quadratic reference; inputs that are long or broken. */
#include "tok_vocab.h"

#include <utf8proc.h>

#include "base/cpu.h"
#include "base/util.h"
#include "text/pretok_int.h"

/* SPM */

static void test_spm(void **state) {
    static struct vocab v;
    (void)state;
    vocab_init(&v, "llama");
    v.c.unk = vocab_add(&v, "<unk>", TOK_UNKNOWN, 0);
    v.c.bos = vocab_add(&v, "<s>", TOK_CONTROL, 0);
    v.c.eos = vocab_add(&v, "</s>", TOK_CONTROL, 0);
    int32_t byte0 = (int32_t)v.c.n_vocab;
    vocab_add_byte_pieces(&v);
    int32_t base = (int32_t)v.c.n_vocab; /* 259 */
    static const char *const pieces[] = {"\xe2\x96\x81", "a", "b", "c", "ab", "bc", ("\xe2\x96\x81" "a"), "abc", "\xe2\x96\x81\xe2\x96\x81", "s>", "<s"};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) vocab_add(&v, pieces[i], TOK_NORMAL, -(float)i);
    assert_int_equal(base, 259);
    struct tok *t = vocab_tok(&v);
    assert_string_equal(ids_text(t, "", 0), "");
    assert_string_equal(ids_text(t, "", TOK_ADD_BOS | TOK_ADD_EOS), "1 2");
    assert_string_equal(ids_text(t, "abc", 0), "259 266");     /* "ab" has the better score than "_a", then "abc" */
    assert_string_equal(ids_text(t, "bc", 0), "259 264");
    assert_string_equal(ids_text(t, " a", 0), "259 265");      /* one space put before, one there: "_a" beats "__" */
    assert_string_equal(ids_text(t, "a\xe2\x96\x81" "a", 0), "265 265"); /* U+2581 is a space */
    assert_string_equal(ids_text(t, "ab abc", TOK_ADD_BOS), "1 259 263 259 266");
    assert_string_equal(ids_text(t, "\n", 0), "259 13");       /* byte piece of 0x0a */
    assert_int_equal(byte0 + 10, 13);
    assert_string_equal(ids_text(t, "\xc3\xa9", 0), "259 198 172");
    assert_string_equal(ids_text(t, "\xff", 0), "259 258");
    /* Control pieces only when asked; the text after one gets its space. Text never merges into a control piece. */
    assert_string_equal(ids_text(t, "a<s>a", TOK_PARSE_SPECIAL), "265 1 265");
    assert_string_equal(ids_text(t, "<s>", 0), "259 63 268");
    v.c.add_space_prefix = false;
    tok_destroy(t);
    t = vocab_tok(&v);
    assert_string_equal(ids_text(t, "abc", 0), "266");
    tok_destroy(t);
}

static void test_spm_unknown(void **state) {
    static struct vocab v;
    (void)state;
    vocab_init(&v, "llama");
    v.c.unk = vocab_add(&v, "<unk>", TOK_UNKNOWN, 0);
    vocab_add(&v, "\xe2\x96\x81", TOK_NORMAL, -1);
    vocab_add(&v, "a", TOK_NORMAL, -2);
    vocab_add(&v, "<x>", TOK_USER_DEFINED, 0);
    struct tok *t = vocab_tok(&v);
    assert_string_equal(ids_text(t, "azzza", 0), "1 2 0 2"); /* a run of unknown characters is one */
    assert_string_equal(ids_text(t, "z<x>z", 0), "1 0 3 1 0");
    assert_int_equal(tok_piece(t, 0, false).len, 0);
    assert_int_equal(tok_piece(t, 0, true).len, 5);
    tok_destroy(t);
    v.c.unk = TOK_NONE;
    t = vocab_tok(&v);
    assert_string_equal(ids_text(t, "aza", 0), "1 2 2"); /* neither bytes nor unknown: left out */
    tok_destroy(t);
}

/* What a file that says nothing means. */
static void test_assume(void **state) {
    static const struct {
        const char *family, *pre;
        bool bos, eos;
    } cases[] = {{"llama", "default", true, false}, {"gpt2", "gpt-2", false, false}, {"gpt2", "llama-bpe", true, false}, {"gpt2", "qwen2", false, false},
                 {"gpt2", "tekken", true, false}, {"bert", NULL, true, true}, {"t5", "default", false, true}, {"gemma4", NULL, true, false}, {"none", NULL, false, false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tok_config c;
        tok_config_init(&c);
        c.family = cases[i].family;
        c.pre = cases[i].pre;
        tok_config_assume(&c);
        assert_int_equal(c.add_bos, cases[i].bos);
        assert_int_equal(c.add_eos, cases[i].eos);
    }
}

/* Special pieces */

static void test_specials(void **state) {
    static struct vocab v;
    (void)state;
    vocab_init(&v, "gpt2");
    vocab_add_bytes(&v);
    vocab_add(&v, "<|a|>", TOK_CONTROL, 0);      /* 256 */
    vocab_add(&v, "<|a|>b", TOK_USER_DEFINED, 0); /* 257: longer at the same place */
    vocab_add(&v, "|>", TOK_USER_DEFINED, 0);    /* 258 */
    vocab_add(&v, "<|im_end|>", TOK_USER_DEFINED, 0); /* 259: a control piece by its name */
    uint8_t strips[VOCAB_MAX] = {0};
    strips[258] = TOK_LSTRIP | TOK_RSTRIP;
    struct tok *t = vocab_tok(&v);
    assert_string_equal(ids_text(t, "<|a|>", TOK_PARSE_SPECIAL), "256");
    assert_string_equal(ids_text(t, "<|a|>b", TOK_PARSE_SPECIAL), "257");
    assert_string_equal(ids_text(t, "<|a|>b", 0), "257");
    assert_string_equal(ids_text(t, "<|a|>", 0), "27 91 64 258");
    assert_string_equal(ids_text(t, "<|a|", TOK_PARSE_SPECIAL), "27 91 64 91");
    assert_string_equal(ids_text(t, "<|im_end|>", 0), "27 91 72 76 62 68 77 67 258");
    assert_true(tok_is_end(t, 259));
    assert_int_equal(tok_type_of(t, 259), TOK_CONTROL);
    assert_string_equal(ids_text(t, "a |> b", 0), "64 220 258 220 65");
    tok_destroy(t);
    v.c.strips = strips;
    t = vocab_tok(&v);
    assert_string_equal(ids_text(t, "a \t|>\n b", 0), "64 258 65");
    tok_destroy(t);
    v.c.strips = NULL;
    v.c.special_rstrip = true;
    t = vocab_tok(&v);
    assert_string_equal(ids_text(t, "a |> b", 0), "64 220 258 65");
    tok_destroy(t);
}

/* BPE */

static void test_bpe(void **state) {
    static struct vocab v;
    (void)state;
    vocab_init(&v, "gpt2");
    vocab_add_bytes(&v);
    static const char *const pieces[] = {"ab", "bc", "abc", ("\xc4\xa0" "a"), "xyz"}; /* 256.. */
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) vocab_add(&v, pieces[i], TOK_NORMAL, 0);
    vocab_merge(&v, "b c");
    vocab_merge(&v, "a b");
    vocab_merge(&v, "a bc");
    vocab_merge(&v, "\xc4\xa0 a");
    struct tok *t = vocab_tok(&v);
    assert_string_equal(ids_text(t, "abc", 0), "258");
    assert_string_equal(ids_text(t, "ab", 0), "256");
    assert_string_equal(ids_text(t, "abb", 0), "256 65");
    assert_string_equal(ids_text(t, " a", 0), "259");
    assert_string_equal(ids_text(t, "xyz", 0), "87 88 89"); /* no merge reaches it */
    assert_string_equal(ids_text(t, "\xff\xfe", 0), "187 186");
    tok_destroy(t);
    v.c.pre = "llama-bpe"; /* words that are pieces are not merged */
    t = vocab_tok(&v);
    assert_string_equal(ids_text(t, "xyz", 0), "260");
    tok_destroy(t);
    vocab_merge(&v, "q q");
    slm_err err;
    assert_int_equal(tok_create(&v.c, &t, &err), SLM_E_FORMAT);
    assert_non_null(strstr(err.msg, "\"q q\""));
}

/* Is merge m "left right" with these two neighbours? */
static bool is_merge(struct view m, struct view left, struct view right) {
    return m.len == left.len + 1 + right.len && memcmp(m.ptr, left.ptr, left.len) == 0 && m.ptr[left.len] == ' ' &&
           memcmp(m.ptr + left.len + 1, right.ptr, right.len) == 0;
}

/* The best pair of the whole word is looked for anew each time: rank, then the leftmost. at[n + 1]: where symbols begin. */
static size_t merge_plainly(const struct vocab *v, const char *text, size_t *at) {
    size_t n = strlen(text);
    for (size_t i = 0; i <= n; i++) at[i] = i;
    for (;;) {
        size_t best = v->c.n_merges, i_best = 0;
        for (size_t i = 0; i + 1 < n; i++)
            for (size_t m = 0; m < best; m++)
                if (is_merge(v->merges[m], (struct view){text + at[i], at[i + 1] - at[i]}, (struct view){text + at[i + 1], at[i + 2] - at[i + 1]})) best = m, i_best = i;
        if (best == v->c.n_merges) return n;
        memmove(at + i_best + 1, at + i_best + 2, (n - i_best - 1) * sizeof *at);
        n--;
    }
}

/* Random pieces over three letters, each built in one or more ways; merges[] and pieces[] hold their text. */
static void random_vocab(struct vocab *v, struct rng *rng, char merges[][80], char pieces[][64]) {
    size_t n_piece = 3;
    vocab_init(v, "gpt2");
    vocab_add_bytes(v);
    for (int i = 0; i < 3; i++) pieces[i][0] = (char)('a' + i), pieces[i][1] = 0;
    for (int i = 0; i < 30; i++) {
        const char *l = pieces[rng_u64(rng) % n_piece], *r = pieces[rng_u64(rng) % n_piece];
        size_t n_l = strlen(l), n_r = strlen(r);
        char *m = merges[v->c.n_merges];
        bool is_new = n_l + n_r <= 24;
        if (!is_new) continue;
        memcpy(m, l, n_l);
        m[n_l] = ' ';
        memcpy(m + n_l + 1, r, n_r + 1);
        for (size_t k = 0; k < v->c.n_merges; k++) is_new &= strcmp(merges[k], m) != 0;
        if (!is_new) continue;
        memcpy(pieces[n_piece], m, n_l);
        memcpy(pieces[n_piece] + n_l, m + n_l + 1, n_r + 1);
        for (size_t k = 0; k < n_piece; k++) is_new &= strcmp(pieces[k], pieces[n_piece]) != 0;
        if (is_new) vocab_add(v, pieces[n_piece++], TOK_NORMAL, 0);
        vocab_merge(v, m); /* a second way to build a piece is a merge too */
    }
}

static void check_against_plain(struct rng *rng) {
    static struct vocab v;
    static char merges[60][80], pieces[60][64];
    size_t at[401];
    char text[400];
    random_vocab(&v, rng, merges, pieces);
    struct tok *t = vocab_tok(&v);
    for (size_t len = 1; len < sizeof text - 1; len += 1 + rng_u64(rng) % 40) {
        for (size_t i = 0; i < len; i++) text[i] = (char)('a' + rng_u64(rng) % 3);
        text[len] = 0;
        struct tok_ids ids = {0};
        size_t n = merge_plainly(&v, text, at);
        assert_int_equal(tok_encode(t, view_of(text), 0, &ids, NULL), SLM_OK);
        assert_int_equal(ids.n, n);
        for (size_t i = 0; i < n; i++) assert_true(view_eq(tok_piece(t, ids.v[i], true), (struct view){text + at[i], at[i + 1] - at[i]}));
        tok_ids_fini(&ids);
    }
    tok_destroy(t);
}

static void test_merging(void **state) {
    struct rng rng;
    (void)state;
    rng_init(&rng, 7);
    for (int i = 0; i < 40; i++) check_against_plain(&rng);
}

/* A text long enough to remember words gives what its parts give. */
static void test_memory_of_words(void **state) {
    static struct vocab v;
    struct tok_ids whole = {0}, part = {0};
    char text[8192];
    size_t n = 0;
    (void)state;
    vocab_init(&v, "llama");
    v.c.add_space_prefix = false;
    v.c.unk = vocab_add(&v, "<unk>", TOK_UNKNOWN, 0);
    static const char *const pieces[] = {"\xe2\x96\x81", "a", "b", "ab", "\xe2\x96\x81" "ab", "b\xe2\x96\x81" "b"};
    for (size_t i = 0; i < 6; i++) vocab_add(&v, pieces[i], TOK_NORMAL, (float)i);
    struct tok *t = vocab_tok(&v);
    for (unsigned i = 0; n + 32 < sizeof text; i++) n += (size_t)snprintf(text + n, sizeof text - n, "%s", i % 7 == 3 ? " zz" : i % 5 ? " ab" : " bb b");
    assert_int_equal(tok_encode(t, (struct view){text, n}, 0, &whole, NULL), SLM_OK);
    for (size_t at = 0; at < n;) { /* cut before " ab" only: no piece crosses it */
        size_t len = 300;
        if (len > n - at) len = n - at;
        while (at + len < n && memcmp(text + at + len, " ab", 3) != 0) len++;
        while (at + len < n && text[at + len - 1] == 'z') len++, len += strcspn(text + at + len, " ");
        assert_int_equal(tok_encode(t, (struct view){text + at, len}, 0, &part, NULL), SLM_OK);
        at += len;
    }
    assert_int_equal(whole.n, part.n);
    assert_memory_equal(whole.v, part.v, whole.n * sizeof *whole.v);
    tok_ids_fini(&whole);
    tok_ids_fini(&part);
    tok_destroy(t);
}

/* Long inputs */

static void test_long(void **state) {
    static const char *const units[] = {"a", "A", " ", "\n", "7", "=", "'", "\xff", "<|", "\xe4\xbd\xa0", "e\xcc\x81", "ab", "\xe1\xa0\x8e", "\xc2\x85", " \n"};
    static const char *const pres[] = {"gpt-2", "llama-bpe", "qwen2", "gpt-4o", "deepseek-llm", "deepseek-v3", "default", "tekken", "falcon", "bloom"};
    static struct vocab v;
    size_t n = 400000;
    char *text = malloc(n);
    (void)state;
    vocab_init(&v, "gpt2");
    vocab_add_bytes(&v);
    vocab_add(&v, "aa", TOK_NORMAL, 0);
    vocab_add(&v, "aaaa", TOK_NORMAL, 0);
    vocab_merge(&v, "a a");
    vocab_merge(&v, "aa aa");
    for (size_t p = 0; p < sizeof pres / sizeof pres[0]; p++) {
        v.c.pre = pres[p];
        struct tok *t = vocab_tok(&v);
        for (size_t u = 0; u < sizeof units / sizeof units[0]; u++) {
            struct tok_ids ids = {0};
            size_t len = strlen(units[u]);
            for (size_t i = 0; i < n; i++) text[i] = units[u][i % len];
            double t0 = time_now_s();
            assert_int_equal(tok_encode(t, (struct view){text, n}, TOK_PARSE_SPECIAL, &ids, NULL), SLM_OK);
            if (time_now_s() - t0 > 20) fail_msg("%s, \"%s\" repeated: %.1f s", pres[p], units[u], time_now_s() - t0);
            size_t n_back = 0;
            for (size_t i = 0; i < ids.n; i++) n_back += tok_piece(t, ids.v[i], true).len;
            if (strcmp(units[u], "e\xcc\x81") != 0) assert_int_equal(n_back, n); /* it is composed by some */
            tok_ids_fini(&ids);
        }
        tok_destroy(t);
    }
    free(text);
}

/* What normalisation skips must be what it would leave alone, beside anything. */
static void test_nfc_table(void **state) {
    static bool second[0x110000];
    utf8proc_int32_t parts[32];
    (void)state;
    for (int32_t cp = 0; cp < 0x110000; cp++) {
        int last = 0;
        if (cp >= 0xd800 && cp < 0xe000) continue;
        utf8proc_ssize_t n = utf8proc_decompose_char(cp, parts, 32, UTF8PROC_DECOMPOSE, &last);
        for (utf8proc_ssize_t i = 1; i < n; i++) second[parts[i]] = true;
    }
    for (int32_t cp = 0; cp < 0x110000; cp++) {
        char text[8] = {0};
        if (!nfc_is_calm((uint32_t)cp) || cp == 0) continue;
        assert_false(second[cp]);
        assert_int_equal(utf8proc_get_property(cp)->combining_class, 0);
        utf8_encode((uint32_t)cp, text);
        utf8proc_uint8_t *nfc = utf8proc_NFC((const utf8proc_uint8_t *)text);
        assert_string_equal((char *)nfc, text);
        free(nfc);
    }
}

/* Texts of anything, normalised in stretches, against utf8proc over the whole. */
static void test_nfc(void **state) {
    static const uint32_t from[] = {0x20, 0x61, 0xe9, 0x300, 0x323, 0x3b1, 0x418, 0x93c, 0x921, 0x1100, 0x1161, 0x11a8, 0xac00, 0x2126, 0x3042, 0x3099, 0x4e00, 0xf900, 0x1f600, 0x1d15e};
    static struct vocab v;
    struct rng rng;
    (void)state;
    rng_init(&rng, 3);
    vocab_init(&v, "gpt2");
    v.c.pre = "qwen2";
    vocab_add_bytes(&v);
    struct tok *t = vocab_tok(&v);
    for (int k = 0; k < 3000; k++) {
        char text[256];
        struct tok_ids ids = {0};
        size_t n = 0, n_want;
        for (size_t i = rng_u64(&rng) % 30 + 1; i > 0; i--) n += (size_t)utf8_encode(from[rng_u64(&rng) % 20] + (uint32_t)(rng_u64(&rng) % 8), text + n);
        text[n] = 0;
        char *want = (char *)utf8proc_NFC((const utf8proc_uint8_t *)text);
        assert_int_equal(tok_encode(t, (struct view){text, n}, 0, &ids, NULL), SLM_OK);
        n_want = strlen(want);
        assert_int_equal(ids.n, n_want); /* a byte each */
        for (size_t i = 0; i < n_want; i++) assert_int_equal(tok_piece(t, ids.v[i], false).ptr[0], want[i]);
        free(want);
        tok_ids_fini(&ids);
    }
    tok_destroy(t);
}

/* Every row compiles, and its words are the text. */
static void test_pretok_rows(void **state) {
    static const char text[] = "I'll pay $3.50 (12345), na\xc3\xafve\r\n\r\n  \tHTTPServer x_y=z; \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80!  \n";
    static struct vocab v;
    size_t n_rows;
    const struct pretok_row *rows = pretok_rows(&n_rows);
    (void)state;
    vocab_init(&v, "gpt2");
    vocab_add_bytes(&v);
    for (size_t i = 0; i < n_rows; i++) {
        struct tok_ids ids = {0};
        size_t at = 0;
        v.c.pre = rows[i].name;
        struct tok *t = vocab_tok(&v);
        assert_int_equal(tok_encode(t, view_of(text), 0, &ids, NULL), SLM_OK);
        for (size_t k = 0; k < ids.n; k++) {
            struct view piece = tok_piece(t, ids.v[k], false);
            assert_true(at + piece.len < sizeof text && memcmp(text + at, piece.ptr, piece.len) == 0);
            at += piece.len;
        }
        assert_int_equal(at, sizeof text - 1);
        for (size_t k = 0; k < i; k++) assert_string_not_equal(rows[i].name, rows[k].name);
        tok_ids_fini(&ids);
        tok_destroy(t);
    }
}

static struct buf *words_seen;
static slm_status see_word(struct job *j, struct view word) {
    (void)j;
    if (words_seen->len) buf_putc(words_seen, '|');
    buf_append(words_seen, word.ptr, word.len);
    return SLM_OK;
}

static void check_words(const char *pre, const char *text, const char *words) {
    struct buf seen;
    struct pretok *p;
    struct job j = {0};
    assert_int_equal(pretok_create(pre, &p, NULL), SLM_OK);
    buf_init(&seen, 4096);
    words_seen = &seen;
    assert_int_equal(pretok_split(p, &j, view_of(text), see_word), SLM_OK);
    if (strcmp(seen.data ? seen.data : "", words) != 0) fail_msg("%s: \"%s\" is cut to \"%s\", not \"%s\"", pre, text, seen.data, words);
    pretok_work_destroy(j.pretok);
    pretok_destroy(p);
    buf_fini(&seen);
}

static void test_pretok_words(void **state) {
    static const struct { const char *pre, *text, *words; } rows[] = {
        {"superbpe", "a 1234567 b12", "a |1|234|567| b|12"},
        {"superbpe", "123456", "123|456"},
        {"superbpe", "12\xc2\xbd", "12\xc2\xbd"},
        {"superbpe", "123\xc2\xbd", "123\xc2\xbd"},
        {"superbpe", "\xc2\xbd" "1234", "\xc2\xbd" "1|234"},
        {"superbpe", "\xd9\xa1\xd9\xa2\xd9\xa3\xd9\xa4", "\xd9\xa1|\xd9\xa2\xd9\xa3\xd9\xa4"},
        {"kimi-k2", "HelloWorld it's\xe4\xbd\xa0\xe5\xa5\xbd" "abc 12345", "Hello|World| it's|\xe4\xbd\xa0\xe5\xa5\xbd|abc| |123|45"},
        {"jais-2", "a      b", "a|    | | b"},
        {"minicpm5", "x1234y", "x|123|4|y"},
        {"exaone-moe", "a b c, 12", "a b c|,| |1|2"},
        {"youtu", "ab\xe3\x81\x82\xe3\x81\x84 12", "ab|\xe3\x81\x82\xe3\x81\x84| |1|2"},
        {"laguna", "a\n\nb", "a|\n\n|b"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) check_words(rows[i].pre, rows[i].text, rows[i].words);
}

/* Refusals */

static void test_refusals(void **state) {
    static struct vocab v;
    struct tok *t;
    slm_err err;
    (void)state;
    vocab_init(&v, "lama");
    vocab_add_bytes(&v);
    assert_int_equal(tok_create(&v.c, &t, &err), SLM_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "\"lama\""));
    assert_non_null(strstr(err.hint, "\"llama\""));
    assert_null(t);
    v.c.family = "gpt2";
    v.c.pre = "qwen3";
    assert_int_equal(tok_create(&v.c, &t, &err), SLM_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "\"qwen3\""));
    assert_non_null(strstr(err.hint, "\"qwen2\""));
    v.c.pre = "gpt-2";
    v.c.eos = 256;
    assert_int_equal(tok_create(&v.c, &t, &err), SLM_E_FORMAT);
    v.c.eos = -2;
    assert_int_equal(tok_create(&v.c, &t, &err), SLM_E_FORMAT);
    v.c.eos = 0;
    v.types[7] = 9;
    assert_int_equal(tok_create(&v.c, &t, &err), SLM_E_FORMAT);
    v.types[7] = TOK_NORMAL;
    vocab_merge(&v, "ab");
    assert_int_equal(tok_create(&v.c, &t, &err), SLM_E_FORMAT);
    v.c.n_merges = 0;
    v.c.n_vocab = 0;
    assert_int_equal(tok_create(&v.c, &t, &err), SLM_E_FORMAT);
    vocab_init(&v, "llama");
    vocab_add_byte_pieces(&v);
    v.c.scores = NULL;
    assert_int_equal(tok_create(&v.c, &t, &err), SLM_E_FORMAT);
    const char *const patterns[] = {"a(", NULL};
    v.c.family = "gpt2";
    v.c.patterns = patterns;
    assert_int_equal(tok_create(&v.c, &t, &err), SLM_E_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "\"a(\""));
}

/* Detokenizer */

static void test_detok(void **state) {
    static struct vocab v;
    struct buf out;
    struct detok d;
    (void)state;
    vocab_init(&v, "llama");
    v.c.bos = vocab_add(&v, "<s>", TOK_CONTROL, 0);
    vocab_add_byte_pieces(&v);
    int32_t hello = vocab_add(&v, "\xe2\x96\x81hello", TOK_NORMAL, 0);
    struct tok *t = vocab_tok(&v);
    buf_init(&out, 1000);
    detok_init(&d, t, true, false);
    detok_push(&d, 0, &out);
    detok_push(&d, hello, &out);
    assert_string_equal(out.data, "hello");
    detok_push(&d, hello, &out);
    assert_string_equal(out.data, "hello hello");
    /* an emoji byte by byte: nothing until it is whole */
    static const unsigned char emoji[] = {0xf0, 0x9f, 0x98, 0x80};
    buf_clear(&out);
    for (int i = 0; i < 3; i++) detok_push(&d, 1 + emoji[i], &out);
    assert_int_equal(out.len, 0);
    detok_push(&d, 1 + emoji[3], &out);
    assert_string_equal(out.data, "\xf0\x9f\x98\x80");
    /* cut short by a letter, then by the end; a byte that begins nothing */
    buf_clear(&out);
    detok_push(&d, 1 + 0xe4, &out);
    detok_push(&d, 1 + 0xbd, &out);
    detok_push(&d, hello, &out);
    detok_push(&d, 1 + 0x80, &out);
    detok_push(&d, 1 + 0xf0, &out);
    assert_string_equal(out.data, "\xef\xbf\xbd hello\xef\xbf\xbd");
    detok_finish(&d, &out);
    assert_string_equal(out.data, "\xef\xbf\xbd hello\xef\xbf\xbd\xef\xbf\xbd");
    detok_push(&d, 100000, &out); /* no such id: nothing */
    detok_push(&d, -1, &out);
    buf_clear(&out);
    detok_init(&d, t, true, true);
    detok_push(&d, 0, &out);
    detok_push(&d, hello, &out);
    assert_string_equal(out.data, "<s> hello");
    buf_fini(&out);
    tok_destroy(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spm), cmocka_unit_test(test_spm_unknown), cmocka_unit_test(test_assume), cmocka_unit_test(test_specials), cmocka_unit_test(test_bpe),
        cmocka_unit_test(test_merging), cmocka_unit_test(test_memory_of_words), cmocka_unit_test(test_long), cmocka_unit_test(test_nfc_table), cmocka_unit_test(test_nfc), cmocka_unit_test(test_pretok_rows), cmocka_unit_test(test_pretok_words), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_detok),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
