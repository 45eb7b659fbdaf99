/* data_csv.c -- comma- or tab-separated values with a header: each record an object of strings. Quoting as in RFC 4180: a field that
 * begins with a quote goes to the closing one, "" within it is a quote, line ends and separators are text. */
#include <stdlib.h>
#include <string.h>

#include "train/data_int.h"

void csv_fini(struct csv *c) {
    buf_fini(&c->names);
    memset(c, 0, sizeof *c);
}

/* A quoted field's rest. Errors: FORMAT (no closing quote, something behind it). */
static slm_status read_quoted(struct csv *c, struct data_stream *s, struct buf *out, uint64_t line, int *end, slm_err *err) {
    for (;;) {
        int b = stream_get(s);
        if (b == EOF) return row_fault(s->path, line, err, "a quote is not closed before the end of the file");
        if (b == '"') {
            b = stream_get(s);
            if (b == '\r') b = stream_get(s);
            if (b == EOF || b == '\n' || b == c->separator) {
                *end = b;
                return SLM_OK;
            }
            if (b != '"') {
                stream_skip_line(s);
                return row_fault(s->path, line, err, "text behind a closing quote");
            }
        }
        buf_putc(out, (char)b);
        if (out->failed != SLM_OK) return buf_status(out, "a record", err);
    }
}

/* One field into out, a NUL behind it; *end: what ended it. */
static slm_status read_field(struct csv *c, struct data_stream *s, struct buf *out, uint64_t line, int *end, slm_err *err) {
    slm_status st = SLM_OK;
    size_t begin = out->len;
    int b = stream_get(s);
    if (b == '"') {
        TRY(read_quoted(c, s, out, line, end, err));
    } else {
        for (; b != EOF && b != '\n' && b != c->separator; b = stream_get(s)) {
            buf_putc(out, (char)b);
            if (out->failed != SLM_OK) break;
        }
        if (b == '\n' && out->len > begin && out->data[out->len - 1] == '\r') out->len--;
        *end = b;
    }
    if (out->len > begin && memchr(out->data + begin, 0, out->len - begin)) {
        if (*end != '\n' && *end != EOF) stream_skip_line(s);
        return row_fault(s->path, line, err, "a byte 0");
    }
    buf_putc(out, 0);
    st = buf_status(out, "a record", err);
out:
    return st;
}

slm_status csv_read_header(struct csv *c, struct data_stream *s, slm_err *err) {
    slm_status st = SLM_OK;
    int end = c->separator;
    buf_init(&c->names, 1u << 16);
    for (c->n_columns = 0; end == c->separator; c->n_columns++) {
        if (c->n_columns == DATA_COLUMNS_MAX) return row_fault(s->path, 1, err, "more than %d columns", DATA_COLUMNS_MAX);
        c->name_at[c->n_columns] = c->names.len;
        TRY(read_field(c, s, &c->names, 1, &end, err));
        const char *name = c->names.data + c->name_at[c->n_columns];
        for (size_t i = 0; i < c->n_columns; i++)
            if (strcmp(name, c->names.data + c->name_at[i]) == 0) return row_fault(s->path, 1, err, "the column \"%.60s\" is there twice", name);
    }
    if (c->n_columns == 1 && !c->names.data[0]) return row_fault(s->path, 1, err, "no header: the first line names the columns");
out:
    return st;
}

slm_status csv_read_record(struct csv *c, struct data_stream *s, struct buf *room, json_t **out, uint64_t *line, bool *has, slm_err *err) {
    slm_status st = SLM_OK;
    int end = c->separator, b = stream_get(s);
    size_t n = 0, at = 0;
    json_t *o = NULL;
    while (b == '\n' || b == '\r') b = stream_get(s); /* empty lines are none */
    stream_put_back(s, b);
    *line = s->line;
    *has = b != EOF;
    if (!*has) return stream_fault(s, err);
    if (!(o = json_object())) FAIL(SLM_E_NOMEM, SLM_NOWHERE, "data: out of memory");
    for (; end == c->separator; n++) {
        size_t bad;
        at = room->len;
        TRY(read_field(c, s, room, *line, &end, err));
        if (n >= c->n_columns) continue;
        if (!text_is_utf8((struct view){room->data + at, room->len - at - 1}, &bad)) {
            if (end == c->separator) stream_skip_line(s);
            st = row_fault(s->path, *line, err, "not UTF-8");
            goto out;
        }
        if (json_object_set_new(o, c->names.data + c->name_at[n], json_string(room->data + at)) != 0) {
            if (end == c->separator) stream_skip_line(s);
            st = row_fault(s->path, *line, err, "a column name that is not UTF-8");
            goto out;
        }
    }
    if (n != c->n_columns) st = row_fault(s->path, *line, err, "%zu fields, the header has %zu", n, c->n_columns);
out:
    if (st == SLM_OK) *out = o;
    else json_decref(o);
    return st;
}
