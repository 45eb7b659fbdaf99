/* fuzz_gotmpl.c -- any template in Go's language, any input: it renders valid UTF-8 with spans in order, or fails with words, within its limits.
 *
 * Input: the template, a NUL, the JSON of its input; what is no JSON object leaves a fixed one. */
#include <string.h>

#include "fuzz/rendered.h"
#include "text/gotmpl/gotmpl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char fixed[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be \\u00e9.\"}, {\"role\": \"user\", \"content\": \"Hi <|im_end|>\\n\"}, {\"role\": \"assistant\", \"content\": \"\", "
    "\"reasoning_content\": \"hm\", \"tool_calls\": [{\"id\": \"1\", \"function\": {\"name\": \"f\", \"arguments\": {\"a\": 1, \"b\": [true, 2.5, null]}}}]}, "
    "{\"role\": \"tool\", \"content\": \"7\", \"name\": \"f\", \"tool_call_id\": \"1\"}, {\"role\": \"user\", \"content\": \"And?\"}], \"tools\": [{\"type\": \"function\", "
    "\"function\": {\"name\": \"f\", \"description\": \"d\", \"parameters\": {\"type\": \"object\", \"required\": [\"a\"], \"properties\": {\"a\": {\"type\": [\"integer\", \"null\"]}, "
    "\"b\": {\"type\": \"array\", \"items\": {\"type\": \"string\"}, \"properties\": {\"c\": {\"anyOf\": [{\"type\": \"string\"}]}}}}}}}], \"enable_thinking\": true}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct jlimits limits = {.steps = 100000, .bytes = 16u << 20, .depth = 100};
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t n = end ? (size_t)(end - data) : size;
    struct view source = {(const char *)data, n};
    struct gotmpl *t;
    struct jinja_fault fault;
    struct jinja_result result;
    slm_err err;
    if (size > 1u << 16) return 0;
    gotmpl_is(source);
    gotmpl_is_bare(source);
    slm_status st = gotmpl_compile(source, &t, &fault, &err);
    demand(st == SLM_OK || (err.msg[0] && fault.message.data && fault.class_name[0]), "a failure without words");
    jinja_fault_fini(&fault);
    if (st != SLM_OK) return 0;
    json_t *input = end ? json_loadb((const char *)end + 1, size - n - 1, JSON_ALLOW_NUL, NULL) : NULL;
    if (!json_is_object(input)) {
        json_decref(input);
        input = json_loads(fixed, 0, NULL);
    }
    st = gotmpl_render(t, input, &limits, &result, &fault, &err);
    if (st == SLM_OK) check_result(&result);
    else demand(err.code == st && result.text.data == NULL && fault.class_name[0], "a failure without words, or with a result");
    jinja_result_fini(&result);
    jinja_fault_fini(&fault);
    json_decref(input);
    gotmpl_destroy(t);
    return 0;
}
