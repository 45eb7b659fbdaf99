/* tokenizer.c -- the folder's tokenizer as tokenizer.* keys. The text room reads the authors' files; here their meaning is put
 * where model/tokenizer.c and other readers of GGUF look for it. */
#include <stdlib.h>
#include <string.h>

#include "model/hf/hf_int.h"
#include "model/model_int.h"
#include "text/tok_source.h"

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
    if (st == SLM_OK) st = model_put_tokenizer(h->w, &s.config, err);
    if (st == SLM_OK) st = put_templates(h, &s, err);
    tok_source_close(&s);
    return st;
}
