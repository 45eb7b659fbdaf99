/* call_form.c -- pieces of a call's form against text. */
#include "text/call_form.h"

int call_form_match(const char *piece, struct view text, size_t *at) {
    size_t i = *at;
    for (const char *p = piece; *p; p++) {
        size_t n_blank = *p == ' ' ? 1 : *p == '\n' ? CALL_FORM_BLANKS_MAX : 0;
        if (n_blank) {
            for (; n_blank > 0 && i < text.len && (text.ptr[i] == ' ' || (*p == '\n' && text.ptr[i] == '\n')); n_blank--) i++;
        } else if (i == text.len) return 0;
        else if (text.ptr[i++] != *p) return -1;
    }
    *at = i;
    return 1;
}

size_t call_form_quotes(const struct call_form *f) {
    size_t n = 1;
    for (const char *p = f->before; *p; p++) n += *p == '"';
    return n;
}
