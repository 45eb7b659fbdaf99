/* api_ollama_store.c -- Ollama's routes that change the store: create, blobs, copy, delete, pull, push.
 *
 * A request fetches or sends nothing unless --pull-from or --push-to covers the name: whoever can reach this port could otherwise fill the disk, and send
 * what is on it elsewhere. No request names a file of this machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/show.h"
#include "engine/quantize.h"
#include "serve/api_ollama.h"
#include "serve/model_facts.h"
#include "serve/server.h"
#include "store/push.h"
#include "text/gotmpl/gotmpl.h"

#define TELL_EVERY_S 0.1

static const struct field copy_rows[] = {
    {.name = "source", .types = JT_STRING, .store = STORE_TEXT, .offset = F(source), .is_required = true, .doc = "a model"},
    {.name = "destination", .types = JT_STRING, .store = STORE_TEXT, .offset = F(destination), .is_required = true, .doc = "its further name"},
};
const struct field_table ollama_copy_fields = FIELDS(copy_rows);
static const struct field delete_rows[] = {
    {.name = "model", .types = JT_STRING, .store = STORE_TEXT, .offset = F(model), .doc = "a model of the store or the folder"},
    {.name = "name", .types = JT_STRING, .store = STORE_TEXT, .offset = F(source), .doc = "the older name of model"},
};
const struct field_table ollama_delete_fields = FIELDS(delete_rows);
static const struct field create_rows[] = {
    {.name = "model", .types = JT_STRING, .store = STORE_TEXT, .offset = F(model), .doc = "the new name"},
    {.name = "name", .types = JT_STRING, .store = STORE_TEXT, .offset = F(source), .doc = "the older name of model"},
    {.name = "from", .types = JT_STRING, .store = STORE_TEXT, .offset = F(from), .doc = "a model that is here"},
    {.name = "files", .types = JT_OBJECT, .store = STORE_JSON, .offset = F(files), .doc = "{FILE: DIGEST} of blobs that were sent: GGUF, or a Hugging Face folder's"},
    {.name = "adapters", .types = JT_OBJECT, .store = STORE_JSON, .offset = F(adapters), .doc = "{FILE: DIGEST} of GGUF adapters that were sent"},
    {.name = "template", .types = JT_STRING, .store = STORE_TEXT, .offset = F(template), .doc = "chat template, in Jinja or in Go's language"},
    {.name = "system", .types = JT_STRING, .store = STORE_TEXT, .offset = F(instructions), .doc = "what the model is told first"},
    {.name = "parameters", .types = JT_OBJECT, .store = STORE_JSON, .offset = F(parameters), .doc = "sampling and limits of those who say nothing"},
    {.name = "messages", .types = JT_ARRAY, .store = STORE_JSON, .offset = F(messages), .doc = "a conversation that comes before every other"},
    {.name = "license", .types = JT_STRING | JT_ARRAY, .store = STORE_JSON, .offset = F(licenses), .doc = "a text or a list of texts"},
    {.name = "quantize", .types = JT_STRING, .store = STORE_TEXT, .offset = F(quantize), .doc = "file type to convert to: Q4_K_M, Q8_0, ..."},
    {.name = "quantization", .types = JT_STRING, .store = STORE_TEXT, .offset = F(quantize), .doc = "the older name of quantize"},
    {.name = "stream", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(stream), .doc = "default true"},
    {.name = "modelfile", .types = JT_STRING, .use = FIELD_REFUSED, .harmless = "\"\"", .doc = "say it with from, system, parameters and so on"},
    {.name = "path", .types = JT_STRING, .use = FIELD_REFUSED, .harmless = "\"\"", .doc = "a request names no file of this machine"},
};
const struct field_table ollama_create_fields = FIELDS(create_rows);
static const struct field pull_rows[] = {
    {.name = "model", .types = JT_STRING, .store = STORE_TEXT, .offset = F(model), .doc = "a name at its registry"},
    {.name = "name", .types = JT_STRING, .store = STORE_TEXT, .offset = F(source), .doc = "the older name of model"},
    {.name = "insecure", .types = JT_BOOL, .use = FIELD_NOTED, .doc = "Only a registry on this machine is spoken to without TLS."},
    {.name = "username", .types = JT_STRING, .use = FIELD_REFUSED, .harmless = "\"\"", .doc = "registries with a login are not spoken to"},
    {.name = "password", .types = JT_STRING, .use = FIELD_REFUSED, .harmless = "\"\"", .doc = "registries with a login are not spoken to"},
    {.name = "stream", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(stream), .doc = "default true"},
};
const struct field_table ollama_pull_fields = FIELDS(pull_rows);

/* What is told while it is done; nothing of it unless the answer is a stream. */
struct telling {
    struct call *c;
    _Atomic bool is_gone; /* stops the work */
    double t_said;
    struct remote_file file; /* under way */
    char digest[DIGEST_MAX]; /* of what was told last, and how much of it */
    uint64_t n_told;
};

static void on_gone(void *user) { ((struct telling *)user)->is_gone = true; }

static void tell(struct telling *t, json_t *line) {
    if (t->c->r.stream == 0) json_decref(line);
    else if (stream_line(t->c, line) != SLM_OK) t->is_gone = true;
}

static void tell_status(struct telling *t, const char *status) { tell(t, json_pack("{s:s}", "status", status)); }

static void tell_bytes(struct telling *t, const char *what, const char *digest, uint64_t n_done, uint64_t n_all) {
    char status[64];
    double now = time_now_s();
    bool is_same = strcmp(t->digest, digest) == 0;
    if (is_same && (n_done == t->n_told || (now - t->t_said < TELL_EVERY_S && n_done < n_all))) return;
    t->t_said = now;
    t->n_told = n_done;
    text_copy(t->digest, sizeof t->digest, digest);
    snprintf(status, sizeof status, "%s %.12s", what, *digest ? digest + 7 : "file");
    tell(t, json_pack("{s:s, s:s, s:I, s:I}", "status", status, "digest", digest, "total", (json_int_t)n_all, "completed", (json_int_t)n_done));
}

static void telling_begin(struct telling *t, struct call *c) {
    *t = (struct telling){.c = c};
    if (c->r.stream != 0) stream_begin(c);
    http_on_gone(c->x, on_gone, t);
}

/* The last line, or the whole answer. */
static slm_status telling_end(struct telling *t, slm_status st) {
    struct call *c = t->c;
    http_on_gone(c->x, NULL, NULL);
    models_scan(c->server->models);
    if (st != SLM_OK) return st;
    if (c->r.stream == 0) return reply_json(c, 200, json_pack("{s:s}", "status", "success"));
    st = stream_line(c, json_pack("{s:s}", "status", "success"));
    return st == SLM_OK ? stream_done(c, NULL) : st;
}

static slm_status name_of(struct call *c, struct model_name *name) {
    const char *text = c->r.model ? c->r.model : c->r.source;
    if (!text) return fault_set(&c->fault, SLM_E_USAGE, "model", "field \"model\": is missing");
    return name_parse_remote(text, name, &c->fault.err);
}

static slm_status need_store(struct call *c, struct store **store) {
    *store = models_store(c->server->models);
    if (*store) return SLM_OK;
    fault_set(&c->fault, SLM_E_UNSUPPORTED, NULL, "this server has no store of models");
    err_hint(&c->fault.err, "slm serve --store");
    return SLM_E_UNSUPPORTED;
}

slm_status ollama_may_change(struct call *c) {
    struct store *store;
    slm_status st = need_store(c, &store);
    if (st != SLM_OK || c->server->config.may_change) return st;
    fault_set(&c->fault, SLM_E_USAGE, NULL, "this server's store is not changed by requests");
    err_hint(&c->fault.err, "slm serve --store allows it");
    c->fault.http_status = 403;
    c->fault.code = "change_not_allowed";
    return SLM_E_USAGE;
}

/* To be let go. */
static slm_status find_served(struct call *c, const char *name, struct served **out) {
    *out = name ? models_find(c->server->models, name) : NULL;
    if (*out) return SLM_OK;
    if (!name) return fault_set(&c->fault, SLM_E_USAGE, "model", "field \"model\": is missing");
    return fault_set(&c->fault, SLM_E_NOT_FOUND, "model", "model '%s' not found", show_cstr(name).s);
}

slm_status ollama_copy(struct call *c) {
    struct served *s;
    slm_status st = find_served(c, c->r.source, &s);
    if (st == SLM_OK && models_store(c->server->models)) st = ollama_may_change(c); /* then names are of the store */
    if (st == SLM_OK) st = models_link(c->server->models, s, c->r.destination, &c->fault);
    models_let(c->server->models, s);
    return st == SLM_OK ? reply_text(c, 200, NULL, NULL, 0) : st;
}

slm_status ollama_delete(struct call *c) {
    struct served *s;
    slm_status st = find_served(c, c->r.model ? c->r.model : c->r.source, &s);
    if (st == SLM_OK && s->is_in_store) st = ollama_may_change(c);
    if (st == SLM_OK) st = models_remove(c->server->models, s, &c->fault);
    models_let(c->server->models, s);
    return st == SLM_OK ? reply_text(c, 200, NULL, NULL, 0) : st;
}

/* Blobs */

static slm_status tail_digest(struct call *c, char digest[DIGEST_MAX]) {
    char text[DIGEST_MAX + 1];
    snprintf(text, sizeof text, "%.*s", (int)(c->tail.len < sizeof text ? c->tail.len : sizeof text - 1), c->tail.ptr);
    if (c->tail.len != DIGEST_MAX - 1 || !digest_is(text)) return fault_set(&c->fault, SLM_E_USAGE, NULL, "blob: its digest is \"sha256:\" and 64 hex digits");
    memcpy(digest, text, DIGEST_MAX);
    return SLM_OK;
}

slm_status ollama_blob_has(struct call *c) {
    char digest[DIGEST_MAX];
    struct stat info;
    struct store *s;
    slm_status st = SLM_OK;
    TRY(tail_digest(c, digest));
    TRY(need_store(c, &s));
    store_keep(s, digest); /* the client will rely on it */
    char *path = store_blob_path(s, digest);
    bool has = path && stat(path, &info) == 0;
    free(path);
    if (has) return reply_text(c, 200, NULL, NULL, 0);
    store_unkeep(s, digest);
    st = fault_set(&c->fault, SLM_E_NOT_FOUND, NULL, "blob: is not here");
out:
    return st;
}

slm_status ollama_blob_put(struct call *c) {
    char digest[DIGEST_MAX], got[DIGEST_MAX], *blob = NULL;
    const char *path = http_body_path(c->x);
    struct store *s;
    slm_err *err = &c->fault.err;
    slm_status st = SLM_OK;
    TRY(tail_digest(c, digest));
    TRY(need_store(c, &s));
    if (!path) return fault_set(&c->fault, SLM_E_USAGE, NULL, "blob: its body is missing");
    TRY(store_hash(path, got, NULL, err));
    if (strcmp(got, digest) != 0) {
        st = fault_set(&c->fault, SLM_E_USAGE, NULL, "digest mismatch, expected \"%s\", got \"%s\"", digest, got);
        goto out;
    }
    store_keep(s, digest);
    blob = store_blob_path(s, digest);
    if (!blob) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "blob: no memory");
    TRY(file_place(path, blob, err));
    st = reply_text(c, 201, NULL, NULL, 0);
out:
    free(blob);
    return st;
}

/* Pull and push */

static bool is_allowed(const struct model_name *name, const char *const *patterns, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (name_is_within(name, patterns[i])) return true;
    return false;
}

static slm_status refuse_pull(struct call *c, const struct model_name *name) {
    struct buf text;
    buf_init(&text, 1024);
    name_print(name, &text);
    fault_set(&c->fault, SLM_E_USAGE, "model", "model \"%s\": this server fetches nothing from there at a request", text.data ? text.data : "");
    err_hint(&c->fault.err, "slm pull on its machine fetches it; slm serve --pull-from HOST[/SPACE[/MODEL]] allows it to requests");
    c->fault.http_status = 403;
    c->fault.code = "pull_not_allowed";
    buf_fini(&text);
    return SLM_E_USAGE;
}

static slm_status allow_pull(struct call *c, const struct model_name *name) {
    const struct server_config *o = &c->server->config;
    return is_allowed(name, o->pull_from, o->n_pull_from) ? SLM_OK : refuse_pull(c, name);
}

static void on_file(void *user, const struct remote_file *f) { ((struct telling *)user)->file = *f; }

static void on_fetch(void *user, uint64_t n_done, uint64_t n_all, bool by_another) {
    struct telling *t = user;
    (void)by_another;
    tell_bytes(t, "pulling", t->file.digest, n_done, n_all);
}

static void on_convert(void *user, uint64_t n_done, uint64_t n_all) { tell_bytes(user, "converting", "", n_done, n_all); }

static slm_status pull(struct telling *t, struct store *s, const struct model_name *name) {
    struct remote r = {0};
    struct remote_options ro = {.cancel = &t->is_gone};
    struct manifest m = {0};
    struct pull_options o = {.fetch = {.cancel = &t->is_gone, .progress = on_fetch, .user = t}, .on_file = on_file, .on_convert = on_convert, .user = t};
    slm_err *err = &t->c->fault.err;
    slm_status st = SLM_OK;
    tell_status(t, "pulling manifest");
    TRY(remote_resolve(name, &ro, &r, err));
    TRY(pull_model(s, &r, &o, &m, err));
    tell_status(t, "verifying sha256 digest");
    tell_status(t, "writing manifest");
out:
    manifest_fini(&m);
    remote_fini(&r);
    return st;
}

slm_status ollama_pull(struct call *c) {
    struct telling t;
    struct model_name name;
    struct store *s;
    slm_status st = SLM_OK;
    TRY(need_store(c, &s));
    TRY(name_of(c, &name));
    TRY(allow_pull(c, &name));
    telling_begin(&t, c);
    return telling_end(&t, pull(&t, s, &name));
out:
    return st;
}

static void on_push(void *user, const struct layer *l, uint64_t n_done) { tell_bytes(user, "pushing", l->digest, n_done, l->size); }

static slm_status push(struct telling *t, struct store *s, const struct model_name *name) {
    struct push_options o = {.cancel = &t->is_gone, .progress = on_push, .user = t};
    tell_status(t, "retrieving manifest");
    return push_model(s, name, &o, &t->c->fault.err);
}

slm_status ollama_push(struct call *c) {
    struct telling t;
    struct model_name name;
    struct store *s;
    slm_status st = SLM_OK;
    const struct server_config *o = &c->server->config;
    TRY(need_store(c, &s));
    TRY(name_of(c, &name));
    if (!is_allowed(&name, o->push_to, o->n_push_to)) {
        st = fault_set(&c->fault, SLM_E_USAGE, "model", "model \"%s\": this server sends nothing there at a request", show_cstr(name.model).s);
        err_hint(&c->fault.err, "slm push on its machine sends it; slm serve --push-to HOST[/SPACE[/MODEL]] allows it to requests");
        c->fault.http_status = 403;
        c->fault.code = "push_not_allowed";
        return st;
    }
    telling_begin(&t, c);
    return telling_end(&t, push(&t, s, &name));
out:
    return st;
}

/* Create */

static slm_status take_messages(struct call *c, struct recipe *r) {
    for (size_t i = 0; i < json_array_size(c->r.messages); i++) {
        const json_t *m = json_array_get(c->r.messages, i), *content = json_object_get(m, "content");
        const char *role = json_string_value(json_object_get(m, "role"));
        if (!role || !json_is_string(content)) return fault_set(&c->fault, SLM_E_USAGE, "messages", "field \"messages\": element %zu has no role and content", i);
        slm_status st = recipe_add_message(r, role, (struct view){json_string_value(content), json_string_length(content)}, &c->fault.err);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

/* A list, or one text. */
static slm_status take_licenses(struct call *c, struct recipe *r) {
    const json_t *v = c->r.licenses;
    if (json_is_string(v) && json_string_length(v)) json_array_append(r->licenses, (json_t *)(uintptr_t)v);
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (!json_is_string(json_array_get(v, i))) return fault_set(&c->fault, SLM_E_USAGE, "license", "field \"license\": element %zu is no text", i);
        json_array_append(r->licenses, json_array_get(v, i));
    }
    return SLM_OK;
}

static slm_status take_adapters(struct call *c, struct recipe *r) {
    const char *file;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)c->r.adapters, file, v) {
        if (!json_is_string(v) || !digest_is(json_string_value(v))) return fault_set(&c->fault, SLM_E_USAGE, "adapters", "field \"adapters\": \"%s\" has no digest", show_cstr(file).s);
        json_array_append(r->adapters, v);
    }
    return SLM_OK;
}

static slm_status read_recipe(struct call *c, struct recipe *r) {
    const struct request *q = &c->r;
    const struct { const char *from; char **to; } texts[] = {{q->from, &r->from}, {q->instructions, &r->system}, {q->template, &r->template}};
    const char *param;
    json_t *v;
    slm_err *err = &c->fault.err;
    slm_status st = SLM_OK;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].from && *texts[i].from && !(*texts[i].to = arena_strdup(&r->mem, view_of(texts[i].from)))) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "create: the texts are too long");
    json_object_foreach((json_t *)(uintptr_t)q->parameters, param, v) TRY(recipe_set_param(r, param, v, err));
    TRY(take_messages(c, r));
    TRY(take_licenses(c, r));
    TRY(take_adapters(c, r));
    if (json_object_size(q->files)) r->files = json_incref((json_t *)(uintptr_t)q->files);
    if (q->quantize && *q->quantize && !file_type_by_name(q->quantize)) return fault_set(&c->fault, SLM_E_USAGE, "quantize", "field \"quantize\": there is no type \"%s\"", show_cstr(q->quantize).s);
    if (!r->from && !r->files) st = fault_set(&c->fault, SLM_E_USAGE, "from", "neither 'from' or 'files' was specified");
out:
    return st;
}

/* The base is here in some way, or may be fetched. */
static void warn_template(struct telling *t, const struct recipe *r) {
    struct gotmpl *go;
    slm_err err;
    char status[300];
    if (!r->template || !gotmpl_is(view_of(r->template))) return;
    if (gotmpl_compile(view_of(r->template), &go, NULL, &err) == SLM_OK) {
        gotmpl_destroy(go);
        return;
    }
    snprintf(status, sizeof status, "warning: the template, in Go's language, cannot be used: %.200s", err.msg);
    tell_status(t, status);
}

static slm_status have_base(struct telling *t, struct store *s, struct recipe *r) {
    struct call *c = t->c;
    struct model_name name;
    struct manifest m = {0};
    if (!r->from) return SLM_OK;
    slm_status st = name_parse_remote(r->from, &name, &c->fault.err);
    if (st == SLM_OK) st = store_read(s, &name, &m, &c->fault.err);
    manifest_fini(&m);
    if (st != SLM_E_NOT_FOUND) return st;
    if (is_allowed(&name, c->server->config.pull_from, c->server->config.n_pull_from)) return pull(t, s, &name);
    fault_set(&c->fault, SLM_E_NOT_FOUND, "from", "model '%s' not found", show_cstr(r->from).s);
    return SLM_E_NOT_FOUND;
}

static slm_status create(struct telling *t, struct store *s, const struct model_name *name, struct recipe *r) {
    const char *quantize = t->c->r.quantize;
    struct create_options o = {.type = quantize ? file_type_by_name(quantize) : NULL, .cancel = &t->is_gone, .progress = on_convert, .user = t};
    struct manifest m = {0};
    slm_err *err = &t->c->fault.err;
    slm_status st = SLM_OK;
    TRY(have_base(t, s, r));
    tell_status(t, "parsing model");
    TRY(create_model(s, name, r, &o, &m, err));
    for (size_t i = 0; i < m.n_layers; i++) {
        char status[128];
        snprintf(status, sizeof status, "using layer %s", m.layers[i].digest);
        tell_status(t, status);
    }
    tell_status(t, "writing manifest");
    warn_template(t, r);
out:
    manifest_fini(&m);
    return st;
}

/* A model that is served from elsewhere gets one more name; what that cannot do is refused. */
static slm_status create_link(struct call *c, struct served *s) {
    const struct request *q = &c->r;
    struct telling t;
    bool is_plain = !json_object_size(q->files) && !json_object_size(q->adapters) && !q->template && !q->instructions && !json_object_size(q->parameters) && !json_array_size(q->messages) &&
                    !q->quantize && !q->licenses;
    if (!is_plain) {
        fault_set(&c->fault, SLM_E_UNSUPPORTED, NULL, "model \"%s\": a model outside the store is only given another name", s->name);
        err_hint(&c->fault.err, "slm serve --store, and slm create NAME --from FILE");
        return SLM_E_UNSUPPORTED;
    }
    slm_status st = models_store(c->server->models) ? ollama_may_change(c) : SLM_OK;
    if (st == SLM_OK) st = models_link(c->server->models, s, q->model ? q->model : q->source, &c->fault);
    if (st != SLM_OK) return st;
    telling_begin(&t, c);
    return telling_end(&t, SLM_OK);
}

slm_status ollama_create(struct call *c) {
    struct telling t;
    struct recipe r = {0};
    struct model_name name;
    struct store *s;
    struct served *base = c->r.from ? models_find(c->server->models, c->r.from) : NULL;
    slm_status st = SLM_OK;
    bool is_elsewhere = base && !base->is_in_store;
    if (!c->r.model && !c->r.source) st = fault_set(&c->fault, SLM_E_USAGE, "model", "field \"model\": is missing");
    else if (is_elsewhere) st = create_link(c, base);
    models_let(c->server->models, base);
    if (st != SLM_OK || is_elsewhere) return st;
    TRY(ollama_may_change(c));
    TRY(need_store(c, &s));
    TRY(name_of(c, &name));
    TRY(recipe_init(&r, &c->fault.err));
    TRY(read_recipe(c, &r));
    telling_begin(&t, c);
    st = telling_end(&t, create(&t, s, &name, &r));
out:
    recipe_fini(&r);
    return st;
}
