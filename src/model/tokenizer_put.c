/* tokenizer_put.c -- a tok_config as a file's tokenizer.* keys: what tokenizer.c reads back.
 *
 * GGUF has no keys for three things that authors' files can say: split patterns without a name, white space that belongs to a
 * special piece, and Unicode composition. They get keys of our own, which others skip. */
#include <stdlib.h>

#include "model/model_int.h"

#define KEY MODEL_TOKENIZER_KEY

static slm_status put_ids(struct gguf_writer *w, const struct tok_config *c, slm_err *err) {
    size_t n;
    const struct model_tokenizer_row *rows = model_tokenizer_ids(&n);
    for (size_t i = 0; i < n; i++) {
        int32_t id = *(const int32_t *)((const char *)c + rows[i].offset);
        slm_status st = id == TOK_NONE ? SLM_OK : gguf_put_u32(w, rows[i].key, (uint32_t)id, err);
        if (st != SLM_OK) return st;
    }
    rows = model_tokenizer_flags(&n);
    for (size_t i = 0; i < n; i++) {
        bool flag = *(const bool *)((const char *)c + rows[i].offset);
        slm_status st = !flag && rows[i].only_when_set ? SLM_OK : gguf_put_bool(w, rows[i].key, flag, err);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

static slm_status put_patterns(struct gguf_writer *w, const char *const *patterns, slm_err *err) {
    size_t n = 0;
    void *p = NULL;
    while (patterns[n]) n++;
    slm_status st = mem_alloc(&p, n + 1, sizeof(struct view), "split patterns", err);
    struct view *views = p;
    for (size_t i = 0; st == SLM_OK && i < n; i++) views[i] = view_of(patterns[i]);
    if (st == SLM_OK) st = gguf_put_strings(w, MODEL_SLM_KEY "patterns", views, n, err);
    free(p);
    return st;
}

static slm_status put_vocabulary(struct gguf_writer *w, const struct tok_config *c, slm_err *err) {
    slm_status st;
    TRY(gguf_put_string(w, KEY "model", view_of(c->family), err));
    TRY(gguf_put_string(w, KEY "pre", view_of(c->pre ? c->pre : "default"), err));
    TRY(gguf_put_strings(w, KEY "tokens", c->pieces, c->n_vocab, err));
    if (c->scores) TRY(gguf_put_array(w, KEY "scores", GGUF_F32, c->scores, c->n_vocab, err));
    if (c->types) TRY(gguf_put_array(w, KEY "token_type", GGUF_I32, c->types, c->n_vocab, err));
    if (c->merges) TRY(gguf_put_strings(w, KEY "merges", c->merges, c->n_merges, err));
    if (c->charsmap.len) TRY(gguf_put_array(w, KEY "precompiled_charsmap", GGUF_U8, c->charsmap.ptr, c->charsmap.len, err));
    if (c->patterns) TRY(put_patterns(w, c->patterns, err));
    for (uint32_t i = 0; c->strips && i < c->n_vocab; i++)
        if (c->strips[i]) return gguf_put_array(w, MODEL_SLM_KEY "strips", GGUF_U8, c->strips, c->n_vocab, err);
out:
    return st;
}

slm_status model_put_tokenizer(struct gguf_writer *w, const struct tok_config *c, slm_err *err) {
    slm_status st = put_vocabulary(w, c, err);
    return st == SLM_OK ? put_ids(w, c, err) : st;
}
