/* vocab.c -- a tokenizer's pieces sorted into tries, made once per model.
 *
 * Depth-first order in one array: a walk is a loop, a subtree is left by an addition. Tokens that any JSON string may hold
 * anywhere (most of a vocabulary) are told from the rest, so that inside a string a mask is a copy and a walk over the rest.
 * Control tokens are not text and are never allowed; end tokens are kept apart. */
#include <stdlib.h>
#include <string.h>

#include "engine/constrain/vocab_int.h"

#define PIECE_BYTES_MAX 65535

struct piece {
    struct view bytes;
    int32_t id;
};

static int compare_pieces(const void *a, const void *b) {
    const struct piece *x = a, *y = b;
    size_t n = x->bytes.len < y->bytes.len ? x->bytes.len : y->bytes.len;
    int c = memcmp(x->bytes.ptr, y->bytes.ptr, n);
    if (c) return c;
    if (x->bytes.len != y->bytes.len) return x->bytes.len < y->bytes.len ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

/* Characters of a safe piece; 0: not safe. */
static uint32_t count_safe(struct view v) {
    uint32_t n = 0;
    for (size_t i = 0; i < v.len; n++) {
        uint32_t cp;
        uint8_t b = (uint8_t)v.ptr[i];
        int len = utf8_decode(v.ptr + i, v.len - i, &cp);
        if (len == 0 || b < 0x20 || b == '"' || b == '\\') return 0;
        i += (size_t)len;
    }
    return n;
}

static size_t shared_prefix(struct view a, struct view b) {
    size_t n = a.len < b.len ? a.len : b.len, i = 0;
    while (i < n && a.ptr[i] == b.ptr[i]) i++;
    return i;
}

/* Sorted pieces become nodes in order: each adds the bytes it does not share with the one before. */
static slm_status build_trie(const struct piece *pieces, size_t n, int32_t *same, struct trie *t, slm_err *err) {
    size_t n_nodes = 0;
    void *mem = NULL;
    struct view before = {NULL, 0};
    for (size_t i = 0; i < n; i++) {
        n_nodes += pieces[i].bytes.len - shared_prefix(before, pieces[i].bytes);
        before = pieces[i].bytes;
    }
    slm_status st = mem_alloc(&mem, n_nodes + 1, sizeof *t->nodes, "token trie", err);
    if (st != SLM_OK) return st;
    t->nodes = mem;
    memset(t->root, 0xff, sizeof t->root);
    uint32_t *open = malloc((PIECE_BYTES_MAX + 1) * sizeof *open); /* the node at each depth of the piece before */
    if (!open) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "token trie: no memory");
    before = (struct view){NULL, 0};
    for (size_t i = 0; i < n; i++) {
        struct view v = pieces[i].bytes;
        size_t shared = shared_prefix(before, v);
        for (size_t d = before.len; d > shared; d--) t->nodes[open[d]].skip = t->n;
        for (size_t d = shared + 1; d <= v.len; d++) {
            if (d == 1) t->root[(uint8_t)v.ptr[0]] = t->n;
            open[d] = t->n;
            t->nodes[t->n++] = (struct trie_node){.id = -1, .depth = (uint16_t)d, .byte = (uint8_t)v.ptr[d - 1]};
        }
        struct trie_node *end = &t->nodes[open[v.len]];
        if (end->id >= 0) same[pieces[i].id] = end->id;
        end->id = pieces[i].id;
        if (v.len > t->depth_max) t->depth_max = (uint16_t)v.len;
        before = v;
    }
    for (size_t d = before.len; d > 0; d--) t->nodes[open[d]].skip = t->n;
    free(open);
    return SLM_OK;
}

static int compare_safe(const void *a, const void *b) {
    const struct safe_token *x = a, *y = b;
    return x->n_chars != y->n_chars ? (x->n_chars < y->n_chars ? -1 : 1) : (x->id < y->id ? -1 : 1);
}

static slm_status list_by_first(struct constrain_vocab *v, slm_err *err) {
    uint32_t at[256];
    void *mem = NULL;
    for (uint32_t id = 0; id < v->n_vocab; id++)
        if (v->safe_chars[id]) v->first_at[(uint8_t)tok_piece(v->tok, (int32_t)id, false).ptr[0] + 1]++;
    for (size_t b = 0; b < 256; b++) v->first_at[b + 1] += v->first_at[b];
    slm_status st = mem_alloc(&mem, (size_t)v->first_at[256] + 1, sizeof *v->safe_by_first, "token masks", err);
    if (st != SLM_OK) return st;
    v->safe_by_first = mem;
    memcpy(at, v->first_at, sizeof at);
    for (uint32_t id = 0; id < v->n_vocab; id++)
        if (v->safe_chars[id]) v->safe_by_first[at[(uint8_t)tok_piece(v->tok, (int32_t)id, false).ptr[0]]++] = (int32_t)id;
    return SLM_OK;
}

static slm_status sort_safe(struct constrain_vocab *v, slm_err *err) {
    void *mem = NULL;
    slm_status st = SLM_OK;
    for (int k = 0; k <= SAFE_LEVELS; k++) {
        TRY(mem_alloc(&mem, v->n_words, sizeof(uint32_t), "token masks", err));
        v->safe[k] = mem;
    }
    for (uint32_t id = 0; id < v->n_vocab; id++) v->n_long_safe += v->safe_chars[id] > SAFE_LEVELS;
    TRY(mem_alloc(&mem, v->n_long_safe + 1, sizeof *v->long_safe, "token masks", err));
    v->long_safe = mem;
    v->n_long_safe = 0;
    for (uint32_t id = 0; id < v->n_vocab; id++) {
        uint32_t n = v->safe_chars[id];
        if (n == 0) continue;
        for (uint32_t k = n - 1; k < SAFE_LEVELS; k++) bit_set(v->safe[k], (int32_t)id);
        bit_set(v->safe[SAFE_LEVELS], (int32_t)id);
        if (n > SAFE_LEVELS) v->long_safe[v->n_long_safe++] = (struct safe_token){(int32_t)id, n};
    }
    qsort(v->long_safe, v->n_long_safe, sizeof *v->long_safe, compare_safe);
    st = list_by_first(v, err);
out:
    return st;
}

/* The pieces that are text, sorted. */
static slm_status list_pieces(struct constrain_vocab *v, struct piece *pieces, size_t *n, slm_err *err) {
    for (uint32_t i = 0; i < v->n_vocab; i++) {
        int32_t id = (int32_t)i;
        enum tok_type type = tok_type_of(v->tok, id);
        struct view bytes = tok_piece(v->tok, id, false);
        v->same[i] = -1;
        if (tok_is_end(v->tok, id)) {
            bit_set(v->ends, id);
            continue;
        }
        if (bytes.len == 0 || type == TOK_CONTROL || type == TOK_UNKNOWN || type == TOK_UNUSED) continue;
        if (bytes.len > PIECE_BYTES_MAX)
            return err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "token %u: a piece of %zu bytes, structured output takes at most %d", i, bytes.len, PIECE_BYTES_MAX);
        if (bytes.len == 1) v->has_byte[(uint8_t)bytes.ptr[0]] = true;
        v->safe_chars[i] = count_safe(bytes);
        if (memchr(bytes.ptr, '"', bytes.len)) v->quotes[v->n_quotes++] = id;
        pieces[(*n)++] = (struct piece){bytes, id};
    }
    qsort(pieces, *n, sizeof *pieces, compare_pieces);
    return SLM_OK;
}

slm_status constrain_vocab_create(const struct tok *tok, struct constrain_vocab **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct constrain_vocab *v = NULL;
    struct piece *pieces = NULL;
    void *mem = NULL;
    size_t n = 0, n_rest = 0;
    *out = NULL;
    TRY(mem_alloc(&mem, 1, sizeof *v, "token trie", err));
    v = mem;
    v->tok = tok;
    v->n_vocab = tok_n_vocab(tok);
    v->n_words = (v->n_vocab + 31) / 32;
    TRY(mem_alloc(&mem, v->n_vocab, sizeof *v->same, "token trie", err));
    v->same = mem;
    TRY(mem_alloc(&mem, v->n_vocab, sizeof *v->safe_chars, "token trie", err));
    v->safe_chars = mem;
    TRY(mem_alloc(&mem, v->n_vocab, sizeof *v->quotes, "token trie", err));
    v->quotes = mem;
    TRY(mem_alloc(&mem, v->n_words, sizeof *v->ends, "token trie", err));
    v->ends = mem;
    TRY(mem_alloc(&mem, v->n_vocab, sizeof *pieces, "token trie", err));
    pieces = mem;
    TRY(list_pieces(v, pieces, &n, err));
    TRY(build_trie(pieces, n, v->same, &v->all, err));
    for (size_t i = 0; i < n; i++)
        if (!v->safe_chars[pieces[i].id]) pieces[n_rest++] = pieces[i];
    TRY(build_trie(pieces, n_rest, v->same, &v->rest, err));
    TRY(sort_safe(v, err));
    *out = v;
    v = NULL;
out:
    free(pieces);
    constrain_vocab_destroy(v);
    return st;
}

void constrain_vocab_destroy(struct constrain_vocab *v) {
    if (!v) return;
    free(v->all.nodes);
    free(v->rest.nodes);
    free(v->same);
    free(v->safe_chars);
    free(v->quotes);
    free(v->ends);
    free(v->long_safe);
    free(v->safe_by_first);
    for (int k = 0; k <= SAFE_LEVELS; k++) free(v->safe[k]);
    free(v);
}
