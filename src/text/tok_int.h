/* tok_int.h -- what the files of the tokenizer share: the vocabulary's tables, the state of one call, the family's functions. */
#ifndef SLM_TEXT_TOK_INT_H
#define SLM_TEXT_TOK_INT_H

#include "text/tok.h"

#define TOK_INPUT_BYTES_MAX (1u << 30)   /* positions fit 32 bits with room for a doubled copy */
#define TOK_PIECE_BYTES_MAX 4096         /* these two bound the work at each place of a text */
#define TOK_SPECIAL_BYTES_MAX 1024

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

/* One way to build a piece of BPE: its first n_left bytes were one symbol, the rest the other. */
struct merge_row {
    uint32_t rank, n_left;
};

struct special {
    const char *ptr; /* in the blob */
    uint32_t len;
    int32_t id;
};

struct tok;
struct pretok;
struct charsmap;

/* The state of one tok_encode: borrowed inputs, the growing output, memory that its words share. */
struct job {
    const struct tok *t;
    struct tok_ids *out;
    size_t out_floor;       /* ids before this place are not this fragment's: unknowns do not fuse across it */
    struct word_memo *memo; /* NULL for short texts */
    struct merge_work *merge;
    struct arena texts;     /* fragments rewritten: normalised, space put before; words point here until the end */
    struct pretok_work *pretok;
    const struct tok_range *plain; /* where no control piece begins or ends; ascending, apart */
    size_t n_plain;
    slm_err *err;
};

/* A family is a row: how its stored pieces read as bytes, what it prepares, how it encodes a fragment without specials. */
struct tok_family {
    const char *name;
    bool add_bos, add_eos;      /* what a file that does not say means */
    bool symbols_are_bytes;     /* BPE starts from bytes, not from characters */
    bool spaces_are_lower_one;  /* U+2581 and the space are the same; byte pieces are written <0xNN> */
    /* Bytes that a stored piece stands for; out has room for stored.len + 8. */
    size_t (*read_piece)(struct view stored, enum tok_type type, char *out);
    slm_status (*prepare)(struct tok *t, const struct tok_config *c, slm_err *err);
    /* after_special: the fragment begins the text or follows a special token. text is never empty. */
    slm_status (*encode)(struct job *j, struct view text, bool after_special);
    /* One word, as encode cuts them. Depends on nothing but the word, save that unknowns fuse. */
    slm_status (*encode_word)(struct job *j, struct view word);
};
extern const struct tok_family tok_family_spm, tok_family_bpe, tok_family_gemma4, tok_family_wordpiece, tok_family_unigram;

struct tok {
    struct tok_config c;
    const struct tok_family *family;
    char *blob;             /* bytes of all pieces */
    struct span *bytes;     /* [n_vocab] what a piece stands for in text */
    struct span *shown;     /* [n_vocab] special pieces as written; others as bytes */
    uint8_t *types;         /* [n_vocab] */
    bool *is_end;           /* [n_vocab] */
    struct piece_map map;   /* bytes of ordinary pieces -> id */
    uint32_t n_piece_max;   /* bytes of the longest piece of the map */
    int32_t byte_id[256];   /* piece of one byte, or TOK_NONE */
    struct special *specials; /* sorted by their bytes */
    uint32_t n_specials, special_at[257]; /* [special_at[b], special_at[b+1]) begin with byte b */
    uint8_t *strips;        /* [n_vocab] TOK_LSTRIP..., or NULL */
    /* merging: of a piece's rows in BPE, or of its key in SPM, smaller is merged first */
    struct merge_row *merges;
    uint32_t *merge_at;     /* [n_vocab + 1] rows of a piece */
    uint32_t *keys;         /* [n_vocab] */
    float *scores, score_unknown; /* Unigram */
    struct charsmap *charsmap;
    bool before_space[256]; /* a byte that some piece has before an inner space */
    struct pretok *pretok;
};

static inline struct view tok_bytes(const struct tok *t, int32_t id) { return (struct view){t->blob + t->bytes[id].at, t->bytes[id].len}; }

/* piece_hash -- eight bytes at a time; equal bytes give equal hashes wherever they lie. */
static inline uint32_t piece_hash(const char *s, size_t n) {
    uint64_t h = 0x9e3779b97f4a7c15u ^ n, w;
    for (; n >= 8; s += 8, n -= 8) {
        __builtin_memcpy(&w, s, 8);
        h = (h ^ w) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    w = 0;
    for (size_t i = 0; i < n; i++) w |= (uint64_t)(unsigned char)s[i] << (8 * i);
    h = (h ^ w) * 0xff51afd7ed558ccdu;
    h ^= h >> 29;
    h *= 0xc4ceb9fe1a85ec53u;
    return (uint32_t)(h >> 32);
}
int32_t piece_find(const struct tok *t, const char *s, size_t n); /* TOK_NONE */

/* bytes_same -- memcmp for short runs, without a call. */
static inline bool bytes_same(const char *a, const char *b, size_t n) {
    uint64_t x, y;
    for (; n >= 8; a += 8, b += 8, n -= 8) {
        __builtin_memcpy(&x, a, 8);
        __builtin_memcpy(&y, b, 8);
        if (x != y) return false;
    }
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i]) return false;
    return true;
}

/* job_push_symbol -- what the vocabulary has for a symbol that is no piece: byte pieces, else one unknown for the run, else nothing. */
slm_status job_push_symbol(struct job *j, struct view symbol);

/* merge_encode -- word to ids: symbols, then the best neighbours become one until none is a piece. Near-linear in the word. */
slm_status merge_encode(struct job *j, struct view word);
void job_fini(struct job *j);
/* word_encode -- the family's encode_word, remembering words of this call. */
slm_status word_encode(struct job *j, struct view word);
slm_status word_memo_create(struct job *j, size_t n_text);

/* read_piece of several families */
size_t piece_read_lower_one(struct view stored, enum tok_type type, char *out);
/* spaces_unlower -- *text with a space for every U+2581, in memory of j when it changes. */
slm_status spaces_unlower(struct job *j, struct view *text);
/* job_keep -- *out a copy of text that stays until job_fini. */
slm_status job_keep(struct job *j, struct view text, struct view *out);
/* Texts whose words begin with a space: where cuts are free of consequence, and encoding word by word (spm.c). */
slm_status spaced_prepare(struct tok *t, const struct tok_config *c, slm_err *err);
slm_status spaced_encode(struct job *j, struct view text, bool after_special);

/* The alphabet of byte-level BPE: does a byte stand for itself; append the letter of a byte. */
bool bpe_byte_is_itself(int b);
void bpe_put_letter(struct buf *b, unsigned char byte);

/* Pre-tokenizers: named rows of patterns. Read-only after creation. */
slm_status pretok_create(const char *name, struct pretok **out, slm_err *err);
void pretok_destroy(struct pretok *p);
bool pretok_assumes_bos(const char *name); /* of a row; unknown: no */
bool pretok_ignore_merges(const struct pretok *p);
bool pretok_wants_nfc(const struct pretok *p);
/* pretok_split -- call fn with each pre-token of text, in order; stops at the first status that is not OK. */
typedef slm_status (*pretok_fn)(struct job *j, struct view word);
slm_status pretok_split(const struct pretok *p, struct job *j, struct view text, pretok_fn fn);
void pretok_work_destroy(struct pretok_work *w);

/* normalise_nfc -- *text in NFC, in memory of j when it changes; bytes that are no UTF-8 pass. */
slm_status normalise_nfc(struct job *j, struct view *text);
bool nfc_is_calm(uint32_t cp); /* for the test of the table */

/* charsmap_apply -- *text normalised, in memory of j. */
slm_status charsmap_create(struct view blob, struct charsmap **out, slm_err *err);
void charsmap_destroy(struct charsmap *m);
slm_status charsmap_apply(struct job *j, const struct charsmap *m, struct view *text);

/* White space of Unicode at either end of text, in bytes. */
size_t text_spaces_at_begin(struct view text);
size_t text_spaces_at_end(struct view text);
bool cp_is_space(uint32_t cp);
size_t utf8_valid_run(struct view text); /* bytes before the first that is no UTF-8 */

#endif
