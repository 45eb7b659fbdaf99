/* bpe_train.c -- counting words, then merging pairs by a heap over counts that are kept up to date.
 *
 * A distinct word is stored once with how often it occurred. Every pair of neighbours knows its count and the words it was seen
 * in, so a merge touches those words only. The heap holds (count, pair) as they were when pushed: a popped entry whose count is
 * too high is pushed again with the true one, one that is too low has a fresher twin. The same piece can be built in two ways
 * ("a" + "bc", "ab" + "c"); both are merges, the piece is one. */
#include <stdlib.h>
#include <string.h>

#include "text/bpe_train.h"
#include "text/pretok_int.h"

#define MAP_SLOTS_FIRST 1024u
#define NONE UINT32_MAX

/* Bytes -> number, for words and for pieces. Keys lie in a blob that grows; slots are open addressing. */
struct span_map {
    char *blob;
    size_t n_blob, cap_blob, blob_max;
    struct span *spans; /* [n] */
    uint32_t n, cap, *slots, mask;
};

struct pair {
    uint32_t left, right, stamp; /* stamp: the step that last raised its count */
    int64_t count;
    uint32_t *words;             /* that it was seen in; some may have lost it since */
    uint32_t n_words, cap_words;
};

struct entry {
    int64_t count;
    uint32_t pair;
};

struct bpe_trainer {
    struct job job; /* first: pretok_split hands it to the callback */
    struct bpe_train_params p;
    struct pretok *pretok;
    struct arena names;
    struct span_map words;
    uint64_t *counts;   /* [words.cap] */
    uint32_t cap_counts;
    /* learning */
    uint32_t *syms;     /* all words' symbols */
    uint32_t *word_at, *word_len;
    struct span_map pieces; /* by their bytes; number 0..255 is the byte itself */
    struct pair *pairs;
    uint32_t n_pairs, cap_pairs, *pair_slots, pair_mask;
    struct entry *heap;
    size_t n_heap, cap_heap;
    uint32_t *raised, n_raised, cap_raised;
    uint32_t *merges;   /* [2 * n_merges] left, right; piece numbers */
    uint32_t n_merges, cap_merges;
    uint8_t place[256]; /* of a byte in GPT-2's alphabet order */
};

/* Growing */

static slm_status no_memory(slm_err *err) { return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "training a vocabulary: out of memory"); }

/* Room for one more element behind *p. */
static slm_status grow(void **p, uint32_t n, uint32_t *cap, size_t size, slm_err *err) {
    if (n < *cap) return SLM_OK;
    uint32_t want = *cap ? *cap * 2 : 16;
    void *q = *cap < UINT32_MAX / 2 ? realloc(*p, (size_t)want * size) : NULL;
    if (!q) return no_memory(err);
    *p = q;
    *cap = want;
    return SLM_OK;
}

static slm_status span_map_rehash(struct span_map *m, slm_err *err) {
    uint32_t n_slots = m->slots ? (m->mask + 1) * 2 : MAP_SLOTS_FIRST;
    uint32_t *slots = malloc((size_t)n_slots * sizeof *slots);
    if (!slots || n_slots == 0) {
        free(slots);
        return no_memory(err);
    }
    memset(slots, 0xff, (size_t)n_slots * sizeof *slots);
    for (uint32_t i = 0; i < m->n; i++) {
        uint32_t at = piece_hash(m->blob + m->spans[i].at, m->spans[i].len) & (n_slots - 1);
        while (slots[at] != NONE) at = (at + 1) & (n_slots - 1);
        slots[at] = i;
    }
    free(m->slots);
    m->slots = slots;
    m->mask = n_slots - 1;
    return SLM_OK;
}

static slm_status span_map_append(struct span_map *m, struct view v, slm_err *err) {
    if (m->n_blob + v.len > m->blob_max) {
        err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "training a vocabulary: distinct words of more than %zu MiB", m->blob_max >> 20);
        err_hint(err, "train it on a part of the text");
        return SLM_E_LIMIT;
    }
    if (m->n_blob + v.len > m->cap_blob) {
        size_t cap = m->cap_blob * 2 + v.len + 4096;
        char *q = realloc(m->blob, cap);
        if (!q) return no_memory(err);
        m->blob = q;
        m->cap_blob = cap;
    }
    void *spans = m->spans;
    slm_status st = grow(&spans, m->n, &m->cap, sizeof *m->spans, err);
    m->spans = spans;
    if (st != SLM_OK) return st;
    memcpy(m->blob + m->n_blob, v.ptr, v.len);
    m->spans[m->n++] = (struct span){(uint32_t)m->n_blob, (uint32_t)v.len};
    m->n_blob += v.len;
    return SLM_OK;
}

/* The number of v, a new one when it is not there. */
static slm_status span_map_put(struct span_map *m, struct view v, uint32_t *number, slm_err *err) {
    slm_status st;
    if ((!m->slots || m->n >= m->mask / 2) && (st = span_map_rehash(m, err)) != SLM_OK) return st;
    uint32_t at = piece_hash(v.ptr, v.len) & m->mask;
    for (; m->slots[at] != NONE; at = (at + 1) & m->mask) {
        struct span s = m->spans[m->slots[at]];
        if (s.len == v.len && bytes_same(m->blob + s.at, v.ptr, v.len)) {
            *number = m->slots[at];
            return SLM_OK;
        }
    }
    st = span_map_append(m, v, err);
    if (st == SLM_OK) m->slots[at] = *number = m->n - 1;
    return st;
}

static void span_map_fini(struct span_map *m) {
    free(m->blob);
    free(m->spans);
    free(m->slots);
}

/* Counting */

static slm_status check_params(const struct bpe_train_params *p, slm_err *err) {
    if (p->n_vocab < 256 + p->n_specials || p->n_vocab > BPE_N_VOCAB_MAX)
        return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "a vocabulary of %u: outside %zu..%u", p->n_vocab, 256 + p->n_specials, BPE_N_VOCAB_MAX);
    for (size_t i = 0; i < p->n_specials; i++) {
        if (p->specials[i].len == 0 || p->specials[i].len > TOK_SPECIAL_BYTES_MAX)
            return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "special piece %zu: empty or longer than %d bytes", i, TOK_SPECIAL_BYTES_MAX);
        for (size_t k = 0; k < i; k++)
            if (view_eq(p->specials[i], p->specials[k])) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "special piece \"%.*s\": given twice", VIEW_ARG(p->specials[i]));
    }
    return SLM_OK;
}

slm_status bpe_trainer_create(const struct bpe_train_params *p, struct bpe_trainer **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct bpe_trainer *t = NULL;
    *out = NULL;
    TRY(check_params(p, err));
    if (!(t = calloc(1, sizeof *t))) return no_memory(err);
    arena_init(&t->names, SIZE_MAX);
    t->p = *p;
    if (!t->p.n_min) t->p.n_min = 2;
    t->words.blob_max = BPE_WORDS_BYTES_MAX;
    t->pieces.blob_max = (size_t)BPE_N_VOCAB_MAX * BPE_WORD_BYTES_MAX;
    arena_init(&t->job.texts, SIZE_MAX);
    struct view *specials = arena_alloc(&t->names, (p->n_specials + 1) * sizeof *specials, _Alignof(struct view));
    t->p.pre = arena_strdup(&t->names, view_of(p->pre));
    if (!specials || !t->p.pre) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "training a vocabulary: out of memory");
    for (size_t i = 0; i < p->n_specials; i++) {
        specials[i] = (struct view){arena_strdup(&t->names, p->specials[i]), p->specials[i].len};
        if (!specials[i].ptr) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "training a vocabulary: out of memory");
    }
    t->p.specials = specials;
    TRY(pretok_create(t->p.pre, &t->pretok, err));
    *out = t;
    t = NULL;
out:
    bpe_trainer_destroy(t);
    return st;
}

void bpe_trainer_destroy(struct bpe_trainer *t) {
    if (!t) return;
    job_fini(&t->job);
    pretok_destroy(t->pretok);
    arena_fini(&t->names);
    span_map_fini(&t->words);
    span_map_fini(&t->pieces);
    for (uint32_t i = 0; i < t->n_pairs; i++) free(t->pairs[i].words);
    free(t->pairs);
    free(t->pair_slots);
    free(t->counts);
    free(t->syms);
    free(t->word_at);
    free(t->word_len);
    free(t->heap);
    free(t->raised);
    free(t->merges);
    free(t);
}

static slm_status count_word(struct job *j, struct view word) {
    struct bpe_trainer *t = (struct bpe_trainer *)j;
    slm_status st = SLM_OK;
    for (size_t at = 0; at < word.len && st == SLM_OK;) {
        uint32_t number = 0, n_before = t->words.n;
        size_t n = word.len - at < BPE_WORD_BYTES_MAX ? word.len - at : BPE_WORD_BYTES_MAX;
        if (n < word.len - at) /* not within a character */
            while (n > BPE_WORD_BYTES_MAX - 4 && ((unsigned char)word.ptr[at + n] & 0xc0) == 0x80) n--;
        TRY(span_map_put(&t->words, (struct view){word.ptr + at, n}, &number, j->err));
        void *counts = t->counts;
        st = grow(&counts, number, &t->cap_counts, sizeof *t->counts, j->err);
        t->counts = counts;
        if (st != SLM_OK) break;
        if (number == n_before) t->counts[number] = 0;
        t->counts[number]++;
        at += n;
    }
out:
    return st;
}

slm_status bpe_trainer_add(struct bpe_trainer *t, struct view text, slm_err *err) {
    slm_status st = SLM_OK;
    t->job.err = err;
    if (text.len > TOK_INPUT_BYTES_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "training a vocabulary: a document of more than a GiB");
    if (pretok_wants_nfc(t->pretok)) st = normalise_nfc(&t->job, &text);
    if (st == SLM_OK) st = pretok_split(t->pretok, &t->job, text, count_word);
    arena_reset(&t->job.texts);
    t->job.err = NULL;
    return st;
}

/* The heap: highest count first, of equals the smaller ids. */

static bool entry_before(const struct bpe_trainer *t, struct entry a, struct entry b) {
    if (a.count != b.count) return a.count > b.count;
    const struct pair *x = &t->pairs[a.pair], *y = &t->pairs[b.pair];
    return x->left != y->left ? x->left < y->left : x->right < y->right;
}

static slm_status heap_push(struct bpe_trainer *t, struct entry e, slm_err *err) {
    if (t->n_heap == t->cap_heap) {
        size_t cap = t->cap_heap ? t->cap_heap * 2 : 4096;
        struct entry *q = realloc(t->heap, cap * sizeof *q);
        if (!q) return no_memory(err);
        t->heap = q;
        t->cap_heap = cap;
    }
    size_t i = t->n_heap++;
    for (; i > 0 && entry_before(t, e, t->heap[(i - 1) / 2]); i = (i - 1) / 2) t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = e;
    return SLM_OK;
}

static struct entry heap_pop(struct bpe_trainer *t) {
    struct entry top = t->heap[0], last = t->heap[--t->n_heap];
    size_t i = 0, child;
    for (; (child = 2 * i + 1) < t->n_heap; i = child) {
        if (child + 1 < t->n_heap && entry_before(t, t->heap[child + 1], t->heap[child])) child++;
        if (!entry_before(t, t->heap[child], last)) break;
        t->heap[i] = t->heap[child];
    }
    t->heap[i] = last;
    return top;
}

/* Pairs */

static uint32_t pair_hash(uint32_t left, uint32_t right) {
    uint64_t h = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32) ^ (uint32_t)h;
}

static slm_status pair_rehash(struct bpe_trainer *t, slm_err *err) {
    uint32_t n_slots = t->pair_slots ? (t->pair_mask + 1) * 2 : 1u << 16;
    uint32_t *slots = n_slots ? malloc((size_t)n_slots * sizeof *slots) : NULL;
    if (!slots) return no_memory(err);
    memset(slots, 0xff, (size_t)n_slots * sizeof *slots);
    for (uint32_t i = 0; i < t->n_pairs; i++) {
        uint32_t at = pair_hash(t->pairs[i].left, t->pairs[i].right) & (n_slots - 1);
        while (slots[at] != NONE) at = (at + 1) & (n_slots - 1);
        slots[at] = i;
    }
    free(t->pair_slots);
    t->pair_slots = slots;
    t->pair_mask = n_slots - 1;
    return SLM_OK;
}

static slm_status pair_find(struct bpe_trainer *t, uint32_t left, uint32_t right, struct pair **out, slm_err *err) {
    slm_status st;
    if ((!t->pair_slots || t->n_pairs >= t->pair_mask / 2) && (st = pair_rehash(t, err)) != SLM_OK) return st;
    uint32_t at = pair_hash(left, right) & t->pair_mask;
    for (; t->pair_slots[at] != NONE; at = (at + 1) & t->pair_mask) {
        *out = &t->pairs[t->pair_slots[at]];
        if ((*out)->left == left && (*out)->right == right) return SLM_OK;
    }
    void *pairs = t->pairs;
    st = grow(&pairs, t->n_pairs, &t->cap_pairs, sizeof *t->pairs, err);
    t->pairs = pairs;
    if (st != SLM_OK) return st;
    t->pair_slots[at] = t->n_pairs;
    *out = &t->pairs[t->n_pairs++];
    **out = (struct pair){.left = left, .right = right};
    return SLM_OK;
}

/* The pair stands `by` times more in word i. */
static slm_status pair_raise(struct bpe_trainer *t, uint32_t left, uint32_t right, uint32_t i_word, int64_t by, uint32_t step, slm_err *err) {
    struct pair *p = NULL;
    slm_status st = pair_find(t, left, right, &p, err);
    if (st != SLM_OK) return st;
    p->count += by;
    if (p->stamp != step) {
        void *raised = t->raised;
        st = grow(&raised, t->n_raised, &t->cap_raised, sizeof *t->raised, err);
        t->raised = raised;
        if (st != SLM_OK) return st;
        p->stamp = step;
        t->raised[t->n_raised++] = (uint32_t)(p - t->pairs);
    }
    if (p->n_words && p->words[p->n_words - 1] == i_word) return SLM_OK;
    void *words = p->words;
    st = grow(&words, p->n_words, &p->cap_words, sizeof *p->words, err);
    p->words = words;
    if (st == SLM_OK) p->words[p->n_words++] = i_word;
    return st;
}

static slm_status pair_lower(struct bpe_trainer *t, uint32_t left, uint32_t right, int64_t by, slm_err *err) {
    struct pair *p = NULL;
    slm_status st = pair_find(t, left, right, &p, err);
    if (st == SLM_OK) p->count -= by;
    return st;
}

static slm_status push_raised(struct bpe_trainer *t, slm_err *err) {
    slm_status st = SLM_OK;
    for (uint32_t i = 0; i < t->n_raised && st == SLM_OK; i++)
        if (t->pairs[t->raised[i]].count > 0) st = heap_push(t, (struct entry){t->pairs[t->raised[i]].count, t->raised[i]}, err);
    t->n_raised = 0;
    return st;
}

/* Learning */

/* GPT-2's alphabet: what stands for itself first. */
static void fill_places(uint8_t *place) {
    uint8_t n = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int b = 0; b < 256; b++)
            if (bpe_byte_is_itself(b) == (pass == 0)) place[b] = n++;
}

static slm_status split_words(struct bpe_trainer *t, slm_err *err) {
    slm_status st = SLM_OK;
    void *p;
    uint32_t at = 0;
    fill_places(t->place);
    for (int i = 0; i < 256; i++) { /* pieces 0..255 in the alphabet's order */
        uint32_t number;
        for (int b = 0; b < 256; b++)
            if (t->place[b] == i) TRY(span_map_put(&t->pieces, (struct view){(const char[]){(char)b}, 1}, &number, err));
    }
    TRY(mem_alloc(&p, t->words.n_blob + 1, sizeof *t->syms, "symbols of words", err));
    t->syms = p;
    TRY(mem_alloc(&p, t->words.n + 1u, sizeof *t->word_at, "words", err));
    t->word_at = p;
    TRY(mem_alloc(&p, t->words.n + 1u, sizeof *t->word_len, "words", err));
    t->word_len = p;
    for (uint32_t i = 0; i < t->words.n; i++) {
        struct span s = t->words.spans[i];
        t->word_at[i] = at;
        t->word_len[i] = s.len;
        for (uint32_t k = 0; k < s.len; k++) t->syms[at++] = t->place[(unsigned char)t->words.blob[s.at + k]];
        for (uint32_t k = 1; k < s.len; k++) TRY(pair_raise(t, t->syms[at - s.len + k - 1], t->syms[at - s.len + k], i, (int64_t)t->counts[i], 1, err));
    }
    st = push_raised(t, err);
out:
    return st;
}

/* In word i every (left, right), from the left, becomes `both`; the neighbours' pairs are counted anew. */
static slm_status merge_word(struct bpe_trainer *t, uint32_t i, uint32_t left, uint32_t right, uint32_t both, uint32_t step, slm_err *err) {
    slm_status st = SLM_OK;
    uint32_t *s = t->syms + t->word_at[i], n = t->word_len[i], n_out = 0;
    int64_t count = (int64_t)t->counts[i];
    for (uint32_t k = 0; k < n; k++) {
        if (k + 1 == n || s[k] != left || s[k + 1] != right) {
            s[n_out++] = s[k];
            continue;
        }
        TRY(pair_lower(t, left, right, count, err));
        if (n_out > 0) {
            TRY(pair_lower(t, s[n_out - 1], left, count, err));
            TRY(pair_raise(t, s[n_out - 1], both, i, count, step, err));
        }
        if (k + 2 < n) {
            TRY(pair_lower(t, right, s[k + 2], count, err));
            TRY(pair_raise(t, both, s[k + 2], i, count, step, err));
        }
        s[n_out++] = both;
        k++;
    }
    t->word_len[i] = n_out;
out:
    return st;
}

static slm_status merge_pair(struct bpe_trainer *t, uint32_t i_pair, uint32_t step, slm_err *err) {
    slm_status st = SLM_OK;
    char joint[2 * BPE_WORD_BYTES_MAX];
    uint32_t left = t->pairs[i_pair].left, right = t->pairs[i_pair].right, both = 0;
    struct span a = t->pieces.spans[left], b = t->pieces.spans[right];
    memcpy(joint, t->pieces.blob + a.at, a.len);
    memcpy(joint + a.len, t->pieces.blob + b.at, b.len);
    TRY(span_map_put(&t->pieces, (struct view){joint, a.len + b.len}, &both, err));
    void *merges = t->merges;
    st = grow(&merges, t->n_merges * 2 + 1, &t->cap_merges, sizeof *t->merges, err);
    t->merges = merges;
    if (st != SLM_OK) return st;
    t->merges[2 * t->n_merges] = left;
    t->merges[2 * t->n_merges++ + 1] = right;
    uint32_t *words = t->pairs[i_pair].words, n_words = t->pairs[i_pair].n_words;
    t->pairs[i_pair].words = NULL; /* merging moves the table of pairs, and may put this pair back */
    t->pairs[i_pair].n_words = t->pairs[i_pair].cap_words = 0;
    for (uint32_t i = 0; i < n_words && st == SLM_OK; i++) st = merge_word(t, words[i], left, right, both, step, err);
    free(words);
    if (st == SLM_OK) st = push_raised(t, err);
out:
    return st;
}

static slm_status learn(struct bpe_trainer *t, slm_err *err) {
    slm_status st = split_words(t, err);
    uint32_t n_pieces = t->p.n_vocab - (uint32_t)t->p.n_specials, step = 1;
    while (st == SLM_OK && t->pieces.n < n_pieces && t->n_heap > 0) {
        if (t->p.cancel && *t->p.cancel) return err_set(err, SLM_E_CANCELLED, SLM_NOWHERE, "training a vocabulary: interrupted");
        struct entry e = heap_pop(t);
        int64_t now = t->pairs[e.pair].count;
        if (now < e.count && now > 0) st = heap_push(t, (struct entry){now, e.pair}, err);
        if (now != e.count) continue;
        if (now < (int64_t)t->p.n_min) break;
        st = merge_pair(t, e.pair, ++step, err);
    }
    return st;
}

/* The result */

static void put_letters(struct buf *b, const struct span_map *pieces, uint32_t number) {
    struct span s = pieces->spans[number];
    for (uint32_t i = 0; i < s.len; i++) bpe_put_letter(b, (unsigned char)pieces->blob[s.at + i]);
}

static slm_status keep_letters(struct bpe_vocab *v, struct buf *b, struct view *out, slm_err *err) {
    slm_status st = buf_status(b, "a piece", err);
    char *copy = st == SLM_OK ? arena_strdup(&v->arena, (struct view){b->data, b->len}) : NULL;
    if (st == SLM_OK && !copy) st = no_memory(err);
    *out = (struct view){copy, b->len};
    buf_clear(b);
    return st;
}

static slm_status fill_vocab(const struct bpe_trainer *t, struct bpe_vocab *v, slm_err *err) {
    slm_status st = SLM_OK;
    struct buf b;
    uint32_t n_specials = (uint32_t)t->p.n_specials, n_vocab = n_specials + t->pieces.n;
    void *p;
    buf_init(&b, 16 * BPE_WORD_BYTES_MAX);
    TRY(mem_alloc(&p, n_vocab, sizeof *v->pieces, "pieces", err));
    v->pieces = p;
    TRY(mem_alloc(&p, n_vocab, sizeof *v->types, "pieces", err));
    v->types = p;
    TRY(mem_alloc(&p, t->n_merges + 1u, sizeof *v->merges, "merges", err));
    v->merges = p;
    for (uint32_t i = 0; i < n_specials; i++) {
        v->pieces[i] = (struct view){arena_strdup(&v->arena, t->p.specials[i]), t->p.specials[i].len};
        v->types[i] = TOK_CONTROL;
        if (!v->pieces[i].ptr) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "training a vocabulary: out of memory");
    }
    for (uint32_t i = 0; i < t->pieces.n; i++) {
        put_letters(&b, &t->pieces, i);
        TRY(keep_letters(v, &b, &v->pieces[n_specials + i], err));
        v->types[n_specials + i] = TOK_NORMAL;
    }
    for (uint32_t i = 0; i < t->n_merges; i++) {
        put_letters(&b, &t->pieces, t->merges[2 * i]);
        buf_putc(&b, ' ');
        put_letters(&b, &t->pieces, t->merges[2 * i + 1]);
        TRY(keep_letters(v, &b, &v->merges[i], err));
    }
    v->config.family = "gpt2";
    v->config.pre = arena_strdup(&v->arena, view_of(t->p.pre));
    if (!v->config.pre) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "training a vocabulary: out of memory");
    v->config.n_vocab = n_vocab;
    v->config.n_merges = t->n_merges;
    v->config.pieces = v->pieces;
    v->config.types = v->types;
    v->config.merges = v->merges;
out:
    buf_fini(&b);
    return st;
}

slm_status bpe_trainer_finish(struct bpe_trainer *t, struct bpe_vocab *out, slm_err *err) {
    memset(out, 0, sizeof *out);
    arena_init(&out->arena, SIZE_MAX);
    tok_config_init(&out->config);
    if (t->words.n == 0) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "training a vocabulary: there is no text");
    SLM_ASSERT(!t->syms);
    slm_status st = learn(t, err);
    if (st == SLM_OK) st = fill_vocab(t, out, err);
    if (st != SLM_OK) bpe_vocab_fini(out);
    return st;
}

void bpe_vocab_fini(struct bpe_vocab *v) {
    free(v->pieces);
    free(v->merges);
    free(v->types);
    arena_fini(&v->arena);
    memset(v, 0, sizeof *v);
}
