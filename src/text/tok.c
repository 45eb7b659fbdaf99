/* tok.c -- the vocabulary: validated once, then tables that only readers touch.
 *
 * All pieces lie in one blob, as the bytes they stand for; a map finds a piece by its bytes. Special pieces are kept apart:
 * they are searched in the text itself, longest first at each place, before a family sees what is between them. */
#include "text/tok.h"

#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/util.h"
#include "text/tok_int.h"

static const struct tok_family *const families[] = {&tok_family_spm, &tok_family_bpe, &tok_family_gemma4, &tok_family_wordpiece, &tok_family_unigram};
#define N_AHEAD 16
#define N_FAMILIES (sizeof families / sizeof families[0])

/* Pieces that end a turn in some family, whatever the file's eos says. They are control pieces, whatever it calls them. */
static const char *const end_pieces[] = {
    "<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<EOT>", "<|return|>", "<|call|>",
    "<turn|>", "<|end_of_role|>", "[EOT]", "</s>", "<end_of_utterance>", "<｜end▁of▁sentence｜>",
};

void tok_config_init(struct tok_config *c) {
    *c = (struct tok_config){.bos = TOK_NONE, .eos = TOK_NONE, .unk = TOK_NONE, .sep = TOK_NONE, .pad = TOK_NONE, .cls = TOK_NONE,
                             .mask = TOK_NONE, .eot = TOK_NONE, .eom = TOK_NONE, .add_space_prefix = true};
}

static slm_status find_family(const char *name, const struct tok_family **out, slm_err *err) {
    const char *names[N_FAMILIES];
    for (size_t i = 0; i < N_FAMILIES; i++) {
        names[i] = families[i]->name;
        if (strcmp(name, names[i]) != 0) continue;
        *out = families[i];
        return SLM_OK;
    }
    slm_status st = err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "tokenizer family \"%.100s\": not supported", name);
    err_hint(err, "the nearest supported one is \"%s\"", nearest_name(name, names, N_FAMILIES));
    return st;
}

void tok_config_assume(struct tok_config *c) {
    const struct tok_family *family = NULL;
    if (!c->family || find_family(c->family, &family, NULL) != SLM_OK) return;
    c->add_bos = family->add_bos || (family == &tok_family_bpe && c->pre && pretok_assumes_bos(c->pre));
    c->add_eos = family->add_eos;
}

slm_status tok_ids_push(struct tok_ids *ids, int32_t id, slm_err *err) {
    if (ids->n == ids->cap) {
        size_t cap = ids->cap ? ids->cap * 2 : 64, bytes;
        int32_t *v = size_mul(cap, sizeof *v, &bytes) ? realloc(ids->v, bytes) : NULL;
        if (!v) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "%zu token ids: out of memory", cap);
        ids->v = v;
        ids->cap = cap;
    }
    ids->v[ids->n++] = id;
    return SLM_OK;
}

void tok_ids_fini(struct tok_ids *ids) {
    free(ids->v);
    *ids = (struct tok_ids){0};
}

int32_t piece_find(const struct tok *t, const char *s, size_t n) {
    if (n > t->n_piece_max) return TOK_NONE;
    uint32_t hash = piece_hash(s, n);
    for (uint32_t i = hash & t->map.mask;; i = (i + 1) & t->map.mask) {
        const struct piece_slot *slot = &t->map.slots[i];
        if (slot->id == TOK_NONE) return TOK_NONE;
        if (slot->hash == hash && t->bytes[slot->id].len == n && bytes_same(t->blob + t->bytes[slot->id].at, s, n)) return slot->id;
    }
}

/* The first of equal pieces stays. */
static void map_add(struct tok *t, int32_t id, uint32_t hash) {
    struct view v = tok_bytes(t, id);
    uint32_t i = hash & t->map.mask;
    if (v.len == 0) return;
    if (v.len > t->n_piece_max) t->n_piece_max = (uint32_t)v.len;
    for (; t->map.slots[i].id != TOK_NONE; i = (i + 1) & t->map.mask)
        if (t->map.slots[i].hash == hash && view_eq(tok_bytes(t, t->map.slots[i].id), v)) return;
    t->map.slots[i] = (struct piece_slot){hash, id};
}

static bool is_special(const struct tok *t, int32_t id) {
    return t->types[id] == TOK_CONTROL || t->types[id] == TOK_USER_DEFINED || t->types[id] == TOK_UNKNOWN;
}

/* Creation */

static slm_status check_id(const struct tok_config *c, const char *what, int32_t id, slm_err *err) {
    if (id == TOK_NONE || (id >= 0 && (uint32_t)id < c->n_vocab)) return SLM_OK;
    return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "%s token \"%d\": outside a vocabulary of %u", what, id, c->n_vocab);
}

static slm_status check_config(const struct tok_config *c, slm_err *err) {
    slm_status st = SLM_OK;
    uint64_t total = 0;
    if (c->n_vocab == 0 || c->n_vocab > TOK_N_VOCAB_MAX || c->n_merges > 2 * TOK_N_VOCAB_MAX)
        FAIL(SLM_E_FORMAT, SLM_NOWHERE, "vocabulary of %u pieces and %u merges: outside the limits", c->n_vocab, c->n_merges);
    TRY(check_id(c, "bos", c->bos, err));
    TRY(check_id(c, "eos", c->eos, err));
    TRY(check_id(c, "unknown", c->unk, err));
    TRY(check_id(c, "padding", c->pad, err));
    TRY(check_id(c, "eot", c->eot, err));
    TRY(check_id(c, "eom", c->eom, err));
    TRY(check_id(c, "separator", c->sep, err));
    TRY(check_id(c, "cls", c->cls, err));
    TRY(check_id(c, "mask", c->mask, err));
    for (uint32_t i = 0; i < c->n_vocab; i++) {
        if (c->types && (c->types[i] < TOK_NORMAL || c->types[i] > TOK_BYTE))
            FAIL(SLM_E_FORMAT, SLM_NOWHERE, "piece %u: type %d is unknown", i, c->types[i]);
        if (c->pieces[i].len > TOK_PIECE_BYTES_MAX) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "piece %u: %zu bytes are more than %d", i, c->pieces[i].len, TOK_PIECE_BYTES_MAX);
        total += c->pieces[i].len;
    }
    if (total > TOK_TEXT_BYTES_MAX) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "vocabulary of %llu bytes: more than %u", (unsigned long long)total, TOK_TEXT_BYTES_MAX);
out:
    return st;
}

static slm_status alloc_tables(struct tok *t, size_t n_blob, slm_err *err) {
    slm_status st = SLM_OK;
    size_t n = t->c.n_vocab, n_slots = 16;
    void *p;
    while (n_slots < n * 2) n_slots *= 2;
    TRY(mem_alloc(&p, n_blob, 1, "vocabulary", err));
    t->blob = p;
    TRY(mem_alloc(&p, n, sizeof *t->bytes, "vocabulary", err));
    t->bytes = p;
    TRY(mem_alloc(&p, n, sizeof *t->shown, "vocabulary", err));
    t->shown = p;
    TRY(mem_alloc(&p, n, 1, "vocabulary", err));
    t->types = p;
    TRY(mem_alloc(&p, n, sizeof *t->is_end, "vocabulary", err));
    t->is_end = p;
    TRY(mem_alloc(&p, n_slots, sizeof *t->map.slots, "vocabulary", err));
    t->map.slots = p;
    t->map.mask = (uint32_t)(n_slots - 1);
    for (size_t i = 0; i < n_slots; i++) t->map.slots[i].id = TOK_NONE;
out:
    return st;
}

/* Special pieces are written in text as they are stored, but for those of SPM that a user defined: their U+2581 is a space. */
static size_t read_stored(const struct tok *t, int32_t id, struct view stored, char *out) {
    enum tok_type type = (enum tok_type)t->types[id];
    bool as_is = type == TOK_USER_DEFINED ? !t->family->spaces_are_lower_one : is_special(t, id);
    if (!as_is) return t->family->read_piece(stored, type, out);
    if (stored.len) memcpy(out, stored.ptr, stored.len);
    return stored.len;
}

/* Normal pieces, then those that a user defined: found as special pieces before, they are here so that merges may name them. Hashes come
 * first, so that the slots, all over memory, can be fetched ahead. */
static slm_status fill_map(struct tok *t, slm_err *err) {
    static const enum tok_type types[] = {TOK_NORMAL, TOK_USER_DEFINED};
    uint32_t n = t->c.n_vocab, *hashes;
    void *p;
    slm_status st = mem_alloc(&p, n + N_AHEAD, sizeof *hashes, "vocabulary", err);
    if (st != SLM_OK) return st;
    hashes = p;
    for (uint32_t i = 0; i < n; i++) hashes[i] = piece_hash(t->blob + t->bytes[i].at, t->bytes[i].len);
    for (size_t k = 0; k < 2; k++)
        for (uint32_t i = 0; i < n; i++) {
            if (k == 0) __builtin_prefetch(&t->map.slots[hashes[i + N_AHEAD] & t->map.mask], 1);
            if (t->types[i] == types[k]) map_add(t, (int32_t)i, hashes[i]);
        }
    free(hashes);
    return SLM_OK;
}

static slm_status fill_pieces(struct tok *t, const struct tok_config *c, slm_err *err) {
    size_t n_blob = 64, at = 0;
    for (uint32_t i = 0; i < c->n_vocab; i++) n_blob += c->pieces[i].len + 8;
    slm_status st = alloc_tables(t, n_blob, err);
    if (st != SLM_OK) return st;
    for (int i = 0; i < 256; i++) t->byte_id[i] = TOK_NONE;
    for (int32_t i = 0; i < (int32_t)c->n_vocab; i++) {
        t->types[i] = (uint8_t)(c->types ? c->types[i] : TOK_NORMAL);
        size_t n = read_stored(t, i, c->pieces[i], t->blob + at);
        t->bytes[i] = t->shown[i] = (struct span){(uint32_t)at, (uint32_t)n};
        at += n;
        bool one_byte = n == 1 && (t->types[i] == TOK_BYTE || (t->family->symbols_are_bytes && t->types[i] == TOK_NORMAL));
        if (one_byte && t->byte_id[(unsigned char)t->blob[at - 1]] == TOK_NONE) t->byte_id[(unsigned char)t->blob[at - 1]] = i;
    }
    return fill_map(t, err);
}

/* Nothing is said in running text by control and unknown pieces, nor by those that are never produced. */
static void silence_pieces(struct tok *t) {
    for (uint32_t i = 0; i < t->c.n_vocab; i++)
        if (t->types[i] == TOK_CONTROL || t->types[i] == TOK_UNUSED || t->types[i] == TOK_UNKNOWN) t->bytes[i].len = 0;
}

static int compare_specials(const void *a, const void *b) {
    const struct special *x = a, *y = b;
    int order = memcmp(x->ptr, y->ptr, x->len < y->len ? x->len : y->len);
    if (order != 0) return order;
    if (x->len != y->len) return x->len < y->len ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

static slm_status fill_specials(struct tok *t, slm_err *err) {
    void *p;
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->c.n_vocab; i++) n += is_special(t, (int32_t)i);
    slm_status st = mem_alloc(&p, n + 1u, sizeof *t->specials, "special pieces", err);
    if (st != SLM_OK) return st;
    t->specials = p;
    for (uint32_t i = 0; i < t->c.n_vocab; i++) {
        struct span s = t->shown[i];
        if (!is_special(t, (int32_t)i) || s.len == 0) continue;
        if (s.len > TOK_SPECIAL_BYTES_MAX)
            return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "special piece %u: %u bytes are more than %d", i, s.len, TOK_SPECIAL_BYTES_MAX);
        t->specials[t->n_specials++] = (struct special){t->blob + s.at, s.len, (int32_t)i};
    }
    qsort(t->specials, t->n_specials, sizeof *t->specials, compare_specials);
    for (uint32_t b = 0, i = 0; b <= 256; b++) {
        while (i < t->n_specials && (unsigned char)t->specials[i].ptr[0] < b) i++;
        t->special_at[b] = i;
    }
    return SLM_OK;
}

static int32_t find_shown(const struct tok *t, const char *name) {
    struct view v = view_of(name);
    for (uint32_t i = 0; i < t->n_specials; i++)
        if (view_eq((struct view){t->specials[i].ptr, t->specials[i].len}, v)) return t->specials[i].id;
    return TOK_NONE;
}

static void fill_ends(struct tok *t) {
    const int32_t ids[] = {t->c.eos, t->c.eot, t->c.eom};
    /* In the harmony format <|end|> closes a message and more follow; <|return|> closes the turn. */
    bool harmony = find_shown(t, "<|return|>") != TOK_NONE && find_shown(t, "<|call|>") != TOK_NONE;
    for (size_t i = 0; i < sizeof end_pieces / sizeof end_pieces[0]; i++) {
        int32_t id = find_shown(t, end_pieces[i]);
        if (id == TOK_NONE) continue;
        if (t->types[id] == TOK_USER_DEFINED) t->types[id] = TOK_CONTROL;
        if (!harmony || strcmp(end_pieces[i], "<|end|>") != 0) t->is_end[id] = true;
    }
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        if (ids[i] != TOK_NONE) t->is_end[ids[i]] = true;
}

static slm_status fill_strips(struct tok *t, const struct tok_config *c, slm_err *err) {
    void *p;
    if (!c->strips && !c->special_rstrip) return SLM_OK;
    slm_status st = mem_alloc(&p, c->n_vocab, 1, "special pieces", err);
    if (st != SLM_OK) return st;
    t->strips = p;
    if (c->strips) memcpy(t->strips, c->strips, c->n_vocab);
    for (int32_t i = 0; c->special_rstrip && i < (int32_t)c->n_vocab; i++)
        if (is_special(t, i) && i != c->unk && i != c->bos && i != c->pad) t->strips[i] |= TOK_RSTRIP;
    return SLM_OK;
}

slm_status tok_create(const struct tok_config *c, struct tok **out, slm_err *err) {
    slm_status st = SLM_OK;
    void *p = NULL;
    struct tok *t = NULL;
    *out = NULL;
    TRY(check_config(c, err));
    TRY(mem_alloc(&p, 1, sizeof *t, "tokenizer", err));
    t = p;
    t->c = *c;
    t->c.pieces = t->c.merges = NULL;
    t->c.scores = NULL;
    t->c.types = NULL;
    t->c.strips = NULL;
    t->c.pre = NULL;
    t->c.patterns = NULL;
    TRY(find_family(c->family, &t->family, err));
    t->c.family = t->family->name;
    if (!t->family->spaces_are_lower_one) t->c.add_space_prefix = false;
    TRY(fill_pieces(t, c, err));
    TRY(fill_specials(t, err));
    TRY(fill_strips(t, c, err));
    fill_ends(t);
    TRY(t->family->prepare(t, c, err));
    silence_pieces(t);
    *out = t;
    t = NULL;
out:
    tok_destroy(t);
    return st;
}

void tok_destroy(struct tok *t) {
    if (!t) return;
    free(t->blob);
    free(t->bytes);
    free(t->shown);
    free(t->types);
    free(t->is_end);
    free(t->map.slots);
    free(t->specials);
    free(t->strips);
    free(t->merges);
    free(t->merge_at);
    free(t->keys);
    free(t->scores);
    charsmap_destroy(t->charsmap);
    pretok_destroy(t->pretok);
    free(t);
}

/* Encoding */

slm_status job_push_symbol(struct job *j, struct view symbol) {
    const struct tok *t = j->t;
    bool known = symbol.len > 0;
    slm_status st = SLM_OK;
    for (size_t i = 0; i < symbol.len; i++) known &= t->byte_id[(unsigned char)symbol.ptr[i]] != TOK_NONE;
    for (size_t i = 0; known && i < symbol.len && st == SLM_OK; i++) st = tok_ids_push(j->out, t->byte_id[(unsigned char)symbol.ptr[i]], j->err);
    if (known || t->c.unk == TOK_NONE) return st;
    if (j->out->n > j->out_floor && j->out->v[j->out->n - 1] == t->c.unk) return SLM_OK; /* one unknown for the run */
    return tok_ids_push(j->out, t->c.unk, j->err);
}

static bool is_plain(const struct job *j, size_t at) {
    size_t low = 0, high = j->n_plain;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (j->plain[mid].end <= at) low = mid + 1;
        else high = mid;
    }
    return low < j->n_plain && j->plain[low].start <= at;
}

/* The longest special piece that begins at text[at], or NULL: the sorted range that agrees is narrowed byte by byte. */
static const struct special *match_special(const struct job *j, struct view text, size_t at, bool control_too) {
    const struct tok *t = j->t;
    const char *s = text.ptr + at;
    size_t n = text.len - at;
    const struct special *best = NULL;
    uint32_t lo = t->special_at[(unsigned char)s[0]], hi = t->special_at[(unsigned char)s[0] + 1];
    for (uint32_t depth = 1; lo < hi; depth++) {
        while (lo < hi && t->specials[lo].len == depth) { /* the shorter ones come first in the range */
            const struct special *x = &t->specials[lo++];
            bool seen = t->types[x->id] == TOK_USER_DEFINED || (control_too && !(j->n_plain && (is_plain(j, at) || is_plain(j, at + depth - 1))));
            if (seen && (!best || best->len < depth)) best = x;
        }
        if (depth >= n) break;
        unsigned char c = (unsigned char)s[depth];
        uint32_t a = lo, b = hi;
        while (a < b) { /* first whose byte is at least c */
            uint32_t mid = a + (b - a) / 2;
            if ((unsigned char)t->specials[mid].ptr[depth] < c) a = mid + 1;
            else b = mid;
        }
        lo = a;
        b = hi;
        while (a < b) { /* first whose byte is more than c */
            uint32_t mid = a + (b - a) / 2;
            if ((unsigned char)t->specials[mid].ptr[depth] <= c) a = mid + 1;
            else b = mid;
        }
        hi = a;
    }
    return best;
}

static slm_status encode_fragment(struct job *j, struct view text, bool after_special) {
    if (text.len == 0) return SLM_OK;
    j->out_floor = j->out->n;
    return j->t->family->encode(j, text, after_special);
}

static slm_status encode_all(struct job *j, struct view text, bool control_too) {
    const struct tok *t = j->t;
    slm_status st = SLM_OK;
    size_t begin = 0;
    bool after_special = true;
    for (size_t at = 0; at < text.len;) {
        unsigned char c = (unsigned char)text.ptr[at];
        const struct special *s = t->special_at[c] == t->special_at[c + 1] ? NULL : match_special(j, text, at, control_too);
        if (!s) {
            at++;
            continue;
        }
        uint8_t strip = t->strips ? t->strips[s->id] : 0;
        struct view before = {text.ptr + begin, at - begin};
        if (strip & TOK_LSTRIP) before.len -= text_spaces_at_end(before);
        TRY(encode_fragment(j, before, after_special));
        TRY(tok_ids_push(j->out, s->id, j->err));
        at += s->len;
        if (strip & TOK_RSTRIP) at += text_spaces_at_begin((struct view){text.ptr + at, text.len - at});
        begin = at;
        after_special = !t->c.prefix_first_only;
    }
    st = encode_fragment(j, (struct view){text.ptr + begin, text.len - begin}, after_special);
out:
    return st;
}

static slm_status encode(const struct tok *t, struct view text, unsigned flags, const struct tok_range *plain, size_t n_plain, struct tok_ids *out,
                         slm_err *err) {
    slm_status st = SLM_OK;
    size_t n_before = out->n;
    struct job j = {.t = t, .out = out, .plain = plain, .n_plain = n_plain, .err = err};
    if (text.len > TOK_INPUT_BYTES_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "text of %zu bytes: more than %u", text.len, TOK_INPUT_BYTES_MAX);
    arena_init(&j.texts, 8 * (size_t)TOK_INPUT_BYTES_MAX);
    if ((flags & TOK_ADD_BOS) && t->c.bos != TOK_NONE) TRY(tok_ids_push(out, t->c.bos, err));
    TRY(word_memo_create(&j, text.len));
    TRY(encode_all(&j, text, flags & TOK_PARSE_SPECIAL));
    if ((flags & TOK_ADD_EOS) && t->c.eos != TOK_NONE) TRY(tok_ids_push(out, t->c.eos, err));
out:
    if (st != SLM_OK) out->n = n_before;
    job_fini(&j);
    return st;
}

slm_status tok_encode(const struct tok *t, struct view text, unsigned flags, struct tok_ids *out, slm_err *err) {
    return encode(t, text, flags, NULL, 0, out, err);
}

slm_status tok_encode_guarded(const struct tok *t, struct view text, unsigned flags, const struct tok_range *plain, size_t n_plain,
                              struct tok_ids *out, slm_err *err) {
    return encode(t, text, flags | TOK_PARSE_SPECIAL, plain, n_plain, out, err);
}

/* Looking at pieces */

static bool in_vocab(const struct tok *t, int32_t id) { return id >= 0 && (uint32_t)id < t->c.n_vocab; }

struct view tok_piece(const struct tok *t, int32_t id, bool render_special) {
    if (!in_vocab(t, id)) return (struct view){"", 0};
    struct span s = render_special ? t->shown[id] : t->bytes[id];
    return (struct view){t->blob + s.at, s.len};
}

uint32_t tok_n_vocab(const struct tok *t) { return t->c.n_vocab; }
const struct tok_config *tok_config_of(const struct tok *t) { return &t->c; }
bool tok_is_end(const struct tok *t, int32_t id) { return in_vocab(t, id) && t->is_end[id]; }
enum tok_type tok_type_of(const struct tok *t, int32_t id) { return in_vocab(t, id) ? (enum tok_type)t->types[id] : TOK_UNUSED; }
