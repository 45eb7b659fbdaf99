/* rule.h -- expressions over facts: "tools > 0 or in_tokens > 6000 and not (text contains 'invoice')".
 *
 *     or: and {"or" and}     and: not {"and" not}     not: "not" not | "(" or ")" | value [op value]
 *     op: < <= > >= == != contains     value: a fact's name, a number, 'text', "text", true, false
 *
 * A value alone holds when it is not 0. contains looks for text in text, in any case of ASCII letters. */
#ifndef SLM_TIER_RULE_H
#define SLM_TIER_RULE_H

#include "tier/facts.h"

#define RULE_BYTES_MAX 4096
#define RULE_NODES_MAX 256

struct rule;
/* rule_parse -- when: FACT_OF_... that may be spoken of. Errors: USAGE with the byte where, and the nearest name; LIMIT. */
slm_status rule_parse(struct view text, unsigned when, struct rule **out, slm_err *err);
bool rule_holds(const struct rule *r, const struct facts *f);
void rule_free(struct rule *r);
#endif
