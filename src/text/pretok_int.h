/* pretok_int.h -- the table of pre-tokenizers. */
#ifndef SLM_TEXT_PRETOK_INT_H
#define SLM_TEXT_PRETOK_INT_H

#include "text/tok_int.h"

/* White_Space of Unicode 15, as the inside of a class. */
#define PRETOK_SPACES "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"

/* What Hugging Face's ByteLevel does by itself. */
#define PRETOK_GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

enum {
    PRETOK_IGNORE_MERGES = 1, /* a word that is a piece is that piece, whatever merging would give */
    PRETOK_NFC = 2,           /* fragments are brought to NFC first */
    PRETOK_ADD_BOS = 4,       /* a file that says nothing means: with bos */
    PRETOK_THREES = 8,        /* words are cut before every third digit from the end of a run of digits */
};

struct pretok_row {
    const char *name;         /* GGUF's tokenizer.ggml.pre */
    const char *const *patterns; /* NULL-terminated */
    unsigned flags;
};
const struct pretok_row *pretok_rows(size_t *n_rows);

slm_status pretok_create_patterns(const char *const *patterns, unsigned flags, struct pretok **out, slm_err *err);

#endif
