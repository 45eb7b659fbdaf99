/* name.h -- what a user calls a model, taken apart and checked. docs/store.md has the table. */
#ifndef SLM_STORE_NAME_H
#define SLM_STORE_NAME_H

#include "base/mem.h"

enum name_kind {
    NAME_FILE,   /* a path */
    NAME_OLLAMA, /* host/space/model:tag of an OCI-like registry */
    NAME_HUB,    /* hf.co/owner/repo:quant */
    NAME_URL,    /* one file by http or https */
};

#define NAME_PART_MAX 128
#define NAME_MAX_BYTES 2048

/* Parts are made of letters, digits, "_", "-" and ".", begin with none of the last two, and are never empty (but tag of a hub's
 * name: the quant is still to be chosen). So they are safe as names of folders. */
struct model_name {
    enum name_kind kind;
    char host[NAME_PART_MAX];  /* may have ":port" */
    char space[NAME_PART_MAX]; /* "library"; the hub's owner */
    char model[NAME_PART_MAX]; /* the hub's repository */
    char tag[NAME_PART_MAX];   /* "latest"; the hub's quant */
    char url[NAME_MAX_BYTES];  /* FILE: the path; URL: as given */
};

/* name_parse -- Errors: USAGE (a part that could leave its folder, empty, or too long: named). */
slm_status name_parse(const char *text, struct model_name *name, slm_err *err);
/* name_parse_remote -- the same for what a request says: never a file, whatever is there. */
slm_status name_parse_remote(const char *text, struct model_name *name, slm_err *err);
/* name_print -- as short as it can be written: "llama3.2:1b", "hf.co/owner/repo:Q4_K_M". */
void name_print(const struct model_name *name, struct buf *out);
/* name_path -- "host/space/model/tag" below the folder of manifests. Not for FILE. Errors: USAGE (a hub's name without a quant). */
slm_status name_path(const struct model_name *name, struct buf *out, slm_err *err);
/* name_from_path -- the reverse; false: it is no such path. */
bool name_from_path(const char *path, struct model_name *name);

/* name_is_within -- does "HOST[/SPACE[/MODEL]]" cover the name? "*" stands for any part; hosts by any of their names. */
bool name_is_within(const struct model_name *name, const char *pattern);

#endif
