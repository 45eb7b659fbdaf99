/* live_teacher.h -- a teacher that runs beside its student: each step's sequences get its predictions, and some of them are what the
 * student itself writes (on-policy: Agarwal et al. 2023), so that it learns where it goes wrong.
 *
 * A source over a source: the same sequences in the same order. An on-policy sequence keeps its prompt, up to the first token with a loss;
 * behind it the student, as it is then, writes at most what stood there, drawn at sample_temp; all of that is learnt from the teacher.
 * Which sequences, and what is drawn, follows from seed, step and place, so a resumed run repeats it. */
#ifndef SLM_TRAIN_LIVE_TEACHER_H
#define SLM_TRAIN_LIVE_TEACHER_H

#include "train/data.h"
#include "train/trainee.h"

struct live_teacher_params {
    struct slm_model *teacher; /* borrowed, as the student and the inner source */
    struct trainee *student;   /* needed when on_policy > 0, and then without adapters */
    struct train_source *inner;
    uint32_t n_vocab;          /* ids that both vocabularies share (vocab_match) */
    uint32_t k;
    struct kd_loss kd;
    float on_policy;           /* share of the sequences, 0 to 1 */
    float sample_temp;
    uint64_t seed;
    int n_threads;
    const _Atomic bool *cancel;
};
/* Errors: USAGE (k, temperature, a teacher whose context is shorter than the sequences, adapters with on_policy), those of sessions. */
slm_status live_teacher_create(const struct live_teacher_params *p, struct train_source *out, slm_err *err);
void live_teacher_destroy(struct train_source *s); /* the inner source stays */

#endif
