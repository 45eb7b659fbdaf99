/* ops.c -- operators on values, with Python's rules and messages. Integers are 64 bits: beyond that is refused. */
#include <errno.h>
#include <math.h>

#include "text/jinja/jinja_int.h"

static const char *const signs[] = {[OP_ADD] = "+", [OP_SUB] = "-", [OP_MUL] = "*", [OP_DIV] = "/", [OP_FLOORDIV] = "//", [OP_MOD] = "%", [OP_POW] = "** or pow()"};

static _Noreturn void too_big(struct jinja *J) { j_raise(J, JX_UNSUPPORTED, "an integer beyond 64 bits"); }

static _Noreturn void unsupported(struct jinja *J, enum jop op, const struct jval *a, const struct jval *b) {
    j_raise(J, JX_TYPE, "unsupported operand type(s) for %s: '%s' and '%s'", signs[op], jv_type_name(a), jv_type_name(b));
}

static int64_t floor_div(struct jinja *J, int64_t a, int64_t b) {
    if (b == -1) {
        int64_t r;
        if (__builtin_sub_overflow((int64_t)0, a, &r)) too_big(J);
        return r;
    }
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

static int64_t int_pow(struct jinja *J, int64_t base, int64_t exponent) {
    int64_t r = 1;
    while (exponent > 0) {
        if ((exponent & 1) && __builtin_mul_overflow(r, base, &r)) too_big(J);
        exponent >>= 1;
        if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) too_big(J);
    }
    return r;
}

static double op_pow_float(struct jinja *J, double a, double b) {
    if (a == 0 && b < 0) j_raise(J, JX_ZERO_DIV, "0.0 cannot be raised to a negative power");
    if (a < 0 && b != floor(b) && isfinite(a) && isfinite(b)) j_raise(J, JX_UNSUPPORTED, "complex numbers");
    double r = pow(a, b);
    if (isinf(r) && isfinite(a) && isfinite(b)) j_raise(J, JX_OVERFLOW, "(34, 'Numerical result out of range')");
    return r;
}

static struct jval *int_op(struct jinja *J, enum jop op, int64_t a, int64_t b) {
    int64_t r = 0;
    bool over = false;
    switch (op) {
    case OP_ADD: over = __builtin_add_overflow(a, b, &r); break;
    case OP_SUB: over = __builtin_sub_overflow(a, b, &r); break;
    case OP_MUL: over = __builtin_mul_overflow(a, b, &r); break;
    case OP_DIV:
        if (b == 0) j_raise(J, JX_ZERO_DIV, "division by zero");
        return jv_float(J, (double)((long double)a / (long double)b));
    case OP_FLOORDIV:
        if (b == 0) j_raise(J, JX_ZERO_DIV, "integer division or modulo by zero");
        r = floor_div(J, a, b);
        break;
    case OP_MOD:
        if (b == 0) j_raise(J, JX_ZERO_DIV, "integer modulo by zero");
        r = b == -1 ? 0 : a % b;
        if (r != 0 && (r < 0) != (b < 0)) r += b;
        break;
    case OP_POW:
        if (b < 0) return jv_float(J, op_pow_float(J, (double)a, (double)b));
        if (b > 64 && (a > 1 || a < -1)) too_big(J);
        if (b > 64) return jv_int(J, a == -1 ? (b & 1 ? -1 : 1) : a);
        r = int_pow(J, a, b);
        break;
    }
    if (over) too_big(J);
    return jv_int(J, r);
}

static double float_mod(double a, double b) {
    double r = fmod(a, b);
    if (r != 0) return (r < 0) != (b < 0) ? r + b : r;
    return copysign(0.0, b);
}

static double float_floor_div(double a, double b) {
    double mod = fmod(a, b), div = (a - mod) / b;
    if (mod != 0 && (mod < 0) != (b < 0)) div -= 1;
    if (div == 0) return copysign(0.0, a / b);
    double floored = floor(div);
    return div - floored > 0.5 ? floored + 1 : floored;
}

static struct jval *float_op(struct jinja *J, enum jop op, double a, double b) {
    switch (op) {
    case OP_ADD: return jv_float(J, a + b);
    case OP_SUB: return jv_float(J, a - b);
    case OP_MUL: return jv_float(J, a * b);
    case OP_DIV:
        if (b == 0) j_raise(J, JX_ZERO_DIV, "float division by zero");
        return jv_float(J, a / b);
    case OP_FLOORDIV:
        if (b == 0) j_raise(J, JX_ZERO_DIV, "float floor division by zero");
        return jv_float(J, float_floor_div(a, b));
    case OP_MOD:
        if (b == 0) j_raise(J, JX_ZERO_DIV, "float modulo");
        return jv_float(J, float_mod(a, b));
    default: return jv_float(J, op_pow_float(J, a, b));
    }
}

static bool is_sequence(const struct jval *v) { return v->type == J_STR || v->type == J_LIST || v->type == J_TUPLE; }

static struct jval *add(struct jinja *J, struct jval *a, struct jval *b) {
    if (!is_sequence(a)) unsupported(J, OP_ADD, a, b);
    if (a->type != b->type)
        j_raise(J, JX_TYPE, "can only concatenate %s (not \"%s\") to %s", jv_type_name(a), jv_type_name(b), jv_type_name(a));
    if (a->type == J_STR) return js_concat(J, a, b);
    size_t n = a->u.l.n + b->u.l.n;
    struct jval *l = a->type == J_LIST ? jv_list(J, n) : jv_tuple(J, n);
    if (a->u.l.n) memcpy(l->u.l.v, a->u.l.v, a->u.l.n * sizeof(struct jval *));
    if (b->u.l.n) memcpy(l->u.l.v + a->u.l.n, b->u.l.v, b->u.l.n * sizeof(struct jval *));
    return l;
}

static struct jval *repeat(struct jinja *J, struct jval *a, struct jval *b) {
    if (!is_sequence(a) && is_sequence(b)) return repeat(J, b, a);
    if (!is_sequence(a)) unsupported(J, OP_MUL, a, b);
    if (!jv_is_int(b)) j_raise(J, JX_TYPE, "can't multiply sequence by non-int of type '%s'", jv_type_name(b));
    int64_t n = jv_as_int(b);
    if (a->type == J_STR) return js_repeat(J, a, n);
    size_t total = 0;
    if (n > 0 && !size_mul(a->u.l.n, (size_t)n, &total)) j_raise(J, JX_LIMIT, "a list longer than any memory");
    j_step(J, total);
    struct jval *l = a->type == J_LIST ? jv_list(J, total) : jv_tuple(J, total);
    for (size_t i = 0; i < total; i++) l->u.l.v[i] = a->u.l.v[i % a->u.l.n];
    return l;
}

struct jval *op_binary(struct jinja *J, enum jop op, struct jval *a, struct jval *b) {
    if (a->type == J_UNDEFINED) jv_fail_undefined(J, a);
    if (op == OP_MOD && a->type == J_STR) return pf_percent(J, a, b);
    if (b->type == J_UNDEFINED) jv_fail_undefined(J, b);
    if (jv_is_int(a) && jv_is_int(b)) return int_op(J, op, jv_as_int(a), jv_as_int(b));
    if (jv_is_number(a) && jv_is_number(b)) return float_op(J, op, jv_as_float(a), jv_as_float(b));
    if (op == OP_ADD) return add(J, a, b);
    if (op == OP_MUL) return repeat(J, a, b);
    unsupported(J, op, a, b);
}

struct jval *op_unary(struct jinja *J, char op, struct jval *a) {
    int64_t r;
    if (a->type == J_UNDEFINED) jv_fail_undefined(J, a);
    if (a->type == J_FLOAT) return op == '-' ? jv_float(J, -a->u.f) : a;
    if (!jv_is_int(a)) j_raise(J, JX_TYPE, "bad operand type for unary %c: '%s'", op, jv_type_name(a));
    if (op == '+') return jv_int(J, jv_as_int(a));
    if (__builtin_sub_overflow((int64_t)0, jv_as_int(a), &r)) too_big(J);
    return jv_int(J, r);
}

bool op_compare(struct jinja *J, enum jcompare_op op, struct jval *a, struct jval *b) {
    switch (op) {
    case CO_EQ: return jv_eq(J, a, b);
    case CO_NE: return !jv_eq(J, a, b);
    case CO_LT: return jv_compare(J, CMP_LT, a, b);
    case CO_LE: return jv_compare(J, CMP_LE, a, b);
    case CO_GT: return jv_compare(J, CMP_GT, a, b);
    case CO_GE: return jv_compare(J, CMP_GE, a, b);
    case CO_IN: return jv_contains(J, b, a);
    default: return !jv_contains(J, b, a);
    }
}
