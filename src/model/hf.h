/* hf.h -- Hugging Face folders (config.json, safetensors, tokenizer files) as GGUF: one view of a folder, written to a file or
 * run in place.
 *
 * A folder is read by rows: hf/families.c says per model class which GGUF architecture it is, which config key is which
 * metadata key, and which tensors make which; nothing else knows a family. What no row knows and could change the arithmetic is
 * refused by name. Metadata and tensor layout are those of the ggml project's own converter, so files go to and fro. */
#ifndef SLM_MODEL_HF_H
#define SLM_MODEL_HF_H

#include "format/gguf.h"

/* hf_is_folder -- path is a directory. */
bool hf_is_folder(const char *path);

/* hf_open_in_place -- the folder as an open GGUF: tensors whose bytes need no change stay in the mapping of the safetensors,
 * the others (vectors, permuted and fused matrices) are made in memory that gguf_close frees.
 * Errors: IO, FORMAT and UNSUPPORTED with file and key or tensor; NOMEM. */
slm_status hf_open_in_place(const char *folder, struct gguf **out, slm_err *err);

/* hf_open_vocabulary -- the tokenizer alone; weights may be absent and the class unknown. */
slm_status hf_open_vocabulary(const char *folder, struct gguf **out, slm_err *err);

/* Called between pieces of work; bytes of the output file. */
typedef void (*hf_on_progress)(void *user, uint64_t done_bytes, uint64_t total_bytes);

struct hf_convert_params {
    enum dtype type;             /* of matrices; DTYPE_COUNT: each stays as the folder has it */
    int n_threads;               /* 0: all usable */
    hf_on_progress on_progress;  /* NULL: none */
    void *user;
    const volatile bool *cancel; /* NULL: never */
};
struct hf_convert_result {
    const char *arch;            /* "llama" */
    enum dtype type;             /* what most bytes are */
    uint64_t n_tensor, n_param, bytes;
};
/* hf_convert -- write the folder as a GGUF file. The whole model is checked (keys, shapes, tokenizer) before the first byte
 * is written, matrices pass through in pieces, and the file appears whole or not at all. Vectors are F32; a matrix whose
 * rows do not fill the blocks of `type` is written in a finer type whose blocks they fill, at last F16. Results do not depend on n_threads.
 * Errors: as above, and CANCELLED; FORMAT for a value that is not finite where `type` cannot hold one. */
slm_status hf_convert(const char *folder, const char *path, const struct hf_convert_params *p, struct hf_convert_result *result,
                      slm_err *err);

#endif
