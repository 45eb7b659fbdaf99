/* schema_int.h -- what the check and the compiler of schemas share: documents, references, keywords, formats. */
#ifndef SLM_TEXT_SCHEMA_INT_H
#define SLM_TEXT_SCHEMA_INT_H

#include "text/schema/schema.h"

/* A place that a URI names. */
struct schema_place {
    char *uri;         /* owned; without an empty fragment */
    const json_t *node;
    const char *base;  /* URI that relative references within are resolved against; owned by the schema */
    bool is_dynamic;   /* $dynamicAnchor */
};

struct schema_pattern {
    const char *text;  /* owned by a document */
    void *code;        /* pcre2_code */
};

struct schema {
    struct schema_options options;
    enum schema_draft draft;
    json_t *root;
    json_t *documents[SCHEMA_DOCUMENTS_MAX];
    size_t n_documents;
    struct schema_place *places;
    size_t n_places, cap_places;
    uint32_t *slots;   /* of places by uri: 1 + index */
    size_t n_slots;
    char **bases;      /* owned strings */
    size_t n_bases, cap_bases;
    struct schema_pattern *patterns;
    size_t n_patterns, cap_patterns;
};

/* Where schemas stand in a schema. */
enum schema_shape { SHAPE_NONE, SHAPE_ONE, SHAPE_LIST, SHAPE_MAP, SHAPE_ONE_OR_LIST, SHAPE_MAP_OR_NAMES };
struct schema_keyword {
    const char *name;
    enum schema_shape shape;
    int drafts;        /* bit 1 << schema_draft */
};

/* schema_base -- the base within a schema object: its $id resolved, or base itself. Owned by s. NULL: no memory. */
const char *schema_base(struct schema *s, const json_t *node, const char *base);
/* schema_resolve -- what ref means at a base. Errors: FORMAT (leads nowhere). */
slm_status schema_resolve(struct schema *s, const char *base, const char *ref, struct schema_place *out, slm_err *err);
/* The place of a $dynamicAnchor in a resource, or NULL. */
const struct schema_place *schema_dynamic(const struct schema *s, const char *base, const char *anchor);
/* JSON equality: numbers by value. */
bool schema_equal(const json_t *a, const json_t *b);
/* Characters of a JSON string. */
size_t schema_length(const json_t *string);

struct schema_format {
    const char *name, *pattern; /* ECMAScript, of the whole string */
};
const struct schema_format *schema_format_find(const char *name);

/* An integer value, also when it is written as 1.0. */
bool schema_is_integer(const json_t *v);

#endif
