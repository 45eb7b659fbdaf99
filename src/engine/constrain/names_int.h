/* names_int.h -- the names of members in JSON text that is being generated: no object gets one twice. */
#ifndef SLM_ENGINE_NAMES_INT_H
#define SLM_ENGINE_NAMES_INT_H

#include "base/mem.h"

/* A reader of JSON text that is known to be correct so far: which containers are open, and the names in each object. */
struct names {
    struct name_level {
        uint32_t n_before; /* names of the levels around it */
        bool is_object;
    } *levels;
    struct name_span {
        uint32_t at, n;    /* bytes of the text, without quotes */
    } *spans;
    size_t n_levels, cap_levels, n_spans, cap_spans;
    uint32_t at;           /* bytes read */
    uint32_t name_at;      /* where the name being read began */
    bool in_string, is_escaped, is_name, wants_name;
};
void names_fini(struct names *s);
/* names_read -- go on to the end of text, whose first s->at bytes were read before. Errors: NOMEM. */
slm_status names_read(struct names *s, struct view text, slm_err *err);
slm_status names_copy(const struct names *from, struct names *to, slm_err *err);
/* names_repeats -- whether these bytes, next, would end a name that its object has already. */
bool names_repeats(const struct names *s, const char *text, struct view next);
/* Whether any open object has a name yet. */
static inline bool names_any(const struct names *s) { return s->n_spans > 0; }

#endif
