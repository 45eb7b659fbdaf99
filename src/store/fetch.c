/* fetch.c -- transfers over chunks of a partial file.
 *
 * A transfer asks for what is missing of one chunk. Its head is judged before the first byte is taken: the range must begin where it was asked,
 * the whole must have the size that was promised, the entity tag must not have changed, nothing may be compressed. A server that answers a range
 * with the whole gets one transfer for all from the start. Failures that pass are tried again, with pauses, until HTTP_TRIES in a row brought no byte. */
#include "store/fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "store/http.h"
#include "store/partial_int.h"

#define CONNECTIONS_DEFAULT 4
#define POLL_MS 100
#define N_RESTARTS_MAX 2

enum state { IDLE, RUNNING };

struct fetch;
struct transfer {
    struct fetch *f;
    CURL *curl;
    struct http_head head;
    enum state state;
    size_t i_chunk;
    uint64_t at, end;      /* next byte; first that is not asked for */
    bool is_judged;
    slm_status failed;     /* our own verdict, in f->err */
};

struct fetch {
    struct store *store;
    const char *url, *token;
    const struct fetch_options *o;
    struct partial partial;
    CURLM *multi;
    struct transfer transfers[FETCH_CONNECTIONS_MAX];
    int n_transfers, n_failures, n_restarts; /* failures in a row */
    double wait_until_s;
    bool no_ranges;        /* the server sends the whole, always */
    bool restart;          /* it changed: from the start */
    slm_err err;
};

/* The verdict on a head; SLM_OK: its bytes are what was asked for. */
static slm_status judge(struct transfer *t) {
    struct fetch *f = t->f;
    const struct http_head *h = &t->head;
    const char *tag = f->partial.head->etag;
    uint64_t size = f->partial.size, total = h->status == 206 ? h->range_total : h->length;
    if (h->encoding[0] && strcmp(h->encoding, "identity") != 0)
        return err_set(&f->err, SLM_E_NETWORK, SLM_NOWHERE, "\"%.200s\": the server sends it compressed (%s)", f->url, h->encoding);
    if (total != UINT64_MAX && total != size)
        return err_set(&f->err, SLM_E_FORMAT, SLM_NOWHERE, "\"%.200s\": has %llu bytes, %llu were promised", f->url, (unsigned long long)total, (unsigned long long)size);
    if (h->etag[0] && tag[0] && strcmp(h->etag, tag) != 0) {
        f->restart = true;
        return err_set(&f->err, SLM_E_NETWORK, SLM_NOWHERE, "\"%.200s\": changed while it was fetched", f->url);
    }
    if (h->etag[0] && !tag[0]) text_copy(f->partial.head->etag, sizeof f->partial.head->etag, h->etag);
    if (h->status == 200 && !f->no_ranges) f->no_ranges = true;
    if (h->status == 200 && t->at != 0) return err_set(&f->err, SLM_E_NETWORK, SLM_NOWHERE, "\"%.200s\": the server sends no ranges", f->url);
    if (h->status == 206 && h->range_begin != t->at)
        return err_set(&f->err, SLM_E_NETWORK, SLM_NOWHERE, "\"%.200s\": the server sends another range", f->url);
    if (h->status == 200) t->end = size;
    return SLM_OK;
}

static size_t on_bytes(char *bytes, size_t unit, size_t count, void *user) {
    struct transfer *t = user;
    struct fetch *f = t->f;
    size_t n = unit * count;
    if (!t->is_judged) {
        curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &t->head.status);
        if (t->head.status / 100 != 2) return n; /* an error's page */
        t->is_judged = true;
        t->failed = judge(t);
    }
    if (t->failed == SLM_OK && n > t->end - t->at)
        t->failed = err_set(&f->err, SLM_E_FORMAT, SLM_NOWHERE, "\"%.200s\": sends more than was asked for", f->url);
    if (t->failed == SLM_OK) t->failed = partial_write(&f->partial, t->at, bytes, n, &f->err);
    if (t->failed != SLM_OK) return 0;
    t->at += n;
    f->n_failures = 0;
    return n;
}

static bool is_taken(const struct fetch *f, size_t i_chunk) {
    for (int i = 0; i < f->n_transfers; i++)
        if (f->transfers[i].state == RUNNING && f->transfers[i].i_chunk == i_chunk) return true;
    return false;
}

static bool is_any_running(const struct fetch *f) {
    for (int i = 0; i < f->n_transfers; i++)
        if (f->transfers[i].state == RUNNING) return true;
    return false;
}

/* The next piece for a transfer; false: there is none now. */
static bool choose_piece(struct fetch *f, struct transfer *t) {
    if (f->no_ranges) {
        if (is_any_running(f)) return false;
        partial_restart(&f->partial);
        t->i_chunk = 0;
        t->at = 0;
        t->end = f->partial.size;
        return true;
    }
    for (size_t i = 0; i < f->partial.n_chunk; i++) {
        uint64_t done = partial_done(&f->partial, i), n = partial_chunk_bytes(&f->partial, i);
        if (done == n || is_taken(f, i)) continue;
        t->i_chunk = i;
        t->at = (uint64_t)i * FETCH_CHUNK_BYTES + done;
        t->end = (uint64_t)i * FETCH_CHUNK_BYTES + n;
        return true;
    }
    return false;
}

static slm_status start(struct fetch *f, struct transfer *t, slm_err *err) {
    char range[64];
    if (!choose_piece(f, t)) return SLM_OK;
    curl_easy_reset(t->curl);
    slm_status st = http_setup(t->curl, f->url, f->token, &t->head, err);
    if (st != SLM_OK) return st;
    t->is_judged = false;
    t->failed = SLM_OK;
    curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->curl, CURLOPT_PRIVATE, t);
    if (f->o->rate_bytes_s) curl_easy_setopt(t->curl, CURLOPT_MAX_RECV_SPEED_LARGE, (curl_off_t)(f->o->rate_bytes_s / (uint64_t)f->n_transfers + 1));
    if (!f->no_ranges) {
        snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)t->at, (unsigned long long)t->end - 1);
        curl_easy_setopt(t->curl, CURLOPT_RANGE, range);
    }
    t->state = RUNNING;
    curl_multi_add_handle(f->multi, t->curl);
    return SLM_OK;
}

/* What the end of a transfer means: OK (go on), or the error that ends the download. */
static slm_status ended(struct fetch *f, struct transfer *t, CURLcode rc, slm_err *err) {
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &t->head.status);
    curl_multi_remove_handle(f->multi, t->curl);
    t->state = IDLE;
    if (t->failed == SLM_OK && rc == CURLE_OK && t->head.status / 100 == 2 && t->at == t->end) return SLM_OK;
    if (t->failed == SLM_E_NETWORK && f->restart) return SLM_OK; /* the loop restarts */
    if (t->failed == SLM_E_NETWORK && f->no_ranges && t->head.status == 200) return SLM_OK;
    if (t->failed != SLM_OK) {
        if (err) *err = f->err;
        return t->failed;
    }
    bool is_short = rc == CURLE_OK && t->head.status / 100 == 2; /* it ended early */
    if (!is_short && !http_is_passing(rc, t->head.status)) return http_error(rc, &t->head, f->url, err);
    if (++f->n_failures >= HTTP_TRIES) return http_error(is_short ? CURLE_PARTIAL_FILE : rc, &t->head, f->url, err);
    f->wait_until_s = time_now_s() + http_wait_s(f->n_failures - 1, &t->head);
    return SLM_OK;
}

static slm_status take_ended(struct fetch *f, slm_err *err) {
    int n_left;
    for (CURLMsg *m; (m = curl_multi_info_read(f->multi, &n_left));) {
        char *t = NULL;
        if (m->msg != CURLMSG_DONE) continue;
        CURLcode rc = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
        slm_status st = ended(f, (struct transfer *)(void *)t, rc, err);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

static void stop_all(struct fetch *f) {
    for (int i = 0; i < f->n_transfers; i++) {
        struct transfer *t = &f->transfers[i];
        if (t->state == RUNNING) curl_multi_remove_handle(f->multi, t->curl);
        t->state = IDLE;
    }
}

/* It changed under our hands: once more from the start, but not for ever. */
static slm_status restart(struct fetch *f, slm_err *err) {
    stop_all(f);
    f->restart = false;
    partial_restart(&f->partial);
    f->partial.head->etag[0] = 0;
    if (++f->n_restarts <= N_RESTARTS_MAX) return SLM_OK;
    if (err) *err = f->err;
    return SLM_E_NETWORK;
}

static slm_status transfer_all(struct fetch *f, slm_err *err) {
    slm_status st = SLM_OK;
    int n_running;
    while (!partial_is_whole(&f->partial)) {
        if (f->o->cancel && *f->o->cancel) FAIL(SLM_E_CANCELLED, SLM_NOWHERE, "interrupted: what was fetched is kept for the next try");
        for (int i = 0; i < f->n_transfers && time_now_s() >= f->wait_until_s; i++)
            if (f->transfers[i].state == IDLE) TRY(start(f, &f->transfers[i], err));
        curl_multi_perform(f->multi, &n_running);
        TRY(take_ended(f, err));
        if (f->restart) TRY(restart(f, err));
        if (f->o->progress) f->o->progress(f->o->user, partial_bytes(&f->partial), f->partial.size, false);
        if (!partial_is_whole(&f->partial)) curl_multi_poll(f->multi, NULL, 0, POLL_MS, NULL);
    }
out:
    stop_all(f);
    return st;
}

static slm_status make_transfers(struct fetch *f, slm_err *err) {
    f->n_transfers = f->o->n_connections ? f->o->n_connections : CONNECTIONS_DEFAULT;
    if (f->n_transfers > FETCH_CONNECTIONS_MAX) f->n_transfers = FETCH_CONNECTIONS_MAX;
    f->multi = curl_multi_init();
    bool ok = f->multi != NULL;
    for (int i = 0; i < f->n_transfers; i++) {
        f->transfers[i].f = f;
        f->transfers[i].curl = curl_easy_init();
        ok &= f->transfers[i].curl != NULL;
    }
    return ok ? SLM_OK : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "download: out of memory");
}

static void fetch_fini(struct fetch *f) {
    for (int i = 0; i < f->n_transfers; i++) curl_easy_cleanup(f->transfers[i].curl);
    if (f->multi) curl_multi_cleanup(f->multi);
    partial_close(&f->partial);
}

/* Whole: hash it, compare, put it in its place. */
static slm_status settle(struct fetch *f, const char *digest, char got[DIGEST_MAX], slm_err *err) {
    slm_status st = SLM_OK;
    char *path = NULL;
    TRY(store_hash(f->partial.data_path, got, f->o->cancel, err));
    if (*digest && strcmp(digest, got) != 0) {
        partial_discard(&f->partial);
        err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%.200s\": hash is %.19s..., %.19s... was promised: thrown away", f->url, got, digest);
        err_hint(err, "try again; if it repeats, the server's file is not what its manifest says");
        return SLM_E_FORMAT;
    }
    path = store_blob_path(f->store, got);
    if (!path) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "download: out of memory");
    TRY(partial_finish(&f->partial, path, err));
out:
    free(path);
    return st;
}

/* What nobody has told: the size, from a request for the head. */
static slm_status learn_size(const char *url, const char *token, const struct fetch_options *o, uint64_t *size, char etag[256], slm_err *err) {
    struct http_head head;
    slm_status st = http_head_of(url, token, o->cancel, &head, err);
    if (st != SLM_OK) return st;
    text_copy(etag, 256, head.etag);
    *size = head.length;
    return head.length != UINT64_MAX ? SLM_OK : err_set(err, SLM_E_NETWORK, SLM_NOWHERE, "\"%.200s\": the server does not say how large it is", url);
}

slm_status fetch_blob(struct store *s, const char *url, const char *token, const char *digest, uint64_t size, const struct fetch_options *o,
                      char got[DIGEST_MAX], uint64_t *got_size, slm_err *err) {
    struct fetch f = {.store = s, .url = url, .token = token, .o = o, .partial = {.data_fd = -1, .map_fd = -1}};
    char key[96], etag[256] = "";
    bool appeared;
    slm_status st = SLM_OK;
    if (size == UINT64_MAX) TRY(learn_size(url, token, o, &size, etag, err));
    *got_size = size;
    if (*digest) snprintf(key, sizeof key, "sha256-%s", digest + 7);
    else snprintf(key, sizeof key, "url-%016llx", (unsigned long long)hash_bytes(HASH_START, url, strlen(url)));
    TRY(partial_lock(&f.partial, s, key, digest, size, o, &appeared, err));
    if (appeared) {
        memcpy(got, digest, DIGEST_MAX);
        return SLM_OK;
    }
    TRY(partial_open(&f.partial, size, etag, err));
    TRY(make_transfers(&f, err));
    TRY(transfer_all(&f, err));
    TRY(settle(&f, digest, got, err));
out:
    fetch_fini(&f);
    return st;
}
