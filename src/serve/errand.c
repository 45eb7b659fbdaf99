/* errand.c -- a call handed to the engine thread, and waiting for it. */
#include "serve/errand.h"

#include <pthread.h>

struct errand {
    slm_status (*fn)(void *user, slm_err *err);
    void *user;
    slm_status st;
    slm_err err;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done;
};

static void run_errand(void *user) {
    struct errand *e = user;
    slm_status st = e->fn(e->user, &e->err);
    pthread_mutex_lock(&e->lock);
    e->st = st;
    e->is_done = true;
    pthread_cond_signal(&e->done);
    pthread_mutex_unlock(&e->lock);
}

slm_status errand_run(struct call *c, slm_status (*fn)(void *user, slm_err *err), void *user, slm_err *err) {
    struct errand e = {.fn = fn, .user = user};
    pthread_mutex_init(&e.lock, NULL);
    pthread_cond_init(&e.done, NULL);
    slm_status st = sched_loop_call(models_loop(c->server->models), run_errand, &e, err);
    if (st == SLM_OK) {
        pthread_mutex_lock(&e.lock);
        while (!e.is_done) pthread_cond_wait(&e.done, &e.lock);
        pthread_mutex_unlock(&e.lock);
        st = e.st;
        if (st != SLM_OK && err) *err = e.err;
    }
    pthread_cond_destroy(&e.done);
    pthread_mutex_destroy(&e.lock);
    return st;
}
