/* prompts.h -- prompts and texts as the APIs give them: text, a list of texts, ids, lists of ids, or a mix. */
#ifndef SLM_SERVE_PROMPTS_H
#define SLM_SERVE_PROMPTS_H

#include "model/model.h"
#include "serve/fields.h"

enum prompts_as {
    PROMPTS_TEXT,    /* what is continued: begin token when the vocabulary asks for it, special tokens seen */
    PROMPTS_EMBED,   /* what is embedded: as embed_encode */
};
struct prompts {
    struct tok_ids *ids; /* [n] */
    size_t n;
};
/* prompts_read -- v: "text", ["a", "b"], [1, 2], [[1], [2]], or ["text", 1, 2, "more"] when mixes is set (llama.cpp: one prompt in
 * pieces). Errors: USAGE (param is the field), LIMIT (more than n_max). */
slm_status prompts_read(const struct slm_model *m, const json_t *v, const char *param, enum prompts_as as, bool mixes, size_t n_max, struct prompts *out, struct fault *f);
void prompts_fini(struct prompts *p);
/* encode_text -- one text, appended. */
slm_status encode_text(const struct slm_model *m, struct view text, enum prompts_as as, bool is_start, struct tok_ids *out, slm_err *err);

#endif
