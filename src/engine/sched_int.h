/* sched_int.h -- a job, and what a scheduler holds. Only sched*.c include this. */
#ifndef SLM_ENGINE_SCHED_INT_H
#define SLM_ENGINE_SCHED_INT_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/outlet.h"
#include "engine/prefix.h"
#include "engine/sched.h"

struct job {
    struct job *next;         /* in the inbox, or among those that wait */
    struct job *prev_alive, *next_alive; /* all jobs, under the lock */
    uint64_t id;
    struct sched_request r;   /* its pointers lead into mem, or are NULL */
    struct arena mem;
    struct tok_ids ids;       /* prompt, then what was generated; the cache holds the first seq.n_pos */
    struct kv_seq seq;
    struct lora_mix lora;
    int32_t n_known;          /* pages that prefix.h knows */
    struct sampler *sampler;
    struct constrain_run *run; /* NULL: no constraint */
    struct outlet outlet;
    struct sched_usage usage;
    double t_submit, t_admit, t_first;
    uint64_t turn;            /* the order in which waiting jobs are admitted (sched_admit.c) */
    uint64_t n_admitted;      /* rank by admission: a larger one is younger */
    int32_t n_step;           /* tokens in the step under way */
    int32_t i_row;            /* its row of logits in it; -1: none */
    _Atomic bool cancelled;
    bool started;             /* SCHED_STARTED was told */
};

/* One by one in the order of the engine thread's work: sched.c queues, sched_admit.c admits, sched_step.c runs. */
struct sched {
    struct slm_model *model;  /* borrowed */
    struct sched_params p;    /* with defaults filled in */
    struct compute compute;
    struct plan plan;
    struct kv *kv;
    struct prefix *prefix;    /* NULL: nothing is remembered */
    struct forward *forward;
    float *logits;            /* [n_out, n_vocab] */
    int32_t *token, *pos;     /* [n_batch] each: the batch under way */
    struct kv_seq **seq;
    bool *want;

    pthread_mutex_t lock;     /* guards from here to stats */
    struct job *inbox, **inbox_end;
    struct job *alive;
    int32_t n_queued;         /* in the inbox, and waiting */
    uint64_t last_id;
    void (*wake)(void *user);
    void *wake_user;
    struct sched_stats stats;

    /* The engine thread's: */
    struct job *waiting;      /* by turn, then by arrival */
    struct job **running;     /* [n_running], oldest first */
    int32_t n_running;
    uint64_t turn_now, n_admissions;
    double step_s;            /* seconds of a step without prompts, and of one prompt token beside it: running means */
    double token_s;
};

/* sched_job.c */
slm_status job_create(struct sched *s, const struct sched_request *r, struct job **out, slm_err *err);
void job_destroy(struct sched *s, struct job *j); /* takes it off the list of all jobs */
/* job_tell -- an event with the usage filled in. */
void job_tell(struct job *j, struct sched_event *e);
/* job_take_token -- what follows from a row of logits: a token, perhaps the end. True: the job goes on. */
bool job_take_token(struct sched *s, struct job *j, const float *logits);
void job_finish(struct sched *s, struct job *j, enum finish finish); /* tells DONE and destroys */
void job_fail(struct sched *s, struct job *j, const slm_err *err);   /* tells FAILED and destroys */

/* sched_admit.c */
void sched_queue(struct sched *s, struct job *j);  /* among those that wait */
void sched_admit(struct sched *s);
/* sched_make_room -- pages so that positions [0, n_pos) of j can be written: remembered prefixes go, then the youngest jobs, down to
 * j itself. False: j went back to the queue, or failed. */
bool sched_make_room(struct sched *s, struct job *j, int32_t n_pos);
void sched_leave(struct sched *s, struct job *j);  /* off the running list */

#endif
