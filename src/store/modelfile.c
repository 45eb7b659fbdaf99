/* modelfile.c -- Modelfiles: lines of DIRECTIVE VALUE, as Ollama has them.
 *
 * A value is the rest of its line without the space around it, or a text in quotes ("..." or three of them on each side), which may run over lines: it ends
 * with the first line that closes it. "#" begins a comment where a directive could stand. Directives in any case of letters. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/nearest.h"
#include "base/show.h"
#include "base/util.h"
#include "store/recipe.h"

#define WORD_MAX 64

struct reading {
    struct view left;
    size_t line; /* of what left begins with, from 1 */
    const char *what;
    struct recipe *r;
};

struct directive {
    const char *name;
    bool has_key; /* a word before the value */
    slm_status (*take)(struct recipe *r, const char *key, struct view value, slm_err *err);
};

static slm_status take_text(struct recipe *r, char **to, const char *name, struct view value, slm_err *err) {
    if (*to) return err_set(err, SLM_E_USAGE, SLM_NOWHERE, "%s is given twice", name);
    *to = arena_strdup(&r->mem, value);
    return *to ? SLM_OK : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "recipe: out of memory");
}

static slm_status take_from(struct recipe *r, const char *key, struct view value, slm_err *err) {
    (void)key;
    return value.len ? take_text(r, &r->from, "FROM", value, err) : err_set(err, SLM_E_USAGE, SLM_NOWHERE, "FROM names nothing");
}

static slm_status take_system(struct recipe *r, const char *key, struct view value, slm_err *err) {
    (void)key;
    return take_text(r, &r->system, "SYSTEM", value, err);
}

static slm_status take_template(struct recipe *r, const char *key, struct view value, slm_err *err) {
    (void)key;
    return take_text(r, &r->template, "TEMPLATE", value, err);
}

static slm_status take_parameter(struct recipe *r, const char *key, struct view value, slm_err *err) {
    json_t *text = json_stringn(value.ptr, value.len);
    slm_status st = text ? recipe_set_param(r, key, text, err) : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "recipe: out of memory");
    json_decref(text);
    return st;
}

static slm_status take_message(struct recipe *r, const char *key, struct view value, slm_err *err) { return recipe_add_message(r, key, value, err); }

static slm_status append(json_t *list, struct view value, slm_err *err) {
    return json_array_append_new(list, json_stringn(value.ptr, value.len)) == 0 ? SLM_OK : err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "recipe: out of memory");
}

static slm_status take_license(struct recipe *r, const char *key, struct view value, slm_err *err) {
    (void)key;
    return append(r->licenses, value, err);
}

static slm_status take_adapter(struct recipe *r, const char *key, struct view value, slm_err *err) {
    (void)key;
    return value.len ? append(r->adapters, value, err) : err_set(err, SLM_E_USAGE, SLM_NOWHERE, "ADAPTER names nothing");
}

static const struct directive directives[] = {
    {"FROM", false, take_from},       {"PARAMETER", true, take_parameter}, {"SYSTEM", false, take_system},   {"TEMPLATE", false, take_template},
    {"MESSAGE", true, take_message},  {"LICENSE", false, take_license},    {"ADAPTER", false, take_adapter},
};
#define N_DIRECTIVES (sizeof directives / sizeof directives[0])

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r'; }

static struct view trim(struct view v) {
    while (v.len && (is_space(*v.ptr) || *v.ptr == '\n')) v.ptr++, v.len--;
    while (v.len && (is_space(v.ptr[v.len - 1]) || v.ptr[v.len - 1] == '\n')) v.len--;
    return v;
}

static void skip(struct reading *in, size_t n) {
    for (size_t i = 0; i < n; i++) in->line += in->left.ptr[i] == '\n';
    in->left.ptr += n;
    in->left.len -= n;
}

static size_t line_length(struct view v) {
    const char *end = v.len ? memchr(v.ptr, '\n', v.len) : NULL;
    return end ? (size_t)(end - v.ptr) : v.len;
}

/* Empty lines and comments. */
static void skip_nothing(struct reading *in) {
    while (in->left.len) {
        struct view line = {in->left.ptr, line_length(in->left)}, said = trim(line);
        if (said.len && *said.ptr != '#') return;
        skip(in, line.len < in->left.len ? line.len + 1 : line.len);
    }
}

static size_t quotes_of(struct view v) { return v.len >= 3 && memcmp(v.ptr, "\"\"\"", 3) == 0 ? 3 : v.len && *v.ptr == '"' ? 1 : 0; }

/* The next word of this line into out; false: there is none, or it is longer. */
static bool take_word(struct reading *in, char out[WORD_MAX]) {
    size_t n = 0, all = line_length(in->left), begin = 0;
    while (begin < all && is_space(in->left.ptr[begin])) begin++;
    while (begin + n < all && !is_space(in->left.ptr[begin + n])) n++;
    if (n == 0 || n >= WORD_MAX) return false;
    memcpy(out, in->left.ptr + begin, n);
    out[n] = 0;
    skip(in, begin + n);
    return true;
}

/* What stands from here to the end of the value. False: quotes that nothing closes. */
static bool take_value(struct reading *in, struct view *value) {
    size_t n = line_length(in->left);
    struct view v = trim((struct view){in->left.ptr, n});
    size_t q = quotes_of(v);
    while (q && (v.len < 2 * q || memcmp(v.ptr + v.len - q, v.ptr, q) != 0)) {
        if (n == in->left.len) return false;
        n += 1 + line_length((struct view){in->left.ptr + n + 1, in->left.len - n - 1});
        v = trim((struct view){in->left.ptr, n});
    }
    *value = (struct view){v.ptr + q, v.len - 2 * q};
    skip(in, n);
    return true;
}

static slm_status refuse_directive(const char *name, slm_err *err) {
    const char *names[N_DIRECTIVES];
    for (size_t i = 0; i < N_DIRECTIVES; i++) names[i] = directives[i].name;
    const char *best = nearest_name(name, names, N_DIRECTIVES);
    err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "directive \"%s\": there is no such directive", show_cstr(name).s);
    if (nearest_is_close(name, best)) err_hint(err, "did you mean %s?", best);
    else err_hint(err, "FROM, PARAMETER, SYSTEM, TEMPLATE, MESSAGE, ADAPTER and LICENSE");
    return SLM_E_FORMAT;
}

static slm_status take_directive(struct reading *in, slm_err *err) {
    char name[WORD_MAX], key[WORD_MAX] = "";
    struct view value;
    const struct directive *d = NULL;
    if (!take_word(in, name)) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "a directive is shorter than %d bytes", WORD_MAX);
    for (size_t i = 0; i < N_DIRECTIVES && !d; i++)
        if (strcasecmp(directives[i].name, name) == 0) d = &directives[i];
    if (!d) return refuse_directive(name, err);
    if (d->has_key && !take_word(in, key)) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "%s is followed by a word and a value", d->name);
    if (!take_value(in, &value)) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "%s: quotes that nothing closes", d->name);
    return d->take(in->r, key, value, err);
}

static slm_status check_text(struct view text, const char *what, slm_err *err) {
    uint32_t cp;
    if (text.len > MODELFILE_BYTES_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "\"%s\": %zu bytes, at most %u", show_path(what).s, text.len, MODELFILE_BYTES_MAX);
    for (size_t i = 0; i < text.len;) {
        int n = utf8_decode(text.ptr + i, text.len - i, &cp);
        if (n == 0 || cp == 0) return err_set(err, SLM_E_FORMAT, i, "\"%s\": byte %zu is no text", show_path(what).s, i);
        i += (size_t)n;
    }
    return SLM_OK;
}

slm_status modelfile_parse(struct view text, const char *what, struct recipe *r, slm_err *err) {
    struct reading in = {.left = text, .line = 1, .what = what, .r = r};
    slm_status st = check_text(text, what, err);
    if (st != SLM_OK) return st;
    for (skip_nothing(&in); in.left.len; skip_nothing(&in)) {
        size_t line = in.line;
        st = take_directive(&in, err);
        if (st != SLM_OK) return err_wrap(err, st == SLM_E_NOMEM ? st : SLM_E_FORMAT, "\"%s\", line %zu", show_path(what).s, line);
    }
    return r->from ? SLM_OK : err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "\"%s\": no FROM says what the model is made from", show_path(what).s);
}

/* A value, in quotes where it would not read back without. */
static void print_value(const char *text, struct buf *out) {
    struct view v = view_of(text), trimmed = trim(v);
    bool is_plain = v.len && trimmed.len == v.len && *text != '"' && !strchr(text, '\n');
    buf_printf(out, "%s", is_plain ? "" : "\"\"\"");
    buf_puts(out, text);
    buf_puts(out, is_plain ? "\n" : "\"\"\"\n");
}

/* Whether what was printed is the text again, and nothing is behind it. */
static bool reads_back(struct view printed, const char *text) {
    struct reading in = {.left = {printed.ptr, printed.len - 1}, .line = 1}; /* less its last line end */
    struct view value;
    return check_text(view_of(text), "", NULL) == SLM_OK && take_value(&in, &value) && in.left.len == 0 && view_eq(value, view_of(text));
}

static void print_text(const char *directive, const char *text, struct buf *out) {
    struct buf line;
    buf_init(&line, out->max);
    print_value(text, &line);
    if (line.failed == SLM_OK && reads_back((struct view){line.data, line.len}, text)) buf_printf(out, "%s %s", directive, line.data);
    else buf_printf(out, "# %s: left out, a Modelfile cannot say its %zu bytes\n", directive, strlen(text));
    buf_fini(&line);
}

static void print_all(const char *directive, const json_t *list, struct buf *out) {
    for (size_t i = 0; i < json_array_size(list); i++) print_text(directive, json_string_value(json_array_get(list, i)), out);
}

static void print_param(const char *name, const json_t *v, struct buf *out) {
    char directive[WORD_MAX + 16];
    for (size_t i = 0; i < json_array_size(v); i++) print_param(name, json_array_get(v, i), out);
    if (json_is_array(v)) return;
    snprintf(directive, sizeof directive, "PARAMETER %s", name);
    if (json_is_string(v)) print_text(directive, json_string_value(v), out);
    else if (json_is_integer(v)) buf_printf(out, "%s %lld\n", directive, (long long)json_integer_value(v));
    else if (json_is_real(v)) buf_printf(out, "%s %.17g\n", directive, json_real_value(v));
    else buf_printf(out, "%s %s\n", directive, json_is_true(v) ? "true" : "false");
}

void modelfile_print(const struct recipe *r, struct buf *out) {
    const char *name;
    json_t *v;
    const struct { const char *directive, *text; } texts[] = {{"FROM", r->from}, {"TEMPLATE", r->template}, {"SYSTEM", r->system}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (texts[i].text) print_text(texts[i].directive, texts[i].text, out);
    json_object_foreach(r->params, name, v) print_param(name, v, out);
    for (size_t i = 0; i < json_array_size(r->left_out); i++)
        buf_printf(out, "# PARAMETER \"%s\": left out, there is no such parameter here\n", show_cstr(json_string_value(json_array_get(r->left_out, i))).s);
    for (size_t i = 0; i < json_array_size(r->messages); i++) {
        char directive[32];
        const json_t *m = json_array_get(r->messages, i);
        snprintf(directive, sizeof directive, "MESSAGE %s", json_string_value(json_object_get(m, "role")));
        print_text(directive, json_string_value(json_object_get(m, "content")), out);
    }
    print_all("ADAPTER", r->adapters, out);
    print_all("LICENSE", r->licenses, out);
}
