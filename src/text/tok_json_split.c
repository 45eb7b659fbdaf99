/* tok_json_split.c -- normalizer and pre_tokenizer of a tokenizer.json: recognised by structure, not by name or hash.
 *
 * A byte-level tokenizer comes down to a list of patterns and two flags. If a row of pretok_rows.c has the same list, the row's name is
 * given, which other readers of GGUF know too; if none has, the patterns themselves. A component that is none of the known
 * ones, or one with an option that would change its meaning, is refused by name. */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "text/pretok_int.h"
#include "text/tok_source_int.h"

#define N_PARTS_MAX 16
#define N_PATTERNS_MAX 8
#define PUNCTUATION "[\\p{P}!-/:-@\\[-`{-~]"

static slm_status refuse(const json_t *part, const char *what, slm_err *err) {
    return err_set(err, SLM_E_UNSUPPORTED, SLM_NOWHERE, "tokenizer.json: component \"%.60s\"%s: not supported", json_type_name(part), what);
}

/* The parts of a component: of a Sequence its members, flat. */
static slm_status flatten(const json_t *v, const char *members, const json_t **parts, size_t *n, slm_err *err) {
    size_t i;
    json_t *part;
    if (!v || json_is_null(v)) return SLM_OK;
    if (strcmp(json_type_name(v), "Sequence") != 0) {
        if (*n == N_PARTS_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "tokenizer.json: more than %d components in a sequence", N_PARTS_MAX);
        parts[(*n)++] = v;
        return SLM_OK;
    }
    json_array_foreach(json_object_get(v, members), i, part) {
        if (strcmp(json_type_name(part), "Sequence") == 0) return refuse(part, " inside another", err);
        slm_status st = flatten(part, members, parts, n, err);
        if (st != SLM_OK) return st;
    }
    return SLM_OK;
}

static bool option_is(const json_t *part, const char *key, const char *value) {
    const char *s = json_string_value(json_object_get(part, key));
    return s && strcmp(s, value) == 0;
}

/* Patterns */

/* A literal as a pattern: what could mean something is escaped. */
static void quote(struct buf *out, const char *s) {
    for (; *s; s++) {
        if (strchr("\\^$.[]|()?*+{}-#", *s)) buf_putc(out, '\\');
        buf_putc(out, *s);
    }
}

static slm_status keep_pattern(struct tok_source *s, const char *text, const char **patterns, size_t *n, slm_err *err) {
    struct view kept;
    if (*n == N_PATTERNS_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "tokenizer.json: more than %d patterns", N_PATTERNS_MAX);
    slm_status st = source_keep(s, view_of(text), &kept, err);
    patterns[(*n)++] = kept.ptr;
    return st;
}

static slm_status read_split(struct tok_source *s, const json_t *part, const char **patterns, size_t *n, slm_err *err) {
    const json_t *pattern = json_object_get(part, "pattern");
    const char *regex = json_string_value(json_object_get(pattern, "Regex")), *literal = json_string_value(json_object_get(pattern, "String"));
    bool invert = json_flag(part, "invert", false);
    /* What matches stays and what does not is dropped: where the pattern matches everything, as published, the same as isolating. */
    if (!(option_is(part, "behavior", "Isolated") && !invert) && !(option_is(part, "behavior", "Removed") && invert))
        return refuse(part, " with this behavior", err);
    if (regex) return keep_pattern(s, regex, patterns, n, err);
    if (!literal) return refuse(part, " without a pattern", err);
    struct buf quoted;
    buf_init(&quoted, 1 << 16);
    quote(&quoted, literal);
    slm_status st = buf_status(&quoted, "tokenizer.json: a pattern", err);
    if (st == SLM_OK) st = keep_pattern(s, quoted.data ? quoted.data : "", patterns, n, err);
    buf_fini(&quoted);
    return st;
}

static slm_status read_part(struct tok_source *s, const json_t *part, const char **patterns, size_t *n, slm_err *err) {
    const char *type = json_type_name(part);
    if (strcmp(type, "Split") == 0) return read_split(s, part, patterns, n, err);
    if (strcmp(type, "ByteLevel") == 0) {
        if (json_flag(part, "add_prefix_space", true)) return refuse(part, " with \"add_prefix_space\"", err);
        return json_flag(part, "use_regex", true) ? keep_pattern(s, PRETOK_GPT2, patterns, n, err) : SLM_OK;
    }
    if (strcmp(type, "Digits") == 0) return keep_pattern(s, json_flag(part, "individual_digits", false) ? "\\p{N}" : "\\p{N}+", patterns, n, err);
    if (strcmp(type, "Punctuation") == 0) {
        bool contiguous = option_is(part, "behavior", "Contiguous");
        if (!contiguous && json_object_get(part, "behavior") && !option_is(part, "behavior", "Isolated")) return refuse(part, " with this behavior", err);
        return keep_pattern(s, contiguous ? PUNCTUATION "+" : PUNCTUATION, patterns, n, err);
    }
    return refuse(part, " as a pre-tokenizer", err);
}

/* Spellings of one pattern that differ only in how a character is written come to one text. */
static void canonical(struct buf *out, const char *p) {
    for (; *p; p++) {
        char *end, utf8[4];
        unsigned long cp = p[0] == '\\' && p[1] == 'x' && p[2] == '{' ? strtoul(p + 3, &end, 16) : 0;
        if (cp > 0 && cp < 0x110000 && *end == '}') {
            buf_append(out, utf8, (size_t)utf8_encode((uint32_t)cp, utf8));
            p = end;
        } else if (*p == '\r' || *p == '\n' || *p == '\t') buf_puts(out, *p == '\r' ? "\\r" : *p == '\n' ? "\\n" : "\\t");
        else if (*p == '\\' && p[1]) buf_append(out, p++, 2);
        else buf_putc(out, *p);
    }
    buf_putc(out, 0);
}

static bool same_pattern(const char *a, const char *b) {
    struct buf x, y;
    buf_init(&x, 1 << 16);
    buf_init(&y, 1 << 16);
    canonical(&x, a);
    canonical(&y, b);
    bool same = x.failed == SLM_OK && y.failed == SLM_OK && x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
    buf_fini(&x);
    buf_fini(&y);
    return same;
}

static const char *find_row(const char *const *patterns, unsigned flags) {
    size_t n_rows;
    const struct pretok_row *rows = pretok_rows(&n_rows);
    for (size_t i = 0; i < n_rows; i++) {
        size_t k = 0;
        if ((rows[i].flags & ~(unsigned)PRETOK_ADD_BOS) != flags) continue;
        while (patterns[k] && rows[i].patterns[k] && same_pattern(patterns[k], rows[i].patterns[k])) k++;
        if (!patterns[k] && !rows[i].patterns[k]) return rows[i].name;
    }
    return NULL;
}

slm_status json_read_splits(struct tok_source *s, const json_t *root, bool ignore_merges, slm_err *err) {
    slm_status st = SLM_OK;
    const json_t *parts[N_PARTS_MAX];
    size_t n_parts = 0, n = 0;
    void *room;
    bool nfc = false;
    s->config.add_space_prefix = false;
    TRY(flatten(json_object_get(root, "normalizer"), "normalizers", parts, &n_parts, err));
    for (size_t i = 0; i < n_parts; i++) {
        if (strcmp(json_type_name(parts[i]), "NFC") != 0) return refuse(parts[i], " as a normalizer", err);
        nfc = true;
    }
    n_parts = 0;
    TRY(flatten(json_object_get(root, "pre_tokenizer"), "pretokenizers", parts, &n_parts, err));
    TRY(source_alloc(s, &room, N_PATTERNS_MAX + 1, sizeof(const char *), err));
    const char **patterns = room;
    for (size_t i = 0; i < n_parts; i++) {
        /* What comes after sees letters that stand for bytes: a split there may fall inside a character. */
        if (i > 0 && strcmp(json_type_name(parts[i - 1]), "ByteLevel") == 0) return refuse(parts[i], " after ByteLevel", err);
        TRY(read_part(s, parts[i], patterns, &n, err));
    }
    s->config.pre = find_row(patterns, (ignore_merges ? PRETOK_IGNORE_MERGES : 0u) | (nfc ? PRETOK_NFC : 0u));
    if (s->config.pre) return SLM_OK;
    s->config.pre = "default";
    s->config.patterns = patterns;
    s->config.ignore_merges = ignore_merges;
    s->config.nfc = nfc;
out:
    return st;
}

/* Marked spaces */

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static slm_status read_charsmap(struct tok_source *s, const json_t *part, slm_err *err) {
    const json_t *text = json_object_get(part, "precompiled_charsmap");
    const char *p = json_string_value(text);
    void *room;
    size_t n = 0, n_bits = 0;
    uint32_t bits = 0;
    if (!p || !*p) return SLM_OK;
    slm_status st = source_alloc(s, &room, json_string_length(text), 1, err);
    if (st != SLM_OK) return st;
    for (; *p && *p != '='; p++) {
        const char *digit = strchr(base64, *p);
        if (!digit) return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "tokenizer.json: \"precompiled_charsmap\" is not base64");
        bits = bits << 6 | (uint32_t)(digit - base64);
        if ((n_bits += 6) < 8) continue;
        n_bits -= 8;
        ((unsigned char *)room)[n++] = (unsigned char)(bits >> n_bits);
    }
    s->config.charsmap = (struct view){room, n};
    return SLM_OK;
}

/* {"type": "Replace", "pattern": {"String" or "Regex": from}, "content": to} */
static bool is_replace(const json_t *part, const char *kind, const char *from, const char *to) {
    return option_is(json_object_get(part, "pattern"), kind, from) && option_is(part, "content", to);
}

/* Runs of spaces become one, and those at the end go: together they are GGUF's remove_extra_whitespaces. One alone is nothing there. */
struct squeeze {
    bool runs, ends;
};

static slm_status read_space_normalizer(struct tok_source *s, const json_t *part, struct squeeze *squeeze, slm_err *err) {
    const char *type = json_type_name(part);
    struct tok_config *c = &s->config;
    if (strcmp(type, "Prepend") == 0 && option_is(part, "prepend", SPACE_MARK)) c->add_space_prefix = true;
    else if (strcmp(type, "Replace") == 0 && is_replace(part, "String", " ", SPACE_MARK)) return SLM_OK;
    else if (strcmp(type, "Replace") == 0 && (is_replace(part, "Regex", " {2,}", " ") || is_replace(part, "Regex", " {2,}", SPACE_MARK))) squeeze->runs = true;
    else if (strcmp(type, "Strip") == 0 && json_flag(part, "strip_right", true)) squeeze->ends = true;
    else if (strcmp(type, "Precompiled") == 0) return read_charsmap(s, part, err);
    else return refuse(part, " as a normalizer here", err);
    return SLM_OK;
}

static slm_status read_metaspace(struct tok_source *s, const json_t *part, slm_err *err) {
    struct tok_config *c = &s->config;
    c->prefix_unless_space = true;
    if (!option_is(part, "replacement", SPACE_MARK)) return refuse(part, " with another mark than U+2581", err);
    if (json_object_get(part, "prepend_scheme")) {
        c->add_space_prefix = !option_is(part, "prepend_scheme", "never");
        c->prefix_first_only = option_is(part, "prepend_scheme", "first");
    } else c->add_space_prefix = json_flag(part, "add_prefix_space", true);
    return SLM_OK;
}

slm_status json_read_spaces(struct tok_source *s, const json_t *root, slm_err *err) {
    slm_status st = SLM_OK;
    const json_t *parts[N_PARTS_MAX];
    size_t n = 0;
    struct squeeze squeeze = {false, false};
    s->config.add_space_prefix = false;
    TRY(flatten(json_object_get(root, "normalizer"), "normalizers", parts, &n, err));
    for (size_t i = 0; i < n; i++) TRY(read_space_normalizer(s, parts[i], &squeeze, err));
    n = 0;
    TRY(flatten(json_object_get(root, "pre_tokenizer"), "pretokenizers", parts, &n, err));
    for (size_t i = 0; i < n; i++) {
        const char *type = json_type_name(parts[i]);
        if (strcmp(type, "Metaspace") == 0) TRY(read_metaspace(s, parts[i], err));
        /* The charsmap has turned all white space into spaces; without one, tabs would have to vanish too. */
        else if (strcmp(type, "WhitespaceSplit") == 0 && s->config.charsmap.len) squeeze.runs = squeeze.ends = true;
        /* Gemma: spaces are marked by then, so that there is nothing to split at. */
        else if (strcmp(type, "Split") != 0 || !option_is(json_object_get(parts[i], "pattern"), "String", " ")) return refuse(parts[i], " as a pre-tokenizer here", err);
    }
    if (squeeze.runs != squeeze.ends) FAIL(SLM_E_UNSUPPORTED, SLM_NOWHERE, "tokenizer.json: spaces squeezed in runs but not at the end, or the other way round: not supported");
    s->config.remove_extra_whitespaces = squeeze.runs;
out:
    return st;
}

slm_status json_read_bert(struct tok_source *s, const json_t *root, slm_err *err) {
    const json_t *norm = json_object_get(root, "normalizer"), *pre = json_object_get(root, "pre_tokenizer"), *model = json_object_get(root, "model");
    const json_t *max = json_object_get(model, "max_input_chars_per_word");
    if (strcmp(json_type_name(norm), "BertNormalizer") != 0) return refuse(norm, " as a normalizer of WordPiece", err);
    if (strcmp(json_type_name(pre), "BertPreTokenizer") != 0) return refuse(pre, " as a pre-tokenizer of WordPiece", err);
    bool lower = json_flag(norm, "lowercase", true), strip = json_flag(norm, "strip_accents", lower);
    if (strip != lower) return refuse(norm, " with \"strip_accents\" unlike \"lowercase\"", err);
    if (!json_flag(norm, "clean_text", true) || !json_flag(norm, "handle_chinese_chars", true)) return refuse(norm, " without \"clean_text\" or \"handle_chinese_chars\"", err);
    if (max && json_integer_value(max) != 100) return refuse(model, " with \"max_input_chars_per_word\" other than 100", err);
    if (!option_is(model, "continuing_subword_prefix", "##")) return refuse(model, " with \"continuing_subword_prefix\" other than \"##\"", err);
    s->config.keep_case = !lower;
    s->config.add_space_prefix = false;
    return SLM_OK;
}
