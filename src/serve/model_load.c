/* model_load.c -- from a path to a model that answers: weights, scheduler, chat template, the parser of its output. */
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/show.h"
#include "base/util.h"
#include "model/lora.h"
#include "serve/models.h"
#include "task/worker.h"
#include "text/gotmpl/gotmpl.h"

static uint64_t mib(uint64_t bytes) { return bytes >> 20; }

/* What it takes in memory: weights, caches, buffers; as sched_create will plan it. */
static slm_status plan_need(const struct slm_model *m, struct sched_params *p, uint64_t *need, slm_err *err) {
    enum kv_type type = p->kv_type == KV_TYPE_AUTO ? kv_type_auto(m) : (enum kv_type)p->kv_type;
    struct plan plan;
    struct cpu_info cpu;
    cpu_info_get(&cpu);
    *need = m->weight_bytes + model_lora_bytes(m);
    if (m->hp.bidirectional) return SLM_OK;
    if (p->kv_bytes == 0) p->kv_bytes = cpu.mem_available_bytes / 4;
    if (p->n_seq == 0) p->n_seq = 16;
    if (p->n_batch == 0) p->n_batch = 512;
    if (p->n_batch < p->n_seq) p->n_batch = p->n_seq;
    uint64_t page = kv_page_bytes(&m->hp, type), n_page = page ? p->kv_bytes / page : 0;
    uint64_t n_ctx = p->n_ctx ? (uint64_t)p->n_ctx : m->hp.n_ctx_train, n_ctx_page = (n_ctx + KV_PAGE_TOK - 1) / KV_PAGE_TOK;
    if (n_page > n_ctx_page * (uint64_t)p->n_seq) n_page = n_ctx_page * (uint64_t)p->n_seq;
    if (n_page < n_ctx_page) n_ctx = n_page * KV_PAGE_TOK;
    if (n_page == 0) return SLM_OK; /* sched_create refuses it, with words */
    struct plan_params pp = {.n_ctx = (int32_t)n_ctx, .n_pool = (int32_t)(n_page * KV_PAGE_TOK), .n_batch = p->n_batch, .n_out = p->n_seq, .n_threads = p->n_threads, .kv_type = type};
    slm_status st = plan_make(m, &pp, &plan, err);
    if (st == SLM_OK) *need = plan.bytes;
    return st;
}

/* The manifest's template, where it is the one that counts: one in Jinja always, one in Go's language if a recipe gave it or the file has none. */
static struct view stored_template(const struct served *s) {
    struct view text = view_of(s->recipe.template);
    if (!gotmpl_is(text)) return text;
    if (gotmpl_is_bare(text) || (s->model->chat_template.len && !s->recipe.has_own_template)) return VIEW("");
    return text;
}

static slm_status load_template(struct served *s, const char *path, slm_err *err) {
    struct buf text;
    slm_status st = SLM_OK;
    struct chat_template_source source = {.text = s->model->chat_template, .text_tools = s->model->chat_template_tools, .tok = s->model->tok};
    buf_init(&text, JINJA_SOURCE_BYTES_MAX);
    if (stored_template(s).len) {
        source.text = stored_template(s);
        source.text_tools = VIEW("");
    }
    if (source.text.len == 0 && path) {
        TRY(file_read(&text, path, err));
        source.text = (struct view){text.data, text.len};
    }
    if (source.text.len == 0) goto out;
    st = chat_template_create(&source, &s->chat, err);
    if (st != SLM_OK && (s->model->chat_template.len || s->recipe.template)) { /* the model can still complete text */
        log_print(LOG_WARN, "model \"%s\": its chat template is not usable: %s", show_cstr(s->name).s, err->msg);
        st = SLM_OK;
    }
    if (st == SLM_OK && s->chat) s->output = output_format_choose(s->chat);
out:
    buf_fini(&text);
    return st;
}

slm_status served_load(struct served *s, const struct models_config *c, bool has_loras, uint64_t (*make_room)(void *user, uint64_t need), void *user, struct sched_loop *loop, slm_err *err) {
    slm_status st = SLM_OK;
    struct sched_params p = c->sched;
    uint64_t need = 0;
    double t0 = time_now_s(), trace = trace_begin();
    TRY(stored_open(s, c->store, err));
    TRY(model_open(s->is_in_store ? s->pulled.path : s->path, 0, &s->model, err));
    for (size_t i = 0; has_loras && i < c->n_loras; i++) TRY(model_add_lora(s->model, c->loras[i].path, c->loras[i].name ? 0 : c->loras[i].scale, NULL, err));
    s->n_named_loras = has_loras ? c->n_loras : 0;
    for (size_t i = 0; i < s->pulled.n_adapters; i++) TRY(model_add_lora(s->model, s->pulled.adapters[i], 1, NULL, err));
    TRY(plan_need(s->model, &p, &need, err));
    uint64_t room = make_room(user, need);
    if (room < need)
        FAIL(SLM_E_NOMEM, SLM_NOWHERE, "model \"%s\": needs %llu MiB, %llu MiB of the budget are left beside what is in use", show_cstr(s->name).s, (unsigned long long)mib(need) + 1,
             (unsigned long long)mib(room));
    if (!s->model->hp.bidirectional) {
        TRY(sched_create(s->model, &p, &s->sched, err));
        TRY(sched_loop_add(loop, s->sched, err));
    }
    TRY(load_template(s, c->template_path, err));
    s->need_bytes = need;
    s->load_s = time_now_s() - t0;
    s->loaded = time(NULL);
    trace_end(trace, "load", "%s, %llu MiB", s->name, (unsigned long long)mib(need));
    return SLM_OK;
out:
    served_unload(s, loop);
    return st;
}

/* The base with its own adapters, and of the server's list this one. */
slm_status served_load_beside(struct served *s, struct served *base, const struct models_config *c, slm_err *err) {
    struct lora_mix mix = *base->model->lora_default;
    for (size_t i = 0; i < c->n_loras; i++) mix.scale[i] = 0;
    mix.scale[s->i_lora] = s->lora_scale;
    slm_status st = model_with_lora(base->model, &mix, c->sched.n_threads, &s->model, err);
    if (st != SLM_OK) return st;
    s->base = base;
    s->n_named_loras = base->n_named_loras;
    s->sched = base->sched;
    s->chat = base->chat;
    s->output = base->output;
    s->loaded = time(NULL);
    return SLM_OK;
}

void served_unload(struct served *s, struct sched_loop *loop) {
    if (s->base) { /* what it shares is the base's */
        session_destroy(s->embedder);
        worker_destroy(s->worker);
        model_view_end(s->model);
        s->base = NULL;
        s->model = NULL;
        s->sched = NULL;
        s->chat = NULL;
        s->embedder = NULL;
        s->worker = NULL;
        return;
    }
    if (s->sched) sched_loop_remove(loop, s->sched);
    sched_destroy(s->sched);
    session_destroy(s->embedder);
    worker_destroy(s->worker);
    constrain_vocab_destroy(s->vocab);
    chat_template_destroy(s->chat);
    model_close(s->model);
    stored_close(s);
    s->sched = NULL;
    s->embedder = NULL;
    s->worker = NULL;
    s->vocab = NULL;
    s->chat = NULL;
    s->output = NULL;
    s->model = NULL;
    s->need_bytes = 0;
}
