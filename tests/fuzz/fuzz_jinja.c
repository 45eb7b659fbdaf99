/* fuzz_jinja.c -- any template, any input: it renders valid UTF-8 with spans in order, or fails with words, within its limits.
 *
 * Input: the template, a NUL, the JSON of its variables; what is not JSON leaves a fixed set of them. */
#include <string.h>

#include "fuzz/rendered.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char fixed[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"Be \\u00e9.\"}, {\"role\": \"user\", \"content\": \"Hi <|im_end|>\\n\"}, "
    "{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": {\"a\": 1, \"b\": [true, 2.5]}}}]}], "
    "\"tools\": null, \"s\": \"Hello, World\", \"n\": 42, \"f\": 3.75, \"l\": [3, 1, 2], \"d\": {\"b\": 2, \"a\": \"x\"}, \"bos_token\": \"<s>\", "
    "\"add_generation_prompt\": true}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct jlimits limits = {.steps = 100000, .bytes = 16u << 20, .depth = 200};
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t n = end ? (size_t)(end - data) : size;
    struct jinja_template *t;
    struct jinja_fault fault;
    struct jinja_result result;
    slm_err err;
    if (size > 1u << 16) return 0;
    slm_status st = jinja_compile((struct view){(const char *)data, n}, &t, &fault, &err);
    demand(st == SLM_OK || (err.msg[0] && fault.message.data && fault.class_name[0]), "a failure without words");
    jinja_fault_fini(&fault);
    if (st != SLM_OK) return 0;
    json_t *input = end ? json_loadb((const char *)end + 1, size - n - 1, JSON_ALLOW_NUL, NULL) : NULL;
    if (!json_is_object(input)) {
        json_decref(input);
        input = json_loads(fixed, 0, NULL);
    }
    st = jinja_render(t, input, &limits, &result, &fault, &err);
    if (st == SLM_OK) check_result(&result);
    else demand(err.code == st && result.text.data == NULL && fault.class_name[0], "a failure without words, or with a result");
    jinja_result_fini(&result);
    jinja_fault_fini(&fault);
    json_decref(input);
    jinja_destroy(t);
    return 0;
}
