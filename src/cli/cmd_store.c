/* cmd_store.c -- slm list, slm show, slm cp, slm rm: what is in the store. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/show.h"
#include "cli/commands.h"
#include "cli/rows.h"
#include "cli/term.h"
#include "store/create.h"
#include "store/pull.h"
#include "store/shipped.h"

struct store_values {
    struct common_values common;
    const char *name, *to;
    struct option_texts names;
    bool json, modelfile;
};

struct listing {
    json_t *array; /* NULL: a table */
    struct buf line;
    bool failed;
};

static json_t *layer_json(const struct layer *l) {
    json_t *v = json_pack("{s:s, s:s, s:I}", "kind", layer_kind_name(l->kind), "digest", l->digest, "bytes", (json_int_t)l->size);
    if (v && l->title) json_object_set_new(v, "file", json_text(view_of(l->title)));
    return v;
}

static json_t *manifest_to_json(const char *name, const struct manifest *m) {
    json_t *layers = json_array(), *v = json_pack("{s:o, s:I, s:o, s:b}", "name", json_text(view_of(name)), "bytes", (json_int_t)manifest_bytes(m), "layers", layers, "shipped", 0);
    for (size_t i = 0; v && i < m->n_layers; i++) json_array_append_new(layers, layer_json(&m->layers[i]));
    if (v && m->source) json_object_set_new(v, "source", json_text(view_of(m->source)));
    return v;
}

static bool list_one(void *user, const struct model_name *name, const struct manifest *m, double changed_s) {
    struct listing *l = user;
    struct buf full, size;
    time_t changed = (time_t)changed_s;
    char date[32];
    buf_init(&full, 4096);
    buf_init(&size, 64);
    name_print(name, &full);
    strftime(date, sizeof date, "%Y-%m-%d %H:%M", localtime(&changed));
    if (l->array && m) {
        json_t *v = manifest_to_json(full.data, m);
        if (v) json_object_set_new(v, "changed", json_integer((json_int_t)changed));
        l->failed |= !v || json_array_append_new(l->array, v) != 0;
    } else if (!l->array) {
        if (m) buf_put_bytes(&size, manifest_bytes(m));
        out_printf("%-44s %10s  %s\n", show_cstr(full.data).s, m ? size.data : "unreadable", m ? date : "");
    }
    buf_fini(&full);
    buf_fini(&size);
    return true;
}

/* A model that comes with slm has no manifest: it is a file. */
static json_t *shipped_json(const char *name, const char *path, const struct stat *info) {
    return json_pack("{s:o, s:I, s:[], s:o, s:b, s:I}", "name", json_text(view_of(name)), "bytes", (json_int_t)info->st_size, "layers", "path", json_text(view_of(path)), "shipped", 1, "changed",
                     (json_int_t)info->st_mtime);
}

static void list_shipped(void *user, const char *name, const char *path) {
    struct listing *l = user;
    struct stat info;
    struct buf size;
    if (stat(path, &info) != 0) return;
    buf_init(&size, 64);
    buf_put_bytes(&size, (uint64_t)info.st_size);
    if (l->array) l->failed |= json_array_append_new(l->array, shipped_json(name, path, &info)) != 0;
    else out_printf("%-44s %10s  %s\n", name, size.data ? size.data : "", "comes with slm");
    buf_fini(&size);
}

static slm_status run_list(const void *values, slm_err *err) {
    const struct store_values *v = values;
    struct store s = {0};
    struct listing l = {.array = v->json ? json_array() : NULL};
    slm_status st = SLM_OK;
    TRY(store_open(&s, err));
    TRY(store_each(&s, list_one, &l, err));
    TRY(shipped_each(list_shipped, &l, err));
    if (v->json) st = out_json(l.failed ? NULL : json_pack("{s:O}", "models", l.array), err);
    else st = out_status(err);
out:
    json_decref(l.array);
    store_close(&s);
    return st;
}

/* The text of a small layer, as it is. */
static void show_layer_text(const struct store *s, const struct layer *l) {
    struct buf b;
    char *path = store_blob_path(s, l->digest);
    buf_init(&b, 1 << 16);
    if (path && file_read(&b, path, NULL) == SLM_OK) {
        out_printf("\n%s:\n", layer_kind_name(l->kind));
        out_text((struct view){b.data, b.len});
        out_puts("\n");
    }
    buf_fini(&b);
    free(path);
}

static bool is_text(enum layer_kind kind) { return kind == LAYER_SYSTEM || kind == LAYER_PARAMS || kind == LAYER_LICENSE || kind == LAYER_TEMPLATE || kind == LAYER_MESSAGES; }

static slm_status print_modelfile(const struct store *s, const struct manifest *m, slm_err *err) {
    struct recipe r;
    struct buf text;
    slm_status st = create_recipe(s, m, &r, err);
    if (st != SLM_OK) return st;
    buf_init(&text, 16u << 20);
    modelfile_print(&r, &text);
    out_text((struct view){text.data, text.len});
    buf_fini(&text);
    recipe_fini(&r);
    return out_status(err);
}

static slm_status show_shipped(const struct store_values *v, const char *path, slm_err *err) {
    struct stat info;
    if (stat(path, &info) != 0) return err_set(err, SLM_E_IO, SLM_NOWHERE, "\"%s\": %s", show_path(path).s, strerror(errno));
    if (v->json) return out_json(shipped_json(v->name, path, &info), err);
    if (v->modelfile) out_printf("FROM %s\n", path);
    else out_printf("%s\n  comes with slm; slm inspect -m %s looks into it\n  model      %s  %llu bytes\n", v->name, v->name, path, (unsigned long long)info.st_size);
    return out_status(err);
}

/* A name that the store does not have may be one that comes with slm, about which the store can do nothing. */
static slm_status explain_shipped(slm_status st, const char *name, const char *what, slm_err *err) {
    char *path = NULL;
    if (st != SLM_E_NOT_FOUND || shipped_find(name, &path, NULL) != SLM_OK || !path) return st;
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "model \"%s\": comes with slm and is not in the store, so it cannot be %s", name, what);
    err_hint(err, "its file is \"%s\"; slm create NAME --from that file makes a name of the store", show_path(path).s);
    free(path);
    return SLM_E_USAGE;
}

static slm_status run_show(const void *values, slm_err *err) {
    const struct store_values *v = values;
    struct store s = {0};
    struct model_name name;
    struct manifest m = {0};
    struct buf full;
    char *shipped = NULL;
    slm_status st = SLM_OK;
    buf_init(&full, 4096);
    TRY(name_parse(v->name, &name, err));
    if (name.kind == NAME_FILE) FAIL(SLM_E_USAGE, SLM_NOWHERE, "\"%s\": it is a file; slm inspect -m looks into it", show_cstr(v->name).s);
    TRY(shipped_find(v->name, &shipped, err)); /* before the store, as where a name is used */
    if (shipped) {
        st = show_shipped(v, shipped, err);
        goto out;
    }
    TRY(store_open(&s, err));
    TRY(store_read(&s, &name, &m, err));
    name_print(&name, &full);
    if (v->json || v->modelfile) {
        st = v->json ? out_json(manifest_to_json(full.data, &m), err) : print_modelfile(&s, &m, err);
        goto out;
    }
    out_printf("%s\n", show_cstr(full.data).s);
    if (m.source) out_printf("  source     %s\n", show_cstr(m.source).s);
    for (size_t i = 0; i < m.n_layers; i++) {
        const struct layer *l = &m.layers[i];
        out_printf("  %-9s  %s  %llu bytes%s%s\n", layer_kind_name(l->kind), l->digest, (unsigned long long)l->size, l->title ? "  " : "", l->title ? show_cstr(l->title).s : "");
    }
    for (size_t i = 0; i < m.n_layers; i++)
        if (is_text(m.layers[i].kind)) show_layer_text(&s, &m.layers[i]);
    st = out_status(err);
out:
    free(shipped);
    buf_fini(&full);
    manifest_fini(&m);
    store_close(&s);
    return st;
}

static slm_status run_cp(const void *values, slm_err *err) {
    const struct store_values *v = values;
    struct store s = {0};
    struct model_name from, to;
    struct manifest m = {0};
    slm_status st = SLM_OK;
    TRY(name_parse(v->name, &from, err));
    TRY(name_parse(v->to, &to, err));
    if (from.kind == NAME_FILE || to.kind == NAME_FILE || to.kind == NAME_URL) FAIL(SLM_E_USAGE, SLM_NOWHERE, "\"%s\": no name of a model", show_cstr(from.kind == NAME_FILE ? v->name : v->to).s);
    TRY(store_open(&s, err));
    TRY(explain_shipped(store_read(&s, &from, &m, err), v->name, "copied there", err));
    TRY(store_commit(&s, &to, &m, err));
out:
    manifest_fini(&m);
    store_close(&s);
    return st;
}

static slm_status run_rm(const void *values, slm_err *err) {
    const struct store_values *v = values;
    struct store s = {0};
    uint64_t n_freed, n_all = 0;
    struct buf size;
    slm_status st = SLM_OK;
    buf_init(&size, 64);
    TRY(store_open(&s, err));
    for (size_t i = 0; i < v->names.n; i++) {
        struct model_name name;
        TRY(name_parse(v->names.v[i], &name, err));
        if (name.kind == NAME_FILE) FAIL(SLM_E_USAGE, SLM_NOWHERE, "\"%s\": it is a file, not a model of the store", show_cstr(v->names.v[i]).s);
        TRY(explain_shipped(store_remove(&s, &name, &n_freed, err), v->names.v[i], "removed from there", err));
        n_all += n_freed;
    }
    if (v->json) st = out_json(json_pack("{s:I}", "freed_bytes", (json_int_t)n_all), err);
    else {
        buf_put_bytes(&size, n_all);
        say_note("%s freed", size.data ? size.data : "");
    }
out:
    buf_fini(&size);
    store_close(&s);
    return st;
}

static const struct option json_options[] = {OPTION_JSON(struct store_values)};
static const struct option show_options[] = {
    {.kind = OPT_FLAG, .name = "modelfile", .offset = offsetof(struct store_values, modelfile), .since = "0.1", .bars = "json", .help = "print a Modelfile that slm create makes the same model of"},
    OPTION_JSON(struct store_values),
};
#define OPERAND_NAME(label, member, text) {.kind = OPT_TEXT, .name = label, .flags = OPTION_REQUIRED, .offset = offsetof(struct store_values, member), .since = "0.1", .help = text}
static const struct option show_operands[] = {OPERAND_NAME("NAME", name, "a model of the store")};
static const struct option cp_operands[] = {OPERAND_NAME("FROM", name, "a model of the store"), OPERAND_NAME("TO", to, "its other name")};
static const struct option rm_operands[] = {
    {.kind = OPT_TEXTS, .name = "NAME", .flags = OPTION_REQUIRED, .offset = offsetof(struct store_values, names), .since = "0.1", .help = "models of the store"},
};
#define STORE_COMMAND(id, word, text, more, n_o, o, operand_rows, n_operand, ex, fn)                                                              \
    const struct command command_##id = {.group = "keep models", .summary = text, .description = more, .table = {word, o, n_o, operand_rows, n_operand}, \
                                         .values_bytes = sizeof(struct store_values), .examples = ex, .n_examples = 1, .run = fn}
static const struct example list_examples[] = {{"slm list", "names, sizes, when they came"}};
static const struct example show_examples[] = {{"slm show llama3.2:1b", "files, hashes, system prompt, parameters, licence"}};
static const struct example cp_examples[] = {{"slm cp llama3.2:1b mine", "a second name; nothing is copied on the disk"}};
static const struct example rm_examples[] = {{"slm rm mine", "the name goes; its files when no other name needs them and nobody runs them"}};
STORE_COMMAND(list, "list", "models that are here", "Prints a line for each model of the store, then those that come with slm.", 1, json_options, NULL, 0, list_examples, run_list);
STORE_COMMAND(show, "show", "what a pulled model is made of", "Prints the files of a model with their hashes, and its texts. slm inspect -m NAME looks into the model itself.", 2,
              show_options, show_operands, 1, show_examples, run_show);
STORE_COMMAND(cp, "cp", "give a model another name", "The files are shared by both names.", 0, NULL, cp_operands, 2, cp_examples, run_cp);
STORE_COMMAND(rm, "rm", "remove models from the store",
              "Removes names, then the files that no name needs. A file that a running process uses stays until the next removal after its end.", 1, json_options,
              rm_operands, 1, rm_examples, run_rm);
