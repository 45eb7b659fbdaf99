/* model.c -- from an open file to a model: tokenizer, hyper-parameters, weights, in that order,
 * so that the first error a user sees is the most telling one. */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "model/hf.h"
#include "model/lora_int.h"
#include "model/model_int.h"

/* Vectors and layer tables; a file's matrices are not in here. */
#define MODEL_ARENA_BYTES_MAX ((size_t)1 << 30)

static slm_status bind_arch(struct slm_model *m, slm_err *err) {
    struct view name;
    char text[64];
    const char *path = gguf_path(m->gguf);
    slm_status st = gguf_get_string(m->gguf, "general.architecture", &name, err);
    if (st == SLM_E_NOT_FOUND) st = SLM_E_FORMAT;
    if (st != SLM_OK) return st;
    size_t n = name.len < sizeof text - 1 ? name.len : sizeof text - 1;
    memcpy(text, name.ptr, n);
    text[n] = 0;
    m->arch = arch_find(text);
    if (!m->arch) {
        st = err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%s\": architecture \"%.*s\" is not supported", path, VIEW_ARG(name));
        err_hint(err, "the nearest supported architecture is \"%s\"", arch_nearest(text));
        return st;
    }
    if (gguf_n_tensor(m->gguf) == 0) {
        st = err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": the file has a vocabulary but no weights", path);
        err_hint(err, "tokenize, detokenize and inspect work with such a file");
        return st;
    }
    st = hparams_read(m, err);
    if (st == SLM_OK) st = weights_bind(m, err);
    return st;
}

slm_status model_bind(struct gguf *g, unsigned flags, struct slm_model **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct slm_model *m = NULL;
    void *p = NULL;
    double t0 = trace_begin();
    *out = NULL;
    st = mem_alloc(&p, 1, sizeof *m, "model", err);
    if (st != SLM_OK) {
        gguf_close(g);
        return st;
    }
    m = p;
    m->gguf = g;
    arena_init(&m->arena, MODEL_ARENA_BYTES_MAX);
    TRY(model_read_tokenizer(g, &m->tok, err));
    trace_end(t0, "model.tokenizer", "%u pieces", tok_n_vocab(m->tok));
    if (gguf_find(g, "tokenizer.chat_template")) TRY(gguf_get_string(g, "tokenizer.chat_template", &m->chat_template, err));
    if (gguf_find(g, "tokenizer.chat_template.tool_use"))
        TRY(gguf_get_string(g, "tokenizer.chat_template.tool_use", &m->chat_template_tools, err));
    t0 = trace_begin();
    if (!(flags & MODEL_VOCAB_ONLY)) TRY(bind_arch(m, err));
    trace_end(t0, "model.bind", "%zu tensors", gguf_n_tensor(g));
    *out = m;
    return SLM_OK;
out:
    model_close(m);
    /* A key that a model must have makes the file invalid; it is no look-up that found nothing. */
    if (st == SLM_E_NOT_FOUND) {
        st = SLM_E_FORMAT;
        if (err) err->code = st;
    }
    return st;
}

slm_status model_open_file(const char *path, unsigned flags, struct gguf **out, slm_err *err) {
    if (!hf_is_folder(path)) return gguf_open(path, out, err);
    return flags & MODEL_VOCAB_ONLY ? hf_open_vocabulary(path, out, err) : hf_open_in_place(path, out, err);
}

slm_status model_open(const char *path, unsigned flags, struct slm_model **out, slm_err *err) {
    struct gguf *g = NULL;
    double t0 = trace_begin();
    *out = NULL;
    slm_status st = model_open_file(path, flags, &g, err);
    if (st != SLM_OK) return st;
    trace_end(t0, "model.open", "%s", path);
    return model_bind(g, flags, out, err);
}

void model_close(struct slm_model *m) {
    if (!m) return;
    tok_destroy(m->tok);
    model_unpack(m);
    for (uint32_t i = 0; i < m->n_loras; i++) lora_destroy(m->loras[i]);
    free(m->loras);
    free(m->lora_default);
    arena_fini(&m->arena);
    gguf_close(m->gguf);
    free(m);
}
