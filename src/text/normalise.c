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

/* Everything below U+0300 is in NFC, and composes with nothing that is below it too. */
static bool may_change(struct view text) {
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] >= 0xcc) return true;
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

slm_status normalise_nfc(struct job *j, struct view *text) {
    slm_status st = SLM_OK;
    struct buf out;
    if (!may_change(*text)) return SLM_OK;
    buf_init(&out, 4 * (size_t)TOK_INPUT_BYTES_MAX);
    for (size_t at = 0; at < text->len;) {
        size_t n = utf8_valid_run((struct view){text->ptr + at, text->len - at});
        if (n > 0) TRY(nfc_run(j, (struct view){text->ptr + at, n}, &out));
        at += n;
        if (at < text->len) buf_putc(&out, text->ptr[at++]); /* no UTF-8: stays */
    }
    TRY(buf_status(&out, "normalised text", j->err));
    if (out.len != text->len || memcmp(out.data, text->ptr, out.len) != 0) TRY(job_keep(j, (struct view){out.data, out.len}, text));
out:
    buf_fini(&out);
    return st;
}
