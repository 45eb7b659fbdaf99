/* tok_int.h -- what the files of the tokenizer share: the vocabulary's tables and the family's functions. */
#ifndef SLM_TEXT_TOK_INT_H
#define SLM_TEXT_TOK_INT_H

#include "text/tok.h"

/* Open-addressing map from bytes to id; keys live in the vocabulary's blob. */
struct piece_map {
    struct piece_slot {
        uint32_t hash;
        int32_t id; /* TOK_NONE: empty */
    } *slots;
    uint32_t mask;
};

/* A run of bytes in the blob. */
struct span {
    uint32_t at, len;
};

/* The outcome of one merge of two neighbouring pieces. */
struct merge_slot {
    uint64_t pair; /* left << 32 | right */
    uint32_t rank;
    int32_t id;    /* TOK_NONE: empty */
};
struct merge_map {
    struct merge_slot *slots;
    uint32_t mask;
};

struct tok;
/* A family is a row: how its stored pieces read as bytes, what it prepares, how it encodes a fragment without specials. */
struct tok_family {
    const char *name;
    /* Bytes that a stored piece stands for; out has room for 4 * stored.len + 8. */
    size_t (*read_piece)(struct view stored, enum tok_type type, char *out);
    slm_status (*prepare)(struct tok *t, const struct tok_config *c, slm_err *err);
    /* after_special: the fragment begins the text or follows a special token. */
    slm_status (*encode)(const struct tok *t, struct view text, bool after_special, struct tok_ids *out, slm_err *err);
};
extern const struct tok_family tok_family_spm, tok_family_bpe;

struct pretok;

struct tok {
    struct tok_config c;
    const struct tok_family *family;
    char *blob;             /* bytes of all pieces, then stored forms of special ones */
    struct span *bytes;     /* [n_vocab] what a piece stands for in text */
    struct span *shown;     /* [n_vocab] special pieces as written; others as bytes */
    uint8_t *types;         /* [n_vocab] */
    bool *is_end;           /* [n_vocab] */
    float *scores;          /* [n_vocab], SPM */
    struct piece_map map;   /* bytes of ordinary pieces -> id */
    int32_t byte_id[256];   /* piece of one byte, or TOK_NONE */
    /* special pieces, by first byte, longest first within one */
    int32_t *specials;
    uint32_t n_specials, special_at[257];
    /* BPE */
    struct merge_map merges;
    struct pretok *pretok;
};

static inline struct view tok_bytes(const struct tok *t, int32_t id) { return (struct view){t->blob + t->bytes[id].at, t->bytes[id].len}; }

uint32_t piece_hash(const char *s, size_t n);
int32_t piece_find(const struct tok *t, const char *s, size_t n); /* TOK_NONE */
slm_status tok_push_bytes(const struct tok *t, const char *s, size_t n, struct tok_ids *out, slm_err *err); /* byte pieces, else unk */

/* Pre-tokenizers: named rows of patterns. */
slm_status pretok_create(const char *name, struct pretok **out, slm_err *err);
void pretok_destroy(struct pretok *p);
bool pretok_ignore_merges(const struct pretok *p);
bool pretok_wants_nfc(const struct pretok *p);
/* pretok_split -- call fn with each pre-token of text, in order; stops at the first status that is not OK. */
typedef slm_status (*pretok_fn)(void *ctx, struct view word, slm_err *err);
slm_status pretok_split(const struct pretok *p, struct view text, pretok_fn fn, void *ctx, slm_err *err);

#endif
