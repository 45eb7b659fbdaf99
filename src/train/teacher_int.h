/* teacher_int.h -- what the files of teachers share. */
#ifndef SLM_TRAIN_TEACHER_INT_H
#define SLM_TRAIN_TEACHER_INT_H

#include "train/teacher.h"

struct answers; /* the cache */
struct http_teacher;

struct teacher {
    struct teacher_params p;
    struct answers *answers;       /* NULL: nothing is kept */
    struct http_teacher *http;
    struct slm_session *session;
    struct data_encode_params encode;
    uint64_t model_identity;
    uint64_t n_token;              /* spent: of answers that were not in the cache */
};

/* answers: request -> answer, each in a transaction of its own that is on disk when put returns. */
slm_status answers_open(const char *path, struct answers **out, slm_err *err);
void answers_close(struct answers *a);
slm_status answers_get(struct answers *a, const char *request, struct teacher_answer *out, bool *has, slm_err *err);
slm_status answers_put(struct answers *a, const char *request, const struct teacher_answer *answer, slm_err *err);

slm_status http_teacher_open(const struct teacher_params *p, struct http_teacher **out, slm_err *err);
void http_teacher_close(struct http_teacher *h);
/* body: the request's JSON. Tries as the parameters say. */
slm_status http_teacher_ask(struct http_teacher *h, const char *body, struct teacher_answer *out, slm_err *err);

#endif
