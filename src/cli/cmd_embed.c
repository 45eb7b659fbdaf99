/* cmd_embed.c -- slm embed: texts as vectors, or as a reranker's scores. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "engine/embed.h"

struct embed_values {
    struct common_values common;
    const char *model, *file;
    struct option_texts texts;
    int32_t pooling, threads, ctx;
    bool normalize, tokens, json;
};

/* One text's vectors as JSON: a list of numbers, or of a list for each token. */
static json_t *vectors_json(const float *v, size_t n_row, size_t d, bool nested) {
    json_t *rows = json_array();
    for (size_t i = 0; rows && i < n_row; i++) {
        json_t *row = json_array();
        for (size_t k = 0; row && k < d; k++) json_array_append_new(row, json_f64((double)v[i * d + k]));
        if (!nested) {
            json_decref(rows);
            return row;
        }
        json_array_append_new(rows, row);
    }
    return rows;
}

static void print_vectors(const float *v, size_t n_row, size_t d) {
    for (size_t i = 0; i < n_row * d; i++) out_printf("%.9g%c", (double)v[i], i % d == d - 1 ? '\n' : ' ');
}

struct embedder {
    struct slm_session *session;
    struct embed_params params;
    enum pooling pooling;
    struct tok_ids ids;
    json_t *list;     /* NULL: print at once */
    size_t n_token;   /* of all texts */
    bool ids_given;   /* texts are lists of ids */
};

static slm_status embed_text(struct embedder *e, struct view text, slm_err *err) {
    const struct slm_model *m = e->session->model;
    slm_status st = SLM_OK;
    void *mem = NULL;
    size_t d = model_pooled_size(m, e->pooling);
    if (e->ids_given) {
        struct buf b;
        tok_ids_fini(&e->ids);
        buf_init(&b, INPUT_BYTES_MAX);
        buf_append(&b, text.ptr, text.len);
        buf_putc(&b, 0);
        st = buf_status(&b, "ids", err);
        if (st == SLM_OK) st = input_ids(b.data, m->hp.n_vocab, &e->ids, err);
        buf_fini(&b);
        if (st != SLM_OK) return st;
    } else {
        e->ids.n = 0;
        TRY(embed_encode(m, text, &e->ids, err));
    }
    size_t n_row = e->pooling == POOLING_NONE ? e->ids.n : 1;
    TRY(mem_alloc(&mem, n_row * d + 1, sizeof(float), "embedding", err));
    TRY(session_embed(e->session, e->ids.v, e->ids.n, &e->params, mem, err));
    e->n_token += e->ids.n;
    if (e->list) json_array_append_new(e->list, vectors_json(mem, n_row, d, e->pooling == POOLING_NONE));
    else print_vectors(mem, n_row, d);
    st = out_status(err);
out:
    free(mem);
    return st;
}

/* Operands, else the lines of the file or of standard input. */
static slm_status embed_all(struct embedder *e, const struct embed_values *v, slm_err *err) {
    struct buf text;
    slm_status st = SLM_OK;
    for (size_t i = 0; i < v->texts.n && st == SLM_OK; i++) st = embed_text(e, view_of(v->texts.v[i]), err);
    if (v->texts.n || st != SLM_OK) return st;
    buf_init(&text, INPUT_BYTES_MAX);
    st = input_text(NULL, v->file, &text, err);
    for (size_t at = 0; at < text.len && st == SLM_OK;) {
        const char *line = text.data + at, *end = memchr(line, '\n', text.len - at);
        size_t n = end ? (size_t)(end - line) : text.len - at;
        at += n + 1;
        if (n) st = embed_text(e, (struct view){line, n}, err);
    }
    buf_fini(&text);
    return st;
}

static slm_status run_embed(const void *values, slm_err *err) {
    const struct embed_values *v = values;
    slm_status st = SLM_OK;
    struct slm_model *model = NULL;
    struct embedder e = {.params = {.pooling = v->pooling - 1, .normalize = v->normalize}, .ids_given = v->tokens};
    TRY(model_open(v->model, 0, &model, err));
    TRY(embed_pooling(model, &e.params, &e.pooling, err));
    if (v->normalize && e.pooling == POOLING_RANK) FAIL(SLM_E_USAGE, SLM_NOWHERE, "option \"--normalize\": the model gives scores (pooling \"rank\"), which have no length");
    struct session_params p = embed_session_params(model, v->ctx, v->threads);
    TRY(session_create(model, &p, &e.session, err));
    interrupt_catch();
    e.session->cancel = &interrupt_flag;
    if (v->json) e.list = json_array();
    TRY(embed_all(&e, v, err));
    if (!v->json) goto out;
    json_t *object = json_pack("{s:s, s:I, s:I, s:O}", "pooling", pooling_name(e.pooling), "dimensions", (json_int_t)model_pooled_size(model, e.pooling),
                               "tokens", (json_int_t)e.n_token, "embeddings", e.list);
    TRY(out_json(object, err));
out:
    json_decref(e.list);
    session_destroy(e.session);
    tok_ids_fini(&e.ids);
    model_close(model);
    return st;
}

static const struct option embed_options[] = {
    OPTION_MODEL(struct embed_values),
    {.kind = OPT_FILE, .letter = 'f', .name = "file", .value = "FILE", .offset = offsetof(struct embed_values, file), .since = "0.1",
     .bars = "TEXT", .help = "one text a line; - is standard input"},
    {.kind = OPT_CHOICE, .name = "pooling", .value = "KIND", .fallback = "model", .choices = "model|none|mean|cls|last|rank",
     .offset = offsetof(struct embed_values, pooling), .since = "0.1",
     .help = "how the states of the tokens become one: their mean, the first's, the last's, or the score of a classification head; none: all of them; "
             "model: as the file says"},
    {.kind = OPT_FLAG, .name = "normalize", .offset = offsetof(struct embed_values, normalize), .since = "0.1", .bars = "pooling=rank", .help = "scale vectors to length 1"},
    {.kind = OPT_FLAG, .name = "tokens", .offset = offsetof(struct embed_values, tokens), .since = "0.1",
     .help = "texts are lists of token ids, [1, 2]; nothing is added to them"},
    OPTION_JSON(struct embed_values),
    OPTION_SECTION("engine"),
    OPTION_THREADS(struct embed_values),
    OPTION_CTX(struct embed_values),
};
static const struct option embed_operands[] = {
    {.kind = OPT_TEXTS, .name = "TEXT", .offset = offsetof(struct embed_values, texts), .since = "0.1",
     .help = "the texts; without them, the lines of --file or of standard input"},
};
static const struct example embed_examples[] = {
    {"slm embed -m bge.gguf --normalize --json \"first text\" \"second\"", "{\"pooling\":...,\"embeddings\":[[...],[...]]}"},
    {"slm embed -m nomic.gguf -f lines.txt", "a line of numbers for each line"},
};
const struct command command_embed = {
    .group = "texts as numbers",
    .summary = "turn texts into vectors",
    .description = "Prints one vector for each text, numbers separated by spaces. Encoders (BERT, Nomic, ModernBERT, EmbeddingGemma) see a text whole; "
                   "decoders (Qwen 3 Embedding) give the state of its last token. The result does not depend on threads, or on the other texts.",
    .table = {"embed", ROWS(embed_options), ROWS(embed_operands)},
    .values_bytes = sizeof(struct embed_values),
    .examples = embed_examples,
    .n_examples = sizeof embed_examples / sizeof embed_examples[0],
    .run = run_embed,
};
