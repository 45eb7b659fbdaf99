/* train.c -- how fast models learn: tokens per second of whole steps (forward, backward, AdamW) at two sizes.
 *
 * bench_train [threads [seconds]]: for each size and loss a line "NAME tokens/s tokens/CPU-s GFLOP/CPU-s". CPU seconds are those of this
 * process, for machines that others use too. "task": 64 sequences of 32 tokens, a loss on the last of each; "text": 8 of 256, everywhere.
 * bench/train.sh runs PyTorch beside it. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/cpu.h"
#include "base/util.h"
#include "text/bpe_train.h"
#include "train/fresh.h"
#include "train/optim.h"

#define N_TOK 2048
#define N_VOCAB 2048

static const struct {
    const char *name;
    struct fresh_shape shape;
} sizes[] = {{"1m", {128, 4, 4, 2, 344}}, {"3.5m", {256, 4, 8, 4, 688}}};
static const struct {
    const char *name;
    int32_t length;
    bool last_only;
} works[] = {{"task", 32, true}, {"text", 256, false}};

static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void check(slm_status st, const slm_err *err) {
    if (st == SLM_OK) return;
    fprintf(stderr, "error: %s\n", err->msg);
    exit(1);
}

/* A vocabulary of N_VOCAB pieces: bytes and names. */
static void make_vocab(struct tok_config *c, struct view *pieces, char (*text)[8]) {
    tok_config_init(c);
    c->family = "gpt2";
    c->pre = "gpt-2";
    c->n_vocab = N_VOCAB;
    for (int i = 0; i < N_VOCAB; i++) {
        snprintf(text[i], sizeof text[i], "p%d", i);
        pieces[i] = view_of(text[i]);
    }
    c->pieces = pieces;
}

static void measure(const char *name, const struct slm_model *m, int32_t length, bool last_only, int n_threads, double seconds) {
    static int32_t token[N_TOK], target[N_TOK], begin[N_TOK + 1];
    slm_err err;
    struct trainee *t;
    struct optim *o;
    struct rng rng;
    rng_init(&rng, 1);
    for (int i = 0; i < N_TOK; i++) {
        token[i] = (int32_t)(rng_u64(&rng) % N_VOCAB);
        target[i] = !last_only || i % length == length - 1 ? (int32_t)(rng_u64(&rng) % N_VOCAB) : TRAIN_NO_TARGET;
    }
    for (int i = 0; i <= N_TOK / length; i++) begin[i] = i * length;
    struct train_batch b = {.n_tok = N_TOK, .n_seq = N_TOK / length, .token = token, .seq_begin = begin, .target = target};
    check(trainee_create(m, &(struct trainee_params){.n_threads = n_threads, .micro_tokens = N_TOK, .n_ctx = length, .recompute = 0}, &t, &err), &err);
    check(optim_create(t, &(struct optim_params){OPTIM_ADAMW, 0.9f, 0.95f, 1e-8f, 0.1f, 1}, &o, &err), &err);
    double wall = 0, cpu = 0;
    int64_t n = 0;
    for (int64_t step = -2; wall < seconds; step++) { /* two to warm up */
        double sum = 0, weight = 0, w0 = time_now_s(), c0 = cpu_s();
        trainee_zero_grad(t);
        check(trainee_backward(t, &b, train_batch_weight(&b), &sum, &weight, &err), &err);
        optim_step(o, step + 3, 1e-4, optim_norm(o));
        if (step < 0) continue;
        wall += time_now_s() - w0;
        cpu += cpu_s() - c0;
        n += N_TOK;
    }
    double rows = last_only ? 1.0 / length : 1, inner = (double)trainee_n_param(t) - (double)N_VOCAB * m->hp.d_model;
    double flop = 6 * (inner + rows * N_VOCAB * m->hp.d_model); /* without attention's */
    printf("%s %.0f %.0f %.1f\n", name, (double)n / wall, (double)n / cpu, flop * (double)n / cpu * 1e-9);
    fflush(stdout);
    optim_destroy(o);
    trainee_destroy(t);
}

int main(int argc, char **argv) {
    static struct view pieces[N_VOCAB];
    static char text[N_VOCAB][8];
    struct tok_config vocab;
    slm_err err;
    int n_threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 3;
    make_vocab(&vocab, pieces, text);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (size_t w = 0; w < sizeof works / sizeof works[0]; w++) {
            struct slm_model *m;
            char name[32];
            check(fresh_create(&(struct fresh_params){.shape = sizes[s].shape, .n_ctx = 256, .seed = 1, .tok = &vocab}, &m, &err), &err);
            snprintf(name, sizeof name, "%s-%s", sizes[s].name, works[w].name);
            measure(name, m, works[w].length, works[w].last_only, n_threads, seconds);
            model_close(m);
        }
    return 0;
}
