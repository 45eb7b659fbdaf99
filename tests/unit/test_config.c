/* Options from a YAML file: values by kind, the command line stands, faults with their line, what is written is read back. */
#include "test.h"

#include "cli/config.h"
#include "cli/rows.h"

struct values {
    struct common_values common;
    const char *model, *config;
    struct option_texts data;
    struct option_ints sizes;
    struct option_seed seed;
    int32_t steps, kind;
    float lr;
    bool json;
};
static const struct option rows[] = {
    OPTION_MODEL(struct values),
    OPTION_CONFIG_FILE(struct values),
    {.kind = OPT_TEXTS, .name = "data", .value = "FILE", .offset = offsetof(struct values, data), .since = "0.1", .help = "data"},
    {.kind = OPT_INTS, .name = "sizes", .value = "LIST", .fallback = "1,2", .min = 0, .max = 10, .offset = offsetof(struct values, sizes), .since = "0.1", .help = "sizes"},
    {.kind = OPT_SEED, .letter = 's', .name = "seed", .value = "SEED", .fallback = "1", .min = 0, .max = 1e9, .offset = offsetof(struct values, seed), .since = "0.1", .help = "seed"},
    {.kind = OPT_INT, .name = "steps", .value = "N", .fallback = "10", .min = 1, .max = 1000, .offset = offsetof(struct values, steps), .since = "0.1", .help = "steps"},
    {.kind = OPT_CHOICE, .name = "kind", .value = "KIND", .fallback = "a", .choices = "a|b|c", .offset = offsetof(struct values, kind), .since = "0.1", .help = "kind"},
    {.kind = OPT_FLOAT, .name = "lr", .value = "RATE", .fallback = "0.5", .min = 0, .max = 1, .offset = offsetof(struct values, lr), .since = "0.1", .help = "rate"},
    OPTION_JSON(struct values),
};
static const struct option_table table = {"train", ROWS(rows), NULL, 0};

static slm_status parse(struct values *v, const char *yaml, int argc, char *const *argv, slm_err *err) {
    char path[] = "/tmp/slm-config-XXXXXX", arg[40];
    char *all[16] = {"--config", path};
    int fd = mkstemp(path);
    (void)arg;
    assert_true(fd >= 0 && write(fd, yaml, strlen(yaml)) == (ssize_t)strlen(yaml));
    close(fd);
    for (int i = 0; i < argc; i++) all[2 + i] = argv[i];
    memset(v, 0, sizeof *v);
    slm_status st = options_parse(&table, 2 + argc, all, v, err);
    unlink(path);
    return st;
}

static const char all_values[] = "# a comment\nmodel: m.gguf\ndata:\n  - a.jsonl\n  - \"b c.csv\"\nsizes: [3, 4]\nseed: 77\nsteps: 5\nkind: b\nlr: 2.5e-1\njson: true\n";

static void test_values(void **state) {
    (void)state;
    struct values v;
    slm_err err;
    if (parse(&v, all_values, 0, NULL, &err) != SLM_OK) fail_msg("%s", err.msg);
    assert_string_equal(v.model, "m.gguf");
    assert_int_equal(v.data.n, 2);
    assert_string_equal(v.data.v[1], "b c.csv");
    assert_int_equal(v.sizes.n, 2);
    assert_int_equal(v.sizes.v[1], 4);
    assert_int_equal(v.seed.value, 77);
    assert_int_equal(v.steps, 5);
    assert_int_equal(v.kind, 1);
    assert_true(v.lr > 0.2499f && v.lr < 0.2501f && v.json);
    options_release(&v);
    char *argv[] = {"--steps", "9", "--data", "z.txt"};
    assert_int_equal(parse(&v, all_values, 4, argv, &err), SLM_OK);
    assert_int_equal(v.steps, 9);
    assert_int_equal(v.data.n, 1);
    assert_string_equal(v.data.v[0], "z.txt");
    assert_int_equal(v.kind, 1);
    options_release(&v);
    assert_int_equal(parse(&v, "model: m\njson: false\n", 0, NULL, &err), SLM_OK); /* the rest keeps its defaults */
    assert_int_equal(v.steps, 10);
    assert_false(v.json);
    options_release(&v);
}

static void test_faults(void **state) {
    (void)state;
    static const struct {
        const char *yaml, *msg, *hint;
    } cases[] = {
        {"model: m\nstep: 5\n", ":2: key \"step\": \"slm train\" has no such option", "did you mean \"steps\"?"},
        {"model: m\n\n\nzzzzzz: 5\n", ":4: key \"zzzzzz\"", "without dashes"},
        {"model: m\nsteps: 5\nsteps: 6\n", ":3: key \"steps\": is there twice", NULL},
        {"model: m\n# no\nsteps: 5000\n", ":3: option \"--steps\": \"5000\" is out of range", "1 to 1000"},
        {"model: m\nsteps: five\n", ":2: option \"--steps\"", NULL},
        {"model: m\nkind: d\n", ":2: option \"--kind\": \"d\" is not one of the choices", NULL},
        {"model: m\njson: 1\n", ":2: key \"json\": \"1\" is not true or false", NULL},
        {"model: m\nsteps: [1]\n", ":2: expecting STRING", NULL},
        {"model: m\ndata: x\n", ":2: expecting SEQUENCE", NULL},
        {"model: m\nconfig: other.yaml\n", ":2: key \"config\"", NULL},
        {"- model\n", "expecting MAPPING", NULL},
        {"model: 'm\n", ":1: ", NULL},
        {"model: m\n---\nsteps: 2\n", ": more than one document", NULL},
        {"model: &x m\ndata: [*x]\n", ":2: ", NULL},
        {"steps: 5\n", "option \"--model\": is missing", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct values v;
        slm_err err;
        err_clear(&err);
        assert_int_equal(parse(&v, cases[i].yaml, 0, NULL, &err), SLM_E_USAGE);
        if (!strstr(err.msg, cases[i].msg)) fail_msg("case %zu: \"%s\"", i, err.msg);
        if (cases[i].hint && !strstr(err.hint, cases[i].hint)) fail_msg("case %zu: hint \"%s\"", i, err.hint);
        options_release(&v);
    }
    struct values v = {0};
    slm_err err;
    char *argv[] = {"--config", "/nowhere/x.yaml"};
    assert_int_equal(options_parse(&table, 2, argv, &v, &err), SLM_E_IO);
    options_release(&v);
}

static void test_written(void **state) {
    (void)state;
    struct values v, w;
    struct buf out;
    slm_err err;
    buf_init(&out, 4096);
    assert_int_equal(parse(&v, all_values, 0, NULL, &err), SLM_OK);
    v.model = "a \"quoted\"\tname: \\ # x";
    config_write(&table, &v, &out);
    if (parse(&w, out.data, 0, NULL, &err) != SLM_OK) fail_msg("%s in\n%s", err.msg, out.data);
    assert_string_equal(w.model, v.model);
    assert_int_equal(w.data.n, 2);
    assert_int_equal(w.sizes.v[1], 4);
    assert_int_equal(w.seed.value, 77);
    assert_int_equal(w.kind, 1);
    assert_true(w.json);
    buf_fini(&out);
    options_release(&v);
    options_release(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
