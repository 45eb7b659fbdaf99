/* bpe_train.h -- a byte-level BPE vocabulary learnt from text.
 *
 *     struct bpe_train_params p = {.pre = "gpt-2", .n_vocab = 4096, .specials = specials, .n_specials = 3};
 *     bpe_trainer_create(&p, &t, &err);
 *     bpe_trainer_add(t, document, &err);                 as often as there are documents
 *     bpe_trainer_finish(t, &vocab, &err);
 *     vocab.config is what tok_create takes; bos, eos and flags are the caller's to set
 *
 * Ids: the special pieces, the 256 bytes in the order of GPT-2's alphabet, then a piece for each merge in the order of learning.
 * Words are cut by the pre-tokenizer's row; pairs never cross them. Each step merges the pair that occurs most often; of equals
 * the one with the smaller left id, then the smaller right id. So the result depends on the text's words and nothing else.
 * Source: Sennrich, Haddow, Birch 2016. Golden: tests/unit/test_bpe_train.c compares with recounting everything at each step. */
#ifndef SLM_TEXT_BPE_TRAIN_H
#define SLM_TEXT_BPE_TRAIN_H

#include "text/tok.h"

#define BPE_N_VOCAB_MAX (1u << 20)
#define BPE_WORD_BYTES_MAX 128u        /* longer words are cut there: no piece is longer */
#define BPE_WORDS_BYTES_MAX (256u << 20) /* of distinct words */

struct bpe_train_params {
    const char *pre;             /* a row's name: "gpt-2", "llama-bpe", ... */
    uint32_t n_vocab;            /* pieces in all; fewer when no pair is left that occurs n_min times */
    uint32_t n_min;              /* 0: 2 */
    const struct view *specials; /* [n_specials] control pieces; copied */
    size_t n_specials;
    const _Atomic bool *cancel; /* NULL: never */
};

/* A learnt vocabulary. Everything that config points to lives until bpe_vocab_fini. */
struct bpe_vocab {
    struct tok_config config; /* family "gpt2", pre, pieces, types, merges; special ids TOK_NONE */
    struct arena arena;
    struct view *pieces, *merges;
    int32_t *types;
};
void bpe_vocab_fini(struct bpe_vocab *v); /* zeroed is fine */

struct bpe_trainer;
/* Errors: USAGE (n_vocab below 256 + n_specials or past the limit, a special piece that is empty or twice), UNSUPPORTED (pre). */
slm_status bpe_trainer_create(const struct bpe_train_params *p, struct bpe_trainer **out, slm_err *err);
void bpe_trainer_destroy(struct bpe_trainer *t);
/* bpe_trainer_add -- count the words of a document; nothing of text is kept but its distinct words. Errors: LIMIT, NOMEM. */
slm_status bpe_trainer_add(struct bpe_trainer *t, struct view text, slm_err *err);
/* bpe_trainer_finish -- learn; once. Errors: USAGE (no text was added), LIMIT, NOMEM, CANCELLED. */
slm_status bpe_trainer_finish(struct bpe_trainer *t, struct bpe_vocab *out, slm_err *err);

#endif
