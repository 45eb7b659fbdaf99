/* format.c -- str.format and format(): replacement fields and the format mini-language. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/util.h"
#include "text/jinja/jinja_int.h"

#define PRECISION_MAX 1000
#define FORMAT_WIDTH_MAX 1000000

/* Digits of a non-negative number. type: e f g. Alternate form keeps the point and trailing zeros. */
void fm_number(struct jinja *J, struct jsb *b, double f, char type, int precision, bool alt, bool upper) {
    static const char *const patterns[2][3] = {{"%.*e", "%.*f", "%.*g"}, {"%#.*e", "%#.*f", "%#.*g"}};
    if (isnan(f) || isinf(f)) {
        jsb_puts(J, b, isnan(f) ? (upper ? "NAN" : "nan") : upper ? "INF" : "inf");
        return;
    }
    if (precision > PRECISION_MAX) j_raise(J, JX_LIMIT, "a precision beyond %d", PRECISION_MAX);
    char text[PRECISION_MAX + 400];
    int n = snprintf(text, sizeof text, patterns[alt][type == 'e' ? 0 : type == 'f' ? 1 : 2], precision, f);
    SLM_ASSERT(n > 0 && (size_t)n < sizeof text);
    for (int i = 0; upper && i < n; i++)
        if (text[i] == 'e') text[i] = 'E';
    jsb_puts(J, b, text);
}

struct spec {
    char align, sign, grouping, type; /* 0: not given */
    struct view fill;
    bool alt, zero;
    int64_t width, precision; /* -1: not given */
};

static size_t digits(struct jinja *J, struct view s, size_t i, int64_t *out) {
    int64_t n = 0;
    size_t start = i;
    for (; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++)
        if ((n = n * 10 + (s.ptr[i] - '0')) > FORMAT_WIDTH_MAX) j_raise(J, JX_LIMIT, "a width or precision beyond %d", FORMAT_WIDTH_MAX);
    if (i > start) *out = n;
    return i;
}

static void spec_parse(struct jinja *J, struct view s, struct spec *out) {
    size_t i = 0;
    uint32_t cp;
    *out = (struct spec){.fill = VIEW(" "), .width = -1, .precision = -1};
    size_t first = s.len ? (size_t)utf8_decode(s.ptr, s.len, &cp) : 0;
#define AT(k) ((k) < s.len ? s.ptr[k] : 0)
    if (first && first < s.len && strchr("<>=^", s.ptr[first])) {
        out->fill = (struct view){s.ptr, first};
        out->align = s.ptr[first];
        i = first + 1;
    } else if (s.len && strchr("<>=^", s.ptr[0])) {
        out->align = s.ptr[0];
        i = 1;
    }
    if (AT(i) && strchr("+- ", AT(i))) out->sign = s.ptr[i++];
    if (AT(i) == 'z') i++;
    if (AT(i) == '#') out->alt = true, i++;
    if (AT(i) == '0') {
        out->zero = true;
        i++;
        if (!out->align) {
            out->align = '=';
            out->fill = VIEW("0");
        }
    }
    i = digits(J, s, i, &out->width);
    if (AT(i) == ',' || AT(i) == '_') out->grouping = s.ptr[i++];
    if (AT(i) == '.') {
        i = digits(J, s, i + 1, &out->precision);
        if (out->precision < 0) j_raise(J, JX_VALUE, "Format specifier missing precision");
    }
    if (i < s.len) out->type = s.ptr[i++];
#undef AT
    if (i < s.len) j_raise(J, JX_VALUE, "Invalid format specifier");
}

static void fill(struct jinja *J, struct jsb *b, const struct spec *s, int64_t n) {
    for (int64_t k = 0; k < n; k++) {
        j_step(J, 1);
        jsb_add(J, b, s->fill);
    }
}

static void put_aligned(struct jinja *J, struct jsb *b, const struct spec *s, char align, struct view lead, struct jval *body) {
    int64_t missing = s->width - (int64_t)(lead.len + js_chars(body)), before = align == '>' ? missing : align == '^' ? missing / 2 : 0;
    if (missing < 0) missing = before = 0;
    if (align != '=') fill(J, b, s, before);
    jsb_add(J, b, lead);
    if (align == '=') fill(J, b, s, missing);
    jsb_str(J, b, &body->u.s);
    if (align == '<' || align == '^') fill(J, b, s, missing - before);
}

static _Noreturn void unknown_code(struct jinja *J, char c, const char *type) {
    j_raise(J, JX_VALUE, "Unknown format code '%c' for object of type '%s'", c, type);
}

static void format_str(struct jinja *J, struct jsb *b, struct jval *v, const struct spec *s) {
    if (s->type && s->type != 's') unknown_code(J, s->type, "str");
    if (s->sign) j_raise(J, JX_VALUE, s->sign == ' ' ? "Space not allowed in string format specifier" : "Sign not allowed in string format specifier");
    if (s->alt) j_raise(J, JX_VALUE, "Alternate form (#) not allowed in string format specifier");
    if (s->align == '=' && !s->zero) j_raise(J, JX_VALUE, "'=' alignment not allowed in string format specifier");
    if (s->grouping) j_raise(J, JX_VALUE, "Cannot specify '%c' with 's'.", s->grouping);
    if (s->precision >= 0 && s->precision < (int64_t)js_chars(v)) v = js_sub(J, &v->u.s, 0, js_offset(v, (size_t)s->precision));
    put_aligned(J, b, s, s->align && s->align != '=' ? s->align : '<', (struct view){"", 0}, v);
}

/* Groups of digits before the point; zero fill grows them to the width, as Python does. */
static struct jval *grouped(struct jinja *J, struct view text, const struct spec *s, size_t lead, size_t every) {
    size_t whole = 0;
    struct jsb b = {0}, reversed = {0};
    while (whole < text.len && ((text.ptr[whole] >= '0' && text.ptr[whole] <= '9') || (every == 4 && strchr("abcdefABCDEF", text.ptr[whole])))) whole++;
    bool zero_fill = s->align == '=' && view_eq(s->fill, VIEW("0")) && s->width > 0;
    size_t rest = text.len - whole, width = zero_fill && (size_t)s->width > lead + rest ? (size_t)s->width - lead - rest : 0;
    for (size_t k = 0, n = 0; k < whole || reversed.len < width; k++, n++) {
        if (n && n % every == 0 && s->grouping) {
            jsb_putc(J, &reversed, s->grouping);
            if (k >= whole && reversed.len >= width) {
                jsb_putc(J, &reversed, '0');
                break;
            }
        }
        jsb_putc(J, &reversed, k < whole ? text.ptr[whole - 1 - k] : '0');
    }
    for (size_t k = reversed.len; k-- > 0;) jsb_putc(J, &b, reversed.ptr[k]);
    jsb_add(J, &b, (struct view){text.ptr + whole, rest});
    return jsb_done(J, &b);
}

static void put_number(struct jinja *J, struct jsb *b, const struct spec *s, bool negative, const char *prefix, struct view text, size_t every) {
    char lead[8];
    int n = snprintf(lead, sizeof lead, "%s%s", negative ? "-" : s->sign == '+' ? "+" : s->sign == ' ' ? " " : "", prefix);
    struct jval *body = s->grouping ? grouped(J, text, s, (size_t)n, every) : js_copy(J, text);
    put_aligned(J, b, s, s->align ? s->align : '>', (struct view){lead, (size_t)n}, body);
}

static void format_float(struct jinja *J, struct jsb *b, double f, const struct spec *s, const char *type_name) {
    struct jsb text = {0};
    char c = s->type;
    double abs = fabs(f);
    if (c && !strchr("eEfFgGn%", c)) unknown_code(J, c, type_name);
    if (!c && s->precision < 0) {
        jr_float(J, &text, abs);
    } else if (!c) {
        fm_number(J, &text, abs, 'g', s->precision == 0 ? 1 : (int)s->precision, s->alt, false);
        if (isfinite(f) && !memchr(text.ptr, '.', text.len) && !memchr(text.ptr, 'e', text.len)) jsb_puts(J, &text, ".0");
    } else {
        int precision = s->precision < 0 ? 6 : (int)s->precision;
        if (c == '%') fm_number(J, &text, abs * 100, 'f', precision, s->alt, false);
        else fm_number(J, &text, abs, c == 'n' ? 'g' : (char)(c | 0x20), precision, s->alt, c == 'E' || c == 'F' || c == 'G');
        if (c == '%') jsb_putc(J, &text, '%');
    }
    put_number(J, b, s, signbit(f) && !isnan(f), "", (struct view){text.ptr, text.len}, 3);
}

static void format_int(struct jinja *J, struct jsb *b, int64_t i, const struct spec *s) {
    struct jsb text = {0};
    char c = s->type ? s->type : 'd';
    unsigned long long u = i < 0 ? 0 - (unsigned long long)i : (unsigned long long)i;
    if (strchr("eEfFgG%", c)) {
        format_float(J, b, (double)i, s, "int");
        return;
    }
    if (!strchr("bcdoxXn", c)) unknown_code(J, c, "int");
    if (s->precision >= 0) j_raise(J, JX_VALUE, "Precision not allowed in integer format specifier");
    if (c == 'c') {
        if (i < 0 || i > 0x10FFFF) j_raise(J, JX_OVERFLOW, "%%c arg not in range(0x110000)");
        if (i >= 0xD800 && i < 0xE000) j_raise(J, JX_UNSUPPORTED, "a surrogate character");
        jsb_cp(J, &text, (uint32_t)i, false);
        put_aligned(J, b, s, s->align ? s->align : '<', (struct view){"", 0}, jsb_done(J, &text));
        return;
    }
    if (c == 'b') {
        for (int bit = 63; bit >= 0; bit--)
            if ((u >> bit) & 1 || text.len || bit == 0) jsb_putc(J, &text, (u >> bit) & 1 ? '1' : '0');
    } else {
        jsb_printf(J, &text, c == 'o' ? "%llo" : c == 'x' ? "%llx" : c == 'X' ? "%llX" : "%llu", u);
    }
    const char *prefix = !s->alt ? "" : c == 'b' ? "0b" : c == 'o' ? "0o" : c == 'x' ? "0x" : c == 'X' ? "0X" : "";
    if (s->grouping == ',' && strchr("boxX", c)) j_raise(J, JX_VALUE, "Cannot specify ',' with '%c'.", c);
    put_number(J, b, s, i < 0, prefix, (struct view){text.ptr, text.len}, strchr("boxX", c) ? 4 : 3);
}

/* format(v, spec) */
static void fm_value(struct jinja *J, struct jsb *b, struct jval *v, struct view text) {
    struct spec s;
    if (text.len == 0) {
        jr_str(J, b, v);
        return;
    }
    if (v->type != J_STR && !jv_is_number(v)) j_raise(J, JX_TYPE, "unsupported format string passed to %s.__format__", jv_type_name(v));
    spec_parse(J, text, &s);
    if (v->type == J_STR) format_str(J, b, v, &s);
    else if (v->type == J_FLOAT) format_float(J, b, v->u.f, &s, "float");
    else format_int(J, b, jv_as_int(v), &s);
}

/* Replacement fields: string.Formatter with the sandbox's attribute lookup */

struct fields {
    struct jargs *args;
    struct jval *mapping; /* format_map's */
    int64_t auto_index;   /* -1: fields are numbered by hand */
};

static struct jval *first_value(struct jinja *J, struct fields *f, struct view name) {
    int64_t i = 0;
    bool number = name.len > 0;
    for (size_t k = 0; k < name.len; k++) number &= name.ptr[k] >= '0' && name.ptr[k] <= '9';
    if (name.len == 0) {
        if (f->auto_index < 0) j_raise(J, JX_VALUE, "cannot switch from manual field specification to automatic field numbering");
        i = f->auto_index++;
    } else if (number) {
        if (f->auto_index > 0) j_raise(J, JX_VALUE, "cannot switch from manual field specification to automatic field numbering");
        f->auto_index = -1;
        if (!jt_string_to_int(J, name, 10, &i)) i = INT64_MAX;
    }
    if (name.len == 0 || number) {
        if (i >= (int64_t)f->args->n_pos) j_raise(J, JX_INDEX, "tuple index out of range");
        return f->args->pos[i];
    }
    for (size_t k = 0; k < f->args->n_kw; k++)
        if (view_eq(f->args->kw[k].name, name)) return f->args->kw[k].val;
    struct jval *v = f->mapping ? at_getitem(J, f->mapping, js_new(J, name)) : NULL;
    if (!v || (v->type == J_UNDEFINED && f->mapping->type == J_DICT)) j_raise(J, JX_KEY, "%s", jv_repr_c(J, js_new(J, name)));
    return v;
}

static struct jval *field_value(struct jinja *J, struct fields *f, struct view name) {
    size_t i = 0;
    while (i < name.len && name.ptr[i] != '.' && name.ptr[i] != '[') i++;
    struct jval *v = first_value(J, f, (struct view){name.ptr, i});
    while (i < name.len) {
        char open = name.ptr[i++];
        size_t start = i;
        while (i < name.len && (open == '[' ? name.ptr[i] != ']' : name.ptr[i] != '.' && name.ptr[i] != '[')) i++;
        struct view part = {name.ptr + start, i - start};
        if (part.len == 0) j_raise(J, JX_VALUE, "Empty attribute in format string");
        if (open == '[' && i >= name.len) j_raise(J, JX_VALUE, "Missing ']' in format string");
        int64_t index;
        bool digits_only = open == '[';
        for (size_t k = 0; k < part.len; k++) digits_only &= part.ptr[k] >= '0' && part.ptr[k] <= '9';
        if (open == '.') v = at_getattr(J, v, js_new(J, part));
        else v = at_getitem(J, v, digits_only && jt_string_to_int(J, part, 10, &index) ? jv_int(J, index) : js_new(J, part));
        if (open == '[') i++;
        if (open == '[' && i < name.len && name.ptr[i] != '.' && name.ptr[i] != '[')
            j_raise(J, JX_VALUE, "Only '.' or '[' may follow ']' in format field specifier");
    }
    return v;
}

static void expand(struct jinja *J, struct jsb *b, struct fields *f, const struct jstr *s, size_t start, size_t end, int depth);

static void put_field(struct jinja *J, struct jsb *b, struct fields *f, const struct jstr *s, size_t start, size_t end, int depth) {
    size_t i = start, name_end;
    struct jsb spec = {0};
    char conversion = 0;
    int brackets = 0;
    for (; i < end && (brackets || (s->ptr[i] != '!' && s->ptr[i] != ':')); i++) brackets += (s->ptr[i] == '[') - (s->ptr[i] == ']' && brackets);
    name_end = i;
    if (i < end && s->ptr[i] == '!') {
        if (i + 1 >= end) j_raise(J, JX_VALUE, "end of string while looking for conversion specifier");
        conversion = s->ptr[i + 1];
        i += 2;
        if (i < end && s->ptr[i] != ':') j_raise(J, JX_VALUE, "expected ':' after conversion specifier");
    }
    struct jval *v = field_value(J, f, (struct view){s->ptr + start, name_end - start});
    if (conversion == 'r') v = jv_repr(J, v);
    else if (conversion == 's') v = jv_str(J, v);
    else if (conversion == 'a') v = pf_ascii(J, v);
    else if (conversion) j_raise(J, JX_VALUE, "Unknown conversion specifier %c", conversion);
    if (i < end) expand(J, &spec, f, s, i + 1, end, depth - 1);
    fm_value(J, b, v, (struct view){spec.ptr, spec.len});
}

static void expand(struct jinja *J, struct jsb *b, struct fields *f, const struct jstr *s, size_t start, size_t end, int depth) {
    if (depth < 0) j_raise(J, JX_VALUE, "Max string recursion exceeded");
    for (size_t i = start; i < end;) {
        char c = s->ptr[i];
        if (c != '{' && c != '}') {
            size_t from = i;
            while (i < end && s->ptr[i] != '{' && s->ptr[i] != '}') i++;
            jsb_sub(J, b, s, from, i);
            continue;
        }
        if (i + 1 < end && s->ptr[i + 1] == c) {
            jsb_putc(J, b, c);
            i += 2;
            continue;
        }
        if (c == '}') j_raise(J, JX_VALUE, "Single '}' encountered in format string");
        if (i + 1 >= end) j_raise(J, JX_VALUE, "Single '{' encountered in format string");
        size_t from = ++i;
        for (int open = 1; open > 0; i++) {
            if (i >= end) j_raise(J, JX_VALUE, "expected '}' before end of string");
            open += (s->ptr[i] == '{') - (s->ptr[i] == '}');
        }
        j_step(J, 1);
        put_field(J, b, f, s, from, i - 1, depth);
    }
}

struct jval *fm_format(struct jinja *J, struct jval *fmt, struct jargs *args, struct jval *mapping) {
    struct fields f = {.args = args, .mapping = mapping};
    struct jsb b = {0};
    expand(J, &b, &f, &fmt->u.s, 0, fmt->u.s.len, 2);
    return jsb_done(J, &b);
}
