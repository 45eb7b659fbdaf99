/* constrain_walk.h -- a small vocabulary with awkward tokens, and walks under a constraint with uniform random logits. */
#ifndef SLM_TESTS_CONSTRAIN_WALK_H
#define SLM_TESTS_CONSTRAIN_WALK_H

#include "tok_vocab.h"

#include "engine/constrain.h"

/* Every byte, and pieces that cross the edges of structure, characters and words. \xc4\xa0 is the letter of the space. */
static const char *const walk_pieces[] = {
    "{\"", "\":", "\",\"", "\"}", "}}", "]}", "[{\"", "\":\"", "\":{\"", "\":[", "true", "false", "null", "tru", "nul", "12", "123", "-1", ".5", "e+", "00", "ab", "abc",
    "name", "id", "\"id", "value", "\"value\":", "\xc4\xa0\"", "\xc4\xa0{", "\xc4\xa0", "\xc4\xa0\xc4\xa0", ",\xc4\xa0\"", ":\xc4\xa0", "\\\"", "\\n", "\\u00", "\\u", "\xc3\x83\xc2\xa9",
    "\xc3\xa2\xc2\x82", "the\xc4\xa0quick\xc4\xa0" "brown\xc4\xa0" "fox\xc4\xa0jumps", "x\"", "y\",", "z\"}", "red", "green", "gre", "en", "\xc4\x8a", "\xc4\x8a\xc4\x8a", "\"\"", "[]", "{}", "2024-", "-01", "T1",
};

static inline struct tok *walk_tok(void) {
    static struct vocab v;
    vocab_init(&v, "gpt2");
    vocab_add_bytes(&v);
    for (size_t i = 0; i < sizeof walk_pieces / sizeof walk_pieces[0]; i++)
        if (strcmp(walk_pieces[i], "\xc4\xa0") != 0 && strcmp(walk_pieces[i], "\xc4\x8a") != 0) vocab_add(&v, walk_pieces[i], TOK_NORMAL, 0);
    v.c.eos = vocab_add(&v, "<|end|>", TOK_CONTROL, 0);
    vocab_add(&v, "<|other|>", TOK_CONTROL, 0);
    return vocab_tok(&v);
}

/* Draws from the distribution as it is. */
static inline struct sampler *walk_sampler(uint64_t seed, uint32_t n_vocab) {
    struct sampler_params sp;
    struct sampler *sampler;
    slm_err err;
    sampler_params_init(&sp);
    sp.temperature = 1;
    sp.top_k = 0;
    sp.top_p = 1;
    sp.min_p = 0;
    sp.seed = seed;
    assert_int_equal(sampler_create(&sp, n_vocab, &sampler, &err), SLM_OK);
    return sampler;
}

struct walk_result {
    struct buf text;
    int32_t n_tokens;
    bool is_complete;
};

/* Generate until an end token, the end of what may follow, or n_max tokens (-1: 400, then whatever closes). */
static inline void walk(struct constraint *c, const struct tok *tok, uint64_t seed, int32_t n_max, struct walk_result *r) {
    slm_err err;
    struct constrain_run *run;
    uint32_t n_vocab = tok_n_vocab(tok);
    struct sampler *sampler = walk_sampler(seed, n_vocab);
    float *logits = calloc(n_vocab, sizeof *logits);
    assert_int_equal(constrain_run_create(c, false, &run, &err), SLM_OK);
    buf_init(&r->text, 1 << 20);
    r->n_tokens = 0;
    int32_t n_left = n_max;
    while (n_left != 0 && !constrain_is_done(run)) {
        int32_t id, forced[8];
        size_t n = 0;
        if (seed % 2) {
            assert_int_equal(constrain_forced(run, n_left, forced, 8, &n, &err), SLM_OK);
        }
        if (n == 0) {
            if (constrain_pick(run, sampler, logits, n_left, &id, &err) != SLM_OK) fail_msg("%s after %s", err.msg, r->text.data ? r->text.data : "");
            if (tok_is_end(tok, id)) break;
            forced[n++] = id;
        }
        for (size_t i = 0; i < n; i++) {
            assert_true(constrain_allows(run, forced[i], n_left));
            assert_int_equal(constrain_accept(run, forced[i], &err), SLM_OK);
            struct view piece = tok_piece(tok, forced[i], false);
            buf_append(&r->text, piece.ptr, piece.len);
            r->n_tokens++;
            n_left--;
        }
    }
    buf_append(&r->text, "", 0);
    r->is_complete = constrain_may_end(run);
    constrain_run_destroy(run);
    sampler_destroy(sampler);
    free(logits);
}

/* The mask says of every token what constrain_allows says. */
static inline void check_mask(struct constrain_run *run, const struct tok *tok, int32_t n_left) {
    const uint32_t *bits;
    slm_err err;
    uint32_t n = tok_n_vocab(tok), *copy = calloc((n + 31) / 32, sizeof *copy);
    assert_int_equal(constrain_mask(run, n_left, &bits, &err), SLM_OK);
    memcpy(copy, bits, (n + 31) / 32 * sizeof *copy);
    for (uint32_t id = 0; id < n; id++) {
        bool in_mask = copy[id / 32] >> (id % 32) & 1;
        if (in_mask != constrain_allows(run, (int32_t)id, n_left)) fail_msg("token %u: mask says %d", id, in_mask);
    }
    free(copy);
}

static inline int32_t walk_min(struct constraint *c) {
    struct constrain_run *run;
    assert_int_equal(constrain_run_create(c, false, &run, NULL), SLM_OK);
    int32_t n = constrain_min_tokens(run);
    constrain_run_destroy(run);
    return n;
}

#endif
