/* fuzz_schema.c -- any bytes as a schema: it is refused or compiled; what is generated is JSON, and the independent check agrees unless
 * something was left to it. Input: a byte that seeds the walk; the rest is the schema. */
#include "gram_walk.h"

#include "text/schema/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct schema *s;
    struct gram *g = NULL;
    struct schema_notes notes;
    struct buf text;
    slm_err err;
    if (size < 1 || size > 2048) return 0;
    if (schema_parse((struct view){(const char *)data + 1, size - 1}, NULL, &s, &err) != SLM_OK) return 0;
    buf_init(&text, 1u << 20);
    slm_status st = gram_from_schema(s, &g, &notes, &err);
    demand((st == SLM_OK) == (g != NULL), "a status that is not the result");
    for (uint32_t walk = 0; g && walk < 2; walk++) {
        bool is_valid = true;
        buf_clear(&text);
        if (!gram_walk(g, data[0] * 7919u + walk, &text)) continue;
        json_t *value = json_loadb(text.data ? text.data : "", text.len, JSON_DECODE_ANY, NULL);
        demand(value != NULL, "what was generated is not JSON");
        st = schema_check(s, value, &is_valid, &err);
        if (st == SLM_OK && notes.n == 0 && !gram_has_names(g) && !is_valid) {
            fprintf(stderr, "%.*s\n%s\n", (int)text.len, text.data, err.msg);
            demand(false, "what was generated is not valid, and nothing was left to the check");
        }
        json_decref(value);
    }
    gram_destroy(g);
    schema_destroy(s);
    buf_fini(&text);
    return 0;
}
