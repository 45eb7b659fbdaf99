/* vectors.c -- embeddings' forwards run on the engine thread between two steps, so that they take turns with answers instead of the
 * processor (turn.h). A model's embedding session is made by its first text and lives as long as the model is loaded. */
#include "serve/vectors.h"

#include <math.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/show.h"
#include "serve/turn.h"

struct embedding {
    struct call *c;
    struct served *s;
    const struct tok_ids *ids;
    struct embed_params params;
    float *out;
    size_t d;
};

/* Engine thread. */
static slm_status make_embedder(void *user, struct slm_session **out, slm_err *err) {
    struct embedding *e = user;
    const struct sched_params *sp = &e->c->server->config.models.sched;
    struct session_params p = embed_session_params(e->s->model, sp->n_ctx, sp->n_threads);
    slm_status st = e->s->embedder ? SLM_OK : session_create(e->s->model, &p, &e->s->embedder, err);
    *out = e->s->embedder;
    return st;
}

static slm_status embed(struct embedding *e, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    enum pooling pooling;
    TRY(embed_pooling(e->s->model, &e->params, &pooling, err));
    if (pooling == POOLING_NONE) e->params.pooling = pooling = POOLING_MEAN;
    e->d = model_pooled_size(e->s->model, pooling);
    TRY(mem_alloc(&mem, e->d, sizeof(float), "embedding", err));
    e->out = mem;
    TRY(session_embed(e->s->embedder, e->ids->v, e->ids->n, &e->params, e->out, err));
    return SLM_OK;
out:
    free(e->out);
    e->out = NULL;
    return st;
}

slm_status vectors_make(struct call *c, struct served *s, const struct tok_ids *ids, int pooling, bool normalize, float **out, size_t *d) {
    struct embedding e = {.c = c, .s = s, .ids = ids, .params = {pooling, normalize}};
    struct turn turn;
    *out = NULL;
    if (ids->n == 0) return fault_set(&c->fault, SLM_E_USAGE, "input", "input: a text has no tokens");
    turn_open(&turn, c, 0);
    slm_status st = turn_enter(&turn, &s->embed_line, make_embedder, &e);
    if (st == SLM_OK) st = embed(&e, &c->fault.err);
    turn_close(&turn);
    if (st == SLM_E_LIMIT) c->fault.code = "context_length_exceeded";
    if (st == SLM_OK) {
        metric_add(&c->server->metrics, METRIC_EMBEDDED_TOKENS, (int64_t)ids->n);
        c->n_prompt += ids->n;
    }
    *out = e.out;
    *d = e.d;
    return st;
}

/* Replace {query} and {document}; the rest is the model's own text. */
static void fill_template(struct view t, struct view query, struct view document, struct buf *out) {
    static const char *const marks[] = {"{query}", "{document}"};
    const struct view values[] = {query, document};
    for (size_t i = 0; i < t.len;) {
        size_t k = 0;
        for (; k < 2; k++)
            if (t.len - i >= strlen(marks[k]) && memcmp(t.ptr + i, marks[k], strlen(marks[k])) == 0) break;
        if (k < 2) buf_append(out, values[k].ptr, values[k].len);
        else buf_putc(out, t.ptr[i]);
        i += k < 2 ? strlen(marks[k]) : 1;
    }
}

slm_status rank_encode(struct call *c, struct served *s, struct view query, struct view document, struct tok_ids *out) {
    const struct tok_config *t = tok_config_of(s->model->tok);
    slm_err *err = &c->fault.err;
    slm_status st = SLM_OK;
    struct view template = {0};
    struct buf text;
    buf_init(&text, (size_t)64 << 20);
    if (s->model->hp.pooling != POOLING_RANK) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "model \"%s\": is no reranker", s->name);
    if (gguf_get_string(s->model->gguf, "tokenizer.chat_template.rerank", &template, NULL) == SLM_OK) {
        fill_template(template, query, document, &text);
        TRY(buf_status(&text, "prompt", err));
        TRY(tok_encode(s->model->tok, (struct view){text.data, text.len}, TOK_PARSE_SPECIAL | (t->add_bos ? TOK_ADD_BOS : 0u), out, err));
        goto out;
    }
    int32_t sep = t->sep != TOK_NONE ? t->sep : t->eos;
    if (sep == TOK_NONE) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "model \"%s\": has neither a template for reranking nor a separator", s->name);
    int32_t first = t->cls != TOK_NONE ? t->cls : t->bos;
    bool is_doubled = strcmp(t->family, "bert") != 0; /* XLM-R and RoBERTa: <s> a </s></s> b </s> */
    if (first != TOK_NONE) TRY(tok_ids_push(out, first, err));
    TRY(tok_encode(s->model->tok, query, 0, out, err));
    for (int i = 0; i < 1 + is_doubled; i++) TRY(tok_ids_push(out, sep, err));
    TRY(tok_encode(s->model->tok, document, 0, out, err));
    TRY(tok_ids_push(out, sep, err));
out:
    buf_fini(&text);
    return st;
}

json_t *vector_json(const float *v, size_t d, bool is_base64) {
    if (!is_base64) {
        json_t *list = json_array();
        for (size_t i = 0; i < d; i++) json_array_append_new(list, json_f64((double)v[i]));
        return list;
    }
    /* floats are little-endian on every machine we build for; static check below */
    size_t n = d * sizeof *v;
    unsigned char *text = malloc(4 * ((n + 2) / 3) + 1);
    if (!text) return NULL;
    EVP_EncodeBlock(text, (const unsigned char *)v, (int)n);
    json_t *s = json_string((const char *)text);
    free(text);
    return s;
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "vector_json sends floats as they lie");

void vector_cut(float *v, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)v[i] * (double)v[i];
    for (size_t i = 0; i < n && sum > 0; i++) v[i] = (float)((double)v[i] / sqrt(sum));
}
