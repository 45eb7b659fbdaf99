/* cli.c -- from argv to a command and to an exit code: the one place that says errors and ends the program. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/nearest.h"
#include "base/show.h"
#include "base/util.h"
#include "cli/help.h"
#include "cli/named.h"
#include "cli/term.h"

const struct command *command_find(const char *name) {
    size_t n;
    const struct command *const *rows = command_rows(&n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(rows[i]->table.command, name) == 0) return rows[i];
    return NULL;
}

static slm_status print_help(const struct command *c, bool is_short, slm_err *err) {
    struct buf text;
    buf_init(&text, HELP_BYTES_MAX);
    if (c) help_command(c, is_short, &text);
    else if (is_short) help_overview(&text);
    else help_all(&text);
    out_buf(&text);
    buf_fini(&text);
    return out_status(err);
}

static slm_status start_trace(const struct common_values *common, slm_err *err) {
    const char *asked = env_get(ENV_SLM_TRACE);
    if (common->trace) return trace_open("1", err);
    return asked ? trace_open(asked, err) : SLM_OK;
}

static slm_status run_command(const struct command *c, int argc, char **argv, slm_err *err) {
    slm_status st = SLM_OK;
    struct common_values *values = calloc(1, c->values_bytes);
    if (!values) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "options: no memory");
    TRY(options_parse(&c->table, argc, argv, values, err));
    if (values->help || values->help_short) TRY(print_help(c, !values->help, err));
    else {
        if (values->verbose && !env_get(ENV_SLM_LOG)) log_set_level(LOG_INFO);
        TRY(start_trace(values, err));
        if (c->words) TRY(c->words(values, err));
        TRY(named_resolve(&c->table, values, c->pulls, err));
        TRY(c->run(values, err));
    }
out:
    trace_close();
    named_release();
    if (values) options_release(values);
    free(values);
    return st;
}

static slm_status refuse_command(const char *name, slm_err *err) {
    const char *names[64];
    size_t n;
    const struct command *const *rows = command_rows(&n);
    SLM_ASSERT(n <= sizeof names / sizeof names[0]);
    for (size_t i = 0; i < n; i++) names[i] = rows[i]->table.command;
    const char *best = nearest_name(name, names, n);
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "command \"%s\": there is no such command", show_cstr(name).s);
    if (best && nearest_is_close(name, best)) err_hint(err, "did you mean \"slm %s\"? \"slm help\" lists all commands", best);
    else err_hint(err, "\"slm help\" lists all commands");
    return SLM_E_USAGE;
}

/* What may stand before a command: --help, -h, --version. */
static const char *command_of_flag(const char *arg) {
    static const char *const flags[][2] = {{"--help", "help"}, {"-h", "help"}, {"--version", "version"}, {"-V", "version"}};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (strcmp(arg, flags[i][0]) == 0) return flags[i][1];
    return NULL;
}

static slm_status dispatch(int argc, char **argv, slm_err *err) {
    if (argc < 2) return print_help(NULL, true, err);
    const char *name = command_of_flag(argv[1]) ? command_of_flag(argv[1]) : argv[1];
    const struct command *c = command_find(name);
    if (!c && name[0] == '-') {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"%s\": an option stands after its command", show_cstr(name).s);
        err_hint(err, "slm COMMAND [OPTIONS]; \"slm help\" lists all commands");
        return SLM_E_USAGE;
    }
    return c ? run_command(c, argc - 2, argv + 2, err) : refuse_command(name, err);
}

int cli_main(int argc, char **argv) {
    slm_err err, err_out;
    err_clear(&err);
    term_init();
    file_guard(status_get(SLM_E_IO)->exit_code);
    setlocale(LC_CTYPE, ""); /* line editing; numbers keep their point */
    slm_status st = dispatch(argc, argv, &err);
    slm_status st_out = out_finish(&err_out);
    if (st == SLM_OK && st_out != SLM_OK) {
        st = st_out;
        err = err_out;
    }
    /* A cancelled command has already shown what it had: no words for what the user asked for. */
    if (st != SLM_OK && !(st == SLM_E_CANCELLED && !err.msg[0])) {
        err.code = st;
        say_error(&err);
    }
    return status_get(st)->exit_code;
}
