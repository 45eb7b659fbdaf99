/* ngram.h -- a text as hashed pieces of words: features that need no model. The head over them is tier 0, and the baseline that every
 * other way to classify has to beat.
 *
 * Text is taken as UTF-8 (a byte that is none is a letter of its own), in lower case, cut into words of letters, digits and marks; what
 * is neither nor white space is a word for itself. Features are words, pairs of neighbours, and runs of 3 to 5 characters of a word
 * between spaces, each as 32 bits of a hash. Those of the training rows get a number; what was not seen there is counted and left out. */
#ifndef SLM_TASK_NGRAM_H
#define SLM_TASK_NGRAM_H

#include "task/softmax.h"

#define NGRAM_TEXT_BYTES_MAX (1u << 20)
#define NGRAM_N_FEATURE_MAX (8u << 20)

/* Which hashes have a number: open addressing, place -> number + 1. Freed with ngram_table_fini. */
struct ngram_table {
    uint32_t *hash;  /* [n_feature] */
    float *weight;   /* [n_feature] of a feature in a row: log(rows / rows that have it) */
    uint32_t n_feature, cap, n_place;
    uint32_t *place; /* [n_place], a power of two */
};
void ngram_table_fini(struct ngram_table *t);
/* ngram_table_index -- make the places for hash [n_feature], which is there (a file's). Errors: FORMAT (a hash twice), LIMIT, NOMEM. */
slm_status ngram_table_index(struct ngram_table *t, slm_err *err);

/* A text's features; freed with ngram_row_fini; may be used again. */
struct ngram_row {
    uint32_t *index;
    float *value;   /* of length 1 together */
    size_t n, cap;
    double known;   /* share of its features that the table knows */
    struct buf folded;
    uint32_t *hashes;
    size_t n_hash, cap_hash, n_word_hash;
};
void ngram_row_init(struct ngram_row *r);
void ngram_row_fini(struct ngram_row *r);
/* ngram_learn -- count a training row's features into t; after the last row ngram_learn_end gives them their weights. */
slm_status ngram_learn(struct ngram_table *t, struct ngram_row *r, struct view text, slm_err *err);
void ngram_learn_end(struct ngram_table *t, size_t n_row);
/* ngram_features -- text as features of t. Errors: LIMIT (a text past a mebibyte), NOMEM. */
slm_status ngram_features(const struct ngram_table *t, struct ngram_row *r, struct view text, slm_err *err);

#endif
