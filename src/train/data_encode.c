/* data_encode.c -- rows as ids, and which of them are to be learnt.
 *
 * A chat is rendered whole, then once up to each turn that is learnt (with the opening of an answer) and once with it. The first must
 * be how the whole begins, byte for byte, and so must the second: the turn is what lies between, up to the first token that ends it.
 * Where a token of the whole goes over that border the border's token is learnt. A prompt and its completion are tokenized apart, as
 * they are when a model answers, unless the tokenizer puts a space before each text; then together. */
#include <stdlib.h>
#include <string.h>

#include "train/data_int.h"

void data_tokens_fini(struct data_tokens *t) {
    tok_ids_fini(&t->ids);
    free(t->loss);
    memset(t, 0, sizeof *t);
}

static slm_status loss_reserve(struct data_tokens *t, slm_err *err) {
    if (t->cap_loss < t->ids.n + 1) {
        free(t->loss);
        t->cap_loss = 0;
        if (!(t->loss = malloc(t->ids.n * 2 + 64))) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "data: out of memory");
        t->cap_loss = t->ids.n * 2 + 64;
    }
    memset(t->loss, 0, t->ids.n + 1);
    return SLM_OK;
}

static unsigned bos_flag(const struct tok *tok) { return tok_config_of(tok)->add_bos && tok_config_of(tok)->bos != TOK_NONE ? TOK_ADD_BOS : 0u; }

/* Labels */

#define LABEL_BYTES_MAX 256

/* "<label>", as vocabularies with a piece for each label write it; false: too long. */
static bool label_written(struct view label, char out[LABEL_BYTES_MAX + 2], struct view *v) {
    if (label.len > LABEL_BYTES_MAX) return false;
    out[0] = '<';
    memcpy(out + 1, label.ptr, label.len);
    out[label.len + 1] = '>';
    *v = (struct view){out, label.len + 2};
    return true;
}

int32_t data_label_piece(const struct tok *tok, struct view label) {
    char room[LABEL_BYTES_MAX + 2];
    struct view v;
    struct tok_ids ids = {0};
    int32_t id = TOK_NONE;
    if (label_written(label, room, &v) && tok_encode(tok, v, 0, &ids, NULL) == SLM_OK && ids.n == 1 && tok_type_of(tok, ids.v[0]) == TOK_USER_DEFINED) id = ids.v[0];
    tok_ids_fini(&ids);
    return id;
}

/* Chats */

struct chat {
    const struct data_encode_params *p;
    const struct data_row *row;
    json_t *messages; /* owned: system turn added, label in its written form */
};

static bool is_role(json_t *messages, size_t i, const char *role) {
    const char *r = json_string_value(json_object_get(json_array_get(messages, i), "role"));
    return r && strcmp(r, role) == 0;
}

static slm_status chat_open(struct chat *c, const struct data_encode_params *p, const struct data_row *row, slm_err *err) {
    *c = (struct chat){.p = p, .row = row};
    if (!p->tmpl) {
        row_fault(row->path, row->line, err, "a chat, and the model has no chat template");
        err_hint(err, "give one with --template, or rows with \"prompt\" and \"completion\"");
        return err ? (err->code = SLM_E_USAGE) : SLM_E_USAGE;
    }
    if (json_array_size(row->messages) > DATA_TURNS_MAX) return row_fault(row->path, row->line, err, "more than %d turns", DATA_TURNS_MAX);
    c->messages = json_copy(row->messages);
    char room[LABEL_BYTES_MAX + 2];
    struct view label;
    int bad = !c->messages;
    if (!bad && row->label.ptr && data_label_piece(p->tok, row->label) != TOK_NONE && label_written(row->label, room, &label))
        bad = json_array_set_new(c->messages, json_array_size(c->messages) - 1, json_pack("{s:s, s:s%}", "role", "assistant", "content", label.ptr, label.len));
    if (!bad && p->system && !is_role(c->messages, 0, "system"))
        bad = json_array_insert_new(c->messages, 0, json_pack("{s:s, s:s}", "role", "system", "content", p->system));
    return bad ? err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "data: out of memory, or a system text that is not UTF-8") : SLM_OK;
}

/* The first n turns as text and ids (either may be NULL), with the opening of an answer or not. */
static slm_status chat_render(const struct chat *c, size_t n, bool opening, struct chat_prompt *text, struct tok_ids *ids, slm_err *err) {
    slm_status st = SLM_OK;
    struct chat_prompt own = {0};
    json_t *turns = json_array(), *input = NULL;
    memset(text ? text : &own, 0, sizeof own);
    for (size_t i = 0; turns && i < n; i++) json_array_append(turns, json_array_get(c->messages, i));
    input = json_pack("{s:o, s:b}", "messages", turns, "add_generation_prompt", opening);
    if (input && c->row->tools) json_object_set(input, "tools", c->row->tools);
    if (!input) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "data: out of memory");
    st = chat_template_render(c->p->tmpl, input, text ? text : &own, NULL, err);
    if (st == SLM_E_FAILED || st == SLM_E_USAGE || st == SLM_E_UNSUPPORTED) {
        char why[sizeof err->msg];
        snprintf(why, sizeof why, "%s", err ? err->msg : "");
        FAIL(SLM_E_FORMAT, SLM_NOWHERE, "%s:%llu: the chat template: %.300s", c->row->path, (unsigned long long)c->row->line, why);
    }
    if (st != SLM_OK) goto out;
    if (ids) ids->n = 0;
    if (ids) st = chat_prompt_encode(c->p->tmpl, text ? text : &own, ids, err);
out:
    if (st != SLM_OK && text) jinja_result_fini(text);
    if (st != SLM_OK && text) memset(text, 0, sizeof *text);
    jinja_result_fini(&own);
    json_decref(input);
    return st;
}

static bool begins_with(const struct buf *whole, const struct buf *part) { return part->len <= whole->len && (part->len == 0 || memcmp(whole->data, part->data, part->len) == 0); }

static size_t common_ids(const struct tok_ids *a, const struct tok_ids *b) {
    size_t n = 0;
    while (n < a->n && n < b->n && a->v[n] == b->v[n]) n++;
    return n;
}

/* Ids of the whole that the first n turns are; the text must be how the whole begins. */
static slm_status turn_border(const struct chat *c, const struct chat_prompt *whole, const struct tok_ids *all, size_t n, bool opening, size_t *border, slm_err *err) {
    struct chat_prompt part;
    struct tok_ids ids = {0};
    slm_status st = chat_render(c, n, opening, &part, &ids, err);
    if (st != SLM_OK) goto out;
    *border = common_ids(&ids, all);
    if (!begins_with(&whole->text, &part.text) || *border + 2 < ids.n) {
        st = row_fault(c->row->path, c->row->line, err, "the chat template renders turn %zu differently when %s", n, opening ? "its answer follows" : "more turns follow");
        err_hint(err, opening ? "such a template cannot be trained with as it is: give another with --template" : "learn the last turn only (--loss last), or give another template");
    }
out:
    jinja_result_fini(&part);
    tok_ids_fini(&ids);
    return st;
}

static bool turn_is_learnt(const struct chat *c, size_t i) {
    json_t *train = json_object_get(json_array_get(c->messages, i), "train");
    if (!is_role(c->messages, i, "assistant") || json_is_false(train)) return false;
    for (size_t k = i + 1; c->p->loss_last && k < json_array_size(c->messages); k++)
        if (is_role(c->messages, k, "assistant")) return false;
    return true;
}

static slm_status encode_chat(const struct data_encode_params *p, const struct data_row *row, struct data_tokens *t, slm_err *err) {
    struct chat c;
    struct chat_prompt whole = {0};
    slm_status st;
    size_t n_turns;
    TRY(chat_open(&c, p, row, err));
    n_turns = json_array_size(c.messages);
    TRY(chat_render(&c, n_turns, row->format == DATA_UNLABELLED, &whole, &t->ids, err));
    TRY(loss_reserve(t, err));
    for (size_t i = 0; i < n_turns; i++) {
        size_t begin, end = t->ids.n;
        if (!turn_is_learnt(&c, i)) continue;
        TRY(turn_border(&c, &whole, &t->ids, i, true, &begin, err));
        if (i + 1 < n_turns) TRY(turn_border(&c, &whole, &t->ids, i + 1, false, &end, err));
        for (size_t k = begin; k < end; k++) {
            t->loss[k] = 1;
            if (tok_is_end(p->tok, t->ids.v[k])) break;
        }
    }
out:
    jinja_result_fini(&whole);
    json_decref(c.messages);
    return st;
}

/* Prompt and completion */

static size_t pieces_bytes(const struct tok *tok, const struct tok_ids *ids, size_t from) {
    size_t n = 0;
    for (size_t i = from; i < ids->n; i++) n += tok_piece(tok, ids->v[i], true).len;
    return n;
}

/* Append the ids of text as it follows what ids hold; false (nothing appended): the tokenizer wants to see both together. */
static slm_status append_apart(const struct tok *tok, struct view text, struct tok_ids *ids, bool *apart, slm_err *err) {
    size_t n = ids->n;
    slm_status st = tok_encode(tok, text, 0, ids, err);
    *apart = st == SLM_OK && pieces_bytes(tok, ids, n) == text.len;
    if (!*apart) ids->n = n;
    return st;
}

static slm_status encode_pair(const struct data_encode_params *p, struct view prompt, struct view completion, struct tok_ids *ids, size_t *n_prompt, slm_err *err) {
    slm_status st;
    struct tok_ids together = {0};
    struct buf text;
    bool apart = true;
    buf_init(&text, 2 * DATA_ROW_BYTES_MAX);
    ids->n = 0;
    TRY(tok_encode(p->tok, prompt, bos_flag(p->tok), ids, err));
    *n_prompt = ids->n;
    if (completion.len) TRY(append_apart(p->tok, completion, ids, &apart, err));
    if (apart) goto out;
    buf_append(&text, prompt.ptr, prompt.len);
    buf_append(&text, completion.ptr, completion.len);
    TRY(buf_status(&text, "a row of data", err));
    TRY(tok_encode(p->tok, (struct view){text.data, text.len}, bos_flag(p->tok), &together, err));
    *n_prompt = common_ids(ids, &together);
    ids->n = *n_prompt;
    for (size_t i = *n_prompt; i < together.n; i++) TRY(tok_ids_push(ids, together.v[i], err));
out:
    tok_ids_fini(&together);
    buf_fini(&text);
    return st;
}

static slm_status push_end(const struct tok *tok, struct tok_ids *ids, slm_err *err) {
    int32_t eos = tok_config_of(tok)->eos;
    return eos == TOK_NONE ? SLM_OK : tok_ids_push(ids, eos, err);
}

slm_status data_encode(const struct data_encode_params *p, const struct data_row *row, struct data_tokens *t, slm_err *err) {
    slm_status st = SLM_OK;
    size_t n_prompt = 0;
    t->ids.n = 0;
    if (row->shape == DATA_SHAPE_CHAT) {
        TRY(encode_chat(p, row, t, err));
    } else {
        bool is_text = row->shape == DATA_SHAPE_TEXT;
        TRY(encode_pair(p, is_text ? (struct view){"", 0} : row->prompt, is_text ? row->text : row->completion, &t->ids, &n_prompt, err));
        TRY(push_end(p->tok, &t->ids, err));
        TRY(loss_reserve(t, err));
        memset(t->loss + n_prompt, 1, t->ids.n - n_prompt);
    }
    if (row->format == DATA_UNLABELLED) return SLM_OK;
    if (t->ids.n) t->loss[0] = 0; /* nothing comes before it */
    for (size_t i = 1; i < t->ids.n; i++)
        if (t->loss[i]) return SLM_OK;
    st = row_fault(row->path, row->line, err, "nothing to learn: no token of this row has a loss");
    err_hint(err, "a chat needs an assistant's turn, a completion or text must not be empty");
out:
    return st;
}

/* What a model sees, what it writes */

slm_status data_encode_prompt(const struct data_encode_params *p, const struct data_row *row, struct tok_ids *ids, slm_err *err) {
    struct chat c = {0};
    slm_status st;
    size_t n;
    ids->n = 0;
    if (row->shape != DATA_SHAPE_CHAT) return tok_encode(p->tok, row->shape == DATA_SHAPE_PAIR ? row->prompt : row->text, bos_flag(p->tok), ids, err);
    TRY(chat_open(&c, p, row, err));
    for (n = json_array_size(c.messages); n > 0 && is_role(c.messages, n - 1, "assistant"); n--) continue;
    if (n == 0) st = row_fault(row->path, row->line, err, "no turn before the assistant's");
    else st = chat_render(&c, n, true, NULL, ids, err);
out:
    json_decref(c.messages);
    return st;
}

slm_status data_encode_answer(const struct data_encode_params *p, const struct data_row *row, struct view answer, struct tok_ids *ids, slm_err *err) {
    slm_status st;
    struct tok_ids all = {0}, prompt = {0};
    size_t n_prompt = 0;
    struct data_row with = *row;
    json_t *messages = NULL;
    struct data_tokens t = {0};
    if (row->shape != DATA_SHAPE_CHAT) {
        TRY(encode_pair(p, row->shape == DATA_SHAPE_PAIR ? row->prompt : row->text, answer, &all, &n_prompt, err));
    } else { /* the turn's ids, as training sees them, without what ends it */
        size_t n = json_array_size(row->messages);
        messages = json_array();
        while (n > 0 && is_role(row->messages, n - 1, "assistant")) n--;
        for (size_t i = 0; messages && i < n; i++) json_array_append(messages, json_array_get(row->messages, i));
        if (json_array_append_new(messages, json_pack("{s:s, s:s%}", "role", "assistant", "content", answer.ptr, answer.len)) != 0)
            FAIL(SLM_E_FORMAT, SLM_NOWHERE, "an answer that JSON cannot hold");
        with.messages = messages;
        with.label = row->format == DATA_CLASSIFY ? answer : (struct view){NULL, 0};
        with.format = DATA_MESSAGES;
        struct data_encode_params last = *p;
        last.loss_last = true;
        TRY(data_encode(&last, &with, &t, err));
        for (size_t i = 0; i < t.ids.n; i++) TRY(tok_ids_push(&all, t.ids.v[i], err));
        while (n_prompt < t.ids.n && !t.loss[n_prompt]) n_prompt++;
        size_t n_end = n_prompt;
        while (n_end < t.ids.n && t.loss[n_end] && !tok_is_end(p->tok, t.ids.v[n_end])) n_end++;
        all.n = n_end;
    }
    for (size_t i = n_prompt; i < all.n; i++) TRY(tok_ids_push(ids, all.v[i], err));
out:
    json_decref(messages);
    data_tokens_fini(&t);
    tok_ids_fini(&all);
    tok_ids_fini(&prompt);
    return st;
}
