/* model_facts.c -- facts from a model's header; its tensors stay on disk. */
#include "serve/model_facts.h"

#include <ctype.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "serve/generate.h"

#define ARRAY_SHOWN_MAX 4096

static uint64_t number(const struct gguf *g, const char *family, const char *suffix) {
    char key[160];
    uint64_t v = 0;
    snprintf(key, sizeof key, "%s.%s", family, suffix);
    return gguf_get_u64(g, key, &v, NULL) == SLM_OK ? v : 0;
}

/* 1235814400 -> "1.2B" */
static void name_size(uint64_t n, char out[16]) {
    double v = (double)n;
    const char *unit = v >= 1e9 ? "B" : v >= 1e6 ? "M" : "K";
    v /= v >= 1e9 ? 1e9 : v >= 1e6 ? 1e6 : 1e3;
    snprintf(out, 16, v >= 100 ? "%.0f%s" : "%.1f%s", v < 1e6 ? v : 1e6, unit);
}

/* The type that most bytes have. */
static void name_quantization(const struct gguf *g, struct model_facts *f) {
    uint64_t bytes[DTYPE_COUNT] = {0};
    size_t best = 0;
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        bytes[t->dtype] += t->n_bytes;
        f->n_param += t->n_elem;
    }
    for (size_t i = 0; i < DTYPE_COUNT; i++)
        if (bytes[i] > bytes[best]) best = i;
    snprintf(f->quantization, sizeof f->quantization, "%s", dtype_get((enum dtype)best)->name);
    for (char *p = f->quantization; *p; p++) *p = (char)toupper((unsigned char)*p);
}

static void make_digest(const struct served *s, char out[72]) {
    unsigned char d[SHA256_DIGEST_LENGTH];
    char text[512];
    if (s->is_in_store) { /* the manifest's own */
        memcpy(out, s->digest, sizeof s->digest);
        return;
    }
    snprintf(text, sizeof text, "%s %llu %lld", s->name, (unsigned long long)s->file_bytes, (long long)s->modified);
    SHA256((const unsigned char *)text, strlen(text), d);
    memcpy(out, "sha256:", 7);
    for (size_t i = 0; i < sizeof d; i++) snprintf(out + 7 + 2 * i, 3, "%02x", d[i]);
}

static bool has(struct view text, const char *word) { return text.len && memmem(text.ptr, text.len, word, strlen(word)); }

slm_status model_facts_read(const struct served *s, struct model_facts *out, slm_err *err) {
    struct gguf *g = NULL;
    struct view family = {0}, template = {0};
    slm_status st = model_open_file(s->path, 0, &g, err);
    *out = (struct model_facts){0};
    if (st != SLM_OK) return st;
    gguf_get_string(g, "general.architecture", &family, NULL);
    snprintf(out->family, sizeof out->family, "%.*s", VIEW_ARG(family));
    gguf_get_string(g, "tokenizer.chat_template", &template, NULL);
    out->has_template = template.len > 0;
    out->takes_tools = has(template, "tools");
    out->thinks = has(template, "<think>") || has(template, "enable_thinking") || has(template, "reasoning");
    out->n_ctx = number(g, out->family, "context_length");
    out->d_model = number(g, out->family, "embedding_length");
    bool is_causal = true;
    char key[160];
    snprintf(key, sizeof key, "%s.attention.causal", out->family);
    out->is_encoder = gguf_get_bool(g, key, &is_causal, NULL) == SLM_OK ? !is_causal : strstr(out->family, "bert") != NULL;
    out->fills_gaps = gguf_find(g, "tokenizer.ggml.fim_mid_token_id") || gguf_find(g, "tokenizer.ggml.middle_token_id");
    name_quantization(g, out);
    name_size(out->n_param, out->parameter_size);
    make_digest(s, out->digest);
    gguf_close(g);
    return SLM_OK;
}

static json_t *scalar_json(const struct gguf_kv *kv, uint64_t i) {
    if (kv->elem_type == GGUF_F32 || kv->elem_type == GGUF_F64) return json_f64(gguf_kv_f64(kv, i));
    if (kv->elem_type == GGUF_BOOL) return json_boolean(gguf_kv_i64(kv, i) != 0);
    return json_integer(gguf_kv_i64(kv, i));
}

static json_t *value_json(const struct gguf_kv *kv, bool is_whole) {
    if (kv->type == GGUF_STRING) return json_of_bytes(kv->data);
    if (kv->type != GGUF_ARRAY) {
        struct gguf_kv one = *kv;
        one.elem_type = kv->type;
        return scalar_json(&one, 0);
    }
    if (!is_whole || kv->n_elem > ARRAY_SHOWN_MAX) return json_null();
    json_t *list = json_array();
    if (kv->elem_type == GGUF_STRING) {
        struct view views[ARRAY_SHOWN_MAX];
        gguf_kv_strings(kv, views);
        for (uint64_t i = 0; i < kv->n_elem; i++) json_array_append_new(list, json_of_bytes(views[i]));
    } else
        for (uint64_t i = 0; i < kv->n_elem; i++) json_array_append_new(list, scalar_json(kv, i));
    return list;
}

slm_status model_metadata_json(const struct served *s, bool is_whole, json_t **keys, json_t **tensors, slm_err *err) {
    struct gguf *g = NULL;
    slm_status st = model_open_file(s->path, 0, &g, err);
    if (st != SLM_OK) return st;
    *keys = json_object();
    *tensors = json_array();
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(g, i);
        json_object_setn_new(*keys, kv->key.ptr, kv->key.len, value_json(kv, is_whole));
    }
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        json_t *shape = json_array();
        for (uint32_t k = t->n_dim; k-- > 0;) json_array_append_new(shape, json_integer((json_int_t)t->shape[k]));
        json_array_append_new(*tensors, json_pack("{s:o, s:s, s:o}", "name", json_of_bytes(t->name), "type", dtype_get(t->dtype)->name, "shape", shape));
    }
    gguf_close(g);
    return SLM_OK;
}

slm_status gap_prompt(const struct slm_model *m, struct view before, struct view after, struct tok_ids *out, struct fault *f) {
    struct gap_ids gap;
    if (!gap_ids_find(m, &gap)) return fault_set(f, SLM_E_UNSUPPORTED, "suffix", "model: its vocabulary has no tokens for filling gaps");
    return gap_encode(m, &gap, before, after, out, &f->err);
}
