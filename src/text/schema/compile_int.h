/* compile_int.h -- what the parts of the schema compiler share. */
#ifndef SLM_TEXT_SCHEMA_COMPILE_INT_H
#define SLM_TEXT_SCHEMA_COMPILE_INT_H

#include "text/gram/gram_int.h"
#include "text/schema/schema_int.h"

#define LEAVES_MAX 256         /* schemas that hold for one value at once */
#define CHOICES_PENDING_MAX 32 /* anyOf and oneOf among them */
#define SETS_MAX 20000         /* different sets of schemas in one compilation */
#define COMPILE_NESTING_MAX 192
#define MEMBERS_MAX 4096       /* named members of one object, items of a prefix */
#define CHAIN_NODES_MAX 50000  /* of one object whose members depend on each other or are counted */

/* One schema object that holds, its references resolved. */
struct leaf {
    const json_t *node;
    const char *base;
    int32_t owner; /* index of the leaf that brought it along; -1: none */
};
/* One of these must hold. */
struct choice {
    const json_t *options; /* array */
    const char *base;
    int32_t owner;
};
/* Everything that holds for one value. */
struct conj {
    struct leaf leaf[LEAVES_MAX];
    struct choice choice[CHOICES_PENDING_MAX];
    size_t n_leaf, n_choice;
    int32_t owner;   /* of what is being added */
    bool is_false;
};

enum { T_NULL = 1, T_BOOL = 2, T_INT = 4, T_NUM = 8, T_STRING = 16, T_ARRAY = 32, T_OBJECT = 64, T_ALL = 127 };

struct compile {
    struct schema *s;
    struct gram *g;
    struct schema_notes *notes;
    slm_status st;
    slm_err *err;
    int depth, ref_depth;
    struct set_row {
        uint64_t hash;
        const void **key; /* sorted pointers, owned */
        size_t n;
        uint32_t node;
    } *sets;              /* conj -> node */
    uint32_t *set_slots;
    size_t n_sets, cap_sets, n_set_slots;
    struct dfa_row {
        const char *text;
        uint32_t i_dfa;
        bool is_pattern;
    } *dfas;              /* patterns and formats already made */
    size_t n_dfas, cap_dfas;
    json_t **made;        /* schemas that stand in no document, owned */
    size_t n_made, cap_made;
    uint32_t space, comma, colon; /* nodes */
};

/* compile.c */
/* compile_run -- a gram of what root makes; the rest as gram_from_schema. */
slm_status compile_run(struct schema *s, uint32_t (*root)(struct compile *c, const void *user), const void *user, struct gram **out, struct schema_notes *notes, slm_err *err);
void compile_fail(struct compile *c, slm_status code, const json_t *node, const char *keyword, const char *fmt, ...) SLM_PRINTF(5, 6);
void compile_note(struct compile *c, const json_t *node, const char *keyword, const char *why);
/* Add a schema and all that it brings along. */
void conj_add(struct compile *c, struct conj *k, const json_t *schema, const char *base);
struct conj *conj_new(struct compile *c); /* empty; free() */
uint32_t conj_node(struct compile *c, const struct conj *k); /* the graph of all values that satisfy it */
/* Whether a leaf is another or was brought along by it: then what it evaluates counts for the other's unevaluated*. */
bool leaf_descends(const struct conj *k, size_t leaf, size_t from);
/* The tightest count of a keyword: the largest of `least` keywords, the smallest of `most` ones. */
uint32_t conj_least(const struct conj *k, const char *keyword);
uint32_t conj_most(const struct conj *k, const char *keyword);
json_t *compile_keep(struct compile *c, json_t *made); /* takes it over */
bool compile_is_ok(const struct compile *c);

/* number.c, string.c, array.c, object.c: the values of one type. */
uint32_t number_node(struct compile *c, const struct conj *k, unsigned types);
uint32_t string_node(struct compile *c, const struct conj *k);
uint32_t array_node(struct compile *c, const struct conj *k);
uint32_t object_node(struct compile *c, const struct conj *k);

/* string.c */
void put_json_string(struct buf *out, const char *text, size_t n); /* canonically, without quotes */
/* The table of a pattern (found anywhere) or a format (whole), new; NULL: not possible, noted. */
struct dfa *pattern_dfa(struct compile *c, const struct leaf *leaf, const char *keyword);

/* check.c */
slm_status schema_check_node(struct schema *s, const json_t *node, const char *base, const json_t *value, bool *is_valid, slm_err *err);
bool schema_pattern_matches(struct schema *s, const char *pattern, const char *text);

#endif
