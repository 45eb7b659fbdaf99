/* help.c -- help as plain text of at most 80 columns, from the rows of commands, options, status codes and environment. */
#include "cli/help.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"

enum { WIDTH = 80, COLUMN = 28, COLUMN_COMMAND = 15 };

/* Words of text from column `at` on, broken before WIDTH by `bend` and a line end, each further line indented to `indent`. Ends the line. */
static void put_broken(struct buf *out, size_t at, size_t indent, const char *text, const char *bend) {
    while (*text) {
        size_t n = strcspn(text, " \n");
        if (at > indent && at + 1 + n + strlen(bend) > WIDTH) {
            buf_printf(out, "%s\n%*s", bend, (int)indent, "");
            at = indent;
        } else if (at > indent) {
            buf_putc(out, ' ');
            at++;
        }
        buf_append(out, text, n);
        at += n;
        text += n;
        if (*text == '\n') {
            buf_puts(out, "\n");
            text += 1;
            if (*text == '\n') {
                buf_puts(out, "\n");
                text += 1;
            }
            buf_printf(out, "%*s", (int)indent, "");
            at = indent;
        } else if (*text) {
            text++;
        }
    }
    buf_putc(out, '\n');
}

static void put_wrapped(struct buf *out, size_t at, size_t indent, const char *text) { put_broken(out, at, indent, text, ""); }

/* A command as a shell takes it, also over several lines, and what it does. */
static void put_example(struct buf *out, const struct example *e) {
    buf_puts(out, "  ");
    put_broken(out, 2, 4, e->command, " \\");
    buf_puts(out, "      ");
    put_wrapped(out, 6, 6, e->what);
}

/* A left column of `width`, then text beside it, or below it when the left is too long. */
static void put_entry(struct buf *out, const char *left, size_t width, const char *text) {
    size_t n = strlen(left);
    buf_puts(out, left);
    if (n + 2 > width) buf_printf(out, "\n%*s", (int)width, "");
    else buf_printf(out, "%*s", (int)(width - n), "");
    put_wrapped(out, width, width, text);
}

static void put_option(struct buf *out, const struct option *o, bool is_short) {
    struct buf left, text, facts;
    buf_init(&left, 512);
    buf_init(&text, 8192);
    buf_init(&facts, 4096);
    bool is_operand = isupper((unsigned char)o->name[0]);
    if (is_operand) buf_printf(&left, "  %s", o->name);
    else if (o->letter) buf_printf(&left, "  -%c%s%s", o->letter, o->name[0] ? ", --" : "", o->name);
    else buf_printf(&left, "      --%s", o->name);
    if (o->value && !is_operand) buf_printf(&left, " %s", o->value);
    option_facts(o, &facts);
    if (is_short) buf_append(&text, o->help, strcspn(o->help, ";."));
    else buf_puts(&text, o->help);
    if (is_short) buf_printf(&text, "%s%s%s", o->fallback ? " [" : "", o->fallback ? o->fallback : "", o->fallback ? "]" : "");
    else if (facts.len) buf_printf(&text, " (%s)", facts.data);
    put_entry(out, left.data, COLUMN, text.data);
    buf_fini(&left);
    buf_fini(&text);
    buf_fini(&facts);
}

static void put_options(struct buf *out, const struct command *c, bool is_short) {
    const struct option *o;
    for (size_t i = 0; (o = option_at(&c->table, i)); i++) {
        if (o->kind == OPT_SECTION) buf_printf(out, "\n%s:\n", o->help);
        else if (i == 0) buf_puts(out, "\noptions:\n");
        if (o->kind != OPT_SECTION) put_option(out, o, is_short);
    }
}

void help_usage(const struct command *c, struct buf *out) {
    bool has_more = false;
    buf_printf(out, "slm %s", c->table.command);
    for (size_t i = 0; i < c->table.n_options; i++) {
        const struct option *o = &c->table.options[i];
        if (!(o->flags & OPTION_REQUIRED)) has_more = true;
        else if (o->letter) buf_printf(out, " -%c %s", o->letter, o->value);
        else buf_printf(out, " --%s %s", o->name, o->value);
    }
    if (has_more) buf_puts(out, " [OPTIONS]");
    for (size_t i = 0; i < c->table.n_operands; i++) {
        const struct option *o = &c->table.operands[i];
        const char *dots = o->kind == OPT_TEXTS ? "..." : "";
        buf_printf(out, o->flags & OPTION_REQUIRED ? " %s%s" : " [%s%s]", o->name, dots);
    }
}

static void put_examples(struct buf *out, const struct command *c) {
    if (c->n_examples) buf_puts(out, "\nexamples:\n");
    for (size_t i = 0; i < c->n_examples; i++) put_example(out, &c->examples[i]);
}

void help_command(const struct command *c, bool is_short, struct buf *out) {
    buf_printf(out, "slm %s: %s\n\nusage: ", c->table.command, c->summary);
    help_usage(c, out);
    buf_puts(out, "\n");
    if (!is_short) {
        buf_puts(out, "\n");
        put_wrapped(out, 0, 0, c->description);
    }
    if (c->table.n_operands) buf_puts(out, "\narguments:\n");
    for (size_t i = 0; i < c->table.n_operands; i++) put_option(out, &c->table.operands[i], is_short);
    put_options(out, c, is_short);
    if (is_short) buf_printf(out, "\nslm %s --help tells everything.\n", c->table.command);
    else put_examples(out, c);
}

static void put_command_line(struct buf *out, const struct command *c) {
    char left[64];
    snprintf(left, sizeof left, "  %s", c->table.command);
    put_entry(out, left, COLUMN_COMMAND, c->summary);
}

void help_overview(struct buf *out) {
    size_t n;
    const struct command *const *rows = command_rows(&n);
    buf_puts(out, "slm " SLM_VERSION ": run, inspect and measure small language models\n\n");
    for (size_t i = 0; i < n; i++) {
        if (!rows[i]->is_common || !rows[i]->n_examples) continue;
        put_example(out, &rows[i]->examples[0]);
    }
    buf_puts(out, "\nslm help lists every command, slm help COMMAND tells all about one.\n");
}

void help_all(struct buf *out) {
    size_t n, n_topic;
    const struct command *const *rows = command_rows(&n);
    const char *group = "";
    buf_puts(out, "slm " SLM_VERSION ": run, inspect and measure small language models\n\nusage: slm COMMAND [OPTIONS] [ARGUMENTS]\n");
    for (size_t i = 0; i < n; i++) {
        if (strcmp(group, rows[i]->group) != 0) buf_printf(out, "\n%s:\n", rows[i]->group);
        group = rows[i]->group;
        put_command_line(out, rows[i]);
    }
    buf_puts(out, "\ntopics:\n");
    const struct help_topic *topics = help_topics(&n_topic);
    for (size_t i = 0; i < n_topic; i++) {
        char left[64];
        snprintf(left, sizeof left, "  %s", topics[i].name);
        put_entry(out, left, COLUMN_COMMAND, topics[i].summary);
    }
    buf_puts(out, "\nslm help COMMAND or slm COMMAND --help tells all about one; -h is shorter.\n");
}

static void print_environment(struct buf *out) {
    const struct env_row *rows = env_rows();
    buf_puts(out, "environment variables:\n");
    for (size_t i = 0; i < ENV_COUNT; i++) {
        buf_printf(out, "\n  %s = %s\n      ", rows[i].name, rows[i].values);
        put_wrapped(out, 6, 6, rows[i].what);
    }
}

static void print_exit_codes(struct buf *out) {
    size_t n;
    const struct status_row *rows = status_rows(&n);
    buf_puts(out, "exit codes:\n\n");
    for (size_t i = 0; i < n; i++) buf_printf(out, "  %3d  %-15s %s\n", rows[i].exit_code, rows[i].name, rows[i].what);
    buf_puts(out, "\nErrors go to standard error: \"error: WHAT \"VALUE\": WHY\", then often \"hint: WHAT TO DO\".\n");
}

const struct help_topic *help_topics(size_t *n_rows) {
    static const struct help_topic topics[] = {
        {"environment", "the environment variables that slm reads", print_environment},
        {"exit-codes", "what the exit code of slm means", print_exit_codes},
    };
    *n_rows = sizeof topics / sizeof topics[0];
    return topics;
}
