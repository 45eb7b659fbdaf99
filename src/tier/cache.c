/* cache.c -- a table of lists, and one list by last use through all of them. */
#include "tier/cache.h"

#include <math.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cpu.h"
#include "base/json.h"

#define FORM_BYTES_MAX (2 * NEAR_BYTES_MAX) /* short forms are spelled out */
#define ANSWER_BYTES_MAX ((size_t)1 << 20) /* a longer answer is not kept */

struct entry {
    uint8_t key[CACHE_KEY_BYTES];
    struct kept_answer answer;
    struct question *question; /* NULL: only the same request has it */
    double t_put;
    struct entry *next, *older, *newer;
};
struct answer_cache {
    pthread_mutex_t lock;
    struct entry **v; /* [n_lists] */
    size_t n_lists, n, n_max;
    double ttl_s;
    struct semantic_settings semantic;
    struct entry *oldest, *newest;
};

slm_status answer_cache_create(const struct cache_settings *s, struct answer_cache **out, slm_err *err) {
    *out = NULL;
    if (s->entries == 0) return SLM_OK;
    struct answer_cache *c = calloc(1, sizeof *c);
    if (c) {
        c->n_max = (size_t)s->entries;
        c->n_lists = c->n_max * 2;
        c->ttl_s = s->ttl_s;
        c->semantic = s->semantic;
        c->v = calloc(c->n_lists, sizeof(struct entry *));
        pthread_mutex_init(&c->lock, NULL);
    }
    if (!c || !c->v) {
        answer_cache_destroy(c);
        return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "cache: no memory for %d entries", s->entries);
    }
    *out = c;
    return SLM_OK;
}

slm_status kept_add(struct kept_answer *k, enum output_kind kind, struct view text) {
    struct part *last = k->n ? &k->v[k->n - 1] : NULL;
    bool joins = last && last->kind == kind && kind != OUTPUT_CALL_BEGIN && kind != OUTPUT_CALL_END;
    if (!joins && k->n == k->cap) {
        size_t cap = k->cap ? k->cap * 2 : 8;
        struct part *grown = realloc(k->v, cap * sizeof *grown);
        if (!grown) return SLM_E_NOMEM;
        k->v = grown;
        k->cap = cap;
    }
    if (!joins) k->v[k->n++] = (struct part){.kind = kind};
    last = &k->v[k->n - 1];
    char *grown = realloc(last->text, last->n + text.len + 1);
    if (!grown) return SLM_E_NOMEM;
    last->text = grown;
    if (text.len) memcpy(grown + last->n, text.ptr, text.len);
    last->n += text.len;
    return SLM_OK;
}

void kept_fini(struct kept_answer *k) {
    for (size_t i = 0; i < k->n; i++) free(k->v[i].text);
    free(k->v);
    *k = (struct kept_answer){0};
}

static json_t *number(float v) { return json_f64((double)v); }

bool answer_cache_key(const struct ask *a, const char *client, uint8_t out[CACHE_KEY_BYTES]) {
    json_t *v = json_pack("{s:O, s:O?, s:i, s:s?, s:b, s:o, s:o, s:o, s:o, s:i, s:i, s:b, s:I, s:O?, s:s?, s:s#, s:b, s:b, s:s?}", "messages", a->messages, "tools", a->tools, "choice", (int)a->choice, "tool",
                          a->tool_name, "one", a->one_call, "temperature", number(a->temperature), "top_p", number(a->top_p), "presence", number(a->presence_penalty), "frequency",
                          number(a->frequency_penalty), "top_k", a->top_k, "n_max", a->n_max, "has_seed", a->has_seed, "seed", (json_int_t)a->seed, "stop", a->stop, "effort", a->effort, "schema",
                          a->schema.ptr ? a->schema.ptr : "", (int)a->schema.len, "json", a->json_only, "continues", a->continues, "client", client);
    char *text = v ? json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (text) SHA256((const unsigned char *)text, strlen(text), out);
    free(text);
    json_decref(v);
    return text != NULL;
}

/* Everything but the last message's text. */
static bool hash_rest(const struct ask *a, const char *client, uint8_t out[CACHE_KEY_BYTES]) {
    size_t i_last = json_array_size(a->messages) - 1;
    json_t *messages = json_copy((json_t *)a->messages), *last = json_copy(json_array_get(a->messages, i_last));
    struct ask rest = *a;
    rest.messages = messages;
    bool is_made = messages && last && json_object_set_new(last, "content", json_null()) == 0 && json_array_set(messages, i_last, last) == 0 && answer_cache_key(&rest, client, out);
    json_decref(last);
    json_decref(messages);
    return is_made;
}

void question_free(struct question *q) {
    if (!q) return;
    free(q->form);
    free(q);
}

struct question *answer_cache_question(const struct answer_cache *c, const struct ask *a, const char *client) {
    const json_t *last = json_array_get(a->messages, json_array_size(a->messages) - 1), *content = json_object_get(last, "content");
    const char *role = json_string_value(json_object_get(last, "role"));
    if (!c || !c->semantic.enabled || !role || strcmp(role, "user") != 0 || !json_is_string(content)) return NULL;
    struct view text = {json_string_value(content), json_string_length(content)};
    struct question *q = calloc(1, sizeof *q);
    struct buf form;
    buf_init(&form, FORM_BYTES_MAX);
    bool is_made = q && near_form(text, &form) && (q->form = strndup(form.data, form.len)) && hash_rest(a, client, q->rest);
    buf_fini(&form);
    if (is_made) {
        near_sketch(text, q->sketch);
        return q;
    }
    question_free(q);
    return NULL;
}

static struct entry **list_of(struct answer_cache *c, const uint8_t *key) {
    uint64_t h;
    memcpy(&h, key, sizeof h);
    return &c->v[h % c->n_lists];
}

static void unlink_use(struct answer_cache *c, struct entry *e) {
    if (e->older) e->older->newer = e->newer;
    else c->oldest = e->newer;
    if (e->newer) e->newer->older = e->older;
    else c->newest = e->older;
}

static void link_newest(struct answer_cache *c, struct entry *e) {
    e->newer = NULL;
    e->older = c->newest;
    if (c->newest) c->newest->newer = e;
    else c->oldest = e;
    c->newest = e;
}

static struct entry *find(struct answer_cache *c, const uint8_t *key) {
    struct entry *e = *list_of(c, key);
    while (e && memcmp(e->key, key, CACHE_KEY_BYTES) != 0) e = e->next;
    return e;
}

static void drop(struct answer_cache *c, struct entry *e) {
    struct entry **at = list_of(c, e->key);
    while (*at != e) at = &(*at)->next;
    *at = e->next;
    unlink_use(c, e);
    c->n--;
    kept_fini(&e->answer);
    question_free(e->question);
    free(e);
}

/* A copy of an entry's answer, if it is not too old; lock held. */
static bool take(struct answer_cache *c, struct entry *e, struct kept_answer *out) {
    if (e && time_now_s() - e->t_put > c->ttl_s) {
        drop(c, e);
        e = NULL;
    }
    bool is_whole = e != NULL;
    for (size_t i = 0; e && i < e->answer.n && is_whole; i++) is_whole = kept_add(out, e->answer.v[i].kind, (struct view){e->answer.v[i].text, e->answer.v[i].n}) == SLM_OK;
    if (is_whole) {
        out->end = e->answer.end;
        out->n_in = e->answer.n_in;
        out->n_out = e->answer.n_out;
        memcpy(out->model, e->answer.model, sizeof out->model);
        unlink_use(c, e);
        link_newest(c, e);
    }
    if (!is_whole) kept_fini(out);
    return is_whole;
}

bool answer_cache_get(struct answer_cache *c, const uint8_t key[CACHE_KEY_BYTES], struct kept_answer *out) {
    *out = (struct kept_answer){0};
    if (!c) return false;
    pthread_mutex_lock(&c->lock);
    bool has = take(c, find(c, key), out);
    pthread_mutex_unlock(&c->lock);
    return has;
}

/* How alike; negative: it does not ask the same. */
static double likeness(const struct answer_cache *c, const struct question *a, const struct question *b) {
    bool is_gated = !c->semantic.negation_gate || *c->semantic.negation_gate;
    if (!a || memcmp(a->rest, b->rest, sizeof a->rest) != 0 || (is_gated && strcmp(a->form, b->form) != 0)) return -1;
    double v = near_cosine(a->sketch, b->sketch);
    return v >= c->semantic.min ? v : -1;
}

bool answer_cache_get_near(struct answer_cache *c, const struct question *q, struct kept_answer *out, double *similarity) {
    struct entry *best = NULL;
    *out = (struct kept_answer){0};
    *similarity = 0;
    if (!c || !q) return false;
    pthread_mutex_lock(&c->lock);
    double now = time_now_s();
    for (struct entry *e = c->newest; e; e = e->older) {
        double v = now - e->t_put > c->ttl_s ? -1 : likeness(c, e->question, q);
        if (v <= *similarity) continue;
        best = e;
        *similarity = v;
    }
    bool has = take(c, best, out);
    pthread_mutex_unlock(&c->lock);
    return has;
}

void answer_cache_put(struct answer_cache *c, const uint8_t key[CACHE_KEY_BYTES], struct question **q, struct kept_answer *k) {
    size_t bytes = 0;
    for (size_t i = 0; i < k->n; i++) bytes += k->v[i].n;
    struct entry *e = c && bytes <= ANSWER_BYTES_MAX ? calloc(1, sizeof *e) : NULL;
    if (!e) {
        kept_fini(k);
        return;
    }
    memcpy(e->key, key, CACHE_KEY_BYTES);
    e->answer = *k;
    e->question = *q;
    *q = NULL;
    e->t_put = time_now_s();
    *k = (struct kept_answer){0};
    pthread_mutex_lock(&c->lock);
    struct entry *same = find(c, key), **list = list_of(c, key);
    if (same) drop(c, same);
    else if (c->n == c->n_max) drop(c, c->oldest);
    e->next = *list;
    *list = e;
    link_newest(c, e);
    c->n++;
    pthread_mutex_unlock(&c->lock);
}

void answer_cache_destroy(struct answer_cache *c) {
    if (!c) return;
    while (c->v && c->oldest) drop(c, c->oldest);
    pthread_mutex_destroy(&c->lock);
    free(c->v);
    free(c);
}
