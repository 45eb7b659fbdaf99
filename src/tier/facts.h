/* facts.h -- what rules can speak of: rows with a name, a kind, and when the fact is known. */
#ifndef SLM_TIER_FACTS_H
#define SLM_TIER_FACTS_H

#include "base/mem.h"

enum fact {
    /* of the request */
    FACT_IN_TOKENS, FACT_IN_BYTES, FACT_MESSAGES, FACT_TOOLS, FACT_TOOL_FORCED, FACT_MAX_TOKENS, FACT_STREAM, FACT_SCHEMA, FACT_PII, FACT_PRIVATE, FACT_FITS, FACT_TEXT, FACT_API, FACT_KEY,
    /* of the local answer */
    FACT_OUT_TOKENS, FACT_MEAN_LOGPROB, FACT_MIN_LOGPROB, FACT_Q10_LOGPROB, FACT_FIRST_LOGPROB, FACT_REPEATS, FACT_CUT, FACT_CALLS, FACT_INVALID,
    FACT_COUNT
};
enum fact_kind { FACT_FLAG, FACT_NUMBER, FACT_WORDS };
enum { FACT_OF_REQUEST = 1, FACT_OF_ANSWER = 2 };
struct fact_row {
    const char *name;
    enum fact_kind kind;
    unsigned when;
    const char *doc;
};
const struct fact_row *fact_rows(void); /* FACT_COUNT rows */

struct facts {
    double v[FACT_COUNT];          /* flags and numbers */
    struct view text[FACT_COUNT];  /* of words, borrowed */
};
#endif
