/* test_call_guard.c -- a model of uniform random logits that may call tools: whatever it begins as a call is one, of a tool that there is, with
 * arguments of that tool's schema, at every limit of tokens; and told while it comes it is what it is told whole. */
#include "constrain_walk.h"

#include "base/util.h"
#include "engine/call_guard.h"

static const char tools_text[] =
    "[{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": {\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"string\", \"maxLength\": 6}, \"b\": {\"type\": "
    "\"integer\"}}, \"required\": [\"b\"], \"additionalProperties\": false}}},"
    "{\"type\": \"function\", \"function\": {\"name\": \"get_time\", \"parameters\": {\"type\": \"object\", \"properties\": {\"zone\": {\"enum\": [\"UTC\", \"CET\"]}}, \"required\": [\"zone\"]}}},"
    "{\"type\": \"function\", \"function\": {\"name\": \"free\", \"parameters\": {\"type\": \"object\", \"minProperties\": 1, \"additionalProperties\": {\"type\": \"boolean\"}}}}]";

struct row {
    const char *format, *mark, *close; /* close: a control token; NULL: text */
    enum tok_type mark_type;
    bool only_one;
    size_t n_least;                    /* calls that so many walks make at least; 0: code may stand where a call does, and is free */
};
static const struct row rows[] = {
    {"hermes", "<tool_call>", NULL, TOK_USER_DEFINED, false, 40},
    {"hermes", "<tool_call>", "</tool_call>", TOK_CONTROL, false, 40},
    {"hermes", "<tool_call>", NULL, TOK_CONTROL, true, 10},
    {"mistral", "[TOOL_CALLS]", NULL, TOK_CONTROL, false, 40},
    {"functools", "functools[", NULL, TOK_NORMAL, false, 40},
    {"toolcalllist", "<|tool_call|>", NULL, TOK_CONTROL, false, 40},
    {"toolcalllist", "<|tool_call|>", NULL, TOK_USER_DEFINED, true, 10},
    {"functiontag", "<function=", NULL, TOK_NORMAL, false, 40},
    {"llama3", "{\"name\": \"f\"", NULL, TOK_USER_DEFINED, false, 5},
    {"llama3", "<|python_tag|>", NULL, TOK_CONTROL, false, 0},
    {"llama3", "{\"name\": \"get_time\",", NULL, TOK_USER_DEFINED, true, 5},
};

struct fixture {
    struct tok *tok;
    struct constrain_vocab *vocab;
    int32_t mark;
};

static struct fixture fixture_make(const struct row *r) {
    struct vocab v;
    struct fixture f;
    vocab_init(&v, "gpt2");
    vocab_add_bytes(&v);
    for (size_t i = 0; i < sizeof walk_pieces / sizeof walk_pieces[0]; i++)
        if (strcmp(walk_pieces[i], "\xc4\xa0") != 0 && strcmp(walk_pieces[i], "\xc4\x8a") != 0) vocab_add(&v, walk_pieces[i], TOK_NORMAL, 0);
    v.c.eos = vocab_add(&v, "<|end|>", TOK_CONTROL, 0);
    f.mark = vocab_add(&v, r->mark, r->mark_type, 0);
    if (r->close) vocab_add(&v, r->close, TOK_CONTROL, 0);
    f.tok = vocab_tok(&v);
    assert_int_equal(constrain_vocab_create(f.tok, &f.vocab, NULL), SLM_OK);
    return f;
}

static void fixture_free(struct fixture *f) {
    constrain_vocab_destroy(f->vocab);
    tok_destroy(f->tok);
}

/* What the parser told: each call's name and arguments, checked by the tool's own schema. */
struct told {
    struct buf words;
    struct buf arguments;
    char name[64];
    const json_t *tools;
    size_t n_calls, n_broken;
};

static void check_arguments(struct told *t) {
    if (strcmp(t->name, "python") == 0) return; /* code behind <|python_tag|>: a call without JSON, which is free */
    bool is_valid = false;
    slm_err err;
    size_t i;
    json_t *tool;
    err_clear(&err);
    json_array_foreach(t->tools, i, tool) {
        const json_t *f = json_object_get(tool, "function");
        struct schema *s;
        if (strcmp(json_string_value(json_object_get(f, "name")), t->name) != 0) continue;
        assert_int_equal(schema_from_json(json_object_get(f, "parameters"), NULL, &s, &err), SLM_OK);
        assert_int_equal(schema_check_text(s, (struct view){t->arguments.data, t->arguments.len}, &is_valid, &err), SLM_OK);
        schema_destroy(s);
    }
    if (!is_valid) fail_msg("%s %.*s: %s", t->name, (int)t->arguments.len, t->arguments.data, err.msg);
}

static void on_event(void *user, const struct output_event *e) {
    struct told *t = user;
    switch (e->kind) {
    case OUTPUT_TEXT:
    case OUTPUT_REASONING: t->n_broken += e->is_broken; break;
    case OUTPUT_CALL_BEGIN:
        snprintf(t->name, sizeof t->name, "%.*s", (int)e->text.len, e->text.ptr);
        buf_clear(&t->arguments);
        buf_printf(&t->words, "%s(", t->name);
        break;
    case OUTPUT_CALL_ARGUMENTS: buf_append(&t->arguments, e->text.ptr, e->text.len); break;
    case OUTPUT_CALL_END:
        buf_append(&t->words, t->arguments.data, t->arguments.len);
        buf_puts(&t->words, ")");
        t->n_calls++;
        check_arguments(t);
        break;
    }
}

static struct told parse(const struct row *r, const json_t *tools, struct view text, const struct call_form *live, size_t step) {
    struct told t = {.tools = tools};
    struct output_parser *p;
    struct output_options o = {.tools = tools, .form = live};
    buf_init(&t.words, 1u << 20);
    buf_init(&t.arguments, 1u << 20);
    assert_int_equal(output_parser_create(output_format_find(r->format), &o, on_event, &t, &p, NULL), SLM_OK);
    for (size_t at = 0; at < text.len; at += step) output_parser_push(p, (struct view){text.ptr + at, at + step < text.len ? step : text.len - at});
    output_parser_finish(p);
    output_parser_destroy(p);
    buf_fini(&t.arguments);
    buf_puts(&t.words, "");
    return t;
}

/* What a model says that likes the mark; at most n_max tokens. */
static void say(const struct row *r, const struct fixture *f, const json_t *tools, uint64_t seed, int32_t n_max, struct buf *text) {
    const struct output_format *format = output_format_find(r->format);
    struct call_guard_spec spec = {.format = format, .form = output_format_form(format, NULL), .tools = tools, .only_one = r->only_one};
    struct call_guard *guard;
    struct detok detok;
    slm_err err;
    uint32_t n_vocab = tok_n_vocab(f->tok);
    struct sampler *sampler = walk_sampler(seed, n_vocab);
    float *logits = calloc(n_vocab, sizeof *logits);
    logits[f->mark] = seed % 3 ? 5.f : 2.f;
    if (call_guard_create(&spec, f->vocab, &guard, &err) != SLM_OK) fail_msg("%s: %s", r->format, err.msg);
    detok_init(&detok, f->tok, false, true);
    for (int32_t n_left = n_max; n_left > 0 && !call_guard_is_over(guard); n_left--) {
        int32_t id;
        if (call_guard_pick(guard, sampler, logits, n_left, &id, &err) != SLM_OK) fail_msg("%s, seed %llu: %s", r->format, (unsigned long long)seed, err.msg);
        if (tok_is_end(f->tok, id)) break;
        assert_int_equal(call_guard_accept(guard, id, &err), SLM_OK);
        detok_push(&detok, id, text);
    }
    detok_finish(&detok, text);
    sampler_destroy(sampler);
    call_guard_destroy(guard);
    free(logits);
}

static void test_random(void **state) {
    json_t *tools = json_loads(tools_text, 0, NULL);
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        const struct call_form *form = output_format_form(output_format_find(r->format), NULL);
        struct fixture f = fixture_make(r);
        size_t n_calls = 0;
        for (uint64_t seed = 0; seed < 60; seed++) {
            struct buf text;
            buf_init(&text, 1u << 20);
            say(r, &f, tools, seed, 20 + (int32_t)(seed * 7 % 200), &text);
            struct view v = {text.data, text.len};
            struct told whole = parse(r, tools, v, NULL, 4096);
            if (whole.n_broken && r->n_least) fail_msg("%s, seed %llu: a broken call: %.*s", r->format, (unsigned long long)seed, (int)v.len, v.ptr);
            if (r->only_one) assert_true(whole.n_calls <= 1);
            for (size_t step = 1; step < 40; step = step * 2 + 1) {
                struct told live = parse(r, tools, v, form, step);
                assert_string_equal(live.words.data, whole.words.data);
                assert_int_equal(live.n_broken > 0, whole.n_broken > 0);
                buf_fini(&live.words);
            }
            n_calls += whole.n_calls;
            buf_fini(&whole.words);
            buf_fini(&text);
        }
        if (n_calls < r->n_least) fail_msg("%s %s: only %zu calls", r->format, r->mark, n_calls);
        fixture_free(&f);
    }
    json_decref(tools);
}

/* The form is read piece by piece, with blanks or without. */
static void test_form(void **state) {
    static const struct { const char *piece, *text; int want; size_t at; } cases[] = {
        {"\n", "", 1, 0}, {"\n", "\n {", 1, 2}, {"{\"name\": \"", "{\"name\":\"x", 1, 9}, {"{\"name\": \"", "{\"name\": \"x", 1, 10}, {"{\"name\": \"", "{\"name\":  \"", -1, 0},
        {"{\"name\": \"", "{\"na", 0, 0}, {"{\"name\": \"", "{\"id", -1, 0}, {"", "x", 1, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t at = 0;
        assert_int_equal(call_form_match(cases[i].piece, view_of(cases[i].text), &at), cases[i].want);
        assert_int_equal(at, cases[i].at);
    }
}

/* A JSON answer that is no call stays free in a form that begins alike. */
static void test_left_alone(void **state) {
    static const char *const texts[] = {"{\"name\": \"Bob\", \"age\": 3}", "{\"x\": 1}", "{\"name\" : 1}", "{\"name\": \"f\\\"\"}"};
    struct row r = {"llama3", "<|python_tag|>", NULL, TOK_CONTROL, false, 0};
    struct fixture f = fixture_make(&r);
    json_t *tools = json_loads(tools_text, 0, NULL);
    const struct output_format *format = output_format_find(r.format);
    struct call_guard_spec spec = {.format = format, .form = output_format_form(format, NULL), .tools = tools};
    struct sampler_params sp;
    (void)state;
    sampler_params_init(&sp);
    sp.temperature = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct call_guard *guard;
        struct sampler *sampler;
        struct tok_ids ids = {0};
        uint32_t n_vocab = tok_n_vocab(f.tok);
        float *logits = calloc(n_vocab, sizeof *logits);
        assert_int_equal(call_guard_create(&spec, f.vocab, &guard, NULL), SLM_OK);
        assert_int_equal(sampler_create(&sp, n_vocab, &sampler, NULL), SLM_OK);
        assert_int_equal(tok_encode(f.tok, view_of(texts[i]), 0, &ids, NULL), SLM_OK);
        for (size_t k = 0; k < ids.n; k++) {
            int32_t id;
            logits[ids.v[k]] = 9;
            assert_int_equal(call_guard_pick(guard, sampler, logits, -1, &id, NULL), SLM_OK);
            logits[ids.v[k]] = 0;
            assert_int_equal(id, ids.v[k]);
            assert_int_equal(call_guard_accept(guard, id, NULL), SLM_OK);
        }
        assert_false(call_guard_is_over(guard));
        tok_ids_fini(&ids);
        sampler_destroy(sampler);
        call_guard_destroy(guard);
        free(logits);
    }
    json_decref(tools);
    fixture_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_form), cmocka_unit_test(test_left_alone)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
