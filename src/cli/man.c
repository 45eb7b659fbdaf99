/* man.c -- manual pages in roff (man macros), from the same rows as the help. */
#include <ctype.h>
#include <string.h>

#include "base/util.h"
#include "cli/help.h"

/* Text as roff: backslashes and hyphens escaped, a dot or quote at the start of a line made harmless; "\n\n" is a paragraph. */
static void put_roff(struct buf *out, const char *text) {
    bool at_start = true;
    for (; *text; text++) {
        if (at_start && (*text == '.' || *text == '\'')) buf_puts(out, "\\&");
        at_start = false;
        if (*text == '\n' && text[1] == '\n') {
            buf_puts(out, "\n.PP\n");
            text++;
            at_start = true;
        } else if (*text == '\n') {
            buf_puts(out, "\n.br\n");
            at_start = true;
        } else if (*text == '\\') buf_puts(out, "\\e");
        else if (*text == '-') buf_puts(out, "\\-");
        else if (*text == '\'') buf_puts(out, "\\(aq");
        else buf_putc(out, *text);
    }
}

static void put_line(struct buf *out, const char *text) {
    put_roff(out, text);
    buf_putc(out, '\n');
}

static void put_title(struct buf *out, const char *name, const char *summary) {
    buf_puts(out, ".TH ");
    for (const char *p = name; *p; p++) buf_putc(out, (char)toupper((unsigned char)*p));
    buf_puts(out, " 1 \"\" \"slm " SLM_VERSION "\" \"User Commands\"\n.SH NAME\n");
    put_roff(out, name);
    buf_puts(out, " \\- ");
    put_line(out, summary);
}

static void put_option(struct buf *out, const struct option *o) {
    struct buf facts;
    buf_init(&facts, 4096);
    option_facts(o, &facts);
    buf_puts(out, ".TP\n\\fB");
    if (isupper((unsigned char)o->name[0])) put_roff(out, o->name);
    else {
        if (o->letter) buf_printf(out, "\\-%c%s", o->letter, o->name[0] ? "\\fR, \\fB" : "");
        if (o->name[0]) put_roff(out, "--");
        put_roff(out, o->name);
        if (o->value) {
            buf_puts(out, "\\fR \\fI");
            put_roff(out, o->value);
        }
    }
    buf_puts(out, "\\fR\n");
    put_roff(out, o->help);
    if (facts.len) {
        buf_puts(out, " (");
        put_roff(out, facts.data);
        buf_puts(out, ")");
    }
    buf_puts(out, "\n");
    buf_fini(&facts);
}

static void put_examples(struct buf *out, const struct command *c) {
    if (!c->n_examples) return;
    buf_puts(out, ".SH EXAMPLES\n");
    for (size_t i = 0; i < c->n_examples; i++) {
        buf_puts(out, ".TP\n\\fB");
        put_roff(out, c->examples[i].command);
        buf_puts(out, "\\fR\n");
        put_line(out, c->examples[i].what);
    }
}

/* One entry for each code, with all that it may mean; codes come in the order in which the table first has them. */
static void put_exit_status(struct buf *out) {
    size_t n;
    const struct status_row *rows = status_rows(&n);
    buf_puts(out, ".SH EXIT STATUS\n");
    for (size_t i = 0; i < n; i++) {
        bool is_told = false;
        for (size_t k = 0; k < i; k++) is_told = is_told || rows[k].exit_code == rows[i].exit_code;
        if (is_told) continue;
        buf_printf(out, ".TP\n.B %d\n", rows[i].exit_code);
        for (size_t k = i; k < n; k++) {
            if (rows[k].exit_code != rows[i].exit_code) continue;
            put_roff(out, k == i ? "" : "; ");
            put_roff(out, rows[k].what);
        }
        buf_puts(out, "\n");
    }
}

static void put_environment(struct buf *out) {
    const struct env_row *rows = env_rows();
    buf_puts(out, ".SH ENVIRONMENT\n");
    for (size_t i = 0; i < ENV_COUNT; i++) {
        buf_printf(out, ".TP\n\\fB%s\\fR=\\fI", rows[i].name);
        put_roff(out, rows[i].values);
        buf_puts(out, "\\fR\n");
        put_line(out, rows[i].what);
    }
}

static void program_page(struct buf *out) {
    size_t n;
    const struct command *const *rows = command_rows(&n);
    put_title(out, "slm", "run, inspect and measure small language models");
    buf_puts(out, ".SH SYNOPSIS\n.B slm\n.I COMMAND\n[\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]\n.SH DESCRIPTION\n");
    put_line(out, "slm runs small language models from GGUF files on the CPU. Data goes to standard output, talk to standard error; every command "
                  "that reports has --json.\n\nEach command has a page of its own: slm-run(1) and so on.");
    const char *group = "";
    buf_puts(out, ".SH COMMANDS\n");
    for (size_t i = 0; i < n; i++) {
        if (strcmp(group, rows[i]->group) != 0) {
            buf_puts(out, ".SS ");
            put_line(out, rows[i]->group);
        }
        group = rows[i]->group;
        buf_puts(out, ".TP\n.B ");
        put_line(out, rows[i]->table.command);
        put_line(out, rows[i]->summary);
    }
    put_exit_status(out);
    put_environment(out);
}

void man_page(const struct command *c, struct buf *out) {
    struct buf text;
    if (!c) {
        program_page(out);
        return;
    }
    buf_init(&text, HELP_BYTES_MAX);
    buf_printf(&text, "slm-%s", c->table.command);
    put_title(out, text.data, c->summary);
    buf_clear(&text);
    help_usage(c, &text);
    buf_puts(out, ".SH SYNOPSIS\n");
    put_line(out, text.data);
    buf_puts(out, ".SH DESCRIPTION\n");
    put_line(out, c->description);
    if (c->table.n_operands) buf_puts(out, ".SH ARGUMENTS\n");
    for (size_t i = 0; i < c->table.n_operands; i++) put_option(out, &c->table.operands[i]);
    buf_puts(out, ".SH OPTIONS\n");
    const struct option *o;
    for (size_t i = 0; (o = option_at(&c->table, i)); i++) {
        if (o->kind == OPT_SECTION) {
            buf_puts(out, ".SS ");
            put_line(out, o->help);
        } else put_option(out, o);
    }
    put_examples(out, c);
    put_exit_status(out);
    buf_puts(out, ".SH SEE ALSO\n.BR slm (1)\n");
    buf_fini(&text);
}
