/* fuzz_data.c -- any bytes as a file of examples, of each kind: rows or errors that name file and line, never an end that does not
 * come; a row's texts are what its shape says.
 *
 * Input: a byte that picks the kind of file and the format, then the file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "fuzz_data: %s\n", what);
    abort();
}

static uint64_t touch(struct view v) {
    uint64_t h = HASH_START;
    return v.ptr ? hash_bytes(h, v.ptr, v.len) : h;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"f.jsonl", "f.json", "f.csv", "f.tsv", "f.txt", "f"};
    static volatile uint64_t sink;
    (void)sink;
    struct data_reader *r;
    struct data_row row;
    bool has = true;
    slm_err err;
    if (size < 1) return 0;
    enum data_format format = (enum data_format)(data[0] / 8 % DATA_FORMAT_COUNT);
    demand(data_reader_over(names[data[0] % 6], (struct view){(const char *)data + 1, size - 1}, format, &r, &err) == SLM_OK, "open");
    for (size_t n_calls = 0; has; n_calls++) {
        demand(n_calls <= size + 2, "more rows than bytes");
        err_clear(&err);
        slm_status st = data_reader_next(r, &row, &has, &err);
        if (st != SLM_OK) {
            demand(st == SLM_E_FORMAT && strncmp(err.msg, "f", 1) == 0 && strchr(err.msg, ':'), "an error without file and line");
            has = true;
            continue;
        }
        if (!has) break;
        demand(row.line >= 1 && row.line <= size, "a line that is not there");
        demand((row.shape == DATA_SHAPE_CHAT) == json_is_array(row.messages), "a chat without messages");
        sink ^= touch(row.text) ^ touch(row.prompt) ^ touch(row.completion) ^ touch(row.label) ^ touch(data_answer(&row));
    }
    data_reader_close(r);
    return 0;
}
