/* named.h -- -m NAME: a model of the store where no file of that name is. */
#ifndef SLM_CLI_NAMED_H
#define SLM_CLI_NAMED_H

#include "cli/command.h"
#include "model/model.h"
#include "store/pull.h"

/* named_resolve -- every option of the command with OPTION_NAMED whose value is the name of a model becomes the path of its file, which stays in
 * the store until named_release. may_pull: what is not in the store is fetched first. Errors: those of store_use, and of pulling. */
slm_status named_resolve(const struct option_table *t, void *values, bool may_pull, slm_err *err);
/* named_default -- the model that comes with the program, for a command that was given none; *path as above. Errors: USAGE (it is not there). */
slm_status named_default(const char **path, slm_err *err);
void named_release(void);

/* settings_apply -- what the manifest of a model says about its use (system prompt, parameters, chat template, messages) becomes the options that the user has not given; what
 * this command has no option for is told once, on standard error. *kept holds what values then point to; settings_fini after the command.
 * Errors: FORMAT (parameters that are none), IO. */
struct settings {
    json_t *params;
    struct buf system;
    char *template, *messages; /* paths of blobs */
};
/* settings_go_template -- a template in Go's language that says more than the prompt; empty: none. out is for buf_fini. Errors: IO, NOMEM. */
slm_status settings_go_template(const struct store *s, const struct manifest *m, struct buf *out, slm_err *err);
slm_status settings_apply(const struct store *s, const struct manifest *m, const struct option_table *t, void *values, struct settings *kept, slm_err *err);
void settings_fini(struct settings *kept);

/* named_lend_template -- the model at this path, if its file has no chat template, takes the one in Go's language that came with its name. Borrowed until
 * named_release. */
void named_lend_template(const char *path, struct slm_model *m);

/* named_is_name -- no file, and no file's name: a model's. */
bool named_is_name(const char *text);
/* named_fetch -- when path is no file and name is no file's: the model is fetched unless it is in the store. Errors: those of pulling. */
slm_status named_fetch(struct store *s, const char *path, const char *name, slm_err *err);

/* pull_show -- a name into the store with a line of progress; what slm pull and a first use do. m may be NULL. */
struct pull_settings {
    int32_t n_connections, n_threads;
    uint64_t rate_bytes_s;
};
slm_status pull_show(struct store *s, const struct remote *r, const struct pull_settings *settings, struct manifest *m, slm_err *err);
/* named_say_here -- that a model is in the store now: its name, bytes and files on standard output as JSON, or a note. Errors: IO. */
slm_status named_say_here(const char *name, const struct manifest *m, bool as_json, slm_err *err);

#endif
