/* train.h -- what the two halves of training agree on: batches, where they come from, and a model that learns.
 *
 *   data side (data*.c, bpe_train.c, eval*.c)      numeric side (net*.c, loss.c, optim.c, trainer.c, lora.c)
 *   files -> rows -> ids, masks -> train_source -> | train_batch -> forward, loss, backward -> optimizer -> GGUF
 *
 * There is no padding anywhere. A batch is a list of sequences laid end to end; a token attends to earlier tokens of its own
 * sequence only, so packing is nothing but putting several short sequences into one batch, and it cannot change a result.
 * What a step computes is  sum(weight * loss) / sum(weight)  over every token with a loss of all micro-batches of the step:
 * how a step is cut into micro-batches, threads or machines never shows in it.
 *
 * Units: losses in nats. Threads: a trainee belongs to one thread at a time and uses its own pool. */
#ifndef SLM_TRAIN_TRAIN_H
#define SLM_TRAIN_TRAIN_H

#include "model/model.h"

#define TRAIN_NO_TARGET (-1)
#define TRAIN_MICRO_TOKENS_MAX (1 << 20)
#define TRAIN_TOP_K_MAX 1024

/* What is done with the probability that a teacher's top-k list leaves out. */
enum train_tail { TRAIN_TAIL_BUCKET, /* one more class with the rest, on both sides */
                  TRAIN_TAIL_NONE,   /* the list alone, made to sum to one; the student likewise over the same ids */
                  TRAIN_TAIL_ZERO }; /* the list as it is, the rest counted as nothing */

/* A teacher's predictions, a row for each token that has one. Logits are raw (before softmax) and need no common origin;
 * log_sum is the log-sum-exp of all n_vocab of them at the temperature of the loss, on the same origin:
 * p(id[j]) = exp(logit[j] / T - log_sum). Ids of a row differ from each other and lie in [0, n_vocab of the student). */
struct train_teacher {
    int32_t k;             /* list length, 1..TRAIN_TOP_K_MAX */
    enum train_tail tail;
    float temperature;     /* T > 0; the loss is multiplied by T * T */
    float alpha;           /* share of the teacher where a token has a target too: (1 - alpha) * CE + alpha * T^2 * D. Without: T^2 * D */
    float beta;            /* divergence: 0 KL(teacher || student), 1 KL(student || teacher), between: generalised Jensen-Shannon */
    const int32_t *row;    /* [n_tok] row of a token, or -1 */
    const int32_t *id;     /* [n_row, k] */
    const float *logit;    /* [n_row, k] */
    const float *log_sum;  /* [n_row] */
    int32_t n_row;
};

/* Sequences laid end to end. Everything is borrowed. Checked by train_batch_check before any use. */
struct train_batch {
    int32_t n_tok, n_seq;
    const int32_t *token;     /* [n_tok] in [0, n_vocab): the inputs */
    const int32_t *seq_begin; /* [n_seq + 1] first token of each sequence; [0] is 0, [n_seq] is n_tok, rising strictly. Position of a
                               * token is its distance from its sequence's first */
    const int32_t *target;    /* [n_tok] the id that token should be followed by (already shifted by the data side), or TRAIN_NO_TARGET */
    const float *weight;      /* [n_tok] >= 0, of the token's loss; NULL: 1. Of tokens with no target and no teacher row it is not read */
    const struct train_teacher *teacher; /* NULL: none */
};
/* Errors: LIMIT (counts), USAGE (ids out of range, ranges that do not rise, a weight that is no number). */
slm_status train_batch_check(const struct train_batch *b, uint32_t n_vocab, slm_err *err);
/* Sum of the weights of tokens that have a loss: a target, or a teacher's row. */
double train_batch_weight(const struct train_batch *b);

/* Where steps come from. The data side implements it (data.h makes one from files); anything may (tests do).
 * Expected of it:
 *  - next gives the micro-batches of ONE optimizer step: about batch_tokens tokens in all, each micro-batch of at most
 *    micro_tokens; every sequence at most n_ctx long. They are borrowed until the next call. Every step has at least one token with a loss.
 *  - the order depends on (data, seed, epoch) alone: shuffle by base/util.h's rng; the same cursor gives the same steps, to the byte,
 *    on any machine and for any micro_tokens (the step's tokens do not depend on how it is cut).
 *  - tell and seek: the place after the steps given so far, as plain numbers; a checkpoint keeps them.
 *  - identity: a hash of files, tokenizer, template and options that decide the rows; resume refuses another one. */
struct train_cursor {
    uint64_t epoch, at, seed, n_step;
    uint64_t extra[4]; /* the source's own */
};
struct train_source {
    void *ctx;
    slm_status (*next)(void *ctx, int64_t batch_tokens, int32_t micro_tokens, const struct train_batch **micro, int *n_micro, slm_err *err);
    void (*tell)(void *ctx, struct train_cursor *out);
    slm_status (*seek)(void *ctx, const struct train_cursor *to, slm_err *err);
    uint64_t identity;
    int64_t epoch_tokens;  /* tokens of one pass over the data */
    int32_t seq_tokens_max; /* longest sequence that it will give */
};

/* ---- a model that learns ---------------------------------------------------------------------------------------------- */

/* trainee -- parameters, gradients and working memory over one slm_model. Full training keeps its f32 parameters where the
 * model's tensors are, so trainee_model(t) is always the model as it is now: the engine can generate with it, eval can score it, the
 * GGUF writer can write it. With adapters the base stays read-only (any tensor type) and trainee_model is that base. */
struct trainee;

/* What of an architecture training has no backward pass for, is refused by name: UNSUPPORTED. Needs no weights. */
slm_status trainee_supports(const struct arch_desc *arch, const struct hparams *hp, slm_err *err);

/* Per token: what eval and metrics during training want to know. Tokens without a target are left as they are. */
struct train_score {
    float loss;   /* -log p(target), nats */
    int32_t best; /* the id with the highest logit; among `allowed` when given */
};
/* trainee_loss -- forward only. sum += sum of weight * loss, weight += their weights. scores: [n_tok] or NULL.
 * allowed: NULL, or [n_vocab], ids that best may be. Errors: those of train_batch_check, LIMIT (n_tok beyond what was planned). */
slm_status trainee_loss(struct trainee *t, const struct train_batch *b, const bool *allowed, double *sum, double *weight, struct train_score *scores, slm_err *err);

/* trainee_backward -- forward, loss / weight_all, and gradients added to what is there. weight_all: of the whole step. */
slm_status trainee_backward(struct trainee *t, const struct train_batch *b, double weight_all, double *sum, double *weight, slm_err *err);
void trainee_zero_grad(struct trainee *t);

/* trainee_model -- a model with the current parameters; owned by the trainee. */
struct slm_model *trainee_model(struct trainee *t);
uint64_t trainee_n_param(const struct trainee *t); /* those that learn */
void trainee_destroy(struct trainee *t);

#endif
