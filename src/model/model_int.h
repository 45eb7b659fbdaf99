/* model_int.h -- the steps of model_bind, in order. */
#ifndef SLM_MODEL_MODEL_INT_H
#define SLM_MODEL_MODEL_INT_H

#include "model/model.h"
#include "model/rope.h"

/* hparams_read -- fill m->hp from the rows of m->arch, derive what is absent, refuse what cannot be run. */
slm_status hparams_read(struct slm_model *m, slm_err *err);
/* model_row_name -- the tensor of a row: its pattern with the layer filled in, and ".weight" unless the row is bare. */
void model_row_name(char *out, size_t n, const struct arch_tensor *row, uint32_t i_layer);
/* weights_bind -- point every slot at its tensor, check shapes; vectors become f32 in the model's arena.
 * A tensor that no row names is refused: it would be arithmetic that we leave out. */
slm_status weights_bind(struct slm_model *m, slm_err *err);

/* Where the special ids and flags of a tokenizer lie in metadata and in tok_config; to read them, and to write them (hf/). */
#define MODEL_TOKENIZER_KEY "tokenizer.ggml."
#define MODEL_SLM_KEY "tokenizer.slm." /* our own: what GGUF cannot say of an authors' tokenizer */
struct model_tokenizer_row {
    const char *key;
    size_t offset;      /* in struct tok_config: an int32_t id, a bool flag */
    bool only_when_set; /* a flag that is off is not written */
};
const struct model_tokenizer_row *model_tokenizer_ids(size_t *n_rows);
const struct model_tokenizer_row *model_tokenizer_flags(size_t *n_rows);

/* model_unpack -- end what model_pack began: release panels, let the cache's writer finish or give up. */
void model_unpack(struct slm_model *m);

/* Packed weights in a file, keyed by the model file's identity and the panels' layout. Nothing here fails: a cache that cannot be read
 * or written is as one that is not there (the log tells at level info). */
struct panels_file;
/* panels_file_open -- NULL: no cache wanted (SLM_CACHE=off, no folder, few bytes). *panels is the mapping when the file is there and whole,
 * else NULL, and panels_file_write may be called.
 * cache_max: bytes that the cache may hold then. */
struct panels_file *panels_file_open(uint64_t identity, uint64_t layout, size_t bytes, uint64_t cache_max, const uint8_t **panels);
/* panels_file_write -- begin to write in a thread of its own; panels stay until panels_file_close. */
void panels_file_write(struct panels_file *f, const uint8_t *panels);
void panels_file_close(struct panels_file *f); /* unmaps; NULL is fine */
/* panels_cache_limit -- bytes that the cache may hold: SLM_CACHE_MAX. Errors: USAGE. */
slm_status panels_cache_limit(uint64_t *bytes, slm_err *err);
/* panels_cache_trim -- remove files that nobody uses, longest unused first, until bytes_new more fit in bytes_max. False: they do not. */
bool panels_cache_trim(const char *folder, uint64_t bytes_max, uint64_t bytes_new);

#endif
