/* pretok.c -- pre-tokenizers: text to words, by the patterns that the model's authors published.
 *
 * A row has one pattern or several. Each is applied to the words of the one before; what lies between its matches is a word too.
 * PCRE2 runs the patterns, compiled to machine code. Three things make it agree with the authors' engines: \s is spelled
 * out as Unicode's White_Space (PCRE2 has U+180E in it), runs that are no UTF-8 become words of their own before any pattern
 * sees them, and no limit of matching steps can end a text early. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "text/pretok_int.h"

#define N_PATTERNS_MAX 8
#define PATTERN_BYTES_MAX 16384
#define JIT_STACK_BYTES_MAX (1u << 20)

struct pretok {
    unsigned flags;
    size_t n_codes;
    pcre2_code *codes[N_PATTERNS_MAX];
    pcre2_code *digits; /* a run of them, of PRETOK_THREES; NULL: words are not cut */
};

struct pretok_work {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
};

/* \s and \S in words that every engine reads alike. */
static void translate(struct buf *out, const char *pattern) {
    bool in_class = false;
    for (const char *p = pattern; *p; p++) {
        if (*p == '\\' && (p[1] == 's' || (p[1] == 'S' && !in_class))) {
            buf_puts(out, in_class ? PRETOK_SPACES : *++p == 's' ? "[" PRETOK_SPACES "]" : "[^" PRETOK_SPACES "]");
            if (in_class) p++;
            continue;
        }
        if (*p == '\\' && p[1]) buf_putc(out, *p++);
        else if (*p == '[' && !in_class) in_class = true;
        else if (*p == ']' && in_class) in_class = false;
        buf_putc(out, *p);
    }
}

static slm_status compile(const char *pattern, pcre2_code **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct buf text;
    int code;
    PCRE2_SIZE at;
    *out = NULL;
    buf_init(&text, PATTERN_BYTES_MAX);
    translate(&text, pattern);
    TRY(buf_status(&text, "pre-tokenizer pattern", err));
    *out = pcre2_compile((PCRE2_SPTR)text.data, text.len, PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (!*out) {
        PCRE2_UCHAR why[128] = "";
        pcre2_get_error_message(code, why, sizeof why);
        FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "pre-tokenizer pattern \"%.200s\": %s", pattern, (char *)why);
    }
    uint32_t can_be_empty = 0;
    pcre2_pattern_info(*out, PCRE2_INFO_MATCHEMPTY, &can_be_empty);
    if (can_be_empty) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "pre-tokenizer pattern \"%.200s\": it matches between characters, which is not supported", pattern);
    pcre2_jit_compile(*out, PCRE2_JIT_COMPLETE); /* without it the interpreter runs: slower, the same matches */
out:
    if (st != SLM_OK) {
        pcre2_code_free(*out);
        *out = NULL;
    }
    buf_fini(&text);
    return st;
}

static slm_status find_row(const char *name, const struct pretok_row **out, slm_err *err) {
    size_t n;
    const struct pretok_row *rows = pretok_rows(&n);
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            *out = &rows[i];
            return SLM_OK;
        }
        size_t d = nearest_distance(name, rows[i].name);
        if (d < best) {
            best = d;
            nearest = rows[i].name;
        }
    }
    slm_status st = err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "pre-tokenizer \"%.100s\": not supported", name);
    err_hint(err, "the nearest supported one is \"%s\"", nearest);
    return st;
}

slm_status pretok_create(const char *name, struct pretok **out, slm_err *err) {
    const struct pretok_row *row = NULL;
    *out = NULL;
    slm_status st = find_row(name, &row, err);
    return st == SLM_OK ? pretok_create_patterns(row->patterns, row->flags, out, err) : st;
}

slm_status pretok_create_patterns(const char *const *patterns, unsigned flags, struct pretok **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct pretok *p = calloc(1, sizeof *p);
    *out = NULL;
    if (!p) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "pre-tokenizer: out of memory");
    p->flags = flags;
    for (size_t i = 0; patterns[i]; i++) {
        if (i == N_PATTERNS_MAX) FAIL(SLM_E_LIMIT, SLM_NOWHERE, "pre-tokenizer: more than %d patterns", N_PATTERNS_MAX);
        TRY(compile(patterns[i], &p->codes[i], err));
        p->n_codes++;
    }
    if (flags & PRETOK_THREES) TRY(compile("\\d+", &p->digits, err));
    *out = p;
    p = NULL;
out:
    pretok_destroy(p);
    return st;
}

void pretok_destroy(struct pretok *p) {
    if (!p) return;
    for (size_t i = 0; i < p->n_codes; i++) pcre2_code_free(p->codes[i]);
    pcre2_code_free(p->digits);
    free(p);
}

bool pretok_assumes_bos(const char *name) {
    const struct pretok_row *row = NULL;
    return find_row(name, &row, NULL) == SLM_OK && (row->flags & PRETOK_ADD_BOS);
}

bool pretok_ignore_merges(const struct pretok *p) { return p->flags & PRETOK_IGNORE_MERGES; }
bool pretok_wants_nfc(const struct pretok *p) { return p->flags & PRETOK_NFC; }

/* Splitting */

static slm_status work_create(struct job *j) {
    if (j->pretok) return SLM_OK;
    struct pretok_work *w = j->pretok = calloc(1, sizeof *w);
    if (w) {
        w->data = pcre2_match_data_create(1, NULL);
        w->context = pcre2_match_context_create(NULL);
        w->stack = pcre2_jit_stack_create(1u << 15, JIT_STACK_BYTES_MAX, NULL);
    }
    if (!w || !w->data || !w->context || !w->stack) return err_set(j->err, SLM_E_NOMEM, SLM_NOWHERE, "pre-tokenizer: out of memory");
    pcre2_set_match_limit(w->context, UINT32_MAX);
    pcre2_set_depth_limit(w->context, UINT32_MAX);
    pcre2_set_heap_limit(w->context, UINT32_MAX);
    pcre2_jit_stack_assign(w->context, NULL, w->stack);
    return SLM_OK;
}

void pretok_work_destroy(struct pretok_work *w) {
    if (!w) return;
    pcre2_match_data_free(w->data);
    pcre2_match_context_free(w->context);
    pcre2_jit_stack_free(w->stack);
    free(w);
}

/* The next match that is not empty, at or after from. False: none. */
static slm_status next_match(const pcre2_code *code, struct job *j, struct view text, size_t from, struct view *match) {
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(j->pretok->data);
    const uint32_t options = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
    PCRE2_SPTR s = (PCRE2_SPTR)text.ptr;
    int rc = pcre2_match(code, s, text.len, from, options, j->pretok->data, j->pretok->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT) rc = pcre2_match(code, s, text.len, from, options | PCRE2_NO_JIT, j->pretok->data, j->pretok->context);
    *match = (struct view){text.ptr + text.len, 0};
    if (rc == PCRE2_ERROR_NOMATCH) return SLM_OK;
    if (rc < 0) return err_set(j->err, rc == PCRE2_ERROR_NOMEMORY ? SLM_E_NOMEM : SLM_E_FAILED, SLM_NOWHERE, "pre-tokenizer: matching failed (PCRE2 error %d)", rc);
    *match = (struct view){text.ptr + ends[0], ends[1] - ends[0]};
    return SLM_OK;
}

static size_t n_chars(struct view v) {
    size_t n = 0;
    for (size_t i = 0; i < v.len; i++) n += ((unsigned char)v.ptr[i] & 0xc0) != 0x80;
    return n;
}

/* What (?=(\d{3})+(?!\d)) cuts, in one pass: before a digit whose run has a multiple of three left. */
static slm_status split_threes(const struct pretok *p, struct job *j, struct view word, pretok_fn fn) {
    slm_status st = SLM_OK;
    size_t begin = 0, at = 0;
    while (at < word.len && st == SLM_OK) {
        struct view run;
        st = next_match(p->digits, j, word, at, &run);
        if (st != SLM_OK || run.len == 0) break;
        size_t left = n_chars(run);
        for (at = (size_t)(run.ptr - word.ptr); at < (size_t)(run.ptr - word.ptr) + run.len && st == SLM_OK; left--) {
            if (left % 3 == 0 && at > begin) {
                st = fn(j, (struct view){word.ptr + begin, at - begin});
                begin = at;
            }
            do at++;
            while (at < word.len && ((unsigned char)word.ptr[at] & 0xc0) == 0x80);
        }
    }
    return st == SLM_OK && begin < word.len ? fn(j, (struct view){word.ptr + begin, word.len - begin}) : st;
}

static slm_status split(const struct pretok *p, size_t i_code, struct job *j, struct view text, pretok_fn fn) {
    slm_status st = SLM_OK;
    if (i_code == p->n_codes) return p->digits ? split_threes(p, j, text, fn) : fn(j, text);
    for (size_t at = 0; at < text.len && st == SLM_OK;) {
        struct view match;
        st = next_match(p->codes[i_code], j, text, at, &match);
        size_t n_gap = (size_t)(match.ptr - text.ptr) - at;
        if (st == SLM_OK && n_gap > 0) st = split(p, i_code + 1, j, (struct view){text.ptr + at, n_gap}, fn);
        if (st == SLM_OK && match.len > 0) st = split(p, i_code + 1, j, match, fn);
        at += n_gap + match.len;
    }
    return st;
}

slm_status pretok_split(const struct pretok *p, struct job *j, struct view text, pretok_fn fn) {
    slm_status st = work_create(j);
    for (size_t at = 0; at < text.len && st == SLM_OK;) {
        size_t n = utf8_valid_run((struct view){text.ptr + at, text.len - at});
        if (n > 0) st = split(p, 0, j, (struct view){text.ptr + at, n}, fn);
        at += n;
        size_t begin = at;
        while (at < text.len && utf8_valid_run((struct view){text.ptr + at, text.len - at < 4 ? text.len - at : 4}) == 0) at++;
        if (at > begin && st == SLM_OK) st = fn(j, (struct view){text.ptr + begin, at - begin});
    }
    return st;
}
