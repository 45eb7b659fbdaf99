/* cmd_template.c -- slm template: the prompt that a chat template makes of messages, to the byte. */
#include <string.h>

#include "base/file.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/input.h"
#include "cli/named.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "model/model.h"
#include "text/chat_template.h"

struct template_values {
    struct common_values common;
    const char *model, *template, *input;
    bool json;
};

/* Where the template comes from. The views live as long as this. */
struct origin {
    struct slm_model *model;
    struct buf file;
    json_t *list;
    struct chat_template_source source;
};

static struct view json_view(const json_t *s) { return (struct view){json_string_value(s), json_string_length(s)}; }

/* A tokenizer_config.json, or its list of named templates: "default", and "tool_use" for requests with tools. */
static slm_status take_named(struct origin *o, const char *path, slm_err *err) {
    const json_t *t = json_is_object(o->list) ? json_object_get(o->list, "chat_template") : o->list;
    if (json_is_string(t)) o->source.text = json_view(t);
    for (size_t i = 0; i < json_array_size(t); i++) {
        const json_t *name = json_object_get(json_array_get(t, i), "name"), *text = json_object_get(json_array_get(t, i), "template");
        if (!json_is_string(name) || !json_is_string(text)) continue;
        if (strcmp(json_string_value(name), "default") == 0) o->source.text = json_view(text);
        if (strcmp(json_string_value(name), "tool_use") == 0) o->source.text_tools = json_view(text);
    }
    if (!o->source.text.ptr) o->source.text = o->source.text_tools;
    if (o->source.text.ptr) return SLM_OK;
    return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "template \"%s\": JSON without a chat_template", show_path(path).s);
}

static slm_status open_origin(struct origin *o, const struct template_values *v, slm_err *err) {
    slm_status st = SLM_OK;
    if (v->model) {
        TRY(model_open(v->model, MODEL_VOCAB_ONLY, &o->model, err));
        named_lend_template(v->model, o->model);
        o->source = (struct chat_template_source){o->model->chat_template, o->model->chat_template_tools, o->model->tok};
        if (!o->source.text.len && !v->template) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "\"%s\": the model has no chat template", show_path(v->model).s);
    }
    if (v->template) {
        TRY(file_read(&o->file, v->template, err));
        o->source.text = (struct view){o->file.data ? o->file.data : "", o->file.len};
        o->source.text_tools = (struct view){0};
        /* A Jinja template is never JSON that has a chat_template, so JSON is tried first. */
        o->list = json_loadb(o->source.text.ptr, o->source.text.len, 0, NULL);
        if (json_is_object(o->list) || json_is_array(o->list)) {
            o->source.text = (struct view){0};
            TRY(take_named(o, v->template, err));
        }
    }
out:
    return st;
}

static slm_status read_input(const char *path, json_t **input, slm_err *err) {
    slm_status st = SLM_OK;
    struct buf text;
    json_error_t at;
    buf_init(&text, INPUT_BYTES_MAX);
    *input = NULL;
    TRY(file_read(&text, path, err));
    *input = json_loadb(text.data ? text.data : "", text.len, JSON_ALLOW_NUL, &at);
    if (!*input) FAIL(SLM_E_USAGE, (uint64_t)at.position, "input \"%s\": not JSON: line %d: %s", show_path(path).s, at.line, at.text);
    if (!json_is_object(*input)) FAIL(SLM_E_USAGE, SLM_NOWHERE, "input \"%s\": not a JSON object", show_path(path).s);
out:
    buf_fini(&text);
    if (st == SLM_E_USAGE) err_hint(err, "write {\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"add_generation_prompt\": true}");
    return st;
}

static json_t *ids_json(const struct tok_ids *ids) {
    json_t *array = json_array();
    for (size_t i = 0; array && i < ids->n; i++) json_array_append_new(array, json_integer(ids->v[i]));
    return array;
}

static slm_status print_json(const struct chat_template *t, const struct origin *o, const struct chat_prompt *p, slm_err *err) {
    struct tok_ids ids = {0};
    slm_status st = o->model ? chat_prompt_encode(t, p, &ids, err) : SLM_OK;
    json_t *report = json_pack("{s:o}", "prompt", json_text((struct view){p->text.data ? p->text.data : "", p->text.len}));
    if (o->model && report) json_object_set_new(report, "ids", ids_json(&ids));
    if (st == SLM_OK) st = out_json(report, err);
    else json_decref(report);
    tok_ids_fini(&ids);
    return st;
}

static slm_status run_template(const void *values, slm_err *err) {
    const struct template_values *v = values;
    slm_status st = SLM_OK;
    struct origin o = {0};
    struct chat_template *t = NULL;
    struct chat_prompt prompt = {0};
    json_t *input = NULL;
    buf_init(&o.file, JINJA_SOURCE_BYTES_MAX * 4);
    if (!v->model && !v->template) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"--template\": missing, and so is \"--model\"");
        err_hint(err, "slm template --template chat.jinja --input in.json");
        st = SLM_E_USAGE;
        goto out;
    }
    TRY(read_input(v->input, &input, err));
    TRY(open_origin(&o, v, err));
    TRY(chat_template_create(&o.source, &t, err));
    TRY(chat_template_render(t, input, &prompt, NULL, err));
    if (v->json) TRY(print_json(t, &o, &prompt, err));
    else out_bytes(prompt.text.data, prompt.text.len);
    TRY(out_status(err));
out:
    jinja_result_fini(&prompt);
    chat_template_destroy(t);
    model_close(o.model);
    json_decref(o.list);
    json_decref(input);
    buf_fini(&o.file);
    return st;
}

static const struct option options[] = {
    {.kind = OPT_FILE, .letter = 'm', .name = "model", .value = "FILE", .flags = OPTION_NAMED, .offset = offsetof(struct template_values, model), .since = "0.1",
     .help = "the model whose template it is; gives bos_token and eos_token too"},
    {.kind = OPT_FILE, .name = "template", .value = "FILE", .offset = offsetof(struct template_values, template), .since = "0.1",
     .help = "a template in Jinja or Go's language (as Ollama has them), or a JSON file that holds it as chat_template, instead of the model's"},
    {.kind = OPT_FILE, .name = "input", .value = "FILE", .flags = OPTION_REQUIRED, .offset = offsetof(struct template_values, input), .since = "0.1",
     .help = "a JSON object with the template's variables; - is standard input"},
    {.kind = OPT_FLAG, .name = "json", .offset = offsetof(struct template_values, json), .since = "0.1",
     .help = "print one JSON object: prompt, and with a model its ids"},
};
static const struct example examples[] = {
    {"slm template -m model.gguf --input in.json", "the prompt of {\"messages\": [...], \"add_generation_prompt\": true}"},
    {"slm template --template chat.jinja --input - < in.json", "a template from a file"},
};
const struct command command_template = {
    .group = "look inside",
    .summary = "print the prompt that a chat template makes",
    .description = "Renders a chat template as its authors' software would, to the byte, with no line end added. Every member of the input is a variable of "
                   "the template: messages, tools, add_generation_prompt, bos_token, eos_token and any other. "
                   "One in Go's language gets of these what Ollama gives: Messages, System, Prompt, Response, Tools, Think.\n\n"
                   "A template that raises an error ends with code 1 and its message. SLM_NOW sets the time that templates see.",
    .table = {"template", ROWS(options), NULL, 0},
    .values_bytes = sizeof(struct template_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .run = run_template,
};
