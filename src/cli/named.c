/* named.c -- names become paths before a command runs, so that no command knows of the store: what comes with the program, then what was pulled. */
#include "cli/named.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/show.h"
#include "cli/progress.h"
#include "cli/term.h"
#include "store/shipped.h"

#define N_NAMED_MAX 16

static struct named {
    struct pulled pulled;
    struct settings settings;
    char *shipped;
    struct buf go_template;
} named[N_NAMED_MAX];
static size_t n_named;

struct showing {
    struct progress bar;
    char title[256];
};

static void show_bytes(void *user, uint64_t n_done, uint64_t n_all, bool by_another) {
    struct showing *s = user;
    char note[320];
    snprintf(note, sizeof note, "%s%s", s->title, by_another ? " (fetched by another process)" : "");
    progress_show(&s->bar, n_all ? (double)n_done / (double)n_all : 1, note);
}

static void show_file(void *user, const struct remote_file *f) {
    struct showing *s = user;
    snprintf(s->title, sizeof s->title, "%s", f->title ? show_cstr(f->title).s : layer_kind_name(f->kind));
}

slm_status pull_show(struct store *s, const struct remote *r, const struct pull_settings *settings, struct manifest *m, slm_err *err) {
    struct showing showing = {.title = {0}};
    struct manifest own;
    struct pull_options o = {
        .fetch = {.n_connections = settings->n_connections, .rate_bytes_s = settings->rate_bytes_s, .cancel = &interrupt_flag, .progress = show_bytes, .user = &showing},
        .n_threads = settings->n_threads,
        .on_file = show_file,
        .user = &showing,
    };
    progress_begin(&showing.bar);
    interrupt_catch();
    slm_status st = pull_model(s, r, &o, m ? m : &own, err);
    interrupt_release();
    progress_end(&showing.bar);
    if (st == SLM_OK && !m) manifest_fini(&own);
    return st;
}

slm_status named_say_here(const char *name, const struct manifest *m, bool as_json, slm_err *err) {
    struct buf size;
    if (as_json) return out_json(json_pack("{s:o, s:I, s:i}", "name", json_text(view_of(name)), "bytes", (json_int_t)manifest_bytes(m), "files", (int)m->n_layers), err);
    buf_init(&size, 64);
    buf_put_bytes(&size, manifest_bytes(m));
    say_note("%s is here: %s. slm run %s", name, size.data ? size.data : "", name);
    buf_fini(&size);
    return SLM_OK;
}

static slm_status pull_first(struct store *s, struct model_name *name, slm_err *err) {
    struct remote r = {0};
    struct remote_options ro = {.cancel = &interrupt_flag};
    struct pull_settings settings = {0};
    slm_status st = SLM_OK;
    struct buf size;
    buf_init(&size, 64);
    TRY(remote_resolve(name, &ro, &r, err));
    *name = r.name;
    buf_put_bytes(&size, remote_bytes(&r));
    say_note("%s: %s are fetched first; slm list shows what is here", name->model, size.data ? size.data : "");
    if (r.why) say_note("%s", show_cstr(r.why).s);
    TRY(pull_show(s, &r, &settings, NULL, err));
out:
    buf_fini(&size);
    remote_fini(&r);
    return st;
}

/* A path is taken as it is: what exists, and what could only be a file. */
static bool is_file_name(const char *text) {
    size_t n = strlen(text);
    return access(text, F_OK) == 0 || (n > 5 && strcmp(text + n - 5, ".gguf") == 0 && strncmp(text, "http", 4) != 0 && strncmp(text, "hf.co/", 6) != 0);
}

bool named_is_name(const char *text) {
    struct model_name name;
    return !is_file_name(text) && name_parse(text, &name, NULL) == SLM_OK && name.kind != NAME_FILE;
}

slm_status named_fetch(struct store *s, const char *path, const char *text, slm_err *err) {
    struct model_name name;
    struct manifest m = {0};
    slm_status st = SLM_OK;
    if (is_file_name(path)) return SLM_OK;
    TRY(name_parse(text, &name, err));
    if (name.kind == NAME_FILE) return SLM_OK;
    st = store_read(s, &name, &m, err);
    if (st == SLM_E_NOT_FOUND) st = pull_first(s, &name, err);
out:
    manifest_fini(&m);
    return st;
}

/* A model that comes with the program; *is_one false: text names none. */
static slm_status resolve_shipped(const char **text, bool *is_one, slm_err *err) {
    char *path;
    slm_status st = shipped_find(*text, &path, err);
    *is_one = st == SLM_OK && path;
    if (!*is_one) return st;
    named[n_named++].shipped = path;
    *text = path;
    return SLM_OK;
}

slm_status named_default(const char **path, slm_err *err) {
    bool is_one;
    *path = SHIPPED_DEFAULT;
    slm_status st = resolve_shipped(path, &is_one, err);
    if (st != SLM_OK || is_one) return st;
    *path = NULL;
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"--model\": is missing, and the model that comes with slm is not beside the program");
    err_hint(err, "slm run MODEL: a file, a folder or a name such as llama3.2:1b; or SLM_MODELS=FOLDER with " SHIPPED_DEFAULT ".gguf in it");
    return SLM_E_USAGE;
}

static void show_merge(void *user, uint64_t n_done, uint64_t n_all) { progress_show(user, n_all ? (double)n_done / (double)n_all : 1, "merging the adapters, once"); }

static slm_status use_shown(struct store *s, struct model_name *name, bool keeps_adapters, struct pulled *p, slm_err *err) {
    struct progress bar;
    progress_begin(&bar);
    interrupt_catch();
    slm_status st = store_use(s, name, &(struct use_options){&interrupt_flag, show_merge, &bar, keeps_adapters}, p, err);
    interrupt_release();
    progress_end(&bar);
    return st;
}

/* Where a command keeps the adapters that run beside its model; NULL: it takes none. */
static struct option_texts *loras_of(const struct option_table *t, void *values) {
    for (size_t i = 0; i < t->n_options; i++)
        if (t->options[i].flags & OPTION_BESIDE) return (struct option_texts *)(void *)((char *)values + t->options[i].offset);
    return NULL;
}

static slm_status add_adapters(const struct pulled *p, struct option_texts *loras, slm_err *err) {
    for (size_t i = 0; i < p->n_adapters; i++) {
        if (loras->n == OPTION_TEXTS_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "option \"--lora\": more than %d", OPTION_TEXTS_MAX);
        loras->v[loras->n++] = p->adapters[i];
    }
    return SLM_OK;
}

/* loras: takes the model's adapters; NULL: they are merged. */
static slm_status resolve(const char **text, struct option_texts *loras, bool may_pull, bool is_obeyed, const struct option_table *t, void *values, slm_err *err) {
    struct model_name name;
    struct store s = {0};
    struct named *n = &named[n_named];
    slm_status st = SLM_OK;
    bool is_shipped;
    if (is_file_name(*text)) return SLM_OK;
    TRY(name_parse(*text, &name, err));
    if (name.kind == NAME_FILE) return SLM_OK;
    if (n_named == N_NAMED_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "more than %d models by name", N_NAMED_MAX);
    TRY(resolve_shipped(text, &is_shipped, err));
    if (is_shipped) goto out;
    TRY(store_open(&s, err));
    st = use_shown(&s, &name, loras != NULL, &n->pulled, err);
    if (st == SLM_E_NOT_FOUND && may_pull) {
        TRY(pull_first(&s, &name, err));
        st = use_shown(&s, &name, loras != NULL, &n->pulled, err);
    }
    if (st != SLM_OK) goto out;
    n_named++;
    *text = n->pulled.path;
    if (loras) TRY(add_adapters(&n->pulled, loras, err));
    TRY(settings_go_template(&s, &n->pulled.manifest, &n->go_template, err));
    if (is_obeyed) TRY(settings_apply(&s, &n->pulled.manifest, t, values, &n->settings, err));
out:
    store_close(&s);
    return st;
}

void named_lend_template(const char *path, struct slm_model *m) {
    for (size_t i = 0; i < n_named && !m->chat_template.len; i++)
        if (named[i].go_template.len && named[i].pulled.path && strcmp(named[i].pulled.path, path) == 0)
            m->chat_template = (struct view){named[i].go_template.data, named[i].go_template.len};
}

slm_status named_resolve(const struct option_table *t, void *values, bool may_pull, slm_err *err) {
    size_t n_all = t->n_options + t->n_operands;
    for (size_t i = 0; i < n_all; i++) {
        const struct option *o = i < t->n_options ? &t->options[i] : &t->operands[i - t->n_options];
        if (!(o->flags & OPTION_NAMED)) continue;
        const char **text = (const char **)((char *)values + o->offset);
        slm_status st = *text ? resolve(text, strcmp(o->name, "model") == 0 ? loras_of(t, values) : NULL, may_pull, o->flags & OPTION_OBEYED, t, values, err) : SLM_OK;
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

void named_release(void) {
    while (n_named > 0) {
        struct named *n = &named[--n_named];
        pulled_fini(&n->pulled);
        settings_fini(&n->settings);
        buf_fini(&n->go_template);
        free(n->shipped);
        *n = (struct named){0};
    }
}
