/* data_read.c -- files of examples, one row at a time.
 *
 * A file is a stream of bytes with a line count; what kind it is tells its name, else its first byte. Objects are cut out of the
 * stream before they are parsed, so that a bad row does not take the ones behind it with it: JSON lines at the line's end, an array's
 * elements by counting brackets outside strings. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/show.h"
#include "base/util.h"
#include "train/data_int.h"

#define LINE_BYTES_FIRST 4096

enum kind { KIND_LINES, KIND_ARRAY, KIND_CSV, KIND_PLAIN };

struct ending {
    const char *name;
    enum kind kind;
    char separator;
};
static const struct ending endings[] = {
    {".jsonl", KIND_LINES, 0}, {".ndjson", KIND_LINES, 0}, {".json", KIND_LINES, 0}, {".csv", KIND_CSV, ','},
    {".tsv", KIND_CSV, '\t'},  {".txt", KIND_PLAIN, 0},    {".md", KIND_PLAIN, 0},
};

struct data_reader {
    char **paths;
    size_t n_paths, i_path;
    enum data_format format;
    const char *doc_sep;
    bool is_open, is_memory, is_cut;
    struct view memory;
    struct data_stream s;
    enum kind kind;
    struct csv csv;
    struct buf room;        /* the row's bytes */
    json_t *object, *owned; /* the row's */
};

/* Streams */

int stream_get(struct data_stream *s) {
    int c = s->held;
    if (c >= 0) s->held = -1;
    else if (s->file) c = getc_unlocked(s->file);
    else c = s->at < s->bytes.len ? (unsigned char)s->bytes.ptr[s->at++] : EOF;
    if (c == '\n') s->line++;
    return c;
}

void stream_put_back(struct data_stream *s, int c) {
    if (c == EOF) return;
    s->held = c;
    if (c == '\n') s->line--;
}

slm_status stream_fault(const struct data_stream *s, slm_err *err) {
    if (!s->file || !ferror(s->file)) return SLM_OK;
    return err_set(err, SLM_E_IO, SLM_NOWHERE, "read \"%s\": %s", show_path(s->path).s, strerror(errno));
}

void stream_skip_line(struct data_stream *s) {
    int c;
    do c = stream_get(s);
    while (c != EOF && c != '\n');
}

/* stream_read_line -- append a line without its end; *has false: nothing was left. Errors: LIMIT. */
static slm_status stream_read_line(struct data_stream *s, struct buf *out, bool *has, slm_err *err) {
    uint64_t line = s->line;
    int c = stream_get(s);
    *has = c != EOF;
    for (; c != EOF && c != '\n'; c = stream_get(s)) {
        buf_putc(out, (char)c);
        if (out->failed == SLM_OK) continue;
        stream_skip_line(s);
        return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "%s:%llu: a line of more than %u MiB", show_path(s->path).s, (unsigned long long)line, DATA_ROW_BYTES_MAX >> 20);
    }
    if (out->len && out->data[out->len - 1] == '\r') out->data[--out->len] = 0;
    return stream_fault(s, err);
}

slm_status row_fault(const char *path, uint64_t line, slm_err *err, const char *fmt, ...) {
    char why[360];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    return err_set(err, SLM_E_FORMAT, SLM_NOWHERE, "%s:%llu: %s", show_path(path).s, (unsigned long long)line, why);
}

bool text_is_utf8(struct view v, size_t *at_bad) {
    for (size_t at = 0; at < v.len;) {
        uint32_t cp;
        int n = (unsigned char)v.ptr[at] < 0x80 ? 1 : utf8_decode(v.ptr + at, v.len - at, &cp);
        if (n == 0) {
            *at_bad = at;
            return false;
        }
        at += (size_t)n;
    }
    return true;
}

/* Lists of files */

static const struct ending *find_ending(const char *path) {
    size_t n = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t len = strlen(endings[i].name);
        if (n > len && strcasecmp(path + n - len, endings[i].name) == 0) return &endings[i];
    }
    return NULL;
}

static slm_status add_path(struct data_reader *r, const char *folder, const char *name, slm_err *err) {
    if (r->n_paths == DATA_N_PATHS_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "more than %d files of data", DATA_N_PATHS_MAX);
    if ((r->n_paths & (r->n_paths - 1)) == 0) {
        char **q = realloc(r->paths, (r->n_paths ? r->n_paths * 2 : 1) * sizeof *q);
        if (!q) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "data: out of memory");
        r->paths = q;
    }
    size_t n = strlen(folder) + strlen(name) + 2;
    char *path = malloc(n);
    if (!path) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "data: out of memory");
    snprintf(path, n, "%s%s%s", folder, *name ? "/" : "", name);
    r->paths[r->n_paths++] = path;
    return SLM_OK;
}

static int compare_paths(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

#define FOLDERS_DEEP_MAX 8

/* Files of a folder that data may come in, folders in it too; sorted, so that no file system decides the order. */
static slm_status add_folder(struct data_reader *r, const char *path, int depth, slm_err *err) {
    slm_status st = SLM_OK;
    struct dirent *e;
    if (depth > FOLDERS_DEEP_MAX) return err_set(err, SLM_E_LIMIT, SLM_NOWHERE, "\"%s\": folders more than %d deep", show_path(path).s, FOLDERS_DEEP_MAX);
    DIR *dir = opendir(path);
    if (!dir) return err_set(err, SLM_E_IO, SLM_NOWHERE, "open \"%s\": %s", show_path(path).s, strerror(errno));
    while (st == SLM_OK && (e = readdir(dir))) {
        struct stat info;
        char inner[4096];
        if (e->d_name[0] == '.' || (size_t)snprintf(inner, sizeof inner, "%s/%s", path, e->d_name) >= sizeof inner || stat(inner, &info) != 0) continue;
        if (S_ISDIR(info.st_mode)) st = add_folder(r, inner, depth + 1, err);
        else if (S_ISREG(info.st_mode) && find_ending(e->d_name)) st = add_path(r, path, e->d_name, err);
    }
    closedir(dir);
    return st;
}

static slm_status add_paths(struct data_reader *r, const char *path, slm_err *err) {
    struct stat info;
    size_t n_before = r->n_paths;
    if (stat(path, &info) != 0) return err_set(err, SLM_E_IO, SLM_NOWHERE, "open \"%s\": %s", show_path(path).s, strerror(errno));
    if (!S_ISDIR(info.st_mode)) return add_path(r, path, "", err);
    slm_status st = add_folder(r, path, 1, err);
    if (st != SLM_OK) return st;
    if (r->n_paths == n_before) {
        err_set(err, SLM_E_NOT_FOUND, SLM_NOWHERE, "\"%s\": no file of data in this folder", show_path(path).s);
        err_hint(err, "files end in .jsonl, .json, .csv, .tsv, .txt or .md");
        return SLM_E_NOT_FOUND;
    }
    qsort(r->paths + n_before, r->n_paths - n_before, sizeof *r->paths, compare_paths);
    return SLM_OK;
}

static slm_status reader_create(struct data_reader **out, slm_err *err) {
    struct data_reader *r = *out = calloc(1, sizeof *r);
    if (!r) return err_set(err, SLM_E_NOMEM, SLM_NOWHERE, "data: out of memory");
    buf_init(&r->room, DATA_ROW_BYTES_MAX);
    return SLM_OK;
}

slm_status data_reader_open(const struct data_reader_params *p, struct data_reader **out, slm_err *err) {
    slm_status st = SLM_OK;
    struct data_reader *r = NULL;
    *out = NULL;
    TRY(reader_create(&r, err));
    r->format = p->format;
    r->doc_sep = p->doc_sep;
    for (size_t i = 0; i < p->n_paths; i++) TRY(add_paths(r, p->paths[i], err));
    *out = r;
    r = NULL;
out:
    data_reader_close(r);
    return st;
}

slm_status data_reader_over(const char *name, struct view bytes, enum data_format format, struct data_reader **out, slm_err *err) {
    slm_status st = reader_create(out, err);
    if (st != SLM_OK) return st;
    (*out)->format = format;
    (*out)->is_memory = true;
    (*out)->memory = bytes;
    st = add_path(*out, name, "", err);
    if (st == SLM_OK) return st;
    data_reader_close(*out);
    *out = NULL;
    return st;
}

static void forget_row(struct data_reader *r) {
    json_decref(r->object);
    json_decref(r->owned);
    r->object = r->owned = NULL;
}

static void close_file(struct data_reader *r) {
    if (r->s.file) fclose(r->s.file);
    csv_fini(&r->csv);
    memset(&r->s, 0, sizeof r->s);
    r->is_open = r->is_cut = false;
    r->i_path++;
}

void data_reader_close(struct data_reader *r) {
    if (!r) return;
    forget_row(r);
    if (r->is_open) close_file(r);
    for (size_t i = 0; i < r->n_paths; i++) free(r->paths[i]);
    free(r->paths);
    buf_fini(&r->room);
    free(r);
}

/* Rows */

static int first_byte(struct data_stream *s) {
    int c;
    do c = stream_get(s);
    while (c == ' ' || c == '\t' || c == '\r' || c == '\n');
    stream_put_back(s, c);
    return c;
}

static slm_status open_file(struct data_reader *r, slm_err *err) {
    const char *path = r->paths[r->i_path];
    const struct ending *e = find_ending(path);
    r->s = (struct data_stream){.path = path, .line = 1, .held = -1, .bytes = r->memory};
    if (!r->is_memory && !(r->s.file = fopen(path, "rb"))) {
        r->i_path++;
        return err_set(err, SLM_E_IO, SLM_NOWHERE, "open \"%s\": %s", show_path(path).s, strerror(errno));
    }
    r->is_open = true;
    int c = stream_get(&r->s); /* a byte-order mark is no text */
    if (c == 0xef) {
        int b = stream_get(&r->s), a = stream_get(&r->s);
        if (b != 0xbb || a != 0xbf) return row_fault(path, 1, err, "not UTF-8");
    } else {
        stream_put_back(&r->s, c);
    }
    r->kind = e ? e->kind : KIND_PLAIN;
    if (r->kind == KIND_LINES || !e) {
        c = first_byte(&r->s);
        if (c == '[') {
            stream_get(&r->s);
            r->kind = KIND_ARRAY;
        } else if (c == '{') {
            r->kind = KIND_LINES;
        }
    }
    if (r->kind != KIND_CSV) return SLM_OK;
    r->csv.separator = e->separator;
    slm_status st = csv_read_header(&r->csv, &r->s, err);
    if (st != SLM_OK) close_file(r); /* without names there are no rows */
    return st;
}

/* The next element of a top-level array into room: everything up to the comma or the bracket that closes. */
static slm_status read_element(struct data_reader *r, uint64_t *line, bool *has, slm_err *err) {
    struct data_stream *s = &r->s;
    int depth = 0, c;
    bool in_string = false, escaped = false;
    *has = false;
    c = first_byte(s);
    *line = s->line;
    if (c == ']' || c == EOF) {
        bool is_whole = c == ']' || r->is_cut;
        r->is_cut = c == EOF; /* said once */
        return is_whole ? SLM_OK : row_fault(s->path, *line, err, "the file ends within its array");
    }
    while ((c = stream_get(s)) != EOF) {
        if (!in_string && depth == 0 && (c == ',' || c == ']')) break;
        if (in_string) {
            if (escaped) escaped = false;
            else if (c == '\\') escaped = true;
            else if (c == '"') in_string = false;
        } else if (c == '"') in_string = true;
        else if (c == '{' || c == '[') depth++;
        else if (c == '}' || c == ']') depth--;
        buf_putc(&r->room, (char)c);
    }
    if (c == ']') stream_put_back(s, c);
    *has = true;
    return buf_status(&r->room, "a row of data", err);
}

static slm_status parse_object(struct data_reader *r, uint64_t line, slm_err *err) {
    json_error_t why;
    r->object = json_loadb(r->room.data ? r->room.data : "", r->room.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!r->object) return row_fault(r->s.path, line, err, "no JSON: %s, at byte %d of the row", why.text, why.position);
    if (!json_is_object(r->object)) return row_fault(r->s.path, line, err, "not an object");
    return SLM_OK;
}

static slm_status next_json(struct data_reader *r, struct data_row *row, bool *has, slm_err *err) {
    slm_status st = SLM_OK;
    if (r->kind == KIND_ARRAY) {
        TRY(read_element(r, &row->line, has, err));
    } else {
        do { /* empty lines are none */
            buf_clear(&r->room);
            row->line = r->s.line;
            TRY(stream_read_line(&r->s, &r->room, has, err));
        } while (*has && strspn(r->room.data ? r->room.data : "", " \t\r") == r->room.len);
    }
    if (*has) st = parse_object(r, row->line, err);
out:
    return st;
}

static bool is_separator(const struct buf *b, size_t line_at, const char *sep) {
    return b->len - line_at == strlen(sep) && memcmp(b->data + line_at, sep, b->len - line_at) == 0;
}

/* A document of a plain file: up to a separating line, or the end. Documents without text are none. */
static slm_status next_plain(struct data_reader *r, struct data_row *row, bool *has, slm_err *err) {
    slm_status st = SLM_OK;
    bool more = true;
    size_t at_bad;
    row->line = r->s.line;
    while (more) {
        size_t line_at = r->room.len;
        TRY(stream_read_line(&r->s, &r->room, &more, err));
        bool ends = more && is_separator(&r->room, line_at, r->doc_sep ? r->doc_sep : DATA_DOC_SEP);
        if (ends) r->room.data[r->room.len = line_at] = 0;
        else if (more) buf_putc(&r->room, '\n');
        if ((ends || !more) && r->room.len > strspn(r->room.data ? r->room.data : "", " \t\n")) break;
        if (!ends) continue;
        buf_clear(&r->room);
        row->line = r->s.line;
    }
    while (r->room.len && r->room.data[r->room.len - 1] == '\n') r->room.len--;
    *has = r->room.len > 0;
    row->shape = DATA_SHAPE_TEXT;
    row->format = DATA_TEXT;
    row->text = (struct view){r->room.data, r->room.len};
    if (*has && !text_is_utf8(row->text, &at_bad)) {
        uint64_t line = row->line;
        for (size_t i = 0; i < at_bad; i++) line += row->text.ptr[i] == '\n';
        return row_fault(r->s.path, line, err, "not UTF-8");
    }
out:
    return st;
}

static slm_status next_of_file(struct data_reader *r, struct data_row *row, bool *has, slm_err *err) {
    slm_status st = SLM_OK;
    buf_clear(&r->room);
    if (r->kind == KIND_PLAIN) return next_plain(r, row, has, err);
    if (r->kind == KIND_CSV) TRY(csv_read_record(&r->csv, &r->s, &r->room, &r->object, &row->line, has, err));
    else TRY(next_json(r, row, has, err));
    if (*has) TRY(row_read_object(r->object, r->format, row, &r->owned, err));
    row->object = r->object;
out:
    return st;
}

slm_status data_reader_next(struct data_reader *r, struct data_row *row, bool *has, slm_err *err) {
    *has = false;
    while (r->i_path < r->n_paths) {
        slm_status st = SLM_OK;
        forget_row(r);
        *row = (struct data_row){.path = r->paths[r->i_path], .weight = 1, .line = 1};
        if (!r->is_open && (st = open_file(r, err)) != SLM_OK) return st;
        st = next_of_file(r, row, has, err);
        if (st == SLM_E_IO) close_file(r);
        if (st != SLM_OK || *has) return st;
        close_file(r);
    }
    return SLM_OK;
}
