/* dialog.c -- the conversation of an interactive session. */
#include "cli/dialog.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/show.h"
#include "cli/run.h"
#include "cli/said.h"
#include "cli/term.h"

#define MESSAGES_BYTES_MAX (16u << 20)

static const char *role_name(enum role r) {
    static const char *const names[] = {"system", "user", "assistant"};
    return names[r];
}

void dialog_init(struct dialog *d, const struct slm_model *m, const struct chat_template *chat) { *d = (struct dialog){.model = m, .chat = chat}; }

void dialog_fini(struct dialog *d) {
    dialog_clear(d);
    free(d->messages);
    tok_ids_fini(&d->ids);
    *d = (struct dialog){.model = d->model, .chat = d->chat};
}

static slm_status push_message(struct dialog *d, enum role role, struct view text, size_t n_ids_before, slm_err *err) {
    if (d->n == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 16;
        struct message *grown = realloc(d->messages, cap * sizeof *grown);
        if (!grown) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "conversation: no memory");
        d->messages = grown;
        d->cap = cap;
    }
    char *copy = malloc(text.len + 1);
    if (!copy) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "conversation: no memory");
    if (text.len) memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    d->messages[d->n++] = (struct message){.role = role, .text = copy, .n_text = text.len, .n_ids_before = n_ids_before};
    return SLM_OK;
}

/* With an assistant's reasoning and calls as transformers names them. */
static json_t *message_json(const struct message *m, json_t *content) {
    return json_pack("{s:s, s:o, s:O*, s:O*}", "role", role_name(m->role), "content", content, "reasoning_content", m->reasoning, "tool_calls", m->calls);
}

/* What transformers gives a template: the messages, and null for what is not there. */
static json_t *template_input(const struct dialog *d) {
    json_t *messages = json_array();
    for (size_t i = 0; messages && i < d->n; i++) {
        json_t *m = message_json(&d->messages[i], json_stringn(d->messages[i].text, d->messages[i].n_text));
        if (json_array_append_new(messages, m) != 0) {
            json_decref(messages);
            return NULL;
        }
    }
    return json_pack("{s:o, s:n, s:n, s:b}", "messages", messages, "tools", "documents", "add_generation_prompt", 1);
}

static slm_status render(struct dialog *d, slm_err *err) {
    slm_status st = SLM_OK;
    struct chat_prompt prompt = {0};
    struct tok_ids ids = {0};
    json_t *input = template_input(d);
    if (!input) FAIL(SLM_E_USAGE, SLM_NOWHERE, "prompt: not UTF-8, which a chat template needs");
    TRY(chat_template_render(d->chat, input, &prompt, NULL, err));
    TRY(chat_prompt_encode(d->chat, &prompt, &ids, err));
    d->n_prompt_tail = prompt.text.len < sizeof d->prompt_tail ? prompt.text.len : sizeof d->prompt_tail;
    if (d->n_prompt_tail) memcpy(d->prompt_tail, prompt.text.data + prompt.text.len - d->n_prompt_tail, d->n_prompt_tail);
    tok_ids_fini(&d->ids);
    d->ids = ids;
    ids = (struct tok_ids){0};
out:
    tok_ids_fini(&ids);
    jinja_result_fini(&prompt);
    json_decref(input);
    return st;
}

slm_status dialog_add_text(struct dialog *d, enum role role, struct view text, slm_err *err) {
    size_t n_before = d->ids.n;
    slm_status st = d->chat ? SLM_OK : run_encode(d->model, text, n_before == 0, &d->ids, err);
    if (st == SLM_OK) st = push_message(d, role, text, n_before, err);
    if (st != SLM_OK) d->ids.n = n_before;
    if (st != SLM_OK || !d->chat || role == ROLE_SYSTEM) return st;
    st = render(d, err);
    if (st != SLM_OK) dialog_drop_last(d);
    return st;
}

slm_status dialog_add_answer(struct dialog *d, const struct said *said, const struct tok_ids *ids, slm_err *err) {
    struct view text = {said->text.data, said->text.len};
    size_t n_before = d->ids.n;
    slm_status st = SLM_OK;
    for (size_t i = 0; i < ids->n && st == SLM_OK; i++) st = tok_ids_push(&d->ids, ids->v[i], err);
    if (st == SLM_OK) st = push_message(d, ROLE_ASSISTANT, text, n_before, err);
    if (st == SLM_OK && said->reasoning.len) d->messages[d->n - 1].reasoning = json_text((struct view){said->reasoning.data, said->reasoning.len});
    if (st == SLM_OK) d->messages[d->n - 1].calls = json_incref(said->calls);
    if (st != SLM_OK) d->ids.n = n_before;
    return st;
}

static slm_status add_message(struct dialog *d, const json_t *v, size_t i, const char *path, slm_err *err) {
    const char *role = json_string_value(json_object_get(v, "role"));
    const json_t *content = json_object_get(v, "content");
    struct view text = {json_string_value(content), json_string_length(content)};
    slm_status st = SLM_OK;
    for (int r = ROLE_SYSTEM; role && json_is_string(content) && r <= ROLE_ASSISTANT; r++) {
        if (strcmp(role, role_name((enum role)r)) != 0) continue;
        if (!d->chat) st = run_encode(d->model, text, d->ids.n == 0, &d->ids, err);
        return st == SLM_OK ? push_message(d, (enum role)r, text, d->ids.n, err) : st;
    }
    return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": message %zu has no role (system, user, assistant) with a content", show_path(path).s, i);
}

slm_status dialog_begin(struct dialog *d, const char *system, const char *messages_path, slm_err *err) {
    struct buf text;
    json_error_t e;
    json_t *list = NULL;
    slm_status st = SLM_OK;
    buf_init(&text, MESSAGES_BYTES_MAX);
    if (system) TRY(dialog_add_text(d, ROLE_SYSTEM, view_of(system), err));
    if (!messages_path) goto out;
    TRY(file_read(&text, messages_path, err));
    list = json_loadb(text.len ? text.data : "", text.len, JSON_REJECT_DUPLICATES, &e);
    if (!json_is_array(list)) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": no JSON list of messages", show_path(messages_path).s);
    for (size_t i = 0; i < json_array_size(list); i++) TRY(add_message(d, json_array_get(list, i), i, messages_path, err));
out:
    json_decref(list);
    buf_fini(&text);
    return st;
}

void dialog_drop_last(struct dialog *d) {
    if (d->n == 0) return;
    d->n--;
    if (!d->chat || d->messages[d->n].n_ids_before < d->ids.n) d->ids.n = d->messages[d->n].n_ids_before;
    free(d->messages[d->n].text);
    json_decref(d->messages[d->n].reasoning);
    json_decref(d->messages[d->n].calls);
}

void dialog_clear(struct dialog *d) {
    while (d->n) dialog_drop_last(d);
}

slm_status dialog_save(const struct dialog *d, const char *path, slm_err *err) {
    slm_status st = SLM_OK;
    struct file_out file = {0};
    char *text = NULL;
    json_t *list = json_array();
    for (size_t i = 0; list && i < d->n; i++) {
        const struct message *m = &d->messages[i];
        json_array_append_new(list, message_json(m, json_text((struct view){m->text, m->n_text})));
    }
    text = list ? json_dumps(list, JSON_INDENT(2)) : NULL;
    if (!text) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "conversation: no memory");
    TRY(file_out_open(&file, path, err));
    fputs(text, file.stream);
    fputc('\n', file.stream);
    TRY(file_out_commit(&file, err));
out:
    if (st != SLM_OK) file_out_discard(&file);
    free(text);
    json_decref(list);
    return st;
}
