/* chat.c -- messages to a generation that is ready to run. */
#include "serve/chat.h"

#include <stdio.h>
#include <string.h>

static slm_status find_model(struct call *c, const char *name, struct served **out) {
    slm_status st = models_use(c->server->models, name, out, &c->fault);
    snprintf(c->model, sizeof c->model, "%s", *out ? (*out)->name : "");
    return st;
}

/* Where the request says nothing, what the model's manifest says. */
static slm_status take_own_params(struct call *c, const struct served *s) { return s->recipe.from ? request_fill(&c->r, s->recipe.params, &c->fault) : SLM_OK; }

slm_status use_model(struct call *c, const char *name, struct served **out) {
    slm_status st = use_model_bare(c, name, out);
    return st == SLM_OK ? take_own_params(c, *out) : st;
}

slm_status use_model_bare(struct call *c, const char *name, struct served **out) {
    const struct gateway *g = c->server->gateway;
    enum gate gate = gateway_gate(g, name);
    *out = NULL;
    if (gate == GATE_NONE) return find_model(c, name, out);
    if (gate == GATE_LOCAL) return find_model(c, g->s->local, out);
    fault_set(&c->fault, SLM_E_UNSUPPORTED, "model", "model \"%s\": takes conversations only", name);
    err_hint(&c->fault.err, "slm-local and the models by their names take what has none");
    return SLM_E_UNSUPPORTED;
}

slm_status chat_use_model(struct chat *chat) {
    struct call *c = chat->c;
    slm_status st = find_model(c, chat->gate == GATE_NONE ? c->r.model : c->server->gateway->s->local, &chat->model);
    if (st == SLM_OK) st = take_own_params(c, chat->model);
    if (st == SLM_OK) chat->name = chat->model->name;
    return st;
}

slm_status chat_init(struct chat *chat, struct call *c) {
    memset(chat, 0, sizeof *chat);
    chat->c = c;
    chat->asked = c->r;
    chat->gate = gateway_gate(c->server->gateway, c->r.model);
    chat->name = "";
    err_clear(&chat->local_fault.err);
    chat->messages = json_array();
    chat->tools = json_array();
    chat->n_max = -1;
    chat->n_each = 1;
    chat->n_top = -1;
    chat->stop = c->r.stop;
    chat->stop_param = "stop";
    buf_init(&chat->prefix, (size_t)64 << 20);
    return chat->messages && chat->tools ? SLM_OK : fault_set(&c->fault, SLM_E_NOMEM, NULL, "request: no memory");
}

void chat_fini(struct chat *chat) {
    generation_fini(&chat->g);
    models_release(chat->c->server->models, chat->model);
    format_fini(&chat->format);
    jinja_result_fini(&chat->rendered);
    buf_fini(&chat->prefix);
    tok_ids_fini(&chat->ids);
    json_decref(chat->messages);
    json_decref(chat->own);
    json_decref(chat->tools);
}

slm_status chat_tool_choice(struct chat *chat, const json_t *v) {
    static const struct { const char *text; enum tool_choice choice; } rows[] = {{"auto", TOOLS_AUTO}, {"none", TOOLS_NONE}, {"required", TOOLS_REQUIRED}, {"any", TOOLS_REQUIRED}};
    struct fault *f = &chat->c->fault;
    if (!v) return SLM_OK;
    for (size_t i = 0; json_is_string(v) && i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(json_string_value(v), rows[i].text) == 0) {
            chat->tool_choice = rows[i].choice;
            return SLM_OK;
        }
    const json_t *fn = json_object_get(v, "function");
    chat->tool_name = json_string_value(json_object_get(fn ? fn : v, "name"));
    if (!json_is_object(v) || !chat->tool_name) return fault_set(f, SLM_E_USAGE, "tool_choice", "field \"tool_choice\": must be \"auto\", \"none\", \"required\" or name a function");
    chat->tool_choice = TOOLS_NAMED;
    return SLM_OK;
}

static bool has_tool(const json_t *tools, const char *name) {
    for (size_t i = 0; i < json_array_size(tools); i++)
        if (strcmp(json_string_value(json_object_get(json_object_get(json_array_get(tools, i), "function"), "name")), name) == 0) return true;
    return false;
}

static slm_status check_tools(struct chat *chat) {
    struct fault *f = &chat->c->fault;
    if (chat->tool_choice == TOOLS_NAMED && !has_tool(chat->tools, chat->tool_name)) return fault_set(f, SLM_E_USAGE, "tool_choice", "field \"tool_choice\": no tool has the name it gives");
    if (chat->tool_choice == TOOLS_REQUIRED && json_array_size(chat->tools) == 0) return fault_set(f, SLM_E_USAGE, "tool_choice", "field \"tool_choice\": there are no tools");
    if (chat->tool_choice == TOOLS_NONE) json_array_clear(chat->tools);
    return SLM_OK;
}

/* The variables that a template sees; transformers gives tools and documents as null. */
static json_t *template_input(const struct chat *chat) {
    const struct request *r = &chat->c->r;
    json_t *in = json_pack("{s:O, s:O*, s:b}", "messages", chat->own, "documents", r->documents, "add_generation_prompt", 1);
    if (!in) return NULL;
    if (json_array_size(chat->tools)) json_object_set(in, "tools", chat->tools);
    else json_object_set_new(in, "tools", json_null());
    if (!r->documents) json_object_set_new(in, "documents", json_null());
    if (chat->thinking != THINKING_DEFAULT) json_object_set_new(in, "enable_thinking", json_boolean(chat->thinking == THINKING_ON));
    if (chat->effort) json_object_set_new(in, "reasoning_effort", json_string(chat->effort));
    if (r->template_kwargs) json_object_update(in, (json_t *)(uintptr_t)r->template_kwargs);
    return in;
}

/* What this model is told: what its manifest says comes first, its system prompt, unless there is one, and its example messages. Another model, which may answer in its
 * place, is told none of it. */
static slm_status put_own_messages(struct chat *chat) {
    const struct recipe *r = &chat->model->recipe;
    chat->own = json_copy(chat->messages);
    if (!chat->own) return fault_set(&chat->c->fault, SLM_E_NOMEM, NULL, "prompt: no memory");
    const char *first = json_string_value(json_object_get(json_array_get(chat->messages, 0), "role"));
    bool has_system = first && strcmp(first, "system") == 0;
    size_t at = 0;
    int rc = 0;
    if (!r->from) return SLM_OK;
    if (r->system && *r->system && !has_system) rc |= json_array_insert_new(chat->own, at++, json_pack("{s:s, s:s}", "role", "system", "content", r->system));
    for (size_t i = 0; i < json_array_size(r->messages); i++) rc |= json_array_insert_new(chat->own, at++, json_copy(json_array_get(r->messages, i)));
    return rc == 0 ? SLM_OK : fault_set(&chat->c->fault, SLM_E_NOMEM, NULL, "prompt: no memory");
}

/* The model's own limits where the request has none. */
static void take_own_limits(struct chat *chat) {
    const struct request *r = &chat->c->r;
    chat->own_stop = chat->stop;
    chat->own_n_max = chat->n_max;
    if (!chat->model->recipe.from) return;
    if (!chat->own_stop) chat->own_stop = r->stop;
    if (chat->own_n_max < 0 && r->n_max != ABSENT_I32 && r->n_max >= 0) chat->own_n_max = r->n_max;
}

/* The assistant's last message is not rendered but put after the prompt, so that the answer goes on from it. */
static void take_prefix(struct chat *chat) {
    size_t n = json_array_size(chat->own);
    const json_t *last = n ? json_array_get(chat->own, n - 1) : NULL;
    if (!chat->continues || !last || strcmp(json_string_value(json_object_get(last, "role")), "assistant") != 0 || json_object_get(last, "tool_calls")) return;
    const json_t *content = json_object_get(last, "content");
    buf_append(&chat->prefix, json_string_value(content), json_string_length(content));
    json_array_remove(chat->own, n - 1);
}

slm_status chat_render(struct chat *chat) {
    struct call *c = chat->c;
    struct fault *f = &c->fault;
    json_t *in = NULL;
    slm_status st = SLM_OK;
    TRY(check_tools(chat));
    TRY(format_read(&c->r, &chat->format, f));
    if (chat->tool_choice == TOOLS_REQUIRED || chat->tool_choice == TOOLS_NAMED) TRY(format_set_tools(&chat->format, chat->tools, chat->tool_name, f));
    if (chat->format.is_set && chat->thinking == THINKING_DEFAULT) chat->thinking = THINKING_OFF; /* the constraint holds from the first token */
    if (!chat->model) TRY(chat_use_model(chat));
    if (!chat->model->chat) {
        fault_set(f, SLM_E_UNSUPPORTED, "model", "model \"%s\": has no chat template, so it takes prompts but no messages", chat->model->name);
        err_hint(&f->err, "slm serve --template FILE gives it one; /v1/completions takes prompts");
        return SLM_E_UNSUPPORTED;
    }
    TRY(put_own_messages(chat));
    take_prefix(chat);
    in = template_input(chat);
    if (!in) return fault_set(f, SLM_E_NOMEM, NULL, "prompt: no memory");
    st = chat_template_render(chat->model->chat, in, &chat->rendered, NULL, &f->err);
    if (st == SLM_E_FAILED) { /* the template refuses what the client sent */
        f->http_status = 400;
        f->code = "template_error";
        err_wrap(&f->err, st, "chat template");
    }
    if (st == SLM_OK) st = chat_prompt_encode(chat->model->chat, &chat->rendered, &chat->ids, &f->err);
    if (st == SLM_OK && chat->prefix.len) {
        st = tok_encode(chat->model->model->tok, (struct view){chat->prefix.data, chat->prefix.len}, 0, &chat->ids, &f->err);
        buf_append(&chat->rendered.text, chat->prefix.data, chat->prefix.len);
    }
out:
    json_decref(in);
    return st;
}

slm_status chat_begin(struct chat *chat) {
    if (!chat->streams) return SLM_OK;
    stream_begin(chat->c);
    return chat->on_begin ? chat->on_begin(chat->g.user) : SLM_OK;
}

slm_status chat_run(struct chat *chat) {
    if (chat->gate != GATE_NONE) return gateway_run(chat);
    slm_status st = chat_begin(chat);
    return st == SLM_OK ? generation_run(&chat->g) : st;
}

/* What the frontier is asked needs no rendering: what is wrong with the request alone is looked at. */
slm_status gateway_prepare(struct chat *chat) {
    struct call *c = chat->c;
    slm_status st = SLM_OK;
    TRY(check_tools(chat));
    TRY(format_read(&c->r, &chat->format, &c->fault));
    chat->g = (struct generation){.c = c, .n_prompts = 1, .n_each = chat->n_each, .n_top = chat->n_top};
out:
    return st;
}

/* May the frontier still take what our own model cannot? A wrong request is wrong for both. */
static bool may_go_on(const struct chat *chat, slm_status st) {
    const struct fault *f = &chat->c->fault;
    bool is_local = st == SLM_E_NOMEM || st == SLM_E_BUSY || st == SLM_E_NOT_FOUND || st == SLM_E_UNSUPPORTED || st == SLM_E_IO || f->n_prompt > 0 || (f->code && strcmp(f->code, "template_error") == 0);
    return chat->gate == GATE_AUTO && is_local && !(f->code && strcmp(f->code, "unsupported_parameter") == 0);
}

slm_status chat_prepare(struct chat *chat) {
    if (chat->gate == GATE_FRONTIER) return gateway_prepare(chat);
    slm_status st = chat_render(chat);
    if (st == SLM_OK) st = chat_ready(chat);
    if (st == SLM_OK || !may_go_on(chat, st)) return st;
    chat->c->fault.err.code = st;
    chat->local_fault = chat->c->fault;
    chat->c->fault = (struct fault){0};
    err_clear(&chat->c->fault.err);
    chat->g = (struct generation){.c = chat->c, .n_prompts = 1, .n_each = chat->n_each, .n_top = chat->n_top, .constraints = chat->g.constraints, .guards = chat->g.guards, .n_answers = chat->g.n_answers};
    return SLM_OK;
}

slm_status chat_ready(struct chat *chat) {
    struct call *c = chat->c;
    struct generation *g = &chat->g;
    slm_status st = SLM_OK;
    take_own_limits(chat);
    *g = (struct generation){.c = c, .model = chat->model, .prompts = &chat->ids, .n_prompts = 1, .n_each = chat->n_each, .sampling = &chat->sampling, .n_max = chat->own_n_max,
                             .stops = chat->stops, .ignore_eos = c->r.ignore_eos == 1, .strip_first = chat->prefix.len == 0, .n_top = chat->n_top, .parses = chat->model->output != NULL,
                             .prompt_text = {chat->rendered.text.data, chat->rendered.text.len}, .tools = json_array_size(chat->tools) ? chat->tools : NULL};
    if (chat->format.is_set) g->spec = &chat->format.spec;
    g->forces_call = g->spec && g->spec->kind == CONSTRAIN_TOOLS;
    g->holds_calls = g->tools && g->parses && !g->spec;
    g->only_one_call = chat->only_one_call;
    g->tells_live = chat->tells_live;
    TRY(generation_check(g));
    TRY(request_sampling(&c->r, tok_n_vocab(chat->model->model->tok), &chat->sampling, &c->fault));
    TRY(request_stops(chat->own_stop, chat->stop_param, chat->stops, (size_t)c->server->limits.v[LIMIT_STOPS], &g->n_stops, &c->fault));
out:
    return st;
}
