/* ucase.c -- characters as Python's str methods class and map them (Unicode 14). table: full case mappings.
 *
 * Categories and one-to-one mappings are utf8proc's; what those cannot say is in tables: characters that are letters of
 * a case by property and not by category, digits outside Nd, and mappings to several characters (SpecialCasing.txt). */
#include <utf8proc.h>

#include "base/util.h"
#include "text/jinja/jinja_int.h"

struct range {
    uint32_t first, last;
};

static const struct range lower_extra[] = {
    {170, 170}, {186, 186}, {688, 696}, {704, 705}, {736, 740}, {837, 837}, {890, 890}, {7468, 7530}, {7544, 7544}, {7579, 7615},
    {8305, 8305}, {8319, 8319}, {8336, 8348}, {8560, 8575}, {9424, 9449}, {11388, 11389}, {42652, 42653}, {42864, 42864},
    {43000, 43001}, {43868, 43871}, {67456, 67456}, {67459, 67461}, {67463, 67504}, {67506, 67514}};
static const struct range upper_extra[] = {{8544, 8559}, {9398, 9423}, {127280, 127305}, {127312, 127337}, {127344, 127369}};
static const struct range digit_extra[] = {
    {178, 179}, {185, 185}, {4969, 4977}, {6618, 6618}, {8304, 8304}, {8308, 8313}, {8320, 8329}, {9312, 9320}, {9332, 9340},
    {9352, 9360}, {9450, 9450}, {9461, 9469}, {9471, 9471}, {10102, 10110}, {10112, 10120}, {10122, 10130}, {68160, 68163},
    {69216, 69224}, {69714, 69722}, {127232, 127242}};

static bool in_ranges(uint32_t cp, const struct range *r, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (cp >= r[i].first && cp <= r[i].last) return true;
    return false;
}
#define IN(cp, ranges) in_ranges((cp), (ranges), sizeof(ranges) / sizeof *(ranges))

static utf8proc_category_t category(uint32_t cp) { return utf8proc_category((utf8proc_int32_t)cp); }

bool ju_is_space(uint32_t cp) {
    return (cp >= 9 && cp <= 13) || (cp >= 28 && cp <= 32) || cp == 0x85 || cp == 0x2028 || cp == 0x2029 ||
           (cp >= 0xA0 && category(cp) == UTF8PROC_CATEGORY_ZS);
}

bool ju_is_line_end(uint32_t cp) {
    return (cp >= 10 && cp <= 13) || (cp >= 28 && cp <= 30) || cp == 0x85 || cp == 0x2028 || cp == 0x2029;
}

bool ju_is_printable(uint32_t cp) {
    switch (category(cp)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return false;
    case UTF8PROC_CATEGORY_ZS: return cp == ' ';
    default: return true;
    }
}

bool ju_is_alpha(uint32_t cp) {
    utf8proc_category_t c = category(cp);
    return c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO;
}

bool ju_is_decimal(uint32_t cp) { return category(cp) == UTF8PROC_CATEGORY_ND; }
bool ju_is_digit(uint32_t cp) { return ju_is_decimal(cp) || IN(cp, digit_extra); }

bool ju_is_numeric(uint32_t cp) {
    utf8proc_category_t c = category(cp);
    return c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_NO;
}

bool ju_is_word(uint32_t cp) { return cp == '_' || ju_is_alpha(cp) || ju_is_numeric(cp); }
bool ju_is_upper(uint32_t cp) { return category(cp) == UTF8PROC_CATEGORY_LU || IN(cp, upper_extra); }
bool ju_is_lower(uint32_t cp) { return category(cp) == UTF8PROC_CATEGORY_LL || IN(cp, lower_extra); }
bool ju_is_title(uint32_t cp) { return category(cp) == UTF8PROC_CATEGORY_LT; }
bool ju_is_name_start(uint32_t cp) { return cp == '_' || ju_is_alpha(cp) || category(cp) == UTF8PROC_CATEGORY_NL; }

bool ju_is_name(uint32_t cp) {
    utf8proc_category_t c = category(cp);
    return ju_is_name_start(cp) || c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_MC || c == UTF8PROC_CATEGORY_ND ||
           c == UTF8PROC_CATEGORY_PC;
}

/* Characters whose upper or title case is several characters. */
static const struct {
    uint32_t cp, upper[3], title[3];
} full[] = {
    {0x00DF, {0x0053, 0x0053, 0}, {0x0053, 0x0073, 0}},
    {0x0149, {0x02BC, 0x004E, 0}, {0x02BC, 0x004E, 0}},
    {0x01F0, {0x004A, 0x030C, 0}, {0x004A, 0x030C, 0}},
    {0x0390, {0x0399, 0x0308, 0x0301}, {0x0399, 0x0308, 0x0301}},
    {0x03B0, {0x03A5, 0x0308, 0x0301}, {0x03A5, 0x0308, 0x0301}},
    {0x0587, {0x0535, 0x0552, 0}, {0x0535, 0x0582, 0}},
    {0x1E96, {0x0048, 0x0331, 0}, {0x0048, 0x0331, 0}},
    {0x1E97, {0x0054, 0x0308, 0}, {0x0054, 0x0308, 0}},
    {0x1E98, {0x0057, 0x030A, 0}, {0x0057, 0x030A, 0}},
    {0x1E99, {0x0059, 0x030A, 0}, {0x0059, 0x030A, 0}},
    {0x1E9A, {0x0041, 0x02BE, 0}, {0x0041, 0x02BE, 0}},
    {0x1F50, {0x03A5, 0x0313, 0}, {0x03A5, 0x0313, 0}},
    {0x1F52, {0x03A5, 0x0313, 0x0300}, {0x03A5, 0x0313, 0x0300}},
    {0x1F54, {0x03A5, 0x0313, 0x0301}, {0x03A5, 0x0313, 0x0301}},
    {0x1F56, {0x03A5, 0x0313, 0x0342}, {0x03A5, 0x0313, 0x0342}},
    {0x1F80, {0x1F08, 0x0399, 0}, {0x1F88, 0, 0}},
    {0x1F81, {0x1F09, 0x0399, 0}, {0x1F89, 0, 0}},
    {0x1F82, {0x1F0A, 0x0399, 0}, {0x1F8A, 0, 0}},
    {0x1F83, {0x1F0B, 0x0399, 0}, {0x1F8B, 0, 0}},
    {0x1F84, {0x1F0C, 0x0399, 0}, {0x1F8C, 0, 0}},
    {0x1F85, {0x1F0D, 0x0399, 0}, {0x1F8D, 0, 0}},
    {0x1F86, {0x1F0E, 0x0399, 0}, {0x1F8E, 0, 0}},
    {0x1F87, {0x1F0F, 0x0399, 0}, {0x1F8F, 0, 0}},
    {0x1F88, {0x1F08, 0x0399, 0}, {0x1F88, 0, 0}},
    {0x1F89, {0x1F09, 0x0399, 0}, {0x1F89, 0, 0}},
    {0x1F8A, {0x1F0A, 0x0399, 0}, {0x1F8A, 0, 0}},
    {0x1F8B, {0x1F0B, 0x0399, 0}, {0x1F8B, 0, 0}},
    {0x1F8C, {0x1F0C, 0x0399, 0}, {0x1F8C, 0, 0}},
    {0x1F8D, {0x1F0D, 0x0399, 0}, {0x1F8D, 0, 0}},
    {0x1F8E, {0x1F0E, 0x0399, 0}, {0x1F8E, 0, 0}},
    {0x1F8F, {0x1F0F, 0x0399, 0}, {0x1F8F, 0, 0}},
    {0x1F90, {0x1F28, 0x0399, 0}, {0x1F98, 0, 0}},
    {0x1F91, {0x1F29, 0x0399, 0}, {0x1F99, 0, 0}},
    {0x1F92, {0x1F2A, 0x0399, 0}, {0x1F9A, 0, 0}},
    {0x1F93, {0x1F2B, 0x0399, 0}, {0x1F9B, 0, 0}},
    {0x1F94, {0x1F2C, 0x0399, 0}, {0x1F9C, 0, 0}},
    {0x1F95, {0x1F2D, 0x0399, 0}, {0x1F9D, 0, 0}},
    {0x1F96, {0x1F2E, 0x0399, 0}, {0x1F9E, 0, 0}},
    {0x1F97, {0x1F2F, 0x0399, 0}, {0x1F9F, 0, 0}},
    {0x1F98, {0x1F28, 0x0399, 0}, {0x1F98, 0, 0}},
    {0x1F99, {0x1F29, 0x0399, 0}, {0x1F99, 0, 0}},
    {0x1F9A, {0x1F2A, 0x0399, 0}, {0x1F9A, 0, 0}},
    {0x1F9B, {0x1F2B, 0x0399, 0}, {0x1F9B, 0, 0}},
    {0x1F9C, {0x1F2C, 0x0399, 0}, {0x1F9C, 0, 0}},
    {0x1F9D, {0x1F2D, 0x0399, 0}, {0x1F9D, 0, 0}},
    {0x1F9E, {0x1F2E, 0x0399, 0}, {0x1F9E, 0, 0}},
    {0x1F9F, {0x1F2F, 0x0399, 0}, {0x1F9F, 0, 0}},
    {0x1FA0, {0x1F68, 0x0399, 0}, {0x1FA8, 0, 0}},
    {0x1FA1, {0x1F69, 0x0399, 0}, {0x1FA9, 0, 0}},
    {0x1FA2, {0x1F6A, 0x0399, 0}, {0x1FAA, 0, 0}},
    {0x1FA3, {0x1F6B, 0x0399, 0}, {0x1FAB, 0, 0}},
    {0x1FA4, {0x1F6C, 0x0399, 0}, {0x1FAC, 0, 0}},
    {0x1FA5, {0x1F6D, 0x0399, 0}, {0x1FAD, 0, 0}},
    {0x1FA6, {0x1F6E, 0x0399, 0}, {0x1FAE, 0, 0}},
    {0x1FA7, {0x1F6F, 0x0399, 0}, {0x1FAF, 0, 0}},
    {0x1FA8, {0x1F68, 0x0399, 0}, {0x1FA8, 0, 0}},
    {0x1FA9, {0x1F69, 0x0399, 0}, {0x1FA9, 0, 0}},
    {0x1FAA, {0x1F6A, 0x0399, 0}, {0x1FAA, 0, 0}},
    {0x1FAB, {0x1F6B, 0x0399, 0}, {0x1FAB, 0, 0}},
    {0x1FAC, {0x1F6C, 0x0399, 0}, {0x1FAC, 0, 0}},
    {0x1FAD, {0x1F6D, 0x0399, 0}, {0x1FAD, 0, 0}},
    {0x1FAE, {0x1F6E, 0x0399, 0}, {0x1FAE, 0, 0}},
    {0x1FAF, {0x1F6F, 0x0399, 0}, {0x1FAF, 0, 0}},
    {0x1FB2, {0x1FBA, 0x0399, 0}, {0x1FBA, 0x0345, 0}},
    {0x1FB3, {0x0391, 0x0399, 0}, {0x1FBC, 0, 0}},
    {0x1FB4, {0x0386, 0x0399, 0}, {0x0386, 0x0345, 0}},
    {0x1FB6, {0x0391, 0x0342, 0}, {0x0391, 0x0342, 0}},
    {0x1FB7, {0x0391, 0x0342, 0x0399}, {0x0391, 0x0342, 0x0345}},
    {0x1FBC, {0x0391, 0x0399, 0}, {0x1FBC, 0, 0}},
    {0x1FC2, {0x1FCA, 0x0399, 0}, {0x1FCA, 0x0345, 0}},
    {0x1FC3, {0x0397, 0x0399, 0}, {0x1FCC, 0, 0}},
    {0x1FC4, {0x0389, 0x0399, 0}, {0x0389, 0x0345, 0}},
    {0x1FC6, {0x0397, 0x0342, 0}, {0x0397, 0x0342, 0}},
    {0x1FC7, {0x0397, 0x0342, 0x0399}, {0x0397, 0x0342, 0x0345}},
    {0x1FCC, {0x0397, 0x0399, 0}, {0x1FCC, 0, 0}},
    {0x1FD2, {0x0399, 0x0308, 0x0300}, {0x0399, 0x0308, 0x0300}},
    {0x1FD3, {0x0399, 0x0308, 0x0301}, {0x0399, 0x0308, 0x0301}},
    {0x1FD6, {0x0399, 0x0342, 0}, {0x0399, 0x0342, 0}},
    {0x1FD7, {0x0399, 0x0308, 0x0342}, {0x0399, 0x0308, 0x0342}},
    {0x1FE2, {0x03A5, 0x0308, 0x0300}, {0x03A5, 0x0308, 0x0300}},
    {0x1FE3, {0x03A5, 0x0308, 0x0301}, {0x03A5, 0x0308, 0x0301}},
    {0x1FE4, {0x03A1, 0x0313, 0}, {0x03A1, 0x0313, 0}},
    {0x1FE6, {0x03A5, 0x0342, 0}, {0x03A5, 0x0342, 0}},
    {0x1FE7, {0x03A5, 0x0308, 0x0342}, {0x03A5, 0x0308, 0x0342}},
    {0x1FF2, {0x1FFA, 0x0399, 0}, {0x1FFA, 0x0345, 0}},
    {0x1FF3, {0x03A9, 0x0399, 0}, {0x1FFC, 0, 0}},
    {0x1FF4, {0x038F, 0x0399, 0}, {0x038F, 0x0345, 0}},
    {0x1FF6, {0x03A9, 0x0342, 0}, {0x03A9, 0x0342, 0}},
    {0x1FF7, {0x03A9, 0x0342, 0x0399}, {0x03A9, 0x0342, 0x0345}},
    {0x1FFC, {0x03A9, 0x0399, 0}, {0x1FFC, 0, 0}},
    {0xFB00, {0x0046, 0x0046, 0}, {0x0046, 0x0066, 0}},
    {0xFB01, {0x0046, 0x0049, 0}, {0x0046, 0x0069, 0}},
    {0xFB02, {0x0046, 0x004C, 0}, {0x0046, 0x006C, 0}},
    {0xFB03, {0x0046, 0x0046, 0x0049}, {0x0046, 0x0066, 0x0069}},
    {0xFB04, {0x0046, 0x0046, 0x004C}, {0x0046, 0x0066, 0x006C}},
    {0xFB05, {0x0053, 0x0054, 0}, {0x0053, 0x0074, 0}},
    {0xFB06, {0x0053, 0x0054, 0}, {0x0053, 0x0074, 0}},
    {0xFB13, {0x0544, 0x0546, 0}, {0x0544, 0x0576, 0}},
    {0xFB14, {0x0544, 0x0535, 0}, {0x0544, 0x0565, 0}},
    {0xFB15, {0x0544, 0x053B, 0}, {0x0544, 0x056B, 0}},
    {0xFB16, {0x054E, 0x0546, 0}, {0x054E, 0x0576, 0}},
    {0xFB17, {0x0544, 0x053D, 0}, {0x0544, 0x056D, 0}},
};

static int copy_full(const uint32_t from[3], uint32_t out[3]) {
    int n = 0;
    while (n < 3 && from[n]) {
        out[n] = from[n];
        n++;
    }
    return n;
}

static int fold(uint32_t cp, uint32_t out[3]) {
    utf8proc_int32_t r[4];
    int last = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char((utf8proc_int32_t)cp, r, 4, UTF8PROC_CASEFOLD, &last);
    if (n < 1 || n > 3) {
        out[0] = cp;
        return 1;
    }
    for (int i = 0; i < n; i++) out[i] = (uint32_t)r[i];
    return (int)n;
}

int ju_map(uint32_t cp, enum ju_case to, uint32_t out[3]) {
    if (to == JU_FOLD) return fold(cp, out);
    if (to == JU_LOWER && cp == 0x130) {
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    if (to != JU_LOWER && cp >= full[0].cp) {
        size_t low = 0, high = sizeof full / sizeof *full;
        while (low < high) {
            size_t mid = (low + high) / 2;
            if (full[mid].cp < cp) low = mid + 1;
            else high = mid;
        }
        if (low < sizeof full / sizeof *full && full[low].cp == cp) return copy_full(to == JU_UPPER ? full[low].upper : full[low].title, out);
    }
    utf8proc_int32_t c = (utf8proc_int32_t)cp;
    out[0] = (uint32_t)(to == JU_UPPER ? utf8proc_toupper(c) : to == JU_LOWER ? utf8proc_tolower(c) : utf8proc_totitle(c));
    return 1;
}

static bool is_cased(uint32_t cp) { return ju_is_upper(cp) || ju_is_lower(cp) || ju_is_title(cp); }

/* Characters that do not end a word for the final sigma: Case_Ignorable, near enough by category. */
static bool is_case_ignorable(uint32_t cp) {
    switch (category(cp)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default: return cp == '\'' || cp == '.' || cp == ':' || cp == 0xB7 || cp == 0x2019;
    }
}

static bool cased_before(const struct jstr *s, size_t i) {
    while (i > 0) {
        uint32_t cp;
        do i--;
        while (i > 0 && ((unsigned char)s->ptr[i] & 0xC0) == 0x80);
        utf8_decode(s->ptr + i, s->len - i, &cp);
        if (!is_case_ignorable(cp)) return is_cased(cp);
    }
    return false;
}

static bool cased_after(const struct jstr *s, size_t i) {
    while (i < s->len) {
        uint32_t cp;
        int n = utf8_decode(s->ptr + i, s->len - i, &cp);
        if (!is_case_ignorable(cp)) return is_cased(cp);
        i += (size_t)n;
    }
    return false;
}

struct jval *ju_case_map(struct jinja *J, struct jval *v, enum ju_case to) {
    const struct jstr *s = &v->u.s;
    struct jsb b = {0};
    for (size_t i = 0; i < s->len;) {
        uint32_t cp, out[3];
        int n = utf8_decode(s->ptr + i, s->len - i, &cp), n_out;
        bool marked = js_marked(s, i);
        if (to == JU_LOWER && cp == 0x3A3) {
            out[0] = cased_before(s, i) && !cased_after(s, i + (size_t)n) ? 0x3C2 : 0x3C3;
            n_out = 1;
        } else {
            n_out = ju_map(cp, to, out);
        }
        for (int k = 0; k < n_out; k++) jsb_cp(J, &b, out[k], marked);
        i += (size_t)n;
    }
    struct jval *r = jsb_done(J, &b);
    r->u.s.safe = s->safe;
    return r;
}
