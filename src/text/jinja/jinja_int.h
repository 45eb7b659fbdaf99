/* jinja_int.h -- what the parts of the Jinja interpreter share.
 *
 *   source --lex.c--> tokens --parse_stmt.c, parse_expr.c--> nodes --scope.c--> nodes with variables bound to slots
 *   nodes + input --exec.c (statements), eval.c (expressions)--> text
 *
 * Memory: everything lives in one arena with a maximum, and nothing is freed one by one. That is why errors may leave by
 * longjmp (j_raise): there is never anything to undo. They land in jinja.c; j_attempt is the one place that looks on the way.
 * Bounds: steps, depth, bytes (struct jlimits); every loop over data calls j_step.
 * Values are immutable except namespaces, loops, cyclers, joiners and iterators, as in the immutable sandbox. */
#ifndef SLM_TEXT_JINJA_INT_H
#define SLM_TEXT_JINJA_INT_H

#include <setjmp.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "text/jinja/jinja.h"

/* Errors: Python's and Jinja's classes, as a template's author knows them, and two of ours. */
enum jexc {
    JX_TEMPLATE, /* raise_exception */
    JX_SYNTAX, JX_ASSERTION, JX_UNDEFINED, JX_RUNTIME, JX_SECURITY, JX_FILTER_ARG,
    JX_TYPE, JX_VALUE, JX_KEY, JX_INDEX, JX_ATTRIBUTE, JX_ZERO_DIV, JX_OVERFLOW, JX_RECURSION, JX_ASSERT, JX_PYTHON_RUNTIME,
    JX_PYTHON_SYNTAX, JX_ENCODE,
    JX_LIMIT,       /* one of struct jlimits */
    JX_UNSUPPORTED, /* integers beyond 64 bits, and what has no meaning here */
    JX_NOMEM,
    JX_COUNT
};
struct jexc_row {
    const char *name;
    slm_status status;
};
extern const struct jexc_row jexc_rows[JX_COUNT];

/* Values */
enum jtype {
    J_MISSING, /* an unset variable; never a value that a template sees */
    J_UNDEFINED, J_NONE, J_BOOL, J_INT, J_FLOAT, J_STR, J_LIST, J_TUPLE, J_DICT, J_RANGE, J_SLICE,
    J_ITER, J_VIEW, J_NAMESPACE, J_MACRO, J_FUNC, J_METHOD, J_LOOP, J_CYCLER, J_JOINER,
    J_TYPE_COUNT
};

/* Bytes [start, end) of a string that came from the input and not from the template. */
struct jspan {
    size_t start, end;
};
struct jstr {
    const char *ptr; /* valid UTF-8 */
    size_t len, n_chars;
    const struct jspan *spans; /* ascending, apart */
    size_t n_spans;
    bool safe; /* markupsafe.Markup */
};
struct jlist {
    struct jval **v;
    size_t n;
    bool is_group; /* a tuple of groupby: has .grouper and .list */
};
struct jdict_entry {
    struct jval *key, *val;
    uint64_t hash;
};
struct jdict { /* in order of insertion */
    struct jdict_entry *v;
    size_t n, cap;
    uint32_t *index; /* open addressing, entry + 1; NULL while small */
    size_t n_index;
};
struct jinja;
struct jargs;
struct jiter {
    struct jval *(*next)(struct jinja *J, struct jiter *it); /* NULL at the end */
    const char *type;                                        /* Python's name for it */
    struct jval *src, *arg;
    struct jiter *in;
    size_t i, n;
    void *state;
};
typedef struct jval *jfunc(struct jinja *J, struct jval *self, struct jargs *args);
struct jfunc_row {
    const char *name;
    jfunc *fn;        /* NULL: an attribute that the sandbox does not give out */
    const char *sig;  /* parameters: "a, b=, c=": those with '=' may be left out; NULL: any; see j_bind */
    const char *python_name; /* as error messages have it; NULL: name */
};
struct jval {
    uint8_t type;
    bool is_group_iter;
    union {
        bool b;
        int64_t i;
        double f;
        struct jstr s;
        struct jlist l;
        struct jdict d; /* also J_NAMESPACE */
        struct { int64_t start, stop, step; size_t n; } range;
        struct { struct jval *start, *stop, *step; } slice;
        struct jiter it;
        struct { struct jval *dict; char kind; } view; /* 'k' 'v' 'i' */
        struct { const char *hint; struct jval *obj, *name; enum jexc exc; } undef; /* message parts, as jinja2 builds them */
        struct { const struct jnode *node; struct jact *closure; } macro;
        const struct jfunc_row *func;
        struct { struct jval *self; const struct jfunc_row *row; } method;
        struct jloop *loop;
        struct { struct jlist items; size_t pos; } cycler;
        struct { struct jval *sep; bool used; } joiner;
    } u;
};
struct jargs {
    struct jval **pos;
    size_t n_pos;
    struct jkwarg { struct view name; struct jval *val; } *kw;
    size_t n_kw;
};

/* Nodes. One struct for all kinds; parse_stmt.c and parse_expr.c say which kind uses which field. */
enum jkind {
    N_CONST, N_NAME, N_NSREF, N_TUPLE, N_LIST, N_DICT, N_COND, N_OR, N_AND, N_NOT, N_COMPARE, N_OPERAND, N_BINARY, N_UNARY,
    N_CONCAT, N_GETATTR, N_GETITEM, N_SLICE, N_CALL, N_KEYWORD, N_FILTER, N_TEST,
    N_OUTPUT, N_FOR, N_IF, N_SET, N_SETBLOCK, N_MACRO, N_CALLBLOCK, N_FILTERBLOCK, N_WITH, N_AUTOESCAPE, N_BLOCK, N_LOADER,
    N_BREAK, N_CONTINUE
};
enum jctx { CTX_LOAD, CTX_STORE, CTX_PARAM };
struct jblock {
    struct jnode **v;
    size_t n, cap;
};
struct jref { /* a variable: so many functions outward, slot there */
    uint16_t hops, slot;
};
struct jnode {
    uint8_t kind, op, ctx;
    bool flag, flag2, flag3;
    int line, name;
    struct jnode *a, *b, *c, *d;
    struct jblock list, list2, list3;
    struct jval *konst;
    struct jref ref;
    struct jscope *scope, *scope2, *scope3; /* frames that running this node enters */
    struct jfn *fn, *fn2;                   /* functions whose activations it creates */
    const struct jfunc_row *row;            /* filter or test */
};
enum jaction { LOAD_PARAM, LOAD_RESOLVE, LOAD_ALIAS, LOAD_UNDEFINED };
struct jload {
    uint8_t action;
    int name;
    uint16_t slot; /* in the innermost function */
    struct jref from;
};
struct jscope {
    struct jload *v;
    size_t n;
};
struct jfn {
    struct jfn *up;
    int level;
    struct { int level, name; } *vars;
    size_t n_vars, cap_vars;
};
struct jact { /* an activation of a jfn */
    struct jact *up;
    struct jval **slot;
};
struct jloop {
    struct jval *iterable;
    struct jiter *it;
    int64_t index0, depth0, length; /* length -1: not known yet */
    struct jval *after, *current, *before, *changed;
    bool has_after;
    const struct jnode *recurse; /* NULL: not recursive */
    struct jact *closure;
};
struct jblocks { /* named {% block %}s */
    struct jnode **v;
    size_t n, cap;
};

/* A string being built; spans kept. */
struct jsb {
    char *ptr;
    size_t len, cap;
    struct jspan *spans;
    size_t n_spans, cap_spans;
};

struct jinja {
    struct arena *arena;
    jmp_buf jmp;
    enum jexc exc;
    const char *message;
    int line;
    size_t steps, steps_max;
    int depth, depth_max;
    struct view *names; /* interned names of the template, by number */
    size_t n_names, cap_names;
    uint32_t *names_index;
    size_t n_names_index;
    /* rendering */
    struct jsb *out;
    const char *method, *method_type; /* being called, for messages */
    struct jval *globals; /* dict: input over built-ins */
    bool autoescape;
    struct tm now;
    const struct jblocks *blocks;
    struct jval *exported; /* dict: top-level assignments, for blocks */
};

/* state.c */
_Noreturn void j_raise(struct jinja *J, enum jexc exc, const char *fmt, ...) SLM_PRINTF(3, 4);
_Noreturn void j_raise_line(struct jinja *J, int line, enum jexc exc, const char *fmt, ...) SLM_PRINTF(4, 5);
_Noreturn void j_raise_str(struct jinja *J, enum jexc exc, const struct jsb *message);
/* j_attempt -- Python's try: false when job raised exc; other errors go on. */
bool j_attempt(struct jinja *J, enum jexc exc, void (*job)(struct jinja *J, void *arg), void *arg);
void *j_alloc(struct jinja *J, size_t n, size_t size);
void *j_grow(struct jinja *J, void *v, size_t n, size_t *cap, size_t size); /* room for one more */
void j_step(struct jinja *J, size_t n);
void j_enter(struct jinja *J);
void j_leave(struct jinja *J);
int j_intern(struct jinja *J, struct view name);

/* jinja.c, for whoever renders with this memory. j_guarded: false when job raised; J says what. j_fault_init, j_fault_note (fault may be NULL): an empty
 * fault, and what J raised in it. j_clock: the time that templates see. j_result: a text and its spans as the caller's.
 * Errors: USAGE (SLM_NOW); NOMEM, LIMIT. */
bool j_guarded(struct jinja *J, void (*job)(struct jinja *J, void *arg), void *arg);
void j_fault_init(struct jinja_fault *fault);
void j_fault_note(const struct jinja *J, struct jinja_fault *fault);
slm_status j_clock(struct tm *now, slm_err *err);
slm_status j_result(const struct jsb *text, struct jinja_result *out, slm_err *err);

/* str.c */
struct jval *js_new(struct jinja *J, struct view v);           /* not copied */
struct jval *js_copy(struct jinja *J, struct view v);
struct jval *js_lit(struct jinja *J, const char *cstr);
struct jval *js_input(struct jinja *J, struct view v);         /* marked as input */
void jsb_add(struct jinja *J, struct jsb *b, struct view v);
void jsb_puts(struct jinja *J, struct jsb *b, const char *cstr);
void jsb_putc(struct jinja *J, struct jsb *b, char c);
void jsb_printf(struct jinja *J, struct jsb *b, const char *fmt, ...) SLM_PRINTF(3, 4);
void jsb_cp(struct jinja *J, struct jsb *b, uint32_t cp, bool marked);
void jsb_mark(struct jinja *J, struct jsb *b, size_t start);   /* all from start on is input */
void jsb_sub(struct jinja *J, struct jsb *b, const struct jstr *s, size_t start, size_t end); /* bytes */
void jsb_str(struct jinja *J, struct jsb *b, const struct jstr *s);
struct jval *jsb_done(struct jinja *J, struct jsb *b);
struct jval *js_sub(struct jinja *J, const struct jstr *s, size_t start, size_t end); /* bytes; shares */
bool js_marked(const struct jstr *s, size_t byte);
size_t js_chars(struct jval *s);                               /* length in characters, kept */
size_t js_offset(struct jval *s, size_t i_char);               /* byte offset of a character */
size_t js_find(struct view hay, struct view needle, size_t from); /* SIZE_MAX: not there */
size_t js_rfind(struct view hay, struct view needle, size_t end); /* last that ends at or before end */
static inline struct view js_view(const struct jval *s) { return (struct view){s->u.s.ptr, s->u.s.len}; }
struct jval *js_concat(struct jinja *J, struct jval *a, struct jval *b);
struct jval *js_repeat(struct jinja *J, struct jval *s, int64_t n);
struct jval *js_escape(struct jinja *J, struct jval *v);       /* markupsafe.escape */
struct jval *js_safe(struct jinja *J, struct jval *s);         /* Markup(s) */

/* ucase.c: characters as Python classes them */
bool ju_is_space(uint32_t cp);
bool ju_is_line_end(uint32_t cp);
bool ju_is_printable(uint32_t cp);
bool ju_is_alpha(uint32_t cp);
bool ju_is_decimal(uint32_t cp);
bool ju_is_digit(uint32_t cp);
bool ju_is_numeric(uint32_t cp);
bool ju_is_word(uint32_t cp); /* \w */
bool ju_is_upper(uint32_t cp);
bool ju_is_lower(uint32_t cp);
bool ju_is_title(uint32_t cp);
bool ju_is_name_start(uint32_t cp);
bool ju_is_name(uint32_t cp);
enum ju_case { JU_UPPER, JU_LOWER, JU_TITLE, JU_FOLD };
int ju_map(uint32_t cp, enum ju_case to, uint32_t out[3]); /* how many code points */
struct jval *ju_case_map(struct jinja *J, struct jval *s, enum ju_case to);

/* value.c */
extern struct jval jv_none, jv_true, jv_false, jv_missing, jv_empty;
struct jval *jv_bool(bool b);
struct jval *jv_int(struct jinja *J, int64_t i);
struct jval *jv_float(struct jinja *J, double f);
struct jval *jv_list(struct jinja *J, size_t n);  /* n NULL items, to be filled */
struct jval *jv_tuple(struct jinja *J, size_t n);
struct jval *jv_pair(struct jinja *J, struct jval *a, struct jval *b);
struct jval *jv_dict(struct jinja *J);
struct jval *jv_undefined(struct jinja *J, struct view name);
struct jval *jv_undefined_of(struct jinja *J, struct jval *obj, struct jval *name);
struct jval *jv_undefined_hint(struct jinja *J, const char *hint, enum jexc exc);
struct jval *jv_iter(struct jinja *J, const char *type, struct jval *(*next)(struct jinja *, struct jiter *));
struct jval *jv_func(struct jinja *J, const struct jfunc_row *row);
_Noreturn void jv_fail_undefined(struct jinja *J, const struct jval *u);
const char *jv_type_name(const struct jval *v);
const char *jv_object_repr(const struct jval *v, char out[96]);
bool jv_truth(struct jinja *J, const struct jval *v);
bool jv_is_number(const struct jval *v); /* bool, int, float */
bool jv_is_int(const struct jval *v);    /* bool, int */
int64_t jv_as_int(const struct jval *v);
double jv_as_float(const struct jval *v);
bool jv_eq(struct jinja *J, const struct jval *a, const struct jval *b);
enum jcmp { CMP_LT, CMP_LE, CMP_GT, CMP_GE };
bool jv_compare(struct jinja *J, enum jcmp op, struct jval *a, struct jval *b);
uint64_t jv_hash(struct jinja *J, const struct jval *v);
int64_t jv_len(struct jinja *J, struct jval *v);            /* raises TypeError */
bool jv_has_len(struct jinja *J, struct jval *v, int64_t *n);
struct jiter *jv_iterate(struct jinja *J, struct jval *v);  /* raises TypeError */
bool jv_is_iterable(const struct jval *v);
struct jval *jit_next(struct jinja *J, struct jiter *it);
struct jval *jv_to_list(struct jinja *J, struct jval *v);
bool jv_contains(struct jinja *J, struct jval *seq, struct jval *item);
void jl_push(struct jinja *J, struct jlist *l, size_t *cap, struct jval *v);
struct jval *jd_get(struct jinja *J, const struct jdict *d, const struct jval *key);
struct jval *jd_get_view(struct jinja *J, const struct jdict *d, struct view key);
void jd_set(struct jinja *J, struct jdict *d, struct jval *key, struct jval *val);
struct jval *jv_view_item(struct jinja *J, const struct jval *view, size_t i);

/* sort.c */
void jv_sort(struct jinja *J, struct jval **v, struct jval **keys, size_t n, bool reverse); /* stable, by keys */

/* repr.c */
void jr_float(struct jinja *J, struct jsb *b, double f);
void jr_str(struct jinja *J, struct jsb *b, struct jval *v);  /* str(v) */
void jr_repr(struct jinja *J, struct jsb *b, struct jval *v); /* repr(v) */
struct jval *jv_str(struct jinja *J, struct jval *v);         /* str(v); a str comes back itself */
struct jval *jv_repr(struct jinja *J, struct jval *v);
const char *jv_repr_c(struct jinja *J, struct jval *v);

/* lex.c */
enum jtok {
    T_EOF, T_DATA, T_VAR_BEGIN, T_VAR_END, T_BLOCK_BEGIN, T_BLOCK_END, T_NAME, T_STRING, T_INT, T_FLOAT,
    T_ADD, T_SUB, T_MUL, T_DIV, T_FLOORDIV, T_POW, T_MOD, T_TILDE, T_LBRACKET, T_RBRACKET, T_LPAREN, T_RPAREN, T_LBRACE, T_RBRACE,
    T_EQ, T_NE, T_GT, T_GE, T_LT, T_LE, T_ASSIGN, T_DOT, T_COLON, T_PIPE, T_COMMA, T_SEMICOLON,
    T_COUNT
};
struct jtoken {
    enum jtok type;
    int line;
    struct view text;
    struct jval *val; /* T_STRING, T_INT, T_FLOAT, T_DATA */
};
struct jlexer {
    struct view src;
    size_t pos;
    int line;
    enum { LEX_ROOT, LEX_BLOCK, LEX_VAR } mode;
    enum jtok pending; /* a begin token that follows the data just given; T_EOF: none */
    bool line_starting;
    char balance[256];
    size_t n_balance;
};
void lex_init(struct jinja *J, struct jlexer *lx, struct view source);
void lex_next(struct jinja *J, struct jlexer *lx, struct jtoken *t);
const char *lex_describe(struct jinja *J, const struct jtoken *t); /* as jinja2's messages name it */
const char *lex_describe_type(enum jtok type);

/* parse_stmt.c, parse_expr.c */
struct jparser {
    struct jinja *J;
    struct jlexer lx;
    struct jtoken cur, ahead;
    bool has_ahead;
    const char *const *ends[64]; /* end tags being looked for, outermost first */
    size_t n_ends;
    struct view tags[64]; /* statements that are open */
    size_t n_tags;
    struct jblocks *blocks;
};
struct jblock parse_template(struct jinja *J, struct view source, struct jblocks *blocks);
struct jnode *parse_expression(struct jparser *p, bool with_cond);
struct jnode *parse_tuple(struct jparser *p, bool simplified, bool with_cond, bool parens, bool with_ns);
struct jnode *parse_filter(struct jparser *p, struct jnode *node, bool start_inline);
void jp_next(struct jparser *p);
const struct jtoken *jp_look(struct jparser *p);
bool jp_is_name(const struct jtoken *t, const char *name);
bool jp_skip_name(struct jparser *p, const char *name);
bool jp_skip(struct jparser *p, enum jtok type);
struct jtoken jp_expect(struct jparser *p, enum jtok type);
_Noreturn void jp_fail(struct jparser *p, int line, const char *fmt, ...) SLM_PRINTF(3, 4);
struct jnode *jp_node(struct jparser *p, enum jkind kind, int line);
void jp_push(struct jparser *p, struct jblock *b, struct jnode *n);

/* scope.c */
struct jprogram {
    struct jblock body;
    struct jscope *scope;
    struct jfn *fn;
    struct jblocks blocks;
};
void scope_bind(struct jinja *J, struct jprogram *prog);

/* eval.c, exec.c, call.c */
struct jval *ev(struct jinja *J, const struct jnode *n, struct jact *act);
enum jflow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };
enum jflow ex_block(struct jinja *J, const struct jblock *b, struct jact *act);
void ex_program(struct jinja *J, const struct jprogram *prog);
struct jval *ex_recurse(struct jinja *J, const struct jnode *n, struct jact *closure, struct jval *iterable, int64_t depth0);
struct jval *ex_filter_node(struct jinja *J, const struct jnode *n, struct jval *input, struct jact *act);
struct jact *j_activate(struct jinja *J, const struct jfn *fn, struct jact *up);
struct jval **j_slot(struct jact *act, struct jref ref);
void ev_args(struct jinja *J, const struct jnode *n, struct jact *act, struct jargs *out, size_t n_before);
struct jval *j_call(struct jinja *J, struct jval *callee, struct jargs *args);
struct jval *j_call_row(struct jinja *J, const struct jfunc_row *row, struct jval *self, struct jargs *args);
struct jval *j_call_filter(struct jinja *J, struct jval *name, struct jval *v, struct jargs *args);
bool j_call_test(struct jinja *J, struct jval *name, struct jval *v, struct jargs *args);
#define J_BIND_MAX 8
void j_bind(struct jinja *J, const struct jfunc_row *row, const struct jargs *args, struct jval *out[J_BIND_MAX]);
int64_t j_arg_int(struct jinja *J, struct jval *v); /* __index__; raises TypeError */
int64_t j_arg_size(struct jinja *J, struct jval *v, int64_t if_absent);
struct jval *j_arg_str(struct jinja *J, struct jval *v, const char *what); /* must be a str */

/* ops.c */
enum jop { OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_FLOORDIV, OP_MOD, OP_POW };
enum jcompare_op { CO_EQ, CO_NE, CO_LT, CO_LE, CO_GT, CO_GE, CO_IN, CO_NOTIN };
struct jval *op_binary(struct jinja *J, enum jop op, struct jval *a, struct jval *b);
struct jval *op_unary(struct jinja *J, char op, struct jval *a);
bool op_compare(struct jinja *J, enum jcompare_op op, struct jval *a, struct jval *b);

/* attr.c */
struct jval *at_getattr(struct jinja *J, struct jval *obj, struct jval *name); /* environment.getattr */
struct jval *at_getitem(struct jinja *J, struct jval *obj, struct jval *key);  /* environment.getitem */
struct jval *at_slice(struct jinja *J, struct jval *obj, struct jval *slice);
struct jval *at_python_attr(struct jinja *J, struct jval *obj, struct view name, bool *is_unsafe); /* getattr(); NULL: none */
struct jval *at_path(struct jinja *J, struct jval *obj, struct jval *path, struct jval *if_undefined); /* "a.b.0" */

/* methods_str.c, methods_coll.c */
extern const struct jfunc_row jm_str[], jm_list[], jm_tuple[], jm_dict[], jm_range[], jm_int[], jm_float[], jm_cycler[], jm_loop[];
struct jval *jm_strip(struct jinja *J, struct jval *s, struct jval *chars, bool left, bool right);
struct jval *jm_split_ws(struct jinja *J, struct jval *s, int64_t max);
struct jval *jm_splitlines(struct jinja *J, struct jval *s, bool keep);
struct jval *jm_replace(struct jinja *J, struct jval *s, struct jval *old, struct jval *new_, int64_t count);
struct jval *jm_join(struct jinja *J, struct jval *sep, struct jval *items);
struct jval *jm_center(struct jinja *J, struct jval *s, int64_t width, struct jval *fill, char how);
struct jval *jm_capitalize(struct jinja *J, struct jval *s);
bool jm_is_cased(struct jval *s, bool upper);

/* percent.c, format.c */
struct jval *pf_percent(struct jinja *J, struct jval *fmt, struct jval *arg);
struct jval *pf_ascii(struct jinja *J, struct jval *v);
struct jval *fm_format(struct jinja *J, struct jval *fmt, struct jargs *args, struct jval *mapping);
void fm_number(struct jinja *J, struct jsb *b, double f, char type, int precision, bool alt, bool upper); /* no sign, no width */

/* json.c */
struct jval *json_dump(struct jinja *J, struct jval *v, struct jval *args[4]); /* ensure_ascii, indent, separators, sort_keys */

/* filters_*.c, tests.c, globals.c */
const struct jfunc_row *jinja_filter(struct view name);
const struct jfunc_row *jinja_test(struct view name);
const struct jfunc_row *jinja_globals(size_t *n);
extern const struct jfunc_row jf_text[], jf_seq[], jf_misc[];
bool jt_string_to_int(struct jinja *J, struct view s, int base, int64_t *out); /* int(s, base); false: ValueError */
bool jt_string_to_float(struct view s, double *out);

#endif
