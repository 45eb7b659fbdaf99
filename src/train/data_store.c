/* data_store.c -- a dataset: every row's ids and marks in a file without a name, mapped; an index of sequences in memory.
 *
 * Tokenizing once and mapping beats tokenizing each epoch (a core gives 5 to 20 MB/s) and holding everything (books are gigabytes): the
 * system keeps in memory what is used. A long text becomes windows that overlap by one id, so that each id is learnt once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/show.h"
#include "train/data_int.h"

#define BAD_SHOWN_MAX 5

struct seq_row {
    uint64_t at, line, i_loss, hash; /* hash: of the whole row's ids */
    uint32_t n, n_loss;              /* n: inputs; n + 1 are stored */
    uint32_t i_path : 31, is_val : 1;
    float weight;
};

struct dataset {
    const struct tok *tok;
    struct seq_row *seqs;
    size_t n_seq, cap_seq;
    char **paths;
    size_t n_paths, cap_paths;
    FILE *file;
    uint64_t n_stored;
    const uint32_t *stored; /* mapped once all is written */
    struct data_stats stats;
    uint64_t identity;
};

/* Building */

struct builder {
    const struct data_params *p;
    struct dataset *d;
    struct data_tokens tokens;
    uint32_t *slots; /* rows by hash; place + 1 in seqs, 0: empty */
    size_t n_slots, n_rows;
};

static slm_status write_failed(slm_err *err) { return err_set(err, SLM_E_IO, SLM_NOWHERE, "write the data's ids to a temporary file: %s", strerror(errno)); }

static slm_status keep_path(struct dataset *d, const char *path, slm_err *err) {
    if (d->n_paths && strcmp(d->paths[d->n_paths - 1], path) == 0) return SLM_OK;
    if (d->n_paths == d->cap_paths) {
        size_t cap = d->cap_paths ? d->cap_paths * 2 : 8;
        char **q = realloc(d->paths, cap * sizeof *q);
        if (!q) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "data: out of memory");
        d->paths = q;
        d->cap_paths = cap;
    }
    char *copy = strdup(path);
    if (!copy) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "data: out of memory");
    d->paths[d->n_paths++] = copy;
    return SLM_OK;
}

/* One sequence: ids [from, from + n] of the row. */
static slm_status add_seq(struct builder *b, const struct data_row *row, size_t from, uint32_t n, uint64_t hash, bool is_val, slm_err *err) {
    struct dataset *d = b->d;
    if (d->n_seq == DATA_N_SEQ_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "data: more than %u sequences", DATA_N_SEQ_MAX);
    if (d->n_seq == d->cap_seq) {
        size_t cap = d->cap_seq ? d->cap_seq * 2 : 1024;
        struct seq_row *q = realloc(d->seqs, cap * sizeof *q);
        if (!q) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "data: out of memory");
        d->seqs = q;
        d->cap_seq = cap;
    }
    struct seq_row *s = &d->seqs[d->n_seq++];
    *s = (struct seq_row){.at = d->n_stored, .line = row->line, .i_loss = d->stats.n_loss, .hash = hash, .n = n, .i_path = (uint32_t)(d->n_paths - 1) & 0x7fffffffu,
                          .is_val = is_val, .weight = row->weight};
    for (size_t i = 0; i <= n; i++) {
        bool loss = i > 0 && b->tokens.loss[from + i];
        uint32_t v = (uint32_t)b->tokens.ids.v[from + i] | (loss ? DATA_LOSS_BIT : 0u);
        if (fwrite(&v, sizeof v, 1, d->file) != 1) return write_failed(err);
        d->identity = hash_bytes(d->identity, &v, sizeof v);
        s->n_loss += loss;
        if (loss) d->stats.n_bytes += tok_piece(b->p->tok, b->tokens.ids.v[from + i], false).len;
    }
    d->identity = hash_bytes(d->identity, &n, sizeof n);
    d->identity = hash_bytes(d->identity, &row->weight, sizeof row->weight);
    d->n_stored += n + 1u;
    d->stats.n_loss += s->n_loss;
    d->stats.n_token += n;
    if ((int32_t)n > d->stats.seq_tokens_max) d->stats.seq_tokens_max = (int32_t)n;
    return SLM_OK;
}

static slm_status slots_grow(struct builder *b, slm_err *err) {
    size_t n = b->n_slots ? b->n_slots * 2 : 4096;
    uint32_t *slots = calloc(n, sizeof *slots);
    if (!slots) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "data: out of memory");
    for (size_t i = 0; i < b->n_slots; i++) {
        if (!b->slots[i]) continue;
        size_t at = b->d->seqs[b->slots[i] - 1].hash & (n - 1);
        while (slots[at]) at = (at + 1) & (n - 1);
        slots[at] = b->slots[i];
    }
    free(b->slots);
    b->slots = slots;
    b->n_slots = n;
    return SLM_OK;
}

/* Rows with the same ids are counted; hashes of 64 bits tell them. */
static slm_status note_row(struct builder *b, size_t i_seq, slm_err *err) {
    slm_status st;
    if (b->n_rows >= b->n_slots / 2 && (st = slots_grow(b, err)) != SLM_OK) return st;
    const struct seq_row *s = &b->d->seqs[i_seq];
    size_t at = s->hash & (b->n_slots - 1);
    for (; b->slots[at]; at = (at + 1) & (b->n_slots - 1)) {
        const struct seq_row *twin = &b->d->seqs[b->slots[at] - 1];
        if (twin->hash != s->hash) continue;
        struct data_stats *stats = &b->d->stats;
        if (stats->n_duplicate++ == 0) stats->duplicate_line[0] = twin->line, stats->duplicate_line[1] = s->line;
        return SLM_OK;
    }
    b->slots[at] = (uint32_t)i_seq + 1;
    b->n_rows++;
    return SLM_OK;
}

static bool is_val(const struct data_params *p, uint64_t hash) {
    if (!(p->val_share > 0)) return false;
    uint64_t h = hash_bytes(hash_bytes(HASH_START, &p->val_seed, sizeof p->val_seed), &hash, sizeof hash);
    h ^= h >> 29;
    h *= 0xbf58476d1ce4e5b9u;
    return (double)(h >> 11) / 9007199254740992.0 < (double)p->val_share;
}

static uint64_t hash_mix(uint64_t h) {
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93u;
    return h ^ h >> 32;
}

static slm_status add_row(struct builder *b, const struct data_row *row, slm_err *err) {
    const struct data_encode_params encode = {b->p->tok, b->p->tmpl, b->p->system, b->p->loss_last};
    const size_t n_ctx = (size_t)b->p->n_ctx;
    slm_status st = data_encode(&encode, row, &b->tokens, err);
    if (st != SLM_OK) return st;
    size_t n = b->tokens.ids.n - 1, i_first = b->d->n_seq;
    uint64_t hash = hash_mix(hash_bytes(HASH_START, b->tokens.ids.v, b->tokens.ids.n * sizeof *b->tokens.ids.v));
    bool val = is_val(b->p, hash);
    if ((st = keep_path(b->d, row->path, err)) != SLM_OK) return st;
    if (row->shape == DATA_SHAPE_TEXT) {
        for (size_t at = 0; at < n && st == SLM_OK; at += n_ctx) st = add_seq(b, row, at, (uint32_t)(n - at < n_ctx ? n - at : n_ctx), hash, val, err);
    } else {
        if (n > n_ctx) {
            bool any = false;
            for (size_t i = 1; i <= n_ctx; i++) any |= b->tokens.loss[i];
            if (!any) {
                row_fault(row->path, row->line, err, "all that is to be learnt lies behind token %d, where rows are cut", b->p->n_ctx);
                err_hint(err, "give a larger --ctx; this row has %zu tokens", n);
                return SLM_E_FORMAT;
            }
            n = n_ctx;
            b->d->stats.n_cut++;
        }
        st = add_seq(b, row, 0, (uint32_t)n, hash, val, err);
    }
    return st == SLM_OK ? note_row(b, i_first, err) : st;
}

static slm_status read_all(struct builder *b, struct data_reader *r, slm_err *err) {
    struct data_row row;
    bool has = true;
    while (has) {
        if (b->p->cancel && *b->p->cancel) return err_set(err, SLM_E_CANCELLED, SLM_NOWHERE, "reading data: interrupted");
        slm_status st = data_reader_next(r, &row, &has, err);
        if (st == SLM_OK && !has) break;
        b->d->stats.n_row++;
        if (st == SLM_OK) st = add_row(b, &row, err);
        if (st != SLM_E_FORMAT && st != SLM_OK) return st;
        if (st == SLM_OK) continue;
        has = true;
        if (!b->p->skip_bad) return st;
        if (b->d->stats.n_bad++ < BAD_SHOWN_MAX && b->p->on_bad) b->p->on_bad(b->p->user, err);
        err_clear(err);
    }
    return SLM_OK;
}

static slm_status map_stored(struct dataset *d, slm_err *err) {
    if (fflush(d->file) != 0) return write_failed(err);
    void *p = mmap(NULL, d->n_stored * sizeof *d->stored, PROT_READ, MAP_SHARED, fileno(d->file), 0);
    if (p == MAP_FAILED) return err_set(err, SLM_E_IO, SLM_NOWHERE, "map the data's ids: %s", strerror(errno));
    d->stored = p;
    return SLM_OK;
}

slm_status dataset_open(const struct data_params *p, struct dataset **out, slm_err *err) {
    slm_status st = SLM_OK;
    slm_err own;
    struct data_reader *r = NULL;
    struct builder b = {.p = p};
    if (!err) err = &own;
    *out = NULL;
    const struct data_reader_params reader = {p->paths, p->n_paths, p->format, p->doc_sep};
    SLM_ASSERT(p->n_ctx >= 1);
    TRY(data_reader_open(&reader, &r, err));
    if (!(b.d = calloc(1, sizeof *b.d))) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "data: out of memory");
    b.d->tok = p->tok;
    b.d->identity = HASH_START;
    if (!(b.d->file = tmpfile())) {
        st = write_failed(err);
        goto out;
    }
    TRY(read_all(&b, r, err));
    b.d->stats.n_seq = b.d->n_seq;
    if (b.d->n_seq == 0) FAIL(SLM_E_USAGE, SLM_NOWHERE, "data \"%s\": %s", show_path(p->n_paths ? p->paths[0] : "").s, b.d->stats.n_bad ? "no row is left" : "there is no row");
    TRY(map_stored(b.d, err));
    *out = b.d;
    b.d = NULL;
out:
    data_reader_close(r);
    data_tokens_fini(&b.tokens);
    free(b.slots);
    dataset_close(b.d);
    return st;
}

void dataset_close(struct dataset *d) {
    if (!d) return;
    if (d->stored) munmap((void *)d->stored, d->n_stored * sizeof *d->stored);
    if (d->file) fclose(d->file);
    for (size_t i = 0; i < d->n_paths; i++) free(d->paths[i]);
    free(d->paths);
    free(d->seqs);
    free(d);
}

const struct data_stats *dataset_stats(const struct dataset *d) { return &d->stats; }
uint64_t dataset_identity(const struct dataset *d) { return d->identity; }
const struct tok *dataset_tok(const struct dataset *d) { return d->tok; }
uint64_t dataset_n_seq(const struct dataset *d) { return d->n_seq; }

struct data_seq dataset_seq(const struct dataset *d, uint64_t i) {
    SLM_ASSERT(i < d->n_seq);
    const struct seq_row *s = &d->seqs[i];
    return (struct data_seq){d->stored + s->at, (int32_t)s->n, d->paths[s->i_path], s->line, s->weight, s->i_loss, s->n_loss, s->is_val ? DATA_VAL : DATA_TRAIN};
}

/* Overlap */

static int compare_u64(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static size_t find_hash(const struct dataset *d, uint64_t hash) {
    for (size_t i = 0; i < d->n_seq; i++)
        if (d->seqs[i].hash == hash) return i;
    return 0;
}

slm_status dataset_overlap(const struct dataset *a, const struct dataset *b, struct data_overlap *out, slm_err *err) {
    void *p = NULL;
    memset(out, 0, sizeof *out);
    slm_status st = mem_alloc(&p, a->n_seq + 1, sizeof(uint64_t), "comparing data", err);
    if (st != SLM_OK) return st;
    uint64_t *hashes = p;
    for (size_t i = 0; i < a->n_seq; i++) hashes[i] = a->seqs[i].hash;
    qsort(hashes, a->n_seq, sizeof *hashes, compare_u64);
    for (size_t i = 0; i < b->n_seq; i++) {
        const struct seq_row *s = &b->seqs[i];
        if (i > 0 && b->seqs[i - 1].hash == s->hash && b->seqs[i - 1].line == s->line) continue; /* another window of the same text */
        if (!bsearch(&s->hash, hashes, a->n_seq, sizeof *hashes, compare_u64) || out->n++ > 0) continue;
        const struct seq_row *twin = &a->seqs[find_hash(a, s->hash)];
        *out = (struct data_overlap){1, a->paths[twin->i_path], b->paths[s->i_path], twin->line, s->line};
    }
    free(hashes);
    return SLM_OK;
}
