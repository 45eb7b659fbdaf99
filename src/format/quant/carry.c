/* carry.c -- sixteen rows at a time, a row in each lane; columns left to right.
 *
 * A column's target is its weight less what errors before it ask for: x_k - sum over j < k of e_j U_jk, so U is kept transposed and
 * the sum runs along memory. e_k = (target - decoded) / U_kk. Types of grids round units of eight columns, whose targets
 * leave out the unit's own errors; those enter when e is solved. The same formulas without rounding give e of rows that were
 * encoded plainly, and the smaller sum of squares wins. e is linear in rows and what they decode to: so a row rounded as a longer one has
 * the e of that one less its share of e_x, the e of the row with nothing taken off. */
#include "format/carry.h"

#include <stdlib.h>

#include "base/mem.h"
#include "format/quant/lanes_int.h"

#define BLOCK_MAX 256
#define GROUP 16 /* columns that have the same values for the same codes */
#define UNIT 8
#define DAMPING 0.01
#define LENGTH_MIN 0.7f /* of outputs; rows that keep less are left */

struct part {
    uint32_t first, n;
    float *ut;      /* [n, n]: row k has U_jk for j <= k */
    float *weight;  /* [n]: 1 / U_kk^2, what an error costs that later columns may correct */
};
struct carry {
    uint32_t n_part;
    struct part *parts;
};

/* The factor of a positive matrix, h = R^T R with R upper, in place; only the upper half of h counts. Rows are taken off one after
 * the other, so every loop runs along memory. False: not positive. */
static bool factor(double *h, uint32_t n) {
    for (uint32_t j = 0; j < n; j++) {
        double *row = h + (size_t)j * n;
        if (!(row[j] > 0)) return false;
        double inv = 1 / sqrt(row[j]);
        for (uint32_t k = j; k < n; k++) row[k] *= inv;
        for (uint32_t i = j + 1; i < n; i++) {
            double *to = h + (size_t)i * n, f = row[i];
            for (uint32_t k = i; k < n; k++) to[k] -= f * row[k];
        }
    }
    return true;
}

/* Row i of X = R^-T (lower), from those before it: x_i = (1_i - sum over k < i of R_ki x_k) / R_ii. */
static void invert(const double *r, double *x, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        double *to = x + (size_t)i * n, inv = 1 / r[(size_t)i * n + i];
        for (uint32_t k = 0; k < i; k++) {
            const double *row = x + (size_t)k * n;
            double f = r[(size_t)k * n + i];
            for (uint32_t j = 0; j <= k; j++) to[j] -= f * row[j];
        }
        for (uint32_t j = 0; j < i; j++) to[j] *= inv;
        to[i] = inv;
    }
}

/* H^-1 = U^T U with U upper. Let J turn the order round: J H J = L L^T, so H = (J L J)(J L J)^T, and U = (J L J)^-1 = J L^-1 J, which is
 * upper; L^-1 is invert's X. */
static slm_status make_part(struct part *p, const float *outer, uint32_t width, double n_tok, double shrink, slm_err *err) {
    slm_status st = SLM_OK;
    uint32_t n = p->n;
    double *h = NULL, *x = NULL, mean = 0;
    void *mem = NULL;
    TRY(mem_alloc(&mem, 2 * (size_t)n * n, sizeof *h, "factor of moments", err));
    h = mem;
    x = h + (size_t)n * n;
    TRY(mem_alloc(&mem, (size_t)n * n, sizeof(float), "factor of moments", err));
    p->ut = mem;
    TRY(mem_alloc(&mem, n, sizeof(float), "weights of columns", err));
    p->weight = mem;
    for (uint32_t j = 0; j < n; j++) mean += (double)outer[(size_t)j * width + j] / n_tok / n;
    if (!(mean > 0)) mean = 1; /* inputs that are never anything */
    for (uint32_t j = 0; j < n; j++)
        for (uint32_t k = 0; k < n; k++) {
            double moment = (double)outer[(size_t)(j > k ? j : k) * width + (j > k ? k : j)] / n_tok;
            h[(size_t)(n - 1 - j) * n + (n - 1 - k)] = j == k ? moment + DAMPING * mean : (1 - shrink) * moment;
        }
    if (!factor(h, n)) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "moments of inputs %u to %u: not those of any inputs", p->first, p->first + n - 1);
    invert(h, x, n);
    for (uint32_t i = 0; i < n; i++) /* turned back */
        for (uint32_t c = 0; c <= i; c++) p->ut[(size_t)(n - 1 - c) * n + (n - 1 - i)] = (float)x[(size_t)i * n + c];
    for (uint32_t k = 0; k < n; k++) {
        float u = p->ut[(size_t)k * n + k];
        if (!(u > 0) || !isfinite(u)) FAIL(SLM_E_FORMAT, SLM_NOWHERE, "moments of input %u: out of range", p->first + k);
        p->weight[k] = 1 / (u * u);
    }
out:
    free(h);
    return st;
}

slm_status carry_create(const float *outer, uint32_t d_in, uint32_t width, double n_tok, double shrink, struct carry **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct carry *c = NULL;
    void *mem = NULL;
    *out = NULL;
    TRY(mem_alloc(&mem, 1, sizeof *c, "factors", err));
    c = mem;
    TRY(mem_alloc(&mem, (d_in + width - 1) / width, sizeof *c->parts, "factors", err));
    c->parts = mem;
    for (uint32_t first = 0; first < d_in; first += width) {
        struct part *p = &c->parts[c->n_part++];
        *p = (struct part){.first = first, .n = d_in - first < width ? d_in - first : width};
        TRY(make_part(p, outer + (size_t)first * width, width, n_tok, shrink, err));
    }
    *out = c;
    c = NULL;
out:
    carry_destroy(c);
    return st;
}

void carry_destroy(struct carry *c) {
    if (!c) return;
    for (uint32_t i = 0; i < c->n_part; i++) {
        free(c->parts[i].ut);
        free(c->parts[i].weight);
    }
    free(c->parts);
    free(c);
}

bool carry_fits(const struct dtype_desc *d, uint32_t d_in, uint32_t width) {
    return d->from_f32 && d_in % d->block_elems == 0 && width % d->block_elems == 0 && d->block_elems <= BLOCK_MAX;
}

bool carry_can(const struct dtype_desc *d) { return d->put_codes || d->put_unit; }

/* Of sixteen rows. */
struct scratch {
    float x[CARRY_ROWS][BLOCK_MAX], y[CARRY_ROWS][BLOCK_MAX]; /* a block of every row: targets, decoded */
    uint8_t code[CARRY_ROWS][BLOCK_MAX];
    lanes value[BLOCK_MAX / GROUP][16]; /* of codes, by group */
    lanes columns[]; /* targets, then e, of plain encoding's e: [3, d_in] */
};

size_t carry_scratch_bytes(const struct dtype_desc *d, uint32_t d_in) {
    return sizeof(struct scratch) + 3 * (size_t)d_in * sizeof(lanes) + CARRY_ROWS * (size_t)(d_in / d->block_elems) * d->block_bytes + sizeof(lanes);
}

struct job {
    const struct part *part;
    const struct dtype_desc *d;
    const float *importance; /* of the part; NULL */
    int n_row;
    uint8_t *dst;            /* the part's first block in row 0 */
    size_t row_bytes;
    struct scratch *s;
    lanes *target, *e;       /* [n] of the part */
};

LANES_FN uint8_t *block_of(const struct job *job, int r, uint32_t at) { return job->dst + (size_t)r * job->row_bytes + at / job->d->block_elems * job->d->block_bytes; }

/* What e_j for j in [from, to) asks of column k. */
LANES_FN lanes carried(const float *ut_row, const lanes *e, uint32_t from, uint32_t to) {
    lanes a = {0}, b = {0};
    uint32_t j = from;
    for (; j + 2 <= to; j += 2) {
        a += e[j] * ut_row[j];
        b += e[j + 1] * ut_row[j + 1];
    }
    if (j < to) a += e[j] * ut_row[j];
    return a + b;
}

/* Values of all codes in every group of the block at `at`, by decoding blocks of one code. */
LANES_FN void list_values(const struct job *job, uint32_t at) {
    const struct dtype_desc *d = job->d;
    uint8_t block[BLOCK_MAX], codes[BLOCK_MAX];
    float y[BLOCK_MAX];
    for (int r = 0; r < job->n_row; r++) {
        memcpy(block, block_of(job, r, at), d->block_bytes);
        for (int c = 0; c < d->n_code; c++) {
            memset(codes, c, sizeof codes);
            d->put_codes(block, codes);
            d->to_f32(y, block, d->block_elems);
            for (uint32_t g = 0; g < d->block_elems / GROUP; g++) ((float *)&job->s->value[g][c])[r] = y[g * GROUP];
        }
    }
}

/* One column after the other; each takes the nearest value. */
LANES_FN void round_codes(const struct job *job, uint32_t at) {
    const struct dtype_desc *d = job->d;
    uint32_t n = job->part->n;
    list_values(job, at);
    for (uint32_t i = 0; i < d->block_elems; i++) {
        uint32_t k = at + i;
        const float *ut = job->part->ut + (size_t)k * n;
        lanes target = job->target[k] - carried(ut, job->e, at, k);
        const lanes *value = job->s->value[i / GROUP];
        lanes best = value[0], code = {0}, off = target - best, cost = off * off;
        for (int c = 1; c < d->n_code; c++) {
            lanes off_c = target - value[c], cost_c = off_c * off_c, better = cost - cost_c;
            best = lanes_pick(better, value[c], best);
            code = lanes_pick(better, lanes_set((float)c), code);
            cost = lanes_pick(better, cost_c, cost);
        }
        job->e[k] = (target - best) / ut[k];
        for (int r = 0; r < job->n_row; r++) job->s->code[r][i] = (uint8_t)((const float *)&code)[r];
    }
    for (int r = 0; r < job->n_row; r++) d->put_codes(block_of(job, r, at), job->s->code[r]);
}

/* e of columns that are decoded to y, from `from` on; targets hold what was carried from before that. */
LANES_FN void solve(const struct job *job, const lanes *target, lanes *e, const float (*y)[BLOCK_MAX], uint32_t from, uint32_t first, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = first + i;
        const float *ut = job->part->ut + (size_t)k * job->part->n;
        lanes left = target[k] - carried(ut, e, from, k);
        for (int r = 0; r < job->n_row; r++) ((float *)&left)[r] -= y[r][i];
        e[k] = left / ut[k];
    }
}

/* e of rows that decode to nothing. */
LANES_FN void solve_nothing(const struct job *job, lanes *e) {
    for (uint32_t k = 0; k < job->part->n; k++) {
        const float *ut = job->part->ut + (size_t)k * job->part->n;
        e[k] = (job->target[k] - carried(ut, e, 0, k)) / ut[k];
    }
}

LANES_FN void round_units(const struct job *job, uint32_t at) {
    const struct dtype_desc *d = job->d;
    struct scratch *s = job->s;
    for (uint32_t u = 0; u < d->block_elems / UNIT; u++) {
        uint32_t first = at + u * UNIT;
        for (uint32_t i = 0; i < UNIT; i++) {
            uint32_t k = first + i;
            lanes t = job->target[k] - carried(job->part->ut + (size_t)k * job->part->n, job->e, at, first);
            job->target[k] = t;
            for (int r = 0; r < job->n_row; r++) s->x[r][i] = ((const float *)&t)[r];
        }
        for (int r = 0; r < job->n_row; r++)
            d->put_unit(block_of(job, r, at), (int)u, s->x[r], job->part->weight + first, s->y[r]);
        solve(job, job->target, job->e, (const float (*)[BLOCK_MAX])s->y, first, first, UNIT);
    }
}

/* All blocks of a part: carry what came before, search scales, round. Without carrying, blocks are encoded for themselves under importance. */
LANES_FN void encode_part(const struct job *job, bool carries) {
    const struct dtype_desc *d = job->d;
    const struct part *p = job->part;
    struct scratch *s = job->s;
    const float *weight = carries ? p->weight : job->importance;
    for (uint32_t at = 0; at < p->n; at += d->block_elems) {
        for (uint32_t k = at; k < at + d->block_elems; k++) {
            if (carries) job->target[k] -= carried(p->ut + (size_t)k * p->n, job->e, 0, at);
            for (int r = 0; r < job->n_row; r++) s->x[r][k - at] = ((const float *)&job->target[k])[r];
        }
        for (int r = 0; r < job->n_row; r++) d->from_f32(block_of(job, r, at), s->x[r], d->block_elems, weight ? weight + at : NULL);
        if (!carries) {
            for (int r = 0; r < job->n_row; r++) d->to_f32(s->y[r], block_of(job, r, at), d->block_elems);
            solve(job, job->target, job->e, (const float (*)[BLOCK_MAX])s->y, 0, at, d->block_elems);
        } else if (d->put_codes) {
            round_codes(job, at);
        } else {
            round_units(job, at);
        }
    }
}

LANES_FN void load_part(const struct job *job, const float *x, uint32_t d_in, lanes scale) {
    for (uint32_t k = 0; k < job->part->n; k++) {
        lanes v = {0};
        for (int r = 0; r < job->n_row; r++) ((float *)&v)[r] = x[(size_t)r * d_in + k];
        job->target[k] = v * scale;
    }
}

LANES_FN lanes dot(const lanes *a, const lanes *b, uint32_t n) {
    lanes sum = {0};
    for (uint32_t k = 0; k < n; k++) sum += a[k] * b[k];
    return sum;
}

/* Least squares shrinks outputs; see row.c. With e_x the e of rows that decode to nothing, e_x.e_x is the square of a row's outputs and
 * e_x.(e_x - e) what of them is left. Rows of few bits are encoded again, as much longer as they came out short; e stays that of x.
 * Returns the squared error. */
LANES_FN lanes encode_full_length(const struct job *job, const float *x, uint32_t d_in, const lanes *e_x, lanes norm, bool carries) {
    const struct dtype_desc *d = job->d;
    uint32_t n = job->part->n;
    lanes one = lanes_set(1), scale = one;
    load_part(job, x, d_in, one);
    encode_part(job, carries);
    if (d->block_bytes * 8 <= 4 * d->block_elems && d->block_elems > 1) {
        lanes left = norm - dot(e_x, job->e, n);
        for (int r = 0; r < CARRY_ROWS; r++)
            if (left[r] > LENGTH_MIN * norm[r] && left[r] < norm[r]) scale[r] = norm[r] / left[r];
        load_part(job, x, d_in, scale);
        encode_part(job, carries);
        for (uint32_t k = 0; k < n; k++) job->e[k] -= (scale - one) * e_x[k];
    }
    return dot(job->e, job->e, n);
}

LANES_FN double encode_rows(const struct carry *c, const struct dtype_desc *d, const float *x, int n_row, const float *importance, uint8_t *dst, void *scratch,
                            uint32_t d_in) {
    double error = 0;
    bool can_carry = carry_can(d);
    uintptr_t aligned = ((uintptr_t)scratch + sizeof(lanes) - 1) / sizeof(lanes) * sizeof(lanes);
    struct scratch *s = (struct scratch *)aligned;
    lanes *target = s->columns, *e = target + d_in, *e_x = e + d_in;
    uint8_t *carried_rows = (uint8_t *)(e_x + d_in);
    size_t row_bytes = (size_t)(d_in / d->block_elems) * d->block_bytes;
    for (uint32_t i = 0; i < c->n_part; i++) {
        const struct part *p = &c->parts[i];
        size_t offset = p->first / d->block_elems * d->block_bytes, n_bytes = p->n / d->block_elems * d->block_bytes;
        struct job job = {p, d, importance ? importance + p->first : NULL, n_row, dst + offset, row_bytes, s, target, e};
        load_part(&job, x + p->first, d_in, lanes_set(1));
        solve_nothing(&job, e_x);
        lanes norm = dot(e_x, e_x, p->n), cost_plain = encode_full_length(&job, x + p->first, d_in, e_x, norm, false), cost = cost_plain;
        if (can_carry) {
            job.dst = carried_rows + offset;
            cost = encode_full_length(&job, x + p->first, d_in, e_x, norm, true);
        }
        for (int r = 0; r < n_row; r++) {
            bool is_better = cost[r] < cost_plain[r];
            error += (double)(is_better ? cost[r] : cost_plain[r]);
            if (is_better) memcpy(dst + (size_t)r * row_bytes + offset, carried_rows + (size_t)r * row_bytes + offset, n_bytes);
        }
    }
    return error;
}

/* Rows of moments: four tokens at a time, added one after the other, so that passes of any size give the same bits. */
LANES_FN void add_rows(float *outer, uint32_t width, const float *x, int64_t n_tok, int64_t d_in, int64_t begin, int64_t end) {
    for (int64_t t = 0; t < n_tok; t += 4) {
        int n = n_tok - t < 4 ? (int)(n_tok - t) : 4;
        for (int64_t j = begin; j < end; j++) {
            int64_t first = j - j % width;
            float *sum = outer + j * width;
            const float *row = x + t * d_in + first;
            const float a[4] = {x[t * d_in + j], n > 1 ? x[(t + 1) * d_in + j] : 0, n > 2 ? x[(t + 2) * d_in + j] : 0, n > 3 ? x[(t + 3) * d_in + j] : 0};
            if (n == 4)
                for (int64_t k = 0; k <= j - first; k++) sum[k] = sum[k] + a[0] * row[k] + a[1] * row[d_in + k] + a[2] * row[2 * d_in + k] + a[3] * row[3 * d_in + k];
            else
                for (int i = 0; i < n; i++)
                    for (int64_t k = 0; k <= j - first; k++) sum[k] += a[i] * row[i * d_in + k];
        }
    }
}

typedef void (*add_fn)(float *outer, uint32_t width, const float *x, int64_t n_tok, int64_t d_in, int64_t begin, int64_t end);
typedef double (*encode_fn)(const struct carry *c, const struct dtype_desc *d, const float *x, int n_row, const float *importance, uint8_t *dst, void *scratch,
                          uint32_t d_in);
#define VERSION(suffix)                                                                                                \
    static double encode_rows##suffix(const struct carry *c, const struct dtype_desc *d, const float *x, int n_row,    \
                                      const float *importance, uint8_t *dst, void *scratch, uint32_t d_in) {           \
        return encode_rows(c, d, x, n_row, importance, dst, scratch, d_in);                                                   \
    }
#define ADD_VERSION(suffix)                                                                                            \
    static void add_rows##suffix(float *outer, uint32_t width, const float *x, int64_t n_tok, int64_t d_in, int64_t begin, int64_t end) { \
        add_rows(outer, width, x, n_tok, d_in, begin, end);                                                            \
    }
VERSION(_plain)
ADD_VERSION(_plain)
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
__attribute__((target("avx2"))) VERSION(_avx2)
__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))) VERSION(_avx512)
__attribute__((target("avx2"))) ADD_VERSION(_avx2)
__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))) ADD_VERSION(_avx512)
static add_fn add_version(void) {
    uint32_t has = cpu_features();
    return has & CPU_AVX512 ? add_rows_avx512 : has & CPU_AVX2 ? add_rows_avx2 : add_rows_plain;
}
static encode_fn version(void) {
    uint32_t has = cpu_features();
    return has & CPU_AVX512 ? encode_rows_avx512 : has & CPU_AVX2 ? encode_rows_avx2 : encode_rows_plain;
}
#else
static add_fn add_version(void) { return add_rows_plain; }
static encode_fn version(void) { return encode_rows_plain; }
#endif

void carry_add(float *outer, uint32_t width, const float *x, int64_t n_tok, int64_t d_in, int64_t begin, int64_t end) {
    add_version()(outer, width, x, n_tok, d_in, begin, end);
}

double carry_encode(const struct carry *c, const struct dtype_desc *d, const float *x, int n_row, const float *importance, uint8_t *dst, void *scratch) {
    const struct part *last = &c->parts[c->n_part - 1];
    return version()(c, d, x, n_row, importance, dst, scratch, last->first + last->n);
}
