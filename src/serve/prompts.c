/* prompts.c -- prompts of every form to ids. */
#include "serve/prompts.h"

#include <stdlib.h>
#include <string.h>

#include "engine/embed.h"

slm_status encode_text(const struct slm_model *m, struct view text, enum prompts_as as, bool is_start, struct tok_ids *out, slm_err *err) {
    if (as == PROMPTS_EMBED) return embed_encode(m, text, out, err);
    return tok_encode(m->tok, text, TOK_PARSE_SPECIAL | (is_start && tok_config_of(m->tok)->add_bos ? TOK_ADD_BOS : 0u), out, err);
}

static struct view text_view(const json_t *v) { return (struct view){json_string_value(v), json_string_length(v)}; }

static slm_status push_id(const struct slm_model *m, const json_t *v, const char *param, struct tok_ids *out, struct fault *f) {
    json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;
    if (id < 0 || id >= (json_int_t)tok_n_vocab(m->tok)) return fault_set(f, SLM_E_USAGE, param, "field \"%s\": an element is no token id from 0 to %u", param, tok_n_vocab(m->tok) - 1);
    return tok_ids_push(out, (int32_t)id, &f->err);
}

/* One prompt: a text, or a list of ids (and of texts, where mixes are allowed). */
static slm_status read_one(const struct slm_model *m, const json_t *v, const char *param, enum prompts_as as, bool mixes, struct tok_ids *out, struct fault *f) {
    slm_status st = SLM_OK;
    if (json_is_string(v)) return encode_text(m, text_view(v), as, true, out, &f->err);
    if (!json_is_array(v)) return fault_set(f, SLM_E_USAGE, param, "field \"%s\": an element is neither a text nor a list of ids", param);
    for (size_t i = 0; i < json_array_size(v) && st == SLM_OK; i++) {
        const json_t *part = json_array_get(v, i);
        if (mixes && json_is_string(part)) st = encode_text(m, text_view(part), as, i == 0, out, &f->err);
        else st = push_id(m, part, param, out, f);
    }
    return st;
}

static bool has_kind(const json_t *list, bool (*is)(const json_t *v)) {
    for (size_t i = 0; i < json_array_size(list); i++)
        if (is(json_array_get(list, i))) return true;
    return false;
}

static bool is_id(const json_t *v) { return json_is_integer(v); }

slm_status prompts_read(const struct slm_model *m, const json_t *v, const char *param, enum prompts_as as, bool mixes, size_t n_max, struct prompts *out, struct fault *f) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    *out = (struct prompts){0};
    bool is_one = json_is_string(v) || has_kind(v, is_id);
    size_t n = is_one ? 1 : json_array_size(v);
    if (n == 0) return fault_set(f, SLM_E_USAGE, param, "field \"%s\": is empty", param);
    if (n > n_max) return fault_set(f, SLM_E_LIMIT, param, "field \"%s\": %zu elements are more than %zu", param, n, n_max);
    TRY(mem_alloc(&mem, n, sizeof *out->ids, "prompts", &f->err));
    out->ids = mem;
    out->n = n;
    for (size_t i = 0; i < n; i++) TRY(read_one(m, is_one ? v : json_array_get(v, i), param, as, mixes, &out->ids[i], f));
    return SLM_OK;
out:
    prompts_fini(out);
    return st;
}

void prompts_fini(struct prompts *p) {
    for (size_t i = 0; i < p->n; i++) tok_ids_fini(&p->ids[i]);
    free(p->ids);
    *p = (struct prompts){0};
}
