/* kv_page.c -- the KV types' rows, sizes, and the slow readers of single rows. */
#include "compute/kv_page.h"

#include <string.h>
#include <strings.h>

#include "format/dtype.h"

static const struct kv_type_row rows[KV_TYPE_COUNT] = {
    [KV_F32] = {"f32", false},
    [KV_F16] = {"f16", false},
    [KV_Q8] = {"q8", true},
    [KV_Q4] = {"q4", true},
};

const struct kv_type_row *kv_type_get(enum kv_type type) { return &rows[type]; }

bool kv_type_by_name(const char *name, enum kv_type *type) {
    for (int i = 0; i < KV_TYPE_COUNT; i++)
        if (strcasecmp(rows[i].name, name) == 0) {
            *type = (enum kv_type)i;
            return true;
        }
    return false;
}

static size_t up_to(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

size_t kv_page_k_scales(enum kv_type type, int64_t d_head) {
    size_t d = (size_t)d_head;
    switch (type) {
    case KV_F32: return KV_PAGE_TOK * d * sizeof(float);
    case KV_F16: return KV_PAGE_TOK * d * sizeof(uint16_t);
    case KV_Q8: return KV_PAGE_TOK * up_to(d, 4);
    default: return KV_PAGE_TOK * up_to(d, 8) / 2;
    }
}

size_t kv_page_v_scales(enum kv_type type, int64_t d_head) {
    size_t d = (size_t)d_head;
    switch (type) {
    case KV_F32: return KV_PAGE_TOK * d * sizeof(float);
    case KV_F16: return KV_PAGE_TOK * d * sizeof(uint16_t);
    case KV_Q8: return KV_PAGE_TOK * d;
    default: return KV_PAGE_TOK * up_to(d, 2) / 2;
    }
}

size_t kv_page_k_bytes(enum kv_type type, int64_t d_head) {
    return up_to(kv_page_k_scales(type, d_head) + (rows[type].is_rotated ? KV_PAGE_TOK * sizeof(float) : 0), 64);
}

size_t kv_page_v_bytes(enum kv_type type, int64_t d_head) {
    return up_to(kv_page_v_scales(type, d_head) + (rows[type].is_rotated ? 2 * KV_PAGE_TOK * sizeof(float) : 0), 64);
}

static float float_at(const uint8_t *p) {
    float f;
    memcpy(&f, p, sizeof f);
    return f;
}

static float half_at(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return f16_to_f32(h);
}

void kv_page_read_k(float *dst, const void *keys, enum kv_type type, int64_t i_tok, int64_t d_head) {
    const uint8_t *k = keys, *scales = k + kv_page_k_scales(type, d_head);
    for (int64_t i = 0; i < d_head; i++) {
        int64_t at = i * KV_PAGE_TOK + i_tok;
        uint8_t pair = k[type == KV_Q4 ? (i / 8 * KV_PAGE_TOK + i_tok) * 4 + i % 4 : 0];
        switch (type) {
        case KV_F32: dst[i] = float_at(k + at * 4); break;
        case KV_F16: dst[i] = half_at(k + at * 2); break;
        case KV_Q8: dst[i] = (float)(k[(i / 4 * KV_PAGE_TOK + i_tok) * 4 + i % 4] - 128) * float_at(scales + 4 * i_tok); break;
        default: dst[i] = ((float)(i % 8 < 4 ? pair & 15 : pair >> 4) - 7.5f) * float_at(scales + 4 * i_tok);
        }
    }
}

void kv_page_read_v(float *dst, const void *values, enum kv_type type, int64_t i_tok, int64_t d_head) {
    const uint8_t *v = values, *scales = v + kv_page_v_scales(type, d_head) + KV_PAGE_TOK * sizeof(float);
    int64_t half = (d_head + 1) / 2;
    for (int64_t i = 0; i < d_head; i++) {
        int64_t at = i_tok * d_head + i;
        uint8_t pair = v[type == KV_Q4 ? (i_tok / 4 * half + i % half) * 4 + i_tok % 4 : 0];
        switch (type) {
        case KV_F32: dst[i] = float_at(v + at * 4); break;
        case KV_F16: dst[i] = half_at(v + at * 2); break;
        case KV_Q8: dst[i] = (float)(int8_t)v[(i_tok / 4 * d_head + i) * 4 + i_tok % 4] / float_at(scales + 4 * i_tok); break;
        default: dst[i] = ((float)(i < half ? pair & 15 : pair >> 4) - 7.5f) / float_at(scales + 4 * i_tok);
        }
    }
}
