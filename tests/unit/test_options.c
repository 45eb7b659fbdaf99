/* The option parser on a table with every kind, then every command's own table: what a row must have, its default, its
 * range, its examples. */
#include "test.h"

#include <ctype.h>
#include <math.h>

#include "cli/config.h"
#include "cli/help.h"
#include "cli/run.h"

struct values {
    struct common_values common;
    bool flag;
    int32_t count, kind;
    float ratio;
    struct option_seed seed;
    const char *text, *file, *operand;
    struct option_ints ints;
    struct option_texts texts, rest;
    struct option_biases biases;
};
#define AT(field) .offset = offsetof(struct values, field)
static const struct option options[] = {
    {.kind = OPT_FLAG, .letter = 'f', .name = "flag", AT(flag), .help = "a flag"},
    {.kind = OPT_INT, .letter = 'n', .name = "count", .value = "N", .fallback = "7", .min = -5, .max = 100, AT(count), .help = "a count"},
    {.kind = OPT_FLOAT, .name = "ratio", .value = "R", .fallback = "0.5", .min = -1, .max = 1, AT(ratio), .help = "a ratio"},
    {.kind = OPT_SEED, .name = "seed", .value = "N", .fallback = "random", .max = 1e15, AT(seed), .help = "a seed"},
    {.kind = OPT_TEXT, .letter = 'p', .name = "text", .value = "TEXT", AT(text), .help = "a text"},
    {.kind = OPT_FILE, .name = "file", .value = "FILE", AT(file), .help = "a file"},
    {.kind = OPT_CHOICE, .name = "kind", .value = "K", .fallback = "two", .choices = "one|two|three", AT(kind), .help = "a choice"},
    {.kind = OPT_INTS, .name = "ints", .value = "N,N", .fallback = "1", .min = 0, .max = 9, AT(ints), .help = "a list"},
    {.kind = OPT_TEXTS, .name = "texts", .value = "TEXT", AT(texts), .help = "texts"},
    {.kind = OPT_BIASES, .name = "bias", .value = "ID=B", .min = -10, .max = 10, AT(biases), .help = "biases"},
};
static const struct option operands[] = {
    {.kind = OPT_TEXT, .name = "FIRST", AT(operand), .help = "the first"},
    {.kind = OPT_TEXTS, .name = "REST", AT(rest), .help = "the rest"},
};
static const struct option_table table = {"try", ROWS(options), ROWS(operands)};

#define ARGS_MAX 32
static slm_status parse(const struct option_table *t, struct values *v, slm_err *err, const char *const *args) {
    char *argv[ARGS_MAX];
    int n = 0;
    for (; args[n]; n++) argv[n] = (char *)(uintptr_t)args[n];
    memset(v, 0, sizeof *v);
    err_clear(err);
    return options_parse(t, n, argv, v, err);
}
#define ARGS(...) (const char *const[]){__VA_ARGS__, NULL}

static void test_defaults_and_every_kind(void **state) {
    struct values v;
    slm_err err;
    (void)state;
    assert_int_equal(parse(&table, &v, &err, (const char *const[]){NULL}), SLM_OK);
    assert_int_equal(v.count, 7);
    assert_true(v.ratio == 0.5f && v.seed.is_random && !v.text && v.kind == 1 && v.ints.n == 1 && v.ints.v[0] == 1 && v.texts.n == 0);
    assert_int_equal(parse(&table, &v, &err,
                           ARGS("-f", "-n", "-3", "--ratio=-.25", "--seed", "42", "-p", "", "--kind", "three", "--ints", "0,9,3", "--texts", "a", "--texts=b",
                                "--bias", "5=-inf")),
                     SLM_OK);
    assert_true(v.flag && v.count == -3 && v.ratio == -0.25f && !v.seed.is_random && v.seed.value == 42 && v.text[0] == 0 && v.kind == 2);
    assert_true(v.ints.n == 3 && v.ints.v[1] == 9);
    assert_true(v.texts.n == 2 && strcmp(v.texts.v[1], "b") == 0);
    assert_true(v.biases.n == 1 && v.biases.v[0].id == 5 && v.biases.v[0].bias == -INFINITY);
}

static void test_forms(void **state) {
    struct values v;
    slm_err err;
    (void)state;
    assert_int_equal(parse(&table, &v, &err, ARGS("-fvn12", "--count=3", "-n4")), SLM_OK); /* joined; the last one wins */
    assert_true(v.flag && v.common.verbose && v.count == 4);
    assert_int_equal(parse(&table, &v, &err, ARGS("-5", "--", "--flag", "-n", "--", "-")), SLM_OK);
    assert_string_equal(v.operand, "-5");
    assert_true(v.rest.n == 4 && !v.flag && strcmp(v.rest.v[0], "--flag") == 0 && strcmp(v.rest.v[2], "--") == 0);
    assert_int_equal(parse(&table, &v, &err, ARGS("-p", "-not an option", "--text=--flag")), SLM_OK);
    assert_string_equal(v.text, "--flag");
    assert_int_equal(parse(&table, &v, &err, ARGS("-p", "=", "-n=5")), SLM_OK);
    assert_true(strcmp(v.text, "=") == 0 && v.count == 5);
    assert_int_equal(parse(&table, &v, &err, ARGS("", "-")), SLM_OK);
    assert_string_equal(v.operand, "");
}

struct fault {
    const char *args[4];
    const char *in_msg, *in_hint;
};
static const struct fault faults[] = {
    {{"--conut", "3"}, "option \"--conut\"", "--count"},
    {{"--countdown", "3"}, "option \"--countdown\"", "--count"},
    {{"--rat"}, "option \"--rat\"", "--ratio"},
    {{"--zzzzzz"}, "option \"--zzzzzz\"", "--help"},
    {{"-x"}, "option \"-x\"", "--help"},
    {{"--count"}, "value is missing", "-5 to 100"},
    {{"--count", "--flag"}, "value is missing", "--count=--flag"},
    {{"--count", "-f"}, "value is missing", "--count=-f"},
    {{"--count", "abc"}, "\"abc\" is not a whole number", "-5 to 100"},
    {{"--count", "1.5"}, "not a whole number", ""},
    {{"--count", ""}, "not a whole number", ""},
    {{"--count", " 1"}, "not a whole number", ""},
    {{"--count", "101"}, "out of range", "-5 to 100"},
    {{"--count", "-6"}, "out of range", ""},
    {{"--count", "99999999999999999999"}, "out of range", ""},
    {{"--ratio", "nan"}, "not a number", "-1 to 1"},
    {{"--ratio", "inf"}, "not a number", ""},
    {{"--ratio", "0x1"}, "not a decimal number", ""},
    {{"--ratio", "1.5"}, "out of range", ""},
    {{"--ratio", "0.5f"}, "not a number", ""},
    {{"--seed", "-1"}, "out of range", "random"},
    {{"--seed", "rnd"}, "not a whole number", "random"},
    {{"--file="}, "empty", ""},
    {{"--kind", "tw"}, "not one of the choices", "one, two, three"},
    {{"--kind", ""}, "not one of the choices", ""},
    {{"--ints", "1,,2"}, "not a list", ""},
    {{"--ints", "1,2,"}, "not a list", ""},
    {{"--ints", "10"}, "out of range", "0 to 9"},
    {{"--ints", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"}, "longer list", ""},
    {{"--bias", "5"}, "not ID=BIAS", ""},
    {{"--bias", "-5=1"}, "not ID=BIAS", ""},
    {{"--bias", "5=11"}, "out of range", ""},
    {{"--bias", "5=inf"}, "not ID=BIAS", ""},
    {{"--flag=1"}, "takes no value", ""},
    {{"--count", "\033[2J\n"}, "\\x1b[2J\\x0a", ""},
};

static void test_faults_are_told(void **state) {
    struct values v;
    slm_err err;
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        assert_int_equal(parse(&table, &v, &err, faults[i].args), SLM_E_USAGE);
        assert_int_equal(err.code, SLM_E_USAGE);
        if (!strstr(err.msg, faults[i].in_msg) || !strstr(err.hint, faults[i].in_hint))
            fail_msg("%s %s gives \"%s\", hint \"%s\"", faults[i].args[0], faults[i].args[1] ? faults[i].args[1] : "", err.msg, err.hint);
    }
}

static void test_required(void **state) {
    static const struct option need[] = {
        {.kind = OPT_FILE, .letter = 'm', .name = "model", .value = "FILE", .flags = OPTION_REQUIRED, AT(file), .help = "the model"}};
    static const struct option what[] = {{.kind = OPT_TEXT, .name = "WHAT", .flags = OPTION_REQUIRED, AT(operand), .help = "what"}};
    const struct option_table t = {"need", ROWS(need), ROWS(what)};
    struct values v;
    slm_err err;
    (void)state;
    assert_int_equal(parse(&t, &v, &err, ARGS("it")), SLM_E_USAGE);
    assert_non_null(strstr(err.msg, "\"--model\": is missing"));
    assert_int_equal(parse(&t, &v, &err, ARGS("-m", "x")), SLM_E_USAGE);
    assert_non_null(strstr(err.msg, "\"WHAT\": is missing"));
    assert_int_equal(parse(&t, &v, &err, ARGS("-m", "x", "it", "more")), SLM_E_USAGE);
    assert_non_null(strstr(err.msg, "\"more\""));
    assert_int_equal(parse(&t, &v, &err, ARGS("x.gguf", "y.gguf")), SLM_E_USAGE);
    assert_non_null(strstr(err.hint, "-m"));
    assert_int_equal(parse(&t, &v, &err, ARGS("--help")), SLM_OK);
    assert_int_equal(parse(&t, &v, &err, ARGS("-m", "x", "it")), SLM_OK);
}

static void test_repeated_is_bounded(void **state) {
    struct values v;
    slm_err err;
    static char *argv[2 * (OPTION_BIASES_MAX + 1)];
    (void)state;
    for (int i = 0; i < 2 * (OPTION_TEXTS_MAX + 1); i += 2) {
        argv[i] = (char *)(uintptr_t) "--texts";
        argv[i + 1] = (char *)(uintptr_t) "x";
    }
    memset(&v, 0, sizeof v);
    assert_int_equal(options_parse(&table, 2 * OPTION_TEXTS_MAX, argv, &v, &err), SLM_OK);
    assert_int_equal(v.texts.n, OPTION_TEXTS_MAX);
    memset(&v, 0, sizeof v);
    assert_int_equal(options_parse(&table, 2 * (OPTION_TEXTS_MAX + 1), argv, &v, &err), SLM_E_USAGE);
}

static void test_value_text(void **state) {
    struct values v, again;
    slm_err err;
    struct buf text;
    (void)state;
    assert_int_equal(parse(&table, &v, &err, ARGS("-f", "-n", "-3", "--ratio=0.125", "--seed=9", "--kind=three", "--ints=4,5", "--bias=7=-2")), SLM_OK);
    memset(&again, 0, sizeof again);
    buf_init(&text, 4096);
    for (size_t i = 1; i < sizeof options / sizeof options[0]; i++) { /* what it prints, it reads */
        buf_clear(&text);
        option_value(&options[i], &v, &text);
        if (text.len && options[i].kind != OPT_TEXTS) assert_int_equal(option_assign(&options[i], text.data, &again, &err), SLM_OK);
    }
    assert_true(again.count == -3 && again.ratio == 0.125f && again.seed.value == 9 && again.kind == 2 && again.ints.n == 2 && again.biases.v[0].bias == -2);
    buf_fini(&text);
}

/* Every command. */

static void check_row(const struct command *c, const struct option *o, bool is_operand) {
    static const size_t sizes[OPT_KIND_COUNT] = {
        [OPT_FLAG] = sizeof(bool), [OPT_INT] = 4, [OPT_FLOAT] = 4, [OPT_SEED] = sizeof(struct option_seed), [OPT_TEXT] = sizeof(char *),
        [OPT_FILE] = sizeof(char *), [OPT_FOLDER] = sizeof(char *), [OPT_CHOICE] = 4, [OPT_INTS] = sizeof(struct option_ints),
        [OPT_TEXTS] = sizeof(struct option_texts), [OPT_BIASES] = sizeof(struct option_biases)};
    if (!o->help || !o->help[0] || o->help[strlen(o->help) - 1] == '.') fail_msg("%s: a row needs help, without a full stop", c->table.command);
    if (o->kind == OPT_SECTION) return;
    if (!o->since) fail_msg("%s %s: no version", c->table.command, o->name);
    if (o->offset + sizes[o->kind] > c->values_bytes) fail_msg("%s %s: its value lies outside the struct", c->table.command, o->name);
    if (o->kind == OPT_INT || o->kind == OPT_FLOAT || o->kind == OPT_INTS || o->kind == OPT_BIASES || o->kind == OPT_SEED)
        if (!(o->min < o->max)) fail_msg("%s %s: no range", c->table.command, o->name);
    if (o->kind == OPT_CHOICE && !o->choices) fail_msg("%s %s: no choices", c->table.command, o->name);
    if (!is_operand && o->kind != OPT_FLAG && !o->value) fail_msg("%s %s: no word for its value", c->table.command, o->name);
    if (is_operand != (isupper((unsigned char)o->name[0]) != 0)) fail_msg("%s %s: operands are upper case, options lower", c->table.command, o->name);
}

static void test_every_table(void **state) {
    size_t n;
    const struct command *const *rows = command_rows(&n);
    (void)state;
    assert_true(n > 5);
    for (size_t i = 0; i < n; i++) {
        const struct command *c = rows[i];
        const struct option *o, *other;
        assert_true(c->summary && c->description && c->group && c->run && c->n_examples > 0 && c->values_bytes >= sizeof(struct common_values));
        assert_ptr_equal(command_find(c->table.command), c);
        for (size_t k = 0; (o = option_at(&c->table, k)); k++) {
            check_row(c, o, false);
            for (size_t j = 0; o->kind != OPT_SECTION && j < k; j++) {
                other = option_at(&c->table, j);
                if (other->kind == OPT_SECTION) continue;
                if ((o->name[0] && strcmp(o->name, other->name) == 0) || (o->letter && o->letter == other->letter))
                    fail_msg("%s: \"%s\" is there twice", c->table.command, o->name);
            }
        }
        for (size_t k = 0; k < c->table.n_operands; k++) check_row(c, &c->table.operands[k], true);
        void *values = calloc(1, c->values_bytes);
        options_default(&c->table, values); /* asserts that every default is allowed */
        free(values);
    }
}

/* Splits like a simple shell: words, double quotes. */
static int split(char *line, char **argv) {
    int n = 0;
    for (char *p = line; *p;) {
        while (*p == ' ') p++;
        if (!*p) break;
        char stop = *p == '"' ? '"' : ' ';
        if (stop == '"') p++;
        assert_true(n < ARGS_MAX);
        argv[n++] = p;
        while (*p && *p != stop) p++;
        if (*p) *p++ = 0;
    }
    return n;
}

static void test_every_example_parses(void **state) {
    size_t n;
    const struct command *const *rows = command_rows(&n);
    (void)state;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < rows[i]->n_examples; k++) {
            char line[512], *argv[ARGS_MAX];
            slm_err err;
            const char *start = strstr(rows[i]->examples[k].command, "slm ");
            assert_non_null(start);
            snprintf(line, sizeof line, "%s", start);
            for (char *p = line; *p; p++)
                if (*p == '|' || *p == '>' || *p == '<') *p = 0;
            int n_args = split(line, argv);
            const struct command *c = command_find(argv[1]);
            if (!c) fail_msg("example \"%s\": no such command", rows[i]->examples[k].command);
            void *values = calloc(1, c->values_bytes);
            slm_status st = options_parse(&c->table, n_args - 2, argv + 2, values, &err);
            bool names_config = st == SLM_E_IO && strstr(rows[i]->examples[k].command, "--config "); /* its file is not there */
            if (st != SLM_OK && !names_config) fail_msg("example \"%s\": %s", rows[i]->examples[k].command, err.msg);
            options_release(values);
            free(values);
        }
}

/* The sampler is the authority over its parameters: same defaults, and the same limits where it has them. */
static void test_sampling_rows_agree_with_the_sampler(void **state) {
    struct run_values *v = calloc(1, sizeof *v);
    struct sampler_params want;
    slm_err err;
    (void)state;
    options_default(&run_table, v);
    v->sampling.seed = (struct option_seed){false, 0};
    struct sampler_params got = sampling_params(&v->sampling);
    sampler_params_init(&want);
    got.bias = want.bias;
    got.dry_breakers = want.dry_breakers;
    assert_memory_equal(&got, &want, sizeof got);
    for (size_t i = 0; i < run_table.n_options; i++) {
        const struct option *o = &run_table.options[i];
        if (o->offset < offsetof(struct run_values, sampling) || o->offset >= offsetof(struct run_values, sampling.dry_breakers)) continue;
        if (o->kind != OPT_FLOAT && o->kind != OPT_INT) continue;
        for (int side = 0; side < 4; side++) { /* both ends are allowed, just beyond is not */
            double end = side % 2 ? o->max : o->min, beyond = side % 2 ? 1 : -1;
            if (o->kind == OPT_INT && side == 3) continue;
            memset(v, 0, sizeof *v);
            options_default(&run_table, v);
            if (o->kind == OPT_INT) *(int32_t *)(void *)((char *)v + o->offset) = (int32_t)(side < 2 ? end : end + beyond);
            else *(float *)(void *)((char *)v + o->offset) = (float)(side < 2 ? end : end + beyond * 1e-3);
            got = sampling_params(&v->sampling);
            if (sampler_params_check(&got, 1000, &err) != (side < 2 ? SLM_OK : SLM_E_USAGE)) fail_msg("--%s: the sampler has other limits", o->name);
        }
    }
    free(v);
}

/* Help, short help and manual page name every option; completions too. */
static void test_everything_is_documented(void **state) {
    size_t n, n_shells;
    const struct command *const *rows = command_rows(&n);
    const struct shell_row *shells = completion_shells(&n_shells);
    struct buf help, brief, man, script;
    (void)state;
    buf_init(&help, HELP_BYTES_MAX);
    buf_init(&brief, HELP_BYTES_MAX);
    buf_init(&man, HELP_BYTES_MAX);
    buf_init(&script, HELP_BYTES_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct option *o;
        buf_clear(&help);
        buf_clear(&brief);
        buf_clear(&man);
        help_command(rows[i], false, &help);
        help_command(rows[i], true, &brief);
        man_page(rows[i], &man);
        for (size_t k = 0; (o = option_at(&rows[i]->table, k)); k++) {
            char dashed[80], roff[160] = "\\-\\-";
            if (o->kind == OPT_SECTION || !o->name[0]) continue;
            snprintf(dashed, sizeof dashed, "--%s", o->name);
            for (const char *p = o->name; *p; p++) snprintf(roff + strlen(roff), sizeof roff - strlen(roff), *p == '-' ? "\\-" : "%c", *p);
            if (!strstr(help.data, dashed) || !strstr(brief.data, dashed) || !strstr(man.data, roff))
                fail_msg("slm %s: %s is not in help, -h and the manual page", rows[i]->table.command, dashed);
            if (o->fallback && (!strstr(help.data, o->fallback) || !strstr(brief.data, o->fallback))) fail_msg("%s: its default is not told", dashed);
        }
        for (const char *line = help.data; *line;) { /* 80 columns */
            size_t len = strcspn(line, "\n");
            if (len > 80) fail_msg("slm %s --help: a line of %zu columns: %.*s", rows[i]->table.command, len, (int)len, line);
            line += len + (line[len] == '\n');
        }
    }
    for (size_t s = 0; s < n_shells; s++) {
        buf_clear(&script);
        shells[s].print(&script);
        for (size_t i = 0; i < n; i++) assert_non_null(strstr(script.data, rows[i]->table.command));
        assert_non_null(strstr(script.data, "repeat-penalty"));
        assert_int_equal(script.failed, SLM_OK);
    }
    buf_fini(&help);
    buf_fini(&brief);
    buf_fini(&man);
    buf_fini(&script);
}

/* What means nothing without another option, or beside one, is refused by its name; a file that says everything by its defaults says nothing. */
static void test_rules(void **state) {
    static const struct option rows[] = {
        {.kind = OPT_INT, .name = "count", .value = "N", .fallback = "7", .min = 0, .max = 100, AT(count), .needs = "file|kind=three", .help = "needs"},
        {.kind = OPT_TEXT, .name = "text", .value = "TEXT", AT(text), .bars = "flag|FIRST|kind=one", .help = "bars"},
        {.kind = OPT_FLAG, .letter = 'f', .name = "flag", AT(flag), .help = "a flag"},
        {.kind = OPT_FILE, .name = "file", .value = "FILE", AT(file), .help = "a file"},
        {.kind = OPT_CHOICE, .name = "kind", .value = "K", .fallback = "two", .choices = "one|two|three", AT(kind), .help = "a choice"},
    };
    static const struct option_table t = {"try", ROWS(rows), operands, 1};
    static const struct {
        const char *const args[6];
        const char *said; /* NULL: taken */
    } lines[] = {
        {{"--count", "7"}, "option \"--count\": without --file or --kind three it does nothing"},
        {{"--count", "7", "--file", "x"}, NULL},
        {{"--count", "7", "--kind", "three"}, NULL},
        {{"--count", "7", "--kind", "two"}, "--count"},
        {{"--text", "a"}, NULL},
        {{"--text", "a", "-f"}, "option \"--text\": does nothing beside \"--flag\""},
        {{"--text", "a", "word"}, "beside \"FIRST\""},
        {{"--text", "a", "--kind=one"}, "beside \"--kind one\""},
        {{"-f", "word", "--kind=one"}, NULL},
    };
    struct values v;
    slm_err err;
    struct buf facts;
    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        slm_status st = parse(&t, &v, &err, lines[i].args);
        assert_int_equal(st, lines[i].said ? SLM_E_USAGE : SLM_OK);
        if (lines[i].said && !strstr(err.msg, lines[i].said)) fail_msg("line %zu: %s", i, err.msg);
        options_release(&v);
    }
    assert_int_equal(parse(&t, &v, &err, ARGS("-f")), SLM_OK);
    assert_int_equal(config_apply_text(&t, "f", VIEW("count: 7\ntext: a\n"), v.common.given, &v.common, &err), SLM_OK);
    assert_int_equal(options_check(&t, &v, &err), SLM_OK); /* 7 is the default; -f, which is typed, overrules the file's text */
    assert_true(options_said(&t, &v, "text") && options_said(&t, &v, "flag") && !options_said(&t, &v, "count") && !options_said(&t, &v, "kind") && !options_said(&t, &v, "FIRST"));
    v.count = 8;
    assert_int_equal(options_check(&t, &v, &err), SLM_E_USAGE);
    options_release(&v);
    buf_init(&facts, 4096);
    option_facts(&rows[0], &facts);
    assert_string_equal(facts.data, "default 7; 0 to 100; with --file or --kind three");
    buf_fini(&facts);
}

/* Every rule of every command names what the command has, and a choice that is one. */
static void test_rules_of_every_table(void **state) {
    size_t n, n_rules = 0;
    const struct command *const *commands = command_rows(&n);
    (void)state;
    for (size_t i = 0; i < n; i++) {
        const struct option_table *t = &commands[i]->table;
        for (size_t k = 0; k < t->n_options; k++) {
            const char *const rules[] = {t->options[k].needs, t->options[k].bars};
            for (size_t r = 0; r < 2; r++)
                for (const char *p = rules[r]; p && *p; p += strcspn(p, "|") + (p[strcspn(p, "|")] == '|')) {
                    size_t n_name = strcspn(p, "=|"), n_all = strcspn(p, "|");
                    char name[64], choice[64];
                    bool found = false;
                    snprintf(name, sizeof name, "%.*s", (int)n_name, p);
                    snprintf(choice, sizeof choice, "|%.*s|", n_all > n_name ? (int)(n_all - n_name - 1) : 0, p + n_name + 1);
                    for (size_t j = 0; j < t->n_operands; j++) found |= isupper((unsigned char)name[0]) && strcmp(t->operands[j].name, name) == 0;
                    const struct option *o = option_find(t, name, n_name);
                    char choices[256];
                    snprintf(choices, sizeof choices, "|%s|", o && o->choices ? o->choices : "");
                    found |= o && (n_all == n_name || strstr(choices, choice));
                    if (!found) fail_msg("slm %s: the rule \"%s\" of --%s names what it has not", t->command, rules[r], t->options[k].name);
                    n_rules++;
                }
        }
    }
    assert_true(n_rules > 80);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_and_every_kind), cmocka_unit_test(test_forms), cmocka_unit_test(test_faults_are_told),
        cmocka_unit_test(test_required), cmocka_unit_test(test_repeated_is_bounded), cmocka_unit_test(test_value_text),
        cmocka_unit_test(test_every_table), cmocka_unit_test(test_every_example_parses),
        cmocka_unit_test(test_sampling_rows_agree_with_the_sampler), cmocka_unit_test(test_everything_is_documented),
        cmocka_unit_test(test_rules), cmocka_unit_test(test_rules_of_every_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
