/* data_rows.c -- what an object means: formats as rows of a table, told apart by their keys.
 *
 * Every format ends as one of three shapes: a text, a prompt with its completion, a chat. What a chat's turns are called elsewhere
 * (ShareGPT's "human", Alpaca's "instruction") exists in this file only. */
#include <stdio.h>
#include <string.h>

#include "train/data_int.h"

/* Names that a key goes by, first choice first. */
static const char *const label_keys[] = {"label", "category", "intent", "class", NULL};
static const char *const text_keys[] = {"text", "sentence", "utterance", "query", NULL};

static json_t *find_key(json_t *o, const char *const *names) {
    for (; *names; names++) {
        json_t *v = json_object_get(o, *names);
        if (v) return v;
    }
    return NULL;
}

struct fault_at {
    const char *path;
    uint64_t line;
    slm_err *err;
};

static slm_status take_text(json_t *v, const char *key, struct view *out, const struct fault_at *at) {
    if (!v) return row_fault(at->path, at->line, at->err, "\"%s\" is missing", key);
    if (!json_is_string(v)) return row_fault(at->path, at->line, at->err, "\"%s\" is not text", key);
    *out = (struct view){json_string_value(v), json_string_length(v)};
    return SLM_OK;
}

/* Formats */

static slm_status read_chat(json_t *o, struct data_row *row, json_t **owned, const struct fault_at *at) {
    (void)owned;
    json_t *turns = json_object_get(o, "messages"), *tools = json_object_get(o, "tools"), *turn;
    size_t i;
    if (!json_is_array(turns) || json_array_size(turns) == 0) return row_fault(at->path, at->line, at->err, "\"messages\" is not a list of turns");
    json_array_foreach(turns, i, turn) {
        json_t *content = json_object_get(turn, "content");
        const char *role = json_string_value(json_object_get(turn, "role"));
        if (!role || !*role) return row_fault(at->path, at->line, at->err, "message %zu: \"role\" is not text", i + 1);
        if (!json_is_string(content) && !(strcmp(role, "assistant") == 0 && json_object_get(turn, "tool_calls")))
            return row_fault(at->path, at->line, at->err, "message %zu: \"content\" is not text", i + 1);
    }
    if (tools && !json_is_null(tools) && !json_is_array(tools)) return row_fault(at->path, at->line, at->err, "\"tools\" is not a list");
    row->shape = DATA_SHAPE_CHAT;
    row->messages = turns;
    row->tools = json_is_array(tools) ? tools : NULL;
    return SLM_OK;
}

static const struct {
    const char *from, *role;
} speakers[] = {
    {"human", "user"}, {"user", "user"}, {"gpt", "assistant"}, {"assistant", "assistant"}, {"chatgpt", "assistant"}, {"bot", "assistant"}, {"system", "system"},
};

static slm_status read_sharegpt(json_t *o, struct data_row *row, json_t **owned, const struct fault_at *at) {
    json_t *turns = json_object_get(o, "conversations"), *turn, *system = json_object_get(o, "system");
    size_t i;
    if (!json_is_array(turns) || json_array_size(turns) == 0) return row_fault(at->path, at->line, at->err, "\"conversations\" is not a list of turns");
    json_t *messages = *owned = json_array();
    if (json_is_string(system) && json_string_length(system)) json_array_append_new(messages, json_pack("{s:s, s:O}", "role", "system", "content", system));
    json_array_foreach(turns, i, turn) {
        const char *from = json_string_value(json_object_get(turn, "from")), *role = NULL;
        json_t *value = json_object_get(turn, "value");
        for (size_t k = 0; from && k < sizeof speakers / sizeof speakers[0]; k++)
            if (strcmp(from, speakers[k].from) == 0) role = speakers[k].role;
        if (!role) return row_fault(at->path, at->line, at->err, "turn %zu: \"from\" is \"%.40s\"; known are human, gpt, system", i + 1, from ? from : "no text");
        if (!json_is_string(value)) return row_fault(at->path, at->line, at->err, "turn %zu: \"value\" is not text", i + 1);
        json_array_append_new(messages, json_pack("{s:s, s:O}", "role", role, "content", value));
    }
    if (!messages || json_array_size(messages) < json_array_size(turns)) return err_set(at->err, SLM_E_NOMEM, SLM_NOWHERE, "data: out of memory");
    row->shape = DATA_SHAPE_CHAT;
    row->messages = messages;
    return SLM_OK;
}

static slm_status read_alpaca(json_t *o, struct data_row *row, json_t **owned, const struct fault_at *at) {
    slm_status st;
    struct view instruction, output, input = {0};
    struct buf user;
    buf_init(&user, 2 * DATA_ROW_BYTES_MAX + 8);
    TRY(take_text(json_object_get(o, "instruction"), "instruction", &instruction, at));
    TRY(take_text(json_object_get(o, "output"), "output", &output, at));
    if (json_object_get(o, "input")) TRY(take_text(json_object_get(o, "input"), "input", &input, at));
    buf_append(&user, instruction.ptr, instruction.len);
    if (input.len) buf_puts(&user, "\n\n");
    buf_append(&user, input.ptr, input.len);
    TRY(buf_status(&user, "a row of data", at->err));
    *owned = json_pack("[{s:s, s:s%}, {s:s, s:s%}]", "role", "user", "content", user.data ? user.data : "", user.len, "role", "assistant", "content", output.ptr, output.len);
    if (!*owned) st = row_fault(at->path, at->line, at->err, "text that JSON cannot hold");
    row->shape = DATA_SHAPE_CHAT;
    row->messages = *owned;
out:
    buf_fini(&user);
    return st;
}

static slm_status read_pair(json_t *o, struct data_row *row, json_t **owned, const struct fault_at *at) {
    (void)owned;
    row->shape = DATA_SHAPE_PAIR;
    slm_status st = take_text(json_object_get(o, "prompt"), "prompt", &row->prompt, at);
    return st == SLM_OK ? take_text(json_object_get(o, "completion"), "completion", &row->completion, at) : st;
}

static slm_status read_classify(json_t *o, struct data_row *row, json_t **owned, const struct fault_at *at) {
    slm_status st = take_text(find_key(o, text_keys), "text", &row->text, at);
    if (st == SLM_OK) st = take_text(find_key(o, label_keys), "label", &row->label, at);
    if (st == SLM_OK && row->label.len == 0) st = row_fault(at->path, at->line, at->err, "\"label\" is empty");
    if (st != SLM_OK) return st;
    row->shape = DATA_SHAPE_CHAT;
    row->messages = *owned = json_pack("[{s:s, s:s%}, {s:s, s:s%}]", "role", "user", "content", row->text.ptr, row->text.len, "role", "assistant", "content",
                                       row->label.ptr, row->label.len);
    return *owned ? SLM_OK : row_fault(at->path, at->line, at->err, "text that JSON cannot hold");
}

/* Which of n choices an answer names; SIZE_MAX: none. */
static size_t find_answer(json_t *answer, json_t *choices) {
    size_t n = json_array_size(choices), i;
    json_t *choice;
    if (json_is_integer(answer)) return json_integer_value(answer) >= 0 && (uint64_t)json_integer_value(answer) < n ? (size_t)json_integer_value(answer) : SIZE_MAX;
    if (!json_is_string(answer)) return SIZE_MAX;
    json_array_foreach(choices, i, choice) if (json_equal(choice, answer)) return i;
    const char *s = json_string_value(answer);
    return s[0] >= 'A' && s[0] <= 'Z' && !s[1] && (size_t)(s[0] - 'A') < n ? (size_t)(s[0] - 'A') : SIZE_MAX;
}

static const char *const question_keys[] = {"prompt", "question", "context", NULL};

/* A choice follows the prompt behind a space, unless one is there. */
static slm_status read_choice(json_t *o, struct data_row *row, json_t **owned, const struct fault_at *at) {
    json_t *choices = json_object_get(o, "choices"), *answer = json_object_get(o, "answer"), *choice;
    size_t i;
    slm_status st = take_text(find_key(o, question_keys), "prompt", &row->prompt, at);
    if (st != SLM_OK) return st;
    if (!json_is_array(choices) || json_array_size(choices) < 2) return row_fault(at->path, at->line, at->err, "\"choices\" is not a list of two or more");
    bool spaced = row->prompt.len == 0 || strchr(" \n\t", row->prompt.ptr[row->prompt.len - 1]);
    *owned = json_array();
    json_array_foreach(choices, i, choice) {
        struct view v;
        if ((st = take_text(choice, "choices", &v, at)) != SLM_OK) return st;
        if (v.len == 0) return row_fault(at->path, at->line, at->err, "choice %zu is empty", i);
        json_array_append_new(*owned, json_sprintf("%s%s", spaced || v.ptr[0] == ' ' ? "" : " ", v.ptr));
    }
    if (json_array_size(*owned) != json_array_size(choices)) return err_set(at->err, SLM_E_NOMEM, SLM_NOWHERE, "data: out of memory");
    row->i_answer = find_answer(answer, choices);
    if (row->i_answer == SIZE_MAX) return row_fault(at->path, at->line, at->err, "\"answer\" is not the number (from 0), letter or text of a choice");
    row->shape = DATA_SHAPE_PAIR;
    row->choices = *owned;
    return take_text(json_array_get(*owned, row->i_answer), "answer", &row->completion, at);
}

static slm_status read_text(json_t *o, struct data_row *row, json_t **owned, const struct fault_at *at) {
    (void)owned;
    row->shape = DATA_SHAPE_TEXT;
    return take_text(find_key(o, text_keys), "text", &row->text, at);
}

static slm_status read_unlabelled(json_t *o, struct data_row *row, json_t **owned, const struct fault_at *at) {
    if (json_object_get(o, "messages")) return read_chat(o, row, owned, at);
    struct view prompt;
    slm_status st = take_text(json_object_get(o, "prompt") ? json_object_get(o, "prompt") : find_key(o, text_keys), "prompt", &prompt, at);
    if (st != SLM_OK) return st;
    row->shape = DATA_SHAPE_CHAT;
    row->text = prompt;
    row->messages = *owned = json_pack("[{s:s, s:s%}]", "role", "user", "content", prompt.ptr, prompt.len);
    return *owned ? SLM_OK : row_fault(at->path, at->line, at->err, "text that JSON cannot hold");
}

struct format_row {
    const char *name, *key_a, *key_b; /* keys that tell it; key_b NULL: one is enough; text and label by their other names too */
    slm_status (*read)(json_t *o, struct data_row *row, json_t **owned, const struct fault_at *at);
};
/* In the order of looking. */
static const struct format_row formats[DATA_FORMAT_COUNT] = {
    [DATA_AUTO] = {"auto", NULL, NULL, NULL},
    [DATA_MESSAGES] = {"messages", "messages", NULL, read_chat},
    [DATA_PROMPT] = {"prompt", "prompt", "completion", read_pair},
    [DATA_ALPACA] = {"alpaca", "instruction", "output", read_alpaca},
    [DATA_SHAREGPT] = {"sharegpt", "conversations", NULL, read_sharegpt},
    [DATA_CLASSIFY] = {"classify", "text", "label", read_classify},
    [DATA_TEXT] = {"text", "text", NULL, read_text},
    [DATA_CHOICE] = {"choice", "choices", "answer", read_choice},
    [DATA_UNLABELLED] = {"unlabelled", "prompt", NULL, read_unlabelled},
};

const char *data_format_name(enum data_format f) { return (unsigned)f < DATA_FORMAT_COUNT ? formats[f].name : "?"; }

bool data_format_by_name(const char *name, enum data_format *out) {
    for (int i = 0; i < DATA_FORMAT_COUNT; i++) {
        if (strcmp(formats[i].name, name) != 0) continue;
        *out = (enum data_format)i;
        return true;
    }
    return false;
}

static bool has_key(json_t *o, const char *key) {
    return strcmp(key, "text") == 0 ? find_key(o, text_keys) != NULL : strcmp(key, "label") == 0 ? find_key(o, label_keys) != NULL : json_object_get(o, key) != NULL;
}

static enum data_format detect(json_t *o) {
    for (int i = DATA_AUTO + 1; i < DATA_FORMAT_COUNT; i++)
        if (has_key(o, formats[i].key_a) && (!formats[i].key_b || has_key(o, formats[i].key_b))) return (enum data_format)i;
    return DATA_AUTO;
}

static slm_status unknown_keys(json_t *o, const struct data_row *row, slm_err *err) {
    struct buf keys;
    const char *key;
    json_t *value;
    buf_init(&keys, 200);
    json_object_foreach(o, key, value) buf_printf(&keys, "%s\"%.40s\"", keys.len ? ", " : "", key);
    row_fault(row->path, row->line, err, "the keys %s are no format", keys.data && keys.failed == SLM_OK ? keys.data : "of this row");
    err_hint(err, "rows have \"messages\"; \"prompt\" and \"completion\"; \"text\" and \"label\"; \"text\"; \"instruction\" and \"output\"; or \"conversations\"");
    buf_fini(&keys);
    return SLM_E_FORMAT;
}

slm_status row_read_object(json_t *o, enum data_format format, struct data_row *row, json_t **owned, slm_err *err) {
    const struct fault_at at = {row->path, row->line, err};
    json_t *weight = json_object_get(o, "weight");
    row->format = format == DATA_AUTO ? detect(o) : format;
    if (row->format == DATA_AUTO) return unknown_keys(o, row, err);
    if (json_is_number(weight)) row->weight = (float)json_number_value(weight);
    if ((weight && !json_is_number(weight) && formats[row->format].read != read_classify) || !(row->weight >= 0 && row->weight <= 1e6f))
        return row_fault(row->path, row->line, err, "\"weight\" is not a number from 0 to 1e6");
    return formats[row->format].read(o, row, owned, &at);
}

slm_status data_row_of(json_t *object, enum data_format format, const char *path, uint64_t line, struct data_row *row, json_t **owned, slm_err *err) {
    *row = (struct data_row){.path = path, .line = line, .weight = 1, .object = object};
    *owned = NULL;
    slm_status st = row_read_object(object, format, row, owned, err);
    if (st == SLM_OK) return st;
    json_decref(*owned);
    *owned = NULL;
    return st;
}

struct view data_answer(const struct data_row *row) {
    if (row->label.ptr) return row->label;
    if (row->shape == DATA_SHAPE_PAIR) return row->completion;
    if (row->shape != DATA_SHAPE_CHAT) return (struct view){"", 0};
    json_t *last = json_array_get(row->messages, json_array_size(row->messages) - 1);
    const char *role = json_string_value(json_object_get(last, "role"));
    json_t *content = json_object_get(last, "content");
    if (!role || strcmp(role, "assistant") != 0 || !json_is_string(content)) return (struct view){"", 0};
    return (struct view){json_string_value(content), json_string_length(content)};
}
