/* answer.c -- answers as they grow, whoever makes them: our engine (generate.c) or an upstream (gateway.c). */
#include <stdlib.h>
#include <string.h>

#include "serve/generate.h"

#define TEXT_BYTES_MAX ((size_t)64 << 20)

slm_status answers_begin(struct generation *g) {
    void *mem = NULL;
    g->n_answers = g->n_prompts * (size_t)g->n_each;
    slm_status st = mem_alloc(&mem, g->n_answers, sizeof *g->answers, "answers", &g->c->fault.err);
    if (st != SLM_OK) return st;
    g->answers = mem;
    for (size_t i = 0; i < g->n_answers; i++) {
        struct answer *a = &g->answers[i];
        a->i = (int)i;
        buf_init(&a->text, TEXT_BYTES_MAX);
        buf_init(&a->reasoning, TEXT_BYTES_MAX);
        if (g->n_top >= 0) a->logprobs = json_array();
    }
    return st;
}

slm_status answer_tell(struct generation *g, struct answer *a, struct delta d) {
    d.answer = a;
    return g->on_delta ? g->on_delta(g->user, &d) : SLM_OK;
}

static slm_status take_text(struct generation *g, struct answer *a, enum delta_kind kind, struct view text) {
    if (text.len == 0) return SLM_OK;
    buf_append(kind == DELTA_TEXT ? &a->text : &a->reasoning, text.ptr, text.len);
    return answer_tell(g, a, (struct delta){.kind = kind, .text = text});
}

static slm_status begin_call(struct generation *g, struct answer *a, struct view name) {
    void *grown = realloc(a->calls, (a->n_calls + 1) * sizeof *a->calls);
    if (!grown) return fault_set(&g->c->fault, SLM_E_NOMEM, NULL, "answer: no memory");
    a->calls = grown;
    struct tool_call_made *made = &a->calls[a->n_calls++];
    make_id("call_", made->id);
    buf_init(&made->name, TEXT_BYTES_MAX);
    buf_init(&made->arguments, TEXT_BYTES_MAX);
    buf_append(&made->name, name.ptr, name.len);
    return answer_tell(g, a, (struct delta){.kind = DELTA_CALL_BEGIN, .text = name, .i_call = a->n_calls - 1});
}

slm_status answer_take(struct generation *g, struct answer *a, const struct output_event *e) {
    struct tool_call_made *made = a->n_calls ? &a->calls[a->n_calls - 1] : NULL;
    switch (e->kind) {
    case OUTPUT_TEXT: return take_text(g, a, DELTA_TEXT, e->text);
    case OUTPUT_REASONING: return take_text(g, a, DELTA_REASONING, e->text);
    case OUTPUT_CALL_BEGIN: return begin_call(g, a, e->text);
    case OUTPUT_CALL_ARGUMENTS:
        if (!made) return SLM_OK;
        buf_append(&made->arguments, e->text.ptr, e->text.len);
        return answer_tell(g, a, (struct delta){.kind = DELTA_CALL_ARGUMENTS, .text = e->text, .i_call = a->n_calls - 1});
    case OUTPUT_CALL_END: return made ? answer_tell(g, a, (struct delta){.kind = DELTA_CALL_END, .i_call = a->n_calls - 1}) : SLM_OK;
    }
    return SLM_OK;
}

void generation_forget(struct generation *g) {
    for (size_t i = 0; g->answers && i < g->n_answers; i++) {
        struct answer *a = &g->answers[i];
        for (size_t k = 0; k < a->n_calls; k++) {
            buf_fini(&a->calls[k].name);
            buf_fini(&a->calls[k].arguments);
        }
        free(a->calls);
        buf_fini(&a->text);
        buf_fini(&a->reasoning);
        tok_ids_fini(&a->ids);
        json_decref(a->logprobs);
        free(a->logp);
    }
    free(g->answers);
    g->answers = NULL;
}

size_t generation_n_prompt(const struct generation *g) {
    size_t n = 0;
    if (g->told.is_set) return g->told.n_prompt;
    for (size_t i = 0; i < g->n_prompts; i++) n += g->prompts[i].n;
    return n;
}

/* n answers read one prompt once: what the first answer found is what counts. */
size_t generation_n_cached(const struct generation *g) {
    size_t n = 0;
    if (g->told.is_set) return g->told.n_cached;
    for (size_t i = 0; g->answers && i < g->n_answers; i += (size_t)g->n_each) n += g->answers[i].usage.n_cached;
    return n;
}

size_t generation_n_generated(const struct generation *g) {
    size_t n = 0;
    if (g->told.is_set) return g->told.n_generated;
    for (size_t i = 0; g->answers && i < g->n_answers; i++) n += g->answers[i].n_generated;
    return n;
}

double generation_cpu_s(const struct generation *g) {
    double s = 0;
    for (size_t i = 0; g->answers && i < g->n_answers; i++) s += g->answers[i].usage.cpu_s;
    return s;
}
