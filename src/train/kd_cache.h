/* kd_cache.h -- a teacher's predictions on file: for each token that a dataset learns, the k best next tokens and how much is left.
 *
 * File ".kd", little endian:
 *   "SLMKD001"; u32 k, n_vocab, n_temperature, 0; f32 temperature[8]; u64 n_row, identity of the data, identity of the teacher,
 *   hash of the vocabulary; u64 check of what stands before it; then n_row rows
 *   rows: u32 id[k] by falling logit; f32 logit[k] raw; f32 log_sum[n_temperature], log-sum-exp over the whole vocabulary at each T.
 * So the list's probabilities and the tail's mass are exact at every T listed: p(id) = exp(logit / T - log_sum[T]). Row r belongs to the
 * r-th token with a loss, in the order of the dataset's sequences. Prompts cost nothing: k = 16 takes 140 bytes per learnt token.
 * A cache is bound to the data's identity (which holds tokenizer, template and context) and to the teacher's: another is refused by name. */
#ifndef SLM_TRAIN_KD_CACHE_H
#define SLM_TRAIN_KD_CACHE_H

#include "base/file.h"
#include "train/data.h"

#define KD_TEMPERATURES_MAX 8

struct kd_header {
    uint32_t k, n_vocab, n_temperature;
    float temperature[KD_TEMPERATURES_MAX];
    uint64_t n_row, data_identity, teacher_identity, vocab_hash;
};
struct kd_cache {
    struct kd_header h;
    struct file_map map;
    const uint8_t *rows;
    size_t row_bytes;
};
/* Errors: IO, FORMAT (damaged, cut short: named). */
slm_status kd_cache_open(const char *path, struct kd_cache *out, slm_err *err);
void kd_cache_close(struct kd_cache *c);
/* kd_cache_check -- is it of this data and a vocabulary of n_vocab ids with this hash (0: not asked)? Errors: FORMAT "stale cache", "vocabulary mismatch". */
slm_status kd_cache_check(const struct kd_cache *c, const struct dataset *d, uint32_t n_vocab, uint64_t vocab_hash, slm_err *err);
/* Place of a temperature, or -1. */
int kd_cache_temperature(const struct kd_cache *c, float temperature);
/* Row r < n_row into id [k], logit [k]; returns log_sum at temperature i. */
float kd_cache_row(const struct kd_cache *c, uint64_t r, int i_temperature, int32_t *id, float *logit);

/* The k best of the allowed ids (NULL: of all) of n, by falling logit; how many were found. Log-sum-exp at a temperature; max: the highest logit. */
uint32_t kd_pick_best(const float *logits, const bool *allowed, uint32_t n, uint32_t k, uint32_t *id, float *logit);
float kd_log_sum(const float *logits, const bool *allowed, uint32_t n, float max, float temperature);

/* vocab_hash -- of a vocabulary's pieces in order, up to n (0: all). */
uint64_t vocab_hash(const struct tok *t, uint32_t n);
/* vocab_match -- can one vocabulary's logits teach the other? n_common: pieces equal from the first on, when all of the smaller are
 * (then the larger's rest is padding). Errors: UNSUPPORTED "vocabulary mismatch", with the first difference and the two ways out. */
slm_status vocab_match(const struct tok *teacher, const struct tok *student, uint32_t *n_common, slm_err *err);

struct kd_write_params {
    const char *path;
    uint32_t k;
    const float *temperature; /* [n_temperature] */
    uint32_t n_temperature;
    uint64_t teacher_identity;
    uint32_t n_vocab;         /* ids that are kept: of the vocabulary both share */
    const bool *labels;       /* [n_vocab] ids that are labels, or NULL. Where a label is learnt, the row is the teacher's choice among labels:
                               * at T = 2 the thousands of other pieces would have most of the mass, and say nothing */
    int n_threads;
    const _Atomic bool *cancel;
    void (*progress)(void *user, double share);
    void *user;
};
/* kd_cache_write -- run the teacher over d's sequences. The file appears whole or not at all. Errors: USAGE (k, temperatures, a sequence
 * past the teacher's context), IO, LIMIT, NOMEM, CANCELLED. */
slm_status kd_cache_write(struct slm_model *teacher, const struct dataset *d, const struct kd_write_params *p, slm_err *err);

#endif
