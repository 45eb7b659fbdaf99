/* api.c -- the public C API over the rooms: thin, checks arguments, owns nothing of its own. */
#include <stdlib.h>
#include <string.h>

#include "engine/session.h"

slm_status slm_model_open(const char *path, slm_model **model, slm_err *err) {
    err_clear(err);
    return model_open(path, 0, model, err);
}

void slm_model_close(slm_model *model) { model_close(model); }

slm_status slm_model_add_adapter(slm_model *model, const char *path, float scale, slm_err *err) {
    err_clear(err);
    return model_add_lora(model, path, scale, NULL, err);
}

void slm_free(void *p) { free(p); }

slm_status slm_tokenize(const slm_model *model, const char *text, size_t n_bytes, bool parse_special, bool add_bos,
                        int32_t **ids, size_t *n_ids, slm_err *err) {
    struct tok_ids out = {0};
    unsigned flags = (parse_special ? TOK_PARSE_SPECIAL : 0u) | (add_bos ? TOK_ADD_BOS : 0u);
    err_clear(err);
    *ids = NULL;
    *n_ids = 0;
    slm_status st = tok_encode(model->tok, (struct view){text, n_bytes}, flags, &out, err);
    if (st != SLM_OK) {
        tok_ids_fini(&out);
        return st;
    }
    *ids = out.v;
    *n_ids = out.n;
    return SLM_OK;
}

slm_status slm_detokenize(const slm_model *model, const int32_t *ids, size_t n_ids, char **text, size_t *n_bytes, slm_err *err) {
    struct buf out;
    struct detok d;
    err_clear(err);
    *text = NULL;
    *n_bytes = 0;
    buf_init(&out, TOK_TEXT_BYTES_MAX);
    detok_init(&d, model->tok, tok_config_of(model->tok)->add_space_prefix, true);
    for (size_t i = 0; i < n_ids; i++) detok_push(&d, ids[i], &out);
    detok_finish(&d, &out);
    buf_append(&out, "", 0);
    slm_status st = buf_status(&out, "text", err);
    if (st != SLM_OK) {
        buf_fini(&out);
        return st;
    }
    *text = out.data;
    *n_bytes = out.len;
    return SLM_OK;
}

slm_status slm_session_create(slm_model *model, const slm_session_options *options, slm_session **session, slm_err *err) {
    struct session_params p = {.kv_type = KV_TYPE_AUTO};
    err_clear(err);
    if (options) {
        p.n_ctx = options->n_ctx;
        p.n_threads = options->n_threads;
        p.n_chunk = options->n_chunk;
    }
    return session_create(model, &p, session, err);
}

void slm_session_destroy(slm_session *session) { session_destroy(session); }

slm_sampling slm_sampling_default(void) {
    struct sampler_params d;
    sampler_params_init(&d);
    return (slm_sampling){d.temperature, d.top_k, d.top_p, d.min_p, d.seed};
}

slm_status slm_session_generate(slm_session *session, const char *prompt, int32_t n_max, const slm_sampling *sampling,
                                slm_on_text on_text, void *user, slm_err *err) {
    struct tok_ids ids = {0};
    struct sampler_params sp;
    struct generate_result result;
    const struct tok *tok = session->model->tok;
    slm_status st = SLM_OK;
    err_clear(err);
    sampler_params_init(&sp);
    if (sampling) {
        sp.temperature = sampling->temperature;
        sp.top_k = sampling->top_k;
        sp.top_p = sampling->top_p;
        sp.min_p = sampling->min_p;
        sp.seed = sampling->seed;
    }
    TRY(sampler_params_check(&sp, tok_n_vocab(tok), err));
    TRY(tok_encode(tok, view_of(prompt), TOK_PARSE_SPECIAL | (tok_config_of(tok)->add_bos ? TOK_ADD_BOS : 0u), &ids, err));
    struct generate_params p = {.sampling = &sp, .n_max = n_max, .on_text = on_text, .user = user};
    TRY(session_generate(session, ids.v, ids.n, &p, &result, err));
    tok_ids_fini(&result.ids);
out:
    tok_ids_fini(&ids);
    return st;
}
