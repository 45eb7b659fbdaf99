/* tok_json.c -- tokenizer.json: vocabulary, merges, added tokens. How the text is cut is read in tok_json_split.c.
 *
 * Hugging Face has one BPE for what GGUF calls two families. With ByteLevel in it, it is "gpt2". With U+2581 for spaces and byte
 * pieces it came from a SentencePiece model, whose merges all follow from the pieces' scores: it becomes "llama" with
 * the place of a piece's first merge as its score, when the list of merges bears that out, else "gemma4", which keeps merges. */
#include <stdlib.h>
#include <string.h>

#include "text/tok_int.h"
#include "text/tok_source_int.h"

static const json_t *json_member(const json_t *object, const char *key, json_type type, const char *where, slm_status *st, slm_err *err) {
    static const char *const names[] = {"an object", "an array", "a string", "an integer", "a number", "a flag", "a flag", "null"};
    const json_t *v = json_object_get(object, key);
    if (!v || json_is_null(v)) return NULL;
    if (json_typeof(v) == type) return v;
    *st = err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "%s: \"%s\" is not %s", where, key, names[type]);
    return NULL;
}

bool json_flag(const json_t *object, const char *key, bool otherwise) {
    const json_t *v = json_object_get(object, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

const char *json_type_name(const json_t *component) {
    const char *type = json_string_value(json_object_get(component, "type"));
    return type ? type : "";
}

slm_status json_parse(struct view text, const char *name, json_t **out, slm_err *err) {
    json_error_t e;
    *out = json_loadb(text.ptr ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    if (*out && json_is_object(*out)) return SLM_OK;
    slm_status st = *out ? err_set(err, SLM_E_FORMAT, 0, "%s: not a JSON object", name)
                         : err_set(err, SLM_E_FORMAT, (uint64_t)(e.position < 0 ? 0 : e.position), "%s: line %d: %.100s", name, e.line, e.text);
    json_decref(*out);
    *out = NULL;
    return st;
}

/* Vocabulary */

static struct view view_of_json(const json_t *s) { return (struct view){json_string_value(s), json_string_length(s)}; }

static slm_status check_vocab_id(const json_t *id, const char *piece, uint32_t *n_vocab, slm_err *err) {
    if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= (json_int_t)TOK_N_VOCAB_MAX)
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "tokenizer.json: id of piece \"%.100s\": not in 0..%u", piece, TOK_N_VOCAB_MAX - 1);
    if ((uint32_t)json_integer_value(id) >= *n_vocab) *n_vocab = (uint32_t)json_integer_value(id) + 1;
    return SLM_OK;
}

/* The vocabulary is an object piece -> id, or (Unigram) an array of [piece, score]. */
static slm_status count_vocab(const json_t *vocab, const json_t *added, uint32_t *n_vocab, slm_err *err) {
    slm_status st = SLM_OK;
    const char *piece;
    json_t *id;
    size_t i;
    *n_vocab = 0;
    if (json_array_size(vocab) > TOK_N_VOCAB_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "tokenizer.json: more than %u pieces", TOK_N_VOCAB_MAX);
    if (json_is_array(vocab)) *n_vocab = (uint32_t)json_array_size(vocab);
    else json_object_foreach((json_t *)vocab, piece, id) {
        if ((st = check_vocab_id(id, piece, n_vocab, err)) != SLM_OK) return st;
    }
    json_array_foreach(added, i, id) {
        const json_t *content = json_object_get(id, "content");
        if (!json_is_string(content)) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "tokenizer.json: added token %zu has no content", i);
        if ((st = check_vocab_id(json_object_get(id, "id"), json_string_value(content), n_vocab, err)) != SLM_OK) return st;
    }
    return *n_vocab ? SLM_OK : err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "tokenizer.json: no pieces");
}

static bool is_byte_piece(struct view v) { return v.len == 6 && memcmp(v.ptr, "<0x", 3) == 0 && v.ptr[5] == '>'; }

static slm_status put_piece(struct source_build *b, uint32_t id, struct view piece, enum tok_type type) {
    b->types[id] = (int32_t)(type);
    return source_keep(b->s, piece, &b->pieces[id], b->err);
}

static slm_status fill_vocab(struct source_build *b, const json_t *vocab) {
    slm_status st = SLM_OK;
    const char *piece;
    json_t *v;
    size_t i;
    bool marks = strcmp(b->s->config.family, "gpt2") != 0;
    if (json_is_array(vocab)) {
        json_array_foreach(vocab, i, v) {
            const json_t *text = json_array_get(v, 0), *score = json_array_get(v, 1);
            if (!json_is_string(text) || !json_is_number(score))
                return err_set(b->err, SLM_E_FORMAT, SLM_NOWHERE, "tokenizer.json: piece %zu of the vocabulary is not [text, score]", i);
            b->scores[i] = (float)json_number_value(score);
            st = put_piece(b, (uint32_t)i, view_of_json(text), is_byte_piece(view_of_json(text)) ? TOK_BYTE : TOK_NORMAL);
            if (st != SLM_OK) return st;
        }
        return SLM_OK;
    }
    json_object_foreach((json_t *)vocab, piece, v) {
        struct view text = view_of(piece);
        st = put_piece(b, (uint32_t)json_integer_value(v), text, marks && is_byte_piece(text) ? TOK_BYTE : TOK_NORMAL);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

/* "<|...|>" and its full-width kin are control pieces whatever "special" says. */
static bool looks_special(struct view v) {
    static const struct view heads[] = {{"<|", 2}, {"<\xef\xbd\x9c", 4}}, tails[] = {{"|>", 2}, {"\xef\xbd\x9c>", 4}};
    for (size_t i = 0; i < 2; i++)
        if (v.len > heads[i].len + tails[i].len && memcmp(v.ptr, heads[i].ptr, heads[i].len) == 0 &&
            memcmp(v.ptr + v.len - tails[i].len, tails[i].ptr, tails[i].len) == 0)
            return true;
    return false;
}

static slm_status fill_added(struct source_build *b, const json_t *added) {
    size_t i;
    json_t *t;
    json_array_foreach(added, i, t) {
        struct view text = view_of_json(json_object_get(t, "content"));
        uint32_t id = (uint32_t)json_integer_value(json_object_get(t, "id"));
        if (json_flag(t, "single_word", false))
            return err_set(b->err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "tokenizer.json: added token \"%.*s\": \"single_word\" is not supported", VIEW_ARG(text));
        slm_status st = put_piece(b, id, text, json_flag(t, "special", false) || looks_special(text) ? TOK_CONTROL : TOK_USER_DEFINED);
        if (st != SLM_OK) return st;
        b->strips[id] = (uint8_t)((json_flag(t, "lstrip", false) ? TOK_LSTRIP : 0) | (json_flag(t, "rstrip", false) ? TOK_RSTRIP : 0));
        b->strips_any |= b->strips[id] != 0;
    }
    return SLM_OK;
}

/* Merges: "left right", or [left, right] */

static slm_status read_merges(struct tok_source *s, const json_t *merges, slm_err *err) {
    size_t i, n = json_array_size(merges);
    json_t *m;
    void *p;
    slm_status st = SLM_OK;
    if (n > 2 * (size_t)TOK_N_VOCAB_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "tokenizer.json: %zu merges are too many", n);
    TRY(source_alloc(s, &p, n + 1, sizeof(struct view), err));
    struct view *views = p;
    json_array_foreach(merges, i, m) {
        struct view l = view_of_json(json_array_get(m, 0)), r = view_of_json(json_array_get(m, 1));
        if (json_is_string(m)) {
            TRY(source_keep(s, view_of_json(m), &views[i], err));
            continue;
        }
        if (!l.ptr || !r.ptr) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "tokenizer.json: merge %zu is not two pieces", i);
        if (memchr(l.ptr, ' ', l.len) || memchr(r.ptr, ' ', r.len)) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "tokenizer.json: merge %zu: a piece with a space", i);
        TRY(source_alloc(s, &p, l.len + r.len + 2, 1, err));
        memcpy(p, l.ptr, l.len);
        ((char *)p)[l.len] = ' ';
        memcpy((char *)p + l.len + 1, r.ptr, r.len);
        views[i] = (struct view){p, l.len + r.len + 1};
    }
    s->config.merges = views;
    s->config.n_merges = (uint32_t)n;
out:
    return st;
}

/* Pieces that merge i builds; TOK_NONE in built: no such piece. */
static slm_status find_built(const struct tok_config *c, const json_t *vocab, int32_t *built, slm_err *err) {
    char joined[2 * TOK_PIECE_BYTES_MAX];
    for (uint32_t i = 0; i < c->n_merges; i++) {
        struct view m = c->merges[i];
        const char *gap = m.len > 2 ? memchr(m.ptr + 1, ' ', m.len - 2) : NULL;
        const json_t *id = NULL;
        if (gap && m.len <= sizeof joined) {
            size_t n_left = (size_t)(gap - m.ptr);
            memcpy(joined, m.ptr, n_left);
            memcpy(joined + n_left, gap + 1, m.len - n_left - 1);
            id = json_object_getn(vocab, joined, m.len - 1);
        }
        if (!id) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "tokenizer.json: merge %u \"%.*s\": builds no piece of the vocabulary", i, VIEW_ARG(m));
        built[i] = (int32_t)json_integer_value(id);
    }
    return SLM_OK;
}

/* Ways to cut a piece into two pieces. */
static uint32_t count_cuts(const json_t *vocab, struct view piece) {
    uint32_t n = 0;
    for (size_t k = 1; k < piece.len; k++)
        n += ((unsigned char)piece.ptr[k] & 0xc0) != 0x80 && json_object_getn(vocab, piece.ptr, k) && json_object_getn(vocab, piece.ptr + k, piece.len - k);
    return n;
}

/* Do scores say what the merges say? A SentencePiece model joins every pair whose text is a piece, in the order of pieces: the merges of a
 * piece stand together, and every cut into two pieces is among them. Then scores are minus the place of the first. */
static bool merges_are_scores(struct source_build *b, const json_t *vocab, const int32_t *built) {
    const struct tok_config *c = &b->s->config;
    for (uint32_t i = 0, n; i < c->n_merges; i += n) {
        for (n = 1; i + n < c->n_merges && built[i + n] == built[i]; n++) continue;
        if (b->scores[built[i]] < 0 || n != count_cuts(vocab, b->pieces[built[i]])) return false;
        b->scores[built[i]] = -(float)(i + 1);
    }
    for (uint32_t id = 0; id < c->n_vocab; id++)
        if (b->types[id] == TOK_NORMAL && b->scores[id] == 0 && count_cuts(vocab, b->pieces[id]) > 0) return false;
    return true;
}

static slm_status choose_marked_family(struct source_build *b, const json_t *vocab) {
    struct tok_config *c = &b->s->config;
    void *p;
    slm_status st = mem_alloc(&p, c->n_merges + 1u, sizeof(int32_t), "merges", b->err);
    if (st == SLM_OK) st = find_built(c, vocab, p, b->err);
    if (st != SLM_OK) {
        free(p);
        return st;
    }
    if (merges_are_scores(b, vocab, p)) {
        c->merges = NULL;
        c->n_merges = 0;
    } else {
        c->family = "gemma4";
        b->scores = NULL;
        if (c->add_space_prefix) st = err_set(b->err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "tokenizer.json: merges that are no SentencePiece model's, with a space put before the text");
    }
    free(p);
    return st;
}

/* The whole */

struct model_row {
    const char *type, *family;
    slm_status (*read_cut)(struct tok_source *s, const json_t *root, slm_err *err);
};
static const struct model_row model_rows[] = {
    {"BPE", NULL, NULL}, /* gpt2 or llama, below */
    {"WordPiece", "bert", json_read_bert},
    {"Unigram", "t5", json_read_spaces},
};

/* Is there a component of this type in v, itself or inside a Sequence? */
static bool has_component(const json_t *v, const char *type) {
    static const char *const members[] = {"pretokenizers", "decoders", "normalizers"};
    size_t i;
    json_t *part;
    if (strcmp(json_type_name(v), type) == 0) return true;
    if (strcmp(json_type_name(v), "Sequence") != 0) return false;
    for (size_t m = 0; m < 3; m++)
        json_array_foreach(json_object_get(v, members[m]), i, part)
            if (strcmp(json_type_name(part), type) == 0) return true;
    return false;
}

static slm_status check_bpe_options(const json_t *model, slm_err *err) {
    static const char *const must_be_absent[] = {"dropout", "continuing_subword_prefix", "end_of_word_suffix"};
    for (size_t i = 0; i < 3; i++) {
        const json_t *v = json_object_get(model, must_be_absent[i]);
        if (v && !json_is_null(v) && !(json_is_string(v) && json_string_length(v) == 0))
            return err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "tokenizer.json: BPE option \"%s\": not supported", must_be_absent[i]);
    }
    return SLM_OK;
}

static slm_status read_model(struct source_build *b, const json_t *root, const json_t *model, const struct model_row *row) {
    slm_status st = SLM_OK;
    slm_err *err = b->err;
    struct tok_source *s = b->s;
    const json_t *vocab = json_object_get(model, "vocab"), *added = json_member(root, "added_tokens", JSON_ARRAY, "tokenizer.json", &st, err);
    uint32_t n_vocab;
    bool byte_level = has_component(json_object_get(root, "pre_tokenizer"), "ByteLevel") || has_component(json_object_get(root, "decoder"), "ByteLevel");
    if (st != SLM_OK) return st;
    if (!(row->family && strcmp(row->family, "t5") == 0 ? json_is_array(vocab) : json_is_object(vocab)))
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "tokenizer.json: model \"%s\" has no vocabulary", row->type);
    s->config.family = row->family ? row->family : byte_level ? "gpt2" : "llama";
    if (!row->family) TRY(check_bpe_options(model, err));
    TRY(count_vocab(vocab, added, &n_vocab, err));
    TRY(source_arrays(b, s, n_vocab, err));
    TRY(fill_vocab(b, vocab));
    TRY(fill_added(b, added));
    if (!row->family) TRY(read_merges(s, json_object_get(model, "merges"), err));
    if (row->read_cut) TRY(row->read_cut(s, root, err));
    else if (byte_level) TRY(json_read_splits(s, root, json_flag(model, "ignore_merges", false), err));
    else {
        TRY(json_read_spaces(s, root, err));
        TRY(choose_marked_family(b, vocab));
    }
out:
    return st;
}

/* "##ing" -> "ing", "the" -> U+2581 "the"; what is written in brackets stays. */
static slm_status mark_words(struct source_build *b) {
    for (uint32_t i = 0; i < b->s->config.n_vocab; i++) {
        struct view v = b->pieces[i];
        char *p;
        void *room;
        if (b->types[i] != TOK_NORMAL || (v.len > 2 && v.ptr[0] == '[' && v.ptr[v.len - 1] == ']')) continue;
        if (v.len > 2 && memcmp(v.ptr, "##", 2) == 0) {
            b->pieces[i] = (struct view){v.ptr + 2, v.len - 2};
            continue;
        }
        slm_status st = source_alloc(b->s, &room, v.len + 4, 1, b->err);
        if (st != SLM_OK) return st;
        p = room;
        memcpy(p, SPACE_MARK, 3);
        memcpy(p + 3, v.ptr, v.len);
        b->pieces[i] = (struct view){p, v.len + 3};
    }
    return SLM_OK;
}

static void read_unknown(struct source_build *b, const json_t *model) {
    const json_t *id = json_object_get(model, "unk_id"), *piece = json_object_get(model, "unk_token");
    int32_t unk = json_is_integer(id) && json_integer_value(id) >= 0 && json_integer_value(id) < (json_int_t)b->s->config.n_vocab ? (int32_t)json_integer_value(id) : TOK_NONE;
    if (json_is_string(piece)) unk = source_find(b->s, view_of_json(piece));
    b->s->config.unk = unk;
    if (unk != TOK_NONE && strcmp(b->s->config.family, "gpt2") != 0 && strcmp(b->s->config.family, "bert") != 0) b->types[unk] = TOK_UNKNOWN;
}

slm_status tok_source_read_root(struct tok_source *s, const json_t *root, slm_err *err) {
    slm_status st = SLM_OK;
    struct source_build b = {.s = s, .err = err};
    const json_t *model = json_member(root, "model", JSON_OBJECT, "tokenizer.json", &st, err);
    const struct model_row *row = NULL;
    if (st != SLM_OK) return st;
    const char *type = json_type_name(model);
    if (!*type && json_object_get(model, "merges")) type = "BPE"; /* old files do not say */
    for (size_t i = 0; i < sizeof model_rows / sizeof model_rows[0]; i++)
        if (strcmp(model_rows[i].type, type) == 0) row = &model_rows[i];
    if (!row) return err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "tokenizer.json: model type \"%.60s\": not supported", type);
    TRY(read_model(&b, root, model, row));
    if (strcmp(s->config.family, "bert") == 0) TRY(mark_words(&b));
    source_finish(&b);
    read_unknown(&b, model);
out:
    return st;
}
