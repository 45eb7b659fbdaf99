/* Templates in Go's language: what Go makes of them, what is refused and with which words, what marks a user's text, and which parser reads the answer. */
#include "test.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "gotmpl_rows.h"
#include "text/chat_template.h"
#include "text/gotmpl/gotmpl.h"
#include "text/output_parser.h"

#define N(rows) (sizeof(rows) / sizeof *(rows))

static slm_status render(const char *template, const char *input, const struct jlimits *limits, struct jinja_result *out, slm_err *err) {
    struct gotmpl *t;
    json_t *in = json_loads(input, 0, NULL);
    *out = (struct jinja_result){0};
    assert_non_null(in);
    slm_status st = gotmpl_compile(view_of(template), &t, NULL, err);
    if (st == SLM_OK) st = gotmpl_render(t, in, limits, out, NULL, err);
    gotmpl_destroy(t);
    json_decref(in);
    return st;
}

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < N(gotmpl_rows); i++) {
        const struct gotmpl_row *r = &gotmpl_rows[i];
        struct jinja_result out;
        slm_err err;
        if (render(r->template, r->input, NULL, &out, &err) != SLM_OK) fail_msg("%s: %s", r->template, err.msg);
        if (strcmp(out.text.data ? out.text.data : "", r->want) != 0) fail_msg("%s\ngives %s\nnot   %s", r->template, out.text.data, r->want);
        jinja_result_fini(&out);
    }
}

#define M "{\"messages\": [{\"role\": \"user\", \"content\": \"h\\u00e9\"}]}"
static const struct {
    const char *template, *input;
    slm_status status;
    const char *words;
} refused[] = {
    {"a\n{{ if 1 }}", M, SLM_E_FORMAT, "line 2: if without its end"},
    {"{{ end }}", M, SLM_E_FORMAT, "unexpected end"},
    {"{{ $x }}", M, SLM_E_FORMAT, "variable \"$x\": undefined"},
    {"{{ nonsense 1 }}", M, SLM_E_FORMAT, "function \"nonsense\""},
    {"{{ html .Prompt }}", M, SLM_E_UNSUPPORTED, "function \"html\""},
    {"{{ /* not first */ }}", M, SLM_E_FORMAT, "\"/\""},
    {"{{ break }}", M, SLM_E_FORMAT, "break outside range"},
    {"{{ 1 | 2 }}", M, SLM_E_FORMAT, "no function"},
    {"{{ 09 }}", M, SLM_E_FORMAT, "number \"09\""},
    {"{{ 1i }}", M, SLM_E_UNSUPPORTED, "number \"1i\""},
    {"{{ \"\\xff\" }}", M, SLM_E_UNSUPPORTED, "no character"},
    {"{{ (.Prompt }}", M, SLM_E_FORMAT, "parenthesis"},
    {"\xff{{ .Prompt }}", M, SLM_E_FORMAT, "UTF-8"},
    {"{{ range .Messages }}{{ .Rolle }}{{ end }}", M, SLM_E_FAILED, "field Rolle in a message"},
    {"{{ .Messages }}", M, SLM_E_UNSUPPORTED, "address"},
    {"{{ (index .Messages 3).Role }}{{ .Messages }}", M, SLM_E_FAILED, "out of range: 3"},
    {"{{ range .Messages }}{{ slice .Content 0 2 }}{{ end }}", M, SLM_E_UNSUPPORTED, "character in two"},
    {"{{ eq 1 \"1\" }}", M, SLM_E_FAILED, "incompatible types"},
    {"{{ printf \"%d\" .Prompt }}", M, SLM_E_FAILED, "%d cannot write string"},
    {"{{ printf \"%x\" 1 }}", M, SLM_E_UNSUPPORTED, "verb %x"},
    {"{{ template \"gone\" }}", M, SLM_E_FAILED, "\"gone\""},
    {"{{ define \"a\" }}{{ template \"a\" }}{{ end }}{{ template \"a\" }}", M, SLM_E_LIMIT, "recursion"},
    {"{{ range 1000000000 }}{{ end }}", M, SLM_E_LIMIT, "more than"},
    {"{{ $x := \"0123456789abcdef\" }}{{ range 60 }}{{ $x = printf \"%s%s\" $x $x }}{{ end }}", M, SLM_E_LIMIT, "more than 524288 bytes"},
    {"{{ .Prompt }}", "{}", SLM_E_FAILED, "no messages"},
    {"{{ .Prompt }}", "{\"messages\": [{\"role\": \"user\", \"content\": 3}]}", SLM_E_FAILED, "\"content\" is not a text"},
    {"{{ .Prompt }}", "{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}], \"add_generation_prompt\": false}", SLM_E_UNSUPPORTED, "add_generation_prompt"},
};

static void test_refused(void **state) {
    const struct jlimits limits = {.steps = 100000, .bytes = 512u << 10, .depth = 100};
    (void)state;
    for (size_t i = 0; i < N(refused); i++) {
        struct jinja_result out;
        slm_err err;
        slm_status st = render(refused[i].template, refused[i].input, &limits, &out, &err);
        if (st != refused[i].status || !strstr(err.msg, refused[i].words)) fail_msg("%s: status %d: %s", refused[i].template, st, st == SLM_OK ? out.text.data : err.msg);
        jinja_result_fini(&out);
    }
}

/* Nested as deep as the limit, and deeper: parentheses and blocks. */
static void test_deep(void **state) {
    static const struct { const char *open, *inside, *close; } rows[] = {{"(", "1", ")"}, {"if 1}}{{", "1", "}}{{end"}};
    (void)state;
    for (size_t i = 0; i < N(rows); i++)
        for (int n = 10; n < 100000; n *= 100) {
            struct buf b;
            struct jinja_result out;
            slm_err err;
            buf_init(&b, 1u << 20);
            buf_puts(&b, "{{");
            for (int k = 0; k < n; k++) buf_puts(&b, rows[i].open);
            buf_puts(&b, rows[i].inside);
            for (int k = 0; k < n; k++) buf_puts(&b, rows[i].close);
            buf_puts(&b, "}}");
            assert_int_equal(render(b.data, M, NULL, &out, &err), n < 100 ? SLM_OK : SLM_E_LIMIT);
            jinja_result_fini(&out);
            buf_fini(&b);
        }
}

/* Which bytes are the user's: all that came from the input, also through slice, printf and json, and nothing else. Each span is a star here. */
static void test_spans(void **state) {
    static const struct { const char *template, *want; } rows[] = {
        {"<u>{{ range .Messages }}{{ .Content }}{{ end }}</u>", "<u>*</u>"},
        {"{{ range .Messages }}{{ slice .Content 1 }}|{{ printf \"%q:%s\" .Content \"own\" }}{{ json .Content }}{{ end }}", "*|\"*\":own\"*\""},
        {"{{ $x := printf \"<%s>\" .Prompt }}{{ $x }}", "<*>"},
    };
    (void)state;
    for (size_t i = 0; i < N(rows); i++) {
        struct jinja_result out;
        slm_err err;
        struct buf seen;
        buf_init(&seen, 4096);
        assert_int_equal(render(rows[i].template, "{\"messages\": [{\"role\": \"user\", \"content\": \"abc\"}]}", NULL, &out, &err), SLM_OK);
        for (size_t k = 0, at = 0; at < out.text.len;) {
            bool is_user = k < out.n_spans && out.spans[k].start == at;
            buf_putc(&seen, is_user ? '*' : out.text.data[at]);
            at = is_user ? out.spans[k++].end : at + 1;
        }
        assert_string_equal(seen.data, rows[i].want);
        buf_fini(&seen);
        jinja_result_fini(&out);
    }
}

static void test_telling(void **state) {
    (void)state;
    assert_true(gotmpl_is(VIEW("{{ .Prompt }}")));
    assert_true(gotmpl_is(VIEW("{{- range $i, $_ := .Messages }}{{ end }}")));
    assert_false(gotmpl_is(VIEW("{{ messages[0].content }}")));
    assert_false(gotmpl_is(VIEW("{% for m in messages %}{{ m.content }}{% endfor %}")));
    assert_false(gotmpl_is(VIEW("")));
    assert_true(gotmpl_is_bare(VIEW("{{- .Prompt -}}\n")));
    assert_false(gotmpl_is_bare(VIEW("{{ .Prompt }}{{ .Response }}")));
}

/* The parser of the answer is chosen by the marks in the template, whatever its language. */
static void test_parsers(void **state) {
    static const struct { const char *template, *name; } rows[] = {
        {"{{ range .Messages }}{{ range .ToolCalls }}<tool_call>\n{\"name\": \"{{ .Function.Name }}\", \"arguments\": {{ .Function.Arguments }}}\n</tool_call>{{ end }}{{ end }}", "hermes"},
        {"{{ range .Messages }}{{ range .ToolCalls }}[TOOL_CALLS] [{{ json . }}]{{ end }}{{ end }}", "mistral"},
        {"{{ range .Messages }}<|start_header_id|>{{ .Role }}{{ range .ToolCalls }}{\"name\": \"{{ .Function.Name }}\", \"parameters\": {{ .Function.Arguments }}}{{ end }}{{ end }}", "llama3"},
        {"{{ .System }} {{ .Prompt }}", "plain"},
    };
    (void)state;
    for (size_t i = 0; i < N(rows); i++) {
        struct chat_template *t;
        slm_err err;
        assert_int_equal(chat_template_create(&(struct chat_template_source){.text = view_of(rows[i].template)}, &t, &err), SLM_OK);
        assert_string_equal(output_format_name(output_format_choose(t)), rows[i].name);
        chat_template_destroy(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows), cmocka_unit_test(test_refused), cmocka_unit_test(test_deep), cmocka_unit_test(test_spans), cmocka_unit_test(test_telling), cmocka_unit_test(test_parsers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
