/* tests.c -- what may stand after `is`. */
#include "text/jinja/jinja_int.h"

#define TEST(name) static struct jval *t_##name(struct jinja *J, struct jval *self, struct jargs *args)
#define ARGS(python, signature)                                                           \
    static const struct jfunc_row me = {.name = python, .sig = signature};               \
    struct jval *v[J_BIND_MAX];                                                           \
    (void)self;                                                                           \
    j_bind(J, &me, args, v)

static bool equals_int(const struct jval *v, int64_t i) { return v->type == J_FLOAT ? v->u.f == (double)i : jv_is_int(v) && jv_as_int(v) == i; }

TEST(odd) { ARGS("test_odd", "value"); return jv_bool(equals_int(op_binary(J, OP_MOD, v[0], jv_int(J, 2)), 1)); }
TEST(even) { ARGS("test_even", "value"); return jv_bool(equals_int(op_binary(J, OP_MOD, v[0], jv_int(J, 2)), 0)); }
TEST(divisibleby) { ARGS("test_divisibleby", "value, num"); return jv_bool(equals_int(op_binary(J, OP_MOD, v[0], v[1]), 0)); }
TEST(defined) { ARGS("test_defined", "value"); return jv_bool(v[0]->type != J_UNDEFINED); }
TEST(undefined) { ARGS("test_undefined", "value"); return jv_bool(v[0]->type == J_UNDEFINED); }
TEST(filter) { ARGS("test_filter", "@value"); return jv_hash(J, v[0]), jv_bool(v[0]->type == J_STR && jinja_filter(js_view(v[0]))); }
TEST(test) { ARGS("test_test", "@value"); return jv_hash(J, v[0]), jv_bool(v[0]->type == J_STR && jinja_test(js_view(v[0]))); }
TEST(none) { ARGS("test_none", "value"); return jv_bool(v[0]->type == J_NONE); }
TEST(boolean) { ARGS("test_boolean", "value"); return jv_bool(v[0]->type == J_BOOL); }
TEST(false) { ARGS("test_false", "value"); return jv_bool(v[0]->type == J_BOOL && !v[0]->u.b); }
TEST(true) { ARGS("test_true", "value"); return jv_bool(v[0]->type == J_BOOL && v[0]->u.b); }
TEST(integer) { ARGS("test_integer", "value"); return jv_bool(v[0]->type == J_INT); }
TEST(float) { ARGS("test_float", "value"); return jv_bool(v[0]->type == J_FLOAT); }
TEST(lower) { ARGS("test_lower", "value"); return jv_bool(jm_is_cased(jv_str(J, v[0]), false)); }
TEST(upper) { ARGS("test_upper", "value"); return jv_bool(jm_is_cased(jv_str(J, v[0]), true)); }
TEST(string) { ARGS("test_string", "value"); return jv_bool(v[0]->type == J_STR); }
TEST(mapping) { ARGS("test_mapping", "value"); return jv_bool(v[0]->type == J_DICT); }
TEST(number) { ARGS("test_number", "value"); return jv_bool(jv_is_number(v[0])); }
TEST(iterable) { ARGS("test_iterable", "value"); return jv_bool(jv_is_iterable(v[0])); }
TEST(escaped) { ARGS("test_escaped", "value"); return jv_bool(v[0]->type == J_STR && v[0]->u.s.safe); }
TEST(in) { ARGS("test_in", "value, seq"); return jv_bool(jv_contains(J, v[1], v[0])); }

TEST(sequence) {
    ARGS("test_sequence", "value");
    enum jtype t = (enum jtype)v[0]->type;
    return jv_bool(t == J_STR || t == J_LIST || t == J_TUPLE || t == J_DICT || t == J_RANGE || t == J_UNDEFINED);
}

TEST(callable) {
    ARGS("callable", "!obj");
    enum jtype t = (enum jtype)v[0]->type;
    return jv_bool(t == J_FUNC || t == J_METHOD || t == J_MACRO || t == J_LOOP || t == J_JOINER || t == J_UNDEFINED);
}

TEST(sameas) { /* one object: CPython keeps one of each small integer and of each short constant */
    ARGS("test_sameas", "value, other");
    if (v[0]->type != v[1]->type) return &jv_false;
    if (v[0]->type == J_INT) return jv_bool(v[0] == v[1] || (v[0]->u.i == v[1]->u.i && v[0]->u.i >= -5 && v[0]->u.i <= 256));
    if (v[0]->type == J_STR) return jv_bool(v[0] == v[1] || (js_chars(v[0]) < 2 && view_eq(js_view(v[0]), js_view(v[1]))));
    return jv_bool(v[0] == v[1] || v[0]->type == J_NONE || (v[0]->type == J_BOOL && v[0]->u.b == v[1]->u.b));
}

#define COMPARISON(name, op)                                             \
    TEST(name) {                                                         \
        ARGS(#name, "a, b");                                             \
        return jv_bool(op_compare(J, op, v[0], v[1]));                   \
    }
COMPARISON(eq, CO_EQ)
COMPARISON(ne, CO_NE)
COMPARISON(gt, CO_GT)
COMPARISON(ge, CO_GE)
COMPARISON(lt, CO_LT)
COMPARISON(le, CO_LE)

static const struct jfunc_row rows[] = {
    {"odd", t_odd, NULL, NULL}, {"even", t_even, NULL, NULL}, {"divisibleby", t_divisibleby, NULL, NULL}, {"defined", t_defined, NULL, NULL},
    {"undefined", t_undefined, NULL, NULL}, {"filter", t_filter, NULL, NULL}, {"test", t_test, NULL, NULL}, {"none", t_none, NULL, NULL},
    {"boolean", t_boolean, NULL, NULL}, {"false", t_false, NULL, NULL}, {"true", t_true, NULL, NULL}, {"integer", t_integer, NULL, NULL},
    {"float", t_float, NULL, NULL}, {"lower", t_lower, NULL, NULL}, {"upper", t_upper, NULL, NULL}, {"string", t_string, NULL, NULL},
    {"mapping", t_mapping, NULL, NULL}, {"number", t_number, NULL, NULL}, {"sequence", t_sequence, NULL, NULL},
    {"iterable", t_iterable, NULL, NULL}, {"callable", t_callable, NULL, NULL}, {"sameas", t_sameas, NULL, NULL},
    {"escaped", t_escaped, NULL, NULL}, {"in", t_in, NULL, NULL}, {"==", t_eq, NULL, NULL}, {"eq", t_eq, NULL, NULL},
    {"equalto", t_eq, NULL, NULL}, {"!=", t_ne, NULL, NULL}, {"ne", t_ne, NULL, NULL}, {">", t_gt, NULL, NULL}, {"gt", t_gt, NULL, NULL},
    {"greaterthan", t_gt, NULL, NULL}, {"ge", t_ge, NULL, NULL}, {">=", t_ge, NULL, NULL}, {"<", t_lt, NULL, NULL}, {"lt", t_lt, NULL, NULL},
    {"lessthan", t_lt, NULL, NULL}, {"<=", t_le, NULL, NULL}, {"le", t_le, NULL, NULL}};

const struct jfunc_row *jinja_test(struct view name) {
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (view_eq(name, view_of(rows[i].name))) return &rows[i];
    return NULL;
}
