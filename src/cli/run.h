/* run.h -- what the one-shot run and the interactive session share. */
#ifndef SLM_CLI_RUN_H
#define SLM_CLI_RUN_H

#include "cli/sampling.h"
#include "cli/structure.h"
#include "engine/session.h"

struct run_values {
    struct common_values common;
    const char *model, *prompt, *file, *system;
    const char *model_word, *prompt_word; /* the same as operands */
    const char *draft, *adapter, *template, *messages;
    int32_t n_predict, threads, ctx, chunk, kv, speculate, n_draft;
    struct slm_session *draft_session; /* of draft; opened with the model */
    struct sampling_values sampling;
    struct structure_values structure;
    struct structure *held; /* what structure asks for, opened with the model */
    struct option_texts stops, loras;
    bool ignore_eos, raw, ids, json;
    bool is_shipped; /* no model was given */
};
extern const struct option_table run_table; /* for /set */

/* run_encode -- text to ids as the model wants its prompts: special tokens parsed, BOS first when is_start and the model
 * asks for it. Appends. */
slm_status run_encode(const struct slm_model *m, struct view text, bool is_start, struct tok_ids *ids, slm_err *err);

/* run_generate -- one answer to what a dialog says, to a fresh `said`. Ctrl-C ends it early: result->finish is FINISH_CANCELLED.
 * seed: what was used. Errors: those of session_generate and said_end; IO of standard output. */
struct run_answer {
    struct generate_result result;
    uint64_t seed;
    json_t *report; /* of structure_judge, new; NULL: nothing holds the answer */
    slm_status verdict; /* FAILED: the answer is not what was asked for; why says so */
    slm_err why;
};
struct dialog;
struct said;
slm_status run_generate(struct slm_session *s, const struct run_values *v, const struct dialog *d, struct said *said,
                        struct run_answer *answer, slm_err *err);
/* The line of counts and speeds, on standard error. */
void run_say_stats(const struct run_answer *a);

/* The interactive session; until Ctrl-D or /bye. */
struct chat_template;
slm_status run_chat(struct slm_session *s, const struct chat_template *chat, const struct run_values *v, slm_err *err);

#endif
