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

/* A folder that was read: everything but the bytes of tensors. */
struct hf;
slm_status hf_open(const char *folder, struct hf **out, slm_err *err);
void hf_close(struct hf *h);
/* hf_describe -- the folder as an open GGUF whose matrices have no bytes worth reading; vectors have. For what needs names, shapes
 * and types only (checks, plans of quantizing). Closed before h. */
slm_status hf_describe(struct hf *h, struct gguf **out, slm_err *err);

struct hf_write_params {
    const enum dtype *types;     /* [tensors of hf_describe, in its order] what each is written as; NULL: as it is there */
    int64_t file_type;           /* general.file_type; below 0: what most bytes are */
    int n_threads;               /* 0: all usable */
    /* Called between pieces of work with bytes of the output; NULL: not at all. */
    void (*on_progress)(void *user, size_t i_tensor, uint64_t done_bytes, uint64_t total_bytes);
    void *user;
    const _Atomic bool *cancel; /* NULL: never */
};
struct hf_write_result {
    const char *arch;            /* "llama" */
    enum dtype type;             /* what most bytes are */
    uint64_t n_tensor, n_param, bytes;
};
/* hf_write -- the folder as a GGUF file. The whole model is checked (keys, shapes, tokenizer) before the first byte is written,
 * matrices pass through in pieces, and the file appears whole or not at all. Bytes do not depend on n_threads. Changes h's types.
 * Errors: as hf_open_in_place, and CANCELLED; FORMAT for a value that is not finite where a type cannot hold one. */
slm_status hf_write(struct hf *h, const char *path, const struct hf_write_params *p, struct hf_write_result *result, slm_err *err);

#endif
