/* output_rows.c -- one row per way of marking calls and reasoning. To add a family: its marks, its body, a row. */
#include <string.h>

#include "text/chat_template.h"
#include "text/output_int.h"

#define THINK {"<think>", MARK_REASONING, START, false}, {"</think>", MARK_TEXT, REASONING, false}

static const struct output_mark harmony_marks[] = {
    {"<|channel|>", MARK_HEADER, START | TEXT | REASONING, false}, {"<|start|>", MARK_HEADER, START | TEXT | REASONING, false},
    {"<|end|>", MARK_TEXT, START | TEXT | REASONING, false}, {"<|return|>", MARK_TEXT, TEXT | REASONING, false},
    {"<|call|>", MARK_TEXT, TEXT | REASONING, false}, {NULL, 0, 0, false}};
static const struct output_mark gemma4_marks[] = {
    {"<|channel>thought\n", MARK_REASONING, START | TEXT, false}, {"<channel|>", MARK_TEXT, REASONING, false},
    {"<|tool_call>", MARK_CALL, START | TEXT, false}, {NULL, 0, 0, false}};
static const struct output_mark function_gemma_marks[] = {{"<start_function_call>", MARK_CALL, START | TEXT, false}, {NULL, 0, 0, false}};
static const struct output_mark mistral_marks[] = {
    THINK, {"[THINK]", MARK_REASONING, START, false}, {"[/THINK]", MARK_TEXT, REASONING, false},
    {"[TOOL_CALLS]", MARK_CALL, START | TEXT, false}, {NULL, 0, 0, false}};
static const struct output_mark deepseek_marks[] = {
    THINK, {"<｜tool▁calls▁begin｜>", MARK_SKIP, START | TEXT, false}, {"<｜tool▁calls▁end｜>", MARK_SKIP, START | TEXT, false},
    {"<｜tool▁call▁begin｜>", MARK_CALL, START | TEXT, false}, {NULL, 0, 0, false}};
static const struct output_mark lfm2_marks[] = {THINK, {"<|tool_call_start|>", MARK_CALL, START | TEXT, false}, {NULL, 0, 0, false}};
static const struct output_mark functools_marks[] = {THINK, {"functools[", MARK_CALL_KEEP, START | TEXT, true}, {NULL, 0, 0, false}};
static const struct output_mark tool_call_list_marks[] = {
    THINK, {"<response>", MARK_SKIP, START | TEXT, false}, {"</response>", MARK_SKIP, TEXT, false},
    {"Here is my thought process:", MARK_REASONING, START, false}, {"Here's my thought process:", MARK_REASONING, START, false},
    {"Here is my response:", MARK_TEXT, REASONING, false}, {"Here's my response:", MARK_TEXT, REASONING, false},
    {"<|tool_call|>", MARK_CALL, START | TEXT, false}, {"<tool_call>", MARK_CALL, START | TEXT, false},
    {"<|/tool_call|>", MARK_SKIP, TEXT, false}, {"</tool_call>", MARK_SKIP, TEXT, false}, {NULL, 0, 0, false}};
static const struct output_mark functionary_marks[] = {{">>>", MARK_HEADER, START | TEXT, false}, {NULL, 0, 0, false}};
static const struct output_mark function_tag_marks[] = {
    THINK, {"<function=", MARK_CALL, START | TEXT, false}, {"<|python_tag|>", MARK_SKIP, START | TEXT, false}, {NULL, 0, 0, false}};
static const struct output_mark hermes_marks[] = {THINK, {"<tool_call>", MARK_CALL, START | TEXT, false}, {NULL, 0, 0, false}};
static const struct output_mark llama3_marks[] = {
    THINK, {"<|python_tag|>", MARK_CALL_KEEP, START | TEXT, false}, {"{", MARK_CALL_KEEP, START, true}, {NULL, 0, 0, false}};
static const struct output_mark gemma_marks[] = {{"```tool_code\n", MARK_CALL, START | TEXT, false}, {NULL, 0, 0, false}};
static const struct output_mark plain_marks[] = {THINK, {NULL, 0, 0, false}};

/* How calls are written where their arguments are JSON; other forms are read, but can be held to nothing. */
static const struct call_form hermes_form = {"\n", "{\"name\": \"", "\", \"arguments\": ", "}\n", NULL, "</tool_call>", false};
static const struct call_form list_form = {" [", "{\"name\": \"", "\", \"arguments\": ", "}", ", ", "]", false};
static const struct call_form functools_form = {"", "{\"name\": \"", "\", \"arguments\": ", "}", ", ", "]", false};
static const struct call_form llama3_form = {"", "{\"name\": \"", "\", \"parameters\": ", "}", NULL, "", true};
static const struct call_form function_tag_form = {"", "", ">", "", NULL, "</function>", false};
static const struct call_form alone_form = {"", "{\"name\": \"", "\", \"arguments\": ", "}", NULL, "", false};

/* In the order in which they are tried: what only one family writes comes first. */
static const struct output_format rows[] = {
    {"harmony", {"<|channel|>"}, harmony_marks, END_MARK, "<|call|>", body_header, NULL, "<|start|>assistant", "<|message|>", NULL, {NULL}},
    {"gemma4", {"<|tool_call>", "call:"}, gemma4_marks, END_MARK, "<tool_call|>", body_gemma, "<|channel>thought\n", NULL, NULL, NULL, {NULL}},
    {"functiongemma", {"<start_function_call>"}, function_gemma_marks, END_MARK, "<end_function_call>", body_gemma, NULL, NULL, NULL, NULL, {NULL}},
    {"mistral", {"[TOOL_CALLS]"}, mistral_marks, END_VALUE, NULL, body_mistral, "[THINK]", NULL, NULL, &list_form, {"[ARGS]"}},
    {"deepseek", {"<｜tool▁call▁begin｜>"}, deepseek_marks, END_MARK, "<｜tool▁call▁end｜>", body_deepseek, "<think>", NULL, NULL, NULL, {NULL}},
    {"lfm2", {"<|tool_call_start|>"}, lfm2_marks, END_MARK, "<|tool_call_end|>", body_pythonic, "<think>", NULL, NULL, NULL, {NULL}},
    {"lfm2", {"<|tool_list_start|>"}, lfm2_marks, END_MARK, "<|tool_call_end|>", body_pythonic, "<think>", NULL, NULL, NULL, {NULL}},
    {"lfm2", {"List of tools: ["}, lfm2_marks, END_MARK, "<|tool_call_end|>", body_pythonic, "<think>", NULL, NULL, NULL, {NULL}},
    {"functools", {"functools["}, functools_marks, END_VALUE, NULL, body_json, "<think>", NULL, NULL, &functools_form, {NULL}},
    {"toolcalllist", {"<|tool_call|>"}, tool_call_list_marks, END_VALUE, NULL, body_json, "<think>", NULL, NULL, &list_form, {NULL}},
    {"toolcalllist", {"<|/tool|>"}, tool_call_list_marks, END_VALUE, NULL, body_json, "<think>", NULL, NULL, &list_form, {NULL}},
    {"functionary", {">>>all"}, functionary_marks, END_VALUE, NULL, body_header, NULL, ">>>", "\n", NULL, {NULL}},
    {"hermes", {"<tool_call>"}, hermes_marks, END_MARK, "</tool_call>", body_tagged, "<think>", NULL, NULL, &hermes_form, {"<function=", "<arg_key>"}},
    {"functiontag", {"<function="}, function_tag_marks, END_MARK, "</function>", body_function_tag, "<think>", NULL, NULL, &function_tag_form, {NULL}},
    {"llama3", {"<|python_tag|>"}, llama3_marks, END_OUTPUT, NULL, body_python_tag, "<think>", NULL, NULL, &llama3_form, {NULL}},
    {"llama3", {"<|start_header_id|>", "\"parameters\""}, llama3_marks, END_OUTPUT, NULL, body_python_tag, "<think>", NULL, NULL, &llama3_form, {NULL}},
    {"gemma", {"tool_code"}, gemma_marks, END_MARK, "```", body_pythonic, NULL, NULL, NULL, NULL, {NULL}},
    {"plain", {NULL}, plain_marks, END_OUTPUT, NULL, NULL, "<think>", NULL, NULL, NULL, {NULL}},
};
#define N_ROWS (sizeof rows / sizeof *rows)

static const struct output_mark alone_marks[] = {{"{", MARK_CALL_KEEP, START, false}, {NULL, 0, 0, false}};
static const struct output_format alone = {"alone", {NULL}, alone_marks, END_VALUE, NULL, body_json, NULL, NULL, NULL, &alone_form, {NULL}};
const struct output_format *output_format_alone(void) { return &alone; }

const struct call_form *output_format_form(const struct output_format *f, const struct chat_template *t) {
    for (size_t i = 0; t && i < 2 && f->form_unless[i]; i++)
        if (chat_template_mentions(t, f->form_unless[i])) return NULL;
    return f->form;
}

const char *output_format_close(const struct output_format *f) { return f->close; }
const char *output_format_name(const struct output_format *f) { return f->name; }
const struct output_format *output_format_at(size_t i) { return i < N_ROWS ? &rows[i] : NULL; }

const struct output_format *output_format_find(const char *name) {
    for (size_t i = 0; i < N_ROWS; i++)
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    return NULL;
}

const struct output_format *output_format_choose(const struct chat_template *t) {
    for (size_t i = 0; i + 1 < N_ROWS; i++) {
        bool all = true;
        for (size_t k = 0; k < 3 && rows[i].detect[k]; k++) all &= chat_template_mentions(t, rows[i].detect[k]);
        if (all) return &rows[i];
    }
    return &rows[N_ROWS - 1];
}
