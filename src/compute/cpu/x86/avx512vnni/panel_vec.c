/* panel_vec.c -- a packed panel times one token: codes are taken apart in registers and multiplied at once.
 *
 * With one token every weight is used once, so the memory sets the pace, and what counts is that it never waits: unpacking a
 * block to the first-level cache and multiplying from there left it idle in turns. Here a line is loaded, split and multiplied in
 * a dozen instructions, so that the core's own window holds the next two kilobytes in flight. The sums of a panel's 64 rows
 * stay in registers over all of k. Bits are those of panel_unpack and panel_dot: whole numbers, then the same roundings. */
#include "compute/cpu/x86/avx512/vec_int.h"

#include "compute/cpu/x86/avx512/bvec_int.h"
#include "compute/cpu/vec/ask_int.h"
#include "compute/cpu/vec/sides_int.h"
#include "compute/overlay_int.h"

enum { ROWS_16 = PANEL_ROWS / 16, STEP = 4 * PANEL_ROWS /* bytes of one k-group in 8 bits */ };

/* 32 elements of k of one panel. Groups of 16 use a pair's first or second half. */
struct part {
    const uint8_t *low, *high; /* of the two planes */
    const int8_t *q;
    const struct act_group *act;
    const float *scale, *min;
};

/* k-group i of 8, 16 rows from 16 * v on. Of plain codes of 4 bits the upper ones come 16 times too large: that costs one shift
 * of a sum instead of one for each code. */
VEC_FN bvec code_at(const struct part *p, const int i, const int v, const int bits, const int high_bits, const bool is_16_times, const bool has_table, bvec table) {
    const int per = 8 / bits, per_high = high_bits ? 8 / high_bits : 1;
    bvec word = bvec_load(p->low + i / per * STEP + 64 * v);
    if (bits == 8) return word;
    if (is_16_times && i % 2) return _mm512_and_si512(word, _mm512_set1_epi8((char)0xf0));
    bvec code = bvec_field(word, bits * (i % per), bits, 0);
    if (has_table) code = bvec_lookup(table, code);
    if (high_bits) code = bvec_or(code, bvec_field(bvec_load(p->high + i / per_high * STEP + 64 * v), high_bits * (i % per_high), high_bits, bits));
    return code;
}

/* y += the part. Everything but p, offset_shift and table is constant. Two chains for each register: as long as the instruction's latency. */
VEC_FN void add_part(vec y[ROWS_16], const struct part *p, int offset_shift, const int bits, const int high_bits, const bool has_table, bvec table, const int group,
                     const bool has_min) {
    const bool is_16_times = bits == 4 && !high_bits && !has_table && group == 32;
    veci acc[2][ROWS_16];
    VEC_UNROLL
    for (int v = 0; v < ROWS_16; v++) {
        acc[0][v] = acc[1][v] = veci_zero();
        if (offset_shift >= 0 && group == 32) acc[0][v] = veci_of((p->act->minus_sum[0] + p->act->minus_sum[1]) * (1 << offset_shift));
        if (offset_shift >= 0 && group == 16) {
            acc[0][v] = veci_of(p->act->minus_sum[0] * (1 << offset_shift));
            acc[1][v] = veci_of(p->act->minus_sum[1] * (1 << offset_shift));
        }
    }
    VEC_UNROLL
    for (int i = 0; i < 8; i++) {
        veci x = veci_set(p->q + 4 * i);
        const int chain = group == 16 ? i / 4 : i % 2;
        VEC_UNROLL
        for (int v = 0; v < ROWS_16; v++) acc[chain][v] = veci_dot4(acc[chain][v], code_at(p, i, v, bits, high_bits, is_16_times, has_table, table), x);
    }
    vec act_scale = vec_set(p->act->scale);
    VEC_UNROLL
    for (int v = 0; v < ROWS_16; v++) {
        vec scale = vec_load(p->scale + 16 * v);
        if (group == 32) {
            veci sum = _mm512_add_epi32(acc[0][v], is_16_times ? _mm512_srai_epi32(acc[1][v], 4) : acc[1][v]);
            y[v] = vec_fma(vec_mul(veci_to_f32(sum), act_scale), scale, y[v]);
            if (has_min) y[v] = vec_fma(vec_load(p->min + 16 * v), vec_set(p->act->scaled_sum), y[v]);
        } else {
            vec sum = vec_mul(veci_to_f32(acc[0][v]), scale);
            sum = vec_fma(veci_to_f32(acc[1][v]), vec_load(p->scale + PANEL_ROWS + 16 * v), sum);
            y[v] = vec_fma(sum, act_scale, y[v]);
            VEC_UNROLL
            for (int half = 0; has_min && half < 2; half++)
                y[v] = vec_fma(vec_load(p->min + half * PANEL_ROWS + 16 * v), vec_set(p->act->scale * (float)-p->act->minus_sum[half]), y[v]);
        }
    }
}

/* All of k. sides: what unpacks a block's. */
VEC_FN void panel_vec(float *out, const struct pack_desc *desc, const uint8_t *src, const struct acts *a, int64_t d_in, const int bits, const int high_bits,
                      const uint8_t *levels, const sides_fn sides, const int group, const bool has_min) {
    float scale[PANEL_K / 16 * PANEL_ROWS], min[PANEL_K / 16 * PANEL_ROWS];
    const bvec table = bvec_table(levels ? levels : src);
    vec y[ROWS_16];
    VEC_UNROLL
    for (int v = 0; v < ROWS_16; v++) y[v] = vec_zero();
    for (int64_t k = 0; k < d_in; k += PANEL_K) {
        int64_t n_k = d_in - k < PANEL_K ? d_in - k : PANEL_K;
        struct part p = {src, src + n_k * bits / 8 * PANEL_ROWS, a->q + k, a->groups + k / ACT_GROUP, scale, min};
        size_t n_bytes = pack_block_bytes(desc, n_k);
        struct panel here = {.ahead = src + PANEL_AHEAD_BYTES, .ahead_bytes = (int32_t)n_bytes};
        struct asking asking = asking_begin(&here, n_k / 32);
        sides(scale, min, src + n_k * (bits + high_bits) / 8 * PANEL_ROWS, n_k);
        for (int64_t i = 0; i < n_k; i += 32) {
            asking_step(&asking);
            add_part(y, &p, desc->offset_shift, bits, high_bits, levels != NULL, table, group, has_min);
            p.low += 4 * bits * PANEL_ROWS;
            p.high += 4 * high_bits * PANEL_ROWS;
            p.q += 32;
            p.act++;
            p.scale += 32 / group * PANEL_ROWS;
            p.min += 32 / group * PANEL_ROWS;
        }
        src += n_bytes;
    }
    VEC_UNROLL
    for (int v = 0; v < ROWS_16; v++) vec_store(out + 16 * v, y[v]);
}

typedef void (*panel_vec_fn)(float *out, const struct pack_desc *desc, const uint8_t *src, const struct acts *a, int64_t d_in);

#define X(ID, bits, high_bits, table, sides, group, has_min)                                                                 \
    static void panel_vec_##ID(float *out, const struct pack_desc *desc, const uint8_t *src, const struct acts *a, int64_t d_in) { \
        panel_vec(out, desc, src, a, d_in, bits, high_bits, table, sides, group, has_min);                                 \
    }
UNPACK_LIST(X)
X(Q8_0, 8, 0, NULL, sides_half, 32, false)
#undef X

static const panel_vec_fn fn_of[DTYPE_COUNT] = {
    [DTYPE_Q8_0] = panel_vec_Q8_0,
#define X(ID, bits, high_bits, table, sides, group, has_min) [DTYPE_##ID] = panel_vec_##ID,
    UNPACK_LIST(X)
#undef X
};

static void avx512vnni_panel_vec(float *y, const struct pack_desc *p, const uint8_t *panel, const struct acts *a, int64_t d_in) {
    fn_of[p->dtype](y, p, panel, a, d_in);
}

void ops_overlay_avx512vnni_panel_vec(struct ops *o) { o->panel_vec = avx512vnni_panel_vec; }
