/* tok.h -- tokenizers: text <-> ids.
 *
 * text does not know GGUF: model reads the keys and hands over a plain tok_config. Families are rows of
 * a table (name, create, encode, piece), pre-tokenizer patterns rows of another (name, PCRE2 pattern).
 * A tokenizer is read-only after creation and may be used by any number of threads at once. */
#ifndef SLM_TEXT_TOK_H
#define SLM_TEXT_TOK_H

#include "base/mem.h"

#define TOK_N_VOCAB_MAX (4u << 20)
#define TOK_TEXT_BYTES_MAX (256u << 20)
#define TOK_NONE (-1)

/* As in GGUF's tokenizer.ggml.token_type. */
enum tok_type { TOK_NORMAL = 1, TOK_UNKNOWN = 2, TOK_CONTROL = 3, TOK_USER_DEFINED = 4, TOK_UNUSED = 5, TOK_BYTE = 6 };

/* White space before, after a special piece belongs to it. */
enum { TOK_LSTRIP = 1, TOK_RSTRIP = 2 };

struct tok_config {
    const char *family;          /* "llama" (SPM), "gpt2" (byte-level BPE), ... ; GGUF's tokenizer.ggml.model */
    const char *pre;             /* pre-tokenizer row: "llama-bpe", "qwen2", "gpt-2", "default" */
    const char *const *patterns; /* NULL-terminated PCRE2 patterns instead of a row (pre is then not read), or NULL */
    bool ignore_merges, nfc;     /* with patterns: a word that is a piece is not merged; text is brought to NFC */
    uint32_t n_vocab;
    const struct view *pieces;   /* [n_vocab], as stored in GGUF; borrowed during create, copied */
    const float *scores;         /* [n_vocab] or NULL */
    const int32_t *types;        /* [n_vocab] tok_type, or NULL: all normal */
    const struct view *merges;   /* [n_merges] "left right", best first, or NULL */
    uint32_t n_merges;
    int32_t bos, eos, unk, sep, pad, cls, mask, eot, eom; /* TOK_NONE: absent */
    bool add_bos, add_eos;
    bool add_space_prefix;       /* SPM: text gets a leading space, and so does what follows a special piece */
    bool prefix_first_only;      /* ... but only at the very beginning */
    bool prefix_unless_space;    /* ... but not where a space is already */
    bool remove_extra_whitespaces;
    bool keep_case;              /* WordPiece: neither lower case nor accents are touched */
    struct view charsmap;        /* Unigram: SentencePiece's compiled normalisation; borrowed during create; empty: none */
    bool special_rstrip;         /* white space after a special token belongs to it; not after unk, bos and pad */
    const uint8_t *strips;       /* [n_vocab] TOK_LSTRIP | TOK_RSTRIP of special pieces, or NULL; copied */
};
void tok_config_init(struct tok_config *c); /* ids TOK_NONE, flags off, add_space_prefix on */
/* tok_config_assume -- add_bos and add_eos as files of this family and pre-tokenizer mean them when they say nothing. */
void tok_config_assume(struct tok_config *c);

struct tok;
/* Errors: UNSUPPORTED (family or pre-tokenizer unknown, named, with the nearest), FORMAT (ids out of range,
 * merges that build no piece, too large), NOMEM. */
slm_status tok_create(const struct tok_config *c, struct tok **out, slm_err *err);
void tok_destroy(struct tok *t);

enum { TOK_PARSE_SPECIAL = 1, TOK_ADD_BOS = 2, TOK_ADD_EOS = 4 };

/* Growing array of ids; zeroed is empty; free with tok_ids_fini. */
struct tok_ids {
    int32_t *v;
    size_t n, cap;
};
slm_status tok_ids_push(struct tok_ids *ids, int32_t id, slm_err *err);
void tok_ids_fini(struct tok_ids *ids);

/* tok_encode -- append the ids of text (any bytes; invalid UTF-8 goes through byte tokens or unk; what has
 * neither is left out, as the authors' library does). Time is near-linear in text, whatever it holds.
 * TOK_PARSE_SPECIAL: control and user-defined pieces found in text become their ids; without it, only
 * user-defined ones do. TOK_ADD_BOS adds bos whatever add_bos says. Errors: LIMIT (text of a GiB), NOMEM. */
slm_status tok_encode(const struct tok *t, struct view text, unsigned flags, struct tok_ids *out, slm_err *err);

/* Bytes [start, end) of a text. */
struct tok_range {
    size_t start, end;
};
/* tok_encode_guarded -- tok_encode with TOK_PARSE_SPECIAL, where a control piece whose first or last byte lies in one of the
 * plain ranges (ascending, apart) is ordinary text: what a user wrote into a prompt cannot become a special token. Everything
 * else, merges across the ranges' ends included, is as without them. */
slm_status tok_encode_guarded(const struct tok *t, struct view text, unsigned flags, const struct tok_range *plain, size_t n_plain,
                              struct tok_ids *out, slm_err *err);

/* tok_piece -- the bytes that id stands for in running text: SPM's U+2581 is a space, byte-level
 * letters are bytes, control tokens are empty unless render_special. View into the tokenizer; empty
 * for an id out of range. */
struct view tok_piece(const struct tok *t, int32_t id, bool render_special);

uint32_t tok_n_vocab(const struct tok *t);
const struct tok_config *tok_config_of(const struct tok *t); /* ids and flags; the array pointers are NULL */
bool tok_is_end(const struct tok *t, int32_t id);            /* eos, eot, eom, and known end-of-turn pieces */
enum tok_type tok_type_of(const struct tok *t, int32_t id);

/* Streaming detokenizer: push ids, take text that never splits a UTF-8 character; bytes that can no
 * longer become a character come out as U+FFFD. The first SPM piece loses the space that encoding put
 * there when add_space_prefix holds and `strip_first` was asked. */
struct detok {
    const struct tok *t;
    char held[8];
    size_t n_held;
    bool strip_first, render_special;
};
void detok_init(struct detok *d, const struct tok *t, bool strip_first, bool render_special);
void detok_push(struct detok *d, int32_t id, struct buf *out);
void detok_finish(struct detok *d, struct buf *out); /* what was held, as U+FFFD */

#endif
