/* turn.c -- lines of requests before sessions. */
#include "serve/turn.h"

#include <time.h>

#include "base/cpu.h"
#include "serve/errand.h"

#define TICK_MS 250 /* how late a passed deadline is noticed by who waits */

void turns_init(struct turns *t) {
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->moved, NULL);
}

void turns_fini(struct turns *t) {
    pthread_cond_destroy(&t->moved);
    pthread_mutex_destroy(&t->lock);
}

/* Loop thread: the client has left. */
static void on_gone(void *user) {
    struct turn *t = user;
    struct turns *all = &t->c->server->turns;
    pthread_mutex_lock(&all->lock);
    t->is_gone = true;
    pthread_cond_broadcast(&all->moved);
    pthread_mutex_unlock(&all->lock);
}

void turn_open(struct turn *t, struct call *c, double deadline) {
    *t = (struct turn){.c = c, .deadline = deadline};
    http_on_gone(c->x, on_gone, t);
}

void turn_close(struct turn *t) {
    turn_leave(t);
    if (t->c) http_on_gone(t->c->x, NULL, NULL);
}

/* May it go on? */
static slm_status check(const struct turn *t, slm_err *err) {
    if (t->is_gone) return err_set(err, SLM_E_CANCELLED, SLM_NOWHERE, "client: left");
    if (t->deadline <= 0 || time_now_s() < t->deadline) return SLM_OK;
    t->c->fault.http_status = 504;
    return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "answer: the deadline is over");
}

static slm_status run_on_engine(void *user, session_step fn, void *arg, slm_err *err) {
    struct turn *t = user;
    slm_status st = check(t, err);
    return st == SLM_OK ? errand_run(t->c, fn, arg, err) : st;
}

static void leave_line(struct turn *t) {
    struct turn **at = t->line;
    while (*at && *at != t) at = &(*at)->next;
    if (*at) *at = t->next;
    t->line = NULL;
}

/* Lock held. */
static slm_status wait_front(struct turn *t, struct turns *all) {
    slm_status st;
    while ((st = check(t, &t->c->fault.err)) == SLM_OK && *t->line != t) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += TICK_MS * 1000000L;
        if (until.tv_nsec >= 1000000000L) until.tv_sec++, until.tv_nsec -= 1000000000L;
        pthread_cond_timedwait(&all->moved, &all->lock, &until);
    }
    return st;
}

struct making {
    slm_status (*make)(void *user, struct slm_session **session, slm_err *err);
    void *user;
    struct slm_session *session;
};

static slm_status make_here(void *arg, slm_err *err) {
    struct making *m = arg;
    return m->make(m->user, &m->session, err);
}

slm_status turn_enter(struct turn *t, struct turn **line, slm_status (*make)(void *user, struct slm_session **session, slm_err *err), void *user) {
    struct turns *all = &t->c->server->turns;
    struct making m = {make, user, NULL};
    pthread_mutex_lock(&all->lock);
    t->line = line;
    t->next = NULL;
    while (*line) line = &(*line)->next;
    *line = t;
    slm_status st = wait_front(t, all);
    pthread_mutex_unlock(&all->lock);
    if (st == SLM_OK) st = errand_run(t->c, make_here, &m, &t->c->fault.err);
    if (st != SLM_OK) {
        turn_leave(t);
        return st;
    }
    t->session = m.session;
    t->session->host = (struct session_host){run_on_engine, t};
    t->session->cancel = &t->is_gone;
    return SLM_OK;
}

void turn_leave(struct turn *t) {
    if (!t->line) return;
    struct turns *all = &t->c->server->turns;
    if (t->session) {
        t->session->host = (struct session_host){0};
        t->session->cancel = NULL;
        t->session = NULL;
    }
    pthread_mutex_lock(&all->lock);
    leave_line(t);
    pthread_cond_broadcast(&all->moved);
    pthread_mutex_unlock(&all->lock);
}
