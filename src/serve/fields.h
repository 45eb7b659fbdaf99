/* fields.h -- the fields of a request's JSON body as rows: read, refused and documented from the same table.
 *
 * A field is used, noted (its own definition says that it does not change the answer), or refused: known, but not served, so
 * that nobody takes an answer for what it is not. A field without a row is listed in the x-slm-ignored header of the answer.
 * null counts as absent. */
#ifndef SLM_SERVE_FIELDS_H
#define SLM_SERVE_FIELDS_H

#include <jansson.h>

#include "base/mem.h"

enum { /* JSON types that a field takes */
    JT_BOOL = 1, JT_INT = 2, JT_NUMBER = 4, JT_STRING = 8, JT_ARRAY = 16, JT_OBJECT = 32,
    JT_ANY = 63
};
enum field_use { FIELD_USED, FIELD_NOTED, FIELD_REFUSED };
enum field_store {
    STORE_NOT,
    STORE_BOOL, /* int8_t: 0, 1; ABSENT_BOOL */
    STORE_I32,  /* int32_t; ABSENT_I32 */
    STORE_F32,  /* float; NAN */
    STORE_SEED, /* uint64_t, and the bool after it in struct field_seed */
    STORE_TEXT, /* const char *, of the body; NULL */
    STORE_JSON, /* const json_t *, of the body; NULL */
};
#define ABSENT_BOOL (-1)
#define ABSENT_I32 INT32_MIN
struct field_seed {
    uint64_t value;
    bool is_set;
};

struct field_table;
struct field {
    const char *name;
    unsigned types;
    enum field_use use;
    enum field_store store;
    size_t offset;
    double min, max;               /* of numbers; equal: no bounds but those of the type */
    const struct field_table *sub; /* of an object: its own fields */
    const char *choices;           /* of a string: "a|b"; others are refused */
    const char *harmless;          /* of a refused field: the JSON value that asks for nothing, and passes */
    bool is_required;
    const char *doc;
};
struct field_table {
    const struct field *rows;
    size_t n;
    bool is_open; /* unknown fields are values of their own: not listed */
};
#define FIELDS(array) {(array), sizeof(array) / sizeof((array)[0]), false}

/* What is wrong with a request: an error, and which field it is about. */
struct fault {
    slm_err err;
    int http_status;          /* 0: what status.c says of err.code */
    const char *code;         /* "context_length_exceeded"; NULL: none */
    char param[96];           /* "messages[2].content"; "": none */
    int retry_s;              /* for 429 and 503; 0: none */
    size_t n_prompt, n_ctx;   /* a prompt that does not fit */
};
slm_status fault_set(struct fault *f, slm_status code, const char *param, const char *fmt, ...) SLM_PRINTF(4, 5);

/* fields_read -- check body against the table and store what it has into *values, which holds the defaults. Unknown names are
 * appended to ignored, with ", " between. Errors: USAGE, UNSUPPORTED (a refused field). */
slm_status fields_read(const struct field_table *t, const json_t *body, void *values, struct buf *ignored, struct fault *f);
/* fields_schema -- the table as a JSON schema, for /openapi.json. */
json_t *fields_schema(const struct field_table *t);

#endif
