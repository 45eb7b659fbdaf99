/* data.c -- what a template is run on: messages, tools and thinking as Ollama hands them over.
 *
 * Messages of one role that follow each other are one (texts joined by an empty line), but for those of tools; system prompts are .System too.
 * Of a tool's schema there is what Ollama's types have: anyOf, type, items, description, enum, properties and required of each property. */
#include <stdlib.h>

#include "text/gotmpl/gotmpl_int.h"

/* Types, with their fields in the order in which they print */

static const struct gfield message_fields[] = {{"Role", NULL, 0}, {"Content", NULL, 0}, {"Thinking", NULL, 0}, {"Images", NULL, 0}, {"ToolCalls", NULL, 0}, {"ToolName", NULL, 0}, {"ToolCallID", NULL, 0}, {NULL, NULL, 0}};
static const struct gfield call_fields[] = {{"ID", NULL, 0}, {"Function", NULL, 0}, {NULL, NULL, 0}};
static const struct gfield called_fields[] = {{"Index", NULL, 0}, {"Name", NULL, 0}, {"Arguments", NULL, 0}, {NULL, NULL, 0}};
static const struct gfield tool_fields[] = {{"Type", "type", 0}, {"Items", "items", 1}, {"Function", "function", 0}, {NULL, NULL, 0}};
static const struct gfield function_fields[] = {{"Name", "name", 0}, {"Description", "description", 0}, {"Parameters", "parameters", 0}, {NULL, NULL, 0}};
static const struct gfield parameters_fields[] = {{"Type", "type", 0}, {"Defs", "$defs", 1}, {"Items", "items", 1}, {"Required", "required", 1}, {"Properties", "properties", 0}, {NULL, NULL, 0}};
static const struct gfield property_fields[] = {{"AnyOf", "anyOf", 1}, {"Type", "type", 1}, {"Items", "items", 1}, {"Description", "description", 1}, {"Enum", "enum", 1}, {"Properties", "properties", 1}, {"Required", "required", 1}, {NULL, NULL, 0}};

const struct gtype gt_message = {"a message", message_fields, false, true, false}, gt_call = {"a tool call", call_fields, false, false, false}, gt_called = {"the function of a call", called_fields, false, false, false},
                   gt_args = {"arguments", NULL, true, false, false}, gt_tools = {"tools", NULL, true, false, false}, gt_tool = {"a tool", tool_fields, true, false, false},
                   gt_function = {"the function of a tool", function_fields, true, false, false}, gt_parameters = {"parameters", parameters_fields, true, false, false},
                   gt_properties = {"properties", NULL, true, false, false}, gt_property = {"a property", property_fields, false, false, false},
                   gt_inner = {"the properties of a property", NULL, false, true, true}, gt_kinds = {"a property's type", NULL, false, false, false};

/* Values */

struct gval gv_none = {.kind = G_NIL}, gv_any = {.kind = G_NIL, .is_any = true}, gv_true = {.kind = G_BOOL, .u.b = true}, gv_false = {.kind = G_BOOL};

struct gval *gv_new(struct jinja *J, enum gkind kind, const struct gtype *type) {
    struct gval *v = j_alloc(J, 1, sizeof *v);
    v->kind = (uint8_t)kind;
    v->type = type;
    return v;
}

struct gval *gv_int(struct jinja *J, int64_t i) {
    struct gval *v = gv_new(J, G_INT, NULL);
    v->u.i = i;
    return v;
}

struct gval *gv_str(struct jinja *J, const struct jstr *s) {
    struct gval *v = gv_new(J, G_STR, NULL);
    v->u.s = *s;
    return v;
}

struct gval *gv_text(struct jinja *J, struct view v) { return gv_str(J, &js_new(J, v)->u.s); }
struct gval *gv_built(struct jinja *J, struct jsb *b) { return gv_str(J, &jsb_done(J, b)->u.s); }

static struct gval *bool_val(bool b) { return b ? &gv_true : &gv_false; }

static struct gval *new_list(struct jinja *J, size_t n, const struct gtype *type) {
    struct gval *v = gv_new(J, G_LIST, type);
    j_step(J, n / 16);
    v->u.list.v = j_alloc(J, n + 1, sizeof(struct gval *));
    v->u.list.n = n;
    return v;
}

static struct gval *no_list(struct jinja *J, const struct gtype *type) {
    struct gval *v = new_list(J, 0, type);
    v->is_nil = true;
    return v;
}

static struct gval *new_struct(struct jinja *J, const struct gtype *type, struct gval *const *fields, size_t n) {
    struct gval *v = gv_new(J, G_STRUCT, type);
    v->u.list.v = j_alloc(J, n, sizeof(struct gval *));
    v->u.list.n = n;
    memcpy(v->u.list.v, fields, n * sizeof *fields);
    return v;
}
#define STRUCT(J, type, ...) new_struct(J, type, (struct gval *[]){__VA_ARGS__}, sizeof((struct gval *[]){__VA_ARGS__}) / sizeof(struct gval *))

static int by_key(const void *a, const void *b) {
    const struct jstr *x = &((const struct gpair *)a)->key, *y = &((const struct gpair *)b)->key;
    int c = memcmp(x->ptr, y->ptr, x->len < y->len ? x->len : y->len);
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

struct gval *gv_get(const struct gval *map, struct view key) {
    const struct gpair want = {.key = {.ptr = key.ptr, .len = key.len}}, *found = map->u.map.n ? bsearch(&want, map->u.map.v, map->u.map.n, sizeof want, by_key) : NULL;
    return found ? found->val : NULL;
}

/* What came as JSON */

typedef struct gval *from_json(struct jinja *J, const json_t *v);

static struct gval *str_of(struct jinja *J, const json_t *v) { return gv_str(J, &js_input(J, (struct view){json_string_value(v), json_string_length(v)})->u.s); }

static struct gval *map_of(struct jinja *J, const json_t *object, const struct gtype *type, from_json *item) {
    struct gval *v = gv_new(J, G_MAP, type);
    const char *key;
    json_t *val;
    v->is_nil = !object || json_is_null(object);
    v->u.map.v = j_alloc(J, json_object_size(object) + 1, sizeof *v->u.map.v);
    j_step(J, json_object_size(object));
    json_object_foreach((json_t *)(uintptr_t)object, key, val)
        v->u.map.v[v->u.map.n++] = (struct gpair){js_input(J, view_of(key))->u.s, item(J, val)};
    if (!(type && type->is_opaque) && v->u.map.n) qsort(v->u.map.v, v->u.map.n, sizeof *v->u.map.v, by_key);
    return v;
}

static struct gval *list_of(struct jinja *J, const json_t *array, const struct gtype *type, from_json *item) {
    struct gval *v = new_list(J, json_array_size(array), type);
    v->is_nil = !array || json_is_null(array);
    for (size_t i = 0; i < v->u.list.n; i++) v->u.list.v[i] = item(J, json_array_get(array, i));
    return v;
}

/* Anything: numbers are floating, as Go reads them where no type is known. */
static struct gval *any_of(struct jinja *J, const json_t *v) {
    struct gval *out = &gv_any;
    j_enter(J);
    if (json_is_boolean(v)) out = bool_val(json_is_true(v));
    else if (json_is_string(v)) out = str_of(J, v);
    else if (json_is_array(v)) out = list_of(J, v, NULL, any_of);
    else if (json_is_object(v)) out = map_of(J, v, NULL, any_of);
    else if (json_is_number(v)) {
        out = gv_new(J, G_FLOAT, NULL);
        out->u.f = json_number_value(v);
    }
    j_leave(J);
    return out;
}

static const json_t *member(struct jinja *J, const json_t *v, const char *name, bool (*is)(const json_t *), const char *what) { /* NULL: none */
    const json_t *m = json_object_get(v, name);
    if (!m || json_is_null(m)) return NULL;
    if (!is(m)) j_raise(J, JX_TYPE, "input: \"%s\" is not %s", name, what);
    return m;
}
static bool is_text(const json_t *v) { return json_is_string(v); }
static bool is_array(const json_t *v) { return json_is_array(v); }
static bool is_object(const json_t *v) { return json_is_object(v); }

static struct gval *text_member(struct jinja *J, const json_t *v, const char *name) {
    const json_t *m = member(J, v, name, is_text, "a text");
    return m ? str_of(J, m) : gv_text(J, VIEW(""));
}

static struct gval *text_item(struct jinja *J, const json_t *v) {
    if (!json_is_string(v)) j_raise(J, JX_TYPE, "input: not a text where one must be");
    return str_of(J, v);
}

static struct gval *property_of(struct jinja *J, const json_t *v) {
    const json_t *kinds = json_object_get(v, "type");
    if (v && !json_is_object(v)) j_raise(J, JX_TYPE, "tools: a property is not an object");
    j_enter(J);
    struct gval *type = json_is_string(kinds) ? new_list(J, 1, &gt_kinds) : list_of(J, member(J, v, "type", is_array, "a text or an array"), &gt_kinds, text_item);
    if (json_is_string(kinds)) type->u.list.v[0] = str_of(J, kinds);
    struct gval *inner = map_of(J, member(J, v, "properties", is_object, "an object"), &gt_inner, property_of);
    struct gval *out = STRUCT(J, &gt_property, list_of(J, member(J, v, "anyOf", is_array, "an array"), NULL, property_of), type, any_of(J, json_object_get(v, "items")), text_member(J, v, "description"),
                              list_of(J, member(J, v, "enum", is_array, "an array"), NULL, any_of), inner, list_of(J, member(J, v, "required", is_array, "an array"), NULL, text_item));
    j_leave(J);
    return out;
}

struct gval *gv_property_none(struct jinja *J) { return property_of(J, NULL); }

static struct gval *tool_of(struct jinja *J, const json_t *v) {
    if (!json_is_object(v)) j_raise(J, JX_TYPE, "input: a tool is not an object");
    const json_t *f = member(J, v, "function", is_object, "an object"), *p = member(J, f, "parameters", is_object, "an object");
    struct gval *parameters = STRUCT(J, &gt_parameters, text_member(J, p, "type"), any_of(J, json_object_get(p, "$defs")), any_of(J, json_object_get(p, "items")),
                                     list_of(J, member(J, p, "required", is_array, "an array"), NULL, text_item), map_of(J, member(J, p, "properties", is_object, "an object"), &gt_properties, property_of));
    struct gval *function = STRUCT(J, &gt_function, text_member(J, f, "name"), text_member(J, f, "description"), parameters);
    return STRUCT(J, &gt_tool, text_member(J, v, "type"), any_of(J, json_object_get(v, "items")), function);
}

static struct gval *call_of(struct jinja *J, const json_t *v) {
    const json_t *f = member(J, v, "function", is_object, "an object"), *index = json_object_get(f, "index"), *args = json_object_get(f, "arguments");
    if (args && !json_is_object(args) && !json_is_null(args)) j_raise(J, JX_TYPE, "input: the arguments of a call are not an object");
    struct gval *called = STRUCT(J, &gt_called, gv_int(J, json_integer_value(index)), text_member(J, f, "name"), map_of(J, args, &gt_args, any_of));
    return STRUCT(J, &gt_call, text_member(J, v, "id"), called);
}

/* Messages */

enum { ROLE, CONTENT, THINKING, IMAGES, CALLS, TOOL_NAME, TOOL_CALL_ID, N_MESSAGE };

struct turns {
    struct gval *all; /* collated */
    size_t cap;
    struct jsb system;
};

static bool has_role(const struct gval *m, const char *role) { return view_eq((struct view){m->u.list.v[ROLE]->u.s.ptr, m->u.list.v[ROLE]->u.s.len}, view_of(role)); }

static void add_text(struct jinja *J, struct jsb *b, const struct gval *text, bool is_next) {
    if (is_next) jsb_puts(J, b, "\n\n");
    jsb_str(J, b, &text->u.s);
}

static void add_turn(struct jinja *J, struct turns *t, struct gval *m, bool *has_system) {
    struct gval *last = t->all->u.list.n ? t->all->u.list.v[t->all->u.list.n - 1] : NULL;
    const struct jstr *role = &m->u.list.v[ROLE]->u.s;
    if (has_role(m, "system")) {
        add_text(J, &t->system, m->u.list.v[CONTENT], *has_system);
        *has_system = true;
    }
    if (last && !has_role(m, "tool") && view_eq((struct view){role->ptr, role->len}, (struct view){last->u.list.v[ROLE]->u.s.ptr, last->u.list.v[ROLE]->u.s.len})) {
        struct jsb joined = {0};
        add_text(J, &joined, last->u.list.v[CONTENT], false);
        add_text(J, &joined, m->u.list.v[CONTENT], true);
        last->u.list.v[CONTENT] = gv_built(J, &joined);
        return;
    }
    t->all->u.list.v = j_grow(J, t->all->u.list.v, t->all->u.list.n, &t->cap, sizeof(struct gval *));
    t->all->u.list.v[t->all->u.list.n++] = m;
}

static struct gval *either_text(struct jinja *J, const json_t *m, const char *a, const char *b) {
    struct gval *v = text_member(J, m, a);
    return v->u.s.len ? v : text_member(J, m, b);
}

/* A message whose content comes in parts is one for each of them. */
static void add_message(struct jinja *J, struct turns *t, const json_t *m, bool *has_system) {
    const json_t *content = json_object_get(m, "content");
    bool is_parts = json_is_array(content);
    if (!json_is_object(m)) j_raise(J, JX_TYPE, "input: a message is not an object");
    for (size_t i = 0; i < (is_parts ? json_array_size(content) : 1); i++) {
        const json_t *part = json_array_get(content, i), *text = is_parts ? json_object_get(part, "text") : content;
        if (is_parts && !json_is_string(text)) j_raise(J, JX_UNSUPPORTED, "input: a part of a message is no text");
        struct gval *fields[N_MESSAGE] = {text_member(J, m, "role"), is_parts ? str_of(J, text) : text_member(J, m, "content"), either_text(J, m, "reasoning_content", "thinking"), no_list(J, NULL),
                                          list_of(J, member(J, m, "tool_calls", is_array, "an array"), NULL, call_of), either_text(J, m, "name", "tool_name"), text_member(J, m, "tool_call_id")};
        add_turn(J, t, new_struct(J, &gt_message, fields, N_MESSAGE), has_system);
    }
}

static struct turns read_messages(struct jinja *J, const json_t *input) {
    struct turns t = {.all = new_list(J, 0, NULL)};
    const json_t *messages = member(J, input, "messages", is_array, "an array");
    bool has_system = false;
    if (!messages) j_raise(J, JX_TYPE, "input: there are no messages");
    for (size_t i = 0; i < json_array_size(messages); i++) add_message(J, &t, json_array_get(messages, i), &has_system);
    t.all->is_nil = t.all->u.list.n == 0;
    bool ends_open = t.all->u.list.n && has_role(t.all->u.list.v[t.all->u.list.n - 1], "assistant");
    if (json_is_false(json_object_get(input, "add_generation_prompt")) && !ends_open)
        j_raise(J, JX_UNSUPPORTED, "input: add_generation_prompt is false, but a template in Go's language always goes on to the answer");
    return t;
}

/* Running it */

struct thinking {
    bool is_on, is_set;
    struct gval *level;
};

/* As a request's "think": true, false, or how much. Where it says nothing, a template that knows of thinking has it on. */
static struct thinking read_thinking(struct grun *r, const json_t *input) {
    const json_t *enable = json_object_get(input, "enable_thinking"), *effort = json_object_get(input, "reasoning_effort");
    bool has_effort = json_is_string(effort) && json_string_length(effort), is_told = json_is_boolean(enable);
    struct thinking t = {.is_on = is_told ? json_is_true(enable) : has_effort || r->program->has_thinking};
    t.is_set = is_told || has_effort || r->program->has_thinking;
    t.level = t.is_on && has_effort ? str_of(r->J, effort) : gv_text(r->J, t.is_on ? VIEW("medium") : VIEW(""));
    return t;
}

#define N_ROOT 8
struct root {
    struct gpair v[N_ROOT];
    size_t n;
};

static void put(struct jinja *J, struct root *root, const char *name, struct gval *val) { root->v[root->n++] = (struct gpair){js_lit(J, name)->u.s, val}; }

static void run(struct grun *r, struct root *root, const struct thinking *t, bool is_cut) {
    struct gval *data = gv_new(r->J, G_MAP, NULL);
    put(r->J, root, "Think", bool_val(t->is_on));
    put(r->J, root, "ThinkLevel", t->level);
    put(r->J, root, "IsThinkSet", bool_val(t->is_set));
    qsort(root->v, root->n, sizeof root->v[0], by_key);
    data->u.map.v = root->v;
    data->u.map.n = root->n;
    gx_run(r, data, is_cut);
}

struct turn {
    struct gval *system, *prompt, *response;
};

static void run_turn(struct grun *r, struct turn *turn, const struct thinking *t, bool is_last) {
    struct root root = {0};
    put(r->J, &root, "System", turn->system);
    put(r->J, &root, "Prompt", turn->prompt);
    put(r->J, &root, "Response", turn->response);
    run(r, &root, t, is_last);
    turn->system = turn->prompt = turn->response = gv_text(r->J, VIEW(""));
}

static void run_turns(struct grun *r, const struct turns *turns, const struct thinking *t) {
    struct gval *none = gv_text(r->J, VIEW(""));
    struct turn turn = {none, none, none};
    for (size_t i = 0; i < turns->all->u.list.n; i++) {
        struct gval *m = turns->all->u.list.v[i], *content = m->u.list.v[CONTENT];
        bool answers = turn.response->u.s.len > 0;
        if (has_role(m, "system")) {
            if (answers || turn.prompt->u.s.len) run_turn(r, &turn, t, false);
            turn.system = content;
        } else if (has_role(m, "user")) {
            if (answers) run_turn(r, &turn, t, false);
            turn.prompt = content;
        } else if (has_role(m, "assistant")) {
            turn.response = content;
        }
    }
    run_turn(r, &turn, t, true);
}

void gd_render(struct grun *r, const json_t *input) {
    struct jinja *J = r->J;
    struct root root = {0};
    struct thinking t = read_thinking(r, input);
    if (json_string_length(json_object_get(input, "prompt")) && json_string_length(json_object_get(input, "suffix"))) {
        put(J, &root, "Prompt", str_of(J, json_object_get(input, "prompt")));
        put(J, &root, "Suffix", str_of(J, json_object_get(input, "suffix")));
        put(J, &root, "Response", gv_text(J, VIEW("")));
        run(r, &root, &t, false);
        return;
    }
    struct turns turns = read_messages(J, input);
    if (!r->program->has_messages) {
        run_turns(r, &turns, &t);
        return;
    }
    put(J, &root, "System", gv_built(J, &turns.system));
    put(J, &root, "Messages", turns.all);
    put(J, &root, "Tools", list_of(J, member(J, input, "tools", is_array, "an array"), &gt_tools, tool_of));
    put(J, &root, "Response", gv_text(J, VIEW("")));
    run(r, &root, &t, false);
}
