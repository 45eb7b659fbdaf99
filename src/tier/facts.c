/* facts.c -- table: facts. */
#include "tier/facts.h"

static const struct fact_row rows[FACT_COUNT] = {
    [FACT_IN_TOKENS] = {"in_tokens", FACT_NUMBER, FACT_OF_REQUEST, "tokens of the prompt, by the local model"},
    [FACT_IN_BYTES] = {"in_bytes", FACT_NUMBER, FACT_OF_REQUEST, "bytes of the conversation's texts"},
    [FACT_MESSAGES] = {"messages", FACT_NUMBER, FACT_OF_REQUEST, "messages of the conversation"},
    [FACT_TOOLS] = {"tools", FACT_NUMBER, FACT_OF_REQUEST, "tools that are offered"},
    [FACT_TOOL_FORCED] = {"tool_forced", FACT_FLAG, FACT_OF_REQUEST, "a tool must be called"},
    [FACT_MAX_TOKENS] = {"max_tokens", FACT_NUMBER, FACT_OF_REQUEST, "tokens of the answer at most; 0: not said"},
    [FACT_STREAM] = {"stream", FACT_FLAG, FACT_OF_REQUEST, "the answer is streamed"},
    [FACT_SCHEMA] = {"schema", FACT_FLAG, FACT_OF_REQUEST, "the answer must have a given form"},
    [FACT_PII] = {"pii", FACT_NUMBER, FACT_OF_REQUEST, "places that the detectors found"},
    [FACT_PRIVATE] = {"private", FACT_FLAG, FACT_OF_REQUEST, "the client says x-slm-private: 1"},
    [FACT_FITS] = {"fits", FACT_FLAG, FACT_OF_REQUEST, "the local model can take the request at all"},
    [FACT_TEXT] = {"text", FACT_WORDS, FACT_OF_REQUEST, "the last user message"},
    [FACT_API] = {"api", FACT_WORDS, FACT_OF_REQUEST, "openai, anthropic or ollama"},
    [FACT_KEY] = {"key", FACT_WORDS, FACT_OF_REQUEST, "the name of the client's key"},
    [FACT_OUT_TOKENS] = {"out_tokens", FACT_NUMBER, FACT_OF_ANSWER, "tokens so far"},
    [FACT_MEAN_LOGPROB] = {"mean_logprob", FACT_NUMBER, FACT_OF_ANSWER, "mean log-probability of the tokens"},
    [FACT_MIN_LOGPROB] = {"min_logprob", FACT_NUMBER, FACT_OF_ANSWER, "that of the least likely token"},
    [FACT_Q10_LOGPROB] = {"q10_logprob", FACT_NUMBER, FACT_OF_ANSWER, "a tenth of the tokens are less likely; does not shrink with length as the mean and the sum do"},
    [FACT_FIRST_LOGPROB] = {"first_logprob", FACT_NUMBER, FACT_OF_ANSWER, "that of the first token"},
    [FACT_REPEATS] = {"repeats", FACT_NUMBER, FACT_OF_ANSWER, "share of words that repeat the four before them as earlier in the answer, 0 to 1"},
    [FACT_CUT] = {"cut", FACT_FLAG, FACT_OF_ANSWER, "it was ended by the limit of tokens"},
    [FACT_CALLS] = {"calls", FACT_NUMBER, FACT_OF_ANSWER, "tools that it calls"},
    [FACT_INVALID] = {"invalid", FACT_FLAG, FACT_OF_ANSWER, "it is not of the form that was asked for"},
};
const struct fact_row *fact_rows(void) { return rows; }
