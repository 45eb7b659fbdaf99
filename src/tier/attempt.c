/* attempt.c -- one attempt at an upstream: a POST, and its answer read while it comes.
 *
 * The request's own thread drives one transfer through curl_multi, so that it can look at its clocks (first byte, silence, deadline) and at whether the
 * client is still there, and what it tells goes straight on to the client. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cpu.h"
#include "base/show.h"
#include "tier/upstream_int.h"

#define ERROR_BYTES_MAX 65536
#define ANSWER_BYTES_MAX ((size_t)64 << 20)
#define LOOK_MS 50 /* how late a client that left is noticed */
#define RETRY_AFTER_S_MAX 3600

void line_close(struct line *l) {
    if (!l) return;
    curl_easy_cleanup(l->easy);
    curl_multi_cleanup(l->multi);
    free(l);
}

static bool on_sse(void *user, const char *event, struct view data) {
    struct trial *t = user;
    if (t->in.is_closed) return true;
    if (view_eq(data, VIEW("[DONE]"))) {
        t->in.is_over = t->in.is_closed = true;
        return true;
    }
    json_t *v = json_loadb(data.ptr, data.len, 0, NULL);
    if (!json_is_object(v)) t->is_json_bad = true;
    else if (wire_is_error(json_object_get(v, "error")) || strcmp(event, "error") == 0) wire_error(&t->in, json_object_get(v, "error"));
    else t->u->wire->event(&t->in, event, v);
    json_decref(v);
    return !t->is_json_bad && !t->in.error_status && t->in.st == SLM_OK;
}

static size_t take_bytes(char *bytes, size_t size, size_t n_items, void *user) {
    struct trial *t = user;
    size_t n = size * n_items;
    if (t->t_first <= 0) t->t_first = time_now_s();
    if (t->is_events && t->status == 200) {
        if (sse_push(&t->sse, bytes, n, on_sse, t) != SLM_OK) return 0;
    } else {
        buf_append(&t->body, bytes, n);
        if (t->body.failed != SLM_OK) return 0;
    }
    t->t_last = time_now_s(); /* what the client took is not the upstream's silence */
    return n;
}

static size_t take_header(char *bytes, size_t size, size_t n_items, void *user) {
    struct trial *t = user;
    size_t n = size * n_items;
    char text[128];
    int status;
    snprintf(text, sizeof text, "%.*s", (int)(n < 127 ? n : 127), bytes);
    if (sscanf(text, "HTTP/%*s %d", &status) == 1) t->status = status;
    if (strncasecmp(text, "content-type:", 13) == 0) t->is_events = strstr(text, "text/event-stream") != NULL;
    if (strncasecmp(text, "retry-after:", 12) == 0) t->retry_after_s = strtod(text + 12, NULL);
    if (!(t->retry_after_s >= 0 && t->retry_after_s <= RETRY_AFTER_S_MAX)) t->retry_after_s = RETRY_AFTER_S_MAX;
    t->t_last = time_now_s();
    return n;
}

static bool add_header(struct curl_slist **list, const char *a, const char *b) {
    char text[4200];
    if (snprintf(text, sizeof text, "%s%s", a, b) >= (int)sizeof text) return false;
    struct curl_slist *more = curl_slist_append(*list, text);
    if (more) *list = more;
    return more != NULL;
}

static struct line *line_open(void) {
    struct line *l = calloc(1, sizeof *l);
    if (!l) return NULL;
    l->easy = curl_easy_init();
    l->multi = curl_multi_init();
    if (l->easy && l->multi) return l;
    line_close(l);
    return NULL;
}

/* Rounded up: whoever looks when it is over finds the deadline past. */
static long until_ms(double t) {
    double ms = (t - time_now_s()) * 1e3 + 1;
    return ms < 1 ? 1 : ms > 1e8 ? (long)1e8 : (long)ms;
}

/* The body by a callback that cannot begin again: libcurl would send a POST once more by itself when a warm connection closes under it, and
 * an attempt that was sent twice is in no ledger. */
static size_t give_bytes(char *out, size_t size, size_t n_items, void *user) {
    struct trial *t = user;
    size_t n = size * n_items < t->left.len ? size * n_items : t->left.len;
    memcpy(out, t->left.ptr, n);
    t->left.ptr += n;
    t->left.len -= n;
    return n;
}

static void set_up(struct trial *t, const char *url, const char *body, struct curl_slist *headers) {
    CURL *c = t->line->easy;
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "slm/" SLM_VERSION);
    curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
    curl_easy_setopt(c, CURLOPT_POST, 1L);
    curl_easy_setopt(c, CURLOPT_READFUNCTION, give_bytes);
    curl_easy_setopt(c, CURLOPT_READDATA, t);
    t->left = view_of(body);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)t->u->s->connect_ms);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, until_ms(t->c->deadline) + LOOK_MS); /* is_late is before it, by our own clock */
}

static void say(struct trial *t, const char *why) {
    if (!t->why[0]) snprintf(t->why, sizeof t->why, "%s", why);
}

/* Whose patience is over? A whole answer has no first byte before its last token is there: the deadline alone holds for it. */
static bool is_late(struct trial *t) {
    double now = time_now_s();
    if (t->c->ask->streams && t->t_first <= 0 && now - t->t_begin > t->u->s->first_byte_ms * 1e-3) say(t, "no byte within first_byte_ms");
    else if (t->t_first > 0 && now - t->t_last > t->u->s->idle_ms * 1e-3) say(t, "silent for idle_ms");
    else if (now > t->c->deadline) say(t, "the deadline is over");
    else return false;
    t->is_late = true;
    return true;
}

/* The transfer to its end, or to the end of somebody's patience; the client library's verdict. An answer that is whole needs no end of its connection: one
 * look more is for a connection that can be kept. */
static CURLcode transfer(struct trial *t) {
    CURLM *m = t->line->multi;
    CURLcode code = CURLE_OK;
    int n_running = 1, n_left;
    bool has_looked = false;
    curl_multi_add_handle(m, t->line->easy);
    while (curl_multi_perform(m, &n_running) == CURLM_OK && n_running) {
        if (has_looked) break;
        has_looked = t->in.is_closed;
        if (!t->in.is_closed && t->c->is_gone(t->c->user)) {
            t->is_gone = true;
            break;
        }
        if (!t->in.is_closed && is_late(t)) break;
        long left = until_ms(t->c->deadline);
        curl_multi_poll(m, NULL, 0, (int)(left < LOOK_MS ? left : LOOK_MS), NULL);
    }
    for (CURLMsg *msg; (msg = curl_multi_info_read(m, &n_left));)
        if (msg->msg == CURLMSG_DONE) code = msg->data.result;
    curl_multi_remove_handle(m, t->line->easy);
    return t->in.is_closed ? CURLE_OK : code;
}

/* An answer that did not come as events. */
static void read_whole(struct trial *t) {
    json_t *v = json_loadb(t->body.data ? t->body.data : "", t->body.len, 0, NULL), *error = json_object_get(json_is_array(v) ? json_array_get(v, 0) : v, "error");
    if (t->status != 200 || wire_is_error(error)) {
        wire_error(&t->in, error);
        if (t->status != 200) t->in.error_status = (int)t->status;
    } else if (!json_is_object(v)) t->is_json_bad = true;
    else t->u->wire->whole(&t->in, v);
    json_decref(v);
}

static void judge(struct trial *t, CURLcode code) {
    if (t->in.st != SLM_OK) t->is_gone = true;
    if (t->is_gone || t->is_late) return;
    if (code == CURLE_OK && !(t->is_events && t->status == 200)) read_whole(t);
    if (t->in.error_status) {
        char text[sizeof t->why];
        snprintf(text, sizeof text, "status %d: %.150s", t->in.error_status, show_cstr(t->in.error).s);
        say(t, text);
    } else if (t->is_json_bad) say(t, "what it sent is no JSON");
    else if (code == CURLE_OPERATION_TIMEDOUT) say(t, time_now_s() >= t->c->deadline - 0.01 ? "the deadline is over" : "no connection within connect_ms");
    else if (code != CURLE_OK) say(t, curl_easy_strerror(code));
    else if (!t->in.is_over || t->in.end == WIRE_OPEN) say(t, "the answer has no end");
    if (code == CURLE_OPERATION_TIMEDOUT) t->is_late = true;
}

static struct line *take_line(struct upstream *u) {
    pthread_mutex_lock(&u->lock);
    struct line *l = u->idle;
    if (l) {
        u->idle = l->next;
        u->n_idle--;
    }
    pthread_mutex_unlock(&u->lock);
    return l ? l : line_open();
}

static void give_line(struct upstream *u, struct line *l) {
    curl_easy_reset(l->easy);
    pthread_mutex_lock(&u->lock);
    bool is_kept = u->n_idle < 64;
    if (is_kept) {
        l->next = u->idle;
        u->idle = l;
        u->n_idle++;
    }
    pthread_mutex_unlock(&u->lock);
    if (!is_kept) line_close(l);
}

bool trial_run(struct trial *t, const char *body) {
    const struct upstream_settings *s = t->u->s;
    struct buf url;
    struct curl_slist *headers = NULL;
    buf_init(&url, 8192);
    buf_init(&t->body, ANSWER_BYTES_MAX);
    sse_init(&t->sse);
    wire_in_init(&t->in, t->c->on_event, t->c->user);
    buf_puts(&url, s->base_url);
    t->u->wire->path(s, t->c->ask, &url);
    t->line = take_line(t->u);
    bool is_ready = t->line && url.failed == SLM_OK && add_header(&headers, "Content-Type: application/json", "") && add_header(&headers, "x-request-id: ", t->id) && add_header(&headers, "Expect:", "") &&
                    (!s->key || add_header(&headers, t->u->wire->key_header, s->key)) && (!t->u->wire->more_header || add_header(&headers, t->u->wire->more_header, ""));
    t->t_begin = t->t_last = time_now_s();
    if (is_ready) {
        set_up(t, url.data, body, headers);
        judge(t, transfer(t));
    } else say(t, "no memory for the request");
    if (t->line) give_line(t->u, t->line);
    curl_slist_free_all(headers);
    buf_fini(&url);
    buf_fini(&t->body);
    sse_fini(&t->sse);
    return !t->why[0] && !t->is_gone;
}
