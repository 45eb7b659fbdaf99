/* regex_int.h -- a parsed expression, as its reader (regex_parse.c) hands it to its two makers (regex.c). */
#ifndef SLM_TEXT_REGEX_INT_H
#define SLM_TEXT_REGEX_INT_H

#include "text/gram/gram_int.h"

enum re_kind { RE_SET, RE_CAT, RE_ALT, RE_REP, RE_BEGIN, RE_END };
struct re_node {
    enum re_kind kind;
    uint32_t first, n;     /* SET: pairs lo, hi in ranges (sorted, apart); CAT, ALT: kids in kids; REP: first is the kid */
    uint32_t least, most;  /* REP; NODE_INF: no limit */
};
struct re {
    struct re_node *nodes;
    uint32_t *kids, *ranges;
    size_t n_nodes, cap_nodes, n_kids, cap_kids, n_ranges, cap_ranges;
    uint32_t root;
};
/* Errors: FORMAT (with the byte), UNSUPPORTED (what), LIMIT, NOMEM. re is valid for re_fini in any case. */
slm_status re_parse(struct view pattern, struct re *re, slm_err *err);
void re_fini(struct re *re);

#endif
