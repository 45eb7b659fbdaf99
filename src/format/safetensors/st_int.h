/* st_int.h -- what the files of the safetensors reader share. */
#ifndef SLM_FORMAT_ST_INT_H
#define SLM_FORMAT_ST_INT_H

#include "base/file.h"
#include "format/gguf/gguf_int.h" /* the index of names, and messages about files */
#include "format/safetensors.h"

struct safetensors {
    struct file_map *maps; /* [n_shard]; NULL when the bytes are the caller's */
    char **paths;          /* [n_shard] */
    size_t n_shard;
    uint64_t file_bytes;
    struct st_tensor *tensors;
    size_t n_tensor;
    struct gguf_index index;
    struct arena names;
};

/* st_parse -- the header of one file, whose tensors are added behind those that are there. On failure the caller closes s. */
slm_status st_parse(struct safetensors *s, uint32_t i_shard, const uint8_t *data, size_t size, slm_err *err);

/* The shards that an index names, and which tensor lies where. All strings are in the arena. */
struct st_index {
    struct view *names;      /* [n_tensor] */
    uint32_t *i_shard;       /* [n_tensor] */
    size_t n_tensor;
    const char **shards;     /* [n_shard] plain file names, in order of first use */
    size_t n_shard;
    struct arena arena;
};
/* st_index_parse -- the bytes of a model.safetensors.index.json; path is for messages. st_index_fini also after failure. */
slm_status st_index_parse(struct st_index *x, const char *json, size_t n, const char *path, slm_err *err);
void st_index_fini(struct st_index *x);

#endif
