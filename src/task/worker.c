/* worker.c -- session, template, prompts. */
#include "task/worker.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N_CTX_DEFAULT 8192

slm_status worker_create(struct slm_model *m, const struct worker_params *p, struct worker **out, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    *out = NULL;
    TRY(mem_alloc(&mem, 1, sizeof **out, "worker", err));
    struct worker *w = *out = mem;
    w->model = m;
    int32_t n_ctx = p->n_ctx ? p->n_ctx : m->hp.n_ctx_train < N_CTX_DEFAULT ? (int32_t)m->hp.n_ctx_train : N_CTX_DEFAULT;
    struct session_params sp = embed_session_params(m, n_ctx, p->n_threads);
    if (p->n_chunk && sp.n_chunk == 0) sp.n_chunk = p->n_chunk < n_ctx ? p->n_chunk : n_ctx;
    TRY(session_create(m, &sp, &w->session, err));
    w->session->cancel = p->cancel;
    if (!p->raw && m->chat_template.len)
        TRY(chat_template_create(&(struct chat_template_source){.text = m->chat_template, .text_tools = m->chat_template_tools, .tok = m->tok}, &w->tmpl, err));
out:
    if (st != SLM_OK) {
        worker_destroy(*out);
        *out = NULL;
    }
    return st;
}

void worker_destroy(struct worker *w) {
    if (!w) return;
    session_destroy(w->session);
    chat_template_destroy(w->tmpl);
    constrain_vocab_destroy(w->vocab);
    free(w);
}

slm_status worker_vocab(struct worker *w, slm_err *err) { return w->vocab ? SLM_OK : constrain_vocab_create(w->model->tok, &w->vocab, err); }

static slm_status chat_ids(const struct worker *w, const char *system, struct view user, struct tok_ids *ids, slm_err *err) {
    slm_status st = SLM_OK;
    struct chat_prompt prompt = {0};
    json_t *messages = json_array(), *input = NULL;
    if (system) json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "system", "content", system));
    if (json_array_append_new(messages, json_pack("{s:s, s:s%}", "role", "user", "content", user.ptr, user.len)) != 0) {
        json_decref(messages);
        return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "text: not UTF-8, which a chat template needs");
    }
    input = json_pack("{s:o, s:n, s:n, s:b}", "messages", messages, "tools", "documents", "add_generation_prompt", 1);
    if (!input) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "prompt: out of memory");
    TRY(chat_template_render(w->tmpl, input, &prompt, NULL, err));
    TRY(chat_prompt_encode(w->tmpl, &prompt, ids, err));
out:
    jinja_result_fini(&prompt);
    json_decref(input);
    return st;
}

/* An opening's last space belongs to the answer's first token. */
static size_t opening_length(const char *opening) {
    size_t n = strlen(opening);
    return n && opening[n - 1] == ' ' ? n - 1 : n;
}

slm_status worker_prompt(const struct worker *w, const char *system, struct view user, const char *opening, struct tok_ids *ids, slm_err *err) {
    ids->n = 0;
    if (w->tmpl) return chat_ids(w, system, user, ids, err);
    struct buf text;
    buf_init(&text, TOK_TEXT_BYTES_MAX);
    if (system) buf_printf(&text, "%s\n\n", system);
    size_t start = text.len;
    buf_append(&text, user.ptr, user.len);
    struct tok_range plain = {start, text.len};
    if (opening) buf_append(&text, opening, opening_length(opening));
    slm_status st = buf_status(&text, "a prompt", err);
    unsigned bos = tok_config_of(w->model->tok)->add_bos ? TOK_ADD_BOS : 0u;
    if (st == SLM_OK) st = tok_encode_guarded(w->model->tok, (struct view){text.data ? text.data : "", text.len}, bos, &plain, 1, ids, err);
    buf_fini(&text);
    return st;
}

slm_status worker_answer_ids(const struct worker *w, struct view answer, struct tok_ids *ids, slm_err *err) {
    const struct tok *tok = w->model->tok;
    struct buf text;
    if (w->tmpl) return tok_encode(tok, answer, TOK_PARSE_SPECIAL, ids, err);
    buf_init(&text, TOK_TEXT_BYTES_MAX);
    if (!tok_config_of(tok)->add_space_prefix) buf_putc(&text, ' '); /* SPM's encoder puts it there itself */
    buf_append(&text, answer.ptr, answer.len);
    slm_status st = buf_status(&text, "an answer", err);
    if (st == SLM_OK) st = tok_encode(tok, (struct view){text.data, text.len}, 0, ids, err);
    buf_fini(&text);
    return st;
}

slm_status worker_state(struct worker *w, const char *form, struct view text, enum pooling pooling, float *out, size_t *n_token, slm_err *err) {
    slm_status st = SLM_OK;
    struct buf filled;
    struct tok_ids ids = {0};
    buf_init(&filled, PROMPT_BYTES_MAX);
    TRY(prompt_fill(form, &(struct prompt_value){"text", text}, 1, "text", &filled, err));
    TRY(embed_encode(w->model, (struct view){filled.data ? filled.data : "", filled.len}, &ids, err));
    *n_token = ids.n;
    TRY(session_embed(w->session, ids.v, ids.n, &(struct embed_params){.pooling = (int)pooling, .normalize = false}, out, err));
out:
    buf_fini(&filled);
    tok_ids_fini(&ids);
    return st;
}

/* ---- writing ---- */

struct pen {
    struct worker *w;
    const struct writing *p;
    struct buf *out;
    double *logp;
    int32_t *ids;
    size_t n, start;
    double first_margin;
    bool done;
};

static bool on_text(void *user, const char *text, size_t n) {
    struct pen *pen = user;
    buf_append(pen->out, text, n);
    if (pen->p->is_done && pen->p->is_done(pen->p->user, (struct view){pen->out->data + pen->start, pen->out->len - pen->start})) pen->done = true;
    return !pen->done;
}

static bool on_token(void *user, int32_t id, const float *logits) {
    struct pen *pen = user;
    const uint32_t n_vocab = pen->w->model->hp.n_vocab;
    pen->logp[pen->n] = (double)logits_logprob(logits, n_vocab, id);
    pen->ids[pen->n] = id;
    if (pen->n == 0) {
        float second = -INFINITY;
        for (uint32_t i = 0; i < n_vocab; i++)
            if ((int32_t)i != id && logits[i] > second) second = logits[i];
        pen->first_margin = exp(pen->logp[0]) * (1 - exp((double)second - (double)logits[id]));
    }
    pen->n++;
    return true;
}

slm_status worker_write(struct worker *w, const struct tok_ids *ids, const struct writing *p, struct buf *out, struct signals *signals, size_t *n_out, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    struct sampler_params sampling;
    struct generate_result result = {0};
    struct pen pen = {.w = w, .p = p, .out = out, .start = out->len};
    *n_out = 0;
    sampler_params_init(&sampling);
    sampling.temperature = 0;
    TRY(mem_alloc(&mem, (size_t)p->n_max + 1, sizeof *pen.logp, "writing", err));
    pen.logp = mem;
    TRY(mem_alloc(&mem, (size_t)p->n_max + 1, sizeof *pen.ids, "writing", err));
    pen.ids = mem;
    struct generate_params gp = {.sampling = &sampling, .n_max = p->n_max, .stops = p->stops, .n_stops = p->n_stop, .strip_first = p->strip_first, .on_text = on_text, .on_token = on_token, .user = &pen};
    TRY(session_generate(w->session, ids->v, ids->n, &gp, &result, err));
    if (result.finish == FINISH_CANCELLED) FAIL(SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
    if (pen.n) {
        signals_of_tokens(signals, pen.logp, pen.ids, pen.n);
        signals->v[SIGNAL_FIRST_MARGIN] = pen.first_margin;
        signals->v[SIGNAL_CONFIDENCE] = exp(signals->v[SIGNAL_LOGPROB_MEAN]);
    }
    signals->v[SIGNAL_LENGTH] = log(1 + (double)ids->n);
    *n_out = pen.n;
    TRY(buf_status(out, "a text", err));
out:
    tok_ids_fini(&result.ids);
    free(pen.logp);
    free(pen.ids);
    return st;
}
