/* logp_file.c -- saved log-probabilities: the file is mapped, its header and size are checked once, rows are read where they lie. */
#include <math.h>
#include <string.h>

#include "base/show.h"
#include "engine/perplexity.h"

#define HEAD_BYTES 24
#define N_VOCAB_MAX (4u << 20)
#define N_CTX_MAX (1u << 24)
#define N_CHUNK_MAX (1u << 24)

static uint64_t row_bytes(const struct logp_file *f) { return 8 + 2 * (uint64_t)f->n_vocab; }

static uint64_t rows_at(const struct logp_file *f) { return HEAD_BYTES + 4 * (uint64_t)f->n_chunk * f->n_ctx; }

slm_status logp_open(struct logp_file *f, const char *path, slm_err *err) {
    slm_status st = SLM_OK;
    uint32_t head[4];
    *f = (struct logp_file){0};
    TRY(file_map_open(&f->map, path, err));
    if (f->map.size < HEAD_BYTES || memcmp(f->map.data, "SLMLOGP1", 8) != 0) {
        err_set(err, SLM_E_FORMAT, 0, "\"%s\": no saved log-probabilities", show_path(path).s);
        err_hint(err, "make them with: slm perplexity -m MODEL -f TEXT --save-logits FILE");
        st = SLM_E_FORMAT;
        goto out;
    }
    memcpy(head, f->map.data + 8, sizeof head);
    f->n_vocab = head[0];
    f->n_ctx = head[1];
    f->n_chunk = head[2];
    /* Within the limits no product below leaves 64 bits. */
    if (f->n_vocab < 1 || f->n_vocab > N_VOCAB_MAX || f->n_ctx < 4 || f->n_ctx > N_CTX_MAX || f->n_chunk < 1 || f->n_chunk > N_CHUNK_MAX || head[3] != 0)
        FAIL(SLM_E_FORMAT, 8, "\"%s\": its header is out of range", show_path(path).s);
    if ((uint64_t)f->n_chunk * logp_n_scored(f->n_ctx) > UINT64_MAX / row_bytes(f) / 2 ||
        f->map.size != rows_at(f) + (uint64_t)f->n_chunk * logp_n_scored(f->n_ctx) * row_bytes(f))
        FAIL(SLM_E_FORMAT, 8, "\"%s\": has not the size that its header says", show_path(path).s);
    for (uint64_t i = 0; i < (uint64_t)f->n_chunk * logp_n_scored(f->n_ctx); i++) {
        float lo_step[2];
        memcpy(lo_step, f->map.data + rows_at(f) + i * row_bytes(f), sizeof lo_step);
        if (!isfinite(lo_step[0]) || !(lo_step[1] >= 0 && lo_step[1] < 1e30f))
            FAIL(SLM_E_FORMAT, rows_at(f) + i * row_bytes(f), "\"%s\": row %llu is damaged", show_path(path).s, (unsigned long long)i);
    }
out:
    if (st != SLM_OK) logp_close(f);
    return st;
}

void logp_close(struct logp_file *f) {
    file_map_close(&f->map);
    *f = (struct logp_file){0};
}

int32_t logp_token(const struct logp_file *f, uint64_t i) {
    int32_t v;
    memcpy(&v, f->map.data + HEAD_BYTES + 4 * i, sizeof v);
    return v;
}

void logp_row(const struct logp_file *f, uint64_t i, float *out) {
    const uint8_t *row = f->map.data + rows_at(f) + i * row_bytes(f);
    float lo_step[2];
    memcpy(lo_step, row, sizeof lo_step);
    for (uint32_t v = 0; v < f->n_vocab; v++) {
        uint16_t q;
        memcpy(&q, row + 8 + 2 * (size_t)v, sizeof q);
        out[v] = lo_step[0] + lo_step[1] * (float)q;
    }
}
