/* tok_source.h -- the tokenizer as a model's authors publish it: a folder with tokenizer.json (Hugging Face tokenizers) or
 * tokenizer.model (SentencePiece), and the small JSON files beside it, read into the tok_config that a GGUF of that model would
 * give. What the config cannot say is refused by name. JSON depth, sizes and counts are bounded. */
#ifndef SLM_TEXT_TOK_SOURCE_H
#define SLM_TEXT_TOK_SOURCE_H

#include "text/tok.h"

#define TOK_SOURCE_FILE_BYTES_MAX (512u << 20)
#define TOK_SOURCE_TEMPLATES_MAX 32

struct tok_template {
    const char *name; /* "default", "tool_use", ... */
    const char *text;
};

/* All arrays and strings, those of config too, belong to the source. */
struct tok_source {
    struct tok_config config;        /* config.pieces are written as GGUF stores them */
    struct tok_template *templates;  /* "default" first when there is one */
    size_t n_templates;
    int32_t *ends;                   /* every id that generation_config.json lists as eos */
    size_t n_ends;
    struct arena arena;
};

/* tok_source_open -- read dir/tokenizer.json, or dir/tokenizer.model when there is no such file (or it is a SentencePiece model beside
 * it that says more: scores); then tokenizer_config.json, special_tokens_map.json, generation_config.json, chat_template.jinja, config.json as
 * far as they are there. n_vocab: rows of the embedding matrix, filled up with unused pieces "[PADn]"; 0: as many as there are.
 * Errors: IO (neither file), FORMAT (broken, with byte offset), UNSUPPORTED (a component or option that no row knows, named),
 * LIMIT, NOMEM. After an error the source is empty. */
slm_status tok_source_open(struct tok_source *s, const char *dir, uint32_t n_vocab, slm_err *err);
/* The same from memory; either may be NULL-empty. For tests and fuzzing. */
slm_status tok_source_read_json(struct tok_source *s, struct view tokenizer_json, struct view tokenizer_config_json, slm_err *err);
slm_status tok_source_read_spm(struct tok_source *s, struct view model, slm_err *err);
void tok_source_close(struct tok_source *s);

#endif
