/* teacher_http.c -- a teacher behind an OpenAI-style interface: POST URL/chat/completions, again and again where that makes sense. */
#include <curl/curl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/show.h"
#include "train/teacher_int.h"

#define PAUSE_MAX_S 60.0
#define RETRY_AFTER_MAX_S 600.0
#define CONNECT_TIMEOUT_MS 15000L

struct http_teacher {
    const struct teacher_params *p;
    CURL *curl;
    struct curl_slist *headers;
    struct buf url, reply;
    double next_at;     /* the rate's next free moment */
    double retry_after; /* what the last reply asked for, s; 0: nothing */
};

static double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool is_cancelled(const struct http_teacher *h) { return h->p->cancel && *h->p->cancel; }

static slm_status pause_until(struct http_teacher *h, double until, slm_err *err) {
    for (double left; (left = until - now_s()) > 0;) {
        if (is_cancelled(h)) break;
        double part = left < 0.05 ? left : 0.05;
        struct timespec t = {.tv_sec = 0, .tv_nsec = (long)(part * 1e9)};
        nanosleep(&t, NULL);
    }
    return is_cancelled(h) ? err_set(err, SLM_E_CANCELLED, SLM_NOWHERE, "interrupted") : SLM_OK;
}

static size_t take_bytes(char *bytes, size_t size, size_t n, void *user) {
    struct http_teacher *h = user;
    buf_append(&h->reply, bytes, size * n);
    return h->reply.failed == SLM_OK ? size * n : 0;
}

static size_t take_header(char *line, size_t size, size_t n, void *user) {
    struct http_teacher *h = user;
    char text[64];
    size_t len = size * n < sizeof text - 1 ? size * n : sizeof text - 1;
    memcpy(text, line, len);
    text[len] = 0;
    if (strncasecmp(text, "retry-after:", 12) == 0) {
        double v = strtod(text + 12, NULL);
        h->retry_after = v > 0 && v < RETRY_AFTER_MAX_S ? v : 0;
    }
    return size * n;
}

static int look(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    (void)a, (void)b, (void)c, (void)d;
    return is_cancelled(user);
}

static bool set_up(struct http_teacher *h) {
    char line[4096];
    struct curl_slist *more = curl_slist_append(h->headers, "Content-Type: application/json");
    if (!more) return false;
    h->headers = more;
    if (h->p->api_key) {
        if ((size_t)snprintf(line, sizeof line, "Authorization: Bearer %s", h->p->api_key) >= sizeof line || strpbrk(h->p->api_key, "\r\n")) return false;
        if (!(more = curl_slist_append(h->headers, line))) return false;
        h->headers = more;
    }
    CURL *c = h->curl;
    curl_easy_setopt(c, CURLOPT_URL, h->url.data);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, h->headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, h);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, h);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, look);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, h);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(h->p->timeout_ms > 0 ? h->p->timeout_ms : 120000));
    return true;
}

slm_status http_teacher_open(const struct teacher_params *p, struct http_teacher **out, slm_err *err) {
    slm_status st = SLM_OK;
    *out = NULL;
    struct http_teacher *h = calloc(1, sizeof *h);
    if (!h) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "teacher: out of memory");
    h->p = p;
    buf_init(&h->url, 4096);
    buf_init(&h->reply, TEACHER_REPLY_BYTES_MAX);
    size_t n = strlen(p->url);
    while (n > 0 && p->url[n - 1] == '/') n--;
    buf_append(&h->url, p->url, n);
    buf_puts(&h->url, "/chat/completions");
    if (strncmp(p->url, "http://", 7) != 0 && strncmp(p->url, "https://", 8) != 0)
        FAIL(SLM_E_USAGE, SLM_NOWHERE, "teacher \"%s\": not a URL that begins with http:// or https://", show_cstr(p->url).s);
    TRY(buf_status(&h->url, "the teacher's URL", err));
    if (!p->name || !*p->name) FAIL(SLM_E_USAGE, SLM_NOWHERE, "teacher \"%s\": the name of its model is missing", show_cstr(p->url).s);
    if (!(h->curl = curl_easy_init()) || !set_up(h)) FAIL(SLM_E_FAILED, SLM_NOWHERE, "teacher \"%s\": no HTTP client, or a key that cannot be sent", show_cstr(p->url).s);
    *out = h;
    h = NULL;
out:
    http_teacher_close(h);
    return st;
}

void http_teacher_close(struct http_teacher *h) {
    if (!h) return;
    curl_slist_free_all(h->headers);
    curl_easy_cleanup(h->curl);
    buf_fini(&h->url);
    buf_fini(&h->reply);
    free(h);
}

/* Worth another try? */
static bool is_passing(CURLcode code, long status) {
    static const CURLcode codes[] = {CURLE_COULDNT_CONNECT, CURLE_OPERATION_TIMEDOUT, CURLE_SEND_ERROR,       CURLE_RECV_ERROR,
                                     CURLE_GOT_NOTHING,     CURLE_PARTIAL_FILE,       CURLE_COULDNT_RESOLVE_HOST, CURLE_HTTP2, CURLE_HTTP2_STREAM};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (code == codes[i]) return true;
    return code == CURLE_OK && (status == 408 || status == 409 || status == 425 || status == 429 || status >= 500);
}

/* What the server said of a fault, or the beginning of what it sent. */
static void server_words(const struct http_teacher *h, char *out, size_t n_out) {
    json_t *root = json_loadb(h->reply.data ? h->reply.data : "", h->reply.len, 0, NULL), *error = json_object_get(root, "error");
    const char *words = json_string_value(json_is_object(error) ? json_object_get(error, "message") : error);
    struct view v = words ? view_of(words) : (struct view){h->reply.data ? h->reply.data : "", h->reply.len < 120 ? h->reply.len : 120};
    snprintf(out, n_out, "%s", show_view(v).s);
    json_decref(root);
}

static float mean_logprob(json_t *choice) {
    json_t *list = json_object_get(json_object_get(choice, "logprobs"), "content"), *token;
    size_t i, n = json_array_size(list);
    double sum = 0;
    json_array_foreach(list, i, token) sum += json_number_value(json_object_get(token, "logprob"));
    return n ? (float)(sum / (double)n) : NAN;
}

static slm_status read_reply(struct http_teacher *h, struct teacher_answer *out, slm_err *err) {
    slm_status st = SLM_OK;
    json_t *root = json_loadb(h->reply.data ? h->reply.data : "", h->reply.len, JSON_ALLOW_NUL, NULL);
    json_t *choice = json_array_get(json_object_get(root, "choices"), 0), *content = json_object_get(json_object_get(choice, "message"), "content");
    json_t *usage = json_object_get(root, "usage");
    if (!json_is_string(content) || strlen(json_string_value(content)) != json_string_length(content)) {
        char words[180];
        server_words(h, words, sizeof words);
        FAIL(SLM_E_FORMAT, SLM_NOWHERE, "the teacher's reply has no choices[0].message.content: \"%s\"", words);
    }
    memset(out, 0, sizeof *out);
    json_int_t n_prompt = json_integer_value(json_object_get(usage, "prompt_tokens")), n_completion = json_integer_value(json_object_get(usage, "completion_tokens"));
    const char *finish = json_string_value(json_object_get(choice, "finish_reason"));
    out->n_prompt = n_prompt > 0 ? (uint64_t)n_prompt : 0;
    out->n_completion = n_completion > 0 ? (uint64_t)n_completion : 0;
    out->logprob_mean = mean_logprob(choice);
    out->is_cut = finish && strcmp(finish, "length") == 0;
    if (!(out->text = strdup(json_string_value(content)))) st = err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "an answer: out of memory");
out:
    json_decref(root);
    return st;
}

/* Pause before try i + 1: doubled each time, with a share that depends on the number so that many do not come back at once. */
static double pause_of(const struct http_teacher *h, int i_try) {
    double first = (h->p->pause_ms > 0 ? h->p->pause_ms : 500) / 1000.0, pause = first * pow(2, i_try < 20 ? i_try : 20);
    pause *= 1 + 0.1 * (i_try * 7 % 5) / 5.0;
    if (pause > PAUSE_MAX_S) pause = PAUSE_MAX_S;
    return h->retry_after > pause ? h->retry_after : pause;
}

slm_status http_teacher_ask(struct http_teacher *h, const char *body, struct teacher_answer *out, slm_err *err) {
    int n_try = h->p->n_try > 0 ? h->p->n_try : 8;
    char why[300];
    slm_status st = SLM_OK;
    curl_easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
    curl_easy_setopt(h->curl, CURLOPT_POSTFIELDS, body);
    for (int i = 0;; i++) {
        long status = 0;
        if ((st = pause_until(h, h->next_at, err)) != SLM_OK) return st;
        if (h->p->requests_per_min > 0) h->next_at = now_s() + 60 / h->p->requests_per_min;
        buf_clear(&h->reply);
        h->retry_after = 0;
        CURLcode code = curl_easy_perform(h->curl);
        curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
        if (is_cancelled(h)) return err_set(err, SLM_E_CANCELLED, SLM_NOWHERE, "interrupted");
        if (code == CURLE_OK && status >= 200 && status < 300) return read_reply(h, out, err);
        char words[180] = "";
        if (code == CURLE_OK) server_words(h, words, sizeof words);
        if (code == CURLE_OK) snprintf(why, sizeof why, "status %ld: \"%s\"", status, words);
        else snprintf(why, sizeof why, "%s", h->reply.failed != SLM_OK ? "a reply of more than 16 MiB" : curl_easy_strerror(code));
        if (!is_passing(code, status)) return err_set(err, SLM_E_NETWORK, SLM_NOWHERE, "teacher \"%s\": %s", show_cstr(h->url.data).s, why);
        if (i + 1 >= n_try) {
            err_set(err, SLM_E_NETWORK, SLM_NOWHERE, "teacher \"%s\": %s, after %d tries", show_cstr(h->url.data).s, why, n_try);
            err_hint(err, "what was answered is kept: the same command goes on from there");
            return SLM_E_NETWORK;
        }
        double pause = pause_of(h, i);
        if (h->p->on_retry) h->p->on_retry(h->p->user, why, pause);
        if ((st = pause_until(h, now_s() + pause, err)) != SLM_OK) return st;
    }
}
