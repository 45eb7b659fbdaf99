/* filters_misc.c -- filters on numbers and single values, and the table of all filters. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "text/jinja/jinja_int.h"

#define FILTER(name) static struct jval *f_##name(struct jinja *J, struct jval *self, struct jargs *args)
#define ARGS(python, signature)                                                           \
    static const struct jfunc_row me = {.name = python, .sig = signature};               \
    struct jval *v[J_BIND_MAX];                                                           \
    (void)self;                                                                           \
    j_bind(J, &me, args, v)

FILTER(default) {
    ARGS("do_default", "value, default_value=, boolean=");
    bool replace = v[0]->type == J_UNDEFINED || (v[2] && jv_truth(J, v[2]) && !jv_truth(J, v[0]));
    return !replace ? v[0] : v[1] ? v[1] : &jv_empty;
}

FILTER(attr) {
    ARGS("do_attr", "@obj, name");
    bool is_unsafe;
    if (v[1]->type != J_STR) j_raise(J, JX_TYPE, "attribute name must be string, not '%s'", jv_type_name(v[1]));
    if (v[0]->type == J_UNDEFINED) jv_fail_undefined(J, v[0]);
    struct jval *found = at_python_attr(J, v[0], js_view(v[1]), &is_unsafe);
    return found || is_unsafe ? at_getattr(J, v[0], v[1]) : jv_undefined_of(J, v[0], v[1]);
}

FILTER(abs) {
    ARGS("abs", "!x");
    if (v[0]->type == J_UNDEFINED || !jv_is_number(v[0])) j_raise(J, JX_TYPE, "bad operand type for abs(): '%s'", jv_type_name(v[0]));
    if (v[0]->type == J_FLOAT) return jv_float(J, fabs(v[0]->u.f));
    return jv_as_int(v[0]) < 0 ? op_unary(J, '-', v[0]) : jv_int(J, jv_as_int(v[0]));
}

/* Python's int() and float() of text: surrounding whitespace, single underscores between digits. */
static bool clean(struct view s, char *out, size_t cap) {
    size_t n = 0;
    while (s.len && isspace((unsigned char)s.ptr[0])) s.ptr++, s.len--;
    while (s.len && isspace((unsigned char)s.ptr[s.len - 1])) s.len--;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '_') {
            if (i == 0 || i + 1 == s.len || !isalnum((unsigned char)s.ptr[i - 1]) || !isalnum((unsigned char)s.ptr[i + 1])) return false;
            continue;
        }
        if (n + 1 >= cap || s.ptr[i] == 0 || isspace((unsigned char)s.ptr[i])) return false;
        out[n++] = s.ptr[i];
    }
    out[n] = 0;
    return n > 0;
}

bool jt_string_to_int(struct jinja *J, struct view s, int base, int64_t *out) {
    char text[512], *end, *digits = text;
    if (!clean(s, text, sizeof text)) return false;
    bool negative = *digits == '-';
    if (*digits == '-' || *digits == '+') digits++;
    static const struct { char letter; int base; } prefixes[] = {{'x', 16}, {'o', 8}, {'b', 2}};
    for (size_t i = 0; i < 3; i++)
        if (digits[0] == '0' && (digits[1] | 0x20) == prefixes[i].letter && (base == 0 || base == prefixes[i].base)) {
            base = prefixes[i].base;
            digits += 2;
            break;
        }
    if (base == 0) base = 10;
    if (!isalnum((unsigned char)*digits)) return false;
    errno = 0;
    unsigned long long u = strtoull(digits, &end, base);
    if (*end || (base == 16 && end == digits)) return false;
    if (errno == ERANGE || u > (unsigned long long)INT64_MAX + negative) j_raise(J, JX_UNSUPPORTED, "an integer beyond 64 bits");
    *out = negative ? (int64_t)(0 - u) : (int64_t)u;
    return true;
}

bool jt_string_to_float(struct view s, double *out) {
    char text[512], *end;
    if (!clean(s, text, sizeof text)) return false;
    const char *p = text + (*text == '-' || *text == '+');
    bool word = strcasecmp(p, "inf") == 0 || strcasecmp(p, "infinity") == 0 || strcasecmp(p, "nan") == 0;
    if (!word && strspn(p, "0123456789.eE+-") != strlen(p)) return false;
    *out = strtod(text, &end);
    return *end == 0 && end != text;
}

static struct jval *int_of_float(struct jinja *J, double f) { /* NULL: ValueError */
    if (isnan(f)) return NULL;
    if (isinf(f)) j_raise(J, JX_OVERFLOW, "cannot convert float infinity to integer");
    if (!(fabs(f) < 9223372036854775808.0)) j_raise(J, JX_UNSUPPORTED, "an integer beyond 64 bits");
    return jv_int(J, (int64_t)f);
}

FILTER(int) {
    ARGS("do_int", "value, default=, base=");
    int64_t i, base = v[2] ? j_arg_int(J, v[2]) : 10;
    double f;
    struct jval *r = NULL;
    if (v[0]->type == J_UNDEFINED) jv_fail_undefined(J, v[0]);
    if (jv_is_int(v[0])) return jv_int(J, jv_as_int(v[0]));
    if (v[0]->type == J_FLOAT) r = int_of_float(J, v[0]->u.f);
    bool base_valid = base == 0 || (base >= 2 && base <= 36);
    if (v[0]->type == J_STR && base_valid && jt_string_to_int(J, js_view(v[0]), (int)base, &i)) return jv_int(J, i);
    if (v[0]->type == J_STR && jt_string_to_float(js_view(v[0]), &f)) r = int_of_float(J, f);
    return r ? r : v[1] ? v[1] : jv_int(J, 0);
}

FILTER(float) {
    ARGS("do_float", "value, default=");
    double f;
    if (v[0]->type == J_UNDEFINED) jv_fail_undefined(J, v[0]);
    if (jv_is_number(v[0])) return jv_float(J, jv_as_float(v[0]));
    if (v[0]->type == J_STR && jt_string_to_float(js_view(v[0]), &f)) return jv_float(J, f);
    return v[1] ? v[1] : jv_float(J, 0);
}

static struct jval *round_common(struct jinja *J, struct jval *v, int64_t precision) {
    char text[800];
    if (jv_is_int(v)) {
        int64_t i = jv_as_int(v), unit = 1;
        if (precision >= 0) return jv_int(J, i);
        for (int64_t k = precision; k < 0; k++)
            if (__builtin_mul_overflow(unit, 10, &unit)) return jv_int(J, 0);
        int64_t down = i / unit * unit - (i % unit < 0 ? unit : 0), rest = i - down;
        bool up = rest * 2 > unit || (rest * 2 == unit && (down / unit) % 2 != 0);
        return jv_int(J, up ? down + unit : down);
    }
    if (!isfinite(v->u.f) || precision > 330) return v;
    if (precision < -310) return jv_float(J, copysign(0.0, v->u.f));
    if (precision >= 0) {
        snprintf(text, sizeof text, "%.*f", (int)precision, v->u.f); /* correctly rounded, half to even: as Python's */
        return jv_float(J, strtod(text, NULL));
    }
    double unit = pow(10, (double)-precision);
    return jv_float(J, nearbyint(v->u.f / unit) * unit);
}

FILTER(round) {
    ARGS("do_round", "value, precision=, method=");
    int64_t precision = v[1] ? j_arg_int(J, v[1]) : 0;
    struct view method = !v[2] ? VIEW("common") : v[2]->type == J_STR ? js_view(v[2]) : VIEW("");
    bool ceiling = view_eq(method, VIEW("ceil"));
    if (!ceiling && !view_eq(method, VIEW("floor")) && !view_eq(method, VIEW("common")))
        j_raise(J, JX_FILTER_ARG, "method must be common, ceil or floor");
    bool common = view_eq(method, VIEW("common"));
    if (common && !jv_is_number(v[0])) j_raise(J, JX_TYPE, "type %s doesn't define __round__ method", jv_type_name(v[0]));
    if (common) return round_common(J, v[0], precision);
    struct jval *scale = op_binary(J, OP_POW, jv_int(J, 10), jv_int(J, precision)), *scaled = op_binary(J, OP_MUL, v[0], scale);
    if (!jv_is_number(scaled)) j_raise(J, JX_TYPE, "must be real number, not %s", jv_type_name(scaled));
    double f = jv_as_float(scaled);
    if (!isfinite(f)) j_raise(J, isnan(f) ? JX_VALUE : JX_OVERFLOW, "cannot convert float %s to integer", isnan(f) ? "NaN" : "infinity");
    struct jval *whole = int_of_float(J, ceiling ? ceil(f) : floor(f));
    return op_binary(J, OP_DIV, whole, scale);
}

static const struct jfunc_row jf_here[] = {
    {"abs", f_abs, NULL, NULL}, {"attr", f_attr, NULL, NULL}, {"d", f_default, NULL, NULL}, {"default", f_default, NULL, NULL},
    {"float", f_float, NULL, NULL}, {"int", f_int, NULL, NULL}, {"round", f_round, NULL, NULL}, {NULL, NULL, NULL, NULL}};

const struct jfunc_row *jinja_filter(struct view name) {
    const struct jfunc_row *const tables[] = {jf_text, jf_seq, jf_here, jf_misc};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const struct jfunc_row *row = tables[t]; row->name; row++)
            if (view_eq(name, view_of(row->name))) return row;
    return NULL;
}
