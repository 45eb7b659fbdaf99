/* tok_source.c -- a model folder's tokenizer: which file says what.
 *
 * tokenizer.json, else tokenizer.model, gives the pieces. If both are there and agree, the SentencePiece model's scores and types stand:
 * they are what the JSON was made from. tokenizer_config.json names the special tokens and the chat template, special_tokens_map.json what
 * it leaves out, generation_config.json and config.json the ids that end a text, chat_template.jinja the template again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "text/tok_source_int.h"

#define PATH_BYTES_MAX 4096
#define N_ENDS_MAX 64

/* Memory */

slm_status source_alloc(struct tok_source *s, void **out, size_t n, size_t size, slm_err *err) {
    size_t bytes;
    *out = size_mul(n, size, &bytes) ? arena_alloc(&s->arena, bytes ? bytes : 1, size >= 8 ? 8 : size >= 4 ? 4 : 1) : NULL;
    return *out ? SLM_OK : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "tokenizer files: no room for %zu times %zu bytes", n, size);
}

slm_status source_keep(struct tok_source *s, struct view v, struct view *out, slm_err *err) {
    void *p;
    slm_status st = source_alloc(s, &p, v.len + 1, 1, err);
    if (st != SLM_OK) return st;
    if (v.len) memcpy(p, v.ptr, v.len);
    *out = (struct view){p, v.len};
    return SLM_OK;
}

/* Arrays for n_vocab pieces; what they held before stays, what is new is unused "[PADn]". */
slm_status source_arrays(struct source_build *b, struct tok_source *s, uint32_t n_vocab, slm_err *err) {
    slm_status st = SLM_OK;
    struct source_build old = *b;
    uint32_t n_old = b->pieces ? s->config.n_vocab : 0;
    void *p;
    b->s = s;
    TRY(source_alloc(s, &p, n_vocab, sizeof *b->pieces, err));
    b->pieces = p;
    TRY(source_alloc(s, &p, n_vocab, sizeof *b->types, err));
    b->types = p;
    TRY(source_alloc(s, &p, n_vocab, sizeof *b->scores, err));
    b->scores = p;
    TRY(source_alloc(s, &p, n_vocab, 1, err));
    b->strips = p;
    if (n_old) {
        memcpy(b->pieces, old.pieces, n_old * sizeof *b->pieces);
        memcpy(b->types, old.types, n_old * sizeof *b->types);
        if (old.scores) memcpy(b->scores, old.scores, n_old * sizeof *b->scores);
        else b->scores = NULL;
        memcpy(b->strips, old.strips, n_old);
    }
    for (uint32_t i = n_old; i < n_vocab; i++) {
        char name[24];
        int n = snprintf(name, sizeof name, "[PAD%u]", i);
        b->types[i] = TOK_UNUSED;
        TRY(source_keep(s, (struct view){name, (size_t)n}, &b->pieces[i], err));
    }
    s->config.n_vocab = n_vocab;
out:
    return st;
}

void source_finish(struct source_build *b) {
    struct tok_config *c = &b->s->config;
    c->pieces = b->pieces;
    c->types = b->types;
    c->scores = strcmp(c->family, "llama") == 0 || strcmp(c->family, "t5") == 0 ? b->scores : NULL;
    c->strips = b->strips_any ? b->strips : NULL;
}

int32_t source_find(const struct tok_source *s, struct view piece) {
    for (uint32_t i = 0; i < s->config.n_vocab; i++)
        if (view_eq(s->config.pieces[i], piece)) return (int32_t)i;
    return TOK_NONE;
}

/* Special tokens by name */

struct id_row {
    const char *key;
    size_t offset;
};
static const struct id_row id_rows[] = {
    {"bos_token", offsetof(struct tok_config, bos)}, {"eos_token", offsetof(struct tok_config, eos)},   {"unk_token", offsetof(struct tok_config, unk)},
    {"pad_token", offsetof(struct tok_config, pad)}, {"sep_token", offsetof(struct tok_config, sep)},   {"cls_token", offsetof(struct tok_config, cls)},
    {"mask_token", offsetof(struct tok_config, mask)},
};

/* A token is written as text or as {"content": text}. over: what was known before gives way. */
static void read_names(struct tok_source *s, const json_t *root, bool over) {
    for (size_t i = 0; i < sizeof id_rows / sizeof id_rows[0]; i++) {
        int32_t *id = (int32_t *)((char *)&s->config + id_rows[i].offset);
        const json_t *v = json_object_get(root, id_rows[i].key);
        if (json_is_object(v)) v = json_object_get(v, "content");
        if (!json_is_string(v) || (*id != TOK_NONE && !over)) continue;
        int32_t found = source_find(s, (struct view){json_string_value(v), json_string_length(v)});
        if (found != TOK_NONE) *id = found;
    }
}

/* What the post-processor puts around a text. */
static void read_template_processing(struct tok_source *s, const json_t *v) {
    const json_t *single = json_object_get(v, "single");
    size_t n = json_array_size(single), i;
    json_t *part;
    if (strcmp(json_type_name(v), "Sequence") == 0)
        json_array_foreach(json_object_get(v, "processors"), i, part)
            if (strcmp(json_type_name(part), "Sequence") != 0) read_template_processing(s, part);
    if (strcmp(json_type_name(v), "TemplateProcessing") != 0 || n == 0) return;
    s->config.add_bos = json_object_get(json_array_get(single, 0), "SpecialToken") != NULL;
    s->config.add_eos = n > 1 && json_object_get(json_array_get(single, n - 1), "SpecialToken") != NULL;
}

/* "added_tokens_decoder": {"32000": {"content": ..., "special": ...}}, of folders without tokenizer.json. */
static slm_status read_added_decoder(struct source_build *b, const json_t *added) {
    slm_status st = SLM_OK;
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)added, key, v) {
        char *end;
        unsigned long id = strtoul(key, &end, 10);
        const json_t *content = json_object_get(v, "content");
        if (*key < '0' || *key > '9' || *end || id >= TOK_N_VOCAB_MAX || !json_is_string(content))
            return err_set(b->err, SLM_E_FORMAT, SLM_NOWHERE, "tokenizer_config.json: added token \"%.40s\": not an id with a content", key);
        if (id >= b->s->config.n_vocab && (st = source_arrays(b, b->s, (uint32_t)id + 1, b->err)) != SLM_OK) return st;
        st = source_keep(b->s, (struct view){json_string_value(content), json_string_length(content)}, &b->pieces[id], b->err);
        if (st != SLM_OK) return st;
        if (b->types[id] != TOK_UNKNOWN && b->types[id] != TOK_BYTE) b->types[id] = json_flag(v, "special", false) ? TOK_CONTROL : TOK_USER_DEFINED;
        b->strips[id] = (uint8_t)((json_flag(v, "lstrip", false) ? TOK_LSTRIP : 0) | (json_flag(v, "rstrip", false) ? TOK_RSTRIP : 0));
        b->strips_any |= b->strips[id] != 0;
    }
    return SLM_OK;
}

/* Chat templates */

static slm_status add_template(struct tok_source *s, const char *name, struct view text, slm_err *err) {
    struct view kept_name, kept;
    slm_status st = SLM_OK;
    size_t i = 0;
    void *p;
    if (!s->templates) {
        TRY(source_alloc(s, &p, TOK_SOURCE_TEMPLATES_MAX, sizeof *s->templates, err));
        s->templates = p;
    }
    while (i < s->n_templates && strcmp(s->templates[i].name, name) != 0) i++;
    if (i == TOK_SOURCE_TEMPLATES_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "tokenizer_config.json: more than %d chat templates", TOK_SOURCE_TEMPLATES_MAX);
    TRY(source_keep(s, view_of(name), &kept_name, err));
    TRY(source_keep(s, text, &kept, err));
    s->templates[i] = (struct tok_template){kept_name.ptr, kept.ptr};
    if (i == s->n_templates) s->n_templates++;
    if (i > 0 && strcmp(name, "default") == 0) {
        struct tok_template first = s->templates[0];
        s->templates[0] = s->templates[i];
        s->templates[i] = first;
    }
out:
    return st;
}

static slm_status read_templates(struct tok_source *s, const json_t *v, slm_err *err) {
    size_t i;
    json_t *t;
    if (json_is_string(v)) return add_template(s, "default", (struct view){json_string_value(v), json_string_length(v)}, err);
    json_array_foreach(v, i, t) {
        const char *name = json_string_value(json_object_get(t, "name"));
        const json_t *text = json_object_get(t, "template");
        if (!name || !json_is_string(text)) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "tokenizer_config.json: chat template %zu is not {name, template}", i);
        slm_status st = add_template(s, name, (struct view){json_string_value(text), json_string_length(text)}, err);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

/* Small files */

static bool path_of(char path[PATH_BYTES_MAX], const char *dir, const char *name) {
    int n = snprintf(path, PATH_BYTES_MAX, "%s/%s", dir, name);
    return n > 0 && n < PATH_BYTES_MAX && access(path, F_OK) == 0;
}

/* NULL when the file is not there. */
static slm_status load_json(const char *dir, const char *name, json_t **out, slm_err *err) {
    char path[PATH_BYTES_MAX];
    struct buf text;
    *out = NULL;
    if (!path_of(path, dir, name)) return SLM_OK;
    buf_init(&text, TOK_SOURCE_FILE_BYTES_MAX);
    slm_status st = file_read(&text, path, err);
    if (st == SLM_OK) st = json_parse((struct view){text.data, text.len}, name, out, err);
    buf_fini(&text);
    return st;
}

static void add_end(struct tok_source *s, const json_t *v) {
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= (json_int_t)s->config.n_vocab || s->n_ends == N_ENDS_MAX) return;
    for (size_t i = 0; i < s->n_ends; i++)
        if (s->ends[i] == json_integer_value(v)) return;
    s->ends[s->n_ends++] = (int32_t)json_integer_value(v);
}

static slm_status read_ends(struct tok_source *s, const char *dir, slm_err *err) {
    static const char *const files[] = {"generation_config.json", "config.json"};
    void *p;
    slm_status st = source_alloc(s, &p, N_ENDS_MAX, sizeof *s->ends, err);
    s->ends = p;
    for (size_t f = 0; f < 2 && st == SLM_OK && s->n_ends == 0; f++) {
        json_t *root = NULL, *v;
        size_t i;
        st = load_json(dir, files[f], &root, err);
        const json_t *eos = json_object_get(root, "eos_token_id");
        add_end(s, eos);
        json_array_foreach(eos, i, v) add_end(s, v);
        json_decref(root);
    }
    if (st == SLM_OK && s->config.eos == TOK_NONE && s->n_ends) s->config.eos = s->ends[0];
    return st;
}

/* Pieces */

/* A SentencePiece model beside tokenizer.json: if it has the same pieces, its scores and types are taken. */
static slm_status overlay_spm(struct tok_source *s, struct view model, slm_err *err) {
    struct tok_source spm;
    struct tok_config *c = &s->config;
    slm_status st = tok_source_read_spm(&spm, model, err);
    if (st != SLM_OK) return st;
    bool same = strcmp(spm.config.family, "llama") == 0 && spm.config.n_vocab <= c->n_vocab;
    for (uint32_t i = 0; same && i < spm.config.n_vocab; i++) same = view_eq(c->pieces[i], spm.config.pieces[i]) || c->types[i] != TOK_NORMAL;
    if (same) {
        struct source_build b = {.err = err};
        st = source_arrays(&b, s, c->n_vocab, err); /* fresh ones; the old still hang in the config */
        if (st != SLM_OK) goto out;
        memcpy(b.pieces, c->pieces, c->n_vocab * sizeof *b.pieces);
        memcpy(b.types, c->types, c->n_vocab * sizeof *b.types);
        if (c->strips) memcpy(b.strips, c->strips, c->n_vocab);
        b.strips_any = c->strips != NULL;
        for (uint32_t i = 0; i < spm.config.n_vocab; i++) {
            b.scores[i] = spm.config.scores[i];
            if (b.types[i] == TOK_NORMAL) b.types[i] = spm.config.types[i];
        }
        c->family = "llama";
        c->merges = NULL;
        c->n_merges = 0;
        source_finish(&b);
    }
out:
    tok_source_close(&spm);
    return st;
}

static slm_status read_config_json(struct tok_source *s, const json_t *root, slm_err *err) {
    const json_t *bos = json_object_get(root, "add_bos_token"), *eos = json_object_get(root, "add_eos_token");
    read_names(s, root, true);
    if (json_is_boolean(bos)) s->config.add_bos = json_is_true(bos);
    if (json_is_boolean(eos)) s->config.add_eos = json_is_true(eos);
    return read_templates(s, json_object_get(root, "chat_template"), err);
}

static slm_status fill_json(struct tok_source *s, const json_t *root, slm_err *err) {
    slm_status st = tok_source_read_root(s, root, err);
    if (st == SLM_OK) read_template_processing(s, json_object_get(root, "post_processor"));
    return st;
}

static slm_status read_spm_file(struct tok_source *s, const char *path, const json_t *config_json, bool overlay, slm_err *err) {
    struct file_map map;
    slm_status st = file_map_open(&map, path, err);
    if (st != SLM_OK) return st;
    struct view model = {(const char *)map.data, map.size};
    struct source_build b = {.s = s, .err = err};
    if (overlay) st = overlay_spm(s, model, err);
    else st = tok_source_fill_spm(s, model, &b, err);
    if (st == SLM_OK && !overlay) {
        s->config.add_bos = true; /* as the authors' tokenizers of such models do when nothing says otherwise */
        st = read_added_decoder(&b, json_object_get(config_json, "added_tokens_decoder"));
        if (st == SLM_OK) source_finish(&b);
    }
    file_map_close(&map);
    return st;
}

/* Rows of the embedding matrix that have no piece. */
static slm_status pad_vocab(struct tok_source *s, uint32_t n_vocab, slm_err *err) {
    struct tok_config *c = &s->config;
    struct source_build b = {.err = err};
    uint32_t n_old = c->n_vocab;
    if (n_vocab <= n_old) return SLM_OK;
    if (n_vocab > TOK_N_VOCAB_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "vocabulary of %u: more than %u", n_vocab, TOK_N_VOCAB_MAX);
    slm_status st = source_arrays(&b, s, n_vocab, err);
    if (st != SLM_OK) return st;
    memcpy(b.pieces, c->pieces, n_old * sizeof *b.pieces);
    memcpy(b.types, c->types, n_old * sizeof *b.types);
    if (c->scores) memcpy(b.scores, c->scores, n_old * sizeof *b.scores);
    if (c->strips) memcpy(b.strips, c->strips, n_old);
    b.strips_any = c->strips != NULL;
    source_finish(&b);
    return SLM_OK;
}

static void source_init(struct tok_source *s) {
    *s = (struct tok_source){0};
    arena_init(&s->arena, 8 * (size_t)TOK_SOURCE_FILE_BYTES_MAX);
    tok_config_init(&s->config);
}

static slm_status read_jinja(struct tok_source *s, const char *dir, slm_err *err) {
    char path[PATH_BYTES_MAX];
    struct buf text;
    if (!path_of(path, dir, "chat_template.jinja")) return SLM_OK;
    buf_init(&text, 16u << 20);
    slm_status st = file_read(&text, path, err);
    if (st == SLM_OK) st = add_template(s, "default", (struct view){text.data, text.len}, err);
    buf_fini(&text);
    return st;
}

slm_status tok_source_open(struct tok_source *s, const char *dir, uint32_t n_vocab, slm_err *err) {
    slm_status st = SLM_OK;
    json_t *root = NULL, *config = NULL, *names = NULL;
    char path[PATH_BYTES_MAX];
    source_init(s);
    bool has_spm = path_of(path, dir, "tokenizer.model");
    TRY(load_json(dir, "tokenizer.json", &root, err));
    TRY(load_json(dir, "tokenizer_config.json", &config, err));
    TRY(load_json(dir, "special_tokens_map.json", &names, err));
    if (!root && !has_spm) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "neither tokenizer.json nor tokenizer.model is there");
    if (root) TRY(fill_json(s, root, err));
    bool marked = !root || strcmp(s->config.family, "llama") == 0 || strcmp(s->config.family, "gemma4") == 0;
    if (has_spm && marked) TRY(read_spm_file(s, path, config, root != NULL, err));
    TRY(pad_vocab(s, n_vocab, err));
    TRY(read_config_json(s, config, err));
    read_names(s, names, false);
    TRY(read_ends(s, dir, err));
    TRY(read_jinja(s, dir, err));
out:
    json_decref(root);
    json_decref(config);
    json_decref(names);
    if (st != SLM_OK) {
        err_wrap(err, st, "\"%s\"", dir);
        tok_source_close(s);
    }
    return st;
}

slm_status tok_source_read_json(struct tok_source *s, struct view tokenizer_json, struct view tokenizer_config_json, slm_err *err) {
    slm_status st = SLM_OK;
    json_t *root = NULL, *config = NULL;
    source_init(s);
    TRY(json_parse(tokenizer_json, "tokenizer.json", &root, err));
    if (tokenizer_config_json.len) TRY(json_parse(tokenizer_config_json, "tokenizer_config.json", &config, err));
    TRY(fill_json(s, root, err));
    TRY(read_config_json(s, config, err));
out:
    json_decref(root);
    json_decref(config);
    if (st != SLM_OK) tok_source_close(s);
    return st;
}

slm_status tok_source_read_spm(struct tok_source *s, struct view model, slm_err *err) {
    struct source_build b = {.s = s, .err = err};
    source_init(s);
    slm_status st = tok_source_fill_spm(s, model, &b, err);
    if (st != SLM_OK) tok_source_close(s);
    return st;
}

void tok_source_close(struct tok_source *s) {
    arena_fini(&s->arena);
    *s = (struct tok_source){0};
}
