/* jtrack.c -- one byte at a time. */
#include "task/jtrack.h"

#include <stdio.h>
#include <string.h>

#include "base/util.h"

#define REF_HOPS_MAX 16

void jtrack_init(struct jtrack *t, const json_t *schema, struct view source) {
    memset(t, 0, sizeof *t);
    t->source = source;
    t->root = t->schema = schema;
}

/* ---- schemas ---- */

/* Local references only: "#/$defs/name". What cannot be followed is not known. */
static const json_t *follow(const json_t *root, const json_t *schema) {
    for (int hop = 0; hop < REF_HOPS_MAX; hop++) {
        const char *ref = json_string_value(json_object_get(schema, "$ref"));
        if (!ref) return schema;
        if (strncmp(ref, "#/", 2) != 0) return NULL;
        schema = root;
        for (const char *p = ref + 2; schema && *p;) {
            size_t n = strcspn(p, "/");
            schema = json_object_getn(schema, p, n);
            p += n + (p[n] == '/');
        }
    }
    return NULL;
}

/* The alternative of anyOf or oneOf that has what is asked for; the schema itself when there are none. */
static const json_t *alternative(const json_t *root, const json_t *schema, const char *key) {
    static const char *const lists[] = {"anyOf", "oneOf", "allOf"};
    schema = follow(root, schema);
    if (!schema || json_object_get(schema, key)) return schema;
    for (size_t k = 0; k < 3; k++) {
        const json_t *list = json_object_get(schema, lists[k]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *one = follow(root, json_array_get(list, i));
            if (json_object_get(one, key)) return one;
        }
    }
    return schema;
}

static const json_t *child_of(const json_t *root, const json_t *schema, bool is_object, const char *key, size_t n_key) {
    if (!schema) return NULL;
    if (!is_object) return json_object_get(alternative(root, schema, "items"), "items");
    const json_t *s = alternative(root, schema, "properties"), *own = json_object_getn(json_object_get(s, "properties"), key, n_key);
    return own ? own : json_object_get(s, "additionalProperties");
}

/* jtrack_grounds -- whether a schema's string must be copied: no enum, const, format or pattern, and no "x-ground": false. */
static bool jtrack_grounds(const json_t *root, const json_t *schema) {
    static const char *const closed[] = {"enum", "const", "format", "pattern"};
    schema = follow(root, schema);
    for (size_t i = 0; i < sizeof closed / sizeof closed[0]; i++)
        if (json_object_get(alternative(root, schema, closed[i]), closed[i])) return json_is_true(json_object_get(schema, "x-ground"));
    return !json_is_false(json_object_get(schema, "x-ground"));
}

/* ---- paths ---- */

static bool path_add(struct jtrack *t, const char *s, size_t n) {
    if (t->n_path + 2 * n + 2 > sizeof t->path) return false;
    t->path[t->n_path++] = '/';
    for (size_t i = 0; i < n; i++) {
        if (s[i] == '~' || s[i] == '/') {
            t->path[t->n_path++] = '~';
            t->path[t->n_path++] = s[i] == '~' ? '0' : '1';
        } else t->path[t->n_path++] = s[i];
    }
    t->path[t->n_path] = 0;
    return true;
}

/* The path and schema of the next item of an array. */
static bool enter_item(struct jtrack *t) {
    struct jlevel *l = &t->level[t->depth - 1];
    char number[16];
    t->n_path = l->path_len;
    t->path[t->n_path] = 0;
    int n = snprintf(number, sizeof number, "%u", l->i_item);
    t->schema = child_of(t->root, l->schema, false, NULL, 0);
    return path_add(t, number, (size_t)n);
}

/* ---- bytes ---- */

static bool is_word_byte(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

static bool says_something(const char *s, const char *end) {
    while (s < end && !is_word_byte(*s) && (unsigned char)*s < 0x80) s++;
    return s < end;
}

static bool is_blank(const char *s, const char *end) {
    while (s < end && is_space(*s)) s++;
    return s == end;
}

/* Whether the text so far stands in the source from the beginning of a word on and can still become a copy; whole: it is one, to the end of a word. A
 * copy says something (a point alone does not), and has no space at its ends. Letters beyond ASCII end no word and begin none, so scripts
 * without spaces are free. */
static bool occurs(const struct jtrack *t, bool whole) {
    const char *s = t->source.ptr, *end = s + t->source.len, *text_end = t->text + t->n_text;
    if (t->n_text == 0 || is_space(t->text[0])) return false;
    bool open_end = is_space(text_end[-1]);
    if (whole && (open_end || !says_something(t->text, text_end))) return false;
    for (const char *at = s; at < end && (at = memmem(at, (size_t)(end - at), t->text, t->n_text)) != NULL; at++) {
        const char *behind = at + t->n_text;
        bool begins = at == s || !is_word_byte(at[0]) || !is_word_byte(at[-1]);
        bool ends = behind == end || !is_word_byte(behind[0]) || !is_word_byte(behind[-1]);
        bool goes_on = says_something(at, end) && !(open_end && is_blank(behind, end));
        if (begins && (whole ? ends : goes_on)) return true;
    }
    return false;
}

static bool end_leaf(struct jtrack *t, struct jleaves *leaves, bool is_string) {
    if (!leaves) return true;
    if (leaves->n == JTRACK_LEAF_MAX) return false;
    struct jleaf *l = &leaves->v[leaves->n++];
    *l = (struct jleaf){.start = t->start, .end = t->at, .is_string = is_string, .is_grounded = is_string && t->is_grounded};
    memcpy(l->path, t->path, t->n_path + 1);
    return true;
}

static bool take_text(struct jtrack *t, const char *s, size_t n) {
    bool needed = t->is_key || t->is_grounded;
    if (!needed) return true;
    if (t->n_text + n > sizeof t->text) return false;
    memcpy(t->text + t->n_text, s, n);
    t->n_text += n;
    return !t->is_grounded || occurs(t, false);
}

static bool take_code(struct jtrack *t, uint32_t c) {
    char out[4];
    if (c >= 0xd800 && c < 0xdc00) {
        t->high = c;
        return true;
    }
    if (c >= 0xdc00 && c < 0xe000) {
        if (!t->high) return false;
        c = 0x10000 + ((t->high - 0xd800) << 10) + (c - 0xdc00);
    }
    t->high = 0;
    return take_text(t, out, (size_t)utf8_encode(c, out));
}

static const char escape_from[] = "bfnrt\"\\/", escape_to[] = "\b\f\n\r\t\"\\/";

/* Whether anything that a backslash can begin goes on with the copy. A copy has no \u: what it says can be written as it is. */
static bool may_escape(struct jtrack *t) {
    bool any = !t->is_grounded;
    for (const char *c = escape_to; *c && !any; c++) {
        const size_t n_text = t->n_text;
        any = take_text(t, c, 1);
        t->n_text = n_text;
    }
    return any;
}

static bool take_escape(struct jtrack *t, char c) {
    t->escaped = false;
    if (c == 'u') {
        if (t->is_grounded) return false;
        t->n_hex = 4;
        t->hex = 0;
        return true;
    }
    const char *p = strchr(escape_from, c);
    return p && *p && take_text(t, &escape_to[p - escape_from], 1);
}

static bool take_hex(struct jtrack *t, char c) {
    static const char digits[] = "0123456789abcdef";
    const char *p = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    if (!p) return false;
    t->hex = t->hex << 4 | (uint32_t)(p - digits);
    return --t->n_hex > 0 || take_code(t, t->hex);
}

static bool end_string(struct jtrack *t, struct jleaves *leaves) {
    t->in_string = false;
    if (!t->is_key) return (!t->is_grounded || (t->n_text > 0 && occurs(t, true))) && end_leaf(t, leaves, true);
    struct jlevel *l = &t->level[t->depth - 1];
    t->schema = child_of(t->root, l->schema, true, t->text, t->n_text);
    t->n_path = l->path_len;
    l->wants_key = false;
    return path_add(t, t->text, t->n_text);
}

static bool in_string(struct jtrack *t, char c, struct jleaves *leaves) {
    if (t->n_hex > 0) return take_hex(t, c);
    if (t->escaped) return take_escape(t, c);
    if (c == '"') {
        t->at++; /* the leaf has its quotes */
        bool ok = end_string(t, leaves);
        t->at--;
        return ok;
    }
    if (c == '\\') {
        t->escaped = true;
        return may_escape(t);
    }
    return take_text(t, &c, 1);
}

static bool open_level(struct jtrack *t, bool is_object) {
    if (t->depth == JTRACK_DEPTH_MAX) return false;
    t->level[t->depth++] = (struct jlevel){.is_object = is_object, .wants_key = is_object, .schema = t->schema, .path_len = t->n_path};
    return true;
}

static bool push_byte(struct jtrack *t, char c, struct jleaves *leaves) {
    struct jlevel *l = t->depth ? &t->level[t->depth - 1] : NULL;
    if (t->in_string) return in_string(t, c, leaves);
    bool ends = c == ',' || c == '}' || c == ']' || is_space(c);
    if (t->in_scalar && !ends) return true;
    if (t->in_scalar) {
        t->in_scalar = false;
        if (!end_leaf(t, leaves, false)) return false;
    }
    if (is_space(c) || c == ':') return true;
    if (c == ']' || c == '}') {
        if (!l) return false;
        t->depth--;
        t->n_path = l->path_len;
        t->path[t->n_path] = 0;
        return true;
    }
    if (c == ',') {
        if (!l) return false;
        l->i_item++;
        l->wants_key = l->is_object;
        return true;
    }
    bool is_key = l && l->wants_key;
    if (l && !l->is_object && !enter_item(t)) return false;
    if (c == '{' || c == '[') return open_level(t, c == '{');
    t->start = t->at;
    t->n_text = 0;
    if (c != '"') {
        t->in_scalar = true;
        return true;
    }
    t->in_string = true;
    t->is_key = is_key;
    t->escaped = false;
    t->n_hex = 0;
    t->high = 0;
    t->is_grounded = !is_key && t->source.ptr && jtrack_grounds(t->root, t->schema);
    return true;
}

bool jtrack_push(struct jtrack *t, struct view bytes, struct jleaves *leaves) {
    for (size_t i = 0; i < bytes.len; i++, t->at++)
        if (!push_byte(t, bytes.ptr[i], leaves)) return false;
    return true;
}

bool jtrack_end(struct jtrack *t, struct jleaves *leaves) {
    if (!t->in_scalar) return true;
    t->in_scalar = false;
    return end_leaf(t, leaves, false);
}
