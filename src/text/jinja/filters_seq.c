/* filters_seq.c -- filters over sequences. Those that are generators in jinja2 are lazy here too: a template can tell. */
#include "text/jinja/jinja_int.h"

#define FILTER(name) static struct jval *f_##name(struct jinja *J, struct jval *self, struct jargs *args)
#define ARGS(python, signature)                                                           \
    static const struct jfunc_row me = {.name = python, .sig = signature};               \
    struct jval *v[J_BIND_MAX];                                                           \
    (void)self;                                                                           \
    j_bind(J, &me, args, v)

static struct jval *ignore_case(struct jinja *J, struct jval *v) { return v->type == J_STR ? ju_case_map(J, v, JU_LOWER) : v; }
static bool is_true(struct jinja *J, struct jval *v) { return v && jv_truth(J, v); }
static struct jval *undefined(struct jinja *J, const char *hint) { return jv_undefined_hint(J, hint, JX_UNDEFINED); }

FILTER(length) { ARGS("len", "!obj"); return jv_int(J, jv_len(J, v[0])); }
FILTER(list) { ARGS("sync_do_list", "value"); return jv_to_list(J, v[0]); }

FILTER(first) {
    ARGS("sync_do_first", "@seq");
    struct jval *item = jit_next(J, jv_iterate(J, v[0]));
    return item ? item : undefined(J, "No first item, sequence was empty.");
}

static struct jval *next_reversed(struct jinja *J, struct jiter *it) {
    if (it->i == 0) return NULL;
    size_t i = --it->i;
    struct jval *v = it->src;
    switch ((enum jtype)v->type) {
    case J_LIST:
    case J_TUPLE: return v->u.l.v[i];
    case J_DICT: return v->u.d.v[i].key;
    case J_VIEW: return jv_view_item(J, v, i);
    case J_RANGE: return jv_int(J, v->u.range.start + (int64_t)i * v->u.range.step);
    default: return NULL;
    }
}

static bool is_reversible(const struct jval *v) {
    return v->type == J_LIST || v->type == J_TUPLE || v->type == J_DICT || v->type == J_VIEW || v->type == J_RANGE || v->type == J_STR || v->type == J_UNDEFINED;
}

static struct jval *reversed(struct jinja *J, struct jval *v) {
    const char *type = v->type == J_LIST ? "list_reverseiterator" : v->type == J_DICT ? "dict_reversekeyiterator" : "reversed";
    struct jval *it = jv_iter(J, type, next_reversed);
    if (v->type == J_STR) v = jv_to_list(J, v);
    it->u.it.src = v;
    it->u.it.i = (size_t)jv_len(J, v);
    return it;
}

FILTER(last) {
    ARGS("do_last", "@seq");
    if (!is_reversible(v[0])) j_raise(J, JX_TYPE, "'%s' object is not reversible", jv_type_name(v[0]));
    struct jval *item = jit_next(J, &reversed(J, v[0])->u.it);
    return item ? item : undefined(J, "No last item, sequence was empty.");
}

struct listing {
    struct jval *from, *list;
};

static void list_job(struct jinja *J, void *arg) {
    struct listing *l = arg;
    l->list = jv_to_list(J, l->from);
}

FILTER(reverse) {
    ARGS("do_reverse", "value");
    if (v[0]->type == J_STR) {
        struct jval slice = {.type = J_SLICE, .u.slice = {&jv_none, &jv_none, jv_int(J, -1)}};
        return at_slice(J, v[0], &slice);
    }
    if (is_reversible(v[0])) return reversed(J, v[0]);
    struct listing listing = {.from = v[0]};
    if (!j_attempt(J, JX_TYPE, list_job, &listing)) j_raise(J, JX_FILTER_ARG, "argument must be iterable");
    struct jval *l = listing.list, *r = jv_list(J, l->u.l.n);
    for (size_t i = 0; i < l->u.l.n; i++) r->u.l.v[i] = l->u.l.v[l->u.l.n - 1 - i];
    return r;
}

FILTER(random) { /* the choice is not random: the same input must give the same text */
    ARGS("do_random", "@seq");
    int64_t n = jv_len(J, v[0]);
    return n == 0 ? undefined(J, "No random item, sequence was empty.") : at_getitem(J, v[0], jv_int(J, (int64_t)(J->steps % (size_t)n)));
}

FILTER(join) {
    ARGS("sync_do_join", "@value, d=, attribute=");
    struct jval *d = v[1] ? jv_str(J, v[1]) : &jv_empty, *strings = jv_list(J, 0), *item;
    size_t cap = 0;
    bool escape = J->autoescape && d->u.s.safe;
    for (struct jiter *it = jv_iterate(J, v[0]); (item = jit_next(J, it));) {
        if (v[2] && v[2]->type != J_NONE) item = at_path(J, item, v[2], NULL);
        jl_push(J, &strings->u.l, &cap, jv_str(J, item));
        escape |= J->autoescape && item->type == J_STR && item->u.s.safe;
    }
    for (size_t i = 0; escape && i < strings->u.l.n; i++) strings->u.l.v[i] = js_escape(J, strings->u.l.v[i]);
    struct jval *r = jm_join(J, escape ? js_escape(J, d) : d, strings);
    return escape ? js_safe(J, r) : r;
}

/* Sorting */

static struct jval **keys_of(struct jinja *J, const struct jlist *l, struct jval *attribute, bool fold) { /* one key, or a list of them */
    struct jval **keys = j_alloc(J, l->n, sizeof *keys);
    size_t n_parts = 1;
    struct jval *parts = NULL;
    if (attribute && attribute->type == J_STR) {
        struct jargs comma = {.pos = (struct jval *[]){js_lit(J, ",")}, .n_pos = 1};
        parts = j_call(J, at_getattr(J, attribute, js_lit(J, "split")), &comma);
        n_parts = parts->u.l.n;
    }
    for (size_t i = 0; i < l->n; i++) {
        keys[i] = jv_list(J, n_parts);
        for (size_t k = 0; k < n_parts; k++) {
            struct jval *key = at_path(J, l->v[i], parts ? parts->u.l.v[k] : attribute, NULL);
            keys[i]->u.l.v[k] = fold ? ignore_case(J, key) : key;
        }
    }
    return keys;
}

FILTER(sort) {
    ARGS("do_sort", "@value, reverse=, case_sensitive=, attribute=");
    struct jval *l = jv_to_list(J, v[0]);
    jv_sort(J, l->u.l.v, keys_of(J, &l->u.l, v[3], !is_true(J, v[2])), l->u.l.n, is_true(J, v[1]));
    return l;
}

FILTER(dictsort) {
    ARGS("do_dictsort", "value, case_sensitive=, by=, reverse=");
    bool by_value = v[2] && v[2]->type == J_STR && view_eq(js_view(v[2]), VIEW("value"));
    if (v[2] && !by_value && !(v[2]->type == J_STR && view_eq(js_view(v[2]), VIEW("key"))))
        j_raise(J, JX_FILTER_ARG, "You can only sort by either \"key\" or \"value\"");
    if (v[0]->type == J_UNDEFINED) jv_fail_undefined(J, v[0]);
    if (v[0]->type != J_DICT) j_raise(J, JX_ATTRIBUTE, "'%s' object has no attribute 'items'", jv_type_name(v[0]));
    const struct jdict *d = &v[0]->u.d;
    struct jval *l = jv_list(J, d->n), **keys = j_alloc(J, d->n, sizeof *keys);
    for (size_t i = 0; i < d->n; i++) {
        l->u.l.v[i] = jv_pair(J, d->v[i].key, d->v[i].val);
        keys[i] = by_value ? d->v[i].val : d->v[i].key;
        if (!is_true(J, v[1])) keys[i] = ignore_case(J, keys[i]);
    }
    jv_sort(J, l->u.l.v, keys, d->n, is_true(J, v[3]));
    return l;
}

static struct jval *extreme(struct jinja *J, struct jval **v, enum jcmp better) {
    struct jiter *it = jv_iterate(J, v[0]);
    struct jval *best = jit_next(J, it), *best_key, *item;
    bool fold = !is_true(J, v[1]);
    if (!best) return undefined(J, "No aggregated item, sequence was empty.");
    best_key = at_path(J, best, v[2], NULL);
    if (fold) best_key = ignore_case(J, best_key);
    while ((item = jit_next(J, it))) {
        struct jval *key = at_path(J, item, v[2], NULL);
        if (fold) key = ignore_case(J, key);
        if (!jv_compare(J, better, key, best_key)) continue;
        best = item;
        best_key = key;
    }
    return best;
}
FILTER(min) { ARGS("do_min", "@value, case_sensitive=, attribute="); return extreme(J, v, CMP_LT); }
FILTER(max) { ARGS("do_max", "@value, case_sensitive=, attribute="); return extreme(J, v, CMP_GT); }

FILTER(sum) {
    ARGS("sync_do_sum", "@iterable, attribute=, start=");
    struct jval *total = v[2] ? v[2] : jv_int(J, 0), *item;
    struct jiter *it = jv_iterate(J, v[0]);
    if (total->type == J_STR) j_raise(J, JX_TYPE, "sum() can't sum strings [use ''.join(seq) instead]");
    while ((item = jit_next(J, it))) total = op_binary(J, OP_ADD, total, v[1] && v[1]->type != J_NONE ? at_path(J, item, v[1], NULL) : item);
    return total;
}

FILTER(groupby) {
    ARGS("sync_do_groupby", "@value, attribute, default=, case_sensitive=");
    bool fold = !is_true(J, v[3]);
    struct jval *with = v[2] && v[2]->type != J_NONE ? v[2] : NULL, *l = jv_to_list(J, v[0]), *out = jv_list(J, 0), *key = NULL;
    struct jval **keys = j_alloc(J, l->u.l.n, sizeof *keys);
    size_t cap_out = 0, cap = 0;
    struct jlist *group = NULL;
    for (size_t i = 0; i < l->u.l.n; i++) {
        keys[i] = at_path(J, l->u.l.v[i], v[1], with);
        if (fold) keys[i] = ignore_case(J, keys[i]);
    }
    jv_sort(J, l->u.l.v, keys, l->u.l.n, false);
    for (size_t i = 0; i < l->u.l.n; i++) {
        struct jval *raw = at_path(J, l->u.l.v[i], v[1], with), *this = fold ? ignore_case(J, raw) : raw;
        if (!group || !jv_eq(J, key, this)) {
            struct jval *t = jv_pair(J, raw, jv_list(J, 0));
            t->u.l.is_group = true;
            jl_push(J, &out->u.l, &cap_out, t);
            group = &t->u.l.v[1]->u.l;
            cap = 0;
            key = this;
        }
        jl_push(J, group, &cap, l->u.l.v[i]);
    }
    return out;
}

/* Generators */

static struct jval *next_unique(struct jinja *J, struct jiter *it) {
    struct jval *item, **v = it->state;
    if (!it->in) it->in = jv_iterate(J, v[0]);
    while ((item = jit_next(J, it->in))) {
        struct jval *key = at_path(J, item, v[2], NULL);
        if (!is_true(J, v[1])) key = ignore_case(J, key);
        if (jd_get(J, &it->arg->u.d, key)) continue;
        jd_set(J, &it->arg->u.d, key, &jv_true);
        return item;
    }
    return NULL;
}

static struct jval *generator(struct jinja *J, struct jval *(*next)(struct jinja *, struct jiter *), struct jval *const *v, size_t n) {
    struct jval *it = jv_iter(J, "generator", next), **kept = j_alloc(J, n, sizeof *kept);
    memcpy(kept, v, n * sizeof *kept);
    it->u.it.state = kept;
    it->u.it.arg = jv_dict(J);
    return it;
}

FILTER(unique) { ARGS("do_unique", "@value, case_sensitive=, attribute="); return generator(J, next_unique, v, J_BIND_MAX); }

static struct jval *next_batch(struct jinja *J, struct jiter *it) {
    struct jval **v = it->state, *l = jv_list(J, 0), *item;
    size_t cap = 0;
    if (!it->in) it->in = jv_iterate(J, v[0]);
    int64_t count = j_arg_int(J, v[1]);
    if (it->src) jl_push(J, &l->u.l, &cap, it->src); /* jinja2 gives an empty batch first when asked for batches of none */
    if (count == 0 && it->n++ == 0) return it->src = jit_next(J, it->in), it->src ? l : NULL;
    it->src = NULL;
    while (l->u.l.n == 0 || (int64_t)l->u.l.n != count) {
        if (!(item = jit_next(J, it->in))) break;
        jl_push(J, &l->u.l, &cap, item);
    }
    if (l->u.l.n == 0) return NULL;
    while (v[2] && v[2]->type != J_NONE && (int64_t)l->u.l.n < count) jl_push(J, &l->u.l, &cap, v[2]);
    return l;
}
FILTER(batch) { ARGS("do_batch", "value, linecount, fill_with="); return generator(J, next_batch, v, J_BIND_MAX); }

static struct jval *next_slice(struct jinja *J, struct jiter *it) {
    struct jval **v = it->state;
    if (!it->src) {
        it->src = jv_to_list(J, v[0]);
        it->n = (size_t)(j_arg_int(J, v[1]) < 0 ? 0 : j_arg_int(J, v[1]));
        if (jv_as_int(v[1]) == 0) j_raise(J, JX_ZERO_DIV, "integer division or modulo by zero");
    }
    if (it->i >= it->n) return NULL;
    size_t per = it->src->u.l.n / it->n, extra = it->src->u.l.n % it->n, i = it->i++;
    size_t start = i * per + (i < extra ? i : extra), n = per + (i < extra);
    bool fill = v[2] && v[2]->type != J_NONE && i >= extra;
    struct jval *l = jv_list(J, n + fill);
    for (size_t k = 0; k < n; k++) l->u.l.v[k] = it->src->u.l.v[start + k];
    if (fill) l->u.l.v[n] = v[2];
    return l;
}
FILTER(slice) { ARGS("sync_do_slice", "value, slices, fill_with="); return generator(J, next_slice, v, J_BIND_MAX); }

static struct jval *next_dict_item(struct jinja *J, struct jiter *it) {
    struct jval **v = it->state;
    if (v[0]->type == J_UNDEFINED) return NULL;
    if (v[0]->type != J_DICT) j_raise(J, JX_TYPE, "Can only get item pairs from a mapping.");
    if (it->i >= v[0]->u.d.n) return NULL;
    const struct jdict_entry *e = &v[0]->u.d.v[it->i++];
    return jv_pair(J, e->key, e->val);
}
FILTER(items) { ARGS("do_items", "value"); return generator(J, next_dict_item, v, J_BIND_MAX); }

/* map, select, reject and their attr forms: what to do is worked out when the first item is asked for. */
struct pipeline {
    struct jval *value;
    struct jargs args; /* without the value */
    bool by_attribute, keep_if; /* select */
    struct jval *attribute, *if_undefined, *name;
    bool is_ready;
};

static struct jval *pipeline(struct jinja *J, struct jargs *args, struct jval *(*next)(struct jinja *, struct jiter *), bool by_attribute, bool keep_if) {
    struct pipeline *p = j_alloc(J, 1, sizeof *p);
    struct jval *it = jv_iter(J, "generator", next);
    p->value = args->pos[0];
    p->args = *args;
    p->args.pos++;
    p->args.n_pos--;
    p->by_attribute = by_attribute;
    p->keep_if = keep_if;
    it->u.it.state = p;
    return it;
}

static void take_first(struct jargs *args) {
    args->pos++;
    args->n_pos--;
}

static bool begin(struct jinja *J, struct jiter *it, struct pipeline *p) { /* false: nothing to do */
    p->is_ready = true;
    if (!jv_truth(J, p->value)) return false;
    it->in = NULL;
    return true;
}

static void map_begin(struct jinja *J, struct pipeline *p) {
    struct jval *unexpected = NULL;
    for (size_t i = 0; p->args.n_pos == 0 && i < p->args.n_kw; i++) p->by_attribute |= view_eq(p->args.kw[i].name, VIEW("attribute"));
    if (p->by_attribute) {
        for (size_t i = 0; i < p->args.n_kw; i++) {
            if (view_eq(p->args.kw[i].name, VIEW("attribute"))) p->attribute = p->args.kw[i].val;
            else if (view_eq(p->args.kw[i].name, VIEW("default"))) p->if_undefined = p->args.kw[i].val->type == J_NONE ? NULL : p->args.kw[i].val;
            else if (!unexpected) unexpected = js_new(J, p->args.kw[i].name);
        }
        if (unexpected) j_raise(J, JX_FILTER_ARG, "Unexpected keyword argument %s", jv_repr_c(J, unexpected));
        return;
    }
    if (p->args.n_pos == 0) j_raise(J, JX_FILTER_ARG, "map requires a filter argument");
    p->name = p->args.pos[0];
    take_first(&p->args);
}

static struct jval *next_mapped(struct jinja *J, struct jiter *it) {
    struct pipeline *p = it->state;
    if (!p->is_ready) {
        if (!begin(J, it, p)) return NULL;
        map_begin(J, p);
        it->in = jv_iterate(J, p->value);
    }
    struct jval *item = it->in ? jit_next(J, it->in) : NULL;
    if (!item) return NULL;
    return p->by_attribute ? at_path(J, item, p->attribute, p->if_undefined) : j_call_filter(J, p->name, item, &p->args);
}

static void select_begin(struct jinja *J, struct pipeline *p) {
    if (p->by_attribute) {
        if (p->args.n_pos == 0) j_raise(J, JX_FILTER_ARG, "Missing parameter for attribute name");
        p->attribute = p->args.pos[0];
        take_first(&p->args);
    }
    if (p->args.n_pos == 0) return;
    p->name = p->args.pos[0];
    take_first(&p->args);
}

static struct jval *next_selected(struct jinja *J, struct jiter *it) {
    struct pipeline *p = it->state;
    struct jval *item;
    if (!p->is_ready) {
        if (!begin(J, it, p)) return NULL;
        select_begin(J, p);
        it->in = jv_iterate(J, p->value);
    }
    while (it->in && (item = jit_next(J, it->in))) {
        struct jval *tested = p->by_attribute ? at_path(J, item, p->attribute, NULL) : item;
        bool holds = p->name ? j_call_test(J, p->name, tested, &p->args) : jv_truth(J, tested);
        if (holds == p->keep_if) return item;
    }
    return NULL;
}

FILTER(map) { (void)self; return pipeline(J, args, next_mapped, false, false); }
FILTER(select) { (void)self; return pipeline(J, args, next_selected, false, true); }
FILTER(reject) { (void)self; return pipeline(J, args, next_selected, false, false); }
FILTER(selectattr) { (void)self; return pipeline(J, args, next_selected, true, true); }
FILTER(rejectattr) { (void)self; return pipeline(J, args, next_selected, true, false); }

const struct jfunc_row jf_seq[] = {
    {"batch", f_batch, NULL, NULL}, {"count", f_length, NULL, NULL}, {"dictsort", f_dictsort, NULL, NULL}, {"first", f_first, NULL, NULL},
    {"groupby", f_groupby, NULL, NULL}, {"items", f_items, NULL, NULL}, {"join", f_join, NULL, NULL}, {"last", f_last, NULL, NULL},
    {"length", f_length, NULL, NULL}, {"list", f_list, NULL, NULL}, {"map", f_map, NULL, NULL}, {"max", f_max, NULL, NULL},
    {"min", f_min, NULL, NULL}, {"random", f_random, NULL, NULL}, {"reject", f_reject, NULL, NULL}, {"rejectattr", f_rejectattr, NULL, NULL},
    {"reverse", f_reverse, NULL, NULL}, {"select", f_select, NULL, NULL}, {"selectattr", f_selectattr, NULL, NULL}, {"slice", f_slice, NULL, NULL},
    {"sort", f_sort, NULL, NULL}, {"sum", f_sum, NULL, NULL}, {"unique", f_unique, NULL, NULL}, {NULL, NULL, NULL, NULL}};
