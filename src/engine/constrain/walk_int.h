/* walk_int.h -- states of a constraint's automaton beside the vocabulary: what is known of each, and which tokens may come there. */
#ifndef SLM_ENGINE_WALK_INT_H
#define SLM_ENGINE_WALK_INT_H

#include "engine/constrain/vocab_int.h"
#include "text/gram/gram.h"

#define NEED_INF INT32_MAX

/* What is known of a state, by its number. */
struct note {
    uint32_t *mask;    /* [n_words] or NULL */
    uint32_t cost_max; /* of the states that the mask's tokens lead to */
    int32_t need;      /* 0: not asked yet; else 1 + tokens of the cheapest completion, NEED_INF: cannot be spelled */
};

struct cell {
    const int32_t *row; /* gram_row of the state, or NULL */
    int32_t state;
};

struct constraint {
    const struct constrain_vocab *vocab;
    struct gram *gram;
    struct gram_exec *exec;
    struct schema *schema; /* NULL: not of a schema */
    struct schema_notes unenforced;
    struct note *notes;   /* [cap_notes] */
    size_t cap_notes, mask_bytes;
    struct cell *path;    /* [depth_max + 1] states along a walk */
    uint32_t *scratch;    /* [n_words] a mask that is not kept */
    uint64_t epoch;       /* of the automaton's tables */
    bool is_complete;     /* the vocabulary has every byte that text needs */
    bool has_names;       /* objects whose names are free: none may come twice */
};

/* walk_need -- tokens of the cheapest completion of a state; NEED_INF: it cannot be spelled. */
int32_t walk_need(struct constraint *c, int32_t state);
/* walk_leads_well -- whether a token that leads from one state to another leaves a completion that fits. limit: tokens that may follow it; -1: any. */
bool walk_leads_well(struct constraint *c, int32_t from, int32_t to, int32_t limit);
/* walk_follow -- the state after a piece, which loses one leading space with strip; GRAM_DEAD: it may not come. */
int32_t walk_follow(struct constraint *c, int32_t state, struct view piece, bool strip);
/* walk_fill -- the tokens that may come at a state, those that walk_leads_well allows, into c->scratch. */
void walk_fill(struct constraint *c, int32_t from, int32_t limit, bool strip);
/* walk_mask -- the same without a limit, kept with its state where there is room. *cost_max: of the states that its tokens lead to. Errors: NOMEM. */
slm_status walk_mask(struct constraint *c, int32_t state, const uint32_t **bits, uint32_t *cost_max, slm_err *err);
/* walk_forget -- the kept masks. */
void walk_forget(struct constraint *c);

#endif
