/* file_type.c -- the known mixes as rows: which tensors of a file type get another type than its base.
 *
 * The mixes are llama.cpp's, so that "Q4_K_M" means what its users expect. Some layers get more bits than others: errors of
 * the first layers travel through all that follow, the last ones act on the output directly. Rules are tried from the top; the
 * first whose file type, role, layer and condition agree decides. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "engine/quantize_int.h"

#define ROW(ID, number, base, what) [FILE_TYPE_##ID] = {FILE_TYPE_##ID, #ID, number, DTYPE_##base, what}
static const struct file_type rows[FILE_TYPE_COUNT] = {
    ROW(F32, 0, F32, "32-bit floats"),
    ROW(F16, 1, F16, "half precision"),
    ROW(BF16, 32, BF16, "bfloat16"),
    ROW(Q8_0, 7, Q8_0, "8.5 bits, as good as half precision"),
    ROW(Q6_K, 18, Q6_K, "6.6 bits, hard to tell from half precision"),
    ROW(Q5_K_M, 17, Q5_K, "5.7 bits"),
    ROW(Q5_K_S, 16, Q5_K, "5.5 bits"),
    ROW(Q5_1, 9, Q5_1, "6 bits, blocks of 32"),
    ROW(Q5_0, 8, Q5_0, "5.5 bits, blocks of 32"),
    ROW(Q4_K_M, 15, Q4_K, "4.8 bits, the usual choice"),
    ROW(Q4_K_S, 14, Q4_K, "4.6 bits"),
    ROW(Q4_1, 3, Q4_1, "5 bits, blocks of 32"),
    ROW(Q4_0, 2, Q4_0, "4.5 bits, blocks of 32"),
    ROW(IQ4_NL, 25, IQ4_NL, "4.5 bits, blocks of 32, uneven levels"),
    ROW(IQ4_XS, 30, IQ4_XS, "4.3 bits, uneven levels"),
    ROW(MXFP4, 38, MXFP4, "4.3 bits, four-bit floats"),
    ROW(Q3_K_L, 13, Q3_K, "4.2 bits"),
    ROW(Q3_K_M, 12, Q3_K, "3.9 bits"),
    ROW(Q3_K_S, 11, Q3_K, "3.5 bits"),
    ROW(IQ3_M, 27, IQ3_S, "3.7 bits"),
    ROW(IQ3_S, 26, IQ3_S, "3.5 bits"),
    ROW(IQ3_XS, 22, IQ3_S, "3.3 bits"),
    ROW(IQ3_XXS, 23, IQ3_XXS, "3.1 bits"),
    ROW(Q2_K, 10, Q2_K, "3 bits"),
    ROW(Q2_K_S, 21, Q2_K, "2.8 bits"),
    ROW(IQ2_M, 29, IQ2_S, "2.7 bits, wants an imatrix"),
    ROW(IQ2_S, 28, IQ2_XS, "2.5 bits, wants an imatrix"),
    ROW(IQ2_XS, 20, IQ2_XS, "2.4 bits, wants an imatrix"),
    ROW(IQ2_XXS, 19, IQ2_XXS, "2.1 bits, wants an imatrix"),
    ROW(TQ2_0, 37, TQ2_0, "2.1 bits, for ternary models"),
    ROW(TQ1_0, 36, TQ1_0, "1.7 bits, for ternary models"),
    ROW(IQ1_M, 31, IQ1_M, "1.8 bits, wants an imatrix"),
    ROW(IQ1_S, 24, IQ1_S, "1.6 bits, wants an imatrix"),
};
#undef ROW

const struct file_type *file_type_get(enum file_type_id id) { return &rows[id]; }

const struct file_type *file_type_by_name(const char *name) {
    static const char *const short_names[][2] = {{"Q5_K", "Q5_K_M"}, {"Q4_K", "Q4_K_M"}, {"Q3_K", "Q3_K_M"}};
    for (size_t i = 0; i < sizeof short_names / sizeof short_names[0]; i++)
        if (strcasecmp(name, short_names[i][0]) == 0) name = short_names[i][1];
    for (int i = 0; i < FILE_TYPE_COUNT; i++)
        if (strcasecmp(rows[i].name, name) == 0) return &rows[i];
    return NULL;
}

const struct file_type *file_type_by_gguf_id(uint64_t number) {
    for (int i = 0; i < FILE_TYPE_COUNT; i++)
        if (rows[i].gguf_id == number) return &rows[i];
    return NULL;
}

const struct file_type *file_type_of_dtype(enum dtype d) {
    static const enum file_type_id smallest[] = {FILE_TYPE_Q5_K_S, FILE_TYPE_Q4_K_S, FILE_TYPE_Q3_K_S, FILE_TYPE_Q2_K_S, FILE_TYPE_IQ3_S, FILE_TYPE_IQ2_XS};
    for (size_t i = 0; i < sizeof smallest / sizeof *smallest; i++)
        if (rows[smallest[i]].base == d) return &rows[smallest[i]];
    for (int i = 0; i < FILE_TYPE_COUNT; i++)
        if (rows[i].base == d) return &rows[i];
    return NULL;
}

/* Names */

static const struct {
    const char *name; /* after "blk.N." when is_layer */
    bool is_layer;
    enum tensor_role role;
} names[] = {
    {"token_embd.weight", false, ROLE_EMBD},
    {"output.weight", false, ROLE_OUTPUT},
    {"position_embd.weight", false, ROLE_KEPT},
    {"token_types.weight", false, ROLE_KEPT},
    {"attn_q.weight", true, ROLE_ATTN_Q},
    {"attn_k.weight", true, ROLE_ATTN_K},
    {"attn_v.weight", true, ROLE_ATTN_V},
    {"attn_qkv.weight", true, ROLE_ATTN_QKV},
    {"attn_output.weight", true, ROLE_ATTN_OUT},
    {"ffn_gate.weight", true, ROLE_FFN_GATE},
    {"ffn_up.weight", true, ROLE_FFN_UP},
    {"ffn_down.weight", true, ROLE_FFN_DOWN},
    {"ffn_gate_exps.weight", true, ROLE_FFN_GATE},
    {"ffn_up_exps.weight", true, ROLE_FFN_UP},
    {"ffn_down_exps.weight", true, ROLE_FFN_DOWN},
    {"ffn_gate_inp.weight", true, ROLE_KEPT}, /* a router: small, and its choices are hard ones */
};

static bool ends_with(struct view v, const char *end) {
    size_t n = strlen(end);
    return v.len >= n && memcmp(v.ptr + v.len - n, end, n) == 0;
}

enum tensor_role tensor_role_of(struct view name, uint32_t *i_layer) {
    bool is_layer = name.len > 4 && memcmp(name.ptr, "blk.", 4) == 0;
    struct view rest = name;
    *i_layer = 0;
    if (is_layer) {
        size_t i = 4;
        while (i < name.len && isdigit((unsigned char)name.ptr[i]) && *i_layer < 100000) *i_layer = *i_layer * 10 + (uint32_t)(name.ptr[i++] - '0');
        if (i == 4 || i >= name.len || name.ptr[i] != '.') return ROLE_OTHER;
        rest = (struct view){name.ptr + i + 1, name.len - i - 1};
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].is_layer == is_layer && view_eq(rest, view_of(names[i].name))) return names[i].role;
    return ends_with(name, "_norm.weight") || !ends_with(name, ".weight") ? ROLE_KEPT : ROLE_OTHER;
}

/* Rules */

enum where { ALL, FIRST_2, FIRST_4, FIRST_16TH, FIRST_8TH, MORE_BITS, MIDDLE };
enum when { ALWAYS, GROUPED, PLAIN_HEADS, WITH_IMATRIX, WITHOUT_IMATRIX }; /* GROUPED: 4 or more query heads to a key head */

/* n / 8 layers at either end, and every third between. */
static bool has_more_bits(uint32_t i, uint32_t n) { return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2; }

static bool is_where(enum where w, uint32_t i, uint32_t n) {
    switch (w) {
    case ALL: return true;
    case FIRST_2: return i < 2;
    case FIRST_4: return i < 4;
    case FIRST_16TH: return i < n / 16;
    case FIRST_8TH: return i < n / 8;
    case MORE_BITS: return has_more_bits(i, n);
    case MIDDLE: return i >= n / 8 && i < 7 * n / 8;
    }
    return false;
}

static bool is_when(enum when w, const struct tensor_place *p) {
    switch (w) {
    case ALWAYS: return true;
    case GROUPED: return p->n_group >= 4;
    case PLAIN_HEADS: return p->n_group < 4;
    case WITH_IMATRIX: return p->has_imatrix;
    case WITHOUT_IMATRIX: return !p->has_imatrix;
    }
    return false;
}

#define F(ID) (1ull << FILE_TYPE_##ID)
#define IQ1 (F(IQ1_S) | F(IQ1_M))
#define IQ2_SMALL (F(IQ2_XXS) | F(IQ2_XS))
#define IQ2_LARGE (F(IQ2_S) | F(IQ2_M))
#define TERNARY (F(TQ1_0) | F(TQ2_0))
#define FLOATS (F(F32) | F(F16) | F(BF16))
static const struct rule {
    uint64_t types;
    enum tensor_role role;
    enum where where;
    enum when when;
    enum dtype dtype;
} rules[] = {
    {FLOATS | F(Q8_0), ROLE_OUTPUT, ALL, ALWAYS, DTYPE_COUNT}, /* the base */
    {IQ1 | IQ2_SMALL | IQ2_LARGE | F(IQ3_XXS), ROLE_OUTPUT, ALL, ALWAYS, DTYPE_Q5_K},
    {~(uint64_t)0, ROLE_OUTPUT, ALL, ALWAYS, DTYPE_Q6_K},

    {IQ1 | IQ2_SMALL, ROLE_EMBD, ALL, ALWAYS, DTYPE_Q2_K},
    {IQ2_LARGE | F(IQ3_XXS), ROLE_EMBD, ALL, ALWAYS, DTYPE_IQ3_S},
    {TERNARY, ROLE_EMBD, ALL, ALWAYS, DTYPE_Q4_K},

    {IQ1 | IQ2_SMALL | IQ2_LARGE, ROLE_ATTN_V, ALL, GROUPED, DTYPE_Q4_K},
    {IQ2_LARGE, ROLE_ATTN_V, ALL, ALWAYS, DTYPE_IQ3_S},
    {IQ1 | IQ2_SMALL, ROLE_ATTN_V, ALL, ALWAYS, DTYPE_Q2_K},
    {F(Q2_K) | F(Q2_K_S), ROLE_ATTN_V, ALL, GROUPED, DTYPE_Q4_K},
    {F(Q2_K), ROLE_ATTN_V, ALL, ALWAYS, DTYPE_Q3_K},
    {F(IQ3_XXS) | F(IQ3_XS) | F(IQ3_S), ROLE_ATTN_V, ALL, GROUPED, DTYPE_Q4_K},
    {F(IQ3_XXS), ROLE_ATTN_V, ALL, WITHOUT_IMATRIX, DTYPE_IQ3_S},
    {F(IQ3_M), ROLE_ATTN_V, ALL, ALWAYS, DTYPE_Q4_K},
    {F(Q3_K_M), ROLE_ATTN_V, FIRST_2, ALWAYS, DTYPE_Q5_K},
    {F(Q3_K_M), ROLE_ATTN_V, ALL, ALWAYS, DTYPE_Q4_K},
    {F(Q3_K_L), ROLE_ATTN_V, ALL, ALWAYS, DTYPE_Q5_K},
    {F(IQ4_NL) | F(IQ4_XS), ROLE_ATTN_V, ALL, GROUPED, DTYPE_Q5_K},
    {F(Q4_K_M) | F(Q5_K_M), ROLE_ATTN_V, MORE_BITS, ALWAYS, DTYPE_Q6_K},
    {F(Q4_K_S), ROLE_ATTN_V, FIRST_4, ALWAYS, DTYPE_Q5_K},

    {F(IQ3_XS), ROLE_ATTN_K, ALL, ALWAYS, DTYPE_IQ3_XXS},
    {F(IQ3_XS), ROLE_ATTN_Q, ALL, ALWAYS, DTYPE_IQ3_XXS},
    {F(IQ3_XXS), ROLE_ATTN_K, ALL, ALWAYS, DTYPE_IQ2_S},
    {F(IQ3_XXS), ROLE_ATTN_Q, ALL, ALWAYS, DTYPE_IQ2_S},

    {F(Q3_K_M) | F(Q3_K_L) | F(IQ3_M), ROLE_ATTN_QKV, ALL, ALWAYS, DTYPE_Q4_K},
    {F(Q4_K_M), ROLE_ATTN_QKV, ALL, ALWAYS, DTYPE_Q5_K},
    {F(Q5_K_M), ROLE_ATTN_QKV, ALL, ALWAYS, DTYPE_Q6_K},

    {F(IQ1_S) | F(IQ1_M), ROLE_ATTN_OUT, ALL, ALWAYS, DTYPE_IQ2_XXS},
    {IQ2_LARGE, ROLE_ATTN_OUT, ALL, ALWAYS, DTYPE_IQ3_S},
    {F(Q2_K), ROLE_ATTN_OUT, ALL, ALWAYS, DTYPE_Q3_K},
    {F(IQ3_XXS), ROLE_ATTN_OUT, ALL, ALWAYS, DTYPE_IQ3_S},
    {F(Q3_K_M) | F(IQ3_M), ROLE_ATTN_OUT, ALL, ALWAYS, DTYPE_Q4_K},
    {F(Q3_K_L), ROLE_ATTN_OUT, ALL, ALWAYS, DTYPE_Q5_K},

    {IQ2_LARGE, ROLE_FFN_DOWN, FIRST_8TH, ALWAYS, DTYPE_IQ3_S},
    {IQ1 | IQ2_SMALL, ROLE_FFN_DOWN, FIRST_8TH, ALWAYS, DTYPE_Q2_K},
    {F(Q2_K), ROLE_FFN_DOWN, ALL, ALWAYS, DTYPE_Q3_K},
    {F(Q2_K_S), ROLE_FFN_DOWN, FIRST_8TH, ALWAYS, DTYPE_Q4_K},
    {F(IQ3_XXS), ROLE_FFN_DOWN, FIRST_8TH, WITHOUT_IMATRIX, DTYPE_Q4_K},
    {F(IQ3_XXS), ROLE_FFN_DOWN, ALL, WITHOUT_IMATRIX, DTYPE_Q3_K},
    {F(Q3_K_M), ROLE_FFN_DOWN, FIRST_16TH, ALWAYS, DTYPE_Q5_K},
    {F(Q3_K_M), ROLE_FFN_DOWN, ALL, ALWAYS, DTYPE_Q4_K},
    {F(IQ3_M), ROLE_FFN_DOWN, FIRST_8TH, ALWAYS, DTYPE_Q4_K},
    {F(Q3_K_L), ROLE_FFN_DOWN, ALL, ALWAYS, DTYPE_Q5_K},
    {F(Q4_K_M) | F(Q5_K_M), ROLE_FFN_DOWN, MORE_BITS, ALWAYS, DTYPE_Q6_K},
    {F(IQ4_NL) | F(IQ4_XS), ROLE_FFN_DOWN, FIRST_8TH, WITHOUT_IMATRIX, DTYPE_Q5_K},
    {F(Q4_K_S), ROLE_FFN_DOWN, FIRST_8TH, ALWAYS, DTYPE_Q5_K},
    {F(Q4_0), ROLE_FFN_DOWN, FIRST_8TH, WITH_IMATRIX, DTYPE_Q4_1},
    {F(Q5_0), ROLE_FFN_DOWN, FIRST_8TH, WITH_IMATRIX, DTYPE_Q5_1},

    {F(IQ3_XS), ROLE_FFN_GATE, MIDDLE, ALWAYS, DTYPE_IQ3_XXS},
    {F(IQ3_XS), ROLE_FFN_UP, MIDDLE, ALWAYS, DTYPE_IQ3_XXS},
};

enum dtype file_type_choose(const struct file_type *type, const struct tensor_place *place) {
    enum tensor_role role = place->role == ROLE_EMBD && place->is_tied ? ROLE_OUTPUT : place->role;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const struct rule *r = &rules[i];
        if (r->types >> type->id & 1 && r->role == role && is_where(r->where, place->i_layer, place->n_layer) && is_when(r->when, place))
            return r->dtype == DTYPE_COUNT ? type->base : r->dtype;
    }
    return type->base;
}

/* Where blocks of 256 do not divide a row, blocks of 32 of about as many bits do the work; where those do not, half floats. */
enum dtype dtype_that_fits(enum dtype d, uint64_t d_in) {
    static const struct {
        enum dtype from, to;
    } near[] = {
        {DTYPE_Q6_K, DTYPE_Q8_0}, {DTYPE_Q5_K, DTYPE_Q5_1}, {DTYPE_Q4_K, DTYPE_Q5_0}, {DTYPE_TQ1_0, DTYPE_Q4_0}, {DTYPE_TQ2_0, DTYPE_Q4_0},
    };
    uint32_t block = dtype_get(d)->block_elems;
    if (d_in % block == 0) return d;
    if (block > 32 && d_in % 32 == 0) {
        for (size_t i = 0; i < sizeof near / sizeof near[0]; i++)
            if (near[i].from == d) return near[i].to;
        return DTYPE_IQ4_NL;
    }
    return DTYPE_F16;
}
