/* tokenizer.c -- the folder's tokenizer as tokenizer.* keys. The text room reads the authors' files; here their meaning is put
 * where model/tokenizer.c and other readers of GGUF look for it.
 *
 * GGUF has no keys for three things that authors' files can say: split patterns without a name, white space that belongs to a
 * special piece, and Unicode composition. They get keys of our own, which others skip. */
#include <stdlib.h>
#include <string.h>

#include "model/hf/hf_int.h"
#include "model/model_int.h"
#include "text/tok_source.h"

#define KEY MODEL_TOKENIZER_KEY

static slm_status put_ids(struct hf *h, const struct tok_config *c, slm_err *err) {
    size_t n;
    const struct model_tokenizer_row *rows = model_tokenizer_ids(&n);
    for (size_t i = 0; i < n; i++) {
        int32_t id = *(const int32_t *)((const char *)c + rows[i].offset);
        slm_status st = id == TOK_NONE ? SLM_OK : gguf_put_u32(h->w, rows[i].key, (uint32_t)id, err);
        if (st != SLM_OK) return st;
    }
    rows = model_tokenizer_flags(&n);
    for (size_t i = 0; i < n; i++) {
        bool flag = *(const bool *)((const char *)c + rows[i].offset);
        slm_status st = !flag && rows[i].only_when_set ? SLM_OK : gguf_put_bool(h->w, rows[i].key, flag, err);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

static slm_status put_patterns(struct hf *h, const char *const *patterns, slm_err *err) {
    size_t n = 0;
    void *p = NULL;
    while (patterns[n]) n++;
    slm_status st = mem_alloc(&p, n + 1, sizeof(struct view), "split patterns", err);
    struct view *views = p;
    for (size_t i = 0; st == SLM_OK && i < n; i++) views[i] = view_of(patterns[i]);
    if (st == SLM_OK) st = gguf_put_strings(h->w, MODEL_SLM_KEY "patterns", views, n, err);
    free(p);
    return st;
}

static slm_status put_vocabulary(struct hf *h, const struct tok_config *c, slm_err *err) {
    slm_status st;
    TRY(gguf_put_string(h->w, KEY "model", view_of(c->family), err));
    TRY(gguf_put_string(h->w, KEY "pre", view_of(c->pre ? c->pre : "default"), err));
    TRY(gguf_put_strings(h->w, KEY "tokens", c->pieces, c->n_vocab, err));
    if (c->scores) TRY(gguf_put_array(h->w, KEY "scores", GGUF_F32, c->scores, c->n_vocab, err));
    if (c->types) TRY(gguf_put_array(h->w, KEY "token_type", GGUF_I32, c->types, c->n_vocab, err));
    if (c->merges) TRY(gguf_put_strings(h->w, KEY "merges", c->merges, c->n_merges, err));
    if (c->charsmap.len) TRY(gguf_put_array(h->w, KEY "precompiled_charsmap", GGUF_U8, c->charsmap.ptr, c->charsmap.len, err));
    if (c->patterns) TRY(put_patterns(h, c->patterns, err));
    for (uint32_t i = 0; c->strips && i < c->n_vocab; i++)
        if (c->strips[i]) return gguf_put_array(h->w, MODEL_SLM_KEY "strips", GGUF_U8, c->strips, c->n_vocab, err);
out:
    return st;
}

/* Ids that end a text and that nothing else tells of: a free place among the special ids is theirs. */
static slm_status place_ends(struct tok_source *s, slm_err *err) {
    struct tok_config *c = &s->config;
    struct tok *t = NULL;
    slm_status st = SLM_OK;
    for (size_t i = 0; i < s->n_ends; i++) {
        int32_t id = s->ends[i];
        if (id == c->eos || id == c->eot || id == c->eom || id < 0 || (uint32_t)id >= c->n_vocab) continue;
        if (!t && (st = tok_create(c, &t, err)) != SLM_OK) return st;
        if (tok_is_end(t, id)) continue;
        int32_t *place = c->eos == TOK_NONE ? &c->eos : c->eot == TOK_NONE ? &c->eot : c->eom == TOK_NONE ? &c->eom : NULL;
        if (place) *place = id;
    }
    tok_destroy(t);
    return st;
}

/* One template is the default; more are listed by name beside it. */
static slm_status put_templates(struct hf *h, const struct tok_source *s, slm_err *err) {
    struct view names[TOK_SOURCE_TEMPLATES_MAX];
    size_t n = 0;
    slm_status st = SLM_OK;
    for (size_t i = 0; i < s->n_templates && st == SLM_OK; i++) {
        const struct tok_template *t = &s->templates[i];
        char key[160];
        bool is_default = strcmp(t->name, "default") == 0;
        snprintf(key, sizeof key, is_default ? "tokenizer.chat_template" : "tokenizer.chat_template.%.100s", t->name);
        st = gguf_put_string(h->w, key, view_of(t->text), err);
        if (!is_default && n < TOK_SOURCE_TEMPLATES_MAX) names[n++] = view_of(t->name);
    }
    return st == SLM_OK && n ? gguf_put_strings(h->w, "tokenizer.chat_templates", names, n, err) : st;
}

slm_status hf_tokenizer_put(struct hf *h, slm_err *err) {
    struct tok_source s;
    slm_status st = tok_source_open(&s, h->folder, h->n_vocab, err);
    if (st != SLM_OK) return st;
    st = place_ends(&s, err);
    if (st == SLM_OK) st = put_vocabulary(h, &s.config, err);
    if (st == SLM_OK) st = put_ids(h, &s.config, err);
    if (st == SLM_OK) st = put_templates(h, &s, err);
    tok_source_close(&s);
    return st;
}
