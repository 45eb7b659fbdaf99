/* data_int.h -- what the files of the data side share. */
#ifndef SLM_TRAIN_DATA_INT_H
#define SLM_TRAIN_DATA_INT_H

#include "base/file.h"
#include "train/data.h"

/* Bytes of one file as they come, with the line they are in. */
struct data_stream {
    FILE *file;             /* NULL: bytes */
    struct view bytes;
    size_t at;
    const char *path;
    uint64_t line;          /* of the next byte */
    int held;               /* a byte put back, or -1 */
};
int stream_get(struct data_stream *s);    /* EOF at the end */
void stream_put_back(struct data_stream *s, int c);
slm_status stream_fault(const struct data_stream *s, slm_err *err); /* a read that failed */
/* stream_skip_line -- to the beginning of the next line. */
void stream_skip_line(struct data_stream *s);

/* row_fault -- FORMAT "PATH:LINE: ..." */
slm_status row_fault(const char *path, uint64_t line, slm_err *err, const char *fmt, ...) SLM_PRINTF(4, 5);

/* A record of CSV as an object of strings by the header's names. Quotes as in RFC 4180; a record may go over lines. */
struct csv {
    char separator;
    struct buf names;       /* NUL after each */
    size_t n_columns;
    size_t name_at[DATA_COLUMNS_MAX];
};
slm_status csv_read_header(struct csv *c, struct data_stream *s, slm_err *err);
slm_status csv_read_record(struct csv *c, struct data_stream *s, struct buf *room, json_t **out, uint64_t *line, bool *has, slm_err *err);
void csv_fini(struct csv *c);

/* row_read_object -- what an object means as a row; takes no reference. owned: what row points to beside object; released by the caller. */
slm_status row_read_object(json_t *object, enum data_format format, struct data_row *row, json_t **owned, slm_err *err);

/* data_spans... */
bool text_is_utf8(struct view v, size_t *at_bad);

#endif
