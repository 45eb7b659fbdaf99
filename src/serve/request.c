/* request.c -- from what a request says to what the sampler takes. */
#include "serve/request.h"
#include "serve/api_ollama.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define STOP_TEXT_MAX 4096

void request_init(struct request *r) {
    memset(r, 0, sizeof *r);
    int8_t *const bools[] = {&r->stream, &r->stream_usage, &r->parallel_tool_calls, &r->raw, &r->add_special, &r->parse_special, &r->with_pieces,
                             &r->verbose, &r->truncate, &r->normalize, &r->logprobs, &r->ignore_eos, &r->echo, &r->return_tokens};
    float *const floats[] = {&r->temperature, &r->top_p, &r->min_p, &r->typical_p, &r->keep_min, &r->presence_penalty, &r->frequency_penalty,
                             &r->repeat_penalty, &r->dry_multiplier, &r->dry_base};
    int32_t *const ints[] = {&r->top_k, &r->repeat_last_n, &r->dry_allowed_length, &r->dry_last_n, &r->n, &r->n_max, &r->n_max_old,
                             &r->best_of, &r->top_logprobs, &r->top_n, &r->dimensions, &r->n_ctx};
    for (size_t i = 0; i < sizeof bools / sizeof bools[0]; i++) *bools[i] = ABSENT_BOOL;
    for (size_t i = 0; i < sizeof floats / sizeof floats[0]; i++) *floats[i] = NAN;
    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++) *ints[i] = ABSENT_I32;
}

/* Has the body said this field? */
static bool is_absent(const struct field *row, const struct request *r) {
    const void *at = (const char *)r + row->offset;
    switch (row->store) {
    case STORE_BOOL: return *(const int8_t *)at == ABSENT_BOOL;
    case STORE_I32: return *(const int32_t *)at == ABSENT_I32;
    case STORE_F32: return isnan(*(const float *)at);
    case STORE_SEED: return !((const struct field_seed *)at)->is_set;
    case STORE_TEXT: return !*(const char *const *)at;
    case STORE_JSON: return !*(const json_t *const *)at;
    case STORE_NOT: break;
    }
    return false;
}

slm_status request_fill(struct request *r, const json_t *params, struct fault *f) {
    const struct field_table *t = &ollama_options;
    struct buf ignored;
    slm_status st = SLM_OK;
    buf_init(&ignored, 4096);
    for (size_t i = 0; i < t->n && st == SLM_OK; i++) {
        const struct field *row = &t->rows[i];
        json_t *v = json_object_get(params, row->name), *one;
        if (!v || row->use != FIELD_USED || !is_absent(row, r) || row->offset == F(n_ctx)) continue; /* the pool of pages is the server's */
        one = json_pack("{s:O}", row->name, v);
        st = one ? fields_read(t, one, r, &ignored, f) : fault_set(f, SLM_E_NOMEM, NULL, "parameters: no memory");
        json_decref(one); /* v lives on in params */
    }
    buf_fini(&ignored);
    return st;
}

static void set_float(float *to, float from) {
    if (!isnan(from)) *to = from;
}

static void set_int(int32_t *to, int32_t from) {
    if (from != ABSENT_I32) *to = from;
}

static slm_status add_bias(struct sampling *s, int64_t id, const json_t *v, uint32_t n_vocab, struct fault *f) {
    if (id < 0 || id >= (int64_t)n_vocab) return fault_set(f, SLM_E_USAGE, "logit_bias", "field \"logit_bias\": %lld is no token id from 0 to %u", (long long)id, n_vocab - 1);
    if (!json_is_number(v) && !json_is_false(v)) return fault_set(f, SLM_E_USAGE, "logit_bias", "field \"logit_bias\": the bias of token %lld is no number", (long long)id);
    if (s->params.n_bias == REQUEST_BIASES_MAX) return fault_set(f, SLM_E_LIMIT, "logit_bias", "field \"logit_bias\": more than %d", REQUEST_BIASES_MAX);
    double bias = json_is_false(v) ? -INFINITY : json_number_value(v);
    if (bias <= -100) bias = -INFINITY; /* OpenAI: "-100 or 100 should result in a ban or exclusive selection" */
    if (bias > 1e6) return fault_set(f, SLM_E_USAGE, "logit_bias", "field \"logit_bias\": the bias of token %lld is past 1000000", (long long)id);
    s->bias[s->params.n_bias++] = (struct logit_bias){(int32_t)id, (float)bias};
    return SLM_OK;
}

/* {"15043": -1} as OpenAI has it; [[15043, -1]] as llama.cpp does too. */
static slm_status read_biases(const json_t *v, uint32_t n_vocab, struct sampling *s, struct fault *f) {
    const char *key;
    json_t *item;
    slm_status st = SLM_OK;
    s->params.bias = s->bias;
    if (json_is_object(v)) {
        json_object_foreach((json_t *)(uintptr_t)v, key, item) {
            char *end;
            long long id = strtoll(key, &end, 10);
            if (!*key || *end) return fault_set(f, SLM_E_USAGE, "logit_bias", "field \"logit_bias\": a key is no token id");
            if ((st = add_bias(s, id, item, n_vocab, f)) != SLM_OK) return st;
        }
        return st;
    }
    for (size_t i = 0; i < json_array_size(v) && st == SLM_OK; i++) {
        const json_t *pair = json_array_get(v, i), *id = json_array_get(pair, 0);
        if (json_array_size(pair) != 2 || !json_is_integer(id)) return fault_set(f, SLM_E_USAGE, "logit_bias", "field \"logit_bias\": element %zu is not [ID, BIAS]", i);
        st = add_bias(s, json_integer_value(id), json_array_get(pair, 1), n_vocab, f);
    }
    return st;
}

#define LORA_SCALE_MAX 1000.0

slm_status request_lora(const json_t *lora, const struct slm_model *m, struct lora_mix *out, struct fault *f) {
    size_t i;
    json_t *v;
    *out = (struct lora_mix){{0}};
    json_array_foreach((json_t *)(uintptr_t)lora, i, v) {
        const json_t *id = json_object_get(v, "id"), *scale = json_object_get(v, "scale");
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= (json_int_t)m->n_loras)
            return fault_set(f, SLM_E_USAGE, "lora", "field \"lora\": element %zu has no \"id\" of an adapter; the model has %u", i, m->n_loras);
        if (!json_is_number(scale) || fabs(json_number_value(scale)) > LORA_SCALE_MAX)
            return fault_set(f, SLM_E_USAGE, "lora", "field \"lora\": element %zu has no \"scale\" from %g to %g", i, -LORA_SCALE_MAX, LORA_SCALE_MAX);
        out->scale[json_integer_value(id)] = (float)json_number_value(scale);
    }
    return SLM_OK;
}

static uint64_t draw_seed(void) {
    uint32_t seed;
    if (getrandom(&seed, sizeof seed, 0) == (ssize_t)sizeof seed) return seed;
    return (uint64_t)time(NULL);
}

slm_status request_sampling(const struct request *r, uint32_t n_vocab, struct sampling *out, struct fault *f) {
    struct sampler_params *p = &out->params;
    sampler_params_init(p);
    set_float(&p->temperature, r->temperature);
    set_float(&p->top_p, r->top_p);
    set_float(&p->min_p, r->min_p);
    set_float(&p->typical_p, r->typical_p);
    set_float(&p->presence_penalty, r->presence_penalty);
    set_float(&p->frequency_penalty, r->frequency_penalty);
    set_float(&p->repeat_penalty, r->repeat_penalty);
    set_float(&p->dry_multiplier, r->dry_multiplier);
    set_float(&p->dry_base, r->dry_base);
    set_int(&p->top_k, r->top_k);
    set_int(&p->penalty_last_n, r->repeat_last_n);
    set_int(&p->dry_allowed_length, r->dry_allowed_length);
    set_int(&p->dry_last_n, r->dry_last_n);
    if (p->top_k < 0) p->top_k = 0;
    p->seed = r->seed.is_set ? r->seed.value : draw_seed();
    slm_status st = r->logit_bias ? read_biases(r->logit_bias, n_vocab, out, f) : SLM_OK;
    if (st == SLM_OK) st = sampler_params_check(p, n_vocab, &f->err);
    return st;
}

slm_status request_stops(const json_t *stop, const char *param, struct view *out, size_t n_max, size_t *n, struct fault *f) {
    size_t n_given = json_is_string(stop) ? 1 : json_array_size(stop);
    *n = 0;
    if (n_given > n_max) return fault_set(f, SLM_E_LIMIT, param, "field \"%s\": %zu texts are more than %zu", param, n_given, n_max);
    for (size_t i = 0; i < n_given; i++) {
        const json_t *v = json_is_string(stop) ? stop : json_array_get(stop, i);
        size_t len = json_string_length(v);
        if (!json_is_string(v)) return fault_set(f, SLM_E_USAGE, param, "field \"%s\": element %zu is no string", param, i);
        if (len > STOP_TEXT_MAX) return fault_set(f, SLM_E_LIMIT, param, "field \"%s\": a text is longer than %d bytes", param, STOP_TEXT_MAX);
        if (len > 0) out[(*n)++] = (struct view){json_string_value(v), len}; /* an empty one stops nothing */
    }
    return SLM_OK;
}
