/* gotmpl_int.h -- what the parts of the interpreter share.
 *
 *   source --lex.c--> tokens --parse.c, parse_pipe.c--> nodes
 *   messages, tools --data.c--> values;  nodes + values --exec.c (statements), eval.c (pipelines), funcs.c--> text, as print.c and json.c write it
 *
 * Memory, bounds, errors by longjmp and strings that know which of their bytes came from the input are those of the Jinja interpreter
 * (jinja_int.h); values are Go's, which has types where Python has none: fields of a struct are known, keys of a map are not. */
#ifndef SLM_TEXT_GOTMPL_INT_H
#define SLM_TEXT_GOTMPL_INT_H

#include "text/gotmpl/gotmpl.h"
#include "text/jinja/jinja_int.h"

/* Values */
enum gkind { G_NIL, G_BOOL, G_INT, G_FLOAT, G_STR, G_LIST, G_MAP, G_STRUCT };
struct gfield {
    const char *name, *json; /* json NULL: the same name */
    bool omits_empty;        /* in JSON */
};
struct gtype {
    const char *name;
    const struct gfield *fields; /* of a struct, to a row without a name */
    bool is_text;                /* prints as its JSON */
    bool is_pointer;             /* inside something else it prints as an address */
    bool is_opaque;              /* gives out nothing but its JSON */
};
extern const struct gtype gt_message, gt_call, gt_called, gt_args, gt_tools, gt_tool, gt_function, gt_parameters, gt_properties, gt_property, gt_inner, gt_kinds;
struct gval;
struct gpair {
    struct jstr key;
    struct gval *val;
};
struct gval {
    uint8_t kind;
    bool is_any; /* G_NIL: an interface that holds nothing, whose fields are errors; else no value, whose fields are none either */
    bool is_nil; /* an empty list or map that is none */
    const struct gtype *type; /* NULL: Go's own */
    union {
        bool b;
        int64_t i;
        double f;
        struct jstr s;
        struct { struct gval **v; size_t n; } list; /* of a struct: as its type's fields */
        struct { struct gpair *v; size_t n; } map;  /* by key; in its order where the type is opaque */
    } u;
};
extern struct gval gv_none, gv_any, gv_true, gv_false;

/* Tokens */
enum gtok_type { GT_EOF, GT_TEXT, GT_OPEN, GT_CLOSE, GT_SPACE, GT_WORD, GT_FIELD, GT_VARIABLE, GT_DOT, GT_NUMBER, GT_CHAR, GT_STRING, GT_RAW, GT_DECLARE, GT_ASSIGN, GT_PIPE, GT_COMMA, GT_LEFT, GT_RIGHT };
struct gtok {
    enum gtok_type type;
    int line;
    struct view text; /* GT_FIELD without its dot */
};
struct gtoks {
    struct gtok *v;
    size_t n, cap;
};
struct gtoks gl_lex(struct jinja *J, struct view source);

/* Nodes. One struct for all kinds. */
enum gnode_kind {
    GN_TEXT,                                     /* text */
    GN_ACTION, GN_IF, GN_RANGE, GN_WITH,         /* pipe; body and other (may be NULL) */
    GN_TEMPLATE,                                 /* text: its name; pipe may be NULL */
    GN_BREAK, GN_CONTINUE,
    GN_PIPE,                                     /* kids: commands; names: variables; is_assign */
    GN_COMMAND,                                  /* kids: operands */
    GN_FIELD,                                    /* names */
    GN_VARIABLE,                                 /* names: the variable with its $, then fields */
    GN_CHAIN,                                    /* pipe, then names */
    GN_FUNCTION,                                 /* func */
    GN_DOT, GN_NIL, GN_CONST                     /* konst */
};
struct gfunc;
struct gnode {
    uint8_t kind;
    bool is_assign;
    int line;
    size_t order; /* of statements, and of fields within actions: their place in the template */
    struct view text;
    struct gnode *pipe;
    struct glist { struct gnode **v; size_t n, cap; } kids;
    struct gnames { struct view *v; size_t n, cap; } names;
    struct glist *body, *other;
    struct gval *konst;
    const struct gfunc *func;
};
struct gdefine {
    struct view name;
    struct glist *body;
};
struct gprogram {
    struct glist *body;
    struct gdefine *defines;
    size_t n_defines, cap_defines;
    size_t cut; /* statements after it are left out of the last turn */
    bool has_messages, has_response, has_thinking;
};

struct gparser {
    struct jinja *J;
    struct gtoks toks;
    size_t at, n_order;
    struct gnames vars; /* in sight */
    int n_ranges;
    struct gprogram *program;
};
void gp_parse(struct jinja *J, struct view source, struct gprogram *out);
struct gnode *gp_pipeline(struct gparser *p, const char *context, enum gtok_type end);
struct gnode *gp_node(struct gparser *p, enum gnode_kind kind);
const struct gtok *gp_peek(struct gparser *p); /* past spaces */
struct gtok gp_next(struct gparser *p);        /* past spaces */
void gp_push(struct gparser *p, struct glist *l, struct gnode *n);
void gp_name(struct gparser *p, struct gnames *names, struct view name);
_Noreturn void gp_unexpected(struct gparser *p, const struct gtok *t, const char *where);
struct view gp_unquote(struct gparser *p, const struct gtok *t);

/* Running */
struct gvar {
    struct view name;
    struct gval *val;
};
struct grun {
    struct jinja *J;
    const struct gprogram *program;
    struct gvar *vars;
    size_t n_vars, cap_vars;
    size_t cut; /* SIZE_MAX: nothing is left out */
    bool is_last; /* of several turns: what is not there has no fields, where else it is an error to ask for them */
};
void gx_run(struct grun *r, struct gval *data, bool is_cut); /* into J->out */
struct gval *gx_pipe(struct grun *r, struct gval *dot, const struct gnode *n);
void gx_push(struct grun *r, struct view name, struct gval *val);
/* final: what a pipeline has given so far; NULL: nothing yet. */
struct gval *gx_call(struct grun *r, struct gval *dot, const struct gnode *command, struct gval *final);
struct gval *gx_operand(struct grun *r, struct gval *dot, const struct gnode *n);

/* funcs.c */
struct gfunc {
    const char *name;
    struct gval *(*fn)(struct jinja *J, struct gval **args, size_t n); /* NULL: and, or (lazy) */
    size_t n_min, n_max;
    bool is_refused;
};
const struct gfunc *gf_find(struct view name);
bool gv_truth(const struct gval *v);
const char *gv_type_name(const struct gval *v);

/* data.c */
struct gval *gv_new(struct jinja *J, enum gkind kind, const struct gtype *type);
struct gval *gv_int(struct jinja *J, int64_t i);
struct gval *gv_str(struct jinja *J, const struct jstr *s);
struct gval *gv_text(struct jinja *J, struct view v); /* a template's own; not copied */
struct gval *gv_built(struct jinja *J, struct jsb *b);
struct gval *gv_property_none(struct jinja *J);
struct gval *gv_get(const struct gval *map, struct view key); /* NULL: none */
void gd_render(struct grun *r, const json_t *input);

/* print.c, json.c */
void gv_print(struct jinja *J, struct jsb *b, struct gval *v, int depth); /* as fmt's %v */
struct gval *gv_printf(struct jinja *J, struct gval **args, size_t n);
void gv_json(struct jinja *J, struct jsb *b, const struct gval *v);
struct gdigits { /* the shortest that read back as the same number: 0.d1d2d3... * 10^point */
    char v[24];
    int n, point;
};
struct gdigits gv_digits(double f);

#endif
