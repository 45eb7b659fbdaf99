/* said.c -- events of the output parser to the screen and to the conversation. */
#include "cli/said.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/show.h"
#include "cli/term.h"
#include "text/tok.h"

#define DIM "\033[2m"
#define PLAIN "\033[0m"

void said_init(struct said *s, bool is_shown) {
    *s = (struct said){.is_shown = is_shown, .is_terminal = term_is_tty(STDOUT_FILENO)};
    buf_init(&s->text, TOK_TEXT_BYTES_MAX);
    buf_init(&s->reasoning, TOK_TEXT_BYTES_MAX);
    buf_init(&s->name, 4096);
    buf_init(&s->arguments, OUTPUT_CALL_BYTES_MAX);
}

void said_fini(struct said *s) {
    output_parser_destroy(s->parser);
    json_decref(s->calls);
    buf_fini(&s->text);
    buf_fini(&s->reasoning);
    buf_fini(&s->name);
    buf_fini(&s->arguments);
    *s = (struct said){0};
}

/* Reasoning goes to the terminal of either stream. */
static void show_reasoning(struct said *s, struct view text) {
    if (!s->is_shown) return;
    if (s->is_terminal) {
        bool is_dim = term_has_color(STDOUT_FILENO);
        if (!s->is_open && !is_dim) out_puts("(reasoning)\n");
        if (is_dim) out_puts(DIM);
        out_text(text);
        if (is_dim) out_puts(PLAIN);
    } else if (term_is_tty(STDERR_FILENO)) {
        struct buf shown;
        buf_init(&shown, text.len * 4 + 1);
        show_text(text, &shown);
        fwrite(shown.data, 1, shown.len, stderr);
        buf_fini(&shown);
    } else {
        fwrite(text.ptr, 1, text.len, stderr);
    }
    s->is_open = true;
}

/* What follows reasoning stands apart from it. */
static void close_reasoning(struct said *s) {
    if (!s->is_open) return;
    s->is_open = false;
    if (!s->is_terminal) fputs("\n", stderr);
    else out_puts(term_has_color(STDOUT_FILENO) ? "\n\n" : "\n(answer)\n");
}

static void end_call(struct said *s) {
    struct view name = {s->name.data ? s->name.data : "", s->name.len};
    json_t *arguments = s->arguments.data ? json_loadb(s->arguments.data, s->arguments.len, 0, NULL) : NULL;
    json_t *call = json_pack("{s:o, s:o}", "name", json_text(name), "arguments", arguments ? arguments : json_object());
    char *line = call ? json_dumps(call, JSON_COMPACT) : NULL;
    if (!s->calls) s->calls = json_array();
    if (s->is_shown && line) {
        if (s->text.len && s->text.data[s->text.len - 1] != '\n') out_puts("\n");
        if (s->is_terminal) out_puts("(call) ");
        out_text(view_of(line));
        out_puts("\n");
    }
    s->no_memory |= !line || json_array_append_new(s->calls, json_pack("{s:s, s:o}", "type", "function", "function", call)) != 0;
    free(line);
    buf_clear(&s->name);
    buf_clear(&s->arguments);
}

static void on_event(void *user, const struct output_event *e) {
    struct said *s = user;
    if (e->kind == OUTPUT_REASONING) {
        buf_append(&s->reasoning, e->text.ptr, e->text.len);
        show_reasoning(s, e->text);
        return;
    }
    close_reasoning(s);
    switch (e->kind) {
    case OUTPUT_CALL_BEGIN: buf_append(&s->name, e->text.ptr, e->text.len); break;
    case OUTPUT_CALL_ARGUMENTS: buf_append(&s->arguments, e->text.ptr, e->text.len); break;
    case OUTPUT_CALL_END: end_call(s); break;
    default:
        buf_append(&s->text, e->text.ptr, e->text.len);
        if (s->is_shown) s->out_failed |= !out_text(e->text);
    }
}

slm_status said_begin(struct said *s, const struct chat_template *chat, struct view prompt, slm_err *err) {
    struct output_options o = {.prompt = prompt};
    if (!chat) return SLM_OK;
    return output_parser_create(output_format_choose(chat), &o, on_event, s, &s->parser, err);
}

bool said_push(struct said *s, struct view text) {
    struct output_event all = {.kind = OUTPUT_TEXT, .text = text};
    if (s->parser) output_parser_push(s->parser, text);
    else on_event(s, &all);
    return !s->out_failed;
}

slm_status said_end(struct said *s, slm_err *err) {
    if (s->parser) output_parser_finish(s->parser);
    s->is_open = false;
    if (s->no_memory) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "a tool call: out of memory");
    slm_status st = buf_status(&s->text, "generated text", err);
    return st == SLM_OK ? buf_status(&s->reasoning, "generated reasoning", err) : st;
}
