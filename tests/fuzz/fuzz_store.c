/* fuzz_store.c -- what comes from registries and users: names, manifests, lists of files. A name that is taken is safe as a path and reads back;
 * a manifest that is taken says the same when it is written and read again; a choice of files lies within the list. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/remote_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define N_FILES_MAX 64

static void demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_store: %s\n", what);
    abort();
}

static void try_name(const char *text) {
    struct model_name name, again;
    struct buf path;
    if (name_parse(text, &name, NULL) != SLM_OK || name.kind == NAME_FILE) return;
    buf_init(&path, 4096);
    if (name_path(&name, &path, NULL) == SLM_OK) {
        demand(!strstr(path.data, "..") || !strstr(path.data, "/."), "a path that leaves its folder");
        demand(name_from_path(path.data, &again), "a path that is no name");
        demand(strcmp(name.host, again.host) == 0 && strcmp(name.model, again.model) == 0 && strcmp(name.tag, again.tag) == 0, "another name");
    }
    buf_fini(&path);
}

static void try_manifest(struct view text) {
    struct manifest m, again;
    if (manifest_parse(text, "m", &m, NULL) != SLM_OK) {
        demand(!m.layers && m.n_layers == 0, "refused, yet something came out");
        return;
    }
    json_t *json = manifest_json(&m);
    char *written = json_dumps(json, JSON_COMPACT);
    demand(written != NULL, "no text");
    demand(manifest_parse(view_of(written), "m", &again, NULL) == SLM_OK, "what was written is refused");
    demand(again.n_layers == m.n_layers && manifest_bytes(&again) == manifest_bytes(&m), "another manifest");
    manifest_fini(&m);
    manifest_fini(&again);
    json_decref(json);
    free(written);
}

/* Lines are file names; the first is the quant that is wanted. */
static void try_choice(char *text, uint8_t fits) {
    struct hub_file files[N_FILES_MAX];
    size_t n = 0, chosen[N_FILES_MAX], n_chosen;
    char label[NAME_PART_MAX], *wanted = strsep(&text, "\n");
    struct buf why;
    buf_init(&why, 1 << 16);
    for (char *line; n < N_FILES_MAX && (line = strsep(&text, "\n"));) files[n++] = (struct hub_file){.name = line, .digest = "", .size = (uint64_t)strlen(line) << 20};
    if (hub_choose(files, n, strlen(wanted) < NAME_PART_MAX ? wanted : "", (uint64_t)fits << 27, chosen, &n_chosen, label, &why, NULL) == SLM_OK) {
        demand(n_chosen <= n, "more files than there are");
        for (size_t i = 0; i < n_chosen; i++) demand(chosen[i] < n, "a file that is not there");
    }
    buf_fini(&why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2 || size > 1 << 16) return 0;
    char *text = malloc(size - 1);
    demand(text != NULL, "no memory");
    memcpy(text, data + 2, size - 2);
    text[size - 2] = 0;
    if (data[0] % 3 == 0) try_name(text);
    else if (data[0] % 3 == 1) try_manifest((struct view){text, size - 2});
    else try_choice(text, data[1]);
    free(text);
    return 0;
}
