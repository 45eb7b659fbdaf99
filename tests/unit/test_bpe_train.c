/* Training a vocabulary: the same merges as counting everything anew at each step, for any order of documents; what it refuses;
 * encoding with the result. */
#include "test.h"

#include "base/util.h"
#include "text/bpe_train.h"

/* The reference: words cut at spaces (what gpt-2's pattern does to lower-case letters), all pairs counted at each step. */
#define REF_WORDS_MAX 4000
#define REF_WORD_MAX 24
#define REF_PIECES_MAX 700

struct ref {
    int n_words, len[REF_WORDS_MAX], syms[REF_WORDS_MAX][REF_WORD_MAX];
    int n_pieces;
    char pieces[REF_PIECES_MAX][2 * REF_WORD_MAX + 1];
    int n_merges, merges[REF_PIECES_MAX][2];
};
static struct ref ref;
static int counts[REF_PIECES_MAX][REF_PIECES_MAX];

/* Place of a byte in GPT-2's alphabet, for a space and lower-case letters. */
static int ref_place(char c) { return c == ' ' ? 188 + 32 : c - '!'; }

static void ref_words(const char *text) {
    ref.n_words = 0;
    for (const char *s = text; *s;) {
        int n = 0;
        do ref.syms[ref.n_words][n++] = ref_place(*s++);
        while (*s && *s != ' ');
        ref.len[ref.n_words++] = n;
    }
}

static bool ref_best(int *left, int *right) {
    int best = 1;
    memset(counts, 0, sizeof counts);
    for (int w = 0; w < ref.n_words; w++)
        for (int k = 1; k < ref.len[w]; k++) counts[ref.syms[w][k - 1]][ref.syms[w][k]]++;
    for (int a = 0; a < ref.n_pieces; a++)
        for (int b = 0; b < ref.n_pieces; b++)
            if (counts[a][b] > best) best = counts[a][b], *left = a, *right = b;
    return best > 1;
}

static void ref_merge(int left, int right) {
    char joint[2 * REF_WORD_MAX + 1];
    int both = 0;
    snprintf(joint, sizeof joint, "%s%s", ref.pieces[left], ref.pieces[right]);
    while (both < ref.n_pieces && strcmp(ref.pieces[both], joint) != 0) both++;
    if (both == ref.n_pieces) snprintf(ref.pieces[ref.n_pieces++], sizeof ref.pieces[0], "%s", joint);
    ref.merges[ref.n_merges][0] = left;
    ref.merges[ref.n_merges++][1] = right;
    for (int w = 0; w < ref.n_words; w++) {
        int n = 0, *s = ref.syms[w];
        for (int k = 0; k < ref.len[w]; k++) {
            bool met = k + 1 < ref.len[w] && s[k] == left && s[k + 1] == right;
            s[n++] = met ? both : s[k];
            k += met;
        }
        ref.len[w] = n;
    }
}

static void ref_learn(const char *text, int n_pieces) {
    int left = 0, right = 0;
    ref.n_pieces = 256;
    ref.n_merges = 0;
    memset(ref.pieces, 0, sizeof ref.pieces);
    for (char c = 'a'; c <= 'z'; c++) ref.pieces[ref_place(c)][0] = c;
    ref.pieces[ref_place(' ')][0] = ' ';
    for (int i = 0; i < 256; i++)
        if (!ref.pieces[i][0]) snprintf(ref.pieces[i], sizeof ref.pieces[i], "#%d", i); /* never met */
    ref_words(text);
    while (ref.n_pieces < n_pieces && ref_best(&left, &right)) ref_merge(left, right);
}

static struct bpe_vocab train(const char *const *docs, size_t n, uint32_t n_vocab) {
    struct bpe_train_params p = {.pre = "gpt-2", .n_vocab = n_vocab};
    struct bpe_trainer *t;
    struct bpe_vocab v;
    slm_err err;
    if (bpe_trainer_create(&p, &t, &err) != SLM_OK) fail_msg("%s", err.msg);
    for (size_t i = 0; i < n; i++) assert_int_equal(bpe_trainer_add(t, view_of(docs[i]), &err), SLM_OK);
    if (bpe_trainer_finish(t, &v, &err) != SLM_OK) fail_msg("%s", err.msg);
    bpe_trainer_destroy(t);
    return v;
}

/* A merge as a file has it: letters, U+0120 for a space. */
static void ref_merge_text(int i, char *out, size_t n_out) {
    size_t n = 0;
    for (int half = 0; half < 2; half++) {
        if (half) out[n++] = ' ';
        for (const char *s = ref.pieces[ref.merges[i][half]]; *s && n + 4 < n_out; s++) {
            if (*s == ' ') out[n++] = (char)0xc4, out[n++] = (char)0xa0;
            else out[n++] = *s;
        }
    }
    out[n] = 0;
}

static void make_text(char *text, size_t n, uint64_t seed) {
    struct rng r;
    rng_init(&r, seed);
    size_t at = 0;
    while (at + 20 < n) {
        size_t len = 1 + rng_u64(&r) % 12;
        for (size_t k = 0; k < len; k++) text[at++] = (char)('a' + rng_u64(&r) % (2 + seed % 4));
        text[at++] = ' ';
    }
    text[at - 1] = 0;
}

static void test_reference(void **state) {
    (void)state;
    static char text[12000];
    for (uint64_t seed = 1; seed <= 6; seed++) {
        make_text(text, sizeof text, seed);
        ref_learn(text, 400);
        const char *docs[] = {text};
        struct bpe_vocab v = train(docs, 1, 400);
        assert_int_equal(v.config.n_vocab, ref.n_pieces);
        assert_int_equal(v.config.n_merges, ref.n_merges);
        for (int i = 0; i < ref.n_merges; i++) {
            char want[200];
            ref_merge_text(i, want, sizeof want);
            if (!view_eq(v.merges[i], view_of(want))) fail_msg("seed %d merge %d: \"%.*s\" instead of \"%s\"", (int)seed, i, VIEW_ARG(v.merges[i]), want);
        }
        bpe_vocab_fini(&v);
    }
}

static void test_order_of_documents(void **state) {
    (void)state;
    const char *a[] = {"the cat sat on the mat", "the dog and the cat", "a mat, 12 dogs \xc3\xa9t\xc3\xa9 \xff\xfe"};
    const char *b[] = {a[2], a[0], a[1]};
    struct bpe_vocab x = train(a, 3, 280), y = train(b, 3, 280);
    assert_int_equal(x.config.n_vocab, y.config.n_vocab);
    assert_true(x.config.n_merges > 5);
    for (uint32_t i = 0; i < x.config.n_merges; i++) assert_true(view_eq(x.merges[i], y.merges[i]));
    bpe_vocab_fini(&x);
    bpe_vocab_fini(&y);
}

static void test_encode(void **state) {
    (void)state;
    const char *docs[] = {"low lower lowest newer wider \xe4\xbd\xa0\xe5\xa5\xbd low low newer newer newer"};
    const struct view specials[] = {VIEW("<|endoftext|>"), VIEW("<|im_end|>")};
    struct bpe_train_params p = {.pre = "llama-bpe", .n_vocab = 275, .specials = specials, .n_specials = 2};
    struct bpe_trainer *t;
    struct bpe_vocab v;
    struct tok *tok;
    struct tok_ids ids = {0};
    slm_err err;
    assert_int_equal(bpe_trainer_create(&p, &t, &err), SLM_OK);
    assert_int_equal(bpe_trainer_add(t, view_of(docs[0]), &err), SLM_OK);
    assert_int_equal(bpe_trainer_finish(t, &v, &err), SLM_OK);
    bpe_trainer_destroy(t);
    v.config.eos = v.config.bos = 0;
    if (tok_create(&v.config, &tok, &err) != SLM_OK) fail_msg("%s", err.msg);
    bpe_vocab_fini(&v); /* the tokenizer has copies */
    static const char all[] = "<|im_end|>any \x01\x02\xff\xc3 text\n\t \xe4\xbd\xa0 low";
    assert_int_equal(tok_encode(tok, VIEW(all), TOK_PARSE_SPECIAL, &ids, &err), SLM_OK);
    assert_int_equal(ids.v[0], 1);
    struct buf text;
    buf_init(&text, 1000);
    for (size_t i = 1; i < ids.n; i++) buf_append(&text, tok_piece(tok, ids.v[i], false).ptr, tok_piece(tok, ids.v[i], false).len);
    assert_memory_equal(text.data, all + 10, sizeof all - 11);
    size_t n_before = ids.n;
    assert_int_equal(tok_encode(tok, VIEW(" low"), 0, &ids, &err), SLM_OK);
    assert_int_equal(ids.n, n_before + 1); /* a frequent word is a piece */
    buf_fini(&text);
    tok_ids_fini(&ids);
    tok_destroy(tok);
}

static void test_hostile(void **state) {
    (void)state;
    struct bpe_train_params p = {.pre = "gpt-2", .n_vocab = 2000};
    struct bpe_trainer *t;
    struct bpe_vocab v;
    slm_err err;
    size_t n = 1u << 20;
    char *same = malloc(n + 1); /* a megabyte of one letter, and one of characters of three bytes */
    memset(same, 'x', n);
    same[n] = 0;
    assert_int_equal(bpe_trainer_create(&p, &t, &err), SLM_OK);
    assert_int_equal(bpe_trainer_add(t, (struct view){same, n}, &err), SLM_OK);
    for (size_t i = 0; i + 3 <= n; i += 3) memcpy(same + i, "\xe4\xbd", 2), same[i + 2] = (char)(0x80 + i % 61);
    assert_int_equal(bpe_trainer_add(t, (struct view){same, n}, &err), SLM_OK);
    assert_int_equal(bpe_trainer_finish(t, &v, &err), SLM_OK);
    for (uint32_t i = 0; i < v.config.n_vocab; i++) assert_true(v.pieces[i].len <= 2 * BPE_WORD_BYTES_MAX);
    bpe_vocab_fini(&v);
    bpe_trainer_destroy(t);
    free(same);
    static const struct view twice[] = {VIEW("<a>"), VIEW("<a>")};
    p.n_vocab = 255;
    assert_int_equal(bpe_trainer_create(&p, &t, &err), SLM_E_USAGE);
    p.n_vocab = 300, p.specials = twice, p.n_specials = 2;
    assert_int_equal(bpe_trainer_create(&p, &t, &err), SLM_E_USAGE);
    p.n_specials = 0, p.pre = "gpt-3";
    assert_int_equal(bpe_trainer_create(&p, &t, &err), SLM_E_UNSUPPORTED);
    p.pre = "gpt-2";
    assert_int_equal(bpe_trainer_create(&p, &t, &err), SLM_OK);
    assert_int_equal(bpe_trainer_finish(t, &v, &err), SLM_E_USAGE);
    bpe_trainer_destroy(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_order_of_documents),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
