/* cmd_help.c -- slm help, slm completions, slm version: the program about itself. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/nearest.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "cli/term.h"

struct help_values {
    struct common_values common;
    const char *topic, *man;
};

/* One page into folder; c NULL: slm.1. */
static slm_status write_page(const char *folder, const struct command *c, slm_err *err) {
    slm_status st = SLM_OK;
    char path[4096];
    struct buf text;
    struct file_out file = {0};
    buf_init(&text, HELP_BYTES_MAX);
    int n = snprintf(path, sizeof path, "%s/slm%s%s.1", folder, c ? "-" : "", c ? c->table.command : "");
    if (n < 0 || (size_t)n >= sizeof path) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "folder \"%s\": its name is too long", show_path(folder).s);
    man_page(c, &text);
    TRY(buf_status(&text, "manual page", err));
    TRY(file_out_open(&file, path, err));
    fwrite(text.data, 1, text.len, file.stream);
    TRY(file_out_commit(&file, err));
out:
    if (st != SLM_OK) file_out_discard(&file);
    buf_fini(&text);
    return st;
}

static slm_status write_pages(const char *folder, slm_err *err) {
    size_t n;
    const struct command *const *rows = command_rows(&n);
    slm_status st = write_page(folder, NULL, err);
    for (size_t i = 0; i < n && st == SLM_OK; i++) st = write_page(folder, rows[i], err);
    return st;
}

static slm_status refuse_topic(const char *topic, slm_err *err) {
    const char *names[80];
    size_t n, n_topics, n_names = 0;
    const struct command *const *rows = command_rows(&n);
    const struct help_topic *topics = help_topics(&n_topics);
    SLM_ASSERT(n + n_topics <= sizeof names / sizeof names[0]);
    for (size_t i = 0; i < n; i++) names[n_names++] = rows[i]->table.command;
    for (size_t i = 0; i < n_topics; i++) names[n_names++] = topics[i].name;
    const char *best = nearest_name(topic, names, n_names);
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "help topic \"%s\": neither a command nor a topic", show_cstr(topic).s);
    if (best && nearest_is_close(topic, best)) err_hint(err, "did you mean \"slm help %s\"?", best);
    else err_hint(err, "\"slm help\" lists commands and topics");
    return SLM_E_USAGE;
}

static slm_status run_help(const void *values, slm_err *err) {
    const struct help_values *v = values;
    struct buf text;
    slm_status st = SLM_OK;
    if (v->man) return write_pages(v->man, err);
    buf_init(&text, HELP_BYTES_MAX);
    const struct command *c = v->topic ? command_find(v->topic) : NULL;
    if (!v->topic) help_all(&text);
    else if (c) help_command(c, false, &text);
    else {
        size_t n;
        const struct help_topic *topics = help_topics(&n);
        st = SLM_E_USAGE;
        for (size_t i = 0; i < n; i++) {
            if (strcmp(topics[i].name, v->topic) != 0) continue;
            topics[i].print(&text);
            st = SLM_OK;
        }
        if (st != SLM_OK) refuse_topic(v->topic, err);
    }
    if (st == SLM_OK) {
        out_buf(&text);
        st = out_status(err);
    }
    buf_fini(&text);
    return st;
}

static const struct option help_options[] = {
    {.kind = OPT_FOLDER, .name = "man", .value = "FOLDER", .offset = offsetof(struct help_values, man), .since = "0.1",
     .help = "write the manual pages of all commands into FOLDER"},
};
static const struct option help_operands[] = {
    {.kind = OPT_TEXT, .name = "TOPIC", .offset = offsetof(struct help_values, topic), .since = "0.1", .help = "a command, environment, or exit-codes"},
};
static const struct example help_examples[] = {
    {"slm help run", "everything about slm run"},
    {"slm help exit-codes", "what the exit codes mean"},
};
const struct command command_help = {
    .group = "about slm",
    .summary = "tell about commands and topics",
    .description = "Without a topic, lists every command. Help, manual pages and completions are made from the same tables that parse the options.",
    .table = {"help", ROWS(help_options), ROWS(help_operands)},
    .values_bytes = sizeof(struct help_values),
    .examples = help_examples,
    .n_examples = sizeof help_examples / sizeof help_examples[0],
    .run = run_help,
};

struct completions_values {
    struct common_values common;
    int32_t shell;
};

static slm_status run_completions(const void *values, slm_err *err) {
    const struct completions_values *v = values;
    size_t n;
    struct buf text;
    buf_init(&text, HELP_BYTES_MAX);
    completion_shells(&n)[v->shell].print(&text);
    out_buf(&text);
    buf_fini(&text);
    return out_status(err);
}

static const struct option completions_operands[] = {
    {.kind = OPT_CHOICE, .name = "SHELL", .choices = "bash|zsh|fish", .flags = OPTION_REQUIRED, .offset = offsetof(struct completions_values, shell),
     .since = "0.1", .help = "the shell"}, /* choices in the order of completion_shells */
};
static const struct example completions_examples[] = {
    {"slm completions bash > ~/.local/share/bash-completion/completions/slm", "completion in every new bash"},
    {"slm completions fish | source", "completion in this fish"},
};
const struct command command_completions = {
    .group = "about slm",
    .summary = "print a shell's completion script",
    .description = "Prints a script that completes commands, options, choices and files. make install puts all three in place.",
    .table = {"completions", NULL, 0, ROWS(completions_operands)},
    .values_bytes = sizeof(struct completions_values),
    .examples = completions_examples,
    .n_examples = sizeof completions_examples / sizeof completions_examples[0],
    .run = run_completions,
};

static slm_status run_version(const void *values, slm_err *err) {
    (void)values;
    out_puts("slm " SLM_VERSION "\n");
    return out_status(err);
}

static const struct example version_examples[] = {{"slm version", "the version, as slm --version does"}};
const struct command command_version = {
    .group = "about slm",
    .summary = "print the version",
    .description = "Prints \"slm\" and the version.",
    .table = {"version", NULL, 0, NULL, 0},
    .values_bytes = sizeof(struct common_values),
    .examples = version_examples,
    .n_examples = 1,
    .run = run_version,
};
