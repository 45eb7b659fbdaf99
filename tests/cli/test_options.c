/* Every option of every command gets bad values: the program must exit with 2, print nothing, and say one "error:" line. */
#include "test.h"

#include <sys/wait.h>

#include "cli/command.h"

#define PROGRAM SLM_BINARY_DIR "/slm"

struct outcome {
    int exit_code; /* -1: killed by a signal */
    char err[8192];
    size_t n_out;
};

static size_t drain(int fd, char *into, size_t cap) {
    size_t n = 0;
    char spill[4096];
    for (;;) {
        ssize_t got = n + 1 < cap ? read(fd, into + n, cap - 1 - n) : read(fd, spill, sizeof spill);
        if (got <= 0) break;
        if (n + 1 < cap) n += (size_t)got;
    }
    if (cap) into[n] = 0;
    close(fd);
    return n;
}

static struct outcome run(const char *const *argv) {
    struct outcome r = {.exit_code = -1};
    int out[2], err[2], status = 0;
    char text[4096];
    assert_int_equal(pipe(out), 0);
    assert_int_equal(pipe(err), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        close(STDIN_FILENO);
        close(out[0]);
        close(err[0]);
        execv(PROGRAM, (char *const *)(uintptr_t)argv);
        _exit(99);
    }
    close(out[1]);
    close(err[1]);
    r.n_out = drain(out[0], text, sizeof text);
    drain(err[0], r.err, sizeof r.err);
    waitpid(pid, &status, 0);
    if (WIFEXITED(status)) r.exit_code = WEXITSTATUS(status);
    return r;
}

static int n_tried;

static void expect_usage_error(const char *command, const char *option, const char *value) {
    const char *argv[] = {"slm", command, option, value, NULL};
    struct outcome r = run(argv);
    int n_errors = 0;
    n_tried++;
    for (const char *line = r.err; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) n_errors += strncmp(line, "error: ", 7) == 0;
    if (r.exit_code != 2 || n_errors != 1 || r.n_out != 0)
        fail_msg("slm %s %s %s: exit %d, %d error lines, %zu bytes of output: %s", command, option, value ? value : "", r.exit_code, n_errors, r.n_out, r.err);
}

static const char *const not_a_value[OPT_KIND_COUNT][5] = {
    [OPT_INT] = {"abc", "", "1.5", "99999999999999999999", "--help"},
    [OPT_FLOAT] = {"abc", "", "nan", "1e999", "-1e999"},
    [OPT_SEED] = {"abc", "", "-1", "99999999999999999999", "0x1"},
    [OPT_CHOICE] = {"abc", "", "|", "auto|f16", "AUTO"},
    [OPT_INTS] = {"abc", "", ",", "1,", "1,99999999999999999999"},
    [OPT_BIASES] = {"abc", "", "=", "1=", "1=nan"},
    [OPT_FILE] = {""},
    [OPT_FOLDER] = {""},
};

static void try_option(const char *command, const struct option *o) {
    char dashed[80], joined[128];
    if (o->name[0]) snprintf(dashed, sizeof dashed, "--%s", o->name);
    else snprintf(dashed, sizeof dashed, "-%c", o->letter);
    if (o->kind == OPT_FLAG) {
        snprintf(joined, sizeof joined, "%s=1", dashed);
        expect_usage_error(command, joined, NULL);
        return;
    }
    expect_usage_error(command, dashed, NULL);
    for (size_t i = 0; i < 5 && not_a_value[o->kind][i]; i++) expect_usage_error(command, dashed, not_a_value[o->kind][i]);
    if (o->kind == OPT_INT || o->kind == OPT_FLOAT || o->kind == OPT_INTS) { /* just outside */
        char low[40], high[40];
        double step = o->kind == OPT_FLOAT ? 0.001 : 1;
        snprintf(low, sizeof low, "%.*f", o->kind == OPT_FLOAT ? 4 : 0, o->min - step);
        snprintf(high, sizeof high, "%.*f", o->kind == OPT_FLOAT ? 4 : 0, o->max + step);
        expect_usage_error(command, dashed, low);
        expect_usage_error(command, dashed, high);
    }
}

static void test_bad_values(void **state) {
    size_t n;
    const struct command *const *rows = command_rows(&n);
    (void)state;
    for (size_t i = 0; i < n; i++) {
        const struct option *o;
        for (size_t k = 0; (o = option_at(&rows[i]->table, k)); k++)
            if (o->kind != OPT_SECTION) try_option(rows[i]->table.command, o);
        expect_usage_error(rows[i]->table.command, "--no-such-option", NULL);
        expect_usage_error(rows[i]->table.command, "-?", NULL);
    }
    printf("%d bad command lines\n", n_tried);
}

static void test_missing_and_extra(void **state) {
    size_t n;
    const struct command *const *rows = command_rows(&n);
    (void)state;
    for (size_t i = 0; i < n; i++) {
        bool needs = false;
        for (size_t k = 0; k < rows[i]->table.n_options; k++) needs = needs || rows[i]->table.options[k].flags & OPTION_REQUIRED;
        for (size_t k = 0; k < rows[i]->table.n_operands; k++) needs = needs || rows[i]->table.operands[k].flags & OPTION_REQUIRED;
        if (needs) expect_usage_error(rows[i]->table.command, NULL, NULL);
        if (rows[i]->table.n_operands == 0) expect_usage_error(rows[i]->table.command, "extra", NULL);
    }
    expect_usage_error("no-such-command", NULL, NULL);
    expect_usage_error("--no-such-option", NULL, NULL);
    expect_usage_error("", NULL, NULL);
}

static void test_help_everywhere(void **state) {
    size_t n;
    const struct command *const *rows = command_rows(&n);
    (void)state;
    for (size_t i = 0; i < n; i++) {
        static const char *const asks[] = {"--help", "-h"};
        for (int k = 0; k < 2; k++) {
            const char *argv[] = {"slm", rows[i]->table.command, asks[k], NULL};
            struct outcome r = run(argv);
            if (r.exit_code != 0 || r.n_out < 100 || r.err[0]) fail_msg("slm %s %s: exit %d, %zu bytes: %s", argv[1], argv[2], r.exit_code, r.n_out, r.err);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_values), cmocka_unit_test(test_missing_and_extra), cmocka_unit_test(test_help_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
