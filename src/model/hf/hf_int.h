/* hf_int.h -- a folder being read: its configuration, its rows, its plan of tensors. */
#ifndef SLM_MODEL_HF_INT_H
#define SLM_MODEL_HF_INT_H

#include <jansson.h>

#include "format/safetensors.h"
#include "model/arch.h"
#include "model/hf.h"

/* Config keys. Several names are tried in order, separated by '|'. */
enum { HF_REQUIRED = 1, HF_ZERO = 2 /* written when 0 too: absent would mean something else in GGUF */ };
struct hf_key {
    const char *hf;       /* "num_key_value_heads" */
    const char *gguf;     /* after "<arch>."; NULL: known and needed, not written */
    enum hparam_type type;
    unsigned flags;
    double fallback;      /* the class's default when absent or null; 0: nothing is written, unless HF_ZERO */
};

/* A key that a family knows, and the values it can run: '|'-separated JSON scalars as text, NULL for any. */
struct hf_rule {
    const char *key, *allowed;
};

/* How a GGUF tensor is made: produce.c, shapes.c. */
enum hf_how {
    HF_COPY,      /* the rows of all parts, one part after the other */
    HF_ROPE_Q,    /* rows of each query head reordered so that rope turns adjacent pairs instead of halves */
    HF_ROPE_K,    /* the same of key heads */
    HF_PLUS_ONE,  /* 1 is added: the file's norm weights are offsets from 1 */
    HF_FIRST,     /* the first half of the rows */
    HF_SECOND,    /* the second half */
    HF_PAST_PAD,  /* the rows behind that of the padding token: positions are counted from there */
    HF_PAST_END,  /* tokens behind the folder's last row have its first */
    HF_STACK,     /* matrices whose names differ by a number, '#' in hf: one tensor [number, rows, cols] */
    HF_V_ROWS,    /* of the delta rule: rows of value heads, which stand with their key head in folders, in turns in GGUF */
    HF_QKV_ROWS,  /* the same behind the rows of queries and keys */
    HF_V_COLUMNS, /* the same of columns */
    HF_DECAY,     /* HF_V_ROWS of minus the exponential */
    HF_EVEN, HF_ODD,             /* every other element of each row: gates and ups stand in pairs */
    HF_EVEN_T, HF_ODD_T, HF_T,   /* matrices of a stack [number, cols, rows] turned over: every other column, every column */
    HF_MX_EVEN, HF_MX_ODD, HF_MX, /* blocks of 32 elements of 4 bits [number, rows, blocks, 16] and their scales: every other row, every row */
    HF_N_HOWS
};
enum {
    HF_OPTIONAL = 1,
    HF_HEAD = 2,  /* not there when embeddings are tied */
    HF_F32 = 4,   /* a small table that stays F32 */
    HF_WHOLE = 8, /* both names are whole: no ".weight", no bias beside it */
};
#define HF_N_PATTERN_MAX 3
#define HF_N_STACK_MAX 1024
struct hf_tensor {
    const char *gguf;                 /* "blk.%u.attn_q", without suffix; ".weight", and ".bias" when the folder has one */
    const char *hf[HF_N_PATTERN_MAX]; /* "*layers.%u.self_attn.q_proj"; '*' is the prefix of the language model, '^' of its head */
    enum hf_how how;
    unsigned flags;
};

struct hf;
struct hf_family {
    const char *class_name;          /* in config.json's "architectures": "LlamaForCausalLM" */
    const char *model_type;          /* of the part that is language; NULL: any */
    const char *arch;                /* GGUF general.architecture */
    const struct hf_key *keys;
    size_t n_keys;
    const struct hf_rule *rules;     /* beside the rules of all families */
    size_t n_rules;
    const struct hf_tensor *tensors;
    size_t n_tensors;
    const char *const *unused;       /* patterns of names that no row needs, ending with NULL; NULL: none */
    double rope_base;                /* the class's default "rope_theta"; 0: no rope */
    double rot_fraction;             /* default of partial_rotary_factor */
    const char *rope_keys;           /* keys of rope objects that change nothing for text, '|' between; NULL: none */
    bool tied;                       /* default of tie_word_embeddings */
    bool nested;                     /* the language part may be in "text_config" */
    const char *quant;               /* the method of "quantization_config" whose tensors have rows; NULL: none */
    /* adjust -- what rows cannot say; NULL: nothing. */
    slm_status (*adjust)(struct hf *h, slm_err *err);
};
/* hf_family_at -- of all tables, one after the other; NULL past the end. */
const struct hf_family *hf_family_at(size_t i);
extern const struct hf_family hf_encoders[];
extern const size_t hf_n_encoders;

/* A GGUF tensor to be made. Row r of [n_row, row elements]: hf_output_rows. */
struct hf_output {
    struct view name;
    enum dtype dtype;                /* as written */
    uint32_t n_dim;
    uint64_t shape[GGUF_N_DIM_MAX];  /* slowest first */
    enum hf_how how;
    bool is_small;                   /* binding reads its bytes */
    uint32_t n_head, n_group;        /* of HF_ROPE_Q, HF_ROPE_K; value and key heads of the delta rule */
    uint64_t first_row;              /* of the parts: of HF_SECOND, HF_PAST_PAD, HF_MX_ODD; the first of HF_QKV_ROWS that moves */
    struct {
        uint64_t matrix, row, elem, first; /* in elements of the part: of HF_EVEN, HF_T and their kin */
    } stride;
    const struct st_tensor **part;   /* [n_part], in the arena */
    uint32_t n_part;
    const struct safetensors *source; /* of the parts */
    const float *values;             /* computed, in the arena; NULL: from parts */
};

struct hf {
    char *folder, *path_config;
    json_t *root, *config;           /* config: root, or its "text_config" */
    const struct hf_family *family;
    const struct arch_desc *arch;
    uint32_t n_layer, n_head, n_head_kv, d_head, d_model, n_ctx_train;
    uint32_t n_stack;                /* matrices of an HF_STACK */
    uint32_t n_head_k, n_head_v, d_state; /* of the delta rule */
    uint32_t n_vocab;                /* rows of the embeddings; 0 until the tensors are planned */
    struct safetensors *st;
    struct safetensors *dense[2];    /* of a sentence transformer's modules "2_Dense", "3_Dense" */
    struct gguf_writer *w;
    struct hf_output *outputs;       /* in the order of the writer's tensors */
    size_t n_output, cap_output;
    void **owned;                    /* [n_output] bytes made in memory, or NULL */
    struct arena arena;              /* names, computed values */
};

/* hf_create -- nothing read yet. After hf_open keys and tensors are in h->w and h->outputs. */
slm_status hf_create(const char *folder, struct hf **out, slm_err *err);

/* config.c. A key that is null is absent. Errors name config.json and the key. */
slm_status hf_config_open(struct hf *h, slm_err *err);
slm_status hf_read_json(const char *path, json_t **out, slm_err *err); /* any small file of the folder */
slm_status hf_config_parse(struct hf *h, const char *json, size_t n, slm_err *err);
slm_status hf_config_choose(struct hf *h, slm_err *err); /* family, arch, config */
const json_t *hf_config_get(const struct hf *h, const char *names);
bool hf_names_hold(const char *names, const char *key); /* names: '|' between, or NULL */
slm_status hf_config_number(const struct hf *h, const json_t *value, const char *name, double *out, slm_err *err);
/* A number under one of `names` of an object of the configuration; *out is left when absent. */
slm_status hf_object_number(const struct hf *h, const json_t *object, const char *names, double *out, slm_err *err);
/* hf_config_check -- every key is known to a row or a rule, or harmless by its name or value. */
slm_status hf_config_check(const struct hf *h, slm_err *err);
slm_status hf_config_fail(const struct hf *h, slm_err *err, slm_status code, const char *fmt, ...) SLM_PRINTF(4, 5);

/* keys.c, rope.c: metadata by the rows. */
slm_status hf_put_keys(struct hf *h, slm_err *err);
slm_status hf_put_rope(struct hf *h, slm_err *err);
/* "<arch>.<key>" of a number. */
slm_status hf_put_number(struct hf *h, const char *key, enum hparam_type type, double value, slm_err *err);
slm_status hf_put_text(struct hf *h, const char *key, const char *value, slm_err *err);
slm_status hf_put_list(struct hf *h, const char *key, enum gguf_type type, const void *values, size_t n, slm_err *err);
/* An element for each layer. */
slm_status hf_put_layers(struct hf *h, const char *key, enum gguf_type type, const void *values, slm_err *err);
slm_status hf_put_flag(struct hf *h, const char *key, bool value, slm_err *err);

/* tensors.c: outputs by the rows. A computed one takes values from the arena. */
slm_status hf_plan_tensors(struct hf *h, slm_err *err);
slm_status hf_add_computed(struct hf *h, const char *name, const float *values, uint64_t n, slm_err *err);
/* A matrix of another file of the folder, as it is. */
slm_status hf_add_matrix(struct hf *h, const char *name, const struct safetensors *s, const struct st_tensor *t, slm_err *err);
/* shapes.c: type-checked parts to o's shape and what its how needs beside; n_past_pad: rows up to the padding token's. */
slm_status hf_output_shape(const struct hf *h, struct hf_output *o, uint64_t n_past_pad, slm_err *err);
slm_status hf_tensor_fail(const struct safetensors *s, const struct st_tensor *t, slm_err *err, slm_status code, const char *fmt, ...) SLM_PRINTF(5, 6);
/* hf_put_sentence -- what sentence-transformers keeps beside a model: pooling, dense layers. */
slm_status hf_put_sentence(struct hf *h, slm_err *err);
/* hf_tokenizer_put -- tokenizer.* keys from the folder's tokenizer files. */
slm_status hf_tokenizer_put(struct hf *h, slm_err *err);

/* produce.c: the bytes of outputs. */
uint64_t hf_output_n_row(const struct hf_output *o);
uint64_t hf_output_row_elems(const struct hf_output *o);
/* The bytes in place when they need no change, else NULL. */
const void *hf_output_in_place(const struct hf_output *o);
/* Rows [begin, end) as o->dtype to dst; scratch: HF_SCRATCH_ROWS times row elements. A row that is not finite: its number, else end. */
#define HF_SCRATCH_ROWS 3
uint64_t hf_output_rows(const struct hf_output *o, uint64_t begin, uint64_t end, uint8_t *dst, float *scratch);

#endif
