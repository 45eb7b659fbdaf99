/* safetensors.h -- the tensor files of Hugging Face folders: reader over mmap, one file or shards named by an index.
 *
 * Every length, offset and product is checked against the file's size and the limits below before it is used; what the
 * format forbids (duplicate names, overlaps, holes, a shape that does not fit its bytes) is refused. Errors are
 * SLM_E_FORMAT or SLM_E_UNSUPPORTED with file name and byte offset. Views point into the mapping or the handle and live until
 * safetensors_close. Read-only after open, so any thread.
 * Source: the format description of the safetensors project. Tests: tests/fault/test_safetensors.c, tests/fuzz. */
#ifndef SLM_FORMAT_SAFETENSORS_H
#define SLM_FORMAT_SAFETENSORS_H

#include "base/mem.h"
#include "format/dtype.h"

/* Named limits; a file past one is refused. */
#define ST_HEADER_BYTES_MAX (16u << 20) /* the format allows 100 MB; this bounds what reading it may take */
#define ST_N_TENSOR_MAX 65536
#define ST_NAME_BYTES_MAX 1024
#define ST_N_DIM_MAX 8
#define ST_N_SHARD_MAX 1024

/* An element type of the format. */
struct st_dtype {
    const char *name;  /* "BF16", as the file spells it */
    uint32_t bits;     /* of one element */
    enum dtype dtype;  /* DTYPE_COUNT: known by name only, no row in dtype.h */
};

struct st_tensor {
    struct view name;
    const struct st_dtype *type;
    uint32_t n_dim;               /* 0: one element */
    uint64_t shape[ST_N_DIM_MAX]; /* slowest first, as in the file; unused are 1 */
    uint64_t n_elem, n_bytes;     /* may be 0 */
    const uint8_t *data;          /* in the mapping; no alignment is promised */
    uint64_t offset;              /* of the data in its file */
    uint32_t i_shard;
};

struct safetensors;

/* safetensors_open -- one file. Errors: IO, FORMAT, UNSUPPORTED, NOMEM. */
slm_status safetensors_open(const char *path, struct safetensors **out, slm_err *err);
/* safetensors_open_folder -- "model.safetensors" in it, else all shards that "model.safetensors.index.json" names; a name
 * that would lead out of the folder is refused. NOT_FOUND when the folder has neither. */
slm_status safetensors_open_folder(const char *folder, struct safetensors **out, slm_err *err);
/* safetensors_open_memory -- the same over bytes that the caller keeps alive; for fuzzing and tests. */
slm_status safetensors_open_memory(const void *data, size_t size, const char *name, struct safetensors **out, slm_err *err);
void safetensors_close(struct safetensors *s);

size_t safetensors_n_tensor(const struct safetensors *s);
const struct st_tensor *safetensors_tensor_at(const struct safetensors *s, size_t i); /* in the order of the headers */
const struct st_tensor *safetensors_find(const struct safetensors *s, const char *name); /* hashed; NULL when absent */
const char *safetensors_path_of(const struct safetensors *s, const struct st_tensor *t); /* the file that holds t */
/* safetensors_forget -- t will not be read soon: its pages leave this process's memory. Reading it again is still right. */
void safetensors_forget(const struct safetensors *s, const struct st_tensor *t);
uint64_t safetensors_file_bytes(const struct safetensors *s); /* all shards */

#endif
