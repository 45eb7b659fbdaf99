/* merge.c -- the loop that BPE and SPM share: of all neighbouring symbols whose joint bytes are a piece, the pair that comes first
 * in the vocabulary's order (a merge's rank, a piece's score; then the leftmost) becomes one symbol, until none is left.
 *
 * A pair is looked up by its joint bytes, which lie side by side in the word: one probe of the map that finds pieces anyway, and
 * no table of pairs, which for 280 thousand merges took longer to build than a model to load. A piece's merges are told apart by
 * where they cut it. Short words scan for the best pair; long ones keep a heap, so that a megabyte of one letter takes
 * n log n. Words seen before in the same call are
 * remembered with their ids. */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "text/tok_int.h"

#define N_SCAN_MAX 40       /* symbols: up to here scanning costs less than a heap */
#define NO_PAIR UINT32_MAX
#define MEMO_SLOTS_MAX (1u << 15)
#define MEMO_TEXT_BYTES_MIN 512

struct sym {
    uint32_t at, len;   /* len 0: joined to the one before */
    uint32_t prev, next; /* indices; NO_PAIR: none */
};

/* A pair that could be joined when it was noticed; stale when either symbol has changed since. */
struct candidate {
    uint64_t order; /* key << 32 | index of the left symbol */
    uint32_t n_left, n_both;
};

struct merge_work {
    struct sym *syms;
    struct candidate *heap;
    size_t cap_syms, n_heap, cap_heap;
};

/* A word of at most 15 bytes and the few ids it gave, in half a cache line: no look elsewhere. */
#define MEMO_WORD_BYTES_MAX 15
#define MEMO_IDS_MAX 4
struct word_memo {
    uint32_t mask;
    struct memo_slot {
        uint64_t key[2];          /* the word, zeros, its length in the last byte; all zero: empty */
        int32_t ids[MEMO_IDS_MAX]; /* up to the first TOK_NONE */
    } slots[];
};

/* Where the pair whose joint bytes are s[0..n) stands in the order of merging; NO_PAIR: it may not be joined. */
static uint32_t pair_key(const struct tok *t, const char *s, uint32_t n_left, uint32_t n) {
    int32_t id = piece_find(t, s, n);
    if (id == TOK_NONE) return NO_PAIR;
    if (t->keys) return t->keys[id];
    for (uint32_t i = t->merge_at[id]; i < t->merge_at[id + 1]; i++)
        if (t->merges[i].n_left == n_left) return t->merges[i].rank;
    return NO_PAIR;
}

static slm_status push_piece(struct job *j, const char *s, uint32_t n) {
    int32_t id = piece_find(j->t, s, n);
    if (id != TOK_NONE) return tok_ids_push(j->out, id, j->err);
    if (j->t->family->spaces_are_lower_one && n == 1 && *s == ' ') return job_push_symbol(j, VIEW("\xe2\x96\x81"));
    return job_push_symbol(j, (struct view){s, n});
}

static uint32_t symbol_len(const struct tok *t, const char *s, size_t n) {
    uint32_t cp;
    int len = t->family->symbols_are_bytes || (unsigned char)*s < 0x80 ? 1 : utf8_decode(s, n, &cp);
    return len > 0 ? (uint32_t)len : 1;
}

/* Short words */

static slm_status merge_scan(struct job *j, struct view word, uint32_t *at, uint32_t n_sym) {
    const struct tok *t = j->t;
    const char *s = word.ptr;
    uint32_t key[N_SCAN_MAX];
    for (uint32_t i = 0; i + 1 < n_sym; i++) key[i] = pair_key(t, s + at[i], at[i + 1] - at[i], at[i + 2] - at[i]);
    while (n_sym > 1) {
        uint32_t best = 0;
        for (uint32_t i = 1; i + 1 < n_sym; i++)
            if (key[i] < key[best]) best = i;
        if (key[best] == NO_PAIR) break;
        memmove(at + best + 1, at + best + 2, (n_sym - best - 1) * sizeof *at);
        memmove(key + best, key + best + 1, (n_sym - best - 2) * sizeof *key);
        n_sym--;
        if (best > 0) key[best - 1] = pair_key(t, s + at[best - 1], at[best] - at[best - 1], at[best + 1] - at[best - 1]);
        if (best + 1 < n_sym) key[best] = pair_key(t, s + at[best], at[best + 1] - at[best], at[best + 2] - at[best]);
    }
    slm_status st = SLM_OK;
    for (uint32_t i = 0; i < n_sym && st == SLM_OK; i++) st = push_piece(j, s + at[i], at[i + 1] - at[i]);
    return st;
}

/* Long words */

static slm_status heap_push(struct job *j, struct candidate c) {
    struct merge_work *w = j->merge;
    if (w->n_heap == w->cap_heap) {
        size_t cap = w->cap_heap ? w->cap_heap * 2 : 256;
        struct candidate *p = realloc(w->heap, cap * sizeof *p);
        if (!p) return err_set(j->err, SLM_E_NOMEM, SLM_NOWHERE, "merging a long word: out of memory");
        w->heap = p;
        w->cap_heap = cap;
    }
    size_t i = w->n_heap++;
    for (; i > 0 && c.order < w->heap[(i - 1) / 2].order; i = (i - 1) / 2) w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = c;
    return SLM_OK;
}

static struct candidate heap_pop(struct merge_work *w) {
    struct candidate top = w->heap[0], last = w->heap[--w->n_heap];
    size_t i = 0, child;
    for (; (child = 2 * i + 1) < w->n_heap; i = child) {
        if (child + 1 < w->n_heap && w->heap[child + 1].order < w->heap[child].order) child++;
        if (last.order <= w->heap[child].order) break;
        w->heap[i] = w->heap[child];
    }
    w->heap[i] = last;
    return top;
}

static slm_status offer_pair(struct job *j, const char *s, uint32_t left) {
    const struct sym *a = &j->merge->syms[left];
    if (a->next == NO_PAIR) return SLM_OK;
    uint32_t n_both = a->len + j->merge->syms[a->next].len, key = pair_key(j->t, s + a->at, a->len, n_both);
    if (key == NO_PAIR) return SLM_OK;
    return heap_push(j, (struct candidate){(uint64_t)key << 32 | left, a->len, n_both});
}

static slm_status split_symbols(struct job *j, struct view word, uint32_t *n_sym) {
    struct merge_work *w = j->merge;
    uint32_t n = 0;
    if (w->cap_syms < word.len) {
        free(w->syms);
        w->cap_syms = 0;
        w->syms = malloc(word.len * sizeof *w->syms);
        if (!w->syms) return err_set(j->err, SLM_E_NOMEM, SLM_NOWHERE, "a word of %zu bytes: out of memory", word.len);
        w->cap_syms = word.len;
    }
    for (uint32_t at = 0; at < word.len; n++) {
        uint32_t len = symbol_len(j->t, word.ptr + at, word.len - at);
        w->syms[n] = (struct sym){at, len, n - 1, n + 1}; /* n - 1 of the first is NO_PAIR */
        at += len;
    }
    w->syms[n - 1].next = NO_PAIR;
    *n_sym = n;
    return SLM_OK;
}

static slm_status merge_heap(struct job *j, struct view word) {
    slm_status st = SLM_OK;
    uint32_t n_sym = 0;
    if (!j->merge && !(j->merge = calloc(1, sizeof *j->merge))) return err_set(j->err, SLM_E_NOMEM, SLM_NOWHERE, "merging a long word: out of memory");
    struct merge_work *w = j->merge;
    TRY(split_symbols(j, word, &n_sym));
    w->n_heap = 0;
    for (uint32_t i = 0; i < n_sym; i++) TRY(offer_pair(j, word.ptr, i));
    while (w->n_heap > 0) {
        struct candidate c = heap_pop(w);
        uint32_t left = (uint32_t)c.order;
        struct sym *a = &w->syms[left];
        if (a->len != c.n_left || a->next == NO_PAIR || a->len + w->syms[a->next].len != c.n_both) continue;
        struct sym *b = &w->syms[a->next];
        a->len = c.n_both;
        a->next = b->next;
        b->len = 0;
        if (a->next != NO_PAIR) w->syms[a->next].prev = left;
        if (a->prev != NO_PAIR) TRY(offer_pair(j, word.ptr, a->prev));
        TRY(offer_pair(j, word.ptr, left));
    }
    for (uint32_t i = 0; i != NO_PAIR; i = w->syms[i].next) TRY(push_piece(j, word.ptr + w->syms[i].at, w->syms[i].len));
out:
    return st;
}

slm_status merge_encode(struct job *j, struct view word) {
    uint32_t at[N_SCAN_MAX + 1], n_sym = 0;
    size_t pos = 0;
    for (; pos < word.len && n_sym < N_SCAN_MAX; n_sym++) {
        at[n_sym] = (uint32_t)pos;
        pos += symbol_len(j->t, word.ptr + pos, word.len - pos);
    }
    if (pos < word.len) return merge_heap(j, word);
    at[n_sym] = (uint32_t)pos;
    return merge_scan(j, word, at, n_sym);
}

/* Words seen before */

slm_status job_keep(struct job *j, struct view text, struct view *out) {
    char *copy = arena_alloc(&j->texts, text.len + 1, 1);
    if (!copy) return err_set(j->err, SLM_E_NOMEM, SLM_NOWHERE, "text of %zu bytes: out of memory", text.len);
    if (text.len) memcpy(copy, text.ptr, text.len);
    *out = (struct view){copy, text.len};
    return SLM_OK;
}

slm_status word_memo_create(struct job *j, size_t n_text) {
    uint32_t n = 256;
    if (n_text < MEMO_TEXT_BYTES_MIN) return SLM_OK;
    while (n < MEMO_SLOTS_MAX && n < n_text / 8) n *= 2;
    j->memo = calloc(1, sizeof *j->memo + n * sizeof j->memo->slots[0]);
    if (!j->memo) return err_set(j->err, SLM_E_NOMEM, SLM_NOWHERE, "words of a text: out of memory");
    j->memo->mask = n - 1;
    return SLM_OK;
}

static uint64_t load(const char *s, size_t n) {
    uint64_t w = 0;
    memcpy(&w, s, n);
    return w;
}

/* Bytes of a word of 1..15 as two numbers; reads nothing past it. */
static void make_key(const char *s, size_t n, uint64_t key[2]) {
    if (n >= 8) {
        key[0] = load(s, 8);
        key[1] = n == 8 ? 0 : load(s + n - 8, 8) >> (8 * (16 - n));
    } else {
        key[0] = n >= 4 ? load(s, 4) | load(s + n - 4, 4) << (8 * (n - 4)) : (unsigned char)s[0] | (uint64_t)(unsigned char)s[n / 2] << (8 * (n / 2)) | (uint64_t)(unsigned char)s[n - 1] << (8 * (n - 1));
        key[1] = 0;
    }
    key[1] |= (uint64_t)n << 56;
}

slm_status word_encode(struct job *j, struct view word) {
    uint64_t key[2];
    slm_status st = SLM_OK;
    if (!j->memo || word.len == 0 || word.len > MEMO_WORD_BYTES_MAX) return j->t->family->encode_word(j, word);
    make_key(word.ptr, word.len, key);
    uint64_t hash = (key[0] ^ key[1] * 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu;
    struct memo_slot *slot = &j->memo->slots[(hash >> 32) & j->memo->mask];
    if (slot->key[0] == key[0] && slot->key[1] == key[1]) {
        for (int i = 0; i < MEMO_IDS_MAX && slot->ids[i] != TOK_NONE && st == SLM_OK; i++) st = tok_ids_push(j->out, slot->ids[i], j->err);
        return st;
    }
    size_t before = j->out->n;
    /* Unknowns fuse with those before: such a word's ids depend on its place. */
    bool fixed = before == 0 || j->out->v[before - 1] != j->t->c.unk;
    st = j->t->family->encode_word(j, word);
    size_t n = j->out->n - before;
    for (size_t i = before; i < j->out->n; i++) fixed &= j->out->v[i] != j->t->c.unk;
    if (st != SLM_OK || !fixed || n > MEMO_IDS_MAX) return st;
    memcpy(slot->key, key, sizeof key);
    for (size_t i = 0; i < MEMO_IDS_MAX; i++) slot->ids[i] = i < n ? j->out->v[before + i] : TOK_NONE;
    return SLM_OK;
}

void job_fini(struct job *j) {
    if (j->merge) {
        free(j->merge->syms);
        free(j->merge->heap);
        free(j->merge);
    }
    free(j->memo);
    arena_fini(&j->texts);
    pretok_work_destroy(j->pretok);
}
