/* chat_template.c -- the model's template around its interpreter: default variables, the template for tools, token ids.
 *
 * A prompt is tokenized whole, never message by message: merges go across the borders as they did in training. That a user's
 * text makes no special token is the tokenizer's part (tok_encode_guarded), told by the spans that the interpreter kept. */
#include "text/chat_template.h"

#include <stdlib.h>
#include <string.h>

#include "text/gotmpl/gotmpl.h"

struct chat_template {
    struct jinja_template *plain, *tools; /* tools NULL: one for both */
    struct gotmpl *go;                    /* instead of plain */
    const struct tok *tok;
};

slm_status chat_template_create(const struct chat_template_source *source, struct chat_template **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct chat_template *t = NULL;
    *out = NULL;
    TRY(mem_alloc((void **)&t, 1, sizeof *t, "chat template", err));
    t->tok = source->tok;
    if (gotmpl_is(source->text)) TRY(gotmpl_compile(source->text, &t->go, NULL, err));
    else TRY(jinja_compile(source->text, &t->plain, NULL, err));
    if (!t->go && source->text_tools.len) TRY(jinja_compile(source->text_tools, &t->tools, NULL, err));
    *out = t;
    return SLM_OK;
out:
    chat_template_destroy(t);
    return st;
}

void chat_template_destroy(struct chat_template *t) {
    if (!t) return;
    gotmpl_destroy(t->go);
    jinja_destroy(t->plain);
    jinja_destroy(t->tools);
    free(t);
}

bool chat_template_mentions(const struct chat_template *t, const char *bytes) {
    if (t->go) return gotmpl_mentions(t->go, bytes);
    return jinja_mentions(t->plain, bytes) || (t->tools && jinja_mentions(t->tools, bytes));
}

/* Rendering */

static json_t *piece_json(const struct tok *tok, int32_t id) { /* NULL: no such token, or not text */
    if (!tok || id == TOK_NONE) return NULL;
    struct view piece = tok_piece(tok, id, true);
    return json_stringn(piece.ptr, piece.len);
}

static void add_default(json_t *input, const char *name, json_t *value) { /* takes value */
    if (value && !json_object_get(input, name)) json_object_set_new(input, name, value);
    else json_decref(value);
}

slm_status chat_template_render(const struct chat_template *t, const json_t *input, struct chat_prompt *out, struct jinja_fault *fault, slm_err *err) {
    const json_t *tools = json_object_get(input, "tools");
    if (t->go) return gotmpl_render(t->go, input, NULL, out, fault, err);
    if (!json_is_object(input)) return jinja_render(t->plain, input, NULL, out, fault, err); /* says what is wrong */
    json_t *all = json_copy((json_t *)input);
    if (!all) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "chat template: no memory");
    if (t->tok) {
        add_default(all, "bos_token", piece_json(t->tok, tok_config_of(t->tok)->bos));
        add_default(all, "eos_token", piece_json(t->tok, tok_config_of(t->tok)->eos));
    }
    bool has_tools = tools && !json_is_null(tools);
    slm_status st = jinja_render(has_tools && t->tools ? t->tools : t->plain, all, NULL, out, fault, err);
    json_decref(all);
    return st;
}

/* Token ids */

slm_status chat_prompt_encode(const struct chat_template *t, const struct chat_prompt *p, struct tok_ids *ids, slm_err *err) {
    SLM_ASSERT(t->tok);
    const struct tok_config *c = tok_config_of(t->tok);
    struct view text = {p->text.data ? p->text.data : "", p->text.len};
    struct view bos = c->bos == TOK_NONE ? (struct view){"", 0} : tok_piece(t->tok, c->bos, true);
    bool written = bos.len > 0 && text.len >= bos.len && memcmp(text.ptr, bos.ptr, bos.len) == 0 && (p->n_spans == 0 || p->spans[0].start >= bos.len);
    struct tok_range *plain = NULL;
    slm_status st = mem_alloc((void **)&plain, p->n_spans + 1, sizeof *plain, "chat prompt", err);
    for (size_t i = 0; st == SLM_OK && i < p->n_spans; i++) plain[i] = (struct tok_range){p->spans[i].start, p->spans[i].end};
    if (st == SLM_OK) st = tok_encode_guarded(t->tok, text, c->add_bos && !written ? TOK_ADD_BOS : 0u, plain, p->n_spans, ids, err);
    free(plain);
    return st;
}
