/* tok_source_int.h -- what the readers of authors' tokenizer files share. */
#ifndef SLM_TEXT_TOK_SOURCE_INT_H
#define SLM_TEXT_TOK_SOURCE_INT_H

#include <jansson.h>

#include "text/tok_source.h"

#define SPACE_MARK "\xe2\x96\x81" /* U+2581 in pieces */

/* The config's arrays while they are written; n_vocab of each. */
struct source_build {
    struct tok_source *s;
    struct view *pieces;
    float *scores;
    int32_t *types;
    uint8_t *strips;
    bool strips_any;
    slm_err *err;
};

slm_status source_alloc(struct tok_source *s, void **out, size_t n, size_t size, slm_err *err);
slm_status source_keep(struct tok_source *s, struct view v, struct view *out, slm_err *err);  /* copy, NUL after it */
slm_status source_arrays(struct source_build *b, struct tok_source *s, uint32_t n_vocab, slm_err *err);
void source_finish(struct source_build *b); /* hands the arrays to the config */

/* json_get -- member as a type; NULL when absent or null; *st FORMAT, naming the place, when it is something else. */
bool json_flag(const json_t *object, const char *key, bool otherwise);
const char *json_type_name(const json_t *component); /* its "type", "" when there is none */
slm_status json_parse(struct view text, const char *name, json_t **out, slm_err *err);
int32_t source_find(const struct tok_source *s, struct view piece); /* linear; TOK_NONE */

/* tok_source_read_root -- a parsed tokenizer.json: all but what the files beside it say. */
slm_status tok_source_read_root(struct tok_source *s, const json_t *root, slm_err *err);
/* tok_source_fill_spm -- a SentencePiece model into an initialised source; b keeps the arrays, for what else is to be added. */
slm_status tok_source_fill_spm(struct tok_source *s, struct view model, struct source_build *b, slm_err *err);
/* json_read_splits -- normalizer and pre_tokenizer of a byte-level tokenizer as a row's name, or as patterns of its own. */
slm_status json_read_splits(struct tok_source *s, const json_t *root, bool ignore_merges, slm_err *err);
/* json_read_spaces -- the same of one that marks spaces with U+2581: prefix, squeezing, charsmap. */
slm_status json_read_spaces(struct tok_source *s, const json_t *root, slm_err *err);
slm_status json_read_bert(struct tok_source *s, const json_t *root, slm_err *err);

#endif
