/* avx512vnni.c -- the panel product with vpdpbusd: 16 rows by 4 elements of k in one instruction.
 *
 * A tile is 64 rows by up to TOKS tokens: 4 registers of weights, one that broadcasts 4 activations of a token and is shared
 * by the four, and for every 16 rows of a token one whole-number and one float sum: 29 registers with 3 tokens. A broadcast
 * from memory is a load; shuffling activations in registers would take the multipliers' own port. A block's 16 KB of codes
 * are in the first-level cache, and tokens stream past them. */
#include <immintrin.h>

#include "compute/cpu/vec/ask_int.h"
#include "compute/overlay_int.h"

enum { TOKS = 3, ROWS_16 = PANEL_ROWS / 16 };
/* Groups of 16 keep a second float sum, so 3 tokens would not fit the registers: measured 12 % slower than 2. */
enum { TOKS_OF_16 = 2 };

/* What a tile reads beside the panel, its offset applied to sums: - 2^shift * sum q. */
struct tile {
    const struct panel *p;
    const int8_t *q;
    const struct act_group *act;
    int64_t ldq, ldg;
    __m128i shift;
    int32_t offset_mask; /* 0: no offset */
    struct asking asking; /* a step for each group of 32 */
};

VEC_FN __m512i start_sum(const struct tile *t, int32_t minus_sum) {
    return _mm512_sll_epi32(_mm512_set1_epi32(minus_sum & t->offset_mask), t->shift);
}

/* acc[n_tok][4] of n_i k-groups. One token has two chains for each register: the instruction's latency is that long. */
VEC_FN void tile_sums(__m512i acc[TOKS][ROWS_16], const uint8_t *codes, const int8_t *q, int64_t ldq, const int n_tok, const int n_i) {
    __m512i other[ROWS_16];
    VEC_UNROLL
    for (int v = 0; v < ROWS_16; v++) other[v] = _mm512_setzero_si512();
    VEC_UNROLL
    for (int i = 0; i < n_i; i++, codes += 4 * PANEL_ROWS) {
        __m512i w[ROWS_16];
        VEC_UNROLL
        for (int v = 0; v < ROWS_16; v++) w[v] = _mm512_loadu_si512(codes + 64 * v);
        VEC_UNROLL
        for (int t = 0; t < n_tok; t++) {
            int32_t four;
            __builtin_memcpy(&four, q + t * ldq + 4 * i, sizeof four);
            __m512i x = _mm512_set1_epi32(four);
            VEC_UNROLL
            for (int v = 0; v < ROWS_16; v++) {
                if (n_tok == 1 && i % 2) other[v] = _mm512_dpbusd_epi32(other[v], w[v], x);
                else acc[t][v] = _mm512_dpbusd_epi32(acc[t][v], w[v], x);
            }
        }
    }
    if (n_tok != 1) return;
    VEC_UNROLL
    for (int v = 0; v < ROWS_16; v++) acc[0][v] = _mm512_add_epi32(acc[0][v], other[v]);
}

VEC_FN void tile_group_32(__m512 y[TOKS][ROWS_16], const struct tile *t, int64_t g, const int n_tok, const bool has_min) {
    __m512i acc[TOKS][ROWS_16];
    const struct act_group *act = t->act + g;
    VEC_UNROLL
    for (int i = 0; i < n_tok; i++) {
        __m512i start = start_sum(t, act[i * t->ldg].minus_sum[0] + act[i * t->ldg].minus_sum[1]);
        VEC_UNROLL
        for (int v = 0; v < ROWS_16; v++) acc[i][v] = start;
    }
    tile_sums(acc, t->p->codes + g * 32 * PANEL_ROWS, t->q + g * 32, t->ldq, n_tok, 8);
    VEC_UNROLL
    for (int v = 0; v < ROWS_16; v++) {
        __m512 scale = _mm512_loadu_ps(t->p->scale + g * PANEL_ROWS + 16 * v);
        __m512 min = has_min ? _mm512_loadu_ps(t->p->min + g * PANEL_ROWS + 16 * v) : scale;
        VEC_UNROLL
        for (int i = 0; i < n_tok; i++) {
            __m512 sum = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[i][v]), _mm512_set1_ps(act[i * t->ldg].scale));
            y[i][v] = _mm512_fmadd_ps(sum, scale, y[i][v]);
            if (has_min) y[i][v] = _mm512_fmadd_ps(min, _mm512_set1_ps(act[i * t->ldg].scaled_sum), y[i][v]);
        }
    }
}

VEC_FN void tile_group_16(__m512 y[TOKS][ROWS_16], const struct tile *t, int64_t g, const int n_tok, const bool has_min) {
    const struct act_group *act = t->act + g;
    const float *scale = t->p->scale + 2 * g * PANEL_ROWS, *min = t->p->min + 2 * g * PANEL_ROWS;
    __m512 sum[TOKS][ROWS_16];
    VEC_UNROLL
    for (int half = 0; half < 2; half++, scale += PANEL_ROWS) {
        __m512i acc[TOKS][ROWS_16];
        VEC_UNROLL
        for (int i = 0; i < n_tok; i++) {
            VEC_UNROLL
            for (int v = 0; v < ROWS_16; v++) acc[i][v] = start_sum(t, act[i * t->ldg].minus_sum[half]);
        }
        tile_sums(acc, t->p->codes + (2 * g + half) * 16 * PANEL_ROWS, t->q + g * 32 + half * 16, t->ldq, n_tok, 4);
        VEC_UNROLL
        for (int i = 0; i < n_tok; i++) {
            VEC_UNROLL
            for (int v = 0; v < ROWS_16; v++) {
                __m512 part = _mm512_cvtepi32_ps(acc[i][v]), s = _mm512_loadu_ps(scale + 16 * v);
                sum[i][v] = half ? _mm512_fmadd_ps(part, s, sum[i][v]) : _mm512_mul_ps(part, s);
            }
        }
    }
    VEC_UNROLL
    for (int i = 0; i < n_tok; i++) {
        __m512 as = _mm512_set1_ps(act[i * t->ldg].scale);
        VEC_UNROLL
        for (int v = 0; v < ROWS_16; v++) y[i][v] = _mm512_fmadd_ps(sum[i][v], as, y[i][v]);
        VEC_UNROLL
        for (int half = 0; has_min && half < 2; half++) {
            __m512 scaled = _mm512_set1_ps(act[i * t->ldg].scale * (float)-act[i * t->ldg].minus_sum[half]);
            VEC_UNROLL
            for (int v = 0; v < ROWS_16; v++)
                y[i][v] = _mm512_fmadd_ps(_mm512_loadu_ps(min + half * PANEL_ROWS + 16 * v), scaled, y[i][v]);
        }
    }
}

/* 64 rows by n_tok tokens over the block; constants but t. */
VEC_FN void tile_block(float *out, int64_t ldy, struct tile *t, bool first, const int n_tok, const int group, const bool has_min) {
    __m512 y[TOKS][ROWS_16];
    VEC_UNROLL
    for (int i = 0; i < n_tok; i++) {
        VEC_UNROLL
        for (int v = 0; v < ROWS_16; v++) y[i][v] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(out + i * ldy + 16 * v);
    }
    for (int64_t g = 0; g < t->p->n_k / 32; g++) {
        asking_step(&t->asking);
        if (group == 32) tile_group_32(y, t, g, n_tok, has_min);
        else tile_group_16(y, t, g, n_tok, has_min);
    }
    VEC_UNROLL
    for (int i = 0; i < n_tok; i++) {
        VEC_UNROLL
        for (int v = 0; v < ROWS_16; v++) _mm512_storeu_ps(out + i * ldy + 16 * v, y[i][v]);
    }
}

typedef void (*tile_fn)(float *out, int64_t ldy, struct tile *t, bool first);
#define TILE(n, group, has_min)                                                                                        \
    static void tile_##n##_##group##_##has_min(float *out, int64_t ldy, struct tile *t, bool first) {            \
        tile_block(out, ldy, t, first, n, group, has_min);                                                             \
    }
#define TILES_16(has_min) TILE(1, 16, has_min) TILE(2, 16, has_min)
#define TILES_32(has_min) TILE(1, 32, has_min) TILE(2, 32, has_min) TILE(3, 32, has_min)
TILES_16(0)
TILES_16(1)
TILES_32(0)
TILES_32(1)
/* [groups of 32][has_min][tokens - 1] */
static const tile_fn tiles[2][2][TOKS] = {
    {{tile_1_16_0, tile_2_16_0}, {tile_1_16_1, tile_2_16_1}},
    {{tile_1_32_0, tile_2_32_0, tile_3_32_0}, {tile_1_32_1, tile_2_32_1, tile_3_32_1}},
};

static void avx512vnni_panel_dot(float *y, int64_t ldy, const struct panel *p, const struct acts *a, int64_t n_tok, bool first) {
    const tile_fn *row = tiles[p->desc->group == 32][p->desc->has_min];
    struct tile t = {.p = p, .ldq = a->ldq, .ldg = a->ldg, .offset_mask = p->desc->offset_shift < 0 ? 0 : -1};
    t.shift = _mm_cvtsi32_si128(p->desc->offset_shift < 0 ? 0 : p->desc->offset_shift);
    /* Even sizes: 4 tokens go as 2 + 2. */
    int64_t n_max = p->desc->group == 32 ? TOKS : TOKS_OF_16, n_call = (n_tok + n_max - 1) / n_max;
    t.asking = asking_begin(p, n_call * (p->n_k / 32));
    for (int64_t i = 0, at = 0; i < n_call; i++) {
        int64_t n = (n_tok - at + n_call - i - 1) / (n_call - i);
        t.q = a->q + at * a->ldq;
        t.act = a->groups + at * a->ldg;
        row[n - 1](y + at * ldy, ldy, &t, first);
        at += n;
    }
}

void ops_overlay_avx512vnni(struct ops *o) {
    o->panel_dot = avx512vnni_panel_dot;
    ops_overlay_avx512vnni_attention(o);
    ops_overlay_avx512vnni_panel_few(o);
}
