/* normalise.c -- Unicode over whole fragments: NFC, white space. The tables are utf8proc's. */
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/util.h"
#include "text/tok_int.h"

bool cp_is_space(uint32_t cp) {
    if (cp <= 0x20) return cp == 0x20 || (cp >= 9 && cp <= 13);
    if (cp < 0x1680) return cp == 0x85 || cp == 0xa0;
    return cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

size_t text_spaces_at_begin(struct view text) {
    size_t at = 0;
    uint32_t cp;
    for (int n; at < text.len && (n = utf8_decode(text.ptr + at, text.len - at, &cp)) > 0 && cp_is_space(cp);) at += (size_t)n;
    return at;
}

size_t text_spaces_at_end(struct view text) {
    size_t end = text.len;
    while (end > 0) {
        size_t begin = end - 1;
        uint32_t cp;
        while (begin > 0 && end - begin < 4 && ((unsigned char)text.ptr[begin] & 0xc0) == 0x80) begin--;
        if (utf8_decode(text.ptr + begin, end - begin, &cp) != (int)(end - begin) || !cp_is_space(cp)) break;
        end = begin;
    }
    return text.len - end;
}

size_t utf8_valid_run(struct view text) {
    size_t at = 0;
    uint64_t w;
    uint32_t cp;
    while (at < text.len) {
        for (; at + 8 <= text.len; at += 8) {
            memcpy(&w, text.ptr + at, 8);
            if (w & 0x8080808080808080u) break;
        }
        if (at == text.len) break;
        int n = utf8_decode(text.ptr + at, text.len - at, &cp);
        if (n == 0) break;
        at += (size_t)n;
    }
    return at;
}

/* Characters that NFC leaves as they are whatever stands beside them: no decomposition, no mark, never the second of a pair that
 * composes (a test compares with utf8proc). Most text is made of these; only what lies between goes through the tables. */
static const struct cp_range {
    uint32_t first, last;
} calm[] = {
    {0x0000, 0x02ff}, {0x0388, 0x0482}, {0x048a, 0x052f}, {0x05d0, 0x05ea}, {0x0620, 0x064a}, {0x0660, 0x066f}, {0x0905, 0x0928}, {0x0e01, 0x0e30},
    {0x2010, 0x2027}, {0x2030, 0x205e}, {0x20a0, 0x20bf}, {0x2190, 0x2328}, {0x3001, 0x3029}, {0x3041, 0x3096}, {0x30a1, 0x30fc}, {0x4e00, 0x9fff},
    {0xac00, 0xd7a3}, {0xff01, 0xffef}, {0x1f300, 0x1faff},
};

bool nfc_is_calm(uint32_t cp) {
    if (cp < 0x300) return true;
    for (size_t i = 1; i < sizeof calm / sizeof calm[0] && cp >= calm[i].first; i++)
        if (cp <= calm[i].last) return true;
    return false;
}

static slm_status nfc_run(struct job *j, struct view run, struct buf *out) {
    utf8proc_uint8_t *mapped = NULL;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)run.ptr, (utf8proc_ssize_t)run.len, &mapped, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (n < 0) return err_set(j->err, SLM_E_NOMEM, SLM_NOWHERE, "normalising %zu bytes: %s", run.len, utf8proc_errmsg(n));
    buf_append(out, mapped, (size_t)n);
    free(mapped);
    return SLM_OK;
}

/* The next stretch of text[from..] that may change: from the character before the first that is not calm to the next that is. Empty at the
 * end. Bytes that are no UTF-8 count as calm: nothing composes across them. */
static struct view next_restless(struct view text, size_t from) {
    size_t begin = from, at = from;
    uint32_t cp;
    bool found = false;
    while (at < text.len) {
        int n = (unsigned char)text.ptr[at] < 0x80 ? 1 : utf8_decode(text.ptr + at, text.len - at, &cp);
        bool is_calm = (unsigned char)text.ptr[at] < 0xcc || n == 0 || nfc_is_calm(cp);
        if (found && is_calm) break;
        if (is_calm) begin = n ? at : at + 1; /* the character before; no broken byte */
        found |= !is_calm;
        at += n ? (size_t)n : 1;
    }
    return found ? (struct view){text.ptr + begin, at - begin} : (struct view){text.ptr + text.len, 0};
}

slm_status normalise_nfc(struct job *j, struct view *text) {
    slm_status st = SLM_OK;
    struct buf out, piece;
    size_t n_kept = 0; /* bytes of text that are in out */
    buf_init(&out, 4 * (size_t)TOK_INPUT_BYTES_MAX);
    buf_init(&piece, 4 * (size_t)TOK_INPUT_BYTES_MAX);
    for (size_t at = 0; at < text->len;) {
        struct view v = next_restless(*text, at);
        if (v.len == 0) break;
        buf_clear(&piece);
        TRY(nfc_run(j, v, &piece));
        TRY(buf_status(&piece, "normalised text", j->err));
        at = (size_t)(v.ptr - text->ptr) + v.len;
        if (piece.len == v.len && memcmp(piece.data, v.ptr, v.len) == 0) continue;
        buf_append(&out, text->ptr + n_kept, (size_t)(v.ptr - text->ptr) - n_kept);
        buf_append(&out, piece.data, piece.len);
        n_kept = at;
    }
    if (n_kept == 0) goto out;
    buf_append(&out, text->ptr + n_kept, text->len - n_kept);
    TRY(buf_status(&out, "normalised text", j->err));
    TRY(job_keep(j, (struct view){out.data, out.len}, text));
out:
    buf_fini(&piece);
    buf_fini(&out);
    return st;
}
