/* cmd_create.c -- slm create: a name from a Modelfile, a file, or a Hugging Face folder. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/named.h"
#include "cli/progress.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "engine/quantize.h"
#include "store/create.h"
#include "text/gotmpl/gotmpl.h"

struct create_values {
    struct common_values common;
    const char *name, *file, *from, *type;
    int32_t threads;
    bool json;
};

static void show_bytes(void *user, uint64_t n_done, uint64_t n_all) { progress_show(user, n_all ? (double)n_done / (double)n_all : 1, "converting"); }

/* The folder of the Modelfile: where its relative paths begin. */
static slm_status folder_of(const char *path, struct buf *out, slm_err *err) {
    const char *slash = strrchr(path, '/');
    if (!slash) buf_puts(out, ".");
    else if (slash == path) buf_puts(out, "/");
    else buf_append(out, path, (size_t)(slash - path));
    return buf_status(out, "folder", err);
}

static slm_status read_recipe(const struct create_values *v, struct recipe *r, struct buf *folder, slm_err *err) {
    struct buf text;
    slm_status st = SLM_OK;
    const char *path = v->file ? v->file : "Modelfile";
    buf_init(&text, MODELFILE_BYTES_MAX);
    if (v->from && v->file) FAIL(SLM_E_USAGE, SLM_NOWHERE, "option \"--from\": a Modelfile is given too, and says it with FROM");
    if (v->from) {
        r->from = arena_strdup(&r->mem, view_of(v->from));
        if (!r->from) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "option \"--from\": too long");
        st = folder_of("", folder, err);
    } else {
        TRY(file_read(&text, path, err));
        TRY(modelfile_parse((struct view){text.data ? text.data : "", text.len}, path, r, err));
        st = folder_of(strcmp(path, "-") == 0 ? "" : path, folder, err);
    }
out:
    buf_fini(&text);
    return st;
}

/* FROM may name what is not here yet. */
static slm_status pull_base(struct store *s, const struct recipe *r, const char *folder, slm_err *err) {
    struct buf path;
    slm_status st = SLM_OK;
    buf_init(&path, 8192);
    buf_printf(&path, "%s/%s", folder, r->from);
    TRY(buf_status(&path, "FROM", err));
    if (*r->from != '~') TRY(named_fetch(s, *r->from == '/' ? r->from : path.data, r->from, err));
out:
    buf_fini(&path);
    return st;
}

static void say_go_template(const struct recipe *r) {
    struct gotmpl *t;
    slm_err err;
    if (!r->template || !gotmpl_is(view_of(r->template))) return;
    if (gotmpl_compile(view_of(r->template), &t, NULL, &err) == SLM_OK) gotmpl_destroy(t);
    else say_note("TEMPLATE, in Go's language, is kept and cannot be used: %s", err.msg);
}

static slm_status run_create(const void *values, slm_err *err) {
    const struct create_values *v = values;
    struct store s = {0};
    struct model_name name;
    struct recipe r = {0};
    struct manifest m = {0};
    struct buf folder, full;
    struct progress bar;
    struct create_options o = {.n_threads = v->threads, .cancel = &interrupt_flag, .progress = show_bytes, .user = &bar};
    slm_status st = SLM_OK;
    progress_begin(&bar);
    buf_init(&folder, 4096);
    buf_init(&full, 4096);
    TRY(name_parse(v->name, &name, err));
    if (v->type) TRY(file_type_parse(v->type, &o.type, err));
    TRY(recipe_init(&r, err));
    TRY(read_recipe(v, &r, &folder, err));
    o.folder = folder.data;
    TRY(store_open(&s, err));
    TRY(pull_base(&s, &r, folder.data, err));
    interrupt_catch();
    st = create_model(&s, &name, &r, &o, &m, err);
    interrupt_release();
    progress_end(&bar);
    if (st != SLM_OK) goto out;
    say_go_template(&r);
    name_print(&name, &full);
    TRY(named_say_here(full.data, &m, v->json, err));
out:
    progress_end(&bar);
    buf_fini(&folder);
    buf_fini(&full);
    manifest_fini(&m);
    recipe_fini(&r);
    store_close(&s);
    return st;
}

static const struct option options[] = {
    {.kind = OPT_FILE, .letter = 'f', .name = "file", .value = "FILE", .offset = offsetof(struct create_values, file), .since = "0.1",
     .help = "the Modelfile; without it, and without --from, the file Modelfile here; - is standard input"},
    {.kind = OPT_FILE, .name = "from", .value = "MODEL", .offset = offsetof(struct create_values, from), .since = "0.1",
     .bars = "file", .help = "instead of a Modelfile: a GGUF file, a Hugging Face folder, or a name"},
    {.kind = OPT_TEXT, .letter = 'q', .name = "quantize", .value = "TYPE", .offset = offsetof(struct create_values, type), .since = "0.1",
     .help = "file type to convert to, as slm quantize has them"},
    OPTION_JSON(struct create_values),
    OPTION_THREADS(struct create_values),
};
static const struct option operands[] = {
    {.kind = OPT_TEXT, .name = "NAME", .flags = OPTION_REQUIRED, .offset = offsetof(struct create_values, name), .since = "0.1", .help = "the new name"},
};
static const struct example examples[] = {
    {"slm create mario -f Modelfile", "FROM, PARAMETER, SYSTEM, TEMPLATE, MESSAGE, ADAPTER, LICENSE"},
    {"slm create qwen --from Qwen3-0.6B -q Q4_K_M", "of a Hugging Face folder, quantized in the same pass"},
    {"slm create mine --from model.gguf", "a name for a file; nothing is copied on the disk"},
};
const struct command command_create = {
    .group = "keep models",
    .summary = "make a model of a Modelfile, a file or a folder",
    .description = "Makes a name in the store. A GGUF file is linked and not copied; a folder is converted; FROM NAME shares the files of that name, which is fetched "
                   "when it is not here. A directive that slm does not know is refused with its line.\n\n"
                   "PARAMETER, SYSTEM and MESSAGE fill what a user of the model does not say. ADAPTER (a GGUF file, as slm finetune writes it) runs beside the model. "
                   "TEMPLATE is in Jinja or in Go's language (as Ollama has it), and replaces the one in the model's file.",
    .table = {"create", ROWS(options), ROWS(operands)},
    .values_bytes = sizeof(struct create_values),
    .examples = examples,
    .n_examples = sizeof examples / sizeof examples[0],
    .run = run_create,
};
