/* utf8.c -- strict UTF-8 (RFC 3629). The allowed second byte depends on the first: that table is the whole of it. */
#include "base/util.h"

/* Length of the character that begins with byte c, and the range of its second byte; 0: c begins none. */
static int lead(unsigned char c, unsigned char *lo, unsigned char *hi) {
    *lo = 0x80;
    *hi = 0xbf;
    if (c < 0x80) return 1;
    if (c >= 0xc2 && c <= 0xdf) return 2;
    if (c == 0xe0) *lo = 0xa0;      /* no overlong form */
    if (c == 0xed) *hi = 0x9f;      /* no surrogate */
    if (c >= 0xe0 && c <= 0xef) return 3;
    if (c == 0xf0) *lo = 0x90;      /* no overlong form */
    if (c == 0xf4) *hi = 0x8f;      /* nothing past U+10FFFF */
    if (c >= 0xf0 && c <= 0xf4) return 4;
    return 0;
}

size_t utf8_prefix(const char *s, size_t n, int *full) {
    unsigned char lo, hi;
    *full = lead((unsigned char)s[0], &lo, &hi);
    if (*full == 0) return 0;
    size_t i = 1;
    for (; i < n && i < (size_t)*full; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c < lo || c > hi) break;
        lo = 0x80;
        hi = 0xbf;
    }
    return i;
}

int utf8_decode(const char *s, size_t n, uint32_t *cp) {
    int full;
    if (n == 0 || utf8_prefix(s, n, &full) != (size_t)full || full == 0) return 0;
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t v = (unsigned char)s[0] & masks[full];
    for (int i = 1; i < full; i++) v = v << 6 | ((unsigned char)s[i] & 0x3f);
    *cp = v;
    return full;
}

int utf8_encode(uint32_t cp, char out[4]) {
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    int n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (int i = n - 1; i > 0; i--, cp >>= 6) out[i] = (char)(0x80 | (cp & 0x3f));
    out[0] = (char)(marks[n] | cp);
    return n;
}

size_t utf8_pending(const char *s, size_t n) {
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        int full;
        unsigned char c = (unsigned char)s[n - back];
        if ((c & 0xc0) == 0x80) continue; /* a continuation: its lead is further back */
        return utf8_prefix(s + n - back, back, &full) == back && full > (int)back ? back : 0;
    }
    return 0;
}
