/* model_stored.c -- models of the store behind the server's names. */
#include <stdlib.h>
#include <string.h>

#include "base/show.h"
#include "serve/models.h"

void stored_label(const struct model_name *name, struct buf *out) {
    struct model_name n = *name;
    if (n.kind == NAME_OLLAMA && strcmp(n.tag, "latest") == 0) n.tag[0] = 0;
    name_print(&n, out);
}

slm_status stored_open(struct served *s, struct store *store, slm_err *err) {
    struct model_name name;
    slm_status st = SLM_OK;
    if (!s->is_in_store) return SLM_OK;
    TRY(name_parse_remote(s->name, &name, err));
    TRY(store_use(store, &name, &(struct use_options){.keeps_adapters = true}, &s->pulled, err));
    TRY(create_recipe(store, &s->pulled.manifest, &s->recipe, err));
out:
    if (st != SLM_OK) stored_close(s);
    return st;
}

void stored_close(struct served *s) {
    if (!s->is_in_store) return;
    pulled_fini(&s->pulled);
    recipe_fini(&s->recipe);
}

slm_status stored_recipe(const struct served *s, struct store *store, struct recipe *r, slm_err *err) {
    struct model_name name;
    struct manifest m = {0};
    slm_status st = SLM_OK;
    TRY(name_parse_remote(s->name, &name, err));
    TRY(store_read(store, &name, &m, err));
    TRY(create_recipe(store, &m, r, err));
out:
    manifest_fini(&m);
    return st;
}

static slm_status parse_name(const char *text, struct model_name *name, struct fault *f) {
    slm_status st = name_parse_remote(text, name, &f->err);
    if (st == SLM_OK && name->kind == NAME_URL) st = fault_set(f, SLM_E_USAGE, NULL, "model \"%s\": is no name for a model", show_cstr(text).s);
    return st;
}

slm_status stored_link(struct store *store, const struct served *s, const char *to, struct fault *f) {
    struct model_name name;
    struct recipe r = {0};
    struct manifest m = {0};
    struct create_options o = {.folder = s->is_in_store ? NULL : "/"};
    slm_err *err = &f->err;
    char *real = s->is_in_store ? NULL : realpath(s->path, NULL);
    slm_status st = SLM_OK;
    TRY(parse_name(to, &name, f));
    TRY(recipe_init(&r, err));
    r.from = arena_strdup(&r.mem, view_of(real ? real : s->name));
    if (!r.from) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "model: no memory");
    TRY(create_model(store, &name, &r, &o, &m, err));
out:
    free(real);
    manifest_fini(&m);
    recipe_fini(&r);
    return st;
}

slm_status stored_remove(struct store *store, const struct served *s, struct fault *f) {
    struct model_name name;
    uint64_t n_freed;
    slm_status st = parse_name(s->name, &name, f);
    return st == SLM_OK ? store_remove(store, &name, &n_freed, &f->err) : st;
}
