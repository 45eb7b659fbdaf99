/* charsmap.c -- SentencePiece's compiled normalisation: a double-array trie (Aoe 1989, laid out as in darts-clone) from character
 * sequences to places in a pool of NUL-terminated replacements. At each place the longest sequence is replaced; what no sequence
 * begins is copied, and bytes that are no UTF-8 become U+FFFD.
 *
 * Layout of the blob: uint32 bytes of the trie, its units (uint32, little endian), the pool. Every index is checked: the blob is a
 * file's. */
#include <stdlib.h>
#include <string.h>

#include "base/util.h"
#include "text/tok_int.h"

#define SEQUENCE_BYTES_MAX 256

struct charsmap {
    uint32_t *units;
    size_t n_units, n_pool;
    char *pool; /* ends in NUL */
};

slm_status charsmap_create(struct view blob, struct charsmap **out, slm_err *err) {
    slm_status st = SLM_OK;
    uint32_t n_trie = 0;
    struct charsmap *m = NULL;
    *out = NULL;
    if (blob.len >= sizeof n_trie) memcpy(&n_trie, blob.ptr, sizeof n_trie);
    if (n_trie < 4 || n_trie % 4 != 0 || n_trie > blob.len - 4)
        FAIL(SLM_E_FORMAT, SLM_NOWHERE, "precompiled charsmap of %zu bytes: its trie is said to have %u", blob.len, n_trie);
    m = calloc(1, sizeof *m);
    if (m) m->units = malloc(n_trie);
    if (m) m->pool = malloc(blob.len - 4 - n_trie + 1);
    if (!m || !m->units || !m->pool) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "precompiled charsmap: out of memory");
    m->n_units = n_trie / 4;
    m->n_pool = blob.len - 4 - n_trie;
    memcpy(m->units, blob.ptr + 4, n_trie);
    memcpy(m->pool, blob.ptr + 4 + n_trie, m->n_pool);
    m->pool[m->n_pool] = 0;
    *out = m;
    m = NULL;
out:
    charsmap_destroy(m);
    return st;
}

void charsmap_destroy(struct charsmap *m) {
    if (!m) return;
    free(m->units);
    free(m->pool);
    free(m);
}

static uint32_t unit_offset(uint32_t unit) { return (unit >> 10) << ((unit & 0x200) >> 6); }

/* Bytes of the longest sequence at s that the map knows (0: none) and the place of its replacement. */
static size_t longest_match(const struct charsmap *m, const char *s, size_t n, uint32_t *place) {
    size_t best = 0;
    uint32_t at = unit_offset(m->units[0]);
    for (size_t i = 0; i < n && i < SEQUENCE_BYTES_MAX; i++) {
        unsigned char c = (unsigned char)s[i];
        at ^= c;
        if (c == 0 || at >= m->n_units || (m->units[at] & 0x800000ff) != c) break;
        uint32_t unit = m->units[at];
        at ^= unit_offset(unit);
        if (!(unit & 0x100)) continue;
        if (at >= m->n_units) break;
        *place = m->units[at] & 0x7fffffff;
        if (*place < m->n_pool) best = i + 1;
    }
    return best;
}

slm_status charsmap_apply(struct job *j, const struct charsmap *m, struct view *text) {
    struct buf out;
    buf_init(&out, 4 * (size_t)TOK_INPUT_BYTES_MAX);
    for (size_t i = 0; i < text->len && out.failed == SLM_OK;) {
        uint32_t place = 0, cp;
        size_t n = longest_match(m, text->ptr + i, text->len - i, &place);
        if (n > 0) buf_puts(&out, m->pool + place);
        else if ((n = (size_t)utf8_decode(text->ptr + i, text->len - i, &cp)) > 0) buf_append(&out, text->ptr + i, n);
        else buf_puts(&out, "\xef\xbf\xbd"), n = 1;
        i += n;
    }
    slm_status st = buf_status(&out, "normalised text", j->err);
    if (st == SLM_OK) st = job_keep(j, (struct view){out.data, out.len}, text);
    buf_fini(&out);
    return st;
}
