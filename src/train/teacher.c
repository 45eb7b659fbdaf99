/* teacher.c -- one question, one answer: from the cache, else from the model that was given. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"
#include "base/json.h"
#include "train/data_int.h"
#include "train/eval_int.h"
#include "train/kd_cache.h"
#include "train/teacher_int.h"

void teacher_answer_fini(struct teacher_answer *a) {
    free(a->text);
    memset(a, 0, sizeof *a);
}

slm_status teacher_open(const struct teacher_params *p, struct teacher **out, slm_err *err) {
    slm_status st = SLM_OK;
    *out = NULL;
    struct teacher *t = calloc(1, sizeof *t);
    if (!t) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "teacher: out of memory");
    t->p = *p;
    if (!p->model == !p->url) FAIL(SLM_E_USAGE, SLM_NOWHERE, "teacher: a model or a URL is needed, one of them");
    if (p->url) {
        TRY(http_teacher_open(&t->p, &t->http, err));
    } else {
        if (!p->tmpl) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "teacher: the model has no chat template");
        TRY(session_create(p->model, &t->p.session, &t->session, err));
        t->session->cancel = p->cancel;
        t->encode = (struct data_encode_params){.tok = p->model->tok, .tmpl = p->tmpl, .system = p->system};
        t->model_identity = gguf_identity(p->model->gguf) ^ vocab_hash(p->model->tok, 0);
    }
    if (p->cache_path) TRY(answers_open(p->cache_path, &t->answers, err));
    *out = t;
    t = NULL;
out:
    teacher_close(t);
    return st;
}

void teacher_close(struct teacher *t) {
    if (!t) return;
    answers_close(t->answers);
    http_teacher_close(t->http);
    session_destroy(t->session);
    free(t);
}

/* What is sent, and what the cache goes by: the same question is the same bytes. */
static char *make_request(const struct teacher *t, json_t *messages, int32_t i_sample) {
    json_t *turns = json_copy(messages), *o;
    const char *first = json_string_value(json_object_get(json_array_get(turns, 0), "role"));
    if (turns && t->p.system && (!first || strcmp(first, "system") != 0)) json_array_insert_new(turns, 0, json_pack("{s:s, s:s}", "role", "system", "content", t->p.system));
    if (t->p.url) o = json_pack("{s:s}", "model", t->p.name);
    else o = json_pack("{s:I, s:s}", "model_identity", (json_int_t)t->model_identity, "template_of", "model");
    json_object_set_new(o, "messages", turns);
    json_object_set_new(o, "temperature", json_f64((double)t->p.temperature));
    json_object_set_new(o, "max_tokens", json_integer(t->p.n_max));
    json_object_set_new(o, "seed", json_integer((json_int_t)(t->p.seed + (uint64_t)i_sample)));
    char *s = o && turns ? json_dumps(o, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    json_decref(o);
    return s;
}

/* Our own model */

struct writing {
    struct buf text;
    double logprob;
    uint64_t n;
    uint32_t n_vocab;
};

static bool keep_text(void *user, const char *text, size_t n) {
    struct writing *w = user;
    buf_append(&w->text, text, n);
    return w->text.failed == SLM_OK;
}

static bool count_token(void *user, int32_t id, const float *logits) {
    struct writing *w = user;
    if (logits) w->logprob += (double)logits[id] - log_sum_exp(logits, w->n_vocab);
    w->n += logits != NULL;
    return true;
}

static slm_status ask_model(struct teacher *t, json_t *messages, int32_t i_sample, struct teacher_answer *out, slm_err *err) {
    slm_status st;
    struct tok_ids ids = {0};
    struct generate_result r = {0};
    struct sampler_params sampling;
    struct writing w = {.n_vocab = t->p.model->hp.n_vocab};
    struct data_row row = {.path = "prompt", .line = 1, .format = DATA_UNLABELLED, .shape = DATA_SHAPE_CHAT, .messages = messages};
    buf_init(&w.text, TEACHER_REPLY_BYTES_MAX);
    sampler_params_init(&sampling);
    sampling.temperature = t->p.temperature;
    sampling.seed = t->p.seed + (uint64_t)i_sample;
    TRY(data_encode_prompt(&t->encode, &row, &ids, err));
    struct generate_params g = {.sampling = &sampling, .n_max = t->p.n_max, .strip_first = true, .on_text = keep_text, .on_token = count_token, .user = &w};
    TRY(session_generate(t->session, ids.v, ids.n, &g, &r, err));
    if (r.finish == FINISH_CANCELLED) FAIL(SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
    TRY(buf_status(&w.text, "an answer", err));
    memset(out, 0, sizeof *out);
    out->n_prompt = ids.n;
    out->n_completion = r.ids.n;
    out->logprob_mean = w.n ? (float)(w.logprob / (double)w.n) : NAN;
    out->is_cut = r.finish == FINISH_LENGTH || r.finish == FINISH_CONTEXT;
    if (!(out->text = strndup(w.text.data ? w.text.data : "", w.text.len))) st = err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "an answer: out of memory");
out:
    tok_ids_fini(&ids);
    tok_ids_fini(&r.ids);
    buf_fini(&w.text);
    return st;
}

slm_status teacher_ask(struct teacher *t, json_t *messages, int32_t i_sample, struct teacher_answer *out, slm_err *err) {
    slm_status st = SLM_OK;
    bool has = false;
    memset(out, 0, sizeof *out);
    char *request = make_request(t, messages, i_sample);
    if (!request) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "a question: out of memory");
    if (t->answers) TRY(answers_get(t->answers, request, out, &has, err));
    if (has) goto out;
    if (t->p.budget_tokens && t->n_token >= t->p.budget_tokens) {
        err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "the teacher's budget of %llu tokens is spent", (unsigned long long)t->p.budget_tokens);
        err_hint(err, "what was answered is kept: the same command with a larger --budget-tokens goes on from there");
        st = SLM_E_LIMIT;
        goto out;
    }
    TRY(t->http ? http_teacher_ask(t->http, request, out, err) : ask_model(t, messages, i_sample, out, err));
    t->n_token += out->n_prompt + out->n_completion;
    if (t->answers) TRY(answers_put(t->answers, request, out, err));
out:
    free(request);
    if (st != SLM_OK) teacher_answer_fini(out);
    return st;
}
