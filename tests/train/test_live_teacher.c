/* A teacher beside its student: itself teaches nothing, another teaches; what the student writes is learnt; the same steps twice. */
#include "test.h"

#include <math.h>

#include "train/live_teacher.h"
#include "train/optim.h"

enum { N_TOK = 96, N_SEQ = 3 };

/* Three sequences, the same in every step; a loss from the ninth token on. */
struct fixed {
    int32_t token[N_TOK], target[N_TOK], begin[N_SEQ + 1];
    struct train_batch b;
    struct train_cursor at;
};
static slm_status next_step(void *ctx, int64_t batch_tokens, int32_t micro_tokens, const struct train_batch **micro, int *n_micro, slm_err *err) {
    struct fixed *f = ctx;
    (void)batch_tokens, (void)micro_tokens, (void)err;
    *micro = &f->b;
    *n_micro = 1;
    f->at.n_step++;
    return SLM_OK;
}
static void tell(void *ctx, struct train_cursor *out) { *out = ((struct fixed *)ctx)->at; }
static slm_status seek(void *ctx, const struct train_cursor *to, slm_err *err) {
    (void)err;
    ((struct fixed *)ctx)->at = *to;
    return SLM_OK;
}
static void fixed_make(struct fixed *f, struct train_source *s) {
    memset(f, 0, sizeof *f);
    for (int32_t i = 0; i < N_TOK; i++) f->token[i] = 260 + i * 37 % 200;
    for (int32_t i = 0; i < N_TOK; i++) f->target[i] = i % 32 < 8 ? TRAIN_NO_TARGET : f->token[(i + 1) % N_TOK];
    for (int32_t i = 0; i <= N_SEQ; i++) f->begin[i] = i * 32;
    f->b = (struct train_batch){.n_tok = N_TOK, .n_seq = N_SEQ, .token = f->token, .seq_begin = f->begin, .target = f->target};
    *s = (struct train_source){.ctx = f, .next = next_step, .tell = tell, .seek = seek, .epoch_tokens = N_TOK, .seq_tokens_max = 32};
}

static struct slm_model *open_model(const char *name) {
    struct slm_model *m;
    slm_err err;
    if (model_open(test_data(name), 0, &m, &err) != SLM_OK) fail_msg("%s", err.msg);
    return m;
}

/* Losses of n steps of a student that starts as `from`, taught by `teacher`. */
static void steps(const char *from, const char *teacher, float on_policy, int n, double *losses) {
    slm_err err;
    struct fixed f;
    struct train_source inner, s;
    struct trainee *t;
    struct optim *o;
    struct slm_model *student = open_model(from), *big = open_model(teacher);
    fixed_make(&f, &inner);
    assert_int_equal(trainee_create(student, &(struct trainee_params){.n_threads = 2, .micro_tokens = N_TOK, .n_ctx = 32}, &t, &err), SLM_OK);
    assert_int_equal(optim_create(t, &(struct optim_params){OPTIM_ADAMW, 0.9f, 0.95f, 1e-8f, 0, 1}, &o, &err), SLM_OK);
    struct live_teacher_params p = {.teacher = big, .student = t, .inner = &inner, .n_vocab = big->hp.n_vocab, .k = 16, .on_policy = on_policy, .sample_temp = 1, .seed = 4,
                                    .n_threads = 2, .kd = {.tail = TRAIN_TAIL_BUCKET, .temperature = 2, .alpha = 1, .beta = 0}};
    assert_int_equal(live_teacher_create(&p, &s, &err), SLM_OK);
    for (int i = 0; i < n; i++) {
        const struct train_batch *b;
        int n_micro;
        double sum = 0, weight = 0;
        if (s.next(s.ctx, N_TOK, N_TOK, &b, &n_micro, &err) != SLM_OK) fail_msg("%s", err.msg);
        assert_int_equal(n_micro, 1);
        assert_true(b->teacher->n_row > 0 && b->n_tok <= N_TOK);
        trainee_zero_grad(t);
        if (trainee_backward(t, b, train_batch_weight(b), &sum, &weight, &err) != SLM_OK) fail_msg("%s", err.msg);
        losses[i] = sum / weight;
        optim_step(o, i + 1, 3e-3, optim_norm(o));
    }
    live_teacher_destroy(&s);
    optim_destroy(o);
    trainee_destroy(t);
    model_close(student);
    model_close(big);
}

#define SELF "golden/logits/llama.gguf"
#define OTHER "golden/logits/llama-tied.gguf"

static void test_itself_teaches_nothing(void **state) {
    double loss[1];
    (void)state;
    steps(SELF, SELF, 0, 1, loss);
    assert_true(fabs(loss[0]) < 1e-5);
    steps(SELF, SELF, 1, 1, loss);
    assert_true(fabs(loss[0]) < 1e-5);
}

static void test_another_teaches(void **state) {
    double loss[30], again[30];
    (void)state;
    for (int on = 0; on < 2; on++) {
        steps(SELF, OTHER, (float)on, 30, loss);
        steps(SELF, OTHER, (float)on, 30, again);
        if (!(loss[29] < 0.7 * loss[0])) fail_msg("on-policy %d: loss %g, then %g", on, loss[0], loss[29]);
        assert_memory_equal(loss, again, sizeof loss);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_itself_teaches_nothing), cmocka_unit_test(test_another_teaches)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
