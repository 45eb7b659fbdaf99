/* constrain.h -- output that is valid by construction: which tokens may come next under a schema, an expression, a list of
 * choices or a grammar.
 *
 * Three objects. A constrain_vocab is a tokenizer seen as bytes (a trie; made once per model, read-only, shared by threads). A
 * constraint is a compiled specification for one vocabulary; it fills caches while it is used, so it and its runs belong to one
 * thread at a time, the engine's; it may be created on any thread and handed over. A constrain_run is one generation.
 *
 * Use, per token: constrain_pick (or: sampler_pick, constrain_allows, and only when refused constrain_mask and a second pick), then
 * constrain_accept. End tokens are allowed only where the text may end. n_left is how many tokens may still come, this one
 * included; -1: no limit. With a limit the run closes in time: every token allowed leaves a completion that fits, if n_left was
 * constrain_min_tokens or more at the beginning. A run is deterministic: what is allowed depends on the text and n_left alone.
 *
 *     constraint_create(&spec, vocab, &c, &err);
 *     constrain_run_create(c, strip_first, &run, &err);
 *     while (!constrain_is_done(run)) {
 *         constrain_pick(run, sampler, logits, n_left--, &id, &err);
 *         if (tok_is_end(tok, id)) break;
 *         constrain_accept(run, id, &err);
 *     }
 *
 * docs/structured-output.md says what of a schema is enforced, what is only checked, and every limit. */
#ifndef SLM_ENGINE_CONSTRAIN_H
#define SLM_ENGINE_CONSTRAIN_H

#include "engine/sampler.h"
#include "text/schema/schema.h"
#include "text/tok.h"

struct constrain_vocab;
/* tok is borrowed and must outlive the vocabulary. Errors: UNSUPPORTED (a piece of more than 64 KiB), NOMEM. */
slm_status constrain_vocab_create(const struct tok *tok, struct constrain_vocab **out, slm_err *err);
void constrain_vocab_destroy(struct constrain_vocab *v);

/* JSON: any JSON object. TOOLS: one call {"name": ..., "arguments": {...}} of one of the tools. CALLS: calls as a family writes them, from behind
 * the mark that begins them (engine/call_guard.h). */
enum constrain_kind { CONSTRAIN_REGEX, CONSTRAIN_CHOICE, CONSTRAIN_GRAMMAR, CONSTRAIN_SCHEMA, CONSTRAIN_JSON, CONSTRAIN_TOOLS, CONSTRAIN_CALLS };
struct constrain_spec {
    enum constrain_kind kind;
    /* The expression (the whole output must match), the grammar (GBNF), the JSON Schema (2020-12, or draft-7 where $schema says so), or
     * the tools: a JSON array of {"name", "parameters"}, or of {"type": "function", "function": {...}}. */
    struct view text;
    const struct view *choices; /* [n_choices], for CHOICE */
    size_t n_choices;
    const struct call_form *form; /* for CALLS */
    const char *close;            /* instead of the form's own; NULL: that */
    bool only_one;                /* no second call where the form has several */
};

struct constraint;
/* Nothing of spec is kept. vocab is borrowed and must outlive the constraint.
 * Errors: FORMAT (syntax, with its place), UNSUPPORTED (what), LIMIT (of text/gram/gram.h, named), USAGE, NOMEM. */
slm_status constraint_create(const struct constrain_spec *spec, const struct constrain_vocab *vocab, struct constraint **out, slm_err *err);
void constraint_destroy(struct constraint *c); /* after its runs */

/* constraint_notes -- what of a schema is not enforced but only checked, with JSON pointers; n 0: everything is enforced. */
const struct schema_notes *constraint_notes(const struct constraint *c);
/* constraint_check -- judge a finished text by the independent check of the schema; texts of other kinds are valid when they were
 * generated to their end. *is_valid false: err says where and why. Errors: those of schema_check. */
slm_status constraint_check(struct constraint *c, struct view text, bool *is_valid, slm_err *err);

struct constrain_run;
/* strip_first: the detokenizer will drop the space of the first piece (detok_init). */
slm_status constrain_run_create(struct constraint *c, bool strip_first, struct constrain_run **out, slm_err *err);
slm_status constrain_run_clone(const struct constrain_run *run, struct constrain_run **out, slm_err *err);
void constrain_run_destroy(struct constrain_run *run);

/* constrain_allows -- whether token id may come now. */
bool constrain_allows(struct constrain_run *run, int32_t id, int32_t n_left);
/* constrain_mask -- one bit per token, [(n_vocab + 31) / 32] words: bit id % 32 of word id / 32 is 1 when it may come. Valid until
 * the next call on the constraint. Never empty without an error. Errors: LIMIT (n_left is too small; an ambiguous grammar), NOMEM. */
slm_status constrain_mask(struct constrain_run *run, int32_t n_left, const uint32_t **bits, slm_err *err);
/* constrain_pick -- sampler_pick under the constraint: a first pick that is allowed stands, else one among what is allowed. A
 * logit bias cannot overrule the constraint. Errors: those of constrain_mask. */
slm_status constrain_pick(struct constrain_run *run, struct sampler *sampler, const float *logits, int32_t n_left, int32_t *id, slm_err *err);
/* constrain_accept -- the token was generated. Errors: USAGE (it was not allowed), LIMIT, NOMEM; the run is then as before. */
slm_status constrain_accept(struct constrain_run *run, int32_t id, slm_err *err);
/* constrain_forced -- tokens that are the only way on, at most n_max, without asking the model; 0: there is a choice. They are
 * spelled as the tokenizer would, and the last is left to the model where it could grow together with what follows. */
slm_status constrain_forced(struct constrain_run *run, int32_t n_left, int32_t *ids, size_t n_max, size_t *n, slm_err *err);

/* For text that did not come as tokens of the run. constrain_restart -- back to the beginning. constrain_allows_text -- whether it may come, and n_left
 * tokens are enough to complete what follows (-1: any number). constrain_accept_text -- it has come; errors as constrain_accept. */
void constrain_restart(struct constrain_run *run);
bool constrain_allows_text(struct constrain_run *run, struct view text, int32_t n_left);
slm_status constrain_accept_text(struct constrain_run *run, struct view text, slm_err *err);

bool constrain_may_end(const struct constrain_run *run); /* the text so far is complete */
bool constrain_is_done(struct constrain_run *run);       /* ... and nothing may follow */
/* constrain_min_tokens -- how many tokens complete the text from here, at most; n_left at or above it is honoured. -1: none do
 * (the vocabulary cannot spell it). */
int32_t constrain_min_tokens(struct constrain_run *run);
/* constrain_closed -- whether n_left has ever ruled out a token that was picked or asked for: the text is shorter for it. */
bool constrain_closed(const struct constrain_run *run);

#endif
