/* chat.c -- the interactive session of slm run: lines from a person, answers from the model, commands after "/".
 *
 * Commands are rows; /help walks them. /set takes any option row of slm run that is marked OPTION_SETTABLE, through the
 * same parser. A failed turn leaves the conversation as it was before it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/show.h"
#include "cli/dialog.h"
#include "cli/reader.h"
#include "cli/run.h"
#include "cli/said.h"
#include "cli/term.h"

#define TURN_BYTES_MAX (16u << 20)
#define SETTINGS_BYTES_MAX (1u << 20)

struct chat {
    struct slm_session *s;
    struct run_values values;
    struct arena settings; /* texts that /set keeps */
    struct dialog dialog;
    struct run_answer last;
    bool has_last, is_done;
};

/* Commands: each gets what stands after its name. */
struct chat_command {
    const char *name, *args, *what;
    slm_status (*run)(struct chat *c, const char *args, slm_err *err);
};
static const struct chat_command *chat_commands(size_t *n_rows);

static slm_status do_help(struct chat *c, const char *args, slm_err *err) {
    size_t n;
    const struct chat_command *rows = chat_commands(&n);
    (void)c;
    (void)args;
    (void)err;
    for (size_t i = 0; i < n; i++) fprintf(stderr, "  %-8s %-12s %s\n", rows[i].name, rows[i].args, rows[i].what);
    fputs("  A line that ends with \\ goes on in the next; \"\"\" begins and ends a text of several lines.\n"
          "  Ctrl-C stops an answer, Ctrl-D ends.\n", stderr);
    return SLM_OK;
}

static slm_status do_bye(struct chat *c, const char *args, slm_err *err) {
    (void)args;
    (void)err;
    c->is_done = true;
    return SLM_OK;
}

static slm_status do_clear(struct chat *c, const char *args, slm_err *err) {
    (void)args;
    (void)err;
    dialog_clear(&c->dialog);
    fputs("the conversation is forgotten\n", stderr);
    return SLM_OK;
}

static void say_settings(const struct chat *c) {
    struct buf text;
    buf_init(&text, 1 << 16);
    for (size_t i = 0; i < run_table.n_options; i++) {
        const struct option *o = &run_table.options[i];
        if (!(o->flags & OPTION_SETTABLE)) continue;
        buf_clear(&text);
        option_value(o, &c->values, &text);
        fprintf(stderr, "  %-20s %-10s %s\n", o->name, text.data, o->help);
    }
    buf_fini(&text);
}

static slm_status refuse_setting(const char *name, slm_err *err) {
    const char *names[128];
    size_t n = 0;
    for (size_t i = 0; i < run_table.n_options; i++)
        if (run_table.options[i].flags & OPTION_SETTABLE) names[n++] = run_table.options[i].name;
    const char *best = nearest_name(name, names, n);
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "setting \"%s\": there is none of this name", show_cstr(name).s);
    if (best && nearest_is_close(name, best)) err_hint(err, "did you mean \"/set %s\"?", best);
    else err_hint(err, "/set alone lists the settings");
    return SLM_E_USAGE;
}

static slm_status set_option(struct chat *c, const char *name, const char *value, slm_err *err) {
    const struct option *o = option_find(&run_table, name, strlen(name));
    if (!o || !(o->flags & OPTION_SETTABLE)) return refuse_setting(name, err);
    if (o->kind == OPT_FLAG) { /* on the command line a flag has no value; here it must be possible to take it back */
        bool is_on = strcmp(value, "on") == 0;
        if (!is_on && strcmp(value, "off") != 0) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "setting \"%s\": \"%s\" is neither on nor off", name, show_cstr(value).s);
        memcpy((char *)&c->values + o->offset, &is_on, sizeof is_on);
        return SLM_OK;
    }
    char *kept = arena_strdup(&c->settings, view_of(value));
    if (!kept) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "setting \"%s\": too many texts are set", name);
    return option_assign(o, kept, &c->values, err);
}

static slm_status do_set(struct chat *c, const char *args, slm_err *err) {
    char name[64];
    size_t n = strcspn(args, " =");
    if (n == 0) {
        say_settings(c);
        return SLM_OK;
    }
    if (n >= sizeof name) return refuse_setting(args, err);
    memcpy(name, args, n);
    name[n] = 0;
    args += n;
    args += strspn(args, " =");
    return set_option(c, name, args, err);
}

static slm_status do_seed(struct chat *c, const char *args, slm_err *err) { return set_option(c, "seed", args, err); }

static slm_status do_stats(struct chat *c, const char *args, slm_err *err) {
    (void)args;
    (void)err;
    fprintf(stderr, "context %zu of %d tokens, %zu messages\n", c->dialog.ids.n, c->s->plan.n_ctx, c->dialog.n);
    if (c->has_last) run_say_stats(&c->last);
    return SLM_OK;
}

static slm_status do_system(struct chat *c, const char *args, slm_err *err) {
    dialog_clear(&c->dialog);
    slm_status st = *args ? dialog_add_text(&c->dialog, ROLE_SYSTEM, view_of(args), err) : SLM_OK;
    if (st == SLM_OK) fputs(*args ? "a new conversation begins with this text\n" : "a new conversation begins\n", stderr);
    return st;
}

static slm_status do_save(struct chat *c, const char *args, slm_err *err) {
    if (!*args) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "argument \"FILE\": is missing");
        err_hint(err, "/save talk.json");
        return SLM_E_USAGE;
    }
    slm_status st = dialog_save(&c->dialog, args, err);
    if (st == SLM_OK) fprintf(stderr, "%zu messages written to \"%s\"\n", c->dialog.n, show_path(args).s);
    return st;
}

static const struct chat_command *chat_commands(size_t *n_rows) {
    static const struct chat_command rows[] = {
        {"/help", "", "this list", do_help},
        {"/set", "NAME VALUE", "change an option of slm run; alone: show them", do_set},
        {"/seed", "N", "the same seed gives the same answer; random draws one each time", do_seed},
        {"/system", "TEXT", "begin a new conversation with TEXT in front of it", do_system},
        {"/clear", "", "forget the conversation", do_clear},
        {"/stats", "", "tokens and speed of the last answer", do_stats},
        {"/save", "FILE", "write the conversation as JSON", do_save},
        {"/bye", "", "end; so does Ctrl-D", do_bye},
    };
    *n_rows = sizeof rows / sizeof rows[0];
    return rows;
}

static slm_status run_chat_command(struct chat *c, const char *line, slm_err *err) {
    size_t n, n_name = strcspn(line, " ");
    const struct chat_command *rows = chat_commands(&n);
    const char *names[16], *args = line + n_name + strspn(line + n_name, " ");
    char name[32];
    for (size_t i = 0; i < n; i++) {
        names[i] = rows[i].name;
        if (strlen(rows[i].name) == n_name && memcmp(rows[i].name, line, n_name) == 0) return rows[i].run(c, args, err);
    }
    snprintf(name, sizeof name, "%.*s", (int)(n_name < 30 ? n_name : 30), line);
    const char *best = nearest_name(name, names, n);
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "command \"%s\": there is none of this name", show_cstr(name).s);
    if (best && nearest_is_close(name, best)) err_hint(err, "did you mean %s? /help lists all", best);
    else err_hint(err, "/help lists all; begin the line with a space to send it to the model");
    return SLM_E_USAGE;
}

/* One turn: what was typed, then the answer. */
static slm_status take_turn(struct chat *c, struct view text, slm_err *err) {
    struct run_answer answer = {0};
    struct said said;
    slm_status st = dialog_add_text(&c->dialog, ROLE_USER, text, err);
    if (st != SLM_OK) return st;
    said_init(&said, true);
    st = run_generate(c->s, &c->values, &c->dialog, &said, &answer, err);
    json_decref(answer.report);
    answer.report = NULL;
    if (st == SLM_OK && answer.verdict != SLM_OK) say_note("%s", answer.why.msg);
    if (st == SLM_OK) st = dialog_add_answer(&c->dialog, &said, &answer.result.ids, err);
    if (st == SLM_OK) {
        out_text(VIEW("\n"));
        tok_ids_fini(&c->last.result.ids);
        c->last = answer;
        c->has_last = true;
        if (c->values.common.verbose) run_say_stats(&answer);
        if (answer.result.finish == FINISH_CONTEXT) say_note("the context is full: /clear begins a new conversation");
    } else {
        tok_ids_fini(&answer.result.ids);
        dialog_drop_last(&c->dialog);
        if (st == SLM_E_LIMIT) err_hint(err, "/clear forgets the conversation; --ctx makes room");
    }
    said_fini(&said);
    return st;
}

/* One line, or several: until """ closes, or no line ends with a backslash. */
static enum read_result read_turn(struct reader *r, struct buf *line, struct buf *text) {
    enum read_result result = reader_line(r, ">>> ", line);
    buf_clear(text);
    if (result != READ_LINE || !line->data) return result;
    bool is_block = strncmp(line->data, "\"\"\"", 3) == 0;
    const char *rest = line->data + (is_block ? 3 : 0);
    for (;;) {
        size_t n = strlen(rest);
        bool closes = is_block && n >= 3 && strcmp(rest + n - 3, "\"\"\"") == 0;
        bool goes_on = is_block ? !closes : n > 0 && rest[n - 1] == '\\';
        buf_append(text, rest, closes ? n - 3 : goes_on && !is_block ? n - 1 : n);
        if (!goes_on) return READ_LINE;
        buf_putc(text, '\n');
        result = reader_line(r, "... ", line);
        if (result != READ_LINE) return result == READ_END ? READ_CANCELLED : result;
        rest = line->data ? line->data : "";
    }
}

static slm_status answer_line(struct chat *c, struct reader *r, const struct buf *text, slm_err *err) {
    if (text->failed) return buf_status(text, "what was typed", err);
    if (!text->data || !text->data[strspn(text->data, " \t\n")]) return SLM_OK;
    reader_remember(r, text->data);
    if (text->data[0] == '/') return run_chat_command(c, text->data, err);
    return take_turn(c, (struct view){text->data, text->len}, err);
}

static void greet(const struct chat *c) {
    fprintf(stderr, "\"%s\", %s, context %d. /help lists commands, Ctrl-D ends.\n", show_path(c->values.model).s, c->s->model->arch->name, c->s->plan.n_ctx);
}

slm_status run_chat(struct slm_session *s, const struct chat_template *chat, const struct run_values *v, slm_err *err) {
    slm_status st = SLM_OK;
    struct chat c = {.s = s, .values = *v};
    struct reader *reader = NULL;
    struct buf line, text;
    char history[4096];
    const char *home = env_get(ENV_HOME);
    bool was_cancelled = false, is_catching = false;
    arena_init(&c.settings, SETTINGS_BYTES_MAX);
    dialog_init(&c.dialog, s->model, chat);
    buf_init(&line, TURN_BYTES_MAX);
    buf_init(&text, TURN_BYTES_MAX);
    snprintf(history, sizeof history, "%s/.slm_history", home ? home : "");
    TRY(dialog_begin(&c.dialog, v->system, v->messages, err));
    TRY(reader_open(home ? history : NULL, &reader, err));
    interrupt_catch(); /* between an answer and the next prompt Ctrl-C must not end the session */
    is_catching = true;
    greet(&c);
    while (!c.is_done) {
        enum read_result result = read_turn(reader, &line, &text);
        if (result == READ_END) {
            fputs("\n", stderr);
            break;
        }
        if (result == READ_CANCELLED) {
            if (was_cancelled) FAIL(SLM_E_CANCELLED, SLM_NOWHERE, "%s", ""); /* twice: the user means it; no words needed */
            was_cancelled = true;
            fputs("(Ctrl-D or /bye ends, Ctrl-C again too)\n", stderr);
            continue;
        }
        was_cancelled = false;
        st = answer_line(&c, reader, &text, err);
        if (st == SLM_E_IO && out_status(NULL) != SLM_OK) goto out;
        if (st != SLM_OK) say_error(err);
        err_clear(err);
        st = SLM_OK;
    }
out:
    if (is_catching) interrupt_release();
    reader_close(reader);
    tok_ids_fini(&c.last.result.ids);
    dialog_fini(&c.dialog);
    arena_fini(&c.settings);
    buf_fini(&line);
    buf_fini(&text);
    return st;
}
