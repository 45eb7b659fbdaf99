/* panel_few.c -- a packed panel times a few tokens: codes are taken apart in registers and multiplied at once.
 *
 * With few tokens the memory sets the pace, and what counts is that it never waits: unpacking a block to the first-level cache and
 * multiplying from there left it idle in turns, and cost as much as multiplying. Here a line is loaded, split and multiplied with
 * all tokens, and the lines to come are asked for (ask_int.h). A tile is 16 rows by up to 8 tokens, 32 by 4, or 64 by 2: as many sums as hide the
 * instruction's latency, and with their float sums no more than the registers. Bits are those of panel_unpack and panel_dot:
 * whole numbers, then the same roundings. */
#include "compute/cpu/x86/avx512/vec_int.h"

#include "compute/cpu/x86/avx512/bvec_int.h"
#include "compute/cpu/vec/ask_int.h"
#include "compute/cpu/vec/sides_int.h"
#include "compute/overlay_int.h"

enum { TOKS = 8, TILES = 8 /* rows by tokens, in vectors */, STEP = 4 * PANEL_ROWS /* bytes of one k-group in 8 bits */ };

/* What is constant in a kernel. */
struct kind {
    int bits, high_bits; /* of the two planes */
    bool has_table;
    int group;
    bool has_min;
};

/* 32 elements of k of one panel. */
struct part {
    const uint8_t *low, *high; /* the planes, at the tile's first row */
    const int8_t *q;           /* of the tile's first token; others n_k further each */
    const struct act_group *act;
    const float *scale, *min;
    int64_t n_k;
    bvec table;
    int offset_shift;
};

/* Codes of k-group i of 8, 16 rows from 16 * v on. */
VEC_FN bvec code_at(const struct part *p, const int i, const int v, const struct kind kind) {
    const int per = 8 / kind.bits, per_high = kind.high_bits ? 8 / kind.high_bits : 1;
    bvec word = bvec_load(p->low + i / per * STEP + 64 * v);
    if (kind.bits == 8) return word;
    bvec code = bvec_field(word, kind.bits * (i % per), kind.bits, 0);
    if (kind.has_table) code = bvec_lookup(p->table, code);
    if (kind.high_bits) code = bvec_or(code, bvec_field(bvec_load(p->high + i / per_high * STEP + 64 * v), kind.high_bits * (i % per_high), kind.high_bits, kind.bits));
    return code;
}

/* Plain codes of 4 bits: the upper ones come 16 times too large, which costs one shift of a sum instead of one for each code. */
VEC_FN bvec code_16_times_at(const struct part *p, const int i, const int v) {
    return _mm512_and_si512(bvec_load(p->low + i / 2 * STEP + 64 * v), _mm512_set1_epi8(i % 2 ? (char)0xf0 : 0x0f));
}

/* acc[n_tok][n_vec] = sums of k-groups [first, first + n). */
VEC_FN void part_sums(veci acc[TILES], const struct part *p, const int n_vec, const int n_tok, const int first, const int n, const struct kind kind) {
    const bool is_16_times = n == 8 && kind.bits == 4 && !kind.high_bits && !kind.has_table && n_vec * n_tok <= 4;
    const bool two_chains = n == 8 && n_vec * n_tok <= 4;
    veci other[TILES];
    VEC_UNROLL
    for (int t = 0; t < n_tok; t++) {
        const struct act_group *act = p->act + t * p->n_k / ACT_GROUP;
        int32_t minus_sum = n == 8 ? act->minus_sum[0] + act->minus_sum[1] : act->minus_sum[first / 4];
        VEC_UNROLL
        for (int v = 0; v < n_vec; v++) {
            acc[t * n_vec + v] = p->offset_shift < 0 ? veci_zero() : veci_of(minus_sum * (1 << p->offset_shift));
            other[t * n_vec + v] = veci_zero();
        }
    }
    VEC_UNROLL
    for (int i = first; i < first + n; i++) {
        bvec code[4];
        VEC_UNROLL
        for (int v = 0; v < n_vec; v++) code[v] = is_16_times ? code_16_times_at(p, i, v) : code_at(p, i, v, kind);
        VEC_UNROLL
        for (int t = 0; t < n_tok; t++) {
            veci x = veci_set(p->q + t * p->n_k + 4 * i);
            VEC_UNROLL
            for (int v = 0; v < n_vec; v++) {
                if (two_chains && i % 2) other[t * n_vec + v] = veci_dot4(other[t * n_vec + v], code[v], x);
                else acc[t * n_vec + v] = veci_dot4(acc[t * n_vec + v], code[v], x);
            }
        }
    }
    if (!two_chains) return;
    VEC_UNROLL
    for (int i = 0; i < n_tok * n_vec; i++)
        acc[i] = _mm512_add_epi32(acc[i], is_16_times ? _mm512_srai_epi32(other[i], 4) : other[i]);
}

/* y[n_tok][n_vec] += the part. */
VEC_FN void add_part_32(vec y[TILES], const struct part *p, const int n_vec, const int n_tok, const struct kind kind) {
    veci acc[TILES];
    part_sums(acc, p, n_vec, n_tok, 0, 8, kind);
    VEC_UNROLL
    for (int v = 0; v < n_vec; v++) {
        vec scale = vec_load(p->scale + 16 * v), min = kind.has_min ? vec_load(p->min + 16 * v) : scale;
        VEC_UNROLL
        for (int t = 0; t < n_tok; t++) {
            const struct act_group *act = p->act + t * p->n_k / ACT_GROUP;
            vec *to = &y[t * n_vec + v];
            *to = vec_fma(vec_mul(veci_to_f32(acc[t * n_vec + v]), vec_set(act->scale)), scale, *to);
            if (kind.has_min) *to = vec_fma(min, vec_set(act->scaled_sum), *to);
        }
    }
}

VEC_FN void add_part_16(vec y[TILES], const struct part *p, const int n_vec, const int n_tok, const struct kind kind) {
    vec sum[TILES];
    VEC_UNROLL
    for (int half = 0; half < 2; half++) {
        veci acc[TILES];
        part_sums(acc, p, n_vec, n_tok, 4 * half, 4, kind);
        VEC_UNROLL
        for (int v = 0; v < n_vec; v++) {
            vec scale = vec_load(p->scale + half * PANEL_ROWS + 16 * v);
            VEC_UNROLL
            for (int t = 0; t < n_tok; t++) {
                vec part = veci_to_f32(acc[t * n_vec + v]);
                sum[t * n_vec + v] = half ? vec_fma(part, scale, sum[t * n_vec + v]) : vec_mul(part, scale);
            }
        }
    }
    VEC_UNROLL
    for (int t = 0; t < n_tok; t++) {
        const struct act_group *act = p->act + t * p->n_k / ACT_GROUP;
        VEC_UNROLL
        for (int v = 0; v < n_vec; v++) {
            vec *to = &y[t * n_vec + v];
            *to = vec_fma(sum[t * n_vec + v], vec_set(act->scale), *to);
            if (!kind.has_min) continue;
            VEC_UNROLL
            for (int half = 0; half < 2; half++)
                *to = vec_fma(vec_load(p->min + half * PANEL_ROWS + 16 * v), vec_set(act->scale * (float)-act->minus_sum[half]), *to);
        }
    }
}

/* y[n_tok, ldy] (+)= 16 * n_vec rows of a block. p is its first part. */
VEC_FN void tile_block(float *y, int64_t ldy, struct part p, struct asking *asking, bool first, const int n_vec, const int n_tok, const struct kind kind) {
    vec sum[TILES];
    VEC_UNROLL
    for (int t = 0; t < n_tok; t++) {
        VEC_UNROLL
        for (int v = 0; v < n_vec; v++) sum[t * n_vec + v] = first ? vec_zero() : vec_load(y + t * ldy + 16 * v);
    }
    for (int64_t g = 0; g < p.n_k / 32; g++) {
        asking_step(asking);
        if (kind.group == 32) add_part_32(sum, &p, n_vec, n_tok, kind);
        else add_part_16(sum, &p, n_vec, n_tok, kind);
        p.low += 4 * kind.bits * PANEL_ROWS;
        p.high += 4 * kind.high_bits * PANEL_ROWS;
        p.q += 32;
        p.act++;
        p.scale += 32 / kind.group * PANEL_ROWS;
        p.min += 32 / kind.group * PANEL_ROWS;
    }
    VEC_UNROLL
    for (int t = 0; t < n_tok; t++) {
        VEC_UNROLL
        for (int v = 0; v < n_vec; v++) vec_store(y + t * ldy + 16 * v, sum[t * n_vec + v]);
    }
}

/* A block's rows, a tile at a time. */
VEC_FN void rows_block(float *y, int64_t ldy, struct part p, const struct panel *block, bool first, const int n_vec, const int n_tok, const struct kind kind) {
    struct asking asking = asking_begin(block, p.n_k / 32 * (PANEL_ROWS / 16 / n_vec));
    for (int row = 0; row < PANEL_ROWS; row += 16 * n_vec) {
        tile_block(y + row, ldy, p, &asking, first, n_vec, n_tok, kind);
        p.low += 64 * n_vec;
        p.high += 64 * n_vec;
        p.scale += 16 * n_vec;
        p.min += 16 * n_vec;
    }
}

/* All of k for tokens [t0, t0 + n). */
VEC_FN void few_tokens(float *y, int64_t ldy, const struct pack_desc *desc, const uint8_t *src, const struct acts_few *a, int64_t t0, int64_t n, const uint8_t *levels,
                       const sides_fn sides, const struct kind kind) {
    float scale[PANEL_K / 16 * PANEL_ROWS], min[PANEL_K / 16 * PANEL_ROWS];
    struct part p = {.scale = scale, .min = min, .table = bvec_table(levels ? levels : src), .offset_shift = desc->offset_shift};
    for (int64_t k = 0; k < a->d_in; k += PANEL_K) {
        p.n_k = a->d_in - k < PANEL_K ? a->d_in - k : PANEL_K;
        p.low = src;
        p.high = src + p.n_k * kind.bits / 8 * PANEL_ROWS;
        p.q = a->q + k * a->n_tok + t0 * p.n_k;
        p.act = a->groups + (k * a->n_tok + t0 * p.n_k) / ACT_GROUP;
        struct panel block = {.ahead = src + PANEL_AHEAD_BYTES, .ahead_bytes = (int32_t)pack_block_bytes(desc, p.n_k)};
        sides(scale, min, src + p.n_k * (kind.bits + kind.high_bits) / 8 * PANEL_ROWS, p.n_k);
        switch (n) {
        case 1: rows_block(y, ldy, p, &block, k == 0, 4, 1, kind); break;
        case 2: rows_block(y, ldy, p, &block, k == 0, kind.group == 32 ? 4 : 2, 2, kind); break;
        case 3: rows_block(y, ldy, p, &block, k == 0, 2, 3, kind); break;
        case 4: rows_block(y, ldy, p, &block, k == 0, 2, 4, kind); break;
        case 5: rows_block(y, ldy, p, &block, k == 0, 1, 5, kind); break;
        case 6: rows_block(y, ldy, p, &block, k == 0, 1, 6, kind); break;
        case 7: rows_block(y, ldy, p, &block, k == 0, 1, 7, kind); break;
        default: rows_block(y, ldy, p, &block, k == 0, 1, 8, kind); break;
        }
        src += block.ahead_bytes;
    }
}

typedef void (*few_fn)(float *y, int64_t ldy, const struct pack_desc *desc, const uint8_t *src, const struct acts_few *a, int64_t t0, int64_t n);

#define X(ID, bits, high_bits, table, sides, group, has_min)                                                                 \
    static void few_##ID(float *y, int64_t ldy, const struct pack_desc *desc, const uint8_t *src, const struct acts_few *a, int64_t t0, int64_t n) { \
        few_tokens(y, ldy, desc, src, a, t0, n, table, sides, (struct kind){bits, high_bits, table != NULL, group, has_min}); \
    }
UNPACK_LIST(X)
X(Q8_0, 8, 0, NULL, sides_half, 32, false)
#undef X

static const few_fn fn_of[DTYPE_COUNT] = {
    [DTYPE_Q8_0] = few_Q8_0,
#define X(ID, bits, high_bits, table, sides, group, has_min) [DTYPE_##ID] = few_##ID,
    UNPACK_LIST(X)
#undef X
};

/* More than TOKS go in even parts: the panel is in the second-level cache the second time. */
static void avx512vnni_panel_few(float *y, int64_t ldy, const struct pack_desc *p, const uint8_t *panel, const struct acts_few *a) {
    int64_t n_part = (a->n_tok + TOKS - 1) / TOKS;
    for (int64_t i = 0, t = 0; i < n_part; i++) {
        int64_t n = (a->n_tok - t + n_part - i - 1) / (n_part - i);
        fn_of[p->dtype](y + t * ldy, ldy, p, panel, a, t, n);
        t += n;
    }
}

void ops_overlay_avx512vnni_panel_few(struct ops *o) { o->panel_few = avx512vnni_panel_few; }
