/* gguf.h -- GGUF files, versions 2 and 3, one file or split in shards: reader over mmap, and writer.
 *
 * Reader: every count, length, offset and product is checked against the file's size and the limits
 * below before it is used; all errors are SLM_E_FORMAT or SLM_E_UNSUPPORTED with file name and byte
 * offset. Views point into the mapping and live until gguf_close. Read-only after open, so any thread.
 * Little-endian only; a big-endian file is refused by name.
 * Source: the GGUF specification in the ggml repository (docs/gguf.md). Golden: tests/golden, tests/fault. */
#ifndef SLM_FORMAT_GGUF_H
#define SLM_FORMAT_GGUF_H

#include "base/mem.h"
#include "format/dtype.h"

/* Named limits; a file past one is refused. */
#define GGUF_N_KV_MAX 65536
#define GGUF_N_TENSOR_MAX 65536
#define GGUF_KEY_BYTES_MAX 65535
#define GGUF_NAME_BYTES_MAX 64 /* of a tensor; the format's own limit */
#define GGUF_STRING_BYTES_MAX (64u << 20)
#define GGUF_ARRAY_MAX (16u << 20) /* elements */
#define GGUF_N_DIM_MAX 4
#define GGUF_N_SHARD_MAX 1024
#define GGUF_ALIGNMENT_MAX 65536

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
};
const char *gguf_type_name(enum gguf_type t);

struct gguf_kv {
    struct view key;
    enum gguf_type type;      /* GGUF_ARRAY: elem_type and n_elem describe the elements */
    enum gguf_type elem_type; /* arrays of arrays are refused */
    uint64_t n_elem;          /* 1 for a scalar */
    struct view data;         /* raw bytes of the value (a string's characters, an array's elements) */
    uint64_t offset;          /* of the value in its file, for messages */
};

struct gguf_tensor {
    struct view name;
    enum dtype dtype;
    uint32_t n_dim;
    uint64_t shape[GGUF_N_DIM_MAX]; /* row-major, slowest first (the file stores the reverse); unused are 1 */
    uint64_t n_elem, n_bytes;
    const uint8_t *data; /* in the mapping; NULL for a vocabulary-only view */
    uint64_t offset;     /* of the data in its file */
    uint32_t i_shard;
};

struct gguf;

/* gguf_open -- path is a whole file or the first shard "NAME-00001-of-000NN.gguf"; the other shards
 * are found beside it. Errors: IO, FORMAT, UNSUPPORTED, NOMEM. */
slm_status gguf_open(const char *path, struct gguf **out, slm_err *err);
/* gguf_open_memory -- the same over bytes that the caller keeps alive; for fuzzing and tests. No shards. */
slm_status gguf_open_memory(const void *data, size_t size, const char *name, struct gguf **out, slm_err *err);
void gguf_close(struct gguf *g);
/* gguf_identity -- a number that stays while no shard's file changes; 0 when the bytes are no file's. */
uint64_t gguf_identity(const struct gguf *g);
/* gguf_forget -- these n bytes of tensor data will hardly be read again: their pages may leave memory. They stay readable. */
void gguf_forget(const struct gguf *g, const uint8_t *data, size_t n);

const char *gguf_path(const struct gguf *g);
uint32_t gguf_version(const struct gguf *g);
uint64_t gguf_file_bytes(const struct gguf *g); /* all shards */
size_t gguf_n_kv(const struct gguf *g);
const struct gguf_kv *gguf_kv_at(const struct gguf *g, size_t i);
size_t gguf_n_tensor(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i);
/* Look-ups are hashed; NULL when absent. */
const struct gguf_kv *gguf_find(const struct gguf *g, const char *key);
const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name);

/* Typed values. Integers of any width are one kind, and an array whose elements are all equal stands for its
 * element; a float is not an integer, an integer is a f64. Errors: NOT_FOUND for an absent key; FORMAT, with the
 * offset, for a wrong type, a value out of range, an empty array; UNSUPPORTED for an array of different values. */
slm_status gguf_get_u64(const struct gguf *g, const char *key, uint64_t *out, slm_err *err);
slm_status gguf_get_f64(const struct gguf *g, const char *key, double *out, slm_err *err);
slm_status gguf_get_bool(const struct gguf *g, const char *key, bool *out, slm_err *err);
slm_status gguf_get_string(const struct gguf *g, const char *key, struct view *out, slm_err *err);
/* Element i of a numeric kv as double or int64 (i < n_elem; a scalar has one element). int64: a float is cut toward
 * zero, a value out of range gives the nearest end. 0 for strings. */
double gguf_kv_f64(const struct gguf_kv *kv, uint64_t i);
int64_t gguf_kv_i64(const struct gguf_kv *kv, uint64_t i);
/* Views of all strings of a string array; out has kv->n_elem places (a string scalar has 1). */
void gguf_kv_strings(const struct gguf_kv *kv, struct view *out);

/* Writer: collect metadata and tensor rows, then write everything in one pass to a temporary file
 * that appears at `path` only when whole. Version 3, little endian, alignment 32 or what "general.alignment" says.
 * Tensor bytes are asked for in order through a callback, so that nothing big is held. Every put copies its value;
 * a key put again gets the new value in its old place. Errors of put: FORMAT, LIMIT, NOMEM. */
struct gguf_writer;
slm_status gguf_writer_create(struct gguf_writer **out, slm_err *err);
void gguf_writer_destroy(struct gguf_writer *w);
slm_status gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v, slm_err *err);
slm_status gguf_put_u64(struct gguf_writer *w, const char *key, uint64_t v, slm_err *err);
slm_status gguf_put_f32(struct gguf_writer *w, const char *key, float v, slm_err *err);
slm_status gguf_put_bool(struct gguf_writer *w, const char *key, bool v, slm_err *err);
slm_status gguf_put_string(struct gguf_writer *w, const char *key, struct view v, slm_err *err);
slm_status gguf_put_array(struct gguf_writer *w, const char *key, enum gguf_type elem_type, const void *elems, size_t n,
                          slm_err *err);
slm_status gguf_put_strings(struct gguf_writer *w, const char *key, const struct view *v, size_t n, slm_err *err);
/* A copy of a reader's. Keys "split.*" are left out: what is written is whole. */
slm_status gguf_put_kv(struct gguf_writer *w, const struct gguf_kv *kv, slm_err *err);
/* shape: slowest first. Errors: FORMAT on a duplicate name, a row that is no multiple of the block. */
slm_status gguf_add_tensor(struct gguf_writer *w, const char *name, enum dtype dtype, uint32_t n_dim,
                           const uint64_t *shape, slm_err *err);
/* gguf_set_dtype -- another type for tensor i of those added. Errors: FORMAT, as gguf_add_tensor; the tensor is then as it was. */
slm_status gguf_set_dtype(struct gguf_writer *w, size_t i, enum dtype dtype, slm_err *err);
/* source: called once per tensor in order of adding; it must give exactly the tensor's bytes through emit, in any
 * number of runs. A failure of source or emit ends the writing and leaves no file. */
typedef slm_status (*gguf_emit)(void *sink, const void *bytes, size_t n, slm_err *err);
typedef slm_status (*gguf_source)(void *user, size_t i_tensor, gguf_emit emit, void *sink, slm_err *err);
slm_status gguf_write(struct gguf_writer *w, const char *path, gguf_source source, void *user, slm_err *err);
/* gguf_view -- what w holds as an open file that is nowhere on disk: the same keys, the same tensors, the bytes of tensor i
 * at data[i]. path is for messages. w and the bytes must outlive it; gguf_close calls release(user) at its end (release may
 * be NULL; on failure it is not called). So whoever can describe a model to a writer can also run it in place. */
slm_status gguf_view(const struct gguf_writer *w, const char *path, const void *const *data, void (*release)(void *user),
                     void *user, struct gguf **out, slm_err *err);

#endif
