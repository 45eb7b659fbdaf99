/* keys.c -- keys as SHA-256 digests, each with a bucket of requests that refills evenly. */
#include "serve/keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/show.h"

#define KEY_BYTES_MIN 8
#define KEY_FILE_BYTES_MAX (1u << 20)
#define RETRY_PARALLEL_S 1

struct key {
    struct keys *owner;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    char name[KEY_NAME_BYTES];
    double per_minute; /* 0: no limit */
    long parallel;     /* 0: no limit */
    double tokens, t_filled;
    long n_running;
};
struct keys {
    pthread_mutex_t lock;
    struct key v[KEYS_MAX];
    size_t n;
};

slm_status keys_create(struct keys **out, slm_err *err) {
    void *mem;
    slm_status st = mem_alloc(&mem, 1, sizeof **out, "keys", err);
    *out = NULL;
    if (st != SLM_OK) return st;
    *out = mem;
    pthread_mutex_init(&(*out)->lock, NULL);
    return SLM_OK;
}

void keys_destroy(struct keys *k) {
    if (!k) return;
    pthread_mutex_destroy(&k->lock);
    free(k);
}

size_t keys_n(const struct keys *k) { return k->n; }

static slm_status add(struct keys *k, struct view key, struct key **out, slm_err *err) {
    if (k->n == KEYS_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "keys: more than %d", KEYS_MAX);
    if (key.len < KEY_BYTES_MIN) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "key: must be at least %d bytes", KEY_BYTES_MIN);
    *out = &k->v[k->n++];
    **out = (struct key){.owner = k};
    SHA256((const unsigned char *)key.ptr, key.len, (*out)->digest);
    snprintf((*out)->name, KEY_NAME_BYTES, "key-%zu", k->n);
    return SLM_OK;
}

slm_status keys_add(struct keys *k, const char *key, const char *name, slm_err *err) {
    struct key *row;
    slm_status st = add(k, view_of(key), &row, err);
    if (st == SLM_OK && name) snprintf(row->name, KEY_NAME_BYTES, "%s", name);
    return st;
}

static bool read_number(const char *text, double max, double *out) {
    char *end;
    double v = strtod(text, &end);
    if (!*text || *end || !(v >= 1 && v <= max)) return false;
    *out = v;
    return true;
}

/* "per-minute=60" */
static bool set_limit(struct key *row, const char *word) {
    double v;
    if (strncmp(word, "name=", 5) == 0 && word[5]) snprintf(row->name, KEY_NAME_BYTES, "%.31s", show_cstr(word + 5).s);
    else if (strncmp(word, "per-minute=", 11) == 0 && read_number(word + 11, 1e6, &v)) row->per_minute = row->tokens = v;
    else if (strncmp(word, "parallel=", 9) == 0 && read_number(word + 9, 1e6, &v)) row->parallel = (long)v;
    else return false;
    return true;
}

static slm_status read_line(struct keys *k, char *line, const char *path, int n_line, slm_err *err) {
    char *rest = line, *word;
    struct key *row = NULL;
    while ((word = strsep(&rest, " \t\r"))) {
        if (!*word) continue;
        if (*word == '#') break;
        if (!row) {
            slm_status st = add(k, view_of(word), &row, err);
            if (st != SLM_OK) return err_wrap(err, st, "\"%s\", line %d", show_path(path).s, n_line);
        } else if (!set_limit(row, word)) {
            err_set(err, SLM_E_USAGE, SLM_NOWHERE, "\"%s\", line %d: \"%s\": is no limit", show_path(path).s, n_line, show_cstr(word).s);
            err_hint(err, "name=NAME, per-minute=N, parallel=N");
            return SLM_E_USAGE;
        }
    }
    return SLM_OK;
}

slm_status keys_read(struct keys *k, const char *path, slm_err *err) {
    struct buf text;
    buf_init(&text, KEY_FILE_BYTES_MAX);
    slm_status st = file_read(&text, path, err);
    char *rest = text.data, *line;
    for (int n = 1; st == SLM_OK && rest && (line = strsep(&rest, "\n")); n++) st = read_line(k, line, path, n, err);
    if (text.data) OPENSSL_cleanse(text.data, text.len);
    buf_fini(&text);
    return st;
}

struct key *keys_find(struct keys *k, struct view given) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    struct key *found = NULL;
    SHA256((const unsigned char *)given.ptr, given.len, digest);
    for (size_t i = 0; i < k->n; i++)
        if (CRYPTO_memcmp(digest, k->v[i].digest, sizeof digest) == 0) found = &k->v[i];
    return found;
}

const char *key_name(const struct key *key) { return key ? key->name : "-"; }

bool key_begin(struct key *key, double now_s, int *wait_s) {
    if (!key) return true;
    pthread_mutex_lock(&key->owner->lock);
    double filled = key->tokens + (now_s - key->t_filled) * key->per_minute / 60;
    key->tokens = filled < key->per_minute ? filled : key->per_minute;
    key->t_filled = now_s;
    bool has_room = !key->parallel || key->n_running < key->parallel, has_token = key->per_minute == 0 || key->tokens >= 1;
    if (has_room && has_token) {
        key->n_running++;
        if (key->per_minute > 0) key->tokens -= 1;
    } else *wait_s = !has_token ? (int)((1 - key->tokens) * 60 / key->per_minute) + 1 : RETRY_PARALLEL_S;
    pthread_mutex_unlock(&key->owner->lock);
    return has_room && has_token;
}

void key_end(struct key *key) {
    if (!key) return;
    pthread_mutex_lock(&key->owner->lock);
    key->n_running--;
    pthread_mutex_unlock(&key->owner->lock);
}
