/* vocab_int.h -- a vocabulary as a trie of bytes, for walks beside an automaton. */
#ifndef SLM_ENGINE_VOCAB_INT_H
#define SLM_ENGINE_VOCAB_INT_H

#include "engine/constrain.h"

/* Nodes in depth-first order. The subtree of node i is [i, skip); depth 1 is a first byte. */
struct trie_node {
    uint32_t skip;
    int32_t id;     /* a token that ends here, or -1; others of the same bytes follow in constrain_vocab.same */
    uint16_t depth;
    uint8_t byte;
};
struct trie {
    struct trie_node *nodes;
    uint32_t n;
    uint32_t root[256]; /* node of each first byte, or UINT32_MAX */
    uint16_t depth_max;
};

#define SAFE_LEVELS 16 /* tokens of at most 1..16 characters have a mask each; the few longer ones are listed */

/* A safe token is whole characters that a JSON string holds unescaped: between quotes it may come anywhere. */
struct constrain_vocab {
    const struct tok *tok;
    uint32_t n_vocab, n_words;
    struct trie all, rest;                /* rest: all but the safe tokens */
    int32_t *same;                        /* [n_vocab] another token with the same bytes, or -1 */
    uint32_t *safe[SAFE_LEVELS + 1];      /* [n_words] each; the last: of any length */
    struct safe_token {
        int32_t id;
        uint32_t n_chars;
    } *long_safe;                         /* of more than SAFE_LEVELS characters, ascending */
    size_t n_long_safe;
    int32_t *safe_by_first;               /* [first_at[256]] safe tokens by their first byte: those of byte b are [first_at[b], first_at[b + 1]) */
    uint32_t first_at[257];
    uint32_t *safe_chars;                 /* [n_vocab] characters of a safe token, 0: not safe */
    int32_t *quotes;                      /* [n_quotes] tokens with a quote in them */
    size_t n_quotes;
    uint32_t *ends;                       /* [n_words] end tokens */
    bool has_byte[256];                   /* a token of this one byte */
};

static inline void bit_set(uint32_t *bits, int32_t id) { bits[(uint32_t)id >> 5] |= 1u << ((uint32_t)id & 31); }
static inline bool bit_has(const uint32_t *bits, int32_t id) { return bits[(uint32_t)id >> 5] >> ((uint32_t)id & 31) & 1; }

#endif
