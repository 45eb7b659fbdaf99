/* cmd_pull.c -- slm pull: a model by name into the store, or what that would take. */
#include <stdio.h>
#include <string.h>

#include "base/cpu.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/named.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "engine/session.h"
#include "store/peek.h"

struct pull_values {
    struct common_values common;
    const char *name;
    int32_t connections, threads;
    float rate;
    bool dry_run, json;
};

static json_t *files_json(const struct remote *r) {
    json_t *list = json_array();
    for (size_t i = 0; list && i < r->n_files; i++) {
        const struct remote_file *f = &r->files[i];
        json_t *v = json_pack("{s:s, s:o}", "kind", layer_kind_name(f->kind), "url", json_text(view_of(f->url)));
        if (v && f->title) json_object_set_new(v, "file", json_text(view_of(f->title)));
        if (v && f->digest[0]) json_object_set_new(v, "digest", json_string(f->digest));
        if (v && f->size != UINT64_MAX) json_object_set_new(v, "bytes", json_integer((json_int_t)f->size));
        json_array_append_new(list, v);
    }
    return list;
}

/* What the heads of the files say; no peek.model: only the sizes are known. */
static void look_ahead(struct store *store, const struct remote *r, struct peek *peek, struct plan *plan, slm_err *why) {
    struct session_params p = {.kv_type = KV_TYPE_AUTO};
    err_clear(why);
    plan->n_rows = 0;
    interrupt_catch();
    slm_status st = peek_open(store, r, &interrupt_flag, peek, why);
    interrupt_release();
    if (st == SLM_OK) session_plan(peek->model, &p, plan, why); /* one that does not fit is still a plan */
    if (plan->n_rows) plan_add_process(plan);
}

static void put_memory(const struct remote *r, const struct peek *peek, const struct plan *plan, const slm_err *why, struct buf *b) {
    struct cpu_info cpu;
    uint64_t bytes = remote_bytes(r);
    cpu_info_get(&cpu);
    buf_puts(b, plan->n_rows ? "\n  memory    " : "\n  memory    about ");
    buf_put_bytes(b, plan->n_rows ? plan->bytes : bytes + bytes / 10 + (256u << 20));
    if (plan->n_rows) buf_printf(b, " with a context of %d", plan->n_ctx);
    buf_puts(b, "; ");
    buf_put_bytes(b, cpu.mem_available_bytes);
    buf_puts(b, " are free");
    if (peek->model) buf_printf(b, "\n  model     %s, %.1f M weights, made for a context of %u", peek->model->arch->name, (double)peek->model->n_param * 1e-6, peek->model->hp.n_ctx_train);
    if (!plan->n_rows && why->msg[0]) buf_printf(b, "\n  unknown   %s", why->msg);
    if (plan->n_rows && why->msg[0]) buf_printf(b, "\n  no room   %s", why->msg);
}

static json_t *plan_json(const struct remote *r, const char *name, const struct peek *peek, const struct plan *plan, const slm_err *why) {
    const char *license = peek->license.len ? peek->license.data : NULL;
    json_t *o = json_pack("{s:o, s:I, s:o, s:I}", "name", json_text(view_of(name)), "bytes", (json_int_t)remote_bytes(r), "files", files_json(r), "looked_at_bytes", (json_int_t)peek->n_fetched);
    if (!o) return NULL;
    if (plan->n_rows) json_object_set_new(o, "memory", json_pack("{s:I, s:i}", "bytes", (json_int_t)plan->bytes, "n_ctx", plan->n_ctx));
    if (peek->model) json_object_set_new(o, "model", json_pack("{s:s, s:I, s:I}", "architecture", peek->model->arch->name, "n_params", (json_int_t)peek->model->n_param, "n_ctx_train", (json_int_t)peek->model->hp.n_ctx_train));
    if (license) json_object_set_new(o, "license", json_text(view_of(license)));
    if (r->why) json_object_set_new(o, "why", json_text(view_of(r->why)));
    if (why->msg[0]) json_object_set_new(o, "unknown", json_text(view_of(why->msg)));
    return o;
}

static slm_status print_plan(const struct pull_values *v, struct store *store, const struct remote *r, const char *name, slm_err *err) {
    struct peek peek;
    struct plan plan = {.n_rows = 0};
    struct buf b;
    slm_err why;
    slm_status st = SLM_OK;
    buf_init(&b, 1 << 20);
    look_ahead(store, r, &peek, &plan, &why);
    if (why.code == SLM_E_CANCELLED) FAIL(SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
    if (v->json) {
        st = out_json(plan_json(r, name, &peek, &plan, &why), err);
        goto out;
    }
    buf_printf(&b, "%s\n  to fetch  ", name);
    buf_put_bytes(&b, remote_bytes(r));
    put_memory(r, &peek, &plan, &why, &b);
    buf_printf(&b, "\n  license   %s\n", peek.license.len ? show_cstr(peek.license.data).s : "not told");
    if (r->why) buf_printf(&b, "  quant     %s\n", show_cstr(r->why).s);
    for (size_t i = 0; i < r->n_files; i++) {
        buf_printf(&b, "  %-9s ", layer_kind_name(r->files[i].kind));
        if (r->files[i].size != UINT64_MAX) buf_put_bytes(&b, r->files[i].size);
        buf_printf(&b, "  %s\n", show_cstr(r->files[i].url).s);
    }
    out_buf(&b);
    st = out_status(err);
out:
    peek_close(&peek);
    buf_fini(&b);
    return st;
}

static slm_status run_pull(const void *values, slm_err *err) {
    const struct pull_values *v = values;
    struct store s = {0};
    struct model_name name;
    struct remote r = {0};
    struct manifest m = {0};
    struct buf full;
    struct remote_options ro = {.cancel = &interrupt_flag};
    struct pull_settings settings = {.n_connections = v->connections, .n_threads = v->threads, .rate_bytes_s = (uint64_t)((double)v->rate * 1e6)};
    slm_status st = SLM_OK;
    buf_init(&full, 4096);
    TRY(name_parse(v->name, &name, err));
    TRY(store_open(&s, err));
    interrupt_catch();
    st = remote_resolve(&name, &ro, &r, err);
    interrupt_release();
    if (st != SLM_OK) goto out;
    name_print(&r.name, &full);
    if (v->dry_run) TRY(print_plan(v, &s, &r, full.data, err));
    else {
        if (r.why && !v->json) say_note("%s", show_cstr(r.why).s);
        TRY(pull_show(&s, &r, &settings, &m, err));
        TRY(named_say_here(full.data, &m, v->json, err));
    }
out:
    buf_fini(&full);
    manifest_fini(&m);
    remote_fini(&r);
    store_close(&s);
    return st;
}

static const struct option options[] = {
    {.kind = OPT_FLAG, .name = "dry-run", .offset = offsetof(struct pull_values, dry_run), .since = "0.1",
     .bars = "threads", .help = "say what would be fetched, how large it is, what memory a run takes (from the metadata at the beginning of the file) and under which licence; fetch no weights"},
    {.kind = OPT_INT, .name = "connections", .value = "N", .fallback = "4", .min = 1, .max = FETCH_CONNECTIONS_MAX, .offset = offsetof(struct pull_values, connections),
     .since = "0.1", .bars = "dry-run", .help = "ranges fetched at a time"},
    {.kind = OPT_FLOAT, .name = "rate", .value = "MB", .fallback = "0", .min = 0, .max = 1e6, .offset = offsetof(struct pull_values, rate), .since = "0.1",
     .bars = "dry-run", .help = "megabytes a second at most; 0: as fast as it comes"},
    OPTION_THREADS(struct pull_values),
    OPTION_JSON(struct pull_values),
};
static const struct option operands[] = {
    {.kind = OPT_TEXT, .name = "NAME", .flags = OPTION_REQUIRED, .offset = offsetof(struct pull_values, name), .since = "0.1",
     .help = "llama3.2:1b (Ollama), OWNER/REPO[:QUANT] (Hugging Face), or a URL"},
};
static const struct example examples[] = {
    {"slm pull llama3.2:1b", "from the Ollama registry"},
    {"slm pull OWNER/REPO:Q4_K_M", "one quant of a Hugging Face repository; without it the one that fits the memory"},
    {"slm pull --dry-run hf.co/OWNER/REPO", "what it would fetch, and why"},
};
const struct command command_pull = {
    .group = "keep models",
    .summary = "fetch a model by name",
    .description = "Fetches a model into the store (SLM_STORE), where every command finds it by its name. Files that Ollama, llama.cpp or Hugging Face's own "
                   "tools have on this machine are used without a copy. A download that was broken off goes on where it stopped; two processes that pull "
                   "the same model share the work. What arrives is checked against the hash that was promised.\n\n"
                   "A Hugging Face repository without GGUF files is converted; :QUANT then says to which type.\n\n"
                   "HF_TOKEN is sent to Hugging Face and to nobody else. Proxies: https_proxy and no_proxy.",
    .table = {"pull", ROWS(options), ROWS(operands)},
    .values_bytes = sizeof(struct pull_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .is_common = true,
    .run = run_pull,
};
