/* kd_cache.c -- reading, checking and writing a teacher's predictions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/show.h"
#include "engine/session.h"
#include "train/kd_cache.h"

#define KD_MAGIC "SLMKD001"
#define HEADER_BYTES (8 + 4 * 4 + 4 * KD_TEMPERATURES_MAX + 8 * 5)

static size_t row_bytes(uint32_t k, uint32_t n_temperature) { return 8 * (size_t)k + 4 * (size_t)n_temperature; }

static void put(uint8_t **at, const void *v, size_t n) {
    memcpy(*at, v, n);
    *at += n;
}

static void take(const uint8_t **at, void *v, size_t n) {
    memcpy(v, *at, n);
    *at += n;
}

static void header_write(const struct kd_header *h, uint8_t out[HEADER_BYTES]) {
    uint8_t *at = out;
    uint32_t zero = 0;
    memset(out, 0, HEADER_BYTES);
    put(&at, KD_MAGIC, 8);
    put(&at, &h->k, 4);
    put(&at, &h->n_vocab, 4);
    put(&at, &h->n_temperature, 4);
    put(&at, &zero, 4);
    put(&at, h->temperature, sizeof h->temperature);
    put(&at, &h->n_row, 8);
    put(&at, &h->data_identity, 8);
    put(&at, &h->teacher_identity, 8);
    put(&at, &h->vocab_hash, 8);
    uint64_t check = hash_bytes(HASH_START, out, (size_t)(at - out));
    put(&at, &check, 8);
}

static bool header_read(const uint8_t *in, struct kd_header *h) {
    const uint8_t *at = in + 8;
    uint32_t zero;
    uint64_t check;
    if (memcmp(in, KD_MAGIC, 8) != 0) return false;
    take(&at, &h->k, 4);
    take(&at, &h->n_vocab, 4);
    take(&at, &h->n_temperature, 4);
    take(&at, &zero, 4);
    take(&at, h->temperature, sizeof h->temperature);
    take(&at, &h->n_row, 8);
    take(&at, &h->data_identity, 8);
    take(&at, &h->teacher_identity, 8);
    take(&at, &h->vocab_hash, 8);
    uint64_t want = hash_bytes(HASH_START, in, (size_t)(at - in));
    take(&at, &check, 8);
    return check == want;
}

slm_status kd_cache_open(const char *path, struct kd_cache *out, slm_err *err) {
    slm_status st;
    size_t bytes;
    memset(out, 0, sizeof *out);
    TRY(file_map_open(&out->map, path, err));
    const struct shown shown_path = show_path(path);
    const char *name = shown_path.s;
    if (out->map.size < HEADER_BYTES || !header_read(out->map.data, &out->h)) FAIL(SLM_E_FORMAT, 0, "\"%s\": no cache of a teacher's logits, or its header is damaged", name);
    const struct kd_header *h = &out->h;
    if (h->k == 0 || h->k > TRAIN_TOP_K_MAX || h->k > h->n_vocab || h->n_temperature == 0 || h->n_temperature > KD_TEMPERATURES_MAX)
        FAIL(SLM_E_FORMAT, 8, "\"%s\": k %u of %u ids, %u temperatures: out of range", name, h->k, h->n_vocab, h->n_temperature);
    out->row_bytes = row_bytes(h->k, h->n_temperature);
    if (!size_mul(out->row_bytes, h->n_row, &bytes) || bytes != out->map.size - HEADER_BYTES)
        FAIL(SLM_E_FORMAT, HEADER_BYTES, "\"%s\": %zu bytes of rows, %llu rows of %zu are announced", name, out->map.size - HEADER_BYTES, (unsigned long long)h->n_row, out->row_bytes);
    out->rows = out->map.data + HEADER_BYTES;
    for (uint64_t r = 0; r < h->n_row; r++) { /* so that readers need not look again */
        const uint8_t *row = out->rows + r * out->row_bytes;
        for (uint32_t i = 0; i < h->k + h->k + h->n_temperature; i++) {
            uint32_t id;
            float v;
            memcpy(&id, row + 4 * i, 4);
            memcpy(&v, row + 4 * i, 4);
            if (i < h->k ? id >= h->n_vocab : !isfinite(v))
                FAIL(SLM_E_FORMAT, HEADER_BYTES + r * out->row_bytes + 4 * i, "\"%s\": row %llu is damaged", name, (unsigned long long)r);
        }
    }
out:
    if (st != SLM_OK) kd_cache_close(out);
    return st;
}

void kd_cache_close(struct kd_cache *c) {
    file_map_close(&c->map);
    memset(c, 0, sizeof *c);
}

slm_status kd_cache_check(const struct kd_cache *c, const struct dataset *d, uint32_t n_vocab, uint64_t hash, slm_err *err) {
    if (c->h.data_identity != dataset_identity(d) || c->h.n_row != dataset_stats(d)->n_loss) {
        err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "stale cache: the teacher's logits were made of other data (%llu tokens to learn, now %llu)", (unsigned long long)c->h.n_row,
                (unsigned long long)dataset_stats(d)->n_loss);
        err_hint(err, "data, tokenizer, template, context or loss options changed: make the cache anew");
        return SLM_E_FORMAT;
    }
    if (n_vocab && (c->h.n_vocab > n_vocab || (hash && c->h.vocab_hash != hash)))
        return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "vocabulary mismatch: the teacher's logits are of %u ids that are not the first of this vocabulary of %u", c->h.n_vocab, n_vocab);
    return SLM_OK;
}

int kd_cache_temperature(const struct kd_cache *c, float temperature) {
    for (uint32_t i = 0; i < c->h.n_temperature; i++)
        if (c->h.temperature[i] >= temperature && c->h.temperature[i] <= temperature) return (int)i;
    return -1;
}

float kd_cache_row(const struct kd_cache *c, uint64_t r, int i_temperature, int32_t *id, float *logit) {
    const uint8_t *row = c->rows + r * c->row_bytes;
    float log_sum;
    SLM_ASSERT(r < c->h.n_row && i_temperature >= 0 && (uint32_t)i_temperature < c->h.n_temperature);
    memcpy(id, row, 4 * (size_t)c->h.k);
    memcpy(logit, row + 4 * (size_t)c->h.k, 4 * (size_t)c->h.k);
    memcpy(&log_sum, row + 8 * (size_t)c->h.k + 4 * (size_t)i_temperature, 4);
    return log_sum;
}

/* Vocabularies */

uint64_t vocab_hash(const struct tok *t, uint32_t n) {
    uint64_t h = HASH_START;
    if (n == 0 || n > tok_n_vocab(t)) n = tok_n_vocab(t);
    for (uint32_t i = 0; i < n; i++) {
        struct view v = tok_piece(t, (int32_t)i, true);
        h = hash_bytes(hash_bytes(h, &v.len, sizeof v.len), v.ptr, v.len);
    }
    return h;
}

slm_status vocab_match(const struct tok *teacher, const struct tok *student, uint32_t *n_common, slm_err *err) {
    uint32_t a = tok_n_vocab(teacher), b = tok_n_vocab(student), n = a < b ? a : b, i = 0;
    while (i < n && view_eq(tok_piece(teacher, (int32_t)i, true), tok_piece(student, (int32_t)i, true))) i++;
    *n_common = n;
    if (i == n) return SLM_OK;
    *n_common = 0;
    struct view x = tok_piece(teacher, (int32_t)i, true), y = tok_piece(student, (int32_t)i, true);
    err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "vocabulary mismatch: id %u is \"%s\" for the teacher, \"%s\" for the student", i, show_view(x).s, show_view(y).s);
    err_hint(err, "let the teacher write text (--method seq), or train the student with the teacher's vocabulary");
    return SLM_E_UNSUPPORTED;
}

/* Writing */

struct kd_writer {
    const struct kd_write_params *p;
    struct data_seq seq;
    uint32_t *id;
    float *logit;
    FILE *stream;
    uint64_t n_row;
};

/* The k best of the allowed ids (NULL: of all), by falling logit, of equals the smaller id first. How many were found. */
uint32_t kd_pick_best(const float *logits, const bool *allowed, uint32_t n, uint32_t k, uint32_t *id, float *logit) {
    uint32_t have = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = have;
        if ((allowed && !allowed[i]) || (have == k && !(logits[i] > logit[k - 1]))) continue;
        if (have < k) have++;
        else at = k - 1;
        for (; at > 0 && logits[i] > logit[at - 1]; at--) {
            logit[at] = logit[at - 1];
            id[at] = id[at - 1];
        }
        logit[at] = logits[i];
        id[at] = i;
    }
    return have;
}

float kd_log_sum(const float *logits, const bool *allowed, uint32_t n, float max, float temperature) {
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        if (!allowed || allowed[i]) sum += exp((double)(logits[i] - max) / (double)temperature);
    return (float)((double)max / (double)temperature + log(sum));
}

static slm_status write_row(void *user, size_t i_pos, const float *logits, slm_err *err) {
    struct kd_writer *w = user;
    float log_sum[KD_TEMPERATURES_MAX];
    if (!(w->seq.stored[i_pos + 1] & DATA_LOSS_BIT)) return SLM_OK;
    for (uint32_t i = 0; i < w->p->n_vocab; i++)
        if (!isfinite(logits[i]))
            return err_set(err, SLM_E_FAILED, SLM_NOWHERE, "%s:%llu: the teacher's logit of id %u is no finite number", w->seq.path, (unsigned long long)w->seq.line, i);
    const uint32_t next = w->seq.stored[i_pos + 1] & ~DATA_LOSS_BIT;
    const bool *allowed = w->p->labels && next < w->p->n_vocab && w->p->labels[next] ? w->p->labels : NULL;
    if (kd_pick_best(logits, allowed, w->p->n_vocab, w->p->k, w->id, w->logit) < w->p->k) /* fewer labels than places */
        return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "top-k %u: there are fewer labels", w->p->k);
    for (uint32_t i = 0; i < w->p->n_temperature; i++) log_sum[i] = kd_log_sum(logits, allowed, w->p->n_vocab, w->logit[0], w->p->temperature[i]);
    bool ok = fwrite(w->id, sizeof *w->id, w->p->k, w->stream) == w->p->k && fwrite(w->logit, sizeof *w->logit, w->p->k, w->stream) == w->p->k &&
              fwrite(log_sum, sizeof *log_sum, w->p->n_temperature, w->stream) == w->p->n_temperature;
    w->n_row += ok;
    return ok ? SLM_OK : err_set(err, SLM_E_IO, SLM_NOWHERE, "write \"%s\": no space, or the disk failed", w->p->path);
}

static slm_status write_seq(struct kd_writer *w, struct slm_session *s, struct tok_ids *ids, slm_err *err) {
    slm_status st = SLM_OK;
    size_t first = SIZE_MAX;
    ids->n = 0;
    for (int32_t i = 0; i < w->seq.n; i++) {
        TRY(tok_ids_push(ids, (int32_t)(w->seq.stored[i] & ~DATA_LOSS_BIT), err));
        if (first == SIZE_MAX && w->seq.stored[i + 1] & DATA_LOSS_BIT) first = (size_t)i;
    }
    if (first != SIZE_MAX) st = session_logits_from(s, ids->v, ids->n, first, write_row, w, err);
out:
    return st;
}

static slm_status check_params(const struct kd_write_params *p, const struct slm_model *teacher, const struct dataset *d, slm_err *err) {
    if (p->k == 0 || p->k > TRAIN_TOP_K_MAX || p->k > p->n_vocab) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "top-k %u: outside 1..%u", p->k, p->n_vocab < TRAIN_TOP_K_MAX ? p->n_vocab : TRAIN_TOP_K_MAX);
    if (p->n_temperature == 0 || p->n_temperature > KD_TEMPERATURES_MAX) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "%u temperatures: outside 1..%d", p->n_temperature, KD_TEMPERATURES_MAX);
    for (uint32_t i = 0; i < p->n_temperature; i++)
        if (!(p->temperature[i] > 0.01f && p->temperature[i] <= 100)) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "temperature %g: outside 0.01..100", (double)p->temperature[i]);
    if (p->n_vocab > teacher->hp.n_vocab) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "%u ids, the teacher has %u", p->n_vocab, teacher->hp.n_vocab);
    for (uint64_t i = 0; i < dataset_n_seq(d); i++) {
        struct data_seq q = dataset_seq(d, i);
        for (int32_t k = 0; k <= q.n; k++)
            if ((q.stored[k] & ~DATA_LOSS_BIT) >= teacher->hp.n_vocab)
                return err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "vocabulary mismatch: %s:%llu holds id %u, the teacher has %u", q.path, (unsigned long long)q.line,
                               q.stored[k] & ~DATA_LOSS_BIT, teacher->hp.n_vocab);
    }
    return SLM_OK;
}

static slm_status write_rows(struct kd_writer *w, struct slm_session *s, const struct dataset *d, slm_err *err) {
    slm_status st = SLM_OK;
    struct tok_ids ids = {0};
    uint64_t n = dataset_n_seq(d);
    for (uint64_t i = 0; i < n && st == SLM_OK; i++) {
        w->seq = dataset_seq(d, i);
        st = write_seq(w, s, &ids, err);
        if (st == SLM_OK && w->p->progress && (i % 64 == 0 || i + 1 == n)) w->p->progress(w->p->user, (double)(i + 1) / (double)n);
    }
    tok_ids_fini(&ids);
    return st;
}

slm_status kd_cache_write(struct slm_model *teacher, const struct dataset *d, const struct kd_write_params *p, slm_err *err) {
    slm_status st;
    struct kd_writer w = {.p = p};
    struct file_out file = {0};
    struct slm_session *s = NULL;
    uint8_t header[HEADER_BYTES];
    void *mem;
    struct kd_header h = {.k = p->k, .n_vocab = p->n_vocab, .n_temperature = p->n_temperature, .n_row = dataset_stats(d)->n_loss, .data_identity = dataset_identity(d),
                          .teacher_identity = p->teacher_identity, .vocab_hash = vocab_hash(teacher->tok, p->n_vocab)};
    TRY(check_params(p, teacher, d, err));
    memcpy(h.temperature, p->temperature, p->n_temperature * sizeof *p->temperature);
    TRY(mem_alloc(&mem, p->k, sizeof *w.id, "teacher's list", err));
    w.id = mem;
    TRY(mem_alloc(&mem, p->k, sizeof *w.logit, "teacher's list", err));
    w.logit = mem;
    const int32_t n_ctx = dataset_stats(d)->seq_tokens_max;
    struct session_params sp = {.n_ctx = n_ctx, .n_threads = p->n_threads, .kv_type = KV_TYPE_AUTO, .n_out = session_rows_at_once(teacher, n_ctx < 64 ? n_ctx : 64)};
    TRY(session_create(teacher, &sp, &s, err));
    s->cancel = p->cancel;
    TRY(file_out_open(&file, p->path, err));
    w.stream = file.stream;
    header_write(&h, header);
    if (fwrite(header, sizeof header, 1, file.stream) != 1) FAIL(SLM_E_IO, SLM_NOWHERE, "write \"%s\": no space, or the disk failed", show_path(p->path).s);
    TRY(write_rows(&w, s, d, err));
    SLM_ASSERT(w.n_row == h.n_row);
    st = file_out_commit(&file, err);
out:
    file_out_discard(&file);
    session_destroy(s);
    free(w.id);
    free(w.logit);
    return st;
}
