/* Every format's calls and reasoning as events, what is no call as text, and the same events for any cut of the bytes. */
#include "test.h"

#include "base/util.h"
#include "text/chat_template.h"
#include "text/output_parser.h"

/* Events in words: T(text) R(reasoning) B(broken text) C(name arguments); deltas of one kind put together. */
struct told {
    struct buf words;
    int open; /* kind of the text being told, or -1 */
};

static void close_text(struct told *t) {
    if (t->open >= 0) buf_putc(&t->words, ')');
    t->open = -1;
}

static void on_event(void *user, const struct output_event *e) {
    struct told *t = user;
    int kind = e->kind == OUTPUT_TEXT ? (e->is_broken ? 'B' : 'T') : e->kind == OUTPUT_REASONING ? 'R' : 0;
    if (kind) {
        if (t->open != kind) {
            close_text(t);
            buf_printf(&t->words, "%c(", kind);
            t->open = kind;
        }
        buf_append(&t->words, e->text.ptr, e->text.len);
        return;
    }
    close_text(t);
    if (e->kind == OUTPUT_CALL_BEGIN) buf_printf(&t->words, "C(%d ", e->i_call);
    buf_append(&t->words, e->text.ptr, e->text.len);
    if (e->kind != OUTPUT_CALL_END) buf_putc(&t->words, e->kind == OUTPUT_CALL_BEGIN ? ' ' : ')');
}

static const char tools_text[] =
    "[{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": {\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"string\"}, \"b\": {\"type\": "
    "\"integer\"}}}}}]";

static struct told parse(const char *format, const char *prompt, bool with_tools, struct view text, const size_t *cuts, size_t n_cuts) {
    struct told told = {.open = -1};
    struct output_parser *p;
    json_t *tools = with_tools ? json_loads(tools_text, 0, NULL) : NULL;
    struct output_options o = {.prompt = view_of(prompt), .tools = tools};
    const struct output_format *f = output_format_find(format);
    buf_init(&told.words, 1u << 20);
    assert_non_null(f);
    assert_int_equal(output_parser_create(f, &o, on_event, &told, &p, NULL), SLM_OK);
    size_t at = 0;
    for (size_t i = 0; i <= n_cuts; i++) {
        size_t to = i < n_cuts ? cuts[i] : text.len;
        output_parser_push(p, (struct view){text.ptr + at, to - at});
        at = to;
    }
    output_parser_finish(p);
    close_text(&told);
    output_parser_destroy(p);
    json_decref(tools);
    return told;
}

struct row {
    const char *format, *prompt, *text, *want;
    bool with_tools;
};
#define CALL "{\"name\": \"f\", \"arguments\": {\"a\": 1}}"
static const struct row rows[] = {
    {"plain", "", "Hello there", "T(Hello there)", false},
    {"plain", "", "<think>\nhm\n</think>\n\nYes", "R(hm)T(Yes)", false},
    {"plain", "<think>\n", "hm\n</think>\nYes ", "R(hm)T(Yes )", false},
    {"plain", "", "Say <think> twice </think>", "T(Say <think> twice </think>)", false},
    {"plain", "", "  <think>a</think>b", "R(a)T(b)", false},
    {"plain", "", "<think>never closed ", "R(never closed)", false},
    {"plain", "", "<thin", "T(<thin)", false},
    {"plain", "", "\n\n", "T(\n\n)", false},
    {"hermes", "", "<tool_call>\n" CALL "\n</tool_call>", "C(0 f {\"a\": 1})", false},
    {"hermes", "", "I call.\n<tool_call>" CALL "</tool_call>\n<tool_call>\n" CALL "\n</tool_call>\n", "T(I call.)C(0 f {\"a\": 1})C(1 f {\"a\": 1})", false},
    {"hermes", "", "<think>x</think><tool_call>" CALL "</tool_call>done", "R(x)C(0 f {\"a\": 1})T(done)", false},
    {"hermes", "", "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"</tool_call>\"}}</tool_call>", "C(0 f {\"a\": \"</tool_call>\"})", false},
    {"hermes", "", "<tool_call>{\"name\": \"f\"}</tool_call>", "C(0 f {})", false},
    {"hermes", "", "<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>", "C(0 f {\"a\": 1})", false},
    {"hermes", "", "<tool_call>{\"arguments\": {\"name\": \"x\"}, \"name\": \"f\"}</tool_call>", "C(0 f {\"name\": \"x\"})", false},
    {"hermes", "", "<tool_call>" CALL, "C(0 f {\"a\": 1})", false},
    {"hermes", "", "<tool_call>{\"name\": \"f\", </tool_call> and on", "B(<tool_call>{\"name\": \"f\", </tool_call>)T( and on)", false},
    {"hermes", "", "<tool_call>{\"name\": \"f", "B(<tool_call>{\"name\": \"f)", false},
    {"hermes", "", "a < b <tool", "T(a < b <tool)", false},
    {"hermes", "", "<tool_call>\n<function=f>\n<parameter=a>\n12\n</parameter>\n<parameter=b>\n12\n</parameter>\n<parameter=c>\n[1, {\"k\": null}]\n</parameter>\n</function>\n</tool_call>",
     "C(0 f {\"a\":\"12\",\"b\":12,\"c\":[1, {\"k\": null}]})", true},
    {"hermes", "", "<tool_call>\n<function=g>\n<parameter=x>\nline one\n\"two\"\n</parameter>\n</function>\n</tool_call>", "C(0 g {\"x\":\"line one\\n\\\"two\\\"\"})", false},
    {"hermes", "", "<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>7</arg_value>\n<arg_key>b</arg_key>\n<arg_value>7</arg_value>\n</tool_call>", "C(0 f {\"a\":\"7\",\"b\":7})", true},
    {"llama3", "", "{\"name\": \"f\", \"parameters\": {\"a\": \"x\"}}", "C(0 f {\"a\": \"x\"})", true},
    {"llama3", "", "{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"g\", \"parameters\": {}}", "C(0 f {})C(1 g {})", true},
    {"llama3", "", "{\"name\": \"f\", \"parameters\": {\"a\": \"x\"}}", "T({\"name\": \"f\", \"parameters\": {\"a\": \"x\"}})", false},
    {"llama3", "", "{\"answer\": 42}", "T({\"answer\": 42})", true},
    {"llama3", "", "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}", "C(0 f {})", false},
    {"llama3", "", "<|python_tag|>brave_search.call(query=\"who?\")", "C(0 brave_search {\"query\":\"who?\"})", false},
    {"llama3", "", "<|python_tag|>print(1 + 1)", "C(0 python {\"code\":\"print(1 + 1)\"})", false},
    {"mistral", "", "[TOOL_CALLS] [" CALL ", " CALL "]", "C(0 f {\"a\": 1})C(1 f {\"a\": 1})", false},
    {"mistral", "", "[TOOL_CALLS]f[ARGS]{\"a\": [1]}[TOOL_CALLS]g[CALL_ID]abc123xyz[ARGS]{}", "C(0 f {\"a\": [1]})C(1 g {})", false},
    {"mistral", "", "[TOOL_CALLS]f{\"a\": 1}", "C(0 f {\"a\": 1})", false},
    {"mistral", "", "[THINK]so[/THINK]Yes[1]", "R(so)T(Yes[1])", false},
    {"mistral", "", "[TOOL_CALLS][1] no", "B([TOOL_CALLS][1])T( no)", false},
    {"functools", "", "functools[" CALL "]", "C(0 f {\"a\": 1})", true},
    {"toolcalllist", "", "<|tool_call|>[" CALL "]<|/tool_call|>", "C(0 f {\"a\": 1})", false},
    {"toolcalllist", "", "<think>a</think><response>b</response>", "R(a)T(b)", false},
    {"toolcalllist", "", "Here is my thought process: a b\n\nHere is my response: c", "R(a b)T(c)", false},
    {"deepseek", "<think>\n", "r\n</think>\n\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"a\": 1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "R(r)C(0 f {\"a\": 1})", false},
    {"deepseek", "", "ok<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{}<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>g<｜tool▁sep｜>{\"b\": 2}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "T(ok)C(0 f {})C(1 g {\"b\": 2})", false},
    {"lfm2", "", "<|tool_call_start|>[f(a=\"it's\", b=[1, -2.5, True, None], c={'k': (1, 2)}), g()]<|tool_call_end|>Checking.",
     "C(0 f {\"a\":\"it's\",\"b\":[1,-2.5,true,null],\"c\":{\"k\":[1,2]}})C(1 g {})T(Checking.)", false},
    {"lfm2", "", "<|tool_call_start|>[f(\"pos\", 3)]<|tool_call_end|>", "C(0 f {\"a\":\"pos\",\"b\":3})", true},
    {"lfm2", "", "<|tool_call_start|>[f(a=)]<|tool_call_end|>", "B(<|tool_call_start|>[f(a=)]<|tool_call_end|>)", false},
    {"gemma", "", "Sure\n```tool_code\nf(a='x\\ny')\n```", "T(Sure)C(0 f {\"a\":\"x\\ny\"})", false},
    {"functiongemma", "", "<start_function_call>call:f{a:<escape>x, y<escape>,b:3,c:[1,true],d:{k:<escape>v<escape>}}<end_function_call>",
     "C(0 f {\"a\":\"x, y\",\"b\":3,\"c\":[1,true],\"d\":{\"k\":\"v\"}})", false},
    {"gemma4", "", "<|channel>thought\nhm\n<channel|><|tool_call>call:f{a:<|\"|>x<|\"|>,n:null}<tool_call|>", "R(hm)C(0 f {\"a\":\"x\",\"n\":null})", false},
    {"harmony", "<|start|>assistant", "<|channel|>analysis<|message|>think it<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>", "R(think it)T(Yes.)", false},
    {"harmony", "<|start|>assistant", "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"a\":1}<|call|>", "C(0 f {\"a\":1})", false},
    {"harmony", "", "<|channel|>commentary<|message|>I will look.<|end|><|start|>assistant to=functions.f<|channel|>commentary json<|message|>{}<|call|>", "T(I will look.)C(0 f {})", false},
    {"harmony", "", "no channel at all", "T(no channel at all)", false},
    {"functionary", "assistant\n\n>>>", "all\nHi.>>>f\n{\"a\": 1}", "T(Hi.)C(0 f {\"a\": 1})", false},
    {"functionary", ">>>", "f\n{\"a\": 1}>>>g\n{}", "C(0 f {\"a\": 1})C(1 g {})", false},
    {"functiontag", "", "<function=f>{\"a\": 1}</function><function=g>{}</function>", "C(0 f {\"a\": 1})C(1 g {})", false},
};

static void check(const struct row *r, const size_t *cuts, size_t n_cuts) {
    struct told told = parse(r->format, r->prompt, r->with_tools, view_of(r->text), cuts, n_cuts);
    if (strcmp(told.words.data ? told.words.data : "", r->want) != 0)
        fail_msg("%s, %zu cuts: %s\nwant: %s\ngot:  %s", r->format, n_cuts, r->text, r->want, told.words.data ? told.words.data : "");
    buf_fini(&told.words);
}

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) check(&rows[i], NULL, 0);
}

static void test_cuts(void **state) {
    struct rng rng;
    (void)state;
    rng_init(&rng, 7);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = strlen(rows[i].text), cuts[1024];
        for (size_t at = 0; at <= n; at++) check(&rows[i], &at, 1);
        for (size_t at = 0; at < n; at++) cuts[at] = at;
        check(&rows[i], cuts, n);
        for (int round = 0; round < 50; round++) {
            size_t n_cuts = 0;
            for (size_t at = 0; at < n; at++)
                if (rng_u64(&rng) % 5 == 0) cuts[n_cuts++] = at;
            check(&rows[i], cuts, n_cuts);
        }
    }
}

/* Every row of the table is tested above, and is what its own marker chooses. */
static void test_all_formats(void **state) {
    (void)state;
    for (size_t i = 0; output_format_at(i); i++) {
        const char *name = output_format_name(output_format_at(i));
        size_t n = 0;
        for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) n += strcmp(rows[k].format, name) == 0;
        if (n == 0) fail_msg("no test of format %s", name);
    }
}

static void test_choose(void **state) {
    static const struct { const char *file, *format; } files[] = {
        {"Qwen-Qwen3-0.6B", "hermes"}, {"Qwen3.5-4B", "hermes"}, {"Qwen-Qwen2.5-7B-Instruct", "hermes"},
        {"NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "hermes"}, {"LFM2.5-Instruct", "lfm2"}, {"meta-llama-Llama-3.1-8B-Instruct", "llama3"},
        {"meta-llama-Llama-3.2-3B-Instruct", "llama3"}, {"mistralai-Mistral-Nemo-Instruct-2407", "mistral"}, {"mistralai-Ministral-3-14B-Reasoning-2512", "mistral"},
        {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "deepseek"}, {"openai-gpt-oss-120b", "harmony"}, {"google-gemma-4-31B-it", "gemma4"},
        {"ibm-granite-granite-3.3-2B-Instruct", "toolcalllist"}, {"chatml", "plain"}, {"zephyr", "plain"}};
    (void)state;
    if (!test_shared("golden/templates/chatml.jinja")) skip();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char name[256];
        struct buf text;
        struct chat_template *t;
        snprintf(name, sizeof name, "golden/templates/%s.jinja", files[i].file);
        FILE *f = fopen(test_shared(name), "rb");
        char part[4096];
        buf_init(&text, 1u << 20);
        for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;) buf_append(&text, part, n);
        fclose(f);
        assert_int_equal(chat_template_create(&(struct chat_template_source){.text = {text.data, text.len}}, &t, NULL), SLM_OK);
        if (strcmp(output_format_name(output_format_choose(t)), files[i].format) != 0)
            fail_msg("%s: %s", files[i].file, output_format_name(output_format_choose(t)));
        chat_template_destroy(t);
        buf_fini(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_cuts), cmocka_unit_test(test_all_formats), cmocka_unit_test(test_choose)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
