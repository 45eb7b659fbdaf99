/* option_rules.c -- what goes together: rows' needs and bars, so that nothing a user says is left unheard.
 *
 * Only what was said is judged. A configuration file that a run has written says everything, so of it only what is not the default counts, and
 * what is typed beside it overrules it. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/show.h"
#include "cli/options.h"

#define VALUE_BYTES_MAX (1u << 20)

/* Larger than any kind's value. */
union value {
    struct option_biases biases;
    struct option_texts texts;
    struct option_ints ints;
    struct option_seed seed;
    const char *text;
    double number;
};

static bool is_default(const struct option *o, const void *values) {
    union value fresh;
    struct option at_start = *o;
    struct buf now, before;
    memset(&fresh, 0, sizeof fresh);
    at_start.offset = 0;
    if (o->fallback) option_assign(&at_start, o->fallback, &fresh, NULL);
    if (o->kind == OPT_TEXT || o->kind == OPT_FILE || o->kind == OPT_FOLDER) {
        const char *text;
        memcpy(&text, (const char *)values + o->offset, sizeof text);
        if (!text || !fresh.text) return text == fresh.text;
    }
    buf_init(&now, VALUE_BYTES_MAX);
    buf_init(&before, VALUE_BYTES_MAX);
    option_value(o, values, &now);
    option_value(&at_start, &fresh, &before);
    bool is = !now.failed && !before.failed && now.len == before.len && memcmp(now.data, before.data, now.len) == 0;
    buf_fini(&now);
    buf_fini(&before);
    return is;
}

static bool is_said(const struct option_table *t, size_t i, const void *values) {
    const struct common_values *common = values;
    return common->typed[i] || (common->given[i] && !is_default(option_at(t, i), values));
}

/* One part of a rule: "name", "NAME" of an operand, or "name=choice". */
struct term {
    char name[64];
    char choice[64]; /* "": none */
};

/* The part at *p, behind which *p then stands. False: no more. */
static bool next_term(const char **p, struct term *out) {
    size_t n = strcspn(*p, "|"), n_name = strcspn(*p, "=|");
    if (!**p) return false;
    snprintf(out->name, sizeof out->name, "%.*s", (int)n_name, *p);
    snprintf(out->choice, sizeof out->choice, "%.*s", n > n_name ? (int)(n - n_name - 1) : 0, n > n_name ? *p + n_name + 1 : "");
    *p += n;
    if (**p == '|') ++*p;
    return true;
}

static bool is_typed(const struct option_table *t, const struct term *term, const void *values) {
    const struct common_values *common = values;
    const struct option *o;
    for (size_t i = 0; (o = option_at(t, i)); i++)
        if (o->kind != OPT_SECTION && strcmp(o->name, term->name) == 0) return common->typed[i];
    return true; /* an operand */
}

static bool holds(const struct option_table *t, const struct term *term, const void *values) {
    const struct common_values *common = values;
    const struct option *o;
    if (isupper((unsigned char)term->name[0])) {
        for (size_t i = 0; i < t->n_operands; i++)
            if (strcmp(t->operands[i].name, term->name) == 0) return i < common->n_operands;
        SLM_ASSERT(false && "a rule names an operand that is none");
    }
    for (size_t i = 0; (o = option_at(t, i)); i++) {
        if (o->kind == OPT_SECTION || strcmp(o->name, term->name) != 0) continue;
        if (!term->choice[0]) return is_said(t, i, values);
        struct buf now;
        buf_init(&now, VALUE_BYTES_MAX);
        option_value(o, values, &now);
        bool is = now.data && strcmp(now.data, term->choice) == 0;
        buf_fini(&now);
        return is;
    }
    SLM_ASSERT(false && "a rule names an option that is none");
    return false;
}

static void put_term(const struct term *term, struct buf *out) {
    if (isupper((unsigned char)term->name[0])) buf_puts(out, term->name);
    else buf_printf(out, "--%s%s%s", term->name, term->choice[0] ? " " : "", term->choice);
}

void option_rule_print(const char *rule, const char *between, struct buf *out) {
    struct term term;
    for (const char *p = rule, *first = rule; next_term(&p, &term);) {
        if (first != rule) buf_puts(out, between);
        put_term(&term, out);
        first = p;
    }
}

static slm_status refuse_missing(const struct option_table *t, const struct option *o, slm_err *err) {
    struct buf list;
    buf_init(&list, 1024);
    option_rule_print(o->needs, " or ", &list);
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"--%s\": without %s it does nothing", o->name, list.data ? list.data : "");
    err_hint(err, "\"slm %s --help\" tells what goes together", t->command);
    buf_fini(&list);
    return SLM_E_USAGE;
}

static slm_status refuse_beside(const struct option *o, const struct term *term, slm_err *err) {
    struct buf other;
    buf_init(&other, 256);
    put_term(term, &other);
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "option \"--%s\": does nothing beside \"%s\", which is given too", o->name, other.data ? other.data : "");
    err_hint(err, "leave one of them out");
    buf_fini(&other);
    return SLM_E_USAGE;
}

static const char *file_at(const struct option_table *t, size_t i, const void *values, bool is_written) {
    const struct option *o = i < t->n_options ? &t->options[i] : &t->operands[i - t->n_options];
    const char *path = NULL;
    if (o->kind == OPT_FILE && !(o->flags & OPTION_WRITTEN) == !is_written) memcpy(&path, (const char *)values + o->offset, sizeof path);
    return path;
}

static bool is_same_file(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && S_ISREG(x.st_mode) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static slm_status check_written(const struct option_table *t, const void *values, slm_err *err) {
    size_t n = t->n_options + t->n_operands;
    for (size_t i = 0; i < n; i++) {
        const char *out = file_at(t, i, values, true), *in;
        for (size_t k = 0; out && k < n; k++) {
            if (!(in = file_at(t, k, values, false)) || !is_same_file(in, out)) continue;
            err_set(err, SLM_E_USAGE, SLM_NOWHERE, "output \"%s\": is a file that is read, by this name or another", show_path(out).s);
            err_hint(err, "give another name");
            return SLM_E_USAGE;
        }
    }
    return SLM_OK;
}

slm_status options_check(const struct option_table *t, const void *values, slm_err *err) {
    const struct common_values *common = values;
    const struct option *o;
    struct term term;
    for (size_t i = 0; (o = option_at(t, i)); i++) {
        if ((!o->needs && !o->bars) || !is_said(t, i, values)) continue;
        bool met = !o->needs;
        for (const char *p = o->needs; !met && next_term(&p, &term);) met = holds(t, &term, values);
        if (!met) return refuse_missing(t, o, err);
        for (const char *p = o->bars; p && next_term(&p, &term);)
            if ((common->typed[i] || !is_typed(t, &term, values)) && holds(t, &term, values)) return refuse_beside(o, &term, err);
    }
    return check_written(t, values, err);
}

bool options_said(const struct option_table *t, const void *values, const char *name) {
    struct term term = {.choice = ""};
    snprintf(term.name, sizeof term.name, "%s", name);
    return holds(t, &term, values);
}
