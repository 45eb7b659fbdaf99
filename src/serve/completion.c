/* completion.c -- nothing is said before everything that can be refused was looked at. */
#include "serve/completion.h"

#include "serve/models.h"

slm_status completing_run(struct completing *t) {
    struct call *c = t->c;
    const struct request *r = &c->r;
    slm_status st = SLM_OK;
    TRY(format_read(r, &t->format, &c->fault));
    if (t->format.is_set) t->g.spec = &t->format.spec;
    TRY(generation_check(&t->g));
    TRY(request_sampling(r, tok_n_vocab(t->model->model->tok), &t->sampling, &c->fault));
    TRY(request_stops(r->stop, "stop", t->stops, (size_t)c->server->limits.v[LIMIT_STOPS], &t->g.n_stops, &c->fault));
    if (r->stream == 1) stream_begin(c);
    st = generation_run(&t->g);
out:
    return st;
}

void completing_fini(struct completing *t) {
    generation_fini(&t->g);
    format_fini(&t->format);
    prompts_fini(&t->prompts);
    models_release(t->c->server->models, t->model);
}
