/* fuzz_modelfile.c -- any bytes as a Modelfile: what is taken is printed, read again and is the same; what is refused leaves no more than memory to free. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/recipe.h"
#include "text/gotmpl/gotmpl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_modelfile: %s\n", what);
    abort();
}

static bool same_text(const char *a, const char *b) { return a && b ? strcmp(a, b) == 0 : a == b; }

static bool same(const struct recipe *a, const struct recipe *b) {
    return same_text(a->from, b->from) && same_text(a->system, b->system) && same_text(a->template, b->template) && json_equal(a->params, b->params) && json_equal(a->messages, b->messages) &&
           json_equal(a->licenses, b->licenses) && json_equal(a->adapters, b->adapters);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct recipe r, again;
    struct buf printed;
    slm_err err;
    char *text = malloc(size + 1); /* exact, so that a byte too far is seen */
    demand(text != NULL && recipe_init(&r, NULL) == SLM_OK, "no memory");
    if (size) memcpy(text, data, size);
    slm_status st = modelfile_parse((struct view){text, size}, "Modelfile", &r, &err);
    if (st != SLM_OK) demand(err.msg[0] && err.code != SLM_OK, "refused without a word");
    else {
        demand(r.from && *r.from, "nothing that it is made from");
        buf_init(&printed, 64u << 20);
        modelfile_print(&r, &printed);
        demand(printed.failed == SLM_OK && recipe_init(&again, NULL) == SLM_OK, "no memory to print");
        if (printed.len <= MODELFILE_BYTES_MAX) {
            demand(modelfile_parse((struct view){printed.data, printed.len}, "Modelfile", &again, NULL) == SLM_OK, "what was printed is refused");
            demand(same(&r, &again), "what was printed is another model");
        }
        if (r.template) gotmpl_is(view_of(r.template));
        recipe_fini(&again);
        buf_fini(&printed);
    }
    recipe_fini(&r);
    free(text);
    return 0;
}
