/* privacy.c -- detectors as rows, over PCRE2. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "tier/privacy_int.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/nearest.h"
#include "base/show.h"

#define PATTERNS_MAX 64
#define CUSTOM_BYTES_MAX (1u << 20)
#define MATCH_LIMIT 1000000

static bool has_luhn_sum(const struct view *v) {
    int sum = 0, n = 0, first = -1, differ = 0;
    for (size_t i = v->len; i-- > 0;) {
        if (!isdigit((unsigned char)v->ptr[i])) continue;
        int d = v->ptr[i] - '0', twice = 2 * d;
        if (first < 0) first = d;
        differ |= d != first;
        sum += n++ % 2 ? twice - (twice > 9 ? 9 : 0) : d;
    }
    return n >= 13 && n <= 19 && sum % 10 == 0 && differ;
}

/* Each of these may shorten *v; false: it is none. */

/* An expiry date or a check number may follow the card's own: groups are taken off its end until the sum is right. */
static bool is_luhn(struct view *v) {
    while (v->len >= 13) {
        if (has_luhn_sum(v)) return true;
        while (v->len && isdigit((unsigned char)v->ptr[v->len - 1])) v->len--;
        while (v->len && !isdigit((unsigned char)v->ptr[v->len - 1])) v->len--;
    }
    return false;
}

static bool has_iban_rest(struct view v) {
    int rest = 0, n = 0;
    for (int round = 0; round < 2; round++) { /* the first four come last */
        int k = 0;
        for (size_t i = 0; i < v.len; i++) {
            unsigned char c = (unsigned char)v.ptr[i];
            if (!isalnum(c)) continue;
            if ((k++ >= 4) != (round == 0)) continue;
            n++;
            rest = isdigit(c) ? (rest * 10 + (c - '0')) % 97 : (rest * 100 + (c - 'A' + 10)) % 97;
        }
    }
    return n >= 15 && n <= 34 && rest == 1;
}

/* What follows may look like one more group: groups are taken off its end until the remainder is right. */
static bool is_iban(struct view *v) {
    for (; v->len >= 15; v->len--)
        if (isalnum((unsigned char)v->ptr[v->len - 1]) && has_iban_rest(*v)) return true;
    return false;
}

static bool is_phone(struct view *v) {
    int n = 0;
    for (size_t i = 0; i < v->len; i++) n += isdigit((unsigned char)v->ptr[i]) != 0;
    return n >= 8 && n <= 15;
}

static bool is_ip6(struct view *v) {
    char text[64], address[16];
    if (v->len >= sizeof text) return false;
    snprintf(text, sizeof text, "%.*s", (int)v->len, v->ptr);
    return inet_pton(AF_INET6, text, address) == 1;
}

static const struct detector {
    const char *name, *label, *pattern;
    bool (*check)(struct view *v);
} rows[] = {
    {"email", "EMAIL", "(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})\\.)+[A-Za-z]{2,24}(?![A-Za-z0-9-])", NULL},
    {"card", "CARD", "(?<![\\w.])[3-6](?:[ -]?\\d){12,18}(?![\\d])", is_luhn},
    {"iban", "IBAN", "(?<![A-Za-z0-9])[A-Z]{2}\\d{2}(?: ?[A-Z0-9]{2,4}){3,8}(?: ?[A-Z0-9])?(?![A-Za-z0-9])", is_iban},
    {"ip", "IP", "(?<![\\w.])(?:(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)\\.){3}(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)(?![\\w]|\\.\\d)", NULL},
    {"ip", "IP", "(?<![\\w:.])[0-9A-Fa-f:]{2,38}[0-9A-Fa-f:](?![\\w:])", is_ip6},
    {"secret", "SECRET", "-----BEGIN [A-Z ]*PRIVATE KEY-----[\\s\\S]{1,8192}?-----END [A-Z ]*PRIVATE KEY-----", NULL},
    {"secret", "SECRET", "(?<![\\w-])(?:sk-[\\w-]{16,200}|gh[pousr]_\\w{30,100}|github_pat_\\w{30,100}|xox[baprs]-[\\w-]{10,100}|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\\w-]{35}|hf_\\w{20,60}|glpat-[\\w-]{20,60}|"
                         "eyJ[\\w-]{8,2000}\\.[\\w-]{8,4000}\\.[\\w-]{8,1000})(?![\\w])", NULL},
    {"secret", "SECRET", "(?i)\\b(?:password|passwd|passphrase|api[_ -]?key|secret[_ -]?key|access[_ -]?token)\\b[\"']?\\s*(?:[:=]|\\bis\\b)\\s*[\"']?\\K[^\\s\"',;]{6,200}", NULL},
    {"phone", "PHONE", "(?<![\\w+.])\\+\\d{1,3}(?:[ .\\-/]?\\(?\\d{1,4}\\)?){2,6}(?![\\w])", is_phone},
    {"phone", "PHONE", "(?<![\\w.$-])(?<!\\d,)(?<!\\d[ .-])(?:1[ .-])?(?:\\([2-9]\\d{2}\\) ?|[2-9]\\d{2}[ .-])[2-9]\\d{2}[ .-]\\d{4}(?![\\w-]| \\d)", is_phone},
    {"phone", "PHONE", "(?<![\\w.$-])(?<!\\d,)(?<!\\d[ /-])0\\d{1,4}[ /-]\\d{3,4}[ -]?\\d{3,5}(?![\\w-]| \\d)", is_phone},
};

struct pattern {
    pcre2_code *code;
    const struct detector *row;
};
struct privacy {
    struct pattern v[PATTERNS_MAX];
    size_t n;
    pcre2_match_context *limits;
};
static const struct detector custom_row = {"custom", "PRIVATE", "", NULL};

static slm_status add(struct privacy *p, const char *text, size_t n_text, const struct detector *row, slm_err *err) {
    int code;
    PCRE2_SIZE at;
    PCRE2_UCHAR why[120];
    if (p->n == PATTERNS_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "privacy: more than %d expressions", PATTERNS_MAX);
    pcre2_code *c = pcre2_compile((PCRE2_SPTR)text, n_text, PCRE2_NEVER_BACKSLASH_C | PCRE2_MATCH_INVALID_UTF | PCRE2_UTF, &code, &at, NULL);
    if (!c) {
        pcre2_get_error_message(code, why, sizeof why);
        return err_set(err, SLM_E_USAGE, at, "privacy: expression \"%s\": at byte %zu: %s", show_view((struct view){text, n_text}).s, (size_t)at, (const char *)why);
    }
    pcre2_jit_compile(c, PCRE2_JIT_COMPLETE);
    p->v[p->n++] = (struct pattern){c, row};
    return SLM_OK;
}

static slm_status add_named(struct privacy *p, const char *name, slm_err *err) {
    const char *names[sizeof rows / sizeof rows[0]];
    bool is_known = false;
    slm_status st = SLM_OK;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0] && st == SLM_OK; i++) {
        names[i] = rows[i].name;
        if (strcmp(rows[i].name, name) != 0) continue;
        is_known = true;
        st = add(p, rows[i].pattern, strlen(rows[i].pattern), &rows[i], err);
    }
    if (is_known) return st;
    err_set(err, SLM_E_USAGE, SLM_NOWHERE, "privacy: there is no detector \"%s\"", show_cstr(name).s);
    err_hint(err, "did you mean \"%s\"? there are email, phone, card, iban, ip and secret", nearest_name(name, names, sizeof rows / sizeof rows[0]));
    return SLM_E_USAGE;
}

static slm_status add_custom(struct privacy *p, const char *path, slm_err *err) {
    struct buf text;
    buf_init(&text, CUSTOM_BYTES_MAX);
    slm_status st = file_read(&text, path, err);
    for (size_t at = 0; st == SLM_OK && at < text.len;) {
        size_t n = strcspn(text.data + at, "\n");
        if (n && text.data[at] != '#') st = add(p, text.data + at, n, &custom_row, err);
        at += n + 1;
    }
    buf_fini(&text);
    return st;
}

slm_status privacy_create(const struct privacy_settings *s, struct privacy **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct privacy *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p || !(p->limits = pcre2_match_context_create(NULL))) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "privacy: no memory");
    pcre2_set_match_limit(p->limits, MATCH_LIMIT);
    for (unsigned i = 0; i < s->n_detectors; i++) TRY(add_named(p, s->detectors[i], err));
    if (s->custom) TRY(add_custom(p, s->custom, err));
    *out = p;
    p = NULL;
out:
    privacy_free(p);
    return st;
}

void privacy_free(struct privacy *p) {
    if (!p) return;
    for (size_t i = 0; i < p->n; i++) pcre2_code_free(p->v[i].code);
    pcre2_match_context_free(p->limits);
    free(p);
}

/* All finds of one expression. An expression that gives up (its limit of steps) counts as a find to the end: what was not looked at must not leave. */
static size_t scan_one(const struct privacy *p, const struct pattern *pattern, struct view text, struct found *out, size_t n, size_t n_max) {
    pcre2_match_data *m = pcre2_match_data_create_from_pattern(pattern->code, NULL);
    if (!m && n < n_max && text.len) out[n++] = (struct found){0, text.len, pattern->row->label};
    for (size_t at = 0; m && at <= text.len && n < n_max;) {
        int rc = pcre2_match(pattern->code, (PCRE2_SPTR)text.ptr, text.len, at, 0, m, p->limits);
        if (rc == PCRE2_ERROR_NOMATCH) break;
        if (rc < 0) {
            out[n++] = (struct found){at, text.len - at, pattern->row->label};
            break;
        }
        const PCRE2_SIZE *o = pcre2_get_ovector_pointer(m);
        struct view v = {text.ptr + o[0], o[1] > o[0] ? o[1] - o[0] : 0};
        if (pattern->row->check && !pattern->row->check(&v)) { /* one may begin within what is none: all that are checked begin with a character of one byte */
            at = o[0] + 1;
            continue;
        }
        at = o[1] > at ? o[1] : at + 1;
        if (v.len == 0) continue;
        out[n++] = (struct found){o[0], v.len, pattern->row->label};
        at = o[0] + v.len;
    }
    pcre2_match_data_free(m);
    return n;
}

static int by_place(const void *a, const void *b) {
    const struct found *x = a, *y = b;
    if (x->at != y->at) return x->at < y->at ? -1 : 1;
    return x->n > y->n ? -1 : x->n < y->n;
}

/* In order, and apart from each other. */
static size_t join_finds(struct found *out, size_t n) {
    size_t n_kept = 0, end = 0;
    qsort(out, n, sizeof *out, by_place);
    for (size_t i = 0; i < n; i++) {
        if (out[i].at < end) { /* within or over the one before: together one */
            size_t end_here = out[i].at + out[i].n;
            if (end_here > end) out[n_kept - 1].n += end_here - end, end = end_here;
            continue;
        }
        end = out[i].at + out[i].n;
        out[n_kept++] = out[i];
    }
    return n_kept;
}

static size_t find_all(struct view text, const char *label, struct found *out) {
    out[0] = (struct found){0, text.len, label};
    return text.len > 0;
}

size_t privacy_scan(const struct privacy *p, struct view text, struct found *out, size_t n_max) {
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) n = scan_one(p, &p->v[i], text, out, n, n_max);
    return n < n_max || n == 0 ? join_finds(out, n) : find_all(text, out[0].label, out); /* what the later expressions would have found was not looked for */
}

/* "password: ..." is a secret by what it is called, so the line of both is looked at too; finds are told by their place in the value. */
size_t privacy_scan_named(const struct privacy *p, struct view key, struct view text, struct found *out, size_t n_max) {
    size_t n = privacy_scan(p, text, out, n_max), n_line, skip = key.len + 2;
    struct buf line;
    if (key.len == 0 || text.len == 0 || (n == 1 && out[0].n == text.len)) return n;
    struct found *f = malloc(FOUND_MAX * sizeof *f);
    buf_init(&line, text.len + skip + 64);
    buf_append(&line, key.ptr, key.len);
    buf_puts(&line, ": ");
    buf_append(&line, text.ptr, text.len);
    bool is_looked_at = f && line.failed == SLM_OK;
    n_line = is_looked_at ? privacy_scan(p, (struct view){line.data, line.len}, f, FOUND_MAX) : 0;
    for (size_t i = 0; i < n_line && n < n_max; i++) {
        size_t end = f[i].at + f[i].n, at = f[i].at > skip ? f[i].at - skip : 0;
        if (end > skip) out[n++] = (struct found){at, end - skip - at, f[i].label};
    }
    n = is_looked_at && n < n_max ? join_finds(out, n) : find_all(text, n ? out[0].label : custom_row.label, out);
    free(f);
    buf_fini(&line);
    return n;
}

bool privacy_is_free_below(const char *key) { return strcmp(key, "arguments") == 0 || strcmp(key, "parameters") == 0 || strcmp(key, "schema") == 0; }

json_t *privacy_number_text(const json_t *v) {
    char *text = json_dumps(v, JSON_ENCODE_ANY);
    json_t *made = text ? json_string(text) : NULL;
    free(text);
    return made;
}

static size_t count_text(const struct privacy *p, struct view key, struct view text) {
    struct found *f = malloc(FOUND_MAX * sizeof *f);
    size_t n = f ? privacy_scan_named(p, key, text, f, FOUND_MAX) : 1; /* not looked at: as if found */
    free(f);
    return n;
}

/* name: the key that v hangs under, where the client made it; empty: none. */
static size_t count(const struct privacy *p, struct view name, const json_t *v, bool is_free) {
    size_t n = 0, i;
    const char *key;
    json_t *item;
    if (json_is_string(v)) return count_text(p, name, (struct view){json_string_value(v), json_string_length(v)});
    if (json_is_number(v) && is_free) {
        json_t *text = privacy_number_text(v);
        n = text ? count(p, name, text, true) : 1;
        json_decref(text);
        return n;
    }
    json_array_foreach((json_t *)(uintptr_t)v, i, item) n += count(p, name, item, is_free);
    json_object_foreach((json_t *)(uintptr_t)v, key, item) {
        n += is_free ? count_text(p, (struct view){0}, view_of(key)) : 0;
        n += count(p, is_free ? view_of(key) : (struct view){0}, item, is_free || privacy_is_free_below(key));
    }
    return n;
}

size_t privacy_count(const struct privacy *p, const json_t *v) { return p->n ? count(p, (struct view){0}, v, false) : 0; }
