/* cmd_push.c -- slm push: a model of the store to its registry. */
#include <stdio.h>
#include <string.h>

#include "base/show.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "store/push.h"

struct push_values {
    struct common_values common;
    const char *name;
};

static void show_layer(void *user, const struct layer *l, uint64_t n_done) {
    char note[64];
    snprintf(note, sizeof note, "%s %.12s", layer_kind_name(l->kind), l->digest + 7);
    progress_show(user, l->size ? (double)n_done / (double)l->size : 1, note);
}

static slm_status run_push(const void *values, slm_err *err) {
    const struct push_values *v = values;
    struct store s = {0};
    struct model_name name;
    struct progress bar;
    struct push_options o = {.cancel = &interrupt_flag, .progress = show_layer, .user = &bar};
    slm_status st = SLM_OK;
    progress_begin(&bar);
    TRY(name_parse(v->name, &name, err));
    TRY(store_open(&s, err));
    interrupt_catch();
    st = push_model(&s, &name, &o, err);
    interrupt_release();
    progress_end(&bar);
    if (st == SLM_OK) say_note("%s is at %s", show_cstr(v->name).s, name.host);
out:
    progress_end(&bar);
    store_close(&s);
    return st;
}

static const struct option operands[] = {
    {.kind = OPT_TEXT, .name = "NAME", .flags = OPTION_REQUIRED, .offset = offsetof(struct push_values, name), .since = "0.1", .help = "HOST/SPACE/MODEL:TAG; slm cp gives a model such a name"},
};
static const struct example examples[] = {
    {"slm push registry.example/me/mario", "to a registry of one's own (slm cp gives a model that name)"},
};
const struct command command_push = {
    .group = "keep models",
    .summary = "send a model to a registry",
    .description = "Sends what the registry lacks, then the manifest. The registry speaks the OCI distribution protocol and asks for no login (one with a login needs a proxy before "
                   "it that adds it). Only a registry on this machine is spoken to without TLS.",
    .table = {"push", NULL, 0, ROWS(operands)},
    .values_bytes = sizeof(struct push_values),
    .examples = examples,
    .n_examples = 1,
    .run = run_push,
};
