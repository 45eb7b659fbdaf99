/* gguf_int.h -- what the files of the reader and the writer share. */
#ifndef SLM_FORMAT_GGUF_INT_H
#define SLM_FORMAT_GGUF_INT_H

#include "base/file.h"
#include "base/show.h"
#include "format/gguf.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are copied from files as they lie");

#define GGUF_MAGIC "GGUF"
#define GGUF_ALIGNMENT_DEFAULT 32
#define GGUF_ALIGNMENT_MIN 8
#define GGUF_KEY_ALIGNMENT "general.alignment"
#define GGUF_N_TYPE 13
#define TENSOR_BYTES_MIN (8 + 1 + 4 + 8 + 4 + 8) /* name length, name, n_dim, a dimension, type, offset */

/* Bytes of one value; 0 for a string or an array. */
size_t gguf_type_bytes(enum gguf_type t);

/* An open-addressing hash table over an array of records that begin with a struct view, their name. Slots
 * hold place + 1. The records may move between calls; names must not change. */
struct gguf_index {
    uint32_t *slots;
    size_t n_slot; /* a power of two, at least twice n_used; 0 before the first add */
    size_t n_used;
};
/* record i is at (const char *)records + i * stride. */
struct gguf_records {
    const void *records;
    size_t stride;
};
#define GGUF_NONE SIZE_MAX
size_t gguf_index_find(const struct gguf_index *x, struct gguf_records r, struct view name);
/* Adds the record at `place`, whose name is not there yet. Errors: NOMEM. */
slm_status gguf_index_add(struct gguf_index *x, struct gguf_records r, size_t place, slm_err *err);
void gguf_index_fini(struct gguf_index *x);

struct gguf {
    char *path;
    struct file_map *maps; /* one per shard; NULL when the bytes are the caller's */
    size_t n_map;
    uint64_t file_bytes;
    uint32_t version;
    struct gguf_kv *kv;
    size_t n_kv;
    struct gguf_index kv_index;
    struct gguf_tensor *tensors;
    size_t n_tensor;
    struct gguf_index tensor_index;
    void (*release)(void *user); /* of a view: called by gguf_close; may be NULL */
    void *user;
};
/* gguf_create -- empty, with a copy of path; for gguf_close. */
slm_status gguf_create(const char *path, struct gguf **out, slm_err *err);

/* A reading position in one file's bytes. pos <= size always. */
struct cursor {
    const char *path;
    const uint8_t *data;
    size_t size, pos;
    uint32_t i_shard;
    char what[192]; /* what is being read, for messages: key "general.name" */
};

/* err_set with the file named first: "PATH": ... */
slm_status gguf_fail(slm_err *err, const char *path, slm_status code, uint64_t where, const char *fmt, ...)
    SLM_PRINTF(5, 6);
/* The same with what is being read: "PATH": key "general.name": ... */
slm_status cursor_fail(slm_err *err, const struct cursor *c, slm_status code, uint64_t where, const char *fmt, ...)
    SLM_PRINTF(5, 6);

/* Checked reads: a file that is cut short gives SLM_E_FORMAT. */
slm_status cursor_u32(struct cursor *c, uint32_t *v, slm_err *err);
slm_status cursor_u64(struct cursor *c, uint64_t *v, slm_err *err);
slm_status cursor_string(struct cursor *c, uint64_t bytes_max, struct view *v, slm_err *err);

/* gguf_parse -- header, keys and tensor table of one file into a zeroed *g. On failure the caller frees what it left. */
slm_status gguf_parse(struct gguf *g, struct cursor *c, slm_err *err);
/* gguf_parse_tensors -- n tensor descriptions at the cursor, and every check of what they claim. Needs g's keys. */
slm_status gguf_parse_tensors(struct gguf *g, struct cursor *c, size_t n, slm_err *err);

#endif
