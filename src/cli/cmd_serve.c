/* cmd_serve.c -- slm serve: option values to a server's configuration. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/lora.h"
#include "cli/named.h"
#include "cli/rows.h"
#include "serve/server.h"
#include "store/shipped.h"

struct serve_values {
    struct common_values common;
    struct option_texts models, loras, pins, listen, origins, hosts, limits;
    const char *folder, *key_file, *tls_cert, *tls_key, *memory, *kv_memory, *keep_alive, *template, *config, *gateway;
    int32_t threads, ctx, kv, parallel, queue, batch, log;
    float slowdown;
    struct option_texts pull_from, push_to;
    bool open, check, store, no_sandbox;
};

/* "8G", "512M"; a plain number is bytes. */
static slm_status read_bytes(const char *name, const char *text, uint64_t *out, slm_err *err) {
    static const struct { char letter; int shift; } units[] = {{'K', 10}, {'M', 20}, {'G', 30}, {'T', 40}};
    char *end;
    if (!text) return SLM_OK;
    double v = strtod(text, &end);
    int shift = 0;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if ((*end & ~0x20) == units[i].letter) shift = units[i].shift;
    if (shift) end++;
    if (end == text || *end || !(v > 0) || v * (double)(1ull << shift) > 1e18) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"--%s\": \"%s\" is no size", name, show_cstr(text).s);
        err_hint(err, "8G, 512M, or bytes");
        return SLM_E_USAGE;
    }
    *out = (uint64_t)(v * (double)(1ull << shift));
    return SLM_OK;
}

/* "5m", "300", "forever" */
static slm_status read_seconds(const char *text, double *out, slm_err *err) {
    if (strcmp(text, "forever") == 0) {
        *out = KEEP_FOREVER;
        return SLM_OK;
    }
    if (duration_parse(text, out) && *out >= 0) return SLM_OK;
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"--keep-alive\": \"%s\" is no time", show_cstr(text).s);
    err_hint(err, "300, 5m, 1h30m, or forever");
    return SLM_E_USAGE;
}

/* What -m gave, the caller's: a model that comes with slm is its file, which has its name. */
struct files {
    char **v; /* [n] */
    size_t n;
};

static void files_fini(struct files *f) {
    for (size_t i = 0; i < f->n; i++) free(f->v[i]);
    free(f->v);
}

static slm_status read_files(const struct serve_values *v, struct files *f, slm_err *err) {
    slm_status st = SLM_OK;
    void *mem = NULL;
    TRY(mem_alloc(&mem, v->models.n + 1, sizeof *f->v, "models", err));
    f->v = mem;
    for (; f->n < v->models.n; f->n++) {
        const char *given = v->models.v[f->n];
        char **file = &f->v[f->n];
        if (named_is_name(given)) TRY(shipped_find(given, file, err));
        if (!*file && !(*file = strdup(given))) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "models: no memory");
    }
out:
    return st;
}

/* The store is served when it is asked for, when nothing else is given, and when a model of it is; that one is fetched when it is not here. */
static slm_status open_store(const struct serve_values *v, const struct files *f, struct store *store, slm_err *err) {
    bool is_wanted = v->store || v->pull_from.n || v->push_to.n || (v->models.n == 0 && !v->folder);
    slm_status st = SLM_OK;
    for (size_t i = 0; i < f->n; i++) is_wanted |= !strchr(f->v[i], '=') && named_is_name(f->v[i]);
    if (!is_wanted) return SLM_OK;
    TRY(store_open(store, err));
    for (size_t i = 0; i < f->n; i++)
        if (!strchr(f->v[i], '=')) TRY(named_fetch(store, f->v[i], f->v[i], err));
out:
    return st;
}

/* "[NAME=]FILE[=SCALE]" into l, whose texts lie in `text`. */
static slm_status read_lora(const char *given, char text[4096], struct lora_named *l, slm_err *err) {
    slm_status st = lora_parse(given, text, &l->scale, err);
    if (st != SLM_OK) return st;
    char *equals = strchr(text, '=');
    l->path = text;
    if (!equals || equals == text || memchr(text, '/', (size_t)(equals - text)) || access(text, F_OK) == 0) return SLM_OK;
    *equals = 0;
    l->name = text;
    l->path = equals + 1;
    return SLM_OK;
}

static slm_status run_serve(const void *values, slm_err *err) {
    const struct serve_values *v = values;
    slm_status st = SLM_OK;
    struct store store = {0};
    struct files files = {0};
    static char lora_text[LORAS_MAX][4096];
    static struct lora_named loras[LORAS_MAX];
    struct server_config c = {.listen = v->listen.v, .n_listen = v->listen.n, .tls_cert = v->tls_cert, .tls_key = v->tls_key, .key_file = v->key_file, .is_open = v->open,
                              .origins = v->origins.v, .n_origins = v->origins.n, .hosts = v->hosts.v, .n_hosts = v->hosts.n, .log = (enum log_style)v->log, .gateway = v->gateway, .is_unconfined = v->no_sandbox};
    static const char *const listen_default[] = {"127.0.0.1:8080"};
    if (c.n_listen == 0) {
        c.listen = listen_default;
        c.n_listen = 1;
    }
    c.models = (struct models_config){.n_files = v->models.n, .folder = v->folder, .pins = v->pins.v, .n_pins = v->pins.n, .template_path = v->template};
    for (size_t i = 0; i < v->loras.n; i++) {
        if (i == LORAS_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "option \"--lora\": more than %d adapters", LORAS_MAX);
        TRY(read_lora(v->loras.v[i], lora_text[i], &loras[i], err));
    }
    c.models.loras = loras;
    c.models.n_loras = v->loras.n;
    c.models.sched = (struct sched_params){.n_ctx = v->ctx, .n_seq = v->parallel, .n_queue = v->queue, .n_batch = v->batch, .slowdown = v->slowdown, .n_threads = v->threads,
                                           .kv_type = kv_type_of_choice(v->kv)};
    limits_init(&c.limits);
    for (size_t i = 0; i < v->limits.n; i++) TRY(limits_set(&c.limits, v->limits.v[i], err));
    TRY(read_bytes("memory", v->memory, &c.models.memory_bytes, err));
    TRY(read_bytes("kv-memory", v->kv_memory, &c.models.sched.kv_bytes, err));
    TRY(read_seconds(v->keep_alive, &c.models.keep_s, err));
    if (v->check) return gateway_check(v->gateway, err);
    c.may_change = v->store || (v->models.n == 0 && !v->folder);
    c.pull_from = v->pull_from.v;
    c.n_pull_from = v->pull_from.n;
    c.push_to = v->push_to.v;
    c.n_push_to = v->push_to.n;
    TRY(read_files(v, &files, err));
    c.models.files = (const char *const *)files.v;
    TRY(open_store(v, &files, &store, err));
    c.models.store = store.root ? &store : NULL;
    st = server_run(&c, err);
out:
    store_close(&store);
    files_fini(&files);
    return st;
}

static const struct option options[] = {
    {.kind = OPT_TEXTS, .letter = 'm', .name = "model", .value = "[NAME=]FILE", .offset = offsetof(struct serve_values, models), .since = "0.1",
     .help = "a model to serve, by NAME or by its file's name, or the name of one that comes with slm or of one of the store, which is fetched when it is not there; when it is the only one, it is loaded at once"},
    {.kind = OPT_TEXTS, .name = "lora", .value = "[NAME=]FILE[=SCALE]", .offset = offsetof(struct serve_values, loras), .since = "0.1",
     .help = "an adapter beside the model of -m, in the same batch: with NAME it is a model of that name, otherwise every answer takes it; a request's \"lora\" chooses among all"},
    {.kind = OPT_FOLDER, .name = "models", .value = "DIR", .offset = offsetof(struct serve_values, folder), .since = "0.1",
     .help = "serve every model in DIR, also those that come later"},
    {.kind = OPT_FLAG, .name = "store", .offset = offsetof(struct serve_values, store), .since = "0.1",
     .help = "serve every model of the store (slm list), and let clients create, copy and delete there; without -m and --models it is served anyway"},
    {.kind = OPT_TEXTS, .name = "listen", .value = "ADDRESS", .offset = offsetof(struct serve_values, listen), .since = "0.1",
     .help = "HOST:PORT or unix:PATH; without it 127.0.0.1:8080. Sockets that systemd hands over come first"},
    {.kind = OPT_FILE, .name = "template", .value = "FILE", .offset = offsetof(struct serve_values, template), .since = "0.1",
     .help = "chat template (Jinja, or Go's language as Ollama has it) for models that have none"},
    OPTION_CONFIG_FILE(struct serve_values),
    OPTION_SECTION("tiers"),
    {.kind = OPT_FILE, .name = "gateway", .value = "FILE.yaml", .offset = offsetof(struct serve_values, gateway), .since = "0.1",
     .help = "slm-auto, slm-local and slm-frontier as model names: upstreams, budgets, rules and privacy as docs/tiering.md has them"},
    {.kind = OPT_FLAG, .name = "check", .offset = offsetof(struct serve_values, check), .since = "0.1", .needs = "gateway", .help = "read the gateway's file, say what is wrong with it, and end"},
    OPTION_SECTION("memory"),
    {.kind = OPT_TEXT, .name = "memory", .value = "SIZE", .offset = offsetof(struct serve_values, memory), .since = "0.1",
     .help = "what all loaded models may take (8G, 512M); without it, the memory that is free at the start. Idle models make room; what still does not fit is refused"},
    {.kind = OPT_TEXT, .name = "kv-memory", .value = "SIZE", .offset = offsetof(struct serve_values, kv_memory), .since = "0.1",
     .help = "keys and values of all requests to one model, and of remembered prompts; without it, a quarter of what is free"},
    {.kind = OPT_TEXT, .name = "keep-alive", .value = "TIME", .fallback = "forever", .offset = offsetof(struct serve_values, keep_alive), .since = "0.1",
     .help = "unload a model that was idle for so long: 300, 5m, 1h, forever"},
    {.kind = OPT_TEXTS, .name = "pin", .value = "NAME", .offset = offsetof(struct serve_values, pins), .since = "0.1", .help = "never unload this model"},
    OPTION_SECTION("who may come in"),
    {.kind = OPT_FILE, .name = "key-file", .value = "FILE", .offset = offsetof(struct serve_values, key_file), .since = "0.1",
     .help = "demand a key of every request: one a line, then perhaps name=NAME, per-minute=N, parallel=N. SLM_KEY adds one"},
    {.kind = OPT_FLAG, .name = "open", .offset = offsetof(struct serve_values, open), .since = "0.1", .help = "listen where others can reach it without demanding a key"},
    {.kind = OPT_TEXTS, .name = "cors", .value = "ORIGIN", .offset = offsetof(struct serve_values, origins), .since = "0.1",
     .help = "web pages of this origin (https://example.org, or * for all) may call the server; others may not"},
    {.kind = OPT_TEXTS, .name = "host", .value = "NAME", .offset = offsetof(struct serve_values, hosts), .since = "0.1",
     .help = "a name this server is called by, besides localhost and addresses; only asked without keys"},
    {.kind = OPT_FILE, .name = "tls-cert", .value = "FILE", .offset = offsetof(struct serve_values, tls_cert), .since = "0.1", .help = "certificate chain (PEM)"},
    {.kind = OPT_FILE, .name = "tls-key", .value = "FILE", .offset = offsetof(struct serve_values, tls_key), .since = "0.1", .help = "its private key (PEM)"},
    {.kind = OPT_FLAG, .name = "no-sandbox", .offset = offsetof(struct serve_values, no_sandbox), .since = "0.1",
     .help = "keep what the server gives away before it reads a model: files besides models and the system's, other programs, connections to others"},
    {.kind = OPT_TEXTS, .name = "limit", .value = "NAME=N", .offset = offsetof(struct serve_values, limits), .since = "0.1",
     .help = "change a limit of the table in docs/serving.md: body-bytes, connections, requests, idle-s and more"},
    {.kind = OPT_CHOICE, .name = "log", .value = "KIND", .fallback = "text", .choices = "text|json|off", .offset = offsetof(struct serve_values, log), .since = "0.1",
     .help = "a line on standard error for each request"},
    {.kind = OPT_TEXTS, .name = "pull-from", .value = "HOST[/SPACE[/MODEL]]", .offset = offsetof(struct serve_values, pull_from), .since = "0.1",
     .help = "let requests fetch these models into the store: ollama.com/library, hf.co/OWNER, * for any part; without it they fetch nothing"},
    {.kind = OPT_TEXTS, .name = "push-to", .value = "HOST[/SPACE[/MODEL]]", .offset = offsetof(struct serve_values, push_to), .since = "0.1",
     .help = "let requests send models there; without it they send nothing"},
    OPTION_SECTION("engine"),
    OPTION_THREADS(struct serve_values),
    OPTION_CTX(struct serve_values),
    OPTION_KV(struct serve_values),
    {.kind = OPT_INT, .name = "parallel", .value = "N", .fallback = "16", .min = 1, .max = SCHED_SEQ_MAX, .offset = offsetof(struct serve_values, parallel), .since = "0.1",
     .help = "answers generated together, for each model; the context of each does not shrink by it"},
    {.kind = OPT_INT, .name = "queue", .value = "N", .fallback = "256", .min = 1, .max = 65536, .offset = offsetof(struct serve_values, queue), .since = "0.1",
     .help = "answers that wait, for each model; past it the reply is 429"},
    {.kind = OPT_INT, .name = "batch", .value = "N", .fallback = "512", .min = 1, .max = 65536, .offset = offsetof(struct serve_values, batch), .since = "0.1",
     .help = "tokens of one step at most; changes speed and memory, never the result"},
    {.kind = OPT_FLOAT, .name = "slowdown", .value = "X", .fallback = "2", .min = 1, .max = 1000, .offset = offsetof(struct serve_values, slowdown), .since = "0.1",
     .help = "how much longer a token of a running answer may take because a prompt is read beside it"},
};
static const struct example examples[] = {
    {"slm serve -m model.gguf", "http://127.0.0.1:8080 for clients of OpenAI, Anthropic, Ollama and llama.cpp"},
    {"slm serve", "the models of the store; slm serve -m llama3.2:1b fetches one first"},
    {"slm serve -m model.gguf --lora sql=sql.gguf --lora chat=chat.gguf", "one copy of the model, and three names: clients ask for model, sql or chat"},
    {"slm serve --models ~/models --memory 12G --keep-alive 10m", "many models, loaded when asked for"},
    {"SLM_KEY=$(cat key) slm serve -m model.gguf --listen 0.0.0.0:8443 --tls-cert c.pem --tls-key k.pem", "for others, with a key and TLS"},
};
const struct command command_serve = {
    .group = "use a model",
    .summary = "OpenAI's, Anthropic's, Ollama's and llama.cpp's HTTP API on one port",
    .description = "Serves models to any number of clients at once: answers are generated together, prompts that begin alike are read once, and what one client "
                   "gets does not depend on the others.\n\nGET /openapi.json describes every path and field. A field that is known but not supported is refused; "
                   "an unknown one is listed in the answer's x-slm-ignored header. /health and /metrics answer under any load. SIGTERM ends the server after the running answers.",
    .table = {"serve", ROWS(options), NULL, 0},
    .values_bytes = sizeof(struct serve_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .is_common = true,
    .run = run_serve,
};
