/* models.c -- the set of models and who may stay.
 *
 * One lock guards names, states and counts; loading and unloading happen outside it, one at a time (load_lock), with the row
 * marked BUSY so that whoever wants it waits. The keeper thread unloads what has been idle for too long. */
#include "serve/models.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/nearest.h"
#include "base/show.h"
#include "base/util.h"
#include "serve/metrics.h"

#define MODELS_MAX 4096
#define MODEL_NAME_MAX 128
#define ROOM_WAIT_S 1.0 /* an answer is there a moment before its request lets go of the model */
#define KEEPER_S 1
#define STORE_SEEN_S 1

struct models {
    struct models_config config;
    struct metrics *metrics;
    struct sched_loop *loop;
    char *lora_base; /* name of the model that config.loras belong to; NULL: there are none */
    pthread_mutex_t lock, load_lock;
    pthread_cond_t changed;
    struct served **v; /* [n], by name */
    size_t n, cap;
    uint64_t used_bytes, budget_bytes, n_loads;
    pthread_t keeper;
    double t_scanned;
    bool has_keeper, is_ending;
};

struct sched_loop *models_loop(const struct models *m) { return m->loop; }
uint64_t models_budget_bytes(const struct models *m) { return m->budget_bytes; }
struct store *models_store(const struct models *m) { return m->config.store; }

/* Names go into answers, headers and files: plain ones only. */
static bool is_good_name(const char *name) {
    size_t n = strlen(name);
    if (n == 0 || n > MODEL_NAME_MAX || name[0] == '.') return false;
    for (; *name; name++)
        if (*name <= 0x20 || *name == 0x7f || strchr("/\\\"'<>|*?,=", *name) || (unsigned char)*name >= 0x80) return false;
    return true;
}

static struct served *find(struct models *m, const char *name) {
    size_t n = strlen(name), n_tag = strlen(":latest");
    if (n > n_tag && strcmp(name + n - n_tag, ":latest") == 0) n -= n_tag;
    for (size_t i = 0; i < m->n; i++)
        if (!m->v[i]->is_removed && strlen(m->v[i]->name) == n && strncmp(m->v[i]->name, name, n) == 0) return m->v[i];
    return NULL;
}

static void free_row(struct served *s) {
    if (!s) return;
    free(s->name);
    free(s->path);
    free(s);
}

/* Lock held. Rows of what is gone, which nobody uses or looks at: a server whose models are replaced for years has no more of them than at first. */
static void drop_spent(struct models *m) {
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        struct served *s = m->v[i];
        if (!s->is_removed || s->state != MODEL_COLD || s->n_users || s->n_holds) m->v[n++] = s;
        else free_row(s);
    }
    m->n = n;
}

/* Lock held. */
static slm_status add(struct models *m, const char *name, const char *path, bool is_in_folder, struct served **out, slm_err *err) {
    struct stat info;
    drop_spent(m);
    if (m->n == MODELS_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "models: more than %d", MODELS_MAX);
    if (stat(path, &info) != 0) return err_set(err, SLM_E_IO, SLM_NOWHERE, "\"%s\": %s", show_path(path).s, strerror(errno));
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 16;
        struct served **grown = realloc(m->v, cap * sizeof(*grown));
        if (!grown) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "models: no memory");
        m->v = grown;
        m->cap = cap;
    }
    struct served *s = calloc(1, sizeof *s);
    if (s) *s = (struct served){.name = strdup(name), .path = strdup(path), .is_in_folder = is_in_folder, .file_bytes = (uint64_t)info.st_size, .modified = info.st_mtime, .keep_s = m->config.keep_s};
    if (!s || !s->name || !s->path) {
        free_row(s);
        return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "models: no memory");
    }
    for (size_t i = 0; i < m->config.n_pins; i++) s->is_pinned |= strcmp(m->config.pins[i], name) == 0;
    size_t at = m->n++;
    for (; at > 0 && strcmp(m->v[at - 1]->name, name) > 0; at--) m->v[at] = m->v[at - 1];
    m->v[at] = s;
    if (out) *out = s;
    return SLM_OK;
}

/* "x.gguf" -> "x", "x-00001-of-00003.gguf" -> "x"; false: no model, or not the first of its shards. */
static bool name_of_file(const char *file, char out[MODEL_NAME_MAX + 1]) {
    size_t n = strlen(file), n_ext = strlen(".gguf");
    unsigned i, n_of;
    if (n <= n_ext || strcmp(file + n - n_ext, ".gguf") != 0 || n - n_ext > MODEL_NAME_MAX) return false;
    n -= n_ext;
    memcpy(out, file, n);
    out[n] = 0;
    if (n > 15 && sscanf(out + n - 15, "-%5u-of-%5u", &i, &n_of) == 2) {
        if (i != 1) return false;
        out[n - 15] = 0;
    }
    return is_good_name(out);
}

static void scan_store(struct models *m);

/* Lock held. What cannot be read is left out: others write there too. */
static void scan(struct models *m) {
    DIR *dir = m->config.folder ? opendir(m->config.folder) : NULL;
    struct dirent *e;
    while (dir && (e = readdir(dir))) {
        char name[MODEL_NAME_MAX + 1], path[4096], probe[4200];
        int n = snprintf(path, sizeof path, "%s/%s", m->config.folder, e->d_name);
        if (n < 0 || (size_t)n >= sizeof path) continue;
        snprintf(probe, sizeof probe, "%s/config.json", path); /* a Hugging Face folder */
        if (!name_of_file(e->d_name, name)) {
            if (!is_good_name(e->d_name) || access(probe, R_OK) != 0) continue;
            snprintf(name, sizeof name, "%.*s", MODEL_NAME_MAX, e->d_name);
        }
        if (!find(m, name)) add(m, name, path, true, NULL, NULL);
    }
    if (dir) closedir(dir);
    scan_store(m);
}

/* Lock held. A row whose manifest is another now is removed, and a new one stands for it. */
static bool see_stored(void *user, const struct model_name *name, const struct manifest *manifest, double changed_s) {
    struct models *m = user;
    struct buf label;
    char digest[DIGEST_MAX], *path = NULL;
    buf_init(&label, 1024);
    stored_label(name, &label);
    struct served *s = label.data ? find(m, label.data) : NULL;
    bool is_ours = manifest && label.data && name->kind != NAME_URL && manifest_digest(manifest, digest, NULL) == SLM_OK && (!s || s->is_in_store);
    if (is_ours && s && strcmp(s->digest, digest) == 0) s->is_seen = true;
    else if (is_ours && store_path_of(m->config.store, manifest, &path, NULL) == SLM_OK) {
        struct served *old = s;
        if (add(m, label.data, path, false, &s, NULL) == SLM_OK) {
            if (old) old->is_removed = true;
            s->is_in_store = s->is_seen = true;
            memcpy(s->digest, digest, sizeof digest);
            s->file_bytes = manifest_bytes(manifest);
            s->modified = (time_t)changed_s;
        } else if (old) old->is_seen = true; /* no place for the new one: by its name it is found all the same */
    }
    free(path);
    buf_fini(&label);
    return true;
}

static void scan_store(struct models *m) {
    if (!m->config.store) return;
    m->t_scanned = time_now_s();
    for (size_t i = 0; i < m->n; i++) m->v[i]->is_seen = !m->v[i]->is_in_store;
    if (store_each(m->config.store, see_stored, m, NULL) != SLM_OK) return;
    for (size_t i = 0; i < m->n; i++)
        if (!m->v[i]->is_seen) m->v[i]->is_removed = true; /* another process has removed it; who uses it may go on */
}

void models_scan(struct models *m) {
    pthread_mutex_lock(&m->lock);
    scan(m);
    pthread_mutex_unlock(&m->lock);
}

/* A model of the store by any way to write its name. */
static struct served *find_stored(struct models *m, const char *text) {
    struct model_name name;
    struct buf label;
    struct served *s = NULL;
    buf_init(&label, 1024);
    if (name_parse_remote(text, &name, NULL) == SLM_OK) {
        stored_label(&name, &label);
        s = label.data ? find(m, label.data) : NULL;
    }
    buf_fini(&label);
    return s;
}

/* "[NAME=]FILE" */
static slm_status add_named(struct models *m, const char *text, struct served **out, slm_err *err) {
    char name[MODEL_NAME_MAX + 1];
    const char *equals = strchr(text, '='), *path = text, *base = strrchr(text, '/');
    base = base && base[1] ? base + 1 : text;
    if (equals && equals > text && !memchr(text, '/', (size_t)(equals - text))) {
        path = equals + 1;
        snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
    } else if (!name_of_file(base, name)) snprintf(name, sizeof name, "%s", base);
    if (m->config.store && access(path, F_OK) != 0 && (*out = find_stored(m, path))) return SLM_OK; /* scanned already, by its own name */
    if (!is_good_name(name)) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "model \"%s\": its name has characters that names may not have", show_cstr(name).s);
        err_hint(err, "NAME=FILE gives it another");
        return SLM_E_USAGE;
    }
    if (find(m, name)) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "model \"%s\": is named twice", show_cstr(name).s);
    return add(m, name, path, false, out, err);
}

/* Adapters with names are models too: rows whose facts are their base's. */
static slm_status add_loras(struct models *m, const struct served *base, slm_err *err) {
    const struct models_config *c = &m->config;
    slm_status st = SLM_OK;
    if (c->n_loras == 0) return SLM_OK;
    if (c->n_files != 1) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "adapter \"%s\": belongs to one model, and %zu are named", show_cstr(c->loras[0].path).s, c->n_files);
        err_hint(err, "with --lora there is one -m");
        return SLM_E_USAGE;
    }
    if (!(m->lora_base = strdup(base->name))) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "models: no memory");
    for (size_t i = 0; i < c->n_loras; i++) {
        const struct lora_named *l = &c->loras[i];
        struct served *s = NULL;
        if (!l->name) continue;
        if (!is_good_name(l->name)) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "adapter \"%s\": its name has characters that names may not have", show_cstr(l->name).s);
        if (find(m, l->name)) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "adapter \"%s\": there is a model of this name", show_cstr(l->name).s);
        if ((st = add(m, l->name, l->path, false, &s, err)) != SLM_OK) return st;
        char *path = strdup(base->path);
        if (!path) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "models: no memory");
        free(s->path);
        s->path = path;
        s->base_name = m->lora_base;
        s->i_lora = (uint32_t)i;
        s->lora_scale = l->scale;
    }
    return SLM_OK;
}

/* Lock held; released meanwhile. The row is BUSY, so nobody else touches it. */
static void unload(struct models *m, struct served *s) {
    s->state = MODEL_BUSY;
    m->used_bytes -= s->need_bytes;
    struct served *base = s->base;
    pthread_mutex_unlock(&m->lock);
    served_unload(s, m->loop);
    models_release(m, base);
    metric_add(m->metrics, METRIC_EVICTIONS, 1);
    pthread_mutex_lock(&m->lock);
    s->state = MODEL_COLD;
    pthread_cond_broadcast(&m->changed);
}

static struct served *oldest_idle(struct models *m) {
    struct served *oldest = NULL;
    for (size_t i = 0; i < m->n; i++) {
        struct served *s = m->v[i];
        if (s->state == MODEL_WARM && s->n_users == 0 && !s->is_pinned && (!oldest || s->t_used < oldest->t_used)) oldest = s;
    }
    return oldest;
}

static uint64_t room_of(const struct models *m) { return m->budget_bytes > m->used_bytes ? m->budget_bytes - m->used_bytes : 0; }

static bool any_used(const struct models *m) {
    for (size_t i = 0; i < m->n; i++)
        if (m->v[i]->state == MODEL_WARM && m->v[i]->n_users > 0 && !m->v[i]->is_pinned) return true;
    return false;
}

static void wait_a_moment(struct models *m) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 50000000;
    if (t.tv_nsec >= 1000000000) t.tv_sec++, t.tv_nsec -= 1000000000;
    pthread_cond_timedwait(&m->changed, &m->lock, &t);
}

/* For served_load: unload idle models until `need` fits; what is free then. */
static uint64_t make_room(void *user, uint64_t need) {
    struct models *m = user;
    struct served *s;
    double t_end = time_now_s() + ROOM_WAIT_S;
    pthread_mutex_lock(&m->lock);
    while (need <= m->budget_bytes && room_of(m) < need) {
        if ((s = oldest_idle(m))) unload(m, s);
        else if (time_now_s() < t_end && any_used(m)) wait_a_moment(m);
        else break;
    }
    uint64_t room = room_of(m);
    pthread_mutex_unlock(&m->lock);
    return room;
}

static void *keep(void *arg) {
    struct models *m = arg;
    pthread_mutex_lock(&m->lock);
    while (!m->is_ending) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_sec += KEEPER_S;
        pthread_cond_timedwait(&m->changed, &m->lock, &t);
        double now = time_now_s();
        for (size_t i = 0; i < m->n && !m->is_ending; i++) {
            struct served *s = m->v[i];
            if (s->state == MODEL_WARM && s->n_users == 0 && (s->is_removed || (!s->is_pinned && s->keep_s >= 0 && now - s->t_used >= s->keep_s))) unload(m, s);
        }
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

slm_status models_create(const struct models_config *c, struct metrics *metrics, struct models **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct cpu_info cpu;
    struct models *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "models: no memory");
    cpu_info_get(&cpu);
    m->config = *c;
    m->metrics = metrics;
    m->budget_bytes = c->memory_bytes ? c->memory_bytes : cpu.mem_available_bytes;
    pthread_mutex_init(&m->lock, NULL);
    pthread_mutex_init(&m->load_lock, NULL);
    pthread_cond_init(&m->changed, NULL);
    TRY(sched_loop_create(&m->loop, err));
    scan(m);
    struct served *last = NULL;
    for (size_t i = 0; i < c->n_files; i++) TRY(add_named(m, c->files[i], &last, err));
    TRY(add_loras(m, last, err));
    for (size_t i = 0; i < c->n_pins; i++)
        if (!find(m, c->pins[i])) FAIL(SLM_E_USAGE, SLM_NOWHERE, "pin \"%s\": there is no such model", show_cstr(c->pins[i]).s);
    if (m->n == 0 && !c->folder && !c->store) FAIL(SLM_E_USAGE, SLM_NOWHERE, "models: none is given");
    if (pthread_create(&m->keeper, NULL, keep, m) != 0) FAIL(SLM_E_FAILED, SLM_NOWHERE, "models: no thread");
    m->has_keeper = true;
    *out = m;
    return SLM_OK;
out:
    models_destroy(m);
    return st;
}

void models_destroy(struct models *m) {
    if (!m) return;
    pthread_mutex_lock(&m->lock);
    m->is_ending = true;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
    if (m->has_keeper) pthread_join(m->keeper, NULL);
    for (size_t i = 0; i < m->n; i++)
        if (m->v[i]->base) served_unload(m->v[i], m->loop);
    for (size_t i = 0; i < m->n; i++) {
        served_unload(m->v[i], m->loop);
        free_row(m->v[i]);
    }
    free(m->lora_base);
    sched_loop_destroy(m->loop);
    free(m->v);
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->load_lock);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static slm_status not_found(struct models *m, const char *name, struct fault *f) {
    const char *names[MODELS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++)
        if (!m->v[i]->is_removed) names[n++] = m->v[i]->name;
    if (name) fault_set(f, SLM_E_NOT_FOUND, "model", "model \"%s\": is not here", show_cstr(name).s);
    else fault_set(f, SLM_E_USAGE, "model", "field \"model\": is missing, and there are %zu models", n);
    f->code = name ? "model_not_found" : "missing_required_parameter";
    if (n && name) err_hint(&f->err, "GET /v1/models lists what is here; the nearest is \"%s\"", nearest_name(name, names, n));
    else err_hint(&f->err, "GET /v1/models lists what is here");
    return f->err.code;
}

/* Load s, which is COLD; lock held, released meanwhile. */
static slm_status load(struct models *m, struct served *s, struct fault *f) {
    s->state = MODEL_BUSY;
    pthread_mutex_unlock(&m->lock);
    pthread_mutex_lock(&m->load_lock);
    slm_status st = served_load(s, &m->config, m->lora_base && strcmp(s->name, m->lora_base) == 0, make_room, m, m->loop, &f->err);
    pthread_mutex_lock(&m->lock);
    if (st == SLM_OK) m->used_bytes += s->need_bytes;
    s->i_load = ++m->n_loads;
    pthread_mutex_unlock(&m->load_lock);
    s->state = st == SLM_OK ? MODEL_WARM : MODEL_COLD;
    s->keep_s = m->config.keep_s;
    pthread_cond_broadcast(&m->changed);
    if (st == SLM_OK) metric_add(m->metrics, METRIC_LOADS, 1);
    else if (st == SLM_E_NOMEM || st == SLM_E_LIMIT) f->http_status = 503;
    return st;
}

/* The same of an adapter with a name: its base is loaded, and in use from then on. */
static slm_status load_beside(struct models *m, struct served *s, struct fault *f) {
    struct served *base = NULL;
    s->state = MODEL_BUSY;
    pthread_mutex_unlock(&m->lock);
    slm_status st = models_use(m, s->base_name, &base, f);
    if (st == SLM_OK) st = served_load_beside(s, base, &m->config, &f->err);
    if (st != SLM_OK) models_release(m, base);
    pthread_mutex_lock(&m->lock);
    s->state = st == SLM_OK ? MODEL_WARM : MODEL_COLD;
    s->keep_s = m->config.keep_s;
    pthread_cond_broadcast(&m->changed);
    return st;
}

/* What a name of the store means may have changed. */
static bool is_old(const struct models *m, const struct served *s) { return s->is_in_store && time_now_s() - m->t_scanned > STORE_SEEN_S; }

/* Lock held. What is new in folder and store; by any way to write a name. */
static struct served *look_again(struct models *m, const char *name) {
    scan(m);
    struct served *s = find(m, name);
    return s || !m->config.store ? s : find_stored(m, name);
}

/* Lock held. */
static struct served *only_one(struct models *m) {
    struct served *one = NULL;
    for (size_t i = 0; i < m->n; i++) {
        if (m->v[i]->is_removed || m->v[i]->base_name) continue;
        if (one) return NULL;
        one = m->v[i];
    }
    return one;
}

slm_status models_use(struct models *m, const char *name, struct served **out, struct fault *f) {
    slm_status st = SLM_OK;
    pthread_mutex_lock(&m->lock);
    struct served *s = name && *name ? find(m, name) : only_one(m);
    if (name && *name && (!s || is_old(m, s))) s = look_again(m, name);
    *out = NULL;
    if (!s) st = not_found(m, name && *name ? name : NULL, f);
    if (s) s->n_holds++;
    while (s && s->state == MODEL_BUSY) pthread_cond_wait(&m->changed, &m->lock);
    if (s && s->is_removed) st = not_found(m, name, f);
    if (st == SLM_OK && s->state == MODEL_COLD) st = s->base_name ? load_beside(m, s, f) : load(m, s, f);
    if (st == SLM_OK) {
        s->n_users++;
        s->t_used = time_now_s();
        *out = s;
    }
    if (s) s->n_holds--;
    pthread_mutex_unlock(&m->lock);
    return st;
}

void models_release(struct models *m, struct served *s) {
    if (!s) return;
    pthread_mutex_lock(&m->lock);
    s->n_users--;
    s->t_used = time_now_s();
    if (s->n_users == 0) pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

void models_keep(struct models *m, struct served *s, double keep_s) {
    pthread_mutex_lock(&m->lock);
    s->keep_s = keep_s;
    pthread_mutex_unlock(&m->lock);
}

slm_status models_vocab(struct models *m, struct served *s, const struct constrain_vocab **out, slm_err *err) {
    slm_status st = SLM_OK;
    if (s->base) s = s->base;
    pthread_mutex_lock(&m->load_lock); /* made once; whoever else wants it waits */
    if (!s->vocab) st = constrain_vocab_create(s->model->tok, &s->vocab, err);
    *out = s->vocab;
    pthread_mutex_unlock(&m->load_lock);
    return st;
}

struct served *models_next(struct models *m, struct served *before) {
    struct served *s = NULL;
    size_t i = 0;
    pthread_mutex_lock(&m->lock);
    while (before && m->v[i++] != before) continue; /* held, so it is there */
    for (; i < m->n && !s; i++)
        if (!m->v[i]->is_removed) s = m->v[i];
    if (before) before->n_holds--;
    if (s) s->n_holds++;
    pthread_mutex_unlock(&m->lock);
    return s;
}

struct served *models_find(struct models *m, const char *name) {
    pthread_mutex_lock(&m->lock);
    struct served *s = find(m, name);
    if (!s || is_old(m, s)) s = look_again(m, name);
    if (s) s->n_holds++;
    pthread_mutex_unlock(&m->lock);
    return s;
}

void models_let(struct models *m, struct served *s) {
    if (!s) return;
    pthread_mutex_lock(&m->lock);
    s->n_holds--;
    pthread_mutex_unlock(&m->lock);
}

bool models_warm(struct models *m, struct served *s, struct models_warm *out) {
    pthread_mutex_lock(&m->lock);
    bool is_warm = s->state == MODEL_WARM;
    if (is_warm) *out = (struct models_warm){s->need_bytes, s->keep_s, s->sched ? sched_n_ctx(s->sched) : (int32_t)s->model->hp.n_ctx_train};
    pthread_mutex_unlock(&m->lock);
    return is_warm;
}

bool models_stats(struct models *m, struct served *s, struct sched_stats *out) {
    pthread_mutex_lock(&m->lock);
    bool has = s->state == MODEL_WARM && s->sched && !s->base; /* told once, of the base */
    if (has) *out = sched_stats(s->sched);
    pthread_mutex_unlock(&m->lock);
    return has;
}

uint64_t models_used_bytes(struct models *m) {
    pthread_mutex_lock(&m->lock);
    uint64_t n = m->used_bytes;
    pthread_mutex_unlock(&m->lock);
    return n;
}

slm_status models_remove(struct models *m, struct served *s, struct fault *f) {
    slm_status st = SLM_OK;
    if (!s->is_in_folder && !s->is_in_store) return fault_set(f, SLM_E_UNSUPPORTED, "model", "model \"%s\": was named at the start, its file is not this server's to delete", show_cstr(s->name).s);
    pthread_mutex_lock(&m->lock);
    while (s->state == MODEL_BUSY) pthread_cond_wait(&m->changed, &m->lock);
    if (s->is_in_folder && unlink(s->path) != 0) st = fault_set(f, SLM_E_IO, "model", "model \"%s\": %s", show_cstr(s->name).s, strerror(errno));
    else {
        s->is_removed = true; /* its name is free at once; who uses it keeps the mapped file, and the last to leave has it unloaded */
        s->is_pinned = false;
        s->keep_s = 0;
        if (s->state == MODEL_WARM && s->n_users == 0) unload(m, s);
    }
    pthread_mutex_unlock(&m->lock);
    if (st == SLM_OK && s->is_in_store) st = stored_remove(m->config.store, s, f); /* may wait for its lock */
    return st;
}

slm_status models_link(struct models *m, struct served *s, const char *name, struct fault *f) {
    char path[4096], stem[MODEL_NAME_MAX + 1], real[4096];
    slm_status st = SLM_OK;
    if (s->base_name) return fault_set(f, SLM_E_UNSUPPORTED, "model", "model \"%s\": is an adapter beside \"%s\", which gets no other name", show_cstr(s->name).s, show_cstr(s->base_name).s);
    if (m->config.store) {
        st = stored_link(m->config.store, s, name, f);
        models_scan(m);
        return st;
    }
    if (!m->config.folder) return fault_set(f, SLM_E_UNSUPPORTED, NULL, "models: this server has neither a store nor a folder of its own (slm serve --store, or --models DIR)");
    snprintf(stem, sizeof stem, "%s", name);
    char *tag = strstr(stem, ":latest");
    if (tag && tag[7] == 0) *tag = 0;
    if (!is_good_name(stem) || strlen(name) > MODEL_NAME_MAX) return fault_set(f, SLM_E_USAGE, NULL, "model \"%s\": is no name for a model", show_cstr(name).s);
    if (snprintf(path, sizeof path, "%s/%s.gguf", m->config.folder, stem) >= (int)sizeof path) return fault_set(f, SLM_E_LIMIT, NULL, "model: the path is too long");
    pthread_mutex_lock(&m->lock);
    if (find(m, stem)) st = fault_set(f, SLM_E_USAGE, NULL, "model \"%s\": exists already", stem);
    else if (!realpath(s->path, real) || (link(real, path) != 0 && (errno != EXDEV || symlink(real, path) != 0)))
        st = fault_set(f, SLM_E_IO, NULL, "model \"%s\": %s", stem, strerror(errno));
    else scan(m);
    pthread_mutex_unlock(&m->lock);
    return st;
}
