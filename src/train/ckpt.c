/* ckpt.c -- checkpoints: written whole or not at all, checked whole before anything is taken from them. */
#include "train/ckpt_int.h"

#include <string.h>

#include "base/file.h"
#include "base/show.h"

#define MAGIC "SLMCKPT2"
#define HASH_PART ((size_t)1 << 20)

struct sink {
    struct file_out out;
    uint64_t hash;
    bool failed;
};

static void put(struct sink *s, const void *bytes, size_t n) {
    const char *p = bytes;
    for (size_t at = 0; at < n && !s->failed; at += HASH_PART) {
        size_t part = n - at < HASH_PART ? n - at : HASH_PART;
        s->hash = hash_bytes(s->hash, p + at, part);
        s->failed = fwrite(p + at, 1, part, s->out.stream) != part;
    }
}

slm_status ckpt_write(const char *path, const struct ckpt_state *state, const struct optim_run *runs, size_t n_runs, slm_err *err) {
    struct sink s = {.hash = HASH_START};
    slm_status st = file_out_open(&s.out, path, err);
    if (st != SLM_OK) return st;
    uint64_t n = n_runs;
    put(&s, MAGIC, 8);
    put(&s, state, sizeof *state);
    put(&s, &n, sizeof n);
    for (size_t i = 0; i < n_runs; i++) {
        uint64_t bytes = runs[i].bytes;
        put(&s, &bytes, sizeof bytes);
        put(&s, runs[i].data, runs[i].bytes);
    }
    uint64_t hash = s.hash;
    put(&s, &hash, sizeof hash);
    if (!s.failed) return file_out_commit(&s.out, err);
    file_out_discard(&s.out);
    err_set(err, SLM_E_IO, SLM_NOWHERE, "\"%s\": could not be written whole; the checkpoint before it is as it was", show_cstr(path).s);
    err_hint(err, "is the disk full?");
    return SLM_E_IO;
}

struct view_at {
    const uint8_t *p;
    size_t n;
};
static bool take(struct view_at *v, void *out, size_t n) {
    if (v->n < n) return false;
    memcpy(out, v->p, n);
    v->p += n;
    v->n -= n;
    return true;
}

static slm_status read_all(struct view_at v, struct ckpt_state *s, const struct optim_run *runs, size_t n_runs, const char *path, slm_err *err) {
    struct ckpt_state want = *s;
    char magic[8];
    uint64_t n, hash, got = HASH_START;
    for (size_t at = 0; v.n >= 8 && at < v.n - 8; at += HASH_PART) got = hash_bytes(got, v.p + at, v.n - 8 - at < HASH_PART ? v.n - 8 - at : HASH_PART);
    if (v.n >= 8) memcpy(&hash, v.p + v.n - 8, 8);
    if (v.n < 8 || hash != got) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": is damaged or no checkpoint", show_cstr(path).s);
    if (!take(&v, magic, 8) || memcmp(magic, MAGIC, 8) != 0 || !take(&v, s, sizeof *s) || !take(&v, &n, sizeof n))
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": is no checkpoint of this version", show_cstr(path).s);
    const char *differs = s->n_elem != want.n_elem ? "a model of another size" : s->data_identity != want.data_identity ? "other data, tokenizer or template"
                          : s->identity != want.identity ? "other options" : n != n_runs ? "another optimizer" : NULL;
    if (differs) {
        err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": is of a run with %s", show_cstr(path).s, differs);
        err_hint(err, "resume with the same options and data, or give another --out");
        return SLM_E_FORMAT;
    }
    for (size_t i = 0; i < n_runs; i++) {
        uint64_t bytes;
        if (!take(&v, &bytes, sizeof bytes) || bytes != runs[i].bytes || !take(&v, runs[i].data, runs[i].bytes))
            return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": is of a run with another optimizer", show_cstr(path).s);
    }
    if (v.n != sizeof hash) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": is longer than what it holds", show_cstr(path).s);
    return SLM_OK;
}

slm_status ckpt_read(const char *path, struct ckpt_state *s, const struct optim_run *runs, size_t n_runs, slm_err *err) {
    struct file_map map;
    slm_status st = file_map_open(&map, path, err);
    if (st != SLM_OK) return st;
    st = read_all((struct view_at){map.data, map.size}, s, runs, n_runs, path, err);
    file_map_close(&map);
    return st;
}
