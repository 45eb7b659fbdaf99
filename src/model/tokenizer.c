/* tokenizer.c -- from a file's tokenizer.* keys to the plain tok_config that the text room takes. */
#include <stdlib.h>
#include <string.h>

#include "model/model_int.h"

#define KEY MODEL_TOKENIZER_KEY
#define PATTERNS_MAX 8
#define NAMES_BYTES_MAX (1u << 16)

static const struct model_tokenizer_row id_rows[] = {
    {KEY "bos_token_id", offsetof(struct tok_config, bos), false}, {KEY "eos_token_id", offsetof(struct tok_config, eos), false},
    {KEY "unknown_token_id", offsetof(struct tok_config, unk), false}, {KEY "seperator_token_id", offsetof(struct tok_config, sep), false},
    {KEY "padding_token_id", offsetof(struct tok_config, pad), false}, {KEY "cls_token_id", offsetof(struct tok_config, cls), false},
    {KEY "mask_token_id", offsetof(struct tok_config, mask), false}, {KEY "eot_token_id", offsetof(struct tok_config, eot), false},
    {KEY "eom_token_id", offsetof(struct tok_config, eom), false},
};
static const struct model_tokenizer_row flag_rows[] = {
    {KEY "add_bos_token", offsetof(struct tok_config, add_bos), false},
    {KEY "add_eos_token", offsetof(struct tok_config, add_eos), false},
    {KEY "add_space_prefix", offsetof(struct tok_config, add_space_prefix), false},
    {KEY "remove_extra_whitespaces", offsetof(struct tok_config, remove_extra_whitespaces), true},
    {MODEL_SLM_KEY "prefix_first_only", offsetof(struct tok_config, prefix_first_only), true},
    {MODEL_SLM_KEY "prefix_unless_space", offsetof(struct tok_config, prefix_unless_space), true},
    {MODEL_SLM_KEY "keep_case", offsetof(struct tok_config, keep_case), true},
    {MODEL_SLM_KEY "ignore_merges", offsetof(struct tok_config, ignore_merges), true},
    {MODEL_SLM_KEY "nfc", offsetof(struct tok_config, nfc), true},
    {MODEL_SLM_KEY "special_rstrip", offsetof(struct tok_config, special_rstrip), true},
};

const struct model_tokenizer_row *model_tokenizer_ids(size_t *n_rows) {
    *n_rows = sizeof id_rows / sizeof id_rows[0];
    return id_rows;
}

const struct model_tokenizer_row *model_tokenizer_flags(size_t *n_rows) {
    *n_rows = sizeof flag_rows / sizeof flag_rows[0];
    return flag_rows;
}

/* What the authors' tokenizers do and no key of a file says. */
struct habit_row {
    const char *arch, *family;
    size_t offset; /* a flag of tok_config that holds */
};
static const struct habit_row habit_rows[] = {
    {"phi3", "llama", offsetof(struct tok_config, special_rstrip)},
};

static slm_status read_habits(const struct gguf *g, struct tok_config *c, slm_err *err) {
    struct view arch = {0};
    if (!gguf_find(g, "general.architecture")) return SLM_OK;
    slm_status st = gguf_get_string(g, "general.architecture", &arch, err);
    for (size_t i = 0; st == SLM_OK && i < sizeof habit_rows / sizeof habit_rows[0]; i++) {
        const struct habit_row *row = &habit_rows[i];
        if (view_eq(arch, view_of(row->arch)) && strcmp(c->family, row->family) == 0) *(bool *)((char *)c + row->offset) = true;
    }
    return st;
}

static slm_status read_scalars(const struct gguf *g, struct tok_config *c, slm_err *err) {
    for (size_t i = 0; i < sizeof id_rows / sizeof id_rows[0]; i++) {
        const struct gguf_kv *kv = gguf_find(g, id_rows[i].key);
        uint64_t id = 0;
        if (!kv) continue;
        slm_status st = gguf_get_u64(g, id_rows[i].key, &id, err);
        if (st != SLM_OK) return st;
        if (id >= c->n_vocab)
            return err_set(err, SLM_E_FORMAT, kv->offset, "\"%s\": key \"%s\": id %llu is outside a vocabulary of %u", gguf_path(g), id_rows[i].key,
                           (unsigned long long)id, c->n_vocab);
        *(int32_t *)((char *)c + id_rows[i].offset) = (int32_t)id;
    }
    for (size_t i = 0; i < sizeof flag_rows / sizeof flag_rows[0]; i++) {
        if (!gguf_find(g, flag_rows[i].key)) continue;
        slm_status st = gguf_get_bool(g, flag_rows[i].key, (bool *)((char *)c + flag_rows[i].offset), err);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

/* An array key of the vocabulary: right element type, and as long as the vocabulary (0: any length). */
static slm_status find_array(const struct gguf *g, const char *key, enum gguf_type type, uint64_t n, const struct gguf_kv **out, slm_err *err) {
    const struct gguf_kv *kv = gguf_find(g, key);
    *out = NULL;
    if (!kv) return SLM_OK;
    if (kv->type != GGUF_ARRAY || kv->elem_type != type)
        return err_set(err, SLM_E_FORMAT, kv->offset, "\"%s\": key \"%s\" is not an array of %s", gguf_path(g), key, gguf_type_name(type));
    if (n && kv->n_elem != n)
        return err_set(err, SLM_E_FORMAT, kv->offset, "\"%s\": key \"%s\" has %llu elements, the vocabulary %llu", gguf_path(g), key,
                       (unsigned long long)kv->n_elem, (unsigned long long)n);
    *out = kv;
    return SLM_OK;
}

static slm_status alloc_strings(const struct gguf_kv *kv, struct view **out, const char *what, slm_err *err) {
    void *p = NULL;
    slm_status st = mem_alloc(&p, kv->n_elem + 1, sizeof(struct view), what, err);
    *out = p;
    if (st == SLM_OK) gguf_kv_strings(kv, *out);
    return st;
}

static slm_status alloc_numbers(const struct gguf_kv *kv, float **scores, int32_t **types, slm_err *err) {
    void *p = NULL;
    slm_status st = mem_alloc(&p, kv->n_elem + 1, 4, "vocabulary", err);
    if (st != SLM_OK) return st;
    if (scores) *scores = p;
    else *types = p;
    memcpy(p, kv->data.ptr, kv->data.len); /* four-byte elements, little endian, perhaps unaligned */
    return SLM_OK;
}

/* An array of bytes, signed or not. */
static slm_status find_bytes(const struct gguf *g, const char *key, struct view *out, slm_err *err) {
    const struct gguf_kv *kv = gguf_find(g, key);
    if (!kv) return SLM_OK;
    if (kv->type != GGUF_ARRAY || (kv->elem_type != GGUF_U8 && kv->elem_type != GGUF_I8))
        return err_set(err, SLM_E_FORMAT, kv->offset, "\"%s\": key \"%s\" is not an array of bytes", gguf_path(g), key);
    *out = (struct view){(const char *)kv->data.ptr, kv->data.len};
    return SLM_OK;
}

/* Our own keys: white space that belongs to special pieces; a pre-tokenizer that has no name in GGUF. */
static slm_status read_patterns(const struct gguf *g, struct tok_config *c, struct arena *names, slm_err *err) {
    const struct gguf_kv *kv;
    slm_status st = find_array(g, MODEL_SLM_KEY "strips", GGUF_U8, c->n_vocab, &kv, err);
    if (kv) c->strips = (const uint8_t *)kv->data.ptr;
    if (st == SLM_OK) st = find_array(g, MODEL_SLM_KEY "patterns", GGUF_STRING, 0, &kv, err);
    if (st != SLM_OK || !kv) return st;
    if (kv->n_elem > PATTERNS_MAX) return err_set(err, SLM_E_LIMIT, kv->offset, "\"%s\": key \"" MODEL_SLM_KEY "patterns\": more than %d", gguf_path(g), PATTERNS_MAX);
    struct view v[PATTERNS_MAX];
    const char **patterns = arena_alloc(names, (PATTERNS_MAX + 1) * sizeof *patterns, _Alignof(const char *));
    if (!patterns) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "tokenizer patterns: out of memory");
    gguf_kv_strings(kv, v);
    for (uint64_t i = 0; i < kv->n_elem; i++)
        if (!(patterns[i] = arena_strdup(names, v[i])))
            return err_set(err, SLM_E_LIMIT, kv->offset, "\"%s\": key \"" MODEL_SLM_KEY "patterns\": too long", gguf_path(g));
    c->patterns = patterns;
    return SLM_OK;
}

slm_status model_read_tokenizer(const struct gguf *g, struct tok **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct tok_config c;
    struct view *pieces = NULL, *merges = NULL, family = {0}, pre = VIEW("default");
    float *scores = NULL;
    int32_t *types = NULL;
    struct arena names;
    const struct gguf_kv *kv;
    *out = NULL;
    tok_config_init(&c);
    arena_init(&names, NAMES_BYTES_MAX);

    TRY(gguf_get_string(g, KEY "model", &family, err));
    if (gguf_find(g, KEY "pre")) TRY(gguf_get_string(g, KEY "pre", &pre, err));
    c.family = arena_strdup(&names, (struct view){family.ptr, family.len > 200 ? 200 : family.len});
    c.pre = arena_strdup(&names, (struct view){pre.ptr, pre.len > 200 ? 200 : pre.len});
    if (!c.family || !c.pre) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "tokenizer names: out of memory");

    TRY(find_array(g, KEY "tokens", GGUF_STRING, 0, &kv, err));
    if (!kv) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": key \"" KEY "tokens\" is missing", gguf_path(g));
    if (kv->n_elem == 0 || kv->n_elem > TOK_N_VOCAB_MAX)
        FAIL(SLM_E_FORMAT, kv->offset, "\"%s\": a vocabulary of %llu is outside 1..%u", gguf_path(g), (unsigned long long)kv->n_elem, TOK_N_VOCAB_MAX);
    c.n_vocab = (uint32_t)kv->n_elem;
    TRY(alloc_strings(kv, &pieces, "vocabulary", err));
    TRY(find_array(g, KEY "scores", GGUF_F32, c.n_vocab, &kv, err));
    if (kv) TRY(alloc_numbers(kv, &scores, NULL, err));
    TRY(find_array(g, KEY "token_type", GGUF_I32, c.n_vocab, &kv, err));
    if (kv) TRY(alloc_numbers(kv, NULL, &types, err));
    TRY(find_array(g, KEY "merges", GGUF_STRING, 0, &kv, err));
    if (kv) {
        TRY(alloc_strings(kv, &merges, "merges", err));
        c.n_merges = (uint32_t)kv->n_elem;
    }
    c.pieces = pieces;
    c.scores = scores;
    c.types = types;
    c.merges = merges;
    TRY(find_bytes(g, KEY "precompiled_charsmap", &c.charsmap, err));
    TRY(read_patterns(g, &c, &names, err));
    tok_config_assume(&c);
    TRY(read_scalars(g, &c, err));
    TRY(read_habits(g, &c, err));
    st = tok_create(&c, out, err);
    if (st != SLM_OK) err_wrap(err, st, "\"%s\"", gguf_path(g));
out:
    free(pieces);
    free(merges);
    free(scores);
    free(types);
    arena_fini(&names);
    return st;
}
