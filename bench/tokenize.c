/* tokenize.c -- how fast a vocabulary loads and a text becomes ids: bench_tokenize MODEL TEXT_FILE [RUNS]. One JSON object. */
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/file.h"
#include "model/model.h"

static uint64_t checksum(const struct tok_ids *ids) {
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < ids->n; i++) h = (h ^ (uint32_t)ids->v[i]) * 0x100000001b3u;
    return h;
}

static slm_status bench(const char *model, const char *file, int n_runs, slm_err *err) {
    slm_status st = SLM_OK;
    struct gguf *g = NULL;
    struct tok *t = NULL;
    struct file_map text = {0};
    struct tok_ids ids = {0};
    double best = 1e9, load = 1e9;
    TRY(gguf_open(model, &g, err));
    for (int i = 0; i < n_runs; i++) {
        tok_destroy(t);
        double t0 = time_now_s();
        TRY(model_read_tokenizer(g, &t, err));
        if (time_now_s() - t0 < load) load = time_now_s() - t0;
    }
    TRY(file_map_open(&text, file, err));
    for (int i = 0; i < n_runs; i++) {
        ids.n = 0;
        double t0 = time_now_s();
        TRY(tok_encode(t, (struct view){(const char *)text.data, text.size}, TOK_PARSE_SPECIAL, &ids, err));
        if (time_now_s() - t0 < best) best = time_now_s() - t0;
    }
    printf("{\"n_bytes\": %zu, \"n_ids\": %zu, \"checksum\": \"%016llx\", \"load_ms\": %.2f, \"seconds\": %.4f, \"mb_per_s\": %.2f}\n", text.size, ids.n,
           (unsigned long long)checksum(&ids), load * 1e3, best, (double)text.size / best / 1e6);
out:
    tok_ids_fini(&ids);
    file_map_close(&text);
    tok_destroy(t);
    gguf_close(g);
    return st;
}

int main(int argc, char **argv) {
    slm_err err;
    if (argc < 3) {
        fprintf(stderr, "usage: bench_tokenize MODEL TEXT_FILE [RUNS]\n");
        return 2;
    }
    if (bench(argv[1], argv[2], argc > 3 ? (int)strtol(argv[3], NULL, 10) : 3, &err) == SLM_OK) return 0;
    fprintf(stderr, "error: %s\n", err.msg);
    return 1;
}
