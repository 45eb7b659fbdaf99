/* number.c -- numbers: bounds, exclusive or not, and multiples, as one table over their digits.
 *
 * A number is read from the left. Its magnitude is compared with a bound digit by digit: the first that differs decides, unless the
 * counts of digits before the point do. Divisibility is a remainder carried along, with the point moved to where the divisor's is.
 * At most 15 significant digits (18 of an integer) are generated, so a decimal compares as the double that a reader makes of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/schema/compile_int.h"

#define DIGITS_INT_MAX 18
#define DIGITS_NUM_MAX 15
#define BOUND_DIGITS_MAX 40
#define DIVISOR_MAX 2000
#define DIVISOR_WIDE 64      /* above it numbers of 9 digits at most are generated: the table stays small */
#define NUMBER_STATES_MAX 60000

/* |x| = 0.(digits before)(digits after): before without leading zeros. */
struct decimal {
    bool is_negative, is_zero;
    char before[BOUND_DIGITS_MAX], after[BOUND_DIGITS_MAX];
    int n_before, n_after;
};

/* Bounds of the magnitude, for one sign. */
struct side {
    bool is_possible, has_least, has_most, is_least_exclusive, is_most_exclusive;
    struct decimal least, most;
};

struct spec {
    bool is_int, may_exponent;
    struct side side[2]; /* positive, negative */
    int n_before_max;
    uint32_t divisor, scale; /* multiples of divisor / 10^scale; 0: any */
};

enum phase { START, SIGN, ZERO, BEFORE, POINT, AFTER, EXP, EXP_SIGN, EXP_1, EXP_2 };
enum { EQUAL, LESS, GREATER };
struct state {
    uint8_t phase, is_negative, n_before, n_after, to_least, to_most, is_nonzero, unused;
    uint32_t rest;
};

/* --- decimals --- */

static bool to_decimal(const json_t *v, struct decimal *d) {
    char text[64], digits[64];
    memset(d, 0, sizeof *d);
    if (json_is_integer(v)) {
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(v));
    } else {
        int precision = 15;
        do snprintf(text, sizeof text, "%.*e", precision - 1, json_real_value(v));
        while (strtod(text, NULL) != json_real_value(v) && ++precision <= 17);
    }
    const char *p = text;
    d->is_negative = *p == '-';
    p += *p == '-';
    int n = 0, point = -1;
    for (; *p && *p != 'e'; p++) {
        if (*p == '.') point = n;
        else digits[n++] = *p;
    }
    if (point < 0) point = n;
    if (*p == 'e') point += (int)strtol(p + 1, NULL, 10);
    int lead = 0;
    while (lead < n && digits[lead] == '0') lead++, point--;
    while (n > lead && digits[n - 1] == '0') n--;
    d->is_zero = lead == n;
    if (d->is_zero) return true;
    if (point > BOUND_DIGITS_MAX || point < -BOUND_DIGITS_MAX / 2 || n - lead - point > BOUND_DIGITS_MAX) return false;
    for (int i = 0; i < point; i++) d->before[d->n_before++] = lead + i < n ? digits[lead + i] : '0';
    for (int i = point; i < n - lead; i++) d->after[d->n_after++] = i < 0 ? '0' : digits[lead + i];
    return true;
}

static int compare_magnitude(const struct decimal *a, const struct decimal *b) {
    if (a->n_before != b->n_before) return a->n_before < b->n_before ? -1 : 1;
    int c = memcmp(a->before, b->before, (size_t)a->n_before);
    for (int i = 0; !c && (i < a->n_after || i < b->n_after); i++)
        c = (i < a->n_after ? a->after[i] : '0') - (i < b->n_after ? b->after[i] : '0');
    return c < 0 ? -1 : c > 0;
}

/* --- bounds --- */

static void raise_least(struct side *s, const struct decimal *d, bool is_exclusive) {
    int c = s->has_least ? compare_magnitude(d, &s->least) : 1;
    if (c < 0) return;
    s->is_least_exclusive = c == 0 ? s->is_least_exclusive || is_exclusive : is_exclusive;
    s->least = *d;
    s->has_least = true;
}

static void lower_most(struct side *s, const struct decimal *d, bool is_exclusive) {
    int c = s->has_most ? compare_magnitude(d, &s->most) : -1;
    if (c > 0) return;
    s->is_most_exclusive = c == 0 ? s->is_most_exclusive || is_exclusive : is_exclusive;
    s->most = *d;
    s->has_most = true;
}

/* x >= d (or >). */
static void bound_below(struct spec *n, const struct decimal *d, bool is_exclusive) {
    if (!d->is_negative || d->is_zero) {
        n->side[1].is_possible = false;
        raise_least(&n->side[0], d, is_exclusive);
    } else {
        lower_most(&n->side[1], d, is_exclusive);
    }
}

static void bound_above(struct spec *n, const struct decimal *d, bool is_exclusive) {
    if (d->is_negative && !d->is_zero) {
        n->side[0].is_possible = false;
        raise_least(&n->side[1], d, is_exclusive);
    } else {
        lower_most(&n->side[0], d, is_exclusive);
    }
}

static const struct {
    const char *keyword;
    bool is_below, is_exclusive;
} bounds[] = {{"minimum", true, false}, {"exclusiveMinimum", true, true}, {"maximum", false, false}, {"exclusiveMaximum", false, true}};

static void read_bounds(struct compile *c, const struct leaf *l, struct spec *n) {
    for (size_t i = 0; i < 4; i++) {
        const json_t *v = json_object_get(l->node, bounds[i].keyword);
        struct decimal d;
        if (!v) continue;
        n->may_exponent = false;
        if (!to_decimal(v, &d)) compile_note(c, l->node, bounds[i].keyword, "a bound of more than 40 digits is only checked");
        else if (bounds[i].is_below) bound_below(n, &d, bounds[i].is_exclusive);
        else bound_above(n, &d, bounds[i].is_exclusive);
    }
}

static uint64_t gcd(uint64_t a, uint64_t b) { return b ? gcd(b, a % b) : a; }

static void read_divisor(struct compile *c, const struct leaf *l, struct spec *n) {
    const json_t *v = json_object_get(l->node, "multipleOf");
    struct decimal d;
    uint64_t a = 0, b = n->divisor;
    if (!v) return;
    n->may_exponent = false;
    bool ok = to_decimal(v, &d) && d.n_after <= 12 && d.n_before + d.n_after <= 15 && !d.is_zero;
    for (int i = 0; ok && i < d.n_before; i++) a = a * 10 + (uint64_t)(d.before[i] - '0');
    for (int i = 0; ok && i < d.n_after; i++) a = a * 10 + (uint64_t)(d.after[i] - '0');
    uint32_t scale = ok ? (uint32_t)d.n_after : 0;
    if (ok && b) { /* the least common multiple, both at the finer scale */
        for (; n->scale < scale && b < UINT32_MAX; n->scale++) b *= 10;
        for (; scale < n->scale && a < UINT32_MAX; scale++) a *= 10;
        ok = a <= UINT32_MAX && b <= UINT32_MAX;
        if (ok) a = a / gcd(a, b) * b;
    }
    if (ok && a <= DIVISOR_MAX) n->divisor = (uint32_t)a, n->scale = scale;
    else compile_note(c, l->node, "multipleOf", "a divisor of more than 2000 steps is only checked");
}

/* --- the machine --- */

static void start(void *user, void *to) {
    (void)user;
    memset(to, 0, sizeof(struct state));
}

/* The verdict on one more digit, i-th of a part of the bound. */
static uint8_t compare_digit(uint8_t so_far, char digit, const char *part, int n, int i) {
    char other = i < n ? part[i] : '0';
    return so_far != EQUAL || digit == other ? so_far : digit < other ? LESS : GREATER;
}

/* All digits before the point were read. */
static uint8_t settle_before(uint8_t so_far, int n, const struct decimal *d) { return n == d->n_before ? so_far : n < d->n_before ? LESS : GREATER; }

static void settle_point(const struct spec *n, struct state *s) {
    const struct side *side = &n->side[s->is_negative];
    if (side->has_least) s->to_least = settle_before(s->to_least, s->n_before, &side->least);
    if (side->has_most) s->to_most = settle_before(s->to_most, s->n_before, &side->most);
}

static void divide(const struct spec *n, struct state *s, char digit) {
    if (n->divisor) s->rest = (s->rest * 10 + (uint32_t)(digit - '0')) % n->divisor;
    s->is_nonzero |= digit != '0';
}

static bool digit_before(const struct spec *n, struct state *s, char digit) {
    const struct side *side = &n->side[s->is_negative];
    if (s->n_before >= n->n_before_max) return false;
    if (side->has_least) s->to_least = compare_digit(s->to_least, digit, side->least.before, side->least.n_before, s->n_before);
    if (side->has_most) s->to_most = compare_digit(s->to_most, digit, side->most.before, side->most.n_before, s->n_before);
    divide(n, s, digit);
    s->n_before++;
    s->phase = BEFORE;
    return true;
}

static bool digit_after(const struct spec *n, struct state *s, char digit) {
    const struct side *side = &n->side[s->is_negative];
    int most = n->divisor ? (int)n->scale : DIGITS_NUM_MAX;
    if (s->n_after >= most || s->n_before + s->n_after >= DIGITS_NUM_MAX) return false;
    if (side->has_least) s->to_least = compare_digit(s->to_least, digit, side->least.after, side->least.n_after, s->n_after);
    if (side->has_most) s->to_most = compare_digit(s->to_most, digit, side->most.after, side->most.n_after, s->n_after);
    divide(n, s, digit);
    s->n_after++;
    s->phase = AFTER;
    return true;
}

static bool step(void *user, const void *from, uint8_t byte, void *to) {
    const struct spec *n = user;
    struct state s;
    bool is_digit = byte >= '0' && byte <= '9', ok = false;
    memcpy(&s, from, sizeof s);
    switch ((enum phase)s.phase) {
    case START:
        if (byte == '-') {
            s.is_negative = 1;
            s.phase = SIGN;
            ok = n->side[1].is_possible;
            break;
        }
        /* fall through */
    case SIGN:
        if (!is_digit || !n->side[s.is_negative].is_possible) break;
        if (byte == '0') {
            s.phase = ZERO;
            ok = true;
        } else {
            ok = digit_before(n, &s, (char)byte);
        }
        break;
    case ZERO:
    case BEFORE:
        if (is_digit && s.phase == BEFORE) ok = digit_before(n, &s, (char)byte);
        else if (byte == '.' && !n->is_int && (!n->divisor || n->scale > 0)) {
            settle_point(n, &s);
            s.phase = POINT;
            ok = true;
        } else if ((byte == 'e' || byte == 'E') && n->may_exponent) {
            s = (struct state){.phase = EXP, .is_negative = s.is_negative, .is_nonzero = s.is_nonzero};
            ok = true;
        }
        break;
    case POINT:
    case AFTER:
        if (is_digit) ok = digit_after(n, &s, (char)byte);
        else if (s.phase == AFTER && (byte == 'e' || byte == 'E') && n->may_exponent) {
            s = (struct state){.phase = EXP, .is_negative = s.is_negative, .is_nonzero = s.is_nonzero};
            ok = true;
        }
        break;
    case EXP:
        s.phase = byte == '+' || byte == '-' ? EXP_SIGN : EXP_1;
        ok = is_digit || byte == '+' || byte == '-';
        break;
    case EXP_SIGN:
    case EXP_1:
        s.phase = s.phase == EXP_SIGN ? EXP_1 : EXP_2;
        ok = is_digit;
        break;
    case EXP_2: break;
    }
    memcpy(to, &s, sizeof s);
    return ok;
}

/* Whether what is left of a bound's digits is more than nothing. */
static uint8_t settle_after(uint8_t so_far, int n_read, const struct decimal *d) {
    for (int i = n_read; so_far == EQUAL && i < d->n_after; i++)
        if (d->after[i] != '0') so_far = LESS;
    return so_far;
}

static unsigned flags(void *user, const void *state) {
    const struct spec *n = user;
    struct state s;
    memcpy(&s, state, sizeof s);
    const struct side *side = &n->side[s.is_negative];
    bool ok = s.phase == ZERO || s.phase == BEFORE || s.phase == AFTER || s.phase == EXP_1 || s.phase == EXP_2;
    if (s.phase == ZERO || s.phase == BEFORE) settle_point(n, &s);
    if (side->has_least) {
        s.to_least = settle_after(s.to_least, s.n_after, &side->least);
        ok = ok && (s.to_least == GREATER || (s.to_least == EQUAL && !side->is_least_exclusive));
    }
    if (side->has_most) {
        s.to_most = settle_after(s.to_most, s.n_after, &side->most);
        ok = ok && (s.to_most == LESS || (s.to_most == EQUAL && !side->is_most_exclusive));
    }
    if (s.is_negative && !s.is_nonzero) ok = false; /* no -0 */
    if (n->divisor) {
        uint64_t rest = s.rest;
        for (uint32_t i = s.n_after; i < n->scale; i++) rest = rest * 10 % n->divisor;
        ok = ok && rest == 0;
    }
    return DFA_BOUNDARY | (ok ? DFA_ACCEPT : 0u);
}

uint32_t number_node(struct compile *c, const struct conj *k, unsigned types) {
    struct spec n = {.is_int = !(types & T_NUM), .side = {{.is_possible = true}, {.is_possible = true}}};
    struct machine m = {.user = &n, .state_bytes = sizeof(struct state), .start = start, .step = step, .flags = flags, .n_states_max = NUMBER_STATES_MAX};
    struct byteset sets[16];
    struct dfa *d = NULL;
    size_t n_sets = 0;
    slm_err err;
    n.may_exponent = !n.is_int;
    n.n_before_max = n.is_int ? DIGITS_INT_MAX : DIGITS_NUM_MAX;
    for (size_t i = 0; i < k->n_leaf; i++) {
        read_bounds(c, &k->leaf[i], &n);
        read_divisor(c, &k->leaf[i], &n);
    }
    if (n.divisor > DIVISOR_WIDE) n.n_before_max = 9;
    memset(sets, 0, sizeof sets);
    for (const char *p = "0123456789-.+"; *p; p++) byteset_add(&sets[n_sets++], (uint8_t)*p, (uint8_t)*p);
    byteset_add(&sets[n_sets], 'e', 'e');
    byteset_add(&sets[n_sets++], 'E', 'E');
    machine_classes(&m, sets, n_sets);
    slm_status st = dfa_explore(&m, &d, &err);
    if (st == SLM_OK) return gram_dfa(c->g, d, 0, NODE_INF);
    compile_fail(c, st, k->n_leaf ? k->leaf[0].node : NULL, "", "%.150s", err.msg);
    return 0;
}
