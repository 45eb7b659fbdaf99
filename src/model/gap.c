/* gap.c -- tokens for filling gaps, by key or by name. */
#include "model/gap.h"

/* By key, else by the names that published vocabularies use. */
static bool find_gap_id(const struct slm_model *m, const char *const keys[2], const char *const *names, int32_t *out) {
    uint64_t id;
    for (int i = 0; i < 2; i++)
        if (gguf_get_u64(m->gguf, keys[i], &id, NULL) == SLM_OK && id < tok_n_vocab(m->tok)) {
            *out = (int32_t)id;
            return true;
        }
    for (int32_t k = (int32_t)tok_n_vocab(m->tok) - 1; k >= 0; k--) {
        enum tok_type type = tok_type_of(m->tok, k);
        if (type != TOK_CONTROL && type != TOK_USER_DEFINED) continue;
        for (const char *const *n = names; *n; n++)
            if (view_eq(tok_piece(m->tok, k, true), view_of(*n))) {
                *out = k;
                return true;
            }
    }
    return false;
}

bool gap_ids_find(const struct slm_model *m, struct gap_ids *out) {
    static const char *const keys[3][2] = {{"tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id"},
                                           {"tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.suffix_token_id"},
                                           {"tokenizer.ggml.fim_mid_token_id", "tokenizer.ggml.middle_token_id"}};
    static const char *const names[3][5] = {{"<|fim_prefix|>", "<fim_prefix>", "<PRE>", "<fim-prefix>", NULL},
                                            {"<|fim_suffix|>", "<fim_suffix>", "<SUF>", "<fim-suffix>", NULL},
                                            {"<|fim_middle|>", "<fim_middle>", "<MID>", "<fim-middle>", NULL}};
    return find_gap_id(m, keys[0], names[0], &out->before) && find_gap_id(m, keys[1], names[1], &out->after) && find_gap_id(m, keys[2], names[2], &out->middle);
}

slm_status gap_encode(const struct slm_model *m, const struct gap_ids *gap, struct view before, struct view after, struct tok_ids *out, slm_err *err) {
    slm_status st = SLM_OK;
    const struct tok_config *c = tok_config_of(m->tok);
    if (c->add_bos && c->bos != TOK_NONE) TRY(tok_ids_push(out, c->bos, err));
    TRY(tok_ids_push(out, gap->before, err));
    TRY(tok_encode(m->tok, before, 0, out, err));
    TRY(tok_ids_push(out, gap->after, err));
    TRY(tok_encode(m->tok, after, 0, out, err));
    TRY(tok_ids_push(out, gap->middle, err));
out:
    return st;
}
