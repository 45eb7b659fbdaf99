/* data.h -- from files of examples to the steps of training.
 *
 *     struct data_params p = {.paths = paths, .n_paths = 1, .tok = model->tok, .tmpl = tmpl, .n_ctx = 1024};
 *     dataset_open(&p, &d, &err);                                  reads, checks, renders and tokenizes every row once
 *     dataset_source(d, &(struct data_source_params){.side = DATA_TRAIN, .seed = 1}, &source, &err);
 *
 * Files: JSON lines, one JSON array, CSV or TSV with a header, plain text; a folder stands for all of these in it, by name. A row's
 * format is seen by its keys (docs/training-data.md has the table) unless one is named.
 * Every fault of a row names file and line. Memory is bounded: a row is read, rendered and tokenized alone; ids go to a file without a
 * name that is mapped, what stays per sequence is 48 bytes.
 *
 * Loss is on what the model is to write: a chat's assistant turns with the token that ends them, a completion with EOS, a text whole.
 * Where a turn begins and ends is found by rendering the chat up to it; when the template does not render a chat as a continuation
 * of its beginning, that is an error, not a guess. A row without any token to learn is an error too. */
#ifndef SLM_TRAIN_DATA_H
#define SLM_TRAIN_DATA_H

#include <jansson.h>

#include "text/chat_template.h"
#include "train/train.h"

#define DATA_ROW_BYTES_MAX (64u << 20)
#define DATA_N_PATHS_MAX 65536
#define DATA_N_SEQ_MAX (64u << 20)
#define DATA_COLUMNS_MAX 256
#define DATA_TURNS_MAX 1000
#define DATA_DOC_SEP "<|endoftext|>"

enum data_format {
    DATA_AUTO,
    DATA_MESSAGES,   /* {"messages": [{"role", "content"}, ...], "tools"?: [...]} */
    DATA_PROMPT,     /* {"prompt", "completion"} */
    DATA_ALPACA,     /* {"instruction", "input"?, "output"} */
    DATA_SHAREGPT,   /* {"conversations": [{"from", "value"}, ...]} */
    DATA_CLASSIFY,   /* {"text", "label"} */
    DATA_TEXT,       /* {"text"}, or a plain file */
    DATA_CHOICE,     /* {"prompt", "choices": [...], "answer": number from 0, letter or text}: for slm eval; trains on the answer */
    DATA_UNLABELLED, /* {"prompt"}, or {"messages"} that end with the user: for a teacher to answer */
    DATA_FORMAT_COUNT,
};
const char *data_format_name(enum data_format f);
bool data_format_by_name(const char *name, enum data_format *out);

/* ---- rows ---- */

enum data_shape { DATA_SHAPE_TEXT, DATA_SHAPE_PAIR, DATA_SHAPE_CHAT };

/* One example. Everything is the reader's until its next row. */
struct data_row {
    enum data_format format;
    enum data_shape shape;
    const char *path;
    uint64_t line;              /* where it begins, from 1 */
    struct view text;           /* TEXT, and CLASSIFY's text */
    struct view prompt, completion; /* PAIR; completion.ptr NULL: there is none */
    struct view label;          /* CLASSIFY */
    json_t *choices;            /* CHOICE: texts as they follow the prompt; completion is that of the answer */
    size_t i_answer;
    json_t *messages, *tools;   /* CHAT; tools NULL: none */
    json_t *object;             /* the row as written; NULL of plain text */
    float weight;               /* "weight", else 1 */
};
/* data_row_of -- the row that a kept object is; *owned is what it points to beside the object, released by the caller. */
slm_status data_row_of(json_t *object, enum data_format format, const char *path, uint64_t line, struct data_row *row, json_t **owned, slm_err *err);
struct data_reader;
struct data_reader_params {
    const char *const *paths;   /* [n_paths]; borrowed */
    size_t n_paths;
    enum data_format format;
    const char *doc_sep;        /* a line that parts the documents of a plain file; NULL: DATA_DOC_SEP */
};
/* Errors: IO, NOT_FOUND (a folder with no data), LIMIT. */
slm_status data_reader_open(const struct data_reader_params *p, struct data_reader **out, slm_err *err);
void data_reader_close(struct data_reader *r);
/* data_reader_next -- *has is false at the end. Errors: FORMAT "FILE:LINE: why" of a bad row, after which the next call goes on with the
 * row behind it where one can be found; IO, LIMIT, NOMEM. */
slm_status data_reader_next(struct data_reader *r, struct data_row *row, bool *has, slm_err *err);
/* data_reader_over -- rows from memory, for fuzzing and tests. name decides the kind of file as a path would. bytes are borrowed. */
slm_status data_reader_over(const char *name, struct view bytes, enum data_format format, struct data_reader **out, slm_err *err);

/* ---- rows as tokens ---- */

struct data_encode_params {
    const struct tok *tok;
    const struct chat_template *tmpl; /* NULL: chats are refused */
    const char *system;               /* first turn of chats that have none; NULL: none */
    bool loss_last;                   /* learn the last assistant turn only */
};
/* ids and whether each is to be learnt (loss[i]: ids[i] is a target). */
struct data_tokens {
    struct tok_ids ids;
    uint8_t *loss; /* [ids.n] */
    size_t cap_loss;
};
void data_tokens_fini(struct data_tokens *t);
/* data_encode -- t is overwritten. A row without completion gives its prompt as a model is to see it, no loss.
 * Errors: FORMAT (FILE:LINE; the template raised or does not continue itself; nothing to learn), USAGE (a chat without a template). */
slm_status data_encode(const struct data_encode_params *p, const struct data_row *row, struct data_tokens *t, slm_err *err);
/* data_encode_prompt -- what a model sees before it answers: chat up to the last assistant turn with the template's opening of one,
 * a pair's prompt, a text to classify as a user's turn. */
slm_status data_encode_prompt(const struct data_encode_params *p, const struct data_row *row, struct tok_ids *ids, slm_err *err);
/* data_encode_answer -- append what a model writes for `answer` behind that prompt: its ids, an end token not included. */
slm_status data_encode_answer(const struct data_encode_params *p, const struct data_row *row, struct view answer, struct tok_ids *ids, slm_err *err);
/* data_label_piece -- the one piece that a vocabulary has for a label (written "<label>"), or TOK_NONE. */
int32_t data_label_piece(const struct tok *tok, struct view label);
/* data_answer -- what the row wants written: completion, label, or last assistant turn; empty: nothing. */
struct view data_answer(const struct data_row *row);

/* ---- a dataset ---- */

struct data_params {
    const char *const *paths;
    size_t n_paths;
    enum data_format format;
    const char *doc_sep;
    const struct tok *tok;            /* borrowed while the dataset lives */
    const struct chat_template *tmpl; /* borrowed during dataset_open */
    const char *system;
    int32_t n_ctx;                    /* tokens of a sequence at most; longer texts become several, longer chats are cut */
    bool loss_last, skip_bad;         /* skip_bad: bad rows are counted, not errors */
    float val_share;                  /* of rows, for DATA_VAL: by a hash of the row, so that twins stay on one side */
    uint64_t val_seed;
    const _Atomic bool *cancel;
    void (*on_bad)(void *user, const slm_err *fault); /* with skip_bad: the first 5; NULL: none */
    void *user;
};
struct data_stats {
    uint64_t n_row, n_bad, n_cut, n_duplicate; /* rows read; left out; cut at n_ctx; same tokens as an earlier one (kept) */
    uint64_t n_seq, n_token, n_loss;           /* of what is kept; tokens are inputs */
    uint64_t n_bytes;                          /* of text that the loss tokens stand for */
    int32_t seq_tokens_max;
    uint64_t duplicate_line[2];                /* the first pair found */
};
enum data_side { DATA_TRAIN, DATA_VAL, DATA_ALL };

struct dataset;
/* Errors: those of reader and encoder; USAGE (no row at all; no row left). */
slm_status dataset_open(const struct data_params *p, struct dataset **out, slm_err *err);
void dataset_close(struct dataset *d);
const struct data_stats *dataset_stats(const struct dataset *d);
uint64_t dataset_identity(const struct dataset *d); /* of sequences and what is learnt of them */

/* Sequence i: stored [n + 1], inputs are the first n, targets the last n. loss: bit 31. */
#define DATA_LOSS_BIT 0x80000000u
struct data_seq {
    const uint32_t *stored;
    int32_t n;              /* inputs */
    const char *path;
    uint64_t line;
    float weight;
    uint64_t i_loss;        /* loss tokens of all sequences before: its first row in a cache of teacher's logits */
    uint32_t n_loss;
    enum data_side side;
};
const struct tok *dataset_tok(const struct dataset *d);
uint64_t dataset_n_seq(const struct dataset *d);
struct data_seq dataset_seq(const struct dataset *d, uint64_t i);

/* dataset_overlap -- rows of b that are in a too (same tokens): their number, and one of each by line. */
struct data_overlap {
    uint64_t n;
    const char *path_a, *path_b;
    uint64_t line_a, line_b;
};
slm_status dataset_overlap(const struct dataset *a, const struct dataset *b, struct data_overlap *out, slm_err *err);

struct kd_cache; /* kd_cache.h */
struct kd_loss {  /* how a teacher's logits count; see train_teacher */
    enum train_tail tail;
    float temperature, alpha, beta;
    bool keep_targets; /* false: where the teacher has a row, the target is dropped and the teacher is all */
    const char *answers_path; /* rows of this file are the teacher's own answers: their targets are dropped in any case; NULL */
};
struct data_source_params {
    enum data_side side;
    bool in_order, once; /* file order instead of shuffled; end after one pass (next then gives no micro-batch) */
    uint64_t seed;
    const struct kd_cache *teacher; /* of exactly this dataset; borrowed; NULL: none */
    struct kd_loss kd;
    float token_dropout; /* share of the ordinary tokens that are not learnt (prompts) whose place shows an end token instead; by seed, epoch and
                          * sequence, so a resume sees the same */
};
/* dataset_source -- steps from d, which must outlive it. out->ctx is freed by data_source_destroy. Several may be open at once.
 * Errors: USAGE (the side is empty; a cache of other data, named; a temperature that the cache does not have). */
slm_status dataset_source(struct dataset *d, const struct data_source_params *p, struct train_source *out, slm_err *err);
void data_source_destroy(struct train_source *s);

/* ---- a vocabulary from data ---- */

struct bpe_vocab;
/* The pieces and the template of models that are trained from nothing. */
extern const char data_default_template[];
struct data_vocab_params {
    struct data_reader_params reader;
    uint32_t n_vocab;
    const char *pre;       /* "gpt-2" */
    bool label_pieces;     /* each label of CLASSIFY rows becomes one piece */
    const _Atomic bool *cancel;
};
/* data_vocab_train -- a vocabulary learnt from all texts of all rows: <|endoftext|> (bos, eos), <|system|>, <|user|>, <|assistant|>, <|end|>
 * (eot), then labels in order of their names, bytes, merges. *has_chats: some row takes a template. Errors: those of reader and bpe_train.h. */
slm_status data_vocab_train(const struct data_vocab_params *p, struct bpe_vocab *out, bool *has_chats, slm_err *err);

#endif
