/* http_spool.c -- bodies that go to files, written by a thread of their own: the loop never waits for a disk.
 *
 * The loop appends what has come to the exchange's spool and reads no more of a connection whose spool is full; the thread writes, and wakes the loop, which
 * reads on, or hands the request over when all of its body is in the file. The queue holds a reference. */
#include <errno.h>
#include <unistd.h>

#include "serve/http_int.h"

static bool write_all(int fd, const char *bytes, size_t n) {
    while (n > 0) {
        ssize_t k = write(fd, bytes, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return false;
        bytes += k;
        n -= (size_t)k;
    }
    return true;
}

/* All that has come of one body; nothing more of one whose client has left. */
static void drain(struct http_exchange *x, struct buf *taken) {
    for (;;) {
        buf_clear(taken);
        pthread_mutex_lock(&x->lock);
        struct buf swap = *taken;
        *taken = x->spool;
        x->spool = swap;
        bool is_over = taken->len == 0, is_dropped = x->is_gone || x->is_spool_bad;
        if (is_over) x->is_spooling = false;
        pthread_mutex_unlock(&x->lock);
        if (is_over) return;
        bool is_written = is_dropped || write_all(x->body_fd, taken->data, taken->len);
        pthread_mutex_lock(&x->lock);
        x->n_spooled -= taken->len;
        x->is_spool_bad |= !is_written;
        if (!x->is_gone) exchange_queue(x);
        pthread_mutex_unlock(&x->lock);
    }
}

static void *work(void *arg) {
    struct spool *s = arg;
    struct buf taken;
    buf_init(&taken, SPOOL_BYTES_MAX * 2);
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->first && !s->is_ending) pthread_cond_wait(&s->news, &s->lock);
        struct http_exchange *x = s->first;
        if (!x) break;
        s->first = x->next_spooled;
        pthread_mutex_unlock(&s->lock);
        drain(x, &taken);
        exchange_unref(x);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    buf_fini(&taken);
    return NULL;
}

bool spool_push(void *user, const char *bytes, size_t n) {
    struct http_exchange *x = user;
    struct spool *s = &x->server->spool;
    pthread_mutex_lock(&x->lock);
    buf_append(&x->spool, bytes, n);
    bool is_taken = x->spool.failed == SLM_OK && !x->is_spool_bad, is_new = is_taken && !x->is_spooling;
    if (is_taken) x->n_spooled += n;
    if (is_new) {
        x->is_spooling = true;
        x->n_ref++;
    }
    pthread_mutex_unlock(&x->lock);
    if (!is_new) return is_taken;
    pthread_mutex_lock(&s->lock);
    if (!s->has_thread) s->has_thread = pthread_create(&s->thread, NULL, work, s) == 0;
    bool is_queued = s->has_thread;
    x->next_spooled = NULL;
    if (is_queued) {
        struct http_exchange **at = &s->first;
        while (*at) at = &(*at)->next_spooled;
        *at = x;
        pthread_cond_signal(&s->news);
    }
    pthread_mutex_unlock(&s->lock);
    if (!is_queued) exchange_unref(x);
    return is_queued;
}

size_t spool_pending(struct http_exchange *x, bool *is_bad) {
    pthread_mutex_lock(&x->lock);
    size_t n = x->n_spooled;
    *is_bad = x->is_spool_bad;
    pthread_mutex_unlock(&x->lock);
    return n;
}

void spool_init(struct spool *s) {
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->news, NULL);
}

void spool_fini(struct spool *s) {
    pthread_mutex_lock(&s->lock);
    s->is_ending = true;
    pthread_cond_signal(&s->news);
    pthread_mutex_unlock(&s->lock);
    if (s->has_thread) pthread_join(s->thread, NULL);
    pthread_cond_destroy(&s->news);
    pthread_mutex_destroy(&s->lock);
}
