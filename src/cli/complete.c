/* complete.c -- completion scripts for bash, zsh and fish, from the rows.
 *
 * Each script is plain lists of words: nothing runs slm while a user types. */
#include <ctype.h>
#include <string.h>

#include "cli/help.h"

enum value_kind { VALUE_NONE, VALUE_ANY, VALUE_FILE, VALUE_FOLDER, VALUE_CHOICE };

static enum value_kind value_of(const struct option *o) {
    switch (o->kind) {
    case OPT_FLAG: return VALUE_NONE;
    case OPT_FILE: return VALUE_FILE;
    case OPT_FOLDER: return VALUE_FOLDER;
    default: return o->choices ? VALUE_CHOICE : VALUE_ANY;
    }
}

/* "a|b" as "a b". */
static void put_choices(struct buf *out, const char *choices) {
    for (; *choices; choices++) buf_putc(out, *choices == '|' ? ' ' : *choices);
}

static void put_option_words(struct buf *out, const struct command *c) {
    const struct option *o;
    for (size_t i = 0; (o = option_at(&c->table, i)); i++) {
        if (o->kind == OPT_SECTION) continue;
        if (o->letter) buf_printf(out, "-%c ", o->letter);
        if (o->name[0]) buf_printf(out, "--%s ", o->name);
    }
}

/* Words of the operands: choices, commands and topics for `help`. */
static bool takes_files(const struct command *c) {
    for (size_t i = 0; i < c->table.n_operands; i++)
        if (value_of(&c->table.operands[i]) == VALUE_FILE) return true;
    return false;
}

static void put_operand_words(struct buf *out, const struct command *c) {
    size_t n;
    for (size_t i = 0; i < c->table.n_operands; i++)
        if (c->table.operands[i].choices) put_choices(out, c->table.operands[i].choices);
    if (strcmp(c->table.command, "help") != 0) return;
    const struct command *const *rows = command_rows(&n);
    for (size_t i = 0; i < n; i++) buf_printf(out, "%s ", rows[i]->table.command);
    const struct help_topic *topics = help_topics(&n);
    for (size_t i = 0; i < n; i++) buf_printf(out, "%s ", topics[i].name);
}

/* bash */

static void bash_values(struct buf *out, const struct command *c) {
    static const char *const actions[] = {
        [VALUE_NONE] = NULL, [VALUE_ANY] = "COMPREPLY=()", [VALUE_FILE] = "COMPREPLY=($(compgen -f -- \"$cur\"))",
        [VALUE_FOLDER] = "COMPREPLY=($(compgen -d -- \"$cur\"))", [VALUE_CHOICE] = NULL,
    };
    const struct option *o;
    for (size_t i = 0; (o = option_at(&c->table, i)); i++) {
        if (o->kind == OPT_SECTION || value_of(o) == VALUE_NONE) continue;
        buf_printf(out, "            %s:", c->table.command);
        if (o->letter) buf_printf(out, "-%c", o->letter);
        if (o->letter && o->name[0]) buf_printf(out, "|%s:", c->table.command);
        if (o->name[0]) buf_printf(out, "--%s", o->name);
        buf_puts(out, ") ");
        if (value_of(o) == VALUE_CHOICE) {
            buf_puts(out, "COMPREPLY=($(compgen -W \"");
            put_choices(out, o->choices);
            buf_puts(out, "\" -- \"$cur\"))");
        } else buf_puts(out, actions[value_of(o)]);
        buf_puts(out, "; return ;;\n");
    }
}

static void print_bash(struct buf *out) {
    size_t n;
    const struct command *const *rows = command_rows(&n);
    buf_puts(out, "# bash completion for slm " SLM_VERSION "; made by: slm completions bash\n"
                  "_slm() {\n    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} cmd=${COMP_WORDS[1]} words=\n"
                  "    compopt -o filenames 2> /dev/null\n"
                  "    if [ \"$COMP_CWORD\" -gt 1 ]; then\n        case \"$cmd:$prev\" in\n");
    for (size_t i = 0; i < n; i++) bash_values(out, rows[i]);
    buf_puts(out, "        esac\n        case \"$cmd\" in\n");
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "            %s) words=\"", rows[i]->table.command);
        put_option_words(out, rows[i]);
        put_operand_words(out, rows[i]);
        buf_printf(out, "\"%s ;;\n", takes_files(rows[i]) ? "; [ \"${cur#-}\" = \"$cur\" ] && { COMPREPLY=($(compgen -f -- \"$cur\")); return; }" : "");
    }
    buf_puts(out, "        esac\n    else\n        words=\"");
    for (size_t i = 0; i < n; i++) buf_printf(out, "%s ", rows[i]->table.command);
    buf_puts(out, "--help --version\"\n    fi\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -F _slm slm\n");
}

/* zsh */

/* Text inside '...[...]': quotes, brackets and colons escaped. */
static void put_zsh(struct buf *out, const char *text) {
    for (; *text; text++) {
        if (*text == '\'') buf_puts(out, "'\\''");
        else if (strchr("[]:\\", *text)) buf_printf(out, "\\%c", *text);
        else buf_putc(out, *text == '\n' ? ' ' : *text);
    }
}

static void zsh_action(struct buf *out, const struct option *o) {
    enum value_kind v = value_of(o);
    if (v == VALUE_NONE) return;
    buf_putc(out, ':');
    put_zsh(out, o->value ? o->value : o->name);
    buf_putc(out, ':');
    if (v == VALUE_FILE) buf_puts(out, "_files");
    if (v == VALUE_FOLDER) buf_puts(out, "_files -/");
    if (v == VALUE_CHOICE) {
        buf_putc(out, '(');
        put_choices(out, o->choices);
        buf_putc(out, ')');
    }
}

static void zsh_spec(struct buf *out, const char *dashes, const char *name, const struct option *o) {
    buf_printf(out, " \\\n            '%s%s%s%s[", o->kind == OPT_TEXTS ? "*" : "", dashes, name, value_of(o) != VALUE_NONE && dashes[1] ? "=" : "");
    put_zsh(out, o->help);
    buf_puts(out, "]");
    zsh_action(out, o);
    buf_putc(out, '\'');
}

static void print_zsh(struct buf *out) {
    size_t n;
    const struct command *const *rows = command_rows(&n);
    buf_puts(out, "#compdef slm\n# zsh completion for slm " SLM_VERSION "; made by: slm completions zsh\n_slm() {\n"
                  "    local -a commands\n    commands=(\n");
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "        '%s:", rows[i]->table.command);
        put_zsh(out, rows[i]->summary);
        buf_puts(out, "'\n");
    }
    buf_puts(out, "    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n        return\n    fi\n"
                  "    local cmd=$words[2]\n    shift words\n    (( CURRENT-- ))\n    case $cmd in\n");
    for (size_t i = 0; i < n; i++) {
        const struct option *o;
        buf_printf(out, "        %s) _arguments", rows[i]->table.command);
        for (size_t k = 0; (o = option_at(&rows[i]->table, k)); k++) {
            if (o->kind == OPT_SECTION) continue;
            char letter[2] = {o->letter, 0};
            if (o->letter) zsh_spec(out, "-", letter, o);
            if (o->name[0]) zsh_spec(out, "--", o->name, o);
        }
        for (size_t k = 0; k < rows[i]->table.n_operands; k++) {
            o = &rows[i]->table.operands[k];
            buf_printf(out, " \\\n            '%s", o->kind == OPT_TEXTS ? "*" : "");
            if (strcmp(rows[i]->table.command, "help") == 0) {
                buf_printf(out, ":%s:(", o->name);
                put_operand_words(out, rows[i]);
                buf_putc(out, ')');
            } else zsh_action(out, o);
            buf_putc(out, '\'');
        }
        buf_puts(out, " ;;\n");
    }
    buf_puts(out, "    esac\n}\n_slm \"$@\"\n");
}

/* fish */

static void put_fish(struct buf *out, const char *text) {
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\') buf_printf(out, "\\%c", *text);
        else buf_putc(out, *text == '\n' ? ' ' : *text);
    }
}

static void print_fish(struct buf *out) {
    size_t n;
    const struct command *const *rows = command_rows(&n);
    buf_puts(out, "# fish completion for slm " SLM_VERSION "; made by: slm completions fish\ncomplete -c slm -f\n");
    for (size_t i = 0; i < n; i++) {
        const char *name = rows[i]->table.command;
        buf_printf(out, "complete -c slm -n __fish_use_subcommand -a %s -d '", name);
        put_fish(out, rows[i]->summary);
        buf_puts(out, "'\n");
        const struct option *o;
        for (size_t k = 0; (o = option_at(&rows[i]->table, k)); k++) {
            if (o->kind == OPT_SECTION) continue;
            buf_printf(out, "complete -c slm -n '__fish_seen_subcommand_from %s'", name);
            if (o->letter) buf_printf(out, " -s %c", o->letter);
            if (o->name[0]) buf_printf(out, " -l %s", o->name);
            enum value_kind v = value_of(o);
            if (v == VALUE_ANY) buf_puts(out, " -x");
            if (v == VALUE_FILE) buf_puts(out, " -r -F");
            if (v == VALUE_FOLDER) buf_puts(out, " -x -a '(__fish_complete_directories)'");
            if (v == VALUE_CHOICE) {
                buf_puts(out, " -x -a '");
                put_choices(out, o->choices);
                buf_puts(out, "'");
            }
            buf_puts(out, " -d '");
            put_fish(out, o->help);
            buf_puts(out, "'\n");
        }
        struct buf words;
        buf_init(&words, HELP_BYTES_MAX);
        put_operand_words(&words, rows[i]);
        if (words.len) buf_printf(out, "complete -c slm -n '__fish_seen_subcommand_from %s' -a '%s'\n", name, words.data);
        if (takes_files(rows[i])) buf_printf(out, "complete -c slm -n '__fish_seen_subcommand_from %s' -F\n", name);
        buf_fini(&words);
    }
}

const struct shell_row *completion_shells(size_t *n_rows) {
    static const struct shell_row shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    *n_rows = sizeof shells / sizeof shells[0];
    return shells;
}
