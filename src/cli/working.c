/* working.c -- a model for a job. */
#include "cli/working.h"

#include <string.h>

#include "cli/named.h"
#include "cli/term.h"

slm_status working_open(const struct working_values *v, struct working *out, slm_err *err) {
    slm_status st = SLM_OK;
    const char *slash = strrchr(v->model, '/');
    *out = (struct working){.name = slash && slash[1] ? slash + 1 : v->model};
    TRY(model_open(v->model, 0, &out->model, err));
    if (!v->raw) named_lend_template(v->model, out->model);
    TRY(worker_create(out->model, &(struct worker_params){.n_ctx = v->ctx, .n_threads = v->threads, .raw = v->raw, .cancel = &interrupt_flag}, &out->worker, err));
out:
    if (st != SLM_OK) working_close(out);
    return st;
}

void working_close(struct working *w) {
    worker_destroy(w->worker);
    model_close(w->model);
    *w = (struct working){0};
}

slm_status working_show(const struct working_values *v, const char *job, slm_err *err) {
    size_t n;
    const struct prompt_row *rows = prompt_rows(&n);
    for (size_t i = 0; i < n; i++) {
        if (strncmp(rows[i].name, job, strlen(job)) != 0) continue;
        const char *system = v->system ? v->system : rows[i].system;
        out_printf("[%s]\n%s%s%s\n", rows[i].name, system ? system : "", system ? "\n\n" : "", v->form ? v->form : rows[i].form);
        out_printf("(without a chat template followed by \"%s\")\n", rows[i].opening + strspn(rows[i].opening, "\n"));
    }
    return out_status(err);
}
