/* options.c -- the parser: kinds of values as rows, and one pass over the arguments.
 *
 * A message names the option and the value as typed; a hint says what the row allows, so it can never disagree with the
 * help. Numbers are read whole or not at all: "5x", "0x10" and "nan" are refused. */
#include "cli/options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "base/show.h"
#include "cli/config.h"


const struct option common_options[] = {
    {.kind = OPT_SECTION, .help = "every command"},
    {.kind = OPT_FLAG, .letter = 'v', .name = "verbose", .offset = offsetof(struct common_values, verbose), .since = "0.1",
     .help = "say more on standard error"},
    {.kind = OPT_FLAG, .name = "trace", .offset = offsetof(struct common_values, trace), .since = "0.1",
     .help = "print each step with its time on standard error"},
    {.kind = OPT_FLAG, .letter = 'h', .name = "", .offset = offsetof(struct common_values, help_short), .since = "0.1",
     .help = "the options in short"},
    {.kind = OPT_FLAG, .name = "help", .offset = offsetof(struct common_values, help), .since = "0.1",
     .help = "everything about the command"},
};
const size_t n_common_options = sizeof common_options / sizeof common_options[0];

const struct option *option_at(const struct option_table *t, size_t i) {
    if (i < t->n_options) return &t->options[i];
    return i - t->n_options < n_common_options ? &common_options[i - t->n_options] : NULL;
}

const struct option *option_find(const struct option_table *t, const char *name, size_t n_name) {
    const struct option *o;
    for (size_t i = 0; (o = option_at(t, i)); i++)
        if (o->kind != OPT_SECTION && n_name && strlen(o->name) == n_name && memcmp(o->name, name, n_name) == 0) return o;
    return NULL;
}

static const struct option *find_letter(const struct option_table *t, char letter) {
    const struct option *o;
    for (size_t i = 0; (o = option_at(t, i)); i++)
        if (o->letter && o->letter == letter) return o;
    return NULL;
}

/* Kinds. Each reads text into a place; a reason (static text) means refused. */
struct kind {
    const char *name;
    const char *(*read)(const struct option *o, const char *text, void *place);
};

static const char *parse_int(const char *text, double min, double max, int64_t *v) {
    char *end;
    errno = 0;
    if (!isdigit((unsigned char)text[0]) && !((text[0] == '-' || text[0] == '+') && isdigit((unsigned char)text[1]))) return "not a whole number";
    long long n = strtoll(text, &end, 10);
    if (*end) return "not a whole number";
    if (errno == ERANGE || (double)n < min || (double)n > max) return "out of range";
    *v = n;
    return NULL;
}

static const char *read_flag(const struct option *o, const char *text, void *place) {
    (void)o;
    (void)text;
    *(bool *)place = true;
    return NULL;
}

static const char *read_int(const struct option *o, const char *text, void *place) {
    int64_t v = 0;
    const char *why = parse_int(text, o->min, o->max, &v);
    if (!why) *(int32_t *)place = (int32_t)v;
    return why;
}

static const char *parse_float(const char *text, double min, double max, double *out) {
    char *end;
    const char *digits = text[0] == '-' || text[0] == '+' ? text + 1 : text;
    if (!isdigit((unsigned char)digits[0]) && !(digits[0] == '.' && isdigit((unsigned char)digits[1]))) return "not a number";
    if (digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X')) return "not a decimal number";
    double v = strtod(text, &end);
    if (*end) return "not a number";
    if (!(v >= min && v <= max)) return "out of range";
    *out = v;
    return NULL;
}

static const char *read_float(const struct option *o, const char *text, void *place) {
    double v = 0;
    const char *why = parse_float(text, o->min, o->max, &v);
    if (!why) *(float *)place = (float)v;
    return why;
}

static const char *read_biases(const struct option *o, const char *text, void *place) {
    struct option_biases *list = place;
    char id_text[16];
    size_t n = strcspn(text, "=");
    int64_t id = 0;
    double bias = -INFINITY;
    if (!text[n] || n >= sizeof id_text) return "not ID=BIAS";
    memcpy(id_text, text, n);
    id_text[n] = 0;
    if (parse_int(id_text, 0, INT32_MAX, &id)) return "not ID=BIAS";
    if (strcmp(text + n + 1, "-inf") != 0) {
        const char *why = parse_float(text + n + 1, o->min, o->max, &bias);
        if (why) return strcmp(why, "out of range") == 0 ? why : "not ID=BIAS";
    }
    if (list->n == OPTION_BIASES_MAX) return "given more often than is allowed";
    list->v[list->n++] = (struct logit_bias){(int32_t)id, (float)bias};
    return NULL;
}

static const char *read_seed(const struct option *o, const char *text, void *place) {
    struct option_seed *s = place;
    int64_t v = 0;
    if (strcmp(text, "random") == 0) {
        *s = (struct option_seed){.is_random = true};
        return NULL;
    }
    const char *why = parse_int(text, o->min, o->max, &v);
    if (!why) *s = (struct option_seed){false, (uint64_t)v};
    return why;
}

static const char *read_text(const struct option *o, const char *text, void *place) {
    (void)o;
    *(const char **)place = text;
    return NULL;
}

static const char *read_path(const struct option *o, const char *text, void *place) { return *text ? read_text(o, text, place) : "empty"; }

static const char *read_choice(const struct option *o, const char *text, void *place) {
    size_t n = strlen(text);
    int32_t i = 0;
    for (const char *p = o->choices; *p; i++) {
        size_t n_choice = strcspn(p, "|");
        if (n == n_choice && memcmp(p, text, n) == 0) {
            *(int32_t *)place = i;
            return NULL;
        }
        p += n_choice + (p[n_choice] == '|');
    }
    return "not one of the choices";
}

static const char *read_ints(const struct option *o, const char *text, void *place) {
    struct option_ints list = {.n = 0};
    for (const char *p = text;;) {
        char one[24];
        int64_t v = 0;
        size_t n = strcspn(p, ",");
        if (n >= sizeof one) return "not a list of whole numbers";
        memcpy(one, p, n);
        one[n] = 0;
        const char *why = parse_int(one, o->min, o->max, &v);
        if (why) return strcmp(why, "out of range") == 0 ? why : "not a list of whole numbers";
        if (list.n == OPTION_INTS_MAX) return "a longer list than is allowed";
        list.v[list.n++] = (int32_t)v;
        if (!p[n]) break;
        p += n + 1;
    }
    *(struct option_ints *)place = list;
    return NULL;
}

static const char *read_texts(const struct option *o, const char *text, void *place) {
    struct option_texts *list = place;
    (void)o;
    if (list->n == OPTION_TEXTS_MAX) return "given more often than is allowed";
    list->v[list->n++] = text;
    return NULL;
}

static const struct kind kinds[OPT_KIND_COUNT] = {
    [OPT_SECTION] = {"section", NULL},    [OPT_FLAG] = {"flag", read_flag},       [OPT_INT] = {"int", read_int},
    [OPT_FLOAT] = {"float", read_float},  [OPT_SEED] = {"seed", read_seed},       [OPT_TEXT] = {"text", read_text},
    [OPT_FILE] = {"file", read_path},     [OPT_FOLDER] = {"folder", read_path},   [OPT_CHOICE] = {"choice", read_choice},
    [OPT_INTS] = {"ints", read_ints},     [OPT_TEXTS] = {"texts", read_texts},
    [OPT_BIASES] = {"biases", read_biases},
};

/* Range and choices as words; "" for kinds that take anything. */
static void put_range(const struct option *o, struct buf *out) {
    switch (o->kind) {
    case OPT_SEED: buf_puts(out, "\"random\" or "); /* fallthrough */
    case OPT_INT:
    case OPT_INTS:
        if (o->max >= INT32_MAX) buf_printf(out, "%.0f or more", o->min);
        else buf_printf(out, "%.0f to %.0f", o->min, o->max);
        break;
    case OPT_BIASES: buf_puts(out, "BIAS -inf or "); /* fallthrough */
    case OPT_FLOAT: buf_printf(out, "%.9g to %.9g", o->min, o->max); break;
    case OPT_CHOICE:
        for (const char *p = o->choices; *p; p++) {
            if (*p == '|') buf_puts(out, ", ");
            else buf_putc(out, *p);
        }
        break;
    default: break;
    }
}

static bool is_repeated(const struct option *o) { return (o->kind == OPT_TEXTS || o->kind == OPT_BIASES) && islower((unsigned char)o->name[0]); }

/* put_fact -- one more of an option's facts, with what parts it from the one before. */
static void put_fact(struct buf *out, size_t start, const char *word, const char *value) { buf_printf(out, "%s%s%s", out->len > start ? "; " : "", word, value); }

void option_facts(const struct option *o, struct buf *out) {
    struct buf range;
    size_t start = out->len;
    buf_init(&range, 4096);
    put_range(o, &range);
    if (o->flags & OPTION_REQUIRED) put_fact(out, start, "required", "");
    if (o->fallback) put_fact(out, start, "default ", o->fallback);
    if (range.len) put_fact(out, start, "", range.data);
    if (is_repeated(o)) put_fact(out, start, "may be given again", "");
    if (o->needs) put_fact(out, start, "with ", ""), option_rule_print(o->needs, " or ", out);
    if (o->bars) put_fact(out, start, "not with ", ""), option_rule_print(o->bars, ", ", out);
    buf_fini(&range);
}

/* "--temp", "-n, --predict", or an operand's name. */
static void put_name(const struct option *o, struct buf *out) {
    if (isupper((unsigned char)o->name[0])) buf_puts(out, o->name);
    else if (o->name[0]) buf_printf(out, "--%s", o->name);
    else buf_printf(out, "-%c", o->letter);
}

slm_status option_assign(const struct option *o, const char *text, void *values, slm_err *err) {
    const char *why = kinds[o->kind].read(o, text, (char *)values + o->offset);
    if (!why) return SLM_OK;
    struct buf name, facts;
    buf_init(&name, 256);
    buf_init(&facts, 4096);
    put_name(o, &name);
    put_range(o, &facts);
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "%s \"%s\": \"%s\" is %s", isupper((unsigned char)o->name[0]) ? "argument" : "option", name.data,
            show_cstr(text).s, why);
    if (facts.len) err_hint(err, "%s takes %s%s%s", name.data, facts.data, o->fallback ? "; default " : "", o->fallback ? o->fallback : "");
    else err_hint(err, "%s takes %s", name.data, o->value ? o->value : "no value");
    buf_fini(&name);
    buf_fini(&facts);
    return SLM_E_USAGE;
}

static void put_ints(const struct option_ints *list, struct buf *out) {
    for (size_t i = 0; i < list->n; i++) buf_printf(out, "%s%d", i ? "," : "", list->v[i]);
}

static void put_texts(const struct option_texts *list, struct buf *out) {
    for (size_t i = 0; i < list->n; i++) {
        buf_puts(out, i ? " \"" : "\"");
        show_quoted(view_of(list->v[i]), out);
        buf_putc(out, '"');
    }
}

static void put_choice(const struct option *o, int32_t choice, struct buf *out) {
    const char *p = o->choices;
    for (; choice > 0; choice--) p += strcspn(p, "|") + 1;
    buf_append(out, p, strcspn(p, "|"));
}

void option_value(const struct option *o, const void *values, struct buf *out) {
    const void *at = (const char *)values + o->offset;
    const struct option_seed *seed = at;
    const struct option_biases *biases = at;
    switch (o->kind) {
    case OPT_FLAG: buf_puts(out, *(const bool *)at ? "on" : "off"); break;
    case OPT_INT: buf_printf(out, "%d", *(const int32_t *)at); break;
    case OPT_FLOAT: buf_printf(out, "%g", (double)*(const float *)at); break;
    case OPT_SEED:
        if (seed->is_random) buf_puts(out, "random");
        else buf_printf(out, "%llu", (unsigned long long)seed->value);
        break;
    case OPT_CHOICE: put_choice(o, *(const int32_t *)at, out); break;
    case OPT_INTS: put_ints(at, out); break;
    case OPT_TEXTS: put_texts(at, out); break;
    case OPT_BIASES:
        for (size_t i = 0; i < biases->n; i++) buf_printf(out, "%s%d=%g", i ? " " : "", biases->v[i].id, (double)biases->v[i].bias);
        break;
    default: show_quoted(view_of(*(const char *const *)at), out); break;
    }
    buf_append(out, "", 0); /* nothing is an empty string too */
}

void options_default(const struct option_table *t, void *values) {
    const struct option *o;
    for (size_t i = 0; (o = option_at(t, i)); i++) {
        if (!o->fallback) continue;
        bool ok = option_assign(o, o->fallback, values, NULL) == SLM_OK;
        SLM_ASSERT(ok);
    }
    for (size_t i = 0; i < t->n_operands; i++) {
        if (!t->operands[i].fallback) continue;
        bool ok = option_assign(&t->operands[i], t->operands[i].fallback, values, NULL) == SLM_OK;
        SLM_ASSERT(ok);
    }
}

/* One run of the parser. */
struct parser {
    const struct option_table *t;
    int argc, at;
    char *const *argv;
    void *values;
    bool *given; /* of the values */
    size_t n_operands;
    slm_err *err;
};

static size_t row_of(const struct option_table *t, const struct option *o) {
    size_t i = 0;
    while (option_at(t, i) != o) i++;
    return i;
}

#define PART_BYTES_MIN 3 /* of a name that lies within another: "temperature" means temp, "n-predict" predict */

static bool holds(const char *longer, const char *part) { return strlen(part) >= PART_BYTES_MIN && strstr(longer, part); }

static void hint_nearest(const struct parser *p, const char *name) {
    const char *names[OPTIONS_MAX], *within = NULL;
    size_t n = 0;
    const struct option *o;
    for (size_t i = 0; (o = option_at(p->t, i)); i++) {
        if (o->kind == OPT_SECTION || !o->name[0]) continue;
        names[n++] = o->name;
        if (!within && (holds(name, o->name) || holds(o->name, name))) within = o->name;
    }
    const char *best = nearest_name(name, names, n);
    bool is_close = best && nearest_is_close(name, best);
    if (!is_close) best = within;
    if (best) err_hint(p->err, "did you mean \"--%s\"? \"slm %s --help\" lists all options", best, p->t->command);
    else err_hint(p->err, "\"slm %s --help\" lists all options", p->t->command);
}

/* Is this argument the name of an option of this command, so not likely a value? */
static bool is_option_name(const struct option_table *t, const char *arg) {
    if (arg[0] != '-' || !arg[1]) return false;
    if (arg[1] != '-') return !arg[2] && find_letter(t, arg[1]);
    return !arg[2] || option_find(t, arg + 2, strcspn(arg + 2, "="));
}

/* The value of o: what is joined to it, or the next argument. */
static slm_status take_value(struct parser *p, const struct option *o, const char *joined) {
    const char *text = joined;
    if (o->kind == OPT_FLAG) {
        if (joined) {
            err_set(p->err, SLM_E_USAGE, SLM_NOWHERE, "option \"--%s\": takes no value, \"%s\" was given", o->name, show_cstr(joined).s);
            return SLM_E_USAGE;
        }
    } else if (!text) {
        if (p->at == p->argc || is_option_name(p->t, p->argv[p->at])) {
            struct buf name, facts;
            buf_init(&name, 256);
            buf_init(&facts, 4096);
            put_name(o, &name);
            put_range(o, &facts);
            err_set(p->err, SLM_E_USAGE, SLM_NOWHERE, "option \"%s\": its value is missing", name.data);
            if (p->at < p->argc) err_hint(p->err, "write %s=%s if \"%s\" is meant as its value", name.data, show_cstr(p->argv[p->at]).s, show_cstr(p->argv[p->at]).s);
            else err_hint(p->err, "%s takes %s%s%s", name.data, o->value, facts.len ? ": " : "", facts.len ? facts.data : "");
            buf_fini(&name);
            buf_fini(&facts);
            return SLM_E_USAGE;
        }
        text = p->argv[p->at++];
    }
    p->given[row_of(p->t, o)] = true;
    return option_assign(o, text, p->values, p->err);
}

static slm_status parse_long(struct parser *p, const char *arg) {
    size_t n = strcspn(arg, "=");
    const struct option *o = option_find(p->t, arg, n);
    if (o) return take_value(p, o, arg[n] ? arg + n + 1 : NULL);
    char name[64];
    memcpy(name, arg, n < sizeof name - 1 ? n : sizeof name - 1);
    name[n < sizeof name - 1 ? n : sizeof name - 1] = 0;
    err_set(p->err, SLM_E_USAGE, SLM_NOWHERE, "option \"--%s\": \"slm %s\" has no such option", show_cstr(name).s, p->t->command);
    hint_nearest(p, name);
    return SLM_E_USAGE;
}

/* "-vn5": flags may be joined, the first option with a value takes the rest. */
static slm_status parse_short(struct parser *p, const char *arg) {
    for (; *arg; arg++) {
        const struct option *o = find_letter(p->t, *arg);
        if (!o) {
            err_set(p->err, SLM_E_USAGE, SLM_NOWHERE, "option \"-%s\": \"slm %s\" has no such option", show_view((struct view){arg, 1}).s, p->t->command);
            err_hint(p->err, "\"slm %s --help\" lists all options; \"--\" before an argument that begins with \"-\"", p->t->command);
            return SLM_E_USAGE;
        }
        if (o->kind != OPT_FLAG) return take_value(p, o, arg[1] ? arg + 1 + (arg[1] == '=') : NULL);
        slm_status st = take_value(p, o, NULL);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

static slm_status parse_operand(struct parser *p, const char *arg) {
    const struct option_table *t = p->t;
    size_t i = p->n_operands;
    if (t->n_operands && i >= t->n_operands && t->operands[t->n_operands - 1].kind == OPT_TEXTS) i = t->n_operands - 1;
    if (i >= t->n_operands) {
        err_set(p->err, SLM_E_USAGE, SLM_NOWHERE, "argument \"%s\": \"slm %s\" takes %s", show_cstr(arg).s, t->command,
                t->n_operands ? "no more arguments" : "options only");
        const struct option *prompt = option_find(t, "prompt", 6);
        if (option_find(t, "model", 5) && strlen(arg) > 5 && strcmp(arg + strlen(arg) - 5, ".gguf") == 0) err_hint(p->err, "a model is given with -m FILE");
        else if (prompt && prompt->kind == OPT_TEXT) err_hint(p->err, "a prompt is given with -p TEXT");
        else err_hint(p->err, "\"slm %s --help\" shows how it is used", t->command);
        return SLM_E_USAGE;
    }
    p->n_operands++;
    return option_assign(&t->operands[i], arg, p->values, p->err);
}

static slm_status check_required(const struct parser *p) {
    const struct option *o;
    for (size_t i = 0; (o = option_at(p->t, i)); i++) {
        if (!(o->flags & OPTION_REQUIRED) || p->given[i]) continue;
        err_set(p->err, SLM_E_USAGE, SLM_NOWHERE, "option \"--%s\": is missing", o->name);
        err_hint(p->err, "give it as %s%c%s--%s %s: %s", o->letter ? "-" : "", o->letter ? o->letter : ' ', o->letter ? " or " : "", o->name, o->value, o->help);
        return SLM_E_USAGE;
    }
    for (size_t i = p->n_operands; i < p->t->n_operands; i++) {
        o = &p->t->operands[i];
        if (!(o->flags & OPTION_REQUIRED)) continue;
        err_set(p->err, SLM_E_USAGE, SLM_NOWHERE, "argument \"%s\": is missing", o->name);
        err_hint(p->err, "%s: %s", o->name, o->help);
        return SLM_E_USAGE;
    }
    return SLM_OK;
}

/* The file that --config names gives what argv does not. */
static slm_status read_config(struct parser *p) {
    const struct option *o;
    for (size_t i = 0; (o = option_at(p->t, i)); i++) {
        const char *path;
        if (!(o->flags & OPTION_CONFIG)) continue;
        memcpy(&path, (const char *)p->values + o->offset, sizeof path);
        return path ? config_apply(p->t, path, p->given, p->values, p->err) : SLM_OK;
    }
    return SLM_OK;
}

slm_status options_parse(const struct option_table *t, int argc, char *const *argv, void *values, slm_err *err) {
    struct common_values *common = values;
    struct parser p = {.t = t, .argc = argc, .argv = argv, .values = values, .given = common->given, .err = err};
    slm_status st = SLM_OK;
    bool options_ended = false;
    SLM_ASSERT(t->n_options + n_common_options <= OPTIONS_MAX);
    options_default(t, values);
    while (p.at < argc && st == SLM_OK) {
        const char *arg = argv[p.at++];
        if (options_ended || arg[0] != '-' || !arg[1]) st = parse_operand(&p, arg);
        else if (strcmp(arg, "--") == 0) options_ended = true;
        else if (arg[1] == '-') st = parse_long(&p, arg + 2);
        else if ((isdigit((unsigned char)arg[1]) || arg[1] == '.') && t->n_operands) st = parse_operand(&p, arg); /* a negative number */
        else st = parse_short(&p, arg + 1);
    }
    memcpy(common->typed, common->given, sizeof common->typed);
    common->n_operands = p.n_operands;
    if (st == SLM_OK && !common->help && !common->help_short) st = read_config(&p);
    if (st != SLM_OK || common->help || common->help_short) return st;
    st = check_required(&p);
    return st == SLM_OK ? options_check(t, values, err) : st;
}

void options_release(void *values) {
    struct common_values *common = values;
    free(common->config_text);
    common->config_text = NULL;
}
