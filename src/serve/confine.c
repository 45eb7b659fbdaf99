/* confine.c -- what the server gives away before it reads the first model: see base/sandbox.h. */
#include <dirent.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sandbox.h"
#include "base/util.h"
#include "model/model.h"
#include "serve/server.h"

#define PATHS_MAX 4096

struct paths {
    struct sandbox_path v[PATHS_MAX];
    char *text[PATHS_MAX];
    size_t n;
    bool is_full;
};

static void add(struct paths *p, const char *path, enum sandbox_use use) {
    if (p->n == PATHS_MAX || !path) p->is_full |= path != NULL;
    else if ((p->text[p->n] = strdup(path))) {
        p->v[p->n] = (struct sandbox_path){p->text[p->n], use};
        p->n++;
    }
}

static void add_folder_of(struct paths *p, const char *path, enum sandbox_use use) {
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    add(p, folder, use);
}

/* Where links in a folder lead now. */
static void add_links(struct paths *p, const char *folder) {
    char path[PATH_MAX];
    struct dirent *e;
    DIR *d = opendir(folder);
    while (d && (e = readdir(d))) {
        int n = snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_type == DT_LNK && n > 0 && (size_t)n < sizeof path) add(p, path, SANDBOX_READ);
    }
    if (d) closedir(d);
}

/* A model's file, the others when it is the first of several; or its folder. */
static void add_model(struct paths *p, const char *path) {
    char pattern[PATH_MAX];
    const char *at = strstr(path, "-00001-of-");
    glob_t found;
    add(p, path, SANDBOX_READ);
    add_links(p, path);
    if (!at) return;
    size_t n = 0;
    for (const char *s = path; *s && n + 2 < sizeof pattern; s++) {
        if (strchr("*?[]\\", *s)) pattern[n++] = '\\';
        pattern[n++] = s > at && s < at + 6 ? '?' : *s;
    }
    pattern[n] = 0;
    if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0) return;
    for (size_t i = 0; i < found.gl_pathc; i++) add(p, found.gl_pathv[i], SANDBOX_READ);
    globfree(&found);
}

void confine_server(const struct server *s) {
    const struct server_config *c = &s->config;
    char cache[PATH_MAX], said[256];
    struct paths *p = calloc(1, sizeof *p);
    if (!p) return log_print(LOG_WARN, "sandbox: none: no memory");
    for (size_t i = 0; i < c->models.n_files; i++) {
        const char *equals = strchr(c->models.files[i], '=');
        add_model(p, c->models.files[i]);
        if (equals) add_model(p, equals + 1);
    }
    for (size_t i = 0; i < c->models.n_loras; i++) add_model(p, c->models.loras[i].path);
    if (c->models.folder) {
        add(p, c->models.folder, SANDBOX_WRITE);
        add_links(p, c->models.folder);
    }
    if (c->models.store) { /* blobs may be links to the caches of others */
        char blobs[PATH_MAX];
        snprintf(blobs, sizeof blobs, "%s/blobs", c->models.store->root);
        add(p, c->models.store->root, SANDBOX_WRITE);
        add_links(p, blobs);
    }
    if (c->models.template_path) add(p, c->models.template_path, SANDBOX_READ);
    if (model_cache_folder(cache, sizeof cache)) add(p, cache, SANDBOX_WRITE);
    for (size_t i = 0; i < c->n_listen; i++)
        if (strncmp(c->listen[i], "unix:", 5) == 0) add_folder_of(p, c->listen[i] + 5, SANDBOX_REMOVE);
    if (s->gateway) add_folder_of(p, gateway_ledger(s->gateway), SANDBOX_WRITE);
    bool goes_out = s->gateway || c->n_pull_from || c->n_push_to;
    sandbox_enter(p->v, p->n, !goes_out, said, sizeof said);
    if (c->log != LOG_OFF) fprintf(stderr, "sandbox: %s%s\n", said, p->is_full ? "; some links of the models' folder are left out" : "");
    for (size_t i = 0; i < p->n; i++) free(p->text[i]);
    free(p);
}
