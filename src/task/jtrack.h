/* jtrack.h -- JSON as it is written, byte by byte: where in it the next byte stands, under which schema, and whether it may be there.
 *
 * Strings that are values and whose schema leaves them free are grounded: what they say so far must occur in a source text. The rest is left
 * to the constraint (engine/constrain.h); this knows nothing of validity. A jtrack is a plain struct: copying it tries what a token would do. */
#ifndef SLM_TASK_JTRACK_H
#define SLM_TASK_JTRACK_H

#include <jansson.h>

#include "base/mem.h"

#define JTRACK_DEPTH_MAX 32
#define JTRACK_TEXT_MAX 1024 /* bytes of a key, or of a grounded string */
#define JTRACK_PATH_MAX 512
#define JTRACK_LEAF_MAX 256

/* A value that is no container: where its bytes lie in what was written. */
struct jleaf {
    char path[JTRACK_PATH_MAX]; /* JSON pointer */
    size_t start, end;
    bool is_string, is_grounded; /* grounded: had to occur in the source */
};
struct jleaves {
    struct jleaf v[JTRACK_LEAF_MAX];
    size_t n;
};

struct jlevel {
    bool is_object, wants_key;
    uint32_t i_item;
    const json_t *schema;    /* of the container; NULL: not known */
    size_t path_len;         /* of the container itself */
};
struct jtrack {
    struct view source;      /* empty ptr: nothing is grounded */
    const json_t *root;      /* the whole schema, for $ref */
    struct jlevel level[JTRACK_DEPTH_MAX];
    int depth;
    const json_t *schema;    /* of the value that comes next */
    bool in_string, is_key, escaped, is_grounded, in_scalar;
    int n_hex;
    uint32_t hex, high;      /* of \uXXXX, and a high surrogate before it */
    size_t at, start;        /* bytes seen; where the value under way began */
    char text[JTRACK_TEXT_MAX], path[JTRACK_PATH_MAX];
    size_t n_text, n_path;
};
void jtrack_init(struct jtrack *t, const json_t *schema, struct view source);
/* jtrack_push -- the next bytes; leaves (may be NULL) gets the values that end in them. False: a grounded string would say what the source does not, or
 * end as nothing, or a limit above is passed; t is then of no more use. */
bool jtrack_push(struct jtrack *t, struct view bytes, struct jleaves *leaves);
/* jtrack_end -- no more bytes come: a number or a word that is the whole answer ends. False: no leaf is left. */
bool jtrack_end(struct jtrack *t, struct jleaves *leaves);


#endif
