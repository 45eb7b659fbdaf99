/* request.h -- everything that a request of any API can say, as read from its body by the rows of its route.
 *
 * Texts and JSON are borrowed from the body. What a body does not say keeps the value of request_init. */
#ifndef SLM_SERVE_REQUEST_H
#define SLM_SERVE_REQUEST_H

#include "engine/sampler.h"
#include "model/lora.h"
#include "serve/fields.h"

struct request {
    const char *model;
    int8_t stream, stream_usage;
    /* the prompt */
    const json_t *messages, *prompt, *input, *system, *tools, *tool_choice, *documents, *template_kwargs, *reasoning, *thinking, *context;
    const char *instructions, *suffix, *template, *content, *query;
    int8_t parallel_tool_calls, raw, add_special, parse_special, with_pieces, verbose, truncate, normalize;
    const char *reasoning_effort;
    /* sampling */
    float temperature, top_p, min_p, typical_p, presence_penalty, frequency_penalty, repeat_penalty, dry_multiplier, dry_base;
    int32_t top_k, repeat_last_n, dry_allowed_length, dry_last_n;
    struct field_seed seed;
    const json_t *logit_bias, *lora;
    /* the answer */
    int32_t n, n_max, n_max_old, best_of, top_logprobs, top_n, dimensions, n_ctx;
    int8_t logprobs, ignore_eos, echo, return_tokens;
    const json_t *stop, *response_format, *format, *json_schema, *choice, *keep_alive, *options;
    const char *grammar, *regex, *encoding_format;
    const char *source, *destination, *from, *quantize;
    const json_t *files, *adapters, *parameters, *licenses;
    /* narrow jobs */
    const json_t *labels;
    const char *answer_form, *until, *ground;
    float keep_min;
};
void request_init(struct request *r);

/* request_fill -- what the body has not said as the model's own parameters say (Ollama's names). Errors: USAGE (one of them is no such value). */
slm_status request_fill(struct request *r, const json_t *params, struct fault *f);

/* request_sampling -- the sampler's parameters; biases are written to bias [bias_max]. vocabulary: n_vocab. A missing seed is drawn.
 * Errors: USAGE naming the field. */
#define REQUEST_BIASES_MAX 1024
struct sampling {
    struct sampler_params params;
    struct logit_bias bias[REQUEST_BIASES_MAX];
};
slm_status request_sampling(const struct request *r, uint32_t n_vocab, struct sampling *out, struct fault *f);

/* request_stops -- "stop" as string or list into out [n_max]. Errors: USAGE, LIMIT. */
slm_status request_stops(const json_t *stop, const char *param, struct view *out, size_t n_max, size_t *n, struct fault *f);

/* request_lora -- "lora" as a mix of the model's adapters; those that it does not name are left out. Errors: USAGE. */
slm_status request_lora(const json_t *lora, const struct slm_model *m, struct lora_mix *out, struct fault *f);

/* Rows that several APIs share; F(member) is its place. */
#define F(member) offsetof(struct request, member)
#define FIELD_TEMPERATURE {.name = "temperature", .types = JT_NUMBER, .store = STORE_F32, .offset = F(temperature), .min = 0, .max = 100, .doc = "0 always takes the likeliest token"}
#define FIELD_TOP_P {.name = "top_p", .types = JT_NUMBER, .store = STORE_F32, .offset = F(top_p), .min = 0, .max = 1, .doc = "sample from the likeliest tokens of this total probability"}
#define FIELD_TOP_K {.name = "top_k", .types = JT_INT, .store = STORE_I32, .offset = F(top_k), .min = -1, .max = 1 << 24, .doc = "sample from so many likeliest tokens; 0: all"}
#define FIELD_MIN_P {.name = "min_p", .types = JT_NUMBER, .store = STORE_F32, .offset = F(min_p), .min = 0, .max = 1, .doc = "drop tokens less likely than this share of the likeliest"}
#define FIELD_TYPICAL {.name = "typical_p", .types = JT_NUMBER, .store = STORE_F32, .offset = F(typical_p), .min = 0, .max = 1, .doc = "locally typical sampling; 1: off"}
#define FIELD_SEED {.name = "seed", .types = JT_INT, .store = STORE_SEED, .offset = F(seed), .doc = "the same seed gives the same answer, whatever else runs"}
#define FIELD_PRESENCE {.name = "presence_penalty", .types = JT_NUMBER, .store = STORE_F32, .offset = F(presence_penalty), .min = -100, .max = 100, .doc = "subtracted once from tokens that occurred"}
#define FIELD_FREQUENCY {.name = "frequency_penalty", .types = JT_NUMBER, .store = STORE_F32, .offset = F(frequency_penalty), .min = -100, .max = 100, .doc = "subtracted for each occurrence"}
#define FIELD_REPEAT(key) {.name = key, .types = JT_NUMBER, .store = STORE_F32, .offset = F(repeat_penalty), .min = 0.01, .max = 100, .doc = "divides the scores of tokens that occurred; 1: off"}
#define FIELD_LAST_N {.name = "repeat_last_n", .types = JT_INT, .store = STORE_I32, .offset = F(repeat_last_n), .min = -1, .max = 1 << 24, .doc = "tokens that the penalties look at; -1: all"}
#define FIELD_BIAS {.name = "logit_bias", .types = JT_OBJECT | JT_ARRAY, .store = STORE_JSON, .offset = F(logit_bias), .doc = "{\"ID\": BIAS} or [[ID, BIAS]]; BIAS is added to the token's score, false bans it"}
#define FIELD_IGNORE_EOS {.name = "ignore_eos", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(ignore_eos), .doc = "go on when the model would end"}
#define FIELD_DRY \
    {.name = "dry_multiplier", .types = JT_NUMBER, .store = STORE_F32, .offset = F(dry_multiplier), .min = 0, .max = 100, .doc = "strength of the DRY penalty; 0: off"}, \
    {.name = "dry_base", .types = JT_NUMBER, .store = STORE_F32, .offset = F(dry_base), .min = 1, .max = 100, .doc = "base of the DRY penalty"}, \
    {.name = "dry_allowed_length", .types = JT_INT, .store = STORE_I32, .offset = F(dry_allowed_length), .min = 1, .max = 1 << 20, .doc = "repeats up to this length are free"}, \
    {.name = "dry_penalty_last_n", .types = JT_INT, .store = STORE_I32, .offset = F(dry_last_n), .min = -1, .max = 1 << 24, .doc = "tokens that DRY looks at"}
#define FIELD_STREAM {.name = "stream", .types = JT_BOOL, .store = STORE_BOOL, .offset = F(stream), .doc = "tell the answer while it is made"}
#define FIELD_STOP(key) {.name = key, .types = JT_STRING | JT_ARRAY, .store = STORE_JSON, .offset = F(stop), .doc = "end before this text, or one of these, would be told"}
#define FIELD_LORA {.name = "lora", .types = JT_ARRAY, .store = STORE_JSON, .offset = F(lora), .doc = "[{\"id\": N, \"scale\": S}]: adapters of GET /lora-adapters for this answer; those not named are left out"}
#define FIELD_MODEL {.name = "model", .types = JT_STRING, .store = STORE_TEXT, .offset = F(model), .doc = "a name of /v1/models; not needed when there is one model only"}

#endif
