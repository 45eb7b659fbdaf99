/* speculate.c -- where guesses come from, and the judge of whether they pay.
 *
 * Lookup: two tables from a hash of the last 5 and the last 3 tokens to where such a run ended last; the tokens are
 * compared, so a collision costs a guess, never a wrong one. A copy that reaches the end of the text goes on with what it
 * copied, so that a repeating text is followed for as long as it repeats.
 *
 * The judge compares tokens per second of passes with guesses with that of passes without; both are measured here, in this
 * run. Three bad passes in a row of recent ones end guessing for 16 tokens, then for 32 and so on: the loss stays below a
 * few percent of a text that nobody can guess. Tried and dropped: choosing the number of guesses from a model of their
 * cost; doubling after a full success and falling back to what was kept does as well, and needs no model. */
#include "engine/speculate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/session.h"

#define N_GUESS_DEFAULT 8
#define N_LOOKUPS 2
#define REST_MIN 16      /* tokens without guesses after a failure */
#define REST_MAX 1024
#define N_PASS_JUDGED 3  /* before a judgement */
#define N_PASS_PLAIN 64  /* then one without guesses, to measure it again */
#define FADE 0.85        /* of earlier passes, for each new one */

struct lookup {
    int32_t n_key, n_guess_max; /* tokens compared; guesses trusted */
    int32_t *next;              /* [n_slot] where the token after such a run stands; 0: none */
};

struct speculation {
    bool is_draft;
    int32_t n_guess_max;
    struct tok_ids said;
    struct lookup lookups[N_LOOKUPS];
    uint32_t n_slot;            /* a power of two */
    struct slm_session *draft;
    float *logits;              /* [n_vocab] of the target: the draft's, the rest minus infinity */
    uint32_t n_vocab;
    /* the judge */
    double plain_s;             /* of a pass without guesses; 0: not measured yet */
    double recent_s, recent_tokens;
    int32_t n_recent, n_since_plain, n_next, n_rest, n_rest_next;
    bool is_warm;               /* the draft model has read the prompt */
    struct speculate_stats stats;
};

static int32_t guesses_of(const struct speculate_params *p) { return p->n_guess ? p->n_guess : N_GUESS_DEFAULT; }

int32_t speculate_rows(const struct speculate_params *p, int32_t n_batch) {
    int32_t n = p->kind == SPECULATE_OFF ? 1 : guesses_of(p) + 1;
    return n < n_batch ? n : n_batch;
}

/* Ids of the draft model must mean what the target's mean; padding at the end of a vocabulary may differ. */
static slm_status check_vocabulary(const struct slm_model *target, const struct slm_model *draft, slm_err *err) {
    uint32_t n_a = tok_n_vocab(target->tok), n_b = tok_n_vocab(draft->tok), n = n_a < n_b ? n_a : n_b;
    const struct tok *longer = n_a > n_b ? target->tok : draft->tok;
    slm_status st = SLM_OK;
    for (uint32_t id = n; id < n_a || id < n_b; id++)
        if (tok_type_of(longer, (int32_t)id) != TOK_UNUSED)
            FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "draft model \"%s\": its vocabulary has %u tokens, the model's %u", gguf_path(draft->gguf), n_b, n_a);
    for (uint32_t id = 0; id < n; id++)
        if (!view_eq(tok_piece(target->tok, (int32_t)id, true), tok_piece(draft->tok, (int32_t)id, true)))
            FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "draft model \"%s\": its vocabulary is another, from token %u on", gguf_path(draft->gguf), id);
out:
    if (st != SLM_OK) err_hint(err, "a draft model is a smaller one of the same family");
    return st;
}

static slm_status check_params(const struct speculate_params *p, const struct slm_session *target, slm_err *err) {
    if (p->n_guess < 0 || p->n_guess > SPECULATE_GUESSES_MAX)
        return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "guesses \"%d\": must be 1 to %d", p->n_guess, SPECULATE_GUESSES_MAX);
    if (p->kind == SPECULATE_DRAFT && !p->draft) {
        err_set(err, SLM_E_USAGE, SLM_NOWHERE, "speculation \"draft\": there is no draft model");
        err_hint(err, "name one with --draft");
        return SLM_E_USAGE;
    }
    if (p->kind != SPECULATE_AUTO && target->kv->states)
        return err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "speculation with architecture \"%s\": its states cannot take a token back",
                       target->model->arch->name);
    if (p->draft && p->draft->kv->states)
        return err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "draft model of architecture \"%s\": its states cannot take a token back",
                       p->draft->model->arch->name);
    return p->draft ? check_vocabulary(target->model, p->draft->model, err) : SLM_OK;
}

slm_status speculation_create(const struct speculate_params *p, const struct slm_session *target, struct speculation **out, slm_err *err) {
    static const struct lookup lookups[N_LOOKUPS] = {{5, SPECULATE_GUESSES_MAX, NULL}, {3, 4, NULL}};
    struct speculation *sp = NULL;
    void *mem = NULL;
    slm_status st = SLM_OK;
    *out = NULL;
    if (p->kind == SPECULATE_OFF) return SLM_OK;
    TRY(check_params(p, target, err));
    int32_t n_guess = guesses_of(p) < target->plan.n_out ? guesses_of(p) : target->plan.n_out - 1;
    if (target->kv->states || n_guess < 1) return SLM_OK;
    TRY(mem_alloc(&mem, 1, sizeof *sp, "speculation", err));
    sp = mem;
    *sp = (struct speculation){.is_draft = p->draft && p->kind != SPECULATE_NGRAM, .n_guess_max = n_guess, .draft = p->draft,
                               .n_vocab = target->model->hp.n_vocab, .n_next = 4, .n_rest_next = REST_MIN, .n_slot = 1024};
    if (sp->is_draft) {
        TRY(mem_alloc(&mem, sp->n_vocab, sizeof *sp->logits, "draft logits", err));
        sp->logits = mem;
    }
    while (sp->n_slot < 2 * (uint32_t)target->plan.n_ctx) sp->n_slot *= 2;
    for (int i = 0; i < N_LOOKUPS && !sp->is_draft; i++) {
        sp->lookups[i] = lookups[i];
        TRY(mem_alloc(&mem, sp->n_slot, sizeof(int32_t), "lookup table", err));
        sp->lookups[i].next = mem;
    }
    *out = sp;
    sp = NULL;
out:
    speculation_destroy(sp);
    return st;
}

void speculation_destroy(struct speculation *sp) {
    if (!sp) return;
    for (int i = 0; i < N_LOOKUPS; i++) free(sp->lookups[i].next);
    tok_ids_fini(&sp->said);
    free(sp->logits);
    free(sp);
}

static uint32_t slot_of(const struct speculation *sp, const int32_t *ids, int32_t n) {
    uint64_t h = 0;
    for (int32_t i = 0; i < n; i++) h = (h ^ (uint32_t)ids[i]) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32) & (sp->n_slot - 1);
}

slm_status speculation_accept(struct speculation *sp, int32_t id, slm_err *err) {
    /* The run that ends before this token: one that ends with it would find itself. */
    for (int i = 0; i < N_LOOKUPS; i++) {
        struct lookup *l = &sp->lookups[i];
        size_t n = (size_t)l->n_key;
        if (l->next && sp->said.n >= n && sp->said.n <= INT32_MAX) l->next[slot_of(sp, sp->said.v + sp->said.n - n, l->n_key)] = (int32_t)sp->said.n;
    }
    return tok_ids_push(&sp->said, id, err);
}

static int32_t guess_by_lookup(const struct speculation *sp, int32_t n_max, int32_t *guess) {
    const struct tok_ids *said = &sp->said;
    for (int i = 0; i < N_LOOKUPS; i++) {
        const struct lookup *l = &sp->lookups[i];
        size_t n_key = (size_t)l->n_key;
        if (said->n < n_key) continue;
        size_t next = (size_t)l->next[slot_of(sp, said->v + said->n - n_key, l->n_key)];
        if (next == 0 || memcmp(said->v + next - n_key, said->v + said->n - n_key, n_key * sizeof *said->v) != 0) continue;
        int32_t n = n_max < l->n_guess_max ? n_max : l->n_guess_max;
        for (int32_t j = 0; j < n; j++) guess[j] = next + (size_t)j < said->n ? said->v[next + (size_t)j] : guess[next + (size_t)j - said->n];
        return n;
    }
    return 0;
}

/* The draft model's logits as the target's sampler takes them. */
static const float *draft_logits(struct speculation *sp) {
    uint32_t n = sp->draft->model->hp.n_vocab;
    if (n == sp->n_vocab) return sp->draft->logits;
    for (uint32_t i = 0; i < sp->n_vocab; i++) sp->logits[i] = i < n ? sp->draft->logits[i] : -INFINITY;
    return sp->logits;
}

static slm_status guess_by_draft(struct speculation *sp, struct sampler *sampler, int32_t n_max, int32_t *guess, int32_t *n_guess, slm_err *err) {
    int64_t room = (int64_t)sp->draft->plan.n_ctx - (int64_t)sp->said.n;
    if (room < 0) return SLM_OK;
    if (n_max > room + 1) n_max = (int32_t)room + 1;
    slm_status st = session_feed(sp->draft, sp->said.v, sp->said.n, NULL, err);
    for (int32_t i = 0; i < n_max && st == SLM_OK; i++) {
        guess[i] = sampler_guess(sampler, draft_logits(sp), i);
        *n_guess = i + 1;
        if ((uint32_t)guess[i] >= sp->draft->model->hp.n_vocab) break;
        if (i + 1 < n_max) st = session_append(sp->draft, guess[i], err);
    }
    return st;
}

slm_status speculation_guess(struct speculation *sp, struct sampler *sampler, int32_t n_max, int32_t *guess, int32_t *n_guess, slm_err *err) {
    *n_guess = 0;
    if (sp->plain_s == 0) return SLM_OK; /* measured first */
    if (sp->n_rest > 0) {
        sp->n_rest--;
        return SLM_OK;
    }
    if (sp->n_since_plain >= N_PASS_PLAIN) return SLM_OK;
    if (n_max > sp->n_next) n_max = sp->n_next;
    if (n_max > sp->n_guess_max) n_max = sp->n_guess_max;
    if (n_max < 1) return SLM_OK;
    if (sp->is_draft) return guess_by_draft(sp, sampler, n_max, guess, n_guess, err);
    *n_guess = guess_by_lookup(sp, n_max, guess);
    return SLM_OK;
}

static void judge(struct speculation *sp) {
    if (sp->n_recent < N_PASS_JUDGED) return;
    if (sp->recent_tokens * sp->plain_s >= sp->recent_s) {
        if (sp->n_recent >= 16) sp->n_rest_next = REST_MIN;
        return;
    }
    sp->n_rest = sp->n_rest_next;
    sp->n_rest_next = sp->n_rest_next < REST_MAX ? 2 * sp->n_rest_next : REST_MAX;
    sp->n_recent = 0;
    sp->recent_s = sp->recent_tokens = 0;
    sp->n_next = 4;
}

void speculation_passed(struct speculation *sp, int32_t n_guess, int32_t n_accepted, double seconds) {
    if (n_guess == 0) {
        sp->plain_s = sp->plain_s == 0 ? seconds : 0.75 * sp->plain_s + 0.25 * seconds;
        sp->n_since_plain = 0;
        return;
    }
    sp->n_since_plain++;
    sp->stats.n_pass++;
    sp->stats.n_drafted += (size_t)n_guess;
    sp->stats.n_accepted += (size_t)n_accepted;
    sp->stats.saved_s += (n_accepted + 1) * sp->plain_s - seconds;
    sp->n_next = n_accepted < n_guess ? n_accepted + 1 : 2 * n_guess;
    /* A draft model's first pass reads the prompt: paid once, and no sign of what follows. */
    bool counts = sp->is_warm || !sp->is_draft;
    sp->is_warm = true;
    if (!counts) return;
    sp->recent_s = FADE * sp->recent_s + seconds;
    sp->recent_tokens = FADE * sp->recent_tokens + n_accepted + 1;
    sp->n_recent++;
    judge(sp);
}

struct speculate_stats speculation_stats(const struct speculation *sp) { return sp ? sp->stats : (struct speculate_stats){0}; }
