/* fuzz_tiers.c -- any bytes as a gateway's file, as a rule and as a question: settings or an error with a message; a rule that is read can be walked; a form has
 * no more than twice the bytes, and the question asks the same as itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tier/near.h"
#include "tier/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_tiers: %s\n", what);
    abort();
}

static void form(struct view text) {
    struct buf b;
    float v[NEAR_N];
    buf_init(&b, 2 * NEAR_BYTES_MAX);
    bool is_made = near_form(text, &b);
    demand(b.failed == SLM_OK && (!is_made || b.len), "a form");
    buf_fini(&b);
    near_sketch(text, v);
    double c = near_cosine(v, v);
    demand(c < 1e-9 || (c > 0.999 && c < 1.001), "as like itself as can be");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct tier_settings *s;
    struct rule *r;
    struct facts f = {0};
    slm_err err;
    struct view text = {(const char *)data, size};
    err_clear(&err);
    slm_status st = settings_parse("tiers.yaml", text, &s, &err);
    demand((st == SLM_OK) == (s != NULL) && (st == SLM_OK || err.msg[0]), "settings or a message");
    settings_free(s);
    err_clear(&err);
    st = rule_parse(text, FACT_OF_REQUEST | FACT_OF_ANSWER, &r, &err);
    demand((st == SLM_OK) == (r != NULL) && (st == SLM_OK || err.msg[0]), "a rule or a message");
    for (int i = 0; i < FACT_COUNT; i++) f.text[i] = text;
    if (r) (void)rule_holds(r, &f);
    rule_free(r);
    form(text);
    return 0;
}
